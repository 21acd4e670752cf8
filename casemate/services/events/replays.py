"""StartReplay, CancelReplay, DescribeReplay, ListReplays: archived events once more, by a background job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from casemate.api import events
from casemate.clock import Clock
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Resource
from casemate.services.events.archives import one_filter
from casemate.services.events.outbox import Outbox, Waiting
from casemate.services.events.pages import Page, moment
from casemate.services.events.quotas import REPLAYS
from casemate.services.events.refusals import exists, invalid, too_many
from casemate.services.events.resources import (
    EventsResource,
    NamedBus,
    bus_at,
    everything,
    named_replay,
    place_of,
)
from casemate.services.events.store import ARCHIVE, BUS, REPLAY, RULE, Place, Thing, Things
from casemate.store.database import Store, Tx
from casemate.store.jobs import Job, schedule

KIND: Final = "events.replay"
FORGET: Final = "events.forget_replay"
_KEPT: Final = 90 * 86_400.0
"""Seconds for which a replay is shown."""
_BATCH: Final = 100
_RUNNING: Final = ("STARTING", "RUNNING", "CANCELLING")


class NewReplay(EventsResource):
    """The replay that is to be made. archive: what it replays; destination: where to; None where there is no such
    ARN."""

    __slots__ = ("archive", "destination")
    archive: EventsResource | None
    destination: NamedBus | None


def _new_replay(call: Call, request: Mapping[str, Any]) -> NewReplay:
    things = call.part(Things)
    place = Place(call.account, call.region, REPLAY, request["ReplayName"])
    target = NewReplay(place, things.find(call.tx, place))
    target.archive = target.destination = None
    archive = place_of(request["EventSourceArn"])
    if archive is not None and archive.kind == ARCHIVE:
        found = things.find(call.tx, archive) if archive.region == call.region else None
        reason = f"Archive {archive.name} does not exist."
        target.archive = EventsResource(archive, found, _not_valid("EventSourceArn", reason))
    destination = place_of(request["Destination"]["Arn"])
    if destination is not None and destination.kind == BUS:
        target.destination = NamedBus(destination, bus_at(call, destination))
    return target


def _not_valid(name: str, reason: str) -> AwsError:
    return invalid(f"Parameter {name} is not valid. Reason: {reason}")


@events.StartReplay.writes(
    _new_replay,
    Need("events:StartReplay"),
    Need("events:StartReplay", lambda target: target.archive),
    Need("events:StartReplay", lambda target: target.destination),
)
def start_replay(call: Call, req: events.StartReplayRequest, target: NewReplay) -> events.StartReplayResponse:
    """Put an archive's events of a time on its bus again, for all rules or for some."""
    things, begin, end = call.part(Things), req["EventStartTime"], req["EventEndTime"]
    archive, destination = target.archive, req["Destination"]
    if archive is None:
        raise _not_valid("EventSourceArn", "Must contain an archive ARN.")
    if target.thing is not None:
        raise exists(f"Replay {req['ReplayName']}")
    if end <= begin:
        raise _not_valid("EventEndTime", "EventStartTime must be before EventEndTime.")
    if target.destination is None:
        raise _not_valid("Destination.Arn", "Must contain an event bus ARN.")
    if target.destination.arn != archive.found.says["bus"]:
        raise _not_valid("Destination.Arn", "Cross event bus replay is not permitted.")
    filters = destination.get("FilterArns", [])
    for arn in filters:
        place = place_of(arn)
        on_bus = place is not None and place.kind == RULE and place.bus == target.destination.place.name
        if place is None or not on_bus or things.find(call.tx, place) is None:
            raise _not_valid("Destination.FilterArns", f"Rule {arn} does not exist on the event bus.")
    running = things.page(call.tx, call.account, call.region, REPLAY)
    if sum(each.says["state"] in _RUNNING for each in running) >= call.limit(REPLAYS):
        raise too_many()
    says = {
        "description": req.get("Description", ""),
        "state": "STARTING",
        "archive": archive.arn,
        "destination": dict(destination),
        "begin": begin.timestamp(),
        "end": end.timestamp(),
        "last": 0.0,
        "row": "",
        "ended": 0.0,
    }
    replay = Thing(target.place, call.now, says)
    things.save(call.tx, replay)
    schedule(call.tx, KIND, call.now, target.place._asdict(), id=f"{KIND} {replay.arn}")
    return cast(
        "events.StartReplayResponse",
        {"ReplayArn": replay.arn, "State": "STARTING", "ReplayStartTime": moment(replay.created)},
    )


