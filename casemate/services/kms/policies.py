"""GetKeyPolicy, PutKeyPolicy, ListKeyPolicies."""

from __future__ import annotations

from casemate.api import kms
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.kms.key import Key
from casemate.services.kms.key_policies import accepted, shown
from casemate.services.kms.keys import Keys
from casemate.services.kms.pages import Page
from casemate.services.kms.refusals import invalid
from casemate.services.kms.targets import own_key


def _check_name(name: str) -> None:
    """A key has one policy, "default". (The one that Resource Access Manager manages exists where keys are
    shared by it, which they are not here.)"""
    if name != "default":
        raise AwsError("NotFoundException", "No such policy exists")


@kms.GetKeyPolicy.reads(own_key)
def get_key_policy(call: Call, req: kms.GetKeyPolicyRequest, key: Key) -> kms.GetKeyPolicyResponse:
    """The key policy's text, as it was put; who is no more is shown by their unique id."""
    _check_name(req.get("PolicyName", "default"))
    return {"Policy": shown(call, key.row) if key.row.principals else key.row.policy, "PolicyName": "default"}


@kms.PutKeyPolicy.writes(own_key)
def put_key_policy(call: Call, req: kms.PutKeyPolicyRequest, key: Key) -> kms.PutKeyPolicyResponse:
    """Replace the key policy."""
    name = req.get("PolicyName", "default")
    if name == "AWS_RAM":
        raise invalid("The AWS_RAM policy can only be managed by the RAM service.")
    _check_name(name)
    put = accepted(call, req, key, key.arn)
    call.part(Keys).save(call.tx, key.row._replace(policy=put.policy, principals=put.principals))
    return {}


@kms.ListKeyPolicies.reads(own_key)
def list_key_policies(call: Call, req: kms.ListKeyPoliciesRequest, key: Key) -> kms.ListKeyPoliciesResponse:
    """The names of the key's policies: "default"."""
    page = Page("ListKeyPolicies", req, default=100)
    names = [name for name in ("default",) if name > page.after]
    return {"PolicyNames": names, "Truncated": False}
