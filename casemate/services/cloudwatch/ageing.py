"""Points become points of longer periods as they grow old, and go in the end.

Source: "GetMetricStatistics" (how long CloudWatch retains metric data).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.services.cloudwatch.metrics import KEPT
from casemate.store import jobs

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.gate.gate import Gate
    from casemate.services.cloudwatch.metrics import Metrics
    from casemate.store.database import Tx
    from casemate.store.jobs import Job

AGE = "cloudwatch.age"
EVERY = 3600.0
_ROWS = 50


def schedule(tx: Tx, now: float) -> None:
    """Let what there is grow old from now on."""
    jobs.schedule_for_good(tx, AGE, now + EVERY, EVERY)


def ager(gate: Gate, metrics: Metrics) -> Callable[[Job], None]:
    """Moves what is old enough."""

    def age(job: Job) -> None:
        for resolution, kept in KEPT.items():

            def some(tx: Tx, resolution: int = resolution, kept: int = kept) -> bool:
                job.renew(tx)
                return metrics.coarsen(tx, resolution, int(gate.clock.now()) - kept, _ROWS) == _ROWS

            while gate.store.write(some):
                pass

        def over(tx: Tx) -> None:
            metrics.forget(tx, int(gate.clock.now()) - KEPT[3600])
            job.finish(tx)

        gate.store.write(over)

    return age