@events.CancelReplay.writes(named_replay)
def cancel_replay(
    call: Call, req: events.CancelReplayRequest, target: EventsResource
) -> events.CancelReplayResponse:
    """Put no more events on the bus."""
    replay = target.found
    if replay.says["state"] not in ("STARTING", "RUNNING"):
        raise AwsError(
            "IllegalStatusException",
            f"Replay {replay.place.name} is not in a valid state for this operation.",
        )
    call.part(Things).save(call.tx, replay._replace(says={**replay.says, "state": "CANCELLING"}))
    return {"ReplayArn": replay.arn, "State": "CANCELLING"}


def _shape(replay: Thing) -> dict[str, Any]:
    says = replay.says
    shape: dict[str, Any] = {
        "ReplayName": replay.place.name,
        "EventSourceArn": says["archive"],
        "State": says["state"],
        "EventStartTime": moment(says["begin"]),
        "EventEndTime": moment(says["end"]),
        "ReplayStartTime": moment(replay.created),
    }
    if says["last"]:
        shape["EventLastReplayedTime"] = moment(says["last"])
    if says["ended"]:
        shape["ReplayEndTime"] = moment(says["ended"])
    return shape


@events.DescribeReplay.reads(named_replay)
def describe_replay(
    call: Call, req: events.DescribeReplayRequest, target: EventsResource
) -> events.DescribeReplayResponse:
    """A replay, and how far it is; it is shown for 90 days."""
    replay = target.found
    shape = {"ReplayArn": replay.arn, "Destination": replay.says["destination"], **_shape(replay)}
    if replay.says["description"]:
        shape["Description"] = replay.says["description"]
    return cast("events.DescribeReplayResponse", shape)


@events.ListReplays.reads(everything)
def list_replays(call: Call, req: events.ListReplaysRequest, target: Resource) -> events.ListReplaysResponse:
    """The account's replays by name."""
    one_filter("ListReplays", req)
    page = Page("ListReplays", req)
    found = call.part(Things).page(
        call.tx, call.account, call.region, REPLAY, prefix=req.get("NamePrefix", ""), after=page.after
    )
    wanted = [
        each
        for each in found
        if req.get("State") in (None, each.says["state"])
        and req.get("EventSourceArn") in (None, each.says["archive"])
    ]
    replays, more = page.cut(wanted, lambda each: each.place.name)
    return cast("events.ListReplaysResponse", {"Replays": [_shape(each) for each in replays], **more})


# --- the job


def replayer(store: Store, things: Things, outbox: Outbox, clock: Clock) -> Callable[[Job], None]:
    """The job's handler: a batch in a transaction, with how far it is, until there is no more."""

    def run(job: Job) -> None:
        place = Place(**job.payload)

        def step(tx: Tx) -> bool:
            replay = things.find(tx, place)
            if replay is None or replay.says["state"] not in _RUNNING:
                return False
            if replay.says["state"] == "CANCELLING":
                _end(tx, replay, "CANCELLED")
                return False
            says = {**replay.says, "state": "RUNNING"}
            archive, bus = place_of(says["archive"]), place_of(says["destination"]["Arn"])
            assert archive is not None
            assert bus is not None
            after = (says["last"] or says["begin"], says["row"])
            batch = outbox.archived(
                *(tx, place.account, place.region, archive.name),
                after=after,
                until=says["end"],
                most=_BATCH,
            )
            only = says["destination"].get("FilterArns", [])
            for at, row, event in batch:
                again = {**event, "replay-name": place.name}
                outbox.add(tx, Waiting(place.account, place.region, bus.name, again, only=only))
                says |= {"last": at, "row": row}
            replay = replay._replace(says=says)
            if len(batch) < _BATCH:
                _end(tx, replay, "COMPLETED")
                return False
            things.save(tx, replay)
            job.renew(tx)
            return True

        def _end(tx: Tx, replay: Thing, state: str) -> None:
            now = clock.now()
            things.save(tx, replay._replace(says={**replay.says, "state": state, "ended": now}))
            schedule(tx, FORGET, now + _KEPT, place._asdict(), id=f"{FORGET} {replay.arn}")

        while store.write(step):
            pass

    return run


def forgetter(store: Store, things: Things) -> Callable[[Job], None]:
    """The handler of the job that ends the 90 days."""

    def run(job: Job) -> None:
        store.write(lambda tx: things.remove(tx, Place(**job.payload)))

    return run
