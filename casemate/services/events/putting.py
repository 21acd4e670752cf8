"""PutEvents."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from casemate.api import events
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Value
from casemate.services.events.buses import Bus, Buses
from casemate.services.events.outbox import Outbox, Waiting, matched_apart, new_event
from casemate.services.events.refusals import invalid, not_served
from casemate.services.events.resources import NamedBus, bus_place
from casemate.services.events.store import DEFAULT, Place

LARGEST: Final = 1024 * 1024
"""Bytes of a request's entries. Source: "Calculating PutEvents event entry size"."""

_MOST: Final = 10
"""Entries of a request, by AWS's model."""

_DEEPEST: Final = 500
_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)

_REQUIRED: Final = ("Source", "DetailType", "Detail")


class PutOn(NamedBus):
    """A bus that an entry is put on. entry: the first of those that are alike to policies."""

    __slots__ = ("entry",)
    entry: Mapping[str, Any]

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        if key == "events:source":
            return (self.entry["Source"],) if self.entry.get("Source") else None
        if key == "events:detail-type":
            return (self.entry["DetailType"],) if self.entry.get("DetailType") else None
        return "false" if key == "events:eventbusinvocation" else super().condition(key, call, request)


class Puts(NamedTuple):
    """buses: of each entry its own; distinct: those that are to be decided on."""

    buses: tuple[Bus, ...]
    places: tuple[Place, ...]
    distinct: tuple[PutOn, ...]


def _puts(call: Call, request: Mapping[str, Any]) -> Puts:
    buses: dict[Place, Bus] = {}
    distinct: dict[tuple[Any, ...], PutOn] = {}
    places: list[Place] = []
    for entry in request["Entries"]:
        place = bus_place(call, entry.get("EventBusName", DEFAULT))
        if place not in buses:
            buses[place] = _bus(call, place)
        places.append(place)
        key = (place, entry.get("Source"), entry.get("DetailType"))
        if key not in distinct:
            made = distinct[key] = PutOn(place, buses[place])
            made.entry = entry
            # As AWS does it: an event for a bus that does not exist is taken, and nobody wants it.
            made.missing = None
    return Puts(tuple(buses[place] for place in places), tuple(places), tuple(distinct.values()))


def _bus(call: Call, place: Place) -> Bus:
    """A bus as the transaction sees it, from memory where nothing of it has changed."""
    if place.region != call.region:
        return Bus(None, None)
    return call.part(Buses).settled(call.tx, place.account, place.region, place.name)


def _put_on(at: int, target: Puts) -> PutOn | None:
    return target.distinct[at] if at < len(target.distinct) else None


@events.PutEvents.writes(
    _puts, *(Need("events:PutEvents", partial(_put_on, at)) for at in range(_MOST)), read_only=False
)
def put_events(call: Call, req: events.PutEventsRequest, target: Puts) -> events.PutEventsResponse:
    """Put up to ten events on buses, for the rules that they match; what is wrong with one leaves the others."""
    if "EndpointId" in req:
        raise not_served("Global endpoints are")
    entries = req["Entries"]
    if sum(_size(entry) for entry in entries) > LARGEST:
        raise invalid("Total size of the entries in the request is over the limit.")
    outbox = call.part(Outbox)
    answers: list[events.PutEventsResultEntry] = []
    failed = 0
    for at, (given, place, bus) in enumerate(zip(entries, target.places, target.buses, strict=True)):
        entry: Mapping[str, Any] = given
        detail, wrong = _checked(entry)
        if wrong is not None:
            answers.append(wrong)
            failed += 1
            continue
        event, wanted = matched_apart(
            call, bus, str(at), len(entry.get("Detail", "")), partial(_event, call, entry, detail)
        )
        answers.append({"EventId": event["id"]})
        waiting = Waiting(place.account, place.region, place.name, event)
        outbox.put(call.tx, bus, waiting, wanted)
    return {"FailedEntryCount": failed, "Entries": answers}


def _event(call: Call, entry: Mapping[str, Any], detail: Mapping[str, Any]) -> dict[str, Any]:
    return new_event(
        source=str(entry.get("Source")),
        detail_type=str(entry.get("DetailType")),
        detail=detail,
        account=call.account,
        region=call.region,
        moment=_moment(entry, call.now),
        resources=entry.get("Resources", ()),
    )


def _moment(entry: Mapping[str, Any], now: float) -> float:
    moment = entry.get("Time")
    return now if moment is None else float(moment.timestamp())


def _size(entry: Mapping[str, Any]) -> int:
    texts = (
        entry.get("Source", ""),
        entry.get("DetailType", ""),
        entry.get("Detail", ""),
        *entry.get("Resources", ()),
    )
    return sum(len(text.encode()) for text in texts) + (14 if "Time" in entry else 0)


def _checked(entry: Mapping[str, Any]) -> tuple[dict[str, Any], events.PutEventsResultEntry | None]:
    """The detail, and the answer where the entry cannot be taken."""
    for name in _REQUIRED:
        if not entry.get(name):
            reason = f"Parameter {name} is not valid. Reason: {name} is a required argument."
            return {}, {"ErrorCode": "InvalidArgument", "ErrorMessage": reason}
    if entry["Source"].startswith("aws."):
        return {}, {
            "ErrorCode": "NotAuthorizedForSourceException",
            "ErrorMessage": "Not authorized for the source.",
        }
    try:
        detail = json.loads(entry["Detail"], parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        detail = None
    if detail is not None and _too_deep(entry["Detail"]):
        detail = None
    if not isinstance(detail, dict):
        return {}, {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    return detail, None


def _refuse(name: str) -> None:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


def _too_deep(text: str) -> bool:
    """Whether JSON's objects and arrays are nested deeper than what reads it again can be sure to follow."""
    if text.count("{") + text.count("[") <= _DEEPEST:
        return False
    depth = 0
    for bracket in _BRACKETS.findall(text):
        depth += 1 if bracket in "{[" else -1 if bracket in "}]" else 0
        if depth > _DEEPEST:
            return True
    return False
