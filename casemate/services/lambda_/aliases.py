"""CreateAlias, UpdateAlias, GetAlias, DeleteAlias, ListAliases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.api import lambda_
from casemate.gate.random_ids import new_uuid
from casemate.services.lambda_.creating import drop_of_qualifier
from casemate.services.lambda_.functions import Functions
from casemate.services.lambda_.naming import LATEST, Place, not_found, qualified
from casemate.services.lambda_.pages import begin, more, size
from casemate.services.lambda_.refusals import absent, conflict, invalid, other_revision
from casemate.services.lambda_.rows import Alias
from casemate.services.lambda_.targets import Target, function, need, version_of

if TYPE_CHECKING:
    from casemate.gate.call import Call


def _shown(place: Place, name: str, alias: Alias) -> lambda_.AliasConfiguration:
    answer: lambda_.AliasConfiguration = {
        "AliasArn": qualified(place, name),
        "Name": name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision,
    }
    if alias.routing:
        answer["RoutingConfig"] = {"AdditionalVersionWeights": dict(alias.routing)}
    return answer


def _found(target: Target, name: str) -> Alias:
    alias = target.found.row.aliases.get(name)
    if alias is None:
        raise absent(f"Cannot find alias arn: {qualified(target.named.place, name)}")
    return alias


def _checked(call: Call, target: Target, alias: Alias) -> Alias:
    """Raises ResourceNotFoundException for versions that are not there, InvalidParameterValueException."""
    for version in (alias.version, *alias.routing):
        if not re.fullmatch(r"\$LATEST|[0-9]+", version):
            raise invalid(f"Invalid version: {version}")
        if version_of(call, target.found, version) is None:
            raise not_found(qualified(target.named.place, version))
    if not alias.routing:
        return alias
    if len(alias.routing) > 1:
        raise invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
    if LATEST in (alias.version, *alias.routing):
        raise invalid("$LATEST is not supported for an alias pointing to more than 1 version")
    if alias.version in alias.routing:
        raise invalid(
            f"Invalid function version {alias.version}. Function version {alias.version} is already included in "
            "routing configuration."
        )
    return alias


def _weights(request: Mapping[str, Any]) -> dict[str, float]:
    return dict(request.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}))


def _save(call: Call, target: Target, name: str, alias: Alias) -> lambda_.AliasConfiguration:
    row = target.found.row
    call.part(Functions).save(call.tx, row._replace(aliases={**row.aliases, name: alias}))
    return _shown(row.place, name, alias)


@lambda_.CreateAlias.writes(function, need("lambda:CreateAlias"))
def create_alias(call: Call, req: lambda_.CreateAliasRequest, target: Target) -> lambda_.AliasConfiguration:
    """Give a version a name; with RoutingConfig, a share of its invocations goes to another version."""
    name = req["Name"]
    if name in target.found.row.aliases:
        raise conflict(f"Alias already exists: {qualified(target.named.place, name)}")
    alias = Alias(req["FunctionVersion"], req.get("Description", ""), _weights(req), new_uuid())
    return _save(call, target, name, _checked(call, target, alias))


@lambda_.UpdateAlias.writes(function, need("lambda:UpdateAlias"))
def update_alias(call: Call, req: lambda_.UpdateAliasRequest, target: Target) -> lambda_.AliasConfiguration:
    """Let an alias mean another version; what is not given stays."""
    name = req["Name"]
    alias = _found(target, name)
    if req.get("RevisionId") not in (None, "", alias.revision):
        raise other_revision("Alias")
    changed = Alias(
        req.get("FunctionVersion", alias.version),
        req.get("Description", alias.description),
        _weights(req) if "RoutingConfig" in req else alias.routing,
        new_uuid(),
    )
    return _save(call, target, name, _checked(call, target, changed))


@lambda_.GetAlias.reads(function, need("lambda:GetAlias"))
def get_alias(call: Call, req: lambda_.GetAliasRequest, target: Target) -> lambda_.AliasConfiguration:
    """What an alias means."""
    return _shown(target.named.place, req["Name"], _found(target, req["Name"]))


@lambda_.DeleteAlias.writes(function, need("lambda:DeleteAlias"))
def delete_alias(call: Call, req: lambda_.DeleteAliasRequest, target: Target) -> lambda_.DeleteAliasResponse:
    """Take a name away, with its resource policy; one that is not there is no error."""
    row, name = target.found.row, req["Name"]
    kept = {each: alias for each, alias in row.aliases.items() if each != name}
    if len(kept) != len(row.aliases):
        drop_of_qualifier(call, row, name, aliases=kept)
    return {}


@lambda_.ListAliases.reads(function, need("lambda:ListAliases"))
def list_aliases(call: Call, req: lambda_.ListAliasesRequest, target: Target) -> lambda_.ListAliasesResponse:
    """A function's aliases by name, or those that mean a version; 50 at most a page."""
    row, count = target.found.row, size(req)
    after, version = begin("ListAliases", req), req.get("FunctionVersion")
    names = [
        name
        for name in sorted(row.aliases)
        if name > after
        and (version is None or version == row.aliases[name].version or version in row.aliases[name].routing)
    ]
    answer: lambda_.ListAliasesResponse = {
        "Aliases": [_shown(row.place, name, row.aliases[name]) for name in names[:count]]
    }
    if len(names) > count:
        answer["NextMarker"] = more("ListAliases", names[count - 1])
    return answer
