"""What EventBridge's operations act on, as policies see it, and how requests name it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.pass_role import PassedRole, passed_role
from casemate.gate.resource import Resource, Value
from casemate.services.events.buses import Bus, Buses
from casemate.services.events.refusals import absent, no_bus, no_rule
from casemate.services.events.store import (
    ARCHIVE,
    BUS,
    CONNECTION,
    DEFAULT,
    DESTINATION,
    REPLAY,
    RULE,
    Place,
    Thing,
    Things,
)
from casemate.store.database import Tx

SERVICE = "events.amazonaws.com"

_ARN = re.compile(
    r"arn:aws[\w-]*:events:([a-z0-9-]+):(\d{12}):(event-bus|rule|archive|replay)/(\S+)", re.ASCII
)


class EventsResource(Resource):
    """One of EventBridge's, or its place. thing: None where there is none; roles: those that the request passes to
    EventBridge; tagging: whether the request tags what it makes."""

    __slots__ = ("place", "roles", "tagging", "thing")

    def __init__(
        self, place: Place, thing: Thing | None, missing: AwsError | None = None, **more: Any
    ) -> None:
        arn = place.arn if thing is None else thing.arn
        super().__init__(arn, place.account, missing=None if thing else missing, **more)
        self.place = place
        self.thing = thing
        self.roles: list[PassedRole] = []
        self.tagging = False

    @property
    def found(self) -> Thing:
        """The row, once the caller was found to be allowed."""
        assert self.thing is not None
        return self.thing

    def tags(self) -> Mapping[str, str]:
        return {} if self.thing is None else self.thing.tags

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        if key.startswith("aws:requesttag/"):
            wanted = key.partition("/")[2]
            return next(
                (tag["Value"] for tag in request.get("Tags", ()) if tag["Key"].lower() == wanted), None
            )
        if key == "aws:tagkeys":
            return (*(tag["Key"] for tag in request.get("Tags", ())), *request.get("TagKeys", ())) or None
        return _condition(self, key, call, request)


def _condition(resource: EventsResource, key: str, call: Call, request: Mapping[str, Any]) -> Value:
    says = {} if resource.thing is None else resource.thing.says
    if key == "events:creatoraccount" and resource.place.kind == RULE:
        return str(says.get("created_by", call.identity.account)) or None
    if key == "events:managedby":
        return (managing_service(call) if resource.thing is None else says.get("managed_by")) or None
    if key == "events:targetarn":
        return tuple(target["Arn"] for target in request.get("Targets", ())) or None
    field = _OF_PATTERN.get(key)
    return None if field is None else _literals(request.get("EventPattern", ""), field)


# Condition keys of PutRule and the fields of the pattern that they are read from.
_OF_PATTERN: Mapping[str, Sequence[str]] = {
    "events:source": ("source",),
    "events:detail-type": ("detail-type",),
    "events:detail.service": ("detail", "service"),
    "events:detail.eventtypecode": ("detail", "eventTypeCode"),
    "events:detail.useridentity.principalid": ("detail", "userIdentity", "principalId"),
}


def _literals(pattern: str, path: Sequence[str]) -> Value:
    """The strings that a field of a pattern must be equal to; None when it need not be, or may be something else."""
    try:
        found = json.loads(pattern)
        for step in path:
            found = found[step]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        return None
    return tuple(found) or None


def managing_service(call: Call) -> str:
    """The service whose service-linked role calls, which manages the rules that it makes; '' of other callers."""
    principal = call.identity.principal
    if not principal.is_service_linked:
        return ""
    return principal.role_arn.split(":role/aws-service-role/", 1)[-1].partition("/")[0]


class NamedBus(EventsResource):
    """A bus. bus: with what is on it."""

    __slots__ = ("bus",)

    def __init__(self, place: Place, bus: Bus) -> None:
        super().__init__(
            place, bus.thing, no_bus(place.name), policy=bus.policy, type="AWS::Events::EventBus"
        )
        self.bus = bus


class NamedRule(EventsResource):
    """A rule, over which the policy of its bus is."""

    __slots__ = ()

    def __init__(self, place: Place, bus: Bus, thing: Thing | None, missing: AwsError | None) -> None:
        super().__init__(place, thing, missing, policy=bus.policy, type="AWS::Events::Rule")


def everything(call: Call, request: Mapping[str, Any]) -> Resource:
    """For operations on no particular resource: "*" in policies."""
    return Resource("*", call.account)


def bus_place(call: Call, name: str) -> Place:
    """Of a bus by its name, or its ARN, in any account, in the call's Region."""
    found = _ARN.fullmatch(name)
    if found is not None and found[3] == BUS:
        return Place(found[2], found[1], BUS, found[4])
    return Place(call.account, call.region, BUS, name)


def bus_at(call: Call, place: Place) -> Bus:
    """A bus: as the transaction sees it in a write, from memory otherwise. A bus of another Region is none."""
    if place.region != call.region:
        return Bus(None, None)
    buses, key = call.part(Buses), (place.account, place.region, place.name)
    return buses.load(call.tx, key) if call.mutable else buses.get(call.transaction, *key)


def bus_by(member: str) -> Callable[[Call, Mapping[str, Any]], NamedBus]:
    """The bus that a member of the request names, the default bus where it is left out."""

    def resolve(call: Call, request: Mapping[str, Any]) -> NamedBus:
        place = bus_place(call, request.get(member, DEFAULT))
        return NamedBus(place, bus_at(call, place))

    return resolve


