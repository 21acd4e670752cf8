"""CreateGrant, ListGrants, ListRetirableGrants, RetireGrant, RevokeGrant. Source: "Grants in AWS KMS"."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orjson import dumps

from casemate.api import kms
from casemate.engine.keys.specs import SYMMETRIC_DEFAULT
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.regions import partition_of
from casemate.services.kms import quotas
from casemate.services.kms.grant import Constraints, Grant, constraints_of, operations_on
from casemate.services.kms.grant_targets import (
    Retirement,
    RetiringPrincipal,
    checked_id,
    either,
    meant,
    retirement,
    retiring_principal,
)
from casemate.services.kms.grant_tokens import check_tokens, token_of
from casemate.services.kms.key import Key
from casemate.services.kms.keys import Keys
from casemate.services.kms.pages import Page
from casemate.services.kms.refusals import end_dry_run, invalid, no_grant
from casemate.services.kms.targets import key_by_id

MOST_PAIRS, LONGEST_VALUE = 8, 384
"""Of an encryption context constraint. Source: "CreateGrant"."""


def _operations(key: Key, wanted: list[str]) -> tuple[str, ...]:
    """The grant's operations, each once. Raises ValidationException for what the key does not have."""
    operations = tuple(dict.fromkeys(wanted))
    if not operations:
        raise invalid("You must specify at least one operation.")
    if operations == ("CreateGrant",):
        raise invalid("Grants must not contain only the CreateGrant operation.")
    row = key.row
    others = sorted(set(operations) - operations_on(row.key_usage, row.key_spec))
    if others:
        raise invalid(
            f"Operations {', '.join(others)} are not supported on {key.arn}, "
            f"whose key usage is {row.key_usage} and whose key spec is {row.key_spec}."
        )
    return operations


def _constraints(key: Key, request: Mapping[str, Any]) -> Constraints:
    """Raises ValidationException for constraints that the key's operations could not meet, or that are too large."""
    found = constraints_of(request)
    for context in (found.equals, found.subset):
        if context is None:
            continue
        if key.row.key_spec != SYMMETRIC_DEFAULT:
            raise invalid(f"Encryption context constraints are not supported on key spec {key.row.key_spec}.")
        if len(context) > MOST_PAIRS:
            raise invalid(f"A grant constraint has at most {MOST_PAIRS} encryption context pairs.")
        if any(len(value) > LONGEST_VALUE for value in context.values()):
            raise invalid(f"A value in a grant constraint has at most {LONGEST_VALUE} characters.")
    return found


def _principals(call: Call, request: Mapping[str, Any]) -> tuple[str, str]:
    """The grantee, and the retiring principal or ''. Raises ValidationException, InvalidArnException."""
    grantee = either(call, request, "GranteePrincipal", "GranteeServicePrincipal")
    retiree = either(call, request, "RetiringPrincipal", "RetiringServicePrincipal")
    if not grantee:
        raise invalid("You must specify either GranteePrincipal or GranteeServicePrincipal.")
    if "GranteeServicePrincipal" in request:
        if not constraints_of(request).source_arn:
            raise invalid("You must specify a SourceArn constraint with GranteeServicePrincipal.")
        if not retiree:
            raise invalid(
                "You must specify RetiringPrincipal or RetiringServicePrincipal with GranteeServicePrincipal."
            )
    return grantee, retiree


@kms.CreateGrant.writes(key_by_id)
def create_grant(call: Call, req: kms.CreateGrantRequest, key: Key) -> kms.CreateGrantResponse:
    """Let a principal use a key, for some operations and under some constraints. With a name, the same request again
    makes no other grant."""
    grantee, retiree = _principals(call, req)
    operations = _operations(key, list(req["Operations"]))
    constraints = _constraints(key, req)
    key.must_not_be_pending_deletion()
    key.must_not_be_pending_import()
    key.must_be_enabled()
    check_tokens(call, req)
    place = key.row[:3]
    ids = meant(call, grantee, retiree)
    wanted = Grant(
        *place,
        secrets.token_hex(32),
        call.now,
        req.get("Name", ""),
        ids.get(grantee, grantee),
        ids.get(retiree, retiree),
        call.account,
        operations,
        constraints,
        {unique_id: arn for arn, unique_id in ids.items()},
    )
    grants = call.part(Keys).grants
    grant = next((each for each in grants.named(call.tx, place, wanted.name) if each.same_as(wanted)), wanted)
    if grant is wanted:
        count = grants.count(call.tx, place) + 1
        quotas.must_be_within(call, quotas.GRANTS_PER_KEY, count, "grants on one key")
    end_dry_run(req)
    if grant is wanted:
        grants.put(call.tx, grant)
    return {"GrantToken": token_of(call, grant), "GrantId": grant.id}


