"""CloudTrail: the history of events, and trails. Importing it attaches its handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from casemate.services.cloudtrail import (
    insight_selectors,
    lookup,
    making,
    selecting,
    shipping,
    showing,
    signing_keys,
    tagging,
)
from casemate.services.cloudtrail.delivering import deliverer, notifier
from casemate.services.cloudtrail.history import History
from casemate.services.cloudtrail.scheduling import DELIVER, NOTIFY

if TYPE_CHECKING:
    from casemate.gate.gate import Gate
    from casemate.store.jobs import Job

__all__ = ["insight_selectors", "jobs", "lookup", "making", "selecting", "showing", "signing_keys", "tagging"]


def jobs(gate: Gate) -> dict[str, Callable[[Job], object]]:
    """The background jobs, by kind."""
    history = gate.parts[History]
    return {
        DELIVER: deliverer(gate),
        NOTIFY: notifier(gate),
        shipping.KIND: shipping.shipper(gate.store, history.archive, history.key, gate.clock),
    }
