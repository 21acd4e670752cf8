"""What a request acts on: one resolver for each way in which CloudWatch Logs' operations name it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.gate.resource import Resource
from casemate.services.logs.groups import AccountWide, Group, GroupRow, Groups
from casemate.services.logs.naming import group_arn, read_arn, read_identifier
from casemate.services.logs.policy_store import Policies
from casemate.services.logs.refusals import invalid, no_group

if TYPE_CHECKING:
    from casemate.gate.call import Call


def group_named(call: Call, account: str, name: str, stream: str = "", *, for_tags: bool = False) -> Group:
    """An account's group of that name, in the call's Region."""
    place = (account, call.region, name)
    row = call.part(Groups).find(call, place)
    policy = call.part(Policies).of(call, account, call.region)
    if row is None:
        absent = GroupRow(*place, "", 0, {})
        return Group(absent, stream, for_tags=for_tags, policy=policy, missing=no_group())
    return Group(row, stream, for_tags=for_tags, policy=policy)


def named_group(call: Call, request: Mapping[str, Any]) -> Group:
    """logGroupName, of the caller's account."""
    return group_named(call, call.account, request["logGroupName"])


def named_or_all_groups(call: Call, request: Mapping[str, Any]) -> Group | AccountWide:
    """logGroupName or, without one, all groups of the caller's account."""
    return named_group(call, request) if "logGroupName" in request else account_wide(call, request)


def named_stream(call: Call, request: Mapping[str, Any]) -> Group:
    """logGroupName, as policies see its stream logStreamName."""
    return group_named(call, call.account, request["logGroupName"], request["logStreamName"])


class NewGroup(Group):
    """A group that is to be made. tagged: the same as policies see it that let tags be given, None where none are."""

    __slots__ = ("tagged",)

    def __init__(self, row: GroupRow, *, with_tags: bool) -> None:
        super().__init__(row)
        self.tagged = Group(row, for_tags=True) if with_tags else None


def new_group(call: Call, request: Mapping[str, Any]) -> NewGroup:
    """A group of logGroupName that need not be there."""
    row = GroupRow(call.account, call.region, request["logGroupName"], "", 0, {})
    return NewGroup(row, with_tags=bool(request.get("tags")))


def identified_group(call: Call, request: Mapping[str, Any]) -> Group:
    """logGroupName or logGroupIdentifier; not both."""
    return _identified(call, request, "")


def identified_stream(call: Call, request: Mapping[str, Any]) -> Group:
    """The same, as policies see its stream logStreamName."""
    return _identified(call, request, request["logStreamName"])


def _identified(call: Call, request: Mapping[str, Any], stream: str) -> Group:
    name, identifier = request.get("logGroupName"), request.get("logGroupIdentifier")
    if (name is None) == (identifier is None):
        raise invalid("Exactly one of logGroupName and logGroupIdentifier must be specified.")
    if identifier is None:
        return group_named(call, call.account, str(name), stream)
    account, name = read_identifier(identifier, call.account, call.region)
    return group_named(call, account, name, stream)


def associated_group(call: Call, request: Mapping[str, Any]) -> Group:
    """logGroupName, or resourceIdentifier, the ARN of a log group. Those of query results are not served."""
    name, identifier = request.get("logGroupName"), request.get("resourceIdentifier")
    if (name is None) == (identifier is None):
        raise invalid("Exactly one of logGroupName and resourceIdentifier must be specified.")
    if identifier is None:
        return group_named(call, call.account, str(name))
    found = read_arn(identifier)
    if found is None or found[:2] != (call.region, call.account):
        raise invalid(f"Invalid resourceIdentifier: {identifier}")
    return group_named(call, call.account, found[2])


def tagged_group(call: Call, request: Mapping[str, Any]) -> Group:
    """resourceArn, of a log group of the caller's account and Region."""
    found = read_arn(request["resourceArn"])
    if found is None:
        raise invalid(f"Invalid resourceArn: {request['resourceArn']}")
    region, account, name = found
    if (region, account) != (call.region, call.account):
        row = GroupRow(account, region, name, "", 0, {})
        return Group(row, for_tags=True, missing=no_group())
    return group_named(call, account, name, for_tags=True)


def group_for_tags(call: Call, request: Mapping[str, Any]) -> Group:
    """logGroupName, of the operations on tags that came before those by ARN."""
    return group_named(call, call.account, request["logGroupName"], for_tags=True)


def anywhere(call: Call, request: Mapping[str, Any]) -> Resource:
    """The caller's account, for actions that policies allow on "*" only."""
    return Resource("*", call.account)


def account_wide(call: Call, request: Mapping[str, Any]) -> AccountWide:
    """All groups of the caller's account."""
    return AccountWide(call.account, call.region)


def wildcard_arn(group: GroupRow) -> str:
    """A group's ARN as most of the APIs show it."""
    return group_arn(*group.place) + ":*"
