"""CreateArchive, UpdateArchive, DeleteArchive, DescribeArchive, ListArchives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from casemate.api import events
from casemate.clock import Clock
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Resource
from casemate.services.events.pages import Page, moment
from casemate.services.events.refusals import exists, invalid, no_bus, not_served
from casemate.services.events.resources import (
    EventsResource,
    NamedBus,
    bus_at,
    everything,
    named_archive,
    place_of,
)
from casemate.services.events.rules import check_pattern
from casemate.services.events.store import ARCHIVE, BUS, Place, Thing, Things
from casemate.store.database import Store, Tx
from casemate.store.jobs import Job, cancel, schedule

EXPIRE = "events.expire"
_EVERY = 3_600.0
_DAY = 86_400.0


class NewArchive(EventsResource):
    """The archive that is to be made. source: the bus that it is of; None where the ARN names none."""

    __slots__ = ("source",)
    source: NamedBus | None


def _new_archive(call: Call, request: Mapping[str, Any]) -> NewArchive:
    place = Place(call.account, call.region, ARCHIVE, request["ArchiveName"])
    target = NewArchive(place, call.part(Things).find(call.tx, place))
    source = place_of(request["EventSourceArn"])
    target.source = None
    if source is not None and source.kind == BUS:
        target.source = NamedBus(source, bus_at(call, source))
    return target


@events.CreateArchive.writes(
    _new_archive,
    Need("events:CreateArchive"),
    Need("events:CreateArchive", lambda target: target.source),
)
def create_archive(
    call: Call, req: events.CreateArchiveRequest, target: NewArchive
) -> events.CreateArchiveResponse:
    """Keep the events of a bus, those of a pattern or all, for so many days or for good."""
    source = target.source
    if source is None:
        raise no_bus(req["EventSourceArn"])
    if source.place.account != call.account:
        raise invalid(
            "Parameter EventSourceArn is not valid. Reason: Cross-account archive creation is not permitted."
        )
    if target.thing is not None:
        raise exists(f"Archive {req['ArchiveName']}")
    says = {"bus": source.arn, "description": "", "pattern": "", "days": 0, **_said(req)}
    archive = Thing(target.place, call.now, says)
    call.part(Things).save(call.tx, archive)
    _plan(call, archive)
    return cast(
        "events.CreateArchiveResponse",
        {"ArchiveArn": archive.arn, "State": "ENABLED", "CreationTime": moment(archive.created)},
    )


def _said(req: Mapping[str, Any]) -> dict[str, Any]:
    if req.get("KmsKeyIdentifier"):
        raise not_served("Customer managed keys of archives are")
    if "EventPattern" in req:
        check_pattern(req["EventPattern"])
    names = {"Description": "description", "EventPattern": "pattern", "RetentionDays": "days"}
    return {said: req[name] for name, said in names.items() if name in req}


def _plan(call: Call, archive: Thing) -> None:
    job = f"{EXPIRE} {archive.arn}"
    if archive.says["days"]:
        place = archive.place._asdict()
        schedule(call.tx, EXPIRE, call.now + _EVERY, place, every=_EVERY, id=job)
    else:
        cancel(call.tx, job)


def expirer(store: Store, things: Things, clock: Clock) -> Callable[[Job], None]:
    """The job's handler: deletes events that are older than their archive's days."""

    def run(job: Job) -> None:
        place = Place(**job.payload)

        def expire(tx: Tx) -> None:
            archive = things.find(tx, place)
            if archive is not None and archive.says["days"]:
                tx.run(
                    "DELETE FROM events_archived WHERE account = ? AND region = ? AND archive = ? AND time < ?",
                    (place.account, place.region, place.name, clock.now() - archive.says["days"] * _DAY),
                )

        store.write(expire)

    return run


@events.UpdateArchive.writes(named_archive)
def update_archive(
    call: Call, req: events.UpdateArchiveRequest, target: EventsResource
) -> events.UpdateArchiveResponse:
    """Another description, pattern or number of days."""
    archive = target.found._replace(says={**target.found.says, **_said(req)})
    call.part(Things).save(call.tx, archive)
    _plan(call, archive)
    return cast(
        "events.UpdateArchiveResponse",
        {"ArchiveArn": archive.arn, "State": "ENABLED", "CreationTime": moment(archive.created)},
    )


@events.DeleteArchive.writes(named_archive)
def delete_archive(
    call: Call, req: events.DeleteArchiveRequest, target: EventsResource
) -> events.DeleteArchiveResponse:
    """Delete an archive with its events."""
    place = target.place
    call.part(Things).remove(call.tx, place)
    call.tx.run(
        "DELETE FROM events_archived WHERE account = ? AND region = ? AND archive = ?",
        (place.account, place.region, place.name),
    )
    cancel(call.tx, f"{EXPIRE} {target.arn}")
    return {}


def _shape(call: Call, archive: Thing) -> dict[str, Any]:
    place = archive.place
    row = call.tx.one(
        "SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM events_archived "
        "WHERE account = ? AND region = ? AND archive = ?",
        (place.account, place.region, place.name),
    )
    assert row is not None
    return {
        "ArchiveName": place.name,
        "EventSourceArn": archive.says["bus"],
        "State": "ENABLED",
        "RetentionDays": archive.says["days"],
        "SizeBytes": int(row[1]),
        "EventCount": int(row[0]),
        "CreationTime": moment(archive.created),
    }


@events.DescribeArchive.reads(named_archive)
def describe_archive(
    call: Call, req: events.DescribeArchiveRequest, target: EventsResource
) -> events.DescribeArchiveResponse:
    """An archive, and how much it holds."""
    shape = {"ArchiveArn": target.arn, **_shape(call, target.found)}
    for said, name in (("description", "Description"), ("pattern", "EventPattern")):
        if target.found.says[said]:
            shape[name] = target.found.says[said]
    return cast("events.DescribeArchiveResponse", shape)


def one_filter(operation: str, req: Mapping[str, Any]) -> None:
    """Raises ValidationException for more than one of a list's filters."""
    if sum(name in req for name in ("State", "EventSourceArn", "NamePrefix")) > 1:
        raise invalid(
            f"At most one filter is allowed for {operation}. Use either : State, EventSourceArn, or NamePrefix."
        )


@events.ListArchives.reads(everything)
def list_archives(
    call: Call, req: events.ListArchivesRequest, target: Resource
) -> events.ListArchivesResponse:
    """The account's archives by name."""
    one_filter("ListArchives", req)
    page = Page("ListArchives", req)
    found = call.part(Things).page(
        call.tx, call.account, call.region, ARCHIVE, prefix=req.get("NamePrefix", ""), after=page.after
    )
    source = req.get("EventSourceArn")
    wanted = [each for each in found if source in (None, each.says["bus"])]
    if req.get("State", "ENABLED") != "ENABLED":
        wanted = []
    archives, more = page.cut(wanted, lambda each: each.place.name)
    return cast(
        "events.ListArchivesResponse", {"Archives": [_shape(call, each) for each in archives], **more}
    )
