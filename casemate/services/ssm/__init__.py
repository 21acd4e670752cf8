"""Systems Manager's Parameter Store: parameters, their versions, labels and policies, service settings and sharing.
Importing it attaches its handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.services.ssm import deleting, describe, labels, policy_jobs, put, read, settings, sharing, tags
from casemate.services.ssm.parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.gate.gate import Gate
    from casemate.services.ssm.parameter import Parameter
    from casemate.store.jobs import Job

__all__ = ["deleting", "describe", "jobs", "labels", "put", "read", "settings", "sharing", "tags"]


def jobs(gate: Gate) -> dict[str, Callable[[Job], None]]:
    """The handlers of Parameter Store's background jobs, by kind."""

    def record(parameter: Parameter) -> None:
        place = parameter.row.place
        gate.record_event("ssm.amazonaws.com", "DeleteParameter", place.account, place.region, parameter)

    enforcement = policy_jobs.Enforcement(
        gate.store, gate.parts[Parameters], gate.clock, gate.announcer, record, lambda: gate.audits
    )
    return {policy_jobs.KIND: policy_jobs.enforcer(enforcement)}
