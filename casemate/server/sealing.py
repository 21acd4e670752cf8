"""The root key: made and sealed at the first start, unsealed at every other, sealed anew when the seal rotates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from casemate.engine.envelope.hierarchy import RootKey, read_record
from casemate.engine.envelope.seals import Seal
from casemate.store.database import Store, Tx


class SealStatus(NamedTuple):
    """seal_id: which seal protects the root key; sealed: when it was sealed by it, seconds since the epoch."""

    seal_id: str
    sealed: float


def status(store: Store) -> SealStatus | None:
    """Which seal the database was sealed by; None before the first start."""
    row = store.read(lambda tx: tx.one("SELECT record, sealed FROM root_key WHERE id = 1"))
    return None if row is None else SealStatus(read_record(row[0]).seal_id, row[1])


def unseal(store: Store, seals: Sequence[Seal], now: float) -> RootKey:
    """The root key, unwrapped by one of the seals (current first, then the previous one).

    Where there is none yet, makes one and seals it by the first. Raises WrongSeal, whose text says which seal
    the database needs and which were given, and Tampered for a record that was altered.
    """
    record = store.read(_record)
    if record is None:
        made = RootKey.generate().sealed_by(seals[0])

        def put(tx: Tx) -> bytes | None:
            # Another node may have been first; then its root key counts.
            tx.run(
                "INSERT INTO root_key (id, record, sealed) VALUES (1, ?, ?) ON CONFLICT DO NOTHING",
                (made, now),
            )
            return _record(tx)

        record = store.write(put)
        assert record is not None
    return RootKey.unsealed(record, seals)


def reseal(store: Store, root: RootKey, seal: Seal, now: float) -> None:
    """Seal the root key by another seal. Servers that run go on: they hold the root key itself."""
    record = root.sealed_by(seal)
    if not RootKey.unsealed(record, [seal]).same_as(root):
        raise RuntimeError(f"{seal.id} does not give back what it sealed")
    store.write(lambda tx: tx.run("UPDATE root_key SET record = ?, sealed = ? WHERE id = 1", (record, now)))


def _record(tx: Tx) -> bytes | None:
    row = tx.one("SELECT record FROM root_key WHERE id = 1")
    return None if row is None else bytes(row[0])
