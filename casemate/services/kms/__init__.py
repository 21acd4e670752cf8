"""KMS: keys, their policies, aliases and tags, and encryption under them. Importing it attaches its handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.services.kms import aliases, crypto, deletion, lifecycle, policies, tags
from casemate.services.kms.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.gate.gate import Gate
    from casemate.services.kms.key import Key
    from casemate.store.jobs import Job

__all__ = ["aliases", "crypto", "jobs", "lifecycle", "policies", "tags"]


def jobs(gate: Gate) -> dict[str, Callable[[Job], None]]:
    """The handlers of KMS's background jobs, by kind."""

    def record(key: Key) -> None:
        gate.record_event("kms.amazonaws.com", "DeleteKey", key.account, key.row.region, key)

    return {
        deletion.KIND: deletion.deleter(gate.store, gate.parts[Keys], gate.clock, record, lambda: gate.audits)
    }
