"""What acts on parameter policies: one job for each parameter that has any which still wait, due with the first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from casemate.clock import Clock
from casemate.gate.announcing import Announcer
from casemate.services.ssm import policies
from casemate.services.ssm.events import acted
from casemate.services.ssm.naming import Place
from casemate.services.ssm.parameter import Parameter
from casemate.services.ssm.parameters import Parameters
from casemate.services.ssm.rows import Row
from casemate.store.database import Store, Tx
from casemate.store.jobs import Job, cancel, schedule

log = logging.getLogger("casemate.ssm")

KIND = "ssm.policies"


def _job_id(place: Place) -> str:
    return f"{KIND} {place.arn}"


def plan(tx: Tx, row: Row) -> None:
    """See to it that the policies of a row that was stored act when they are due."""
    due = policies.next_due(row.policies)
    if due is None:
        call_off(tx, row.place)
    else:
        schedule(tx, KIND, due, row.place._asdict(), id=_job_id(row.place))


def call_off(tx: Tx, place: Place) -> None:
    """Of a parameter that is no more."""
    cancel(tx, _job_id(place))


class Enforcement(NamedTuple):
    """What the job works with. record: writes the deletion of an expired parameter into the audit; audits: whether
    that can be done now; announcer: who is told of what policies do."""

    store: Store
    parameters: Parameters
    clock: Clock
    announcer: Announcer
    record: Callable[[Parameter], None]
    audits: Callable[[], bool]


def enforcer(by: Enforcement) -> Callable[[Job], None]:
    """The job's handler. Running again does no harm: only what waits and is due acts."""

    def run(job: Job) -> None:
        if not by.audits():
            raise RuntimeError("the audit takes no records, so no parameter is deleted")
        place = Place(**job.payload)

        def act(tx: Tx) -> Parameter | None:
            expired = _act(tx, by, place)
            job.finish(tx)
            left = by.parameters.load(tx, place)
            if left is not None:
                plan(tx, left.row)
            return expired

        expired = by.store.write(act)
        if expired is not None:
            by.record(expired)
            log.info("parameter %s of account %s has expired", place.path, place.account)

    return run


def _act(tx: Tx, by: Enforcement, place: Place) -> Parameter | None:
    """The parameter, if it has expired, which deletes it."""
    parameter = by.parameters.load(tx, place)
    if parameter is None:
        return None
    row, now = parameter.row, by.clock.now()
    due = [each for each in row.policies if each.status == policies.PENDING and each.due <= now]
    for each in due:
        acted(by.announcer, tx, parameter, each, now)
    if any(each.type == policies.EXPIRATION for each in due):
        by.parameters.delete(tx, parameter)
        return parameter
    if due:
        done = tuple(
            each._replace(status=policies.FINISHED) if each in due else each for each in row.policies
        )
        by.parameters.save(tx, row._replace(policies=done))
    return None
