"""CloudWatch Logs: groups, streams, and events that are put, got and filtered. Importing it attaches its handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.services.logs import (
    encryption,
    export_tasks,
    exporting,
    group_operations,
    incoming,
    ingesting,
    live_tail,
    metric_defaults,
    metric_filters,
    policies,
    query_definitions,
    query_operations,
    querying,
    records,
    retention,
    retrieving,
    streams,
    subscriptions,
    tags,
)
from casemate.services.logs.groups import Groups

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.gate.gate import Gate
    from casemate.store.jobs import Job

__all__ = [
    "encryption",
    "export_tasks",
    "group_operations",
    "ingesting",
    "jobs",
    "live_tail",
    "metric_filters",
    "policies",
    "query_definitions",
    "query_operations",
    "records",
    "retrieving",
    "streams",
    "subscriptions",
    "tags",
]


def jobs(gate: Gate) -> dict[str, Callable[[Job], object]]:
    """The handlers of CloudWatch Logs' background jobs, by kind."""
    by_id = gate.parts[Groups].by_id
    return {
        exporting.RUN: exporting.runner(gate),
        incoming.KIND: incoming.counter(gate, by_id),
        metric_defaults.KIND: metric_defaults.putter(gate, by_id, metric_filters.put_default),
        querying.FORGET: querying.forgetter(gate),
        querying.RUN: querying.runner(gate),
        retention.EXPIRE: retention.expirer(gate, by_id),
        retention.REMOVE: retention.remover(gate),
    }
