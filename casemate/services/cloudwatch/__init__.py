"""CloudWatch: metrics, put and got. Importing it attaches its handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.services.cloudwatch import ageing, folding, getting, listing, putting, statistics
from casemate.services.cloudwatch.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.gate.gate import Gate
    from casemate.store.jobs import Job

__all__ = ["getting", "jobs", "listing", "putting", "statistics"]


def jobs(gate: Gate) -> dict[str, Callable[[Job], None]]:
    """The handlers of CloudWatch's background jobs, by kind."""
    metrics = gate.parts[Metrics]
    return {folding.FOLD: folding.folder(gate, metrics), ageing.AGE: ageing.ager(gate, metrics)}