named_bus = bus_by("Name")
permitting_bus = bus_by("EventBusName")


def new_bus(call: Call, request: Mapping[str, Any]) -> EventsResource:
    """The bus that is to be made, or is there already."""
    place = Place(call.account, call.region, BUS, request["Name"])
    bus = EventsResource(place, call.part(Things).find(call.tx, place), type="AWS::Events::EventBus")
    bus.tagging = bool(request.get("Tags"))
    return bus


def rule_by(member: str, *, new: bool = False) -> Callable[[Call, Mapping[str, Any]], NamedRule]:
    """The rule that a member names, on the bus that EventBusName names. new: there need be none yet."""

    def resolve(call: Call, request: Mapping[str, Any]) -> NamedRule:
        bus_at_place = bus_place(call, request.get("EventBusName", DEFAULT))
        bus = bus_at(call, bus_at_place)
        place = bus_at_place._replace(kind=RULE, name=f"{bus_at_place.name}/{request[member]}")
        thing = call.part(Things).find(call.tx, place) if bus.thing is not None else None
        missing = no_rule(request[member], bus_at_place.name)
        if bus.thing is None:
            missing = no_bus(bus_at_place.name)
        elif new:
            return NamedRule(place, bus, thing, None)
        return NamedRule(place, bus, thing, missing)

    return resolve


named_rule = rule_by("Name")
targeting_rule = rule_by("Rule")


def new_rule(call: Call, request: Mapping[str, Any]) -> NamedRule:
    """The rule that is to be made or changed, with the role that it is given."""
    rule = rule_by("Name", new=True)(call, request)
    rule.tagging = bool(request.get("Tags")) and rule.thing is None
    if "RoleArn" in request:
        rule.roles = [passed_role(call, request["RoleArn"], SERVICE, rule.arn)]
    return rule


def rule_with_targets(call: Call, request: Mapping[str, Any]) -> NamedRule:
    """The rule that is given targets, with their roles."""
    rule = targeting_rule(call, request)
    arns = dict.fromkeys(each["RoleArn"] for each in request["Targets"] if "RoleArn" in each)
    rule.roles = [passed_role(call, arn, SERVICE, rule.arn) for arn in arns]
    return rule


def _passed(at: int, target: EventsResource) -> PassedRole | None:
    return target.roles[at] if at < len(target.roles) else None


def passing(most: int) -> tuple[Need, ...]:
    """iam:PassRole on each of up to so many roles that a request passes."""
    return tuple(Need("iam:PassRole", partial(_passed, at)) for at in range(most))


def thing_by(kind: str, member: str, what: str) -> Callable[[Call, Mapping[str, Any]], EventsResource]:
    """An archive or a replay of the account by its name."""

    def resolve(call: Call, request: Mapping[str, Any]) -> EventsResource:
        name = request[member]
        place = Place(call.account, call.region, kind, name)
        thing = call.part(Things).find(call.tx, place)
        return EventsResource(place, thing, absent(f"{what} {name} does not exist."))

    return resolve


named_archive = thing_by(ARCHIVE, "ArchiveName", "Archive")
named_replay = thing_by(REPLAY, "ReplayName", "Replay")
named_connection = thing_by(CONNECTION, "Name", "Connection")
named_destination = thing_by(DESTINATION, "Name", "ApiDestination")

_CALLED = re.compile(
    r"arn:aws[\w-]*:events:([a-z0-9-]+):(\d{12}):(connection|api-destination)/([\w.-]{1,64})/([0-9A-Fa-f-]{36})",
    re.ASCII,
)


def called(tx: Tx, things: Things, arn: str) -> EventsResource | None:
    """The connection or API destination of an ARN, in any account; None for other ARNs."""
    found = _CALLED.fullmatch(arn)
    if found is None:
        return None
    place = Place(found[2], found[1], found[3], found[4])
    thing = things.find(tx, place)
    what = "Connection" if place.kind == CONNECTION else "ApiDestination"
    gone = absent(f"{what} {place.name} does not exist.")
    resource = EventsResource(place, thing if thing is not None and thing.arn == arn else None, gone)
    resource.arn = arn
    return resource


def place_of(arn: str) -> Place | None:
    """What an ARN of EventBridge's names; None for other ARNs."""
    found = _ARN.fullmatch(arn)
    if found is None:
        return None
    region, account, kind, name = found.groups()
    if kind == RULE and "/" not in name:
        name = f"{DEFAULT}/{name}"
    return Place(account, region, kind, name)


def tagged(call: Call, request: Mapping[str, Any]) -> EventsResource:
    """ResourceARN: a rule or a bus of the account."""
    arn = request["ResourceARN"]
    place = place_of(arn)
    missing = absent(f"Resource {arn} does not exist.")
    if place is None or place.kind not in (BUS, RULE) or place.region != call.region:
        # What it is that does not exist, nobody may but by name.
        return EventsResource(Place(call.account, call.region, BUS, arn.rpartition("/")[2]), None, missing)
    if place.kind == BUS:
        bus = NamedBus(place, bus_at(call, place))
        bus.missing = None if bus.thing else missing
        return bus
    bus_of = bus_at(call, place._replace(kind=BUS, name=place.bus))
    return NamedRule(place, bus_of, call.part(Things).find(call.tx, place), missing)
