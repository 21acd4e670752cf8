"""SQS: queues, messages, dead letters, FIFO. Importing it attaches its handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.services.sqs import (
    deleting,
    policies,
    queue_operations,
    receiving,
    redrive,
    retention,
    sending,
    tags,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.gate.gate import Gate
    from casemate.store.jobs import Job

__all__ = ["deleting", "jobs", "policies", "queue_operations", "receiving", "redrive", "sending", "tags"]


def jobs(gate: Gate) -> dict[str, Callable[[Job], None]]:
    """The handlers of SQS's background jobs, by kind."""
    return {
        redrive.MOVE: redrive.mover(gate),
        retention.EXPIRE: retention.expirer(gate),
        retention.REMOVE: retention.remover(gate),
    }
