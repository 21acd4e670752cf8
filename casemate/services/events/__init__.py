"""EventBridge: event buses, rules and their targets, schedules, archives and replays, API destinations.
Importing it attaches its handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.services.events import (
    archives,
    connections,
    destinations,
    event_buses,
    permissions,
    putting,
    replays,
    rules,
    schedules,
    tags,
    targets,
)
from casemate.services.events.buses import Buses
from casemate.services.events.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.gate.gate import Gate
    from casemate.store.jobs import Job

__all__ = [
    "archives",
    "connections",
    "destinations",
    "event_buses",
    "jobs",
    "permissions",
    "putting",
    "replays",
    "rules",
    "tags",
    "targets",
]


def jobs(gate: Gate) -> dict[str, Callable[[Job], None]]:
    """The handlers of EventBridge's background jobs, by kind."""
    buses, outbox = gate.parts[Buses], gate.parts[Outbox]
    store, things, clock = gate.store, buses.things, gate.clock
    return {
        schedules.KIND: schedules.runner(store, buses, outbox, clock),
        archives.EXPIRE: archives.expirer(store, things, clock),
        replays.KIND: replays.replayer(store, things, outbox, clock),
        replays.FORGET: replays.forgetter(store, things),
    }
