"""What a request about grants acts on, where it is not simply a key; and who grants may name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from casemate.engine.policy import Grade, PrincipalElement, canonical_name, parse
from casemate.gate.call import Call
from casemate.gate.regions import partition_of
from casemate.gate.resource import Resource, Value
from casemate.services.kms.grant import Grant
from casemate.services.kms.grant_tokens import granted_by
from casemate.services.kms.key import Key
from casemate.services.kms.keys import Keys
from casemate.services.kms.refusals import invalid, invalid_grant_id, invalid_principal, no_grant
from casemate.services.kms.targets import AccountWide, key_by_id

_GRANT_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


def checked_id(grant_id: str) -> str:
    """Raises InvalidGrantIdException."""
    if _GRANT_ID.fullmatch(grant_id) is None:
        raise invalid_grant_id(grant_id)
    return grant_id


def checked_principal(text: str, region: str) -> str:
    """The ARN of an account, a user, a role, or a session of one. Raises InvalidArnException for others: groups and
    services among them, which have a parameter of their own."""
    # Users and roles are the same in all partitions here, and their ARNs are those of "aws".
    if text.split(":")[:2] not in (["arn", partition_of(region)], ["arn", "aws"]):
        raise invalid_principal(text)
    if canonical_name("AWS", text) is None:
        raise invalid_principal(text)
    return text


def meant(call: Call, *principals: str) -> dict[str, str]:
    """The unique ids of those users and roles that are named by ARN, by which grants mean them: one who is made anew
    under the name of one who was deleted is somebody else. Raises InvalidArnException for one who does not exist."""
    arns = [each for each in principals if each.startswith("arn:")]
    if not arns:
        return {}
    statement = {"Effect": "Allow", "Principal": {"AWS": arns}, "Action": "kms:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    found = {}
    for arn, unique_id in call.gate.directory.principal_ids(call.tx, parse(document, "key")).items():
        if unique_id is None:
            raise invalid_principal(arn)
        found[arn] = unique_id
    return found


def either(call: Call, request: Mapping[str, Any], member: str, service_member: str) -> str:
    """The principal that a request names by either of two members, '' for neither. Raises ValidationException for
    both, InvalidArnException. (The codec has checked services' names.)"""
    if member in request and service_member in request:
        raise invalid(f"You can specify either {member} or {service_member}, but not both.")
    if service_member in request:
        return str(request[service_member])
    return checked_principal(request[member], call.region) if member in request else ""


class RetirableGrant(Resource):
    """A grant as RetireGrant sees it. The grant itself says who may retire it, and the key's policy has no say: its
    retiring principal, its grantee if the grant allows that, the accounts that made it and that own the key, who may
    pass it on by identity policies. Source: "Retiring and revoking grants"."""

    __slots__ = ("_key", "_who")

    def __init__(self, key: Key, grant: Grant | None) -> None:
        """grant: None where there is none, or no such key."""
        super().__init__(key.arn, key.account, guarded=True, type="AWS::KMS::Key", missing=key.missing)
        self._key = key
        who = [key.account]
        if grant is not None:
            who += [grant.issuer, grant.retiree, grant.grantee if "RetireGrant" in grant.operations else ""]
        self._who = PrincipalElement(False, False, False, frozenset(_name(each) for each in who if each))

    def tags(self) -> Mapping[str, str]:
        return self._key.tags()

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        return self._key.condition(key, call, request)

    def granted(self, action: str, call: Call, request: Mapping[str, Any]) -> Grade:  # noqa: ARG002
        return self._who.allows(call.identity.principal)


def _name(text: str) -> tuple[str, str]:
    """How policies would name whom a grant names."""
    return canonical_name("AWS", text) or ("Service", text)


class Retirement(NamedTuple):
    """What RetireGrant acts on. grant: None where the resource is missing."""

    resource: RetirableGrant
    grant: Grant | None


def retirement(call: Call, request: Mapping[str, Any]) -> Retirement:
    """RetireGrant's: GrantToken, or KeyId with GrantId. Raises InvalidGrantTokenException, InvalidGrantIdException,
    ValidationException."""
    by_token, by_id = "GrantToken" in request, "KeyId" in request and "GrantId" in request
    if by_token == by_id or (by_token and ("KeyId" in request or "GrantId" in request)):
        raise invalid("Specify either a grant token, or both a grant ID and a key ID.")
    if by_token:
        grant = granted_by(call, request["GrantToken"])
        key = key_by_id(call, {"KeyId": grant.key_arn})
        return Retirement(RetirableGrant(key, grant), grant)
    grant_id = checked_id(request["GrantId"])
    key = key_by_id(call, request)
    if key.missing is not None:
        return Retirement(RetirableGrant(key, None), None)
    found = call.part(Keys).grants.find(call.tx, key.row[:3], grant_id)
    resource = RetirableGrant(key, found)
    if found is None:
        resource.missing = no_grant(grant_id)
    return Retirement(resource, found)


class RetiringPrincipal(AccountWide):
    """What ListRetirableGrants is authorised on: the principal whose grants are asked for. Source:
    "ListRetirableGrants"."""

    __slots__ = ()


def retiring_principal(call: Call, request: Mapping[str, Any]) -> RetiringPrincipal:
    """ListRetirableGrants'. Raises ValidationException, InvalidArnException."""
    who = either(call, request, "RetiringPrincipal", "RetiringServicePrincipal")
    if not who:
        raise invalid("You must specify either RetiringPrincipal or RetiringServicePrincipal.")
    account = who.split(":")[4] if who.startswith("arn:") else call.account
    return RetiringPrincipal(who, account)
