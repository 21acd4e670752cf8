"""CreateEventBus, UpdateEventBus, DeleteEventBus, DescribeEventBus, ListEventBuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from casemate.api import events
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Resource
from casemate.services.events.buses import Buses, default_bus
from casemate.services.events.pages import Page, moment
from casemate.services.events.permissions import shown_policy
from casemate.services.events.quotas import BUSES
from casemate.services.events.refusals import exists, invalid, not_served, too_many
from casemate.services.events.resources import EventsResource, NamedBus, everything, named_bus, new_bus
from casemate.services.events.store import ARCHIVE, BUS, DEFAULT, RULE, Thing, Things
from casemate.services.events.tag_rules import checked_tags, when_tagged


def _check_served(req: Mapping[str, Any]) -> None:
    """Raises NotImplemented for what would be stored and not honoured."""
    if "EventSourceName" in req:
        raise not_served("Partner event sources are")
    if req.get("KmsKeyIdentifier"):
        raise not_served("Customer managed keys of event buses are")
    if req.get("DeadLetterConfig", {}).get("Arn"):
        raise not_served("Dead-letter queues of event buses, which customer managed keys are for, are")
    if req.get("LogConfig", {}).get("Level", "OFF") != "OFF":
        raise not_served("Logs of event buses are")


@events.CreateEventBus.writes(new_bus, Need("events:CreateEventBus"), Need("events:TagResource", when_tagged))
def create_event_bus(
    call: Call, req: events.CreateEventBusRequest, target: EventsResource
) -> events.CreateEventBusResponse:
    """A bus for events of one's own."""
    name = req["Name"]
    _check_served(req)
    if "/" in name:
        raise invalid("Event bus name must not contain '/'.")
    if name == DEFAULT or target.thing is not None:
        raise exists(f"Event bus {name}")
    things = call.part(Things)
    if things.count(call.tx, call.account, call.region, BUS) >= call.limit(BUSES):
        raise too_many()
    says: dict[str, Any] = {"tags": checked_tags(req.get("Tags", ())), "changed": call.now}
    if "Description" in req:
        says["description"] = req["Description"]
    things.save(call.tx, Thing(target.place, call.now, says))
    response: events.CreateEventBusResponse = {"EventBusArn": target.arn}
    if "Description" in req:
        response["Description"] = req["Description"]
    return response


@events.UpdateEventBus.writes(named_bus)
def update_event_bus(
    call: Call, req: events.UpdateEventBusRequest, target: NamedBus
) -> events.UpdateEventBusResponse:
    """Another description."""
    _check_served(req)
    says = {**target.found.says, "changed": call.now}
    if "Description" in req:
        says["description"] = req["Description"]
    call.part(Things).save(call.tx, target.found._replace(says=says))
    response: dict[str, Any] = {"Arn": target.arn, "Name": target.place.name}
    if says.get("description"):
        response["Description"] = says["description"]
    return cast("events.UpdateEventBusResponse", response)


def _deletable_bus(call: Call, request: Mapping[str, Any]) -> NamedBus:
    """A bus that is to be gone: of one that is gone already there is nothing to refuse."""
    target = named_bus(call, request)
    target.missing = None
    return target


@events.DeleteEventBus.writes(_deletable_bus)
def delete_event_bus(
    call: Call, req: events.DeleteEventBusRequest, target: NamedBus
) -> events.DeleteEventBusResponse:
    """Delete a bus without rules and archives; one that does not exist is deleted already."""
    place = target.place
    if place.name == DEFAULT:
        raise invalid("Cannot delete event bus default.")
    if target.thing is None:
        return {}
    things = call.part(Things)
    if things.count(call.tx, place.account, place.region, RULE, f"{place.name}/"):
        raise invalid("Event bus can't be deleted since it has rules.")
    archives = things.page(call.tx, place.account, place.region, ARCHIVE)
    if any(each.says["bus"] == target.arn for each in archives):
        raise invalid("Event bus can't be deleted since it has archives.")
    things.remove(call.tx, place)
    return {}


def _shape(call: Call, bus: Thing) -> dict[str, Any]:
    says = bus.says
    shape: dict[str, Any] = {"Name": bus.place.name, "Arn": bus.arn}
    if says.get("description"):
        shape["Description"] = says["description"]
    if says.get("policy"):
        shape["Policy"] = shown_policy(call, says)
    if bus.created:
        shape |= {"CreationTime": moment(bus.created), "LastModifiedTime": moment(says["changed"])}
    return shape


@events.DescribeEventBus.reads(named_bus)
def describe_event_bus(
    call: Call, req: events.DescribeEventBusRequest, target: NamedBus
) -> events.DescribeEventBusResponse:
    """A bus with its policy; the default bus unless another is named."""
    return cast("events.DescribeEventBusResponse", _shape(call, target.found))


@events.ListEventBuses.reads(everything)
def list_event_buses(
    call: Call, req: events.ListEventBusesRequest, target: Resource
) -> events.ListEventBusesResponse:
    """The account's buses by name, the default bus among them."""
    page = Page("ListEventBuses", req)
    prefix = req.get("NamePrefix", "")
    found = call.part(Buses).things.page(
        call.tx, call.account, call.region, BUS, prefix=prefix, after=page.after, limit=page.limit + 1
    )
    if (
        DEFAULT.startswith(prefix)
        and page.after < DEFAULT
        and all(each.place.name != DEFAULT for each in found)
    ):
        found = sorted([*found, default_bus(call.account, call.region)], key=_name)
    buses, more = page.cut(found, _name)
    return cast("events.ListEventBusesResponse", {"EventBuses": [_shape(call, bus) for bus in buses], **more})


def _name(thing: Thing) -> str:
    return thing.place.name
