"""What acts on parameter policies: one job for each parameter that has any which still wait, due with the first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from casemate.clock import Clock
from casemate.services.ssm import policies
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


class Acted(NamedTuple):
    """What the policies have brought about. types: of those that acted; expired: the parameter was deleted."""

    parameter: Parameter
    types: list[str]
    expired: bool


def enforcer(
    store: Store,
    parameters: Parameters,
    clock: Clock,
    record: Callable[[Parameter], None],
    audits: Callable[[], bool],
) -> Callable[[Job], None]:
    """The job's handler. Running again does no harm: only what waits and is due acts. record: writes the deletion of
    an expired parameter into the audit; audits: whether that can be done now."""

    def run(job: Job) -> None:
        if not audits():
            raise RuntimeError("the audit takes no records, so no parameter is deleted")
        place = Place(**job.payload)

        def act(tx: Tx) -> Acted | None:
            acted = _act(tx, parameters, place, clock.now())
            job.finish(tx)
            if acted is not None and not acted.expired:
                found = parameters.load(tx, place)
                assert found is not None
                plan(tx, found.row)
            return acted

        acted = store.write(act)
        if acted is not None and acted.expired:
            record(acted.parameter)
            log.info("parameter %s of account %s has expired", place.path, place.account)

    return run


def _act(tx: Tx, parameters: Parameters, place: Place, now: float) -> Acted | None:
    parameter = parameters.load(tx, place)
    if parameter is None:
        return None
    row = parameter.row
    due = [each for each in row.policies if each.status == policies.PENDING and each.due <= now]
    if any(each.type == policies.EXPIRATION for each in due):
        parameters.delete(tx, parameter)
        return Acted(parameter, [each.type for each in due], True)
    if due:
        done = tuple(
            each._replace(status=policies.FINISHED) if each in due else each for each in row.policies
        )
        parameters.save(tx, row._replace(policies=done))
    return Acted(parameter, [each.type for each in due], False)
