"""Rules that run by themselves: a job for each, due at its next occasion."""

from __future__ import annotations

from collections.abc import Callable

from casemate.clock import Clock
from casemate.engine.events.schedule import Rate, parse_schedule
from casemate.services.events.buses import Buses
from casemate.services.events.outbox import Outbox, Waiting, new_event
from casemate.services.events.store import Place, Thing
from casemate.store.database import Store, Tx
from casemate.store.jobs import Job, cancel, schedule

KIND = "events.schedule"


def _job_id(place: Place) -> str:
    return f"{KIND} {place.arn}"


def plan(tx: Tx, rule: Thing, now: float, before: Thing | None = None) -> None:
    """Let the rule run at its next occasion, if it has one. before: the rule as it was: what its schedule was and is
    runs on."""
    expression = rule.says["schedule"] if rule.says["state"] != "DISABLED" else ""
    if before is not None:
        was = before.says["schedule"] if before.says["state"] != "DISABLED" else ""
        if was == expression:
            return
    if not expression:
        call_off(tx, rule.place)
        return
    _schedule(tx, rule.place, parse_schedule(expression).after(now))


def call_off(tx: Tx, place: Place) -> None:
    """Let a rule run no more."""
    cancel(tx, _job_id(place))


def _schedule(tx: Tx, place: Place, due: float | None) -> None:
    if due is not None:
        schedule(tx, KIND, due, place._asdict(), id=_job_id(place))


def runner(store: Store, buses: Buses, outbox: Outbox, clock: Clock) -> Callable[[Job], None]:
    """The job's handler: an event for the rule's targets alone, and the next occasion, in one transaction."""

    def run(job: Job) -> None:
        def occasion(tx: Tx) -> None:
            job.finish(tx)
            place = Place(**job.payload)
            rule = buses.things.find(tx, place)
            if rule is None or not rule.says["schedule"] or rule.says["state"] == "DISABLED":
                return
            event = new_event(
                source="aws.events",
                detail_type="Scheduled Event",
                detail={},
                account=place.account,
                region=place.region,
                moment=job.due,
                resources=[rule.arn],
            )
            outbox.add(tx, Waiting(place.account, place.region, place.bus, event, rule=rule.arn))
            when, now = parse_schedule(rule.says["schedule"]), clock.now()
            # A rate keeps its step, whenever it ran.
            late = max(0.0, now - job.due) // when.seconds * when.seconds if isinstance(when, Rate) else 0.0
            since = job.due + late if isinstance(when, Rate) else max(now, job.due)
            _schedule(tx, place, when.after(since))

        store.write(occasion)

    return run