@kms.ListGrants.reads(key_by_id)
def list_grants(call: Call, req: kms.ListGrantsRequest, key: Key) -> kms.ListGrantsResponse:
    """The grants on a key by id; with GrantId or GranteePrincipal, that one or that grantee's alone."""
    page = Page("ListGrants", req, default=50, most=100)
    grantee = either(call, req, "GranteePrincipal", "GranteeServicePrincipal")
    _only_for_services(call, req, "GranteeServicePrincipal")
    grants, place = call.part(Keys).grants, key.row[:3]
    grantee = meant(call, grantee).get(grantee, grantee)
    if "GrantId" in req:
        found = grants.find(call.tx, place, checked_id(req["GrantId"]))
        listed = [found] if found is not None and grantee in ("", found.grantee) else []
    else:
        listed = grants.of_key(call.tx, place, grantee, page.after, page.limit + 1)
    shown, more = page.cut(listed, lambda grant: grant.id)
    return {"Grants": [_entry(call, grant) for grant in shown], **more}  # type: ignore[typeddict-item]


@kms.ListRetirableGrants.reads(retiring_principal)
def list_retirable_grants(
    call: Call, req: kms.ListRetirableGrantsRequest, who: RetiringPrincipal
) -> kms.ListGrantsResponse:
    """The grants in the Region, on keys of any account, that have this retiring principal."""
    page = Page("ListRetirableGrants", req, default=50, most=100)
    _only_for_services(call, req, "RetiringServicePrincipal")
    account, _, rest = page.after.partition(" ")
    key_id, _, grant_id = rest.partition(" ")
    retiree = meant(call, who.arn).get(who.arn, who.arn)
    found = call.part(Keys).grants.of_retiree(
        call.tx, call.region, retiree, (account, key_id, grant_id), page.limit + 1
    )
    shown, more = page.cut(found, lambda grant: f"{grant.account} {grant.key_id} {grant.id}")
    return {"Grants": [_entry(call, grant) for grant in shown], **more}  # type: ignore[typeddict-item]


def _only_for_services(call: Call, request: Mapping[str, Any], member: str) -> None:
    """A service sees its own grants alone. Source: "ListGrants", "ListRetirableGrants"."""
    if member in request:
        principal = call.identity.principal
        if principal.kind != "service" or request[member] not in (principal.arn, *principal.names):
            raise AwsError("AccessDeniedException", f"{member} is usable by that service only.")


@kms.RetireGrant.writes(retirement, Need("kms:RetireGrant", lambda found: found.resource))
def retire_grant(call: Call, req: kms.RetireGrantRequest, found: Retirement) -> kms.RetireGrantResponse:
    """Delete a grant, as whom it lets do that: its retiring principal, its grantee, the account that made it."""
    assert found.grant is not None
    end_dry_run(req)
    call.part(Keys).grants.delete(call.tx, found.grant)
    call.additional = dumps({"grantId": found.grant.id})
    return {}


@kms.RevokeGrant.writes(key_by_id)
def revoke_grant(call: Call, req: kms.RevokeGrantRequest, key: Key) -> kms.RevokeGrantResponse:
    """Delete a grant on a key, as who may do that with all of the key's."""
    grant_id = checked_id(req["GrantId"])
    grants = call.part(Keys).grants
    grant = grants.find(call.tx, key.row[:3], grant_id)
    if grant is None:
        raise no_grant(grant_id)
    end_dry_run(req)
    grants.delete(call.tx, grant)
    return {}


def _entry(call: Call, grant: Grant) -> kms.GrantListEntry:
    """As ListGrants shows it. A grant without a name has an empty one, as AWS shows it; who is no more is shown by
    their unique id."""
    names_now = call.gate.directory.principal_names
    names = {
        unique_id: names_now(call.tx, {arn: unique_id}).get(arn, arn)
        for unique_id, arn in grant.named.items()
    }
    grantee, retiree = (names.get(each, each) for each in (grant.grantee, grant.retiree))
    shown: dict[str, Any] = {
        "KeyId": grant.key_arn,
        "GrantId": grant.id,
        "Name": grant.name,
        "CreationDate": datetime.fromtimestamp(grant.created, UTC),
        _member("Grantee", grant.grantee): grantee,
        "IssuingAccount": f"arn:{partition_of(grant.region)}:iam::{grant.issuer}:root",
        "Operations": list(grant.operations),
    }
    if grant.retiree:
        shown[_member("Retiring", grant.retiree)] = retiree
    constraints = grant.constraints.shown()
    if constraints:
        shown["Constraints"] = constraints
    return shown  # type: ignore[return-value]  # the row's strings are the model's enumerations


def _member(role: str, principal: str) -> str:
    return f"{role}ServicePrincipal" if "." in principal and ":" not in principal else f"{role}Principal"
