"""What calls brought becomes points, within a minute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.store import jobs

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.gate.gate import Gate
    from casemate.services.cloudwatch.metrics import Metrics
    from casemate.store.database import Tx
    from casemate.store.jobs import Job

FOLD = "cloudwatch.fold"
EVERY = 60.0
_CALLS, _ROWS = 100, 500
"""Whose data one transaction folds, and how many rows of points it changes: others wait for it."""


def schedule(tx: Tx, now: float) -> None:
    """Fold from now on."""
    jobs.schedule_for_good(tx, FOLD, now + EVERY, EVERY)


def folder(gate: Gate, metrics: Metrics) -> Callable[[Job], None]:
    """Folds all that came."""

    def fold(job: Job) -> None:
        def some(tx: Tx) -> bool:
            more = metrics.fold(tx, _CALLS, _ROWS, int(gate.clock.now()))
            if more:
                job.renew(tx)
            else:
                job.finish(tx)
            return more

        while gate.store.write(some):
            pass

    return fold
