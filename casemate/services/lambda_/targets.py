"""What a request acts on: one resolver for each way in which Lambda's operations name it.

A function that does not exist is one without tags and policies, with the error that a caller gets who would be
allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.pass_role import PassedRole, passed_role
from casemate.gate.resource import Resource, Value
from casemate.services.lambda_.function import Entry, Function, condition
from casemate.services.lambda_.functions import Functions
from casemate.services.lambda_.naming import LATEST, SERVICE, Named, named, not_found
from casemate.services.lambda_.refusals import invalid
from casemate.services.lambda_.rows import Alias, Version


class Target(NamedTuple):
    """What a name means. resource: what the caller must be allowed on; entry: None where there is no such function;
    version: the one that the qualifier means, an alias' main one; role: that the request passes, None for none;
    tagging: the resource again, where the request makes it with tags."""

    named: Named
    resource: Function
    entry: Entry | None
    version: Version | None
    role: PassedRole | None = None
    tagging: Function | None = None

    @property
    def found(self) -> Entry:
        """The function, of an operation that the gate ends where there is none."""
        assert self.entry is not None
        return self.entry

    @property
    def meant(self) -> Version:
        """The version, of an operation that the gate ends where there is none."""
        assert self.version is not None
        return self.version

    @property
    def alias(self) -> Alias | None:
        """The alias that the qualifier is."""
        return None if self.entry is None else self.entry.row.aliases.get(self.named.qualifier)


def need(action: str) -> Need:
    """The permission on the function that a Target stands for."""
    return Need(action, lambda target: target.resource)


TAGGING = Need("lambda:TagResource", lambda target: target.tagging)
PASS_ROLE = Need("iam:PassRole", lambda target: target.role)


def _target(call: Call, what: Named, missing: AwsError | None) -> Target:
    functions, place, qualifier = call.part(Functions), what.place, what.qualifier
    entry = functions.find(call, place)
    if entry is not None:
        version = version_of(call, entry, qualifier)
        if version is not None:
            return Target(what, entry.at(qualifier), entry, version)
    # Of a function that is there, tags decide about versions that are not.
    tags = {} if entry is None else entry.row.tags
    return Target(what, Function(place, qualifier, None, tags, missing), entry, None)


def version_of(call: Call, entry: Entry, qualifier: str) -> Version | None:
    """The version that a qualifier means, an alias' main one; None when there is none."""
    if qualifier in ("", LATEST):
        return entry.latest
    alias = entry.row.aliases.get(qualifier)
    name = qualifier if alias is None else alias.version
    if name == LATEST:
        return entry.latest
    if not re.fullmatch(r"[1-9][0-9]{0,14}", name):
        return None
    return call.part(Functions).find_version(call, entry, int(name))


def qualified_function(call: Call, request: Mapping[str, Any]) -> Target:
    """FunctionName and Qualifier, of whatever account."""
    what = named(call, request["FunctionName"], request.get("Qualifier", ""))
    return _target(call, what, not_found(what.arn))


def function(call: Call, request: Mapping[str, Any]) -> Target:
    """FunctionName, which must have no qualifier but $LATEST."""
    what = named(call, request["FunctionName"])
    if what.qualifier not in ("", LATEST):
        raise invalid("This operation does not permit a qualifier on the function name.")
    what = what._replace(qualifier="")
    return _target(call, what, not_found(what.arn))


def reconfigured(call: Call, request: Mapping[str, Any]) -> Target:
    """The function whose configuration is changed, with the role that it gets."""
    target = function(call, request)
    role = request.get("Role")
    if role is None or target.entry is None or target.entry.latest.settings["Role"] == role:
        return target
    return target._replace(role=passed_role(call, role, SERVICE, target.named.place.arn))


def new_function(call: Call, request: Mapping[str, Any]) -> Target:
    """The function that is to be made, with the role that it gets."""
    what = named(call, request["FunctionName"])
    if what.qualifier or what.place.account != call.account:
        raise invalid("A function is made in the caller's account, under a name without a qualifier.")
    entry = call.part(Functions).find(call, what.place)
    resource = Function(what.place, "", None, request.get("Tags", {}), None)
    role = passed_role(call, request["Role"], SERVICE, what.place.arn)
    return Target(what, resource, entry, None, role, resource if request.get("Tags") else None)


def by_arn(call: Call, request: Mapping[str, Any]) -> Target:
    """Resource, the ARN of a function. Raises InvalidParameterValueException for others, of which there are none."""
    text: str = request["Resource"]
    if not text.startswith("arn:") or ":function:" not in text:
        raise invalid(f"Invalid resource: {text}")
    what = named(call, text)
    if what.qualifier:
        raise invalid(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return _target(call, what, not_found(what.arn))


class Everything(Resource):
    """ "*", as of ListFunctions."""

    __slots__ = ()

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        return condition(key, call, request)


def account_wide(call: Call, request: Mapping[str, Any]) -> Everything:
    """ListFunctions': "*" in policies."""
    return Everything("*", call.account)
