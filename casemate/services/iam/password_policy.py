"""UpdateAccountPasswordPolicy, GetAccountPasswordPolicy, DeleteAccountPasswordPolicy; and what a password must have.

Source: "Set an account password policy for IAM users".
"""

from __future__ import annotations

import string
from collections.abc import Sequence

from casemate.api import iam
from casemate.engine import passwords
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.resource import Resource
from casemate.services.iam.entities import PasswordPolicy, unique_id
from casemate.services.iam.refusals import no_such_entity
from casemate.services.iam.store import Entities
from casemate.services.iam.targets import account_wide
from casemate.store.database import Tx

_SYMBOLS = "!@#$%^&*()_+-=[]{}|'"
_USUAL_LENGTH = 8
_USUAL_KINDS = 3
"""What a password needs in an account without a policy: so many characters, of so many kinds."""


def policy_of(entities: Entities, tx: Tx, account: str) -> PasswordPolicy | None:
    """The account's policy, if it has one."""
    return entities.find(tx, PasswordPolicy, account, account)


def _has(password: str, characters: str) -> bool:
    return not set(password).isdisjoint(characters)


def lacks(policy: PasswordPolicy | None, account: str, password: str) -> str:
    """What is wrong with a new password, in AWS's words; '' for nothing."""
    lowercase, uppercase = _has(password, string.ascii_lowercase), _has(password, string.ascii_uppercase)
    numbers, symbols = _has(password, string.digits), _has(password, _SYMBOLS)
    if policy is None:
        if len(password) < _USUAL_LENGTH:
            return f"Password should have a minimum length of {_USUAL_LENGTH}"
        if lowercase + uppercase + numbers + symbols < _USUAL_KINDS:
            return (
                "Password must include a minimum of three of the following mix of character types: uppercase, "
                "lowercase, numbers, and non-alphanumeric symbols"
            )
        return "Password should not be the account's id" if password == account else ""
    if len(password) < policy.length:
        return f"Password should have a minimum length of {policy.length}"
    for wanted, present, what in (
        (policy.uppercase, uppercase, "uppercase character"),
        (policy.lowercase, lowercase, "lowercase character"),
        (policy.numbers, numbers, "number"),
        (policy.symbols, symbols, "symbol"),
    ):
        if wanted and not present:
            return f"Password should have at least one {what}"
    return ""


def reused(policy: PasswordPolicy | None, password: str, verifiers: Sequence[str]) -> bool:
    """Whether it is one of the last passwords, of which the policy says how many count. verifiers: newest first."""
    count = 0 if policy is None else policy.reuse
    return any(passwords.fits(password, each) for each in verifiers[:count])


@iam.UpdateAccountPasswordPolicy.writes(account_wide)
def update_account_password_policy(
    call: Call, req: iam.UpdateAccountPasswordPolicyRequest, target: Resource
) -> iam.UpdateAccountPasswordPolicyResponse:
    """The whole policy anew: what is not said is as though there were none."""
    entities = call.part(Entities)
    before = policy_of(entities, call.tx, call.account)
    policy = PasswordPolicy(
        account=call.account,
        name=call.account,
        id=before.id if before else unique_id(PasswordPolicy.PREFIX),
        created=before.created if before else call.now,
        length=req.get("MinimumPasswordLength", 6),
        symbols=req.get("RequireSymbols", False),
        numbers=req.get("RequireNumbers", False),
        uppercase=req.get("RequireUppercaseCharacters", False),
        lowercase=req.get("RequireLowercaseCharacters", False),
        own_change=req.get("AllowUsersToChangePassword", False),
        age=req.get("MaxPasswordAge", 0),
        reuse=req.get("PasswordReusePrevention", 0),
        hard_expiry=req.get("HardExpiry", False),
    )
    if before is None:
        entities.add(call.tx, policy)
    else:
        entities.save(call.tx, policy)
    return {}


def _absent(call: Call) -> AwsError:
    return no_such_entity(f"The Password Policy with domain name {call.account} cannot be found.")


@iam.GetAccountPasswordPolicy.reads(account_wide)
def get_account_password_policy(
    call: Call, req: iam.GetAccountPasswordPolicyRequest, target: Resource
) -> iam.GetAccountPasswordPolicyResponse:
    """The account's policy, if it has one of its own."""
    policy = policy_of(call.part(Entities), call.tx, call.account)
    if policy is None:
        raise _absent(call)
    shape: iam.PasswordPolicy = {
        "MinimumPasswordLength": policy.length,
        "RequireSymbols": policy.symbols,
        "RequireNumbers": policy.numbers,
        "RequireUppercaseCharacters": policy.uppercase,
        "RequireLowercaseCharacters": policy.lowercase,
        "AllowUsersToChangePassword": policy.own_change,
        "ExpirePasswords": policy.age > 0,
        "HardExpiry": policy.hard_expiry,
    }
    if policy.age:
        shape["MaxPasswordAge"] = policy.age
    if policy.reuse:
        shape["PasswordReusePrevention"] = policy.reuse
    return {"PasswordPolicy": shape}


@iam.DeleteAccountPasswordPolicy.writes(account_wide)
def delete_account_password_policy(
    call: Call, req: iam.DeleteAccountPasswordPolicyRequest, target: Resource
) -> iam.DeleteAccountPasswordPolicyResponse:
    """Back to what counts in an account without a policy."""
    entities = call.part(Entities)
    policy = policy_of(entities, call.tx, call.account)
    if policy is None:
        raise _absent(call)
    entities.remove(call.tx, policy)
    return {}
