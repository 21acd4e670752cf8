"""Organizations: accounts in a tree of units, and the policies that bind them. Importing it attaches its handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.services.organizations import (
    accounts,
    attachments,
    creation,
    delegation,
    effective,
    events,
    handshakes,
    organizing,
    policies,
    proposals,
    tags,
    trusted,
    units,
)
from casemate.services.organizations.state import Organizations

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.gate.gate import Gate
    from casemate.store.jobs import Job

__all__ = [
    "accounts",
    "attachments",
    "creation",
    "delegation",
    "effective",
    "events",
    "handshakes",
    "jobs",
    "organizing",
    "policies",
    "proposals",
    "tags",
    "trusted",
    "units",
]


def jobs(gate: Gate) -> dict[str, Callable[[Job], None]]:
    """The handlers of Organizations' background jobs, by kind."""
    return {
        creation.EXPIRE: creation.expirer(gate.store, gate.parts[Organizations], gate.clock),
        events.KIND: events.teller(gate),
    }
