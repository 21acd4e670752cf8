"""API destinations: CreateApiDestination, UpdateApiDestination, DeleteApiDestination, DescribeApiDestination,
ListApiDestinations. Source: "API destinations as targets in Amazon EventBridge"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from casemate.api import events
from casemate.engine.egress.hosts import Hosts
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.random_ids import new_uuid
from casemate.gate.resource import Resource
from casemate.services.events.http_requests import wrong_endpoint
from casemate.services.events.pages import Page, moment
from casemate.services.events.quotas import DESTINATIONS
from casemate.services.events.refusals import exists, invalid, too_many
from casemate.services.events.resources import EventsResource, called, everything, named_destination
from casemate.services.events.store import CONNECTION, DESTINATION, Place, Thing, Things

_RATE: Final = 300
"""Invocations a second, unless another number is given."""


class WithConnection(EventsResource):
    """An API destination and the connection that the request gives it. connection: None where it gives none."""

    __slots__ = ("connection",)
    connection: EventsResource | None


def _with_connection(call: Call, request: Mapping[str, Any], *, new: bool) -> WithConnection:
    things, place = call.part(Things), Place(call.account, call.region, DESTINATION, request["Name"])
    named = None if new else named_destination(call, request).missing
    target = WithConnection(place, things.find(call.tx, place), named)
    target.connection = None
    if "ConnectionArn" in request:
        found = called(call.tx, things, request["ConnectionArn"])
        target.connection = found if found is not None and found.place.kind == CONNECTION else None
    return target


def _new(call: Call, request: Mapping[str, Any]) -> WithConnection:
    return _with_connection(call, request, new=True)


def _changed(call: Call, request: Mapping[str, Any]) -> WithConnection:
    return _with_connection(call, request, new=False)


@events.CreateApiDestination.writes(
    _new,
    Need("events:CreateApiDestination"),
    Need("events:CreateApiDestination", lambda target: target.connection),
)
def create_api_destination(
    call: Call, req: events.CreateApiDestinationRequest, target: WithConnection
) -> events.CreateApiDestinationResponse:
    """An HTTP endpoint that rules may have as their target."""
    if target.thing is not None:
        raise exists(f"ApiDestination {req['Name']}")
    things = call.part(Things)
    if things.count(call.tx, call.account, call.region, DESTINATION) >= call.limit(DESTINATIONS):
        raise too_many()
    says: dict[str, Any] = {
        "unique": new_uuid(),
        "description": req.get("Description", ""),
        "connection": req["ConnectionArn"],
        "endpoint": req["InvocationEndpoint"],
        "method": req["HttpMethod"],
        "rate": req.get("InvocationRateLimitPerSecond", _RATE),
        "changed": call.now,
    }
    _check(call, target, says["endpoint"], connected=True)
    destination = Thing(target.place, call.now, says)
    things.save(call.tx, destination)
    return cast("events.CreateApiDestinationResponse", _state(call, destination))


def _check(call: Call, target: WithConnection, endpoint: str, *, connected: bool) -> None:
    """Raises ValidationException. connected: whether a connection is given."""
    connection = target.connection
    place = target.place
    if connected and (
        connection is None
        or (connection.place.account, connection.place.region) != (place.account, place.region)
    ):
        raise invalid(
            "Parameter ConnectionArn is not valid. Reason: it is no connection of this account and Region."
        )
    wrong = wrong_endpoint(endpoint, call.part(Hosts))
    if wrong:
        raise invalid(f"Parameter InvocationEndpoint is not valid. Reason: {wrong}.")


def _state(call: Call, destination: Thing) -> dict[str, Any]:
    says = destination.says
    connection = called(call.tx, call.part(Things), says["connection"])
    authorised = (
        connection is not None
        and connection.thing is not None
        and connection.thing.says["state"] == "AUTHORIZED"
    )
    return {
        "ApiDestinationArn": destination.arn,
        "ApiDestinationState": "ACTIVE" if authorised else "INACTIVE",
        "CreationTime": moment(destination.created),
        "LastModifiedTime": moment(says["changed"]),
    }


@events.UpdateApiDestination.writes(
    _changed,
    Need("events:UpdateApiDestination"),
    Need("events:UpdateApiDestination", lambda target: target.connection),
)
def update_api_destination(
    call: Call, req: events.UpdateApiDestinationRequest, target: WithConnection
) -> events.UpdateApiDestinationResponse:
    """Change what is given."""
    says: dict[str, Any] = {**target.found.says, "changed": call.now}
    for member, name in (
        ("Description", "description"),
        ("ConnectionArn", "connection"),
        ("InvocationEndpoint", "endpoint"),
        ("HttpMethod", "method"),
        ("InvocationRateLimitPerSecond", "rate"),
    ):
        if member in req:
            says[name] = req[member]  # type: ignore[literal-required]
    _check(call, target, says["endpoint"], connected="ConnectionArn" in req)
    destination = target.found._replace(says=says)
    call.part(Things).save(call.tx, destination)
    return cast("events.UpdateApiDestinationResponse", _state(call, destination))


@events.DeleteApiDestination.writes(named_destination)
def delete_api_destination(
    call: Call, req: events.DeleteApiDestinationRequest, target: EventsResource
) -> events.DeleteApiDestinationResponse:
    """Delete an API destination; rules that have it as their target find none."""
    call.part(Things).remove(call.tx, target.place)
    call.tx.run("DELETE FROM events_paces WHERE owner = ? AND name = ?", (target.account, target.arn))
    return {}


def _shape(call: Call, destination: Thing) -> dict[str, Any]:
    says = destination.says
    return {
        **_state(call, destination),
        "Name": destination.place.name,
        "ConnectionArn": says["connection"],
        "InvocationEndpoint": says["endpoint"],
        "HttpMethod": says["method"],
        "InvocationRateLimitPerSecond": says["rate"],
    }


@events.DescribeApiDestination.reads(named_destination)
def describe_api_destination(
    call: Call, req: events.DescribeApiDestinationRequest, target: EventsResource
) -> events.DescribeApiDestinationResponse:
    """An API destination."""
    shape = _shape(call, target.found)
    if target.found.says["description"]:
        shape["Description"] = target.found.says["description"]
    return cast("events.DescribeApiDestinationResponse", shape)


@events.ListApiDestinations.reads(everything)
def list_api_destinations(
    call: Call, req: events.ListApiDestinationsRequest, target: Resource
) -> events.ListApiDestinationsResponse:
    """The account's API destinations by name, of a connection or of all."""
    page = Page("ListApiDestinations", req)
    wanted = req.get("ConnectionArn")
    found = [
        each
        for each in call.part(Things).page(
            call.tx,
            call.account,
            call.region,
            DESTINATION,
            prefix=req.get("NamePrefix", ""),
            after=page.after,
        )
        if wanted is None or each.says["connection"] == wanted
    ]
    destinations, more = page.cut(found, lambda each: each.place.name)
    shapes = [_shape(call, each) for each in destinations]
    return cast("events.ListApiDestinationsResponse", {"ApiDestinations": shapes, **more})
