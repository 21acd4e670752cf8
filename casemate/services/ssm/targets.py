"""What a request acts on: one resolver for each way in which Parameter Store's operations name it.

A parameter that does not exist is one without tags and policies, with the error that a caller gets who would be
allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.regions import partition_of
from casemate.gate.resource import Resource, Value
from casemate.services.ssm.naming import (
    SECRETS,
    SERVICE,
    Named,
    Place,
    any_name,
    hierarchy,
    own_name,
    parameter_arn,
)
from casemate.services.ssm.parameter import TYPE, Parameter, condition
from casemate.services.ssm.parameters import Parameters
from casemate.services.ssm.public import public_arn
from casemate.services.ssm.refusals import no_parameter


class Absent(Resource):
    """What a name means that is no parameter of the server's: one that does not exist, a public one, a reference to a
    secret, a hierarchy."""

    __slots__ = ()

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        return condition(key, call, request, {})


class Target(NamedTuple):
    """What a name means. resource: what the caller must be allowed on; parameter: None where there is none; tagging:
    the resource again, where the request makes it with tags."""

    named: Named
    resource: Resource
    parameter: Parameter | None
    tagging: Resource | None = None

    @property
    def found(self) -> Parameter:
        """The parameter, of an operation that the gate ends where there is none."""
        assert self.parameter is not None
        return self.parameter


def resource(target: Target) -> Resource:
    return target.resource


def need(action: str) -> Need:
    """The permission on the parameter that a Target stands for."""
    return Need(action, resource)


def _target(call: Call, named: Named, missing: AwsError | None) -> Target:
    place = named.place
    if named.name.startswith(SECRETS):
        arn = parameter_arn(call.account, call.region, place.path)
        return Target(named, Absent(arn, call.account), None)
    if place.path.startswith(SERVICE):
        return Target(named, Absent(public_arn(call.region, place.path), call.account), None)
    parameter = call.part(Parameters).find(call, place)
    if parameter is None:
        return Target(named, Absent(place.arn, place.account, type=TYPE, missing=missing), None)
    return Target(named, parameter, parameter)


def readable(call: Call, request: Mapping[str, Any]) -> Target:
    """Name, or an ARN, of whatever account; with a selector."""
    named = any_name(request["Name"], call.account, call.region)
    return _target(call, named, no_parameter(named.name))


def with_history(call: Call, request: Mapping[str, Any]) -> Target:
    """Name or ARN, without a selector. What is not the server's own has no history."""
    named = any_name(request["Name"], call.account, call.region)
    target = _target(call, named, no_parameter(named.name))
    if target.parameter is None:
        target.resource.missing = no_parameter(named.name)
    return target


def all_readable(call: Call, request: Mapping[str, Any]) -> tuple[Target, ...]:
    """Names, each as ``readable``; one that does not exist is no error."""
    return tuple(
        _target(call, any_name(name, call.account, call.region), None)
        for name in dict.fromkeys(request["Names"])
    )


def own(call: Call, request: Mapping[str, Any]) -> Target:
    """Name, of a parameter of the account that must be there."""
    named = own_name(request["Name"], call.account, call.region)
    return _own(call, named, no_parameter(named.name))


def all_own(call: Call, request: Mapping[str, Any]) -> tuple[Target, ...]:
    """Names, of the account; one that does not exist is no error."""
    return tuple(
        _own(call, own_name(name, call.account, call.region), None)
        for name in dict.fromkeys(request["Names"])
    )


def put_target(call: Call, request: Mapping[str, Any]) -> Target:
    """Name, of a parameter that may be there already."""
    target = _own(call, own_name(request["Name"], call.account, call.region), None)
    return target._replace(tagging=target.resource) if request.get("Tags") else target


def tagged(call: Call, request: Mapping[str, Any]) -> Target:
    """ResourceType and ResourceId, the name of a parameter of the account. Raises InvalidResourceType for Systems
    Manager's other resources, of which this server has none."""
    if request["ResourceType"] != "Parameter":
        raise AwsError("InvalidResourceType", "The resource type isn't valid.")
    missing = AwsError(
        "InvalidResourceId", "The resource ID isn't valid. Verify that you entered the correct ID."
    )
    try:
        named = own_name(request["ResourceId"], call.account, call.region)
    except AwsError:
        raise missing from None
    return _own(call, named, missing)


def _own(call: Call, named: Named, missing: AwsError | None) -> Target:
    parameter = call.part(Parameters).find(call, named.place)
    if parameter is None:
        return Target(named, Absent(named.place.arn, call.account, type=TYPE, missing=missing), None)
    return Target(named, parameter, parameter)


class Hierarchy(Absent):
    """What is below a path."""

    __slots__ = ("path",)

    def __init__(self, path: str, arn: str, account: str) -> None:
        super().__init__(arn, account)
        self.path = path


def by_path(call: Call, request: Mapping[str, Any]) -> Hierarchy:
    """Path: policies name it as they would name a parameter of that name. Source: "Restricting access to Parameter
    Store parameters using IAM policies"."""
    path = hierarchy(request["Path"])
    if f"{path}/".startswith(SERVICE):
        return Hierarchy(path, public_arn(call.region, path), call.account)
    return Hierarchy(path, Place(call.account, call.region, path).arn, call.account)


def account_wide(call: Call, request: Mapping[str, Any]) -> Absent:
    """DescribeParameters': "*" in policies."""
    return Absent("*", call.account)


# GetParameters and DeleteParameters take ten names at most (the codec sees to it), and need to be allowed all of
# them.
_MOST_NAMES = 10


def needs_of_all(action: str) -> tuple[Need, ...]:
    """The permission on each of several targets."""

    def nth(number: int) -> Need:
        return Need(action, lambda targets: targets[number].resource if number < len(targets) else None)

    return tuple(nth(number) for number in range(_MOST_NAMES))


class ServiceSetting(Absent):
    """A service setting. id: "/ssm/parameter-store/..."."""

    __slots__ = ("id",)

    def __init__(self, id: str, arn: str, account: str, missing: AwsError | None) -> None:  # noqa: A002 - AWS's name
        super().__init__(arn, account, missing=missing)
        self.id = id


def setting_arn(account: str, region: str, name: str) -> str:
    return f"arn:{partition_of(region)}:ssm:{region}:{account}:servicesetting{name}"
