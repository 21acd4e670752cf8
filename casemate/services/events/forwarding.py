"""Events from bus to bus: PutEvents by a rule, which passes the event on as it is.

The operation is PutEvents to policies and to the audit; what the event was (its id, source and account) stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Operation
from casemate.gate.resource import Value
from casemate.services.events.buses import Buses
from casemate.services.events.outbox import Outbox, Waiting, matched_apart
from casemate.services.events.refusals import no_bus
from casemate.services.events.resources import NamedBus, bus_place

MOST_HOPS = 5
"""So many buses at most does an event go over within an account; to a third account none does."""

FORWARD: Operation[Any, Any] = Operation("events", "PutEvents")
"""Asked by rules only: it is no operation of the API's, and no request is routed to it."""


class _Receiving(NamedBus):
    __slots__ = ()

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        (entry,) = request["Entries"]
        if key == "events:source":
            return (entry["Source"],)
        if key == "events:detail-type":
            return (entry["DetailType"],)
        return "true" if key == "events:eventbusinvocation" else super().condition(key, call, request)


def _receiving(call: Call, request: Mapping[str, Any]) -> NamedBus:
    (entry,) = request["Entries"]
    place = bus_place(call, entry["EventBusName"])
    # By its own Region, which may be another one.
    return _Receiving(place, call.part(Buses).get(call.tx, place.account, place.region, place.name))


@FORWARD.writes(_receiving)
def forward(call: Call, req: Mapping[str, Any], target: NamedBus) -> Mapping[str, Any]:
    """Put the event of a rule on another bus."""
    (entry,) = req["Entries"]
    event, hops = json.loads(entry["Detail"]), int(entry["TraceHeader"])
    bus = target.bus
    if target.thing is None:
        raise no_bus(target.place.name)
    foreign = event["account"] not in (call.account, target.account)
    if hops > MOST_HOPS or foreign:
        raise AwsError("ThirdAccountHopDetected", "The event came over too many buses.")
    place = target.place
    event, wanted = matched_apart(call, bus, place.arn, len(entry["Detail"]), lambda: dict(event))
    waiting = Waiting(place.account, place.region, place.name, event, hops=hops)
    call.part(Outbox).put(call.tx, bus, waiting, wanted)
    return {"FailedEntryCount": 0, "Entries": [{"EventId": event["id"]}]}
