"""CreateAlias, UpdateAlias, DeleteAlias, ListAliases.

Each change needs its permission on the alias, by identity policies, and on every key concerned, by their key
policies. Source: "Controlling access to aliases".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from casemate.api import kms
from casemate.engine.keys.specs import SYMMETRIC_DEFAULT
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Resource, Value
from casemate.services.kms.key import Key, of_request
from casemate.services.kms.keys import Keys
from casemate.services.kms.naming import ALIAS, alias_arn
from casemate.services.kms.pages import Page
from casemate.services.kms.quotas import ALIASES_PER_KEY, must_be_within
from casemate.services.kms.refusals import internal, invalid, no_alias
from casemate.services.kms.rows import Alias
from casemate.services.kms.targets import AccountWide, account_wide, own_key_named


class AliasResource(Resource):
    """An alias as policies see it."""

    __slots__ = ()

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        return of_request(key, call, request)


class AliasChange(NamedTuple):
    """What a change of an alias acts on. alias: as it is stored, None where it is not; old: the key that it leaves;
    new: the one that it gets."""

    resource: AliasResource
    alias: Alias | None
    old: Key | None
    new: Key | None


def _change(call: Call, request: Mapping[str, Any], *, makes: bool, moves: bool) -> AliasChange:
    name: str = request["AliasName"]
    if not name.startswith("alias/"):
        raise invalid(
            'Alias must start with the prefix "alias/". Please see '
            "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
        )
    if name == "alias/":
        raise invalid("Invalid identifier")
    if name == "alias/aws" or name.startswith("alias/aws/"):
        raise AwsError("NotAuthorizedException", "")
    if ALIAS.fullmatch(name) is None:
        raise invalid(f"{name} contains invalid characters for an alias")
    new = None
    if makes or moves:
        if "alias/" in request["TargetKeyId"]:
            raise invalid("Aliases must refer to keys. Not aliases")
        new = own_key_named(call, request["TargetKeyId"])
    keys = call.part(Keys)
    alias = keys.find_alias(call, call.account, call.region, name)
    resource = AliasResource(alias_arn(call.account, call.region, name), call.account, type="AWS::KMS::Alias")
    old = None
    if makes:
        if alias is not None:
            resource.missing = AwsError(
                "AlreadyExistsException", f"An alias with the name {resource.arn} already exists"
            )
    elif alias is None:
        resource.missing = no_alias(resource.arn)
    else:
        old = keys.find(call, call.account, call.region, alias.key_id)
        if old is None:
            # An alias goes with its key, in the same transaction.
            raise internal()
    return AliasChange(resource, alias, old, new)


def new_alias(call: Call, request: Mapping[str, Any]) -> AliasChange:
    """CreateAlias's."""
    return _change(call, request, makes=True, moves=False)


def moved_alias(call: Call, request: Mapping[str, Any]) -> AliasChange:
    """UpdateAlias's."""
    return _change(call, request, makes=False, moves=True)


def deleted_alias(call: Call, request: Mapping[str, Any]) -> AliasChange:
    """DeleteAlias's."""
    return _change(call, request, makes=False, moves=False)


def _needs(action: str) -> tuple[Need, Need, Need]:
    return (
        Need(action, lambda change: change.resource),
        Need(action, lambda change: change.old),
        Need(action, lambda change: change.new),
    )


def _take(call: Call, key: Key) -> None:
    """Raises unless the key may have another alias."""
    key.must_not_be_pending_deletion()
    must_be_within(call, ALIASES_PER_KEY, len(key.aliases) + 1, f"aliases of {key.arn}")


@kms.CreateAlias.writes(new_alias, *_needs("kms:CreateAlias"))
def create_alias(call: Call, req: kms.CreateAliasRequest, change: AliasChange) -> kms.CreateAliasResponse:
    """Give a key another name."""
    key = change.new
    assert key is not None
    _take(call, key)
    alias = Alias(call.account, call.region, req["AliasName"], key.row.id, call.now, call.now)
    if not call.part(Keys).put_alias(call.tx, alias):
        raise AwsError(
            "AlreadyExistsException", f"An alias with the name {change.resource.arn} already exists"
        )
    return {}


def _type_of(key: Key) -> tuple[str, str]:
    """Symmetric, HMAC or asymmetric, and the usage."""
    spec = key.row.key_spec
    kind = spec if spec == SYMMETRIC_DEFAULT else "HMAC" if spec.startswith("HMAC_") else "asymmetric"
    return kind, key.row.key_usage


@kms.UpdateAlias.writes(moved_alias, *_needs("kms:UpdateAlias"))
def update_alias(call: Call, req: kms.UpdateAliasRequest, change: AliasChange) -> kms.UpdateAliasResponse:
    """Let an alias name another key."""
    alias, key, before = change.alias, change.new, change.old
    assert alias is not None
    assert key is not None
    assert before is not None
    if _type_of(key) != _type_of(before):
        # Source: "UpdateAlias": what is called by the alias goes on working.
        raise invalid(f"{key.arn} is of another type or usage than {before.arn}, which the alias names.")
    if key.row.id == alias.key_id:
        key.must_not_be_pending_deletion()
    else:
        _take(call, key)
    moved = alias._replace(key_id=key.row.id, updated=call.now)
    call.part(Keys).put_alias(call.tx, moved, before=alias.key_id)
    return {}


@kms.DeleteAlias.writes(deleted_alias, *_needs("kms:DeleteAlias"))
def delete_alias(call: Call, req: kms.DeleteAliasRequest, change: AliasChange) -> kms.DeleteAliasResponse:
    """Remove a name; the key stays."""
    assert change.alias is not None
    call.part(Keys).delete_alias(call.tx, change.alias)
    return {}


@kms.ListAliases.reads(account_wide)
def list_aliases(call: Call, req: kms.ListAliasesRequest, account: AccountWide) -> kms.ListAliasesResponse:
    """The account's aliases in the Region by name; with KeyId, that key's alone."""
    page = Page("ListAliases", req, default=50, most=100)
    key_id = ""
    if "KeyId" in req:
        key = own_key_named(call, req["KeyId"])
        if key.missing is not None:
            raise key.missing
        key_id = key.row.id
    found = call.part(Keys).list_aliases(
        call.tx, call.account, call.region, page.after, page.limit + 1, key_id
    )
    shown, more = page.cut(found, lambda alias: alias.name)
    return {"Aliases": [_entry(alias) for alias in shown], **more}  # type: ignore[typeddict-item]


def _entry(alias: Alias) -> kms.AliasListEntry:
    return {
        "AliasName": alias.name,
        "AliasArn": alias_arn(alias.account, alias.region, alias.name),
        "TargetKeyId": alias.key_id,
        "CreationDate": datetime.fromtimestamp(alias.created, UTC),
        "LastUpdatedDate": datetime.fromtimestamp(alias.updated, UTC),
    }
