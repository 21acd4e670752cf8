"""KMS: keys, their material, policies, aliases and tags, and encryption under them. Importing it attaches its
handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.services.kms import (
    aliases,
    announcements,
    connecting,
    created_elsewhere,
    crypto,
    custom_key_stores,
    deletion,
    grants,
    imported,
    imports,
    key_pairs,
    last_use,
    lifecycle,
    macs,
    policies,
    replicas,
    rotation,
    rotations,
    shared_secrets,
    signing,
    tags,
)
from casemate.services.kms.backends import Backends
from casemate.services.kms.key_stores import KeyStores
from casemate.services.kms.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casemate.gate.gate import Gate
    from casemate.services.kms.key import Key
    from casemate.store.jobs import Job

__all__ = [
    "aliases",
    "connecting",
    "crypto",
    "custom_key_stores",
    "grants",
    "imports",
    "jobs",
    "key_pairs",
    "last_use",
    "lifecycle",
    "macs",
    "policies",
    "replicas",
    "rotations",
    "shared_secrets",
    "signing",
    "tags",
]


def jobs(gate: Gate) -> dict[str, Callable[[Job], None]]:
    """The handlers of KMS's background jobs, by kind."""
    store, keys, clock = gate.store, gate.parts[Keys], gate.clock
    key_stores, backends = gate.parts[KeyStores], gate.parts[Backends]

    def record(name: str, key: Key, details: Mapping[str, Any] | None = None) -> None:
        gate.record_event("kms.amazonaws.com", name, key.account, key.row.region, key, details)

    tell = announcements.teller(gate)

    def audits() -> bool:
        return gate.audits

    return {
        connecting.CONNECT: connecting.connector(store, key_stores, backends),
        deletion.KIND: deletion.deleter(
            store,
            keys,
            clock,
            lambda key: record("DeleteKey", key),
            audits,
            created_elsewhere.destroyer(store, key_stores, backends),
            tell,
        ),
        imported.EXPIRE: imported.expirer(
            store, keys, clock, lambda key: record("DeleteExpiredKeyMaterial", key), audits, tell
        ),
        rotation.ROTATE: rotation.rotator(
            store, keys, clock, lambda done: record("RotateKey", done.key, done.details()), audits, tell
        ),
    }
