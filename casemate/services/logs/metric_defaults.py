"""Default values of metric filters: for minutes in which events came, and a filter meant none of them.

That is known when the minute is over: a job puts the values then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.gate.acting import in_background
from casemate.store import jobs

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.gate.call import Call
    from casemate.gate.gate import Gate
    from casemate.services.logs.groups import GroupRow
    from casemate.store.database import Tx
    from casemate.store.jobs import Job

KIND = "logs.metric_defaults"
EVERY = 60.0
_MINUTES = 100


def schedule(tx: Tx, now: float) -> None:
    """Look from now on for minutes that are over."""
    jobs.schedule_for_good(tx, KIND, now + EVERY, EVERY)


def seen(tx: Tx, group: GroupRow, name: str, now: float, *, matched: bool) -> None:
    """Events came; matched: the filter of that name meant some."""
    tx.run(
        "INSERT INTO logs_metric_minutes (group_id, filter, minute, matched) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (group_id, filter, minute) DO UPDATE SET matched = 1 WHERE excluded.matched = 1",
        (group.id, name, int(now) // 60, int(matched)),
    )


def putter(
    gate: Gate,
    by_id: Callable[[Tx, str], GroupRow | None],
    put: Callable[[Call, GroupRow, str, int], None],
) -> Callable[[Job], None]:
    """Puts the default values of the minutes that are over."""

    def run(job: Job) -> None:
        def some(call: Call) -> bool:
            rows = call.tx.all(
                "SELECT group_id, filter, minute, matched FROM logs_metric_minutes WHERE minute < ? "
                "ORDER BY minute LIMIT ?",
                (int(call.now) // 60, _MINUTES),
            )
            for group_id, name, minute, matched in rows:
                group = by_id(call.tx, group_id)
                if group is not None and not matched:
                    put(call, group, name, minute)
                call.tx.run(
                    "DELETE FROM logs_metric_minutes WHERE group_id = ? AND filter = ? AND minute = ?",
                    (group_id, name, minute),
                )
            if len(rows) < _MINUTES:
                job.finish(call.tx)
                return False
            job.renew(call.tx)
            return True

        while in_background(gate, some):
            pass

    return run
