"""Secrets Manager: secrets, their versions and staging labels, under KMS. Importing it attaches its handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.services.secretsmanager import (
    changes,
    creation,
    deletion,
    details,
    listing,
    passwords,
    policies,
    reading,
    replication,
    rotations,
    tags,
)
from casemate.services.secretsmanager.rotating import rotators
from casemate.services.secretsmanager.secrets import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.gate.gate import Gate
    from casemate.services.secretsmanager.secret import Secret
    from casemate.store.jobs import Job

__all__ = [
    "changes",
    "creation",
    "deletion",
    "details",
    "jobs",
    "listing",
    "passwords",
    "policies",
    "reading",
    "replication",
    "rotations",
    "tags",
]


def jobs(gate: Gate) -> dict[str, Callable[[Job], object]]:
    """The handlers of Secrets Manager's background jobs, by kind."""
    store, secrets, clock = gate.store, gate.parts[Secrets], gate.clock

    def record(name: str, secret: Secret) -> None:
        gate.record_event("secretsmanager.amazonaws.com", name, secret.account, secret.row.region, secret)

    def audits() -> bool:
        return gate.audits

    return {
        deletion.KIND: deletion.deleter(
            store, secrets, clock, lambda secret: record("EndSecretVersionDelete", secret), audits
        ),
        **rotators(gate),
    }
