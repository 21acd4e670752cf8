"""Lambda: functions, their versions, aliases and resource policies, and their invocation. Importing it attaches its
handlers."""

from __future__ import annotations

from casemate.services.lambda_ import (
    aliases,
    concurrency,
    creating,
    event_configs,
    invoking,
    mappings,
    policies,
    reading,
    tagging,
    updating,
)

__all__ = [
    "aliases",
    "concurrency",
    "creating",
    "event_configs",
    "invoking",
    "mappings",
    "policies",
    "reading",
    "tagging",
    "updating",
]
