"""TagResource, UntagResource."""

from __future__ import annotations

from collections.abc import Mapping

from casemate.api import secretsmanager
from casemate.gate.authorise import decide, denied
from casemate.gate.call import Call
from casemate.services.secretsmanager import quotas, replication
from casemate.services.secretsmanager.secret import Secret
from casemate.services.secretsmanager.secrets import Secrets
from casemate.services.secretsmanager.tag_rules import merged
from casemate.services.secretsmanager.targets import named_secret


@secretsmanager.TagResource.writes(named_secret, quota=quotas.TAGS)
def tag_resource(
    call: Call, req: secretsmanager.TagResourceRequest, secret: Secret
) -> secretsmanager.TagResourceResponse:
    """Add tags, or replace those of the same keys, unless the caller could not do so any more then."""
    secret.must_be_changeable()
    _put(call, req, secret, merged(secret.row.tags, req["Tags"]))
    return {}


@secretsmanager.UntagResource.writes(named_secret, quota=quotas.TAGS)
def untag_resource(
    call: Call, req: secretsmanager.UntagResourceRequest, secret: Secret
) -> secretsmanager.UntagResourceResponse:
    """Remove tags, unless the caller could not do so any more then; keys that are not there are no error."""
    secret.must_be_changeable()
    _put(
        call, req, secret, {key: value for key, value in secret.row.tags.items() if key not in req["TagKeys"]}
    )
    return {}


def _put(call: Call, request: Mapping[str, object], secret: Secret, tags: Mapping[str, str]) -> None:
    """Raises AccessDeniedException where the caller would lose the permission by it. Source: "TagResource"."""
    row = secret.row._replace(tags=tags, changed=call.now)
    assert call.route is not None
    action, after = call.route.operation.action, Secret(row, secret.policy)
    decision = decide(call, action, after, request)
    if not decision.allowed:
        raise denied(call, action, secret, decision)
    call.part(Secrets).save(call.tx, replication.followed(call, row))
