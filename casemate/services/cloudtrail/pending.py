"""Events on their way to a trail's destinations: many in a row, deflated, sealed under the account's key."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.engine.envelope.hierarchy import AccountKey
    from casemate.store.database import Tx

TO_LOGS = "logs"
"""The kind of those on their way to CloudWatch Logs; of others it is that of their files."""

_MOST_BYTES = 512 * 1024
_MOST_EVENTS = 2_000
"""What is in a row: no more than one PutLogEvents takes."""
_PURPOSE = "cloudtrail pending"


class Queue(NamedTuple):
    """Where events go, and whose they are. trail: its id; account, region: of the events."""

    trail: str
    kind: str
    account: str
    region: str


class _Row(NamedTuple):
    deflated: bytes
    size: int
    own: bool


class Packing:
    """Gathers events into what rows hold."""

    def __init__(self) -> None:
        self._rows: list[_Row] = []
        self._texts: list[bytes] = []
        self._size = 0
        self._own = True

    def add(self, text: bytes, own: bool) -> None:
        """text: a record as JSON, which has no line's end; own: it is of CloudTrail's own delivering."""
        if self._texts and (self._size + len(text) > _MOST_BYTES or len(self._texts) == _MOST_EVENTS):
            self._close()
        self._texts.append(text)
        self._size += len(text) + 1
        self._own = self._own and own

    def rows(self) -> Sequence[_Row]:
        """All that was gathered. May be called again."""
        if self._texts:
            self._close()
        return self._rows

    def _close(self) -> None:
        self._rows.append(_Row(zlib.compress(b"\n".join(self._texts), 1), self._size, self._own))
        self._texts, self._size, self._own = [], 0, True


def put(tx: Tx, key: AccountKey, queue: Queue, packing: Packing, now: float) -> None:
    """Store what was gathered. key: the trail's account's."""
    for deflated, size, own in packing.rows():
        name = new_id()
        sealed = key.wrap(deflated, _PURPOSE, *_bound(name, queue))
        tx.run(
            "INSERT INTO cloudtrail_pending (id, trail, kind, account, region, created, size, own, sealed) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (name, *queue, now, size, int(own), sealed),
        )


def _bound(name: str, queue: Queue) -> tuple[str, ...]:
    return (name, *queue)


class Waiting(NamedTuple):
    """A row, opened."""

    id: str
    texts: Sequence[bytes]


def queues(tx: Tx, trail: str) -> list[tuple[Queue, bool]]:
    """What waits of a trail, and whether there is more than what CloudTrail did itself."""
    rows = tx.all(
        "SELECT kind, account, region, MIN(own) FROM cloudtrail_pending WHERE trail = ? "
        "GROUP BY kind, account, region ORDER BY kind, account, region",
        (trail,),
    )
    return [(Queue(trail, kind, account, region), not own) for kind, account, region, own in rows]


def first(tx: Tx, key: AccountKey, queue: Queue, most: int, rows: int) -> list[Waiting]:
    """The first of a queue: up to so many bytes, at least one row. Raises Tampered."""

    def taken() -> Iterator[Waiting]:
        total = 0
        for name, size, sealed in tx.all(
            "SELECT id, size, sealed FROM cloudtrail_pending "
            "WHERE trail = ? AND kind = ? AND account = ? AND region = ? ORDER BY id LIMIT ?",
            (*queue, rows),
        ):
            total += size
            if total > most and total > size:
                return
            deflated = key.unwrap(bytes(sealed), _PURPOSE, *_bound(name, queue))
            yield Waiting(name, zlib.decompress(deflated).split(b"\n"))

    return list(taken())


def remove(tx: Tx, waiting: Sequence[Waiting]) -> bool:
    """Take rows away; False where one of them is gone already."""
    names = [each.id for each in waiting]
    marks = ", ".join("?" * len(names))
    gone = tx.run(f"DELETE FROM cloudtrail_pending WHERE id IN ({marks})", names)
    return gone == len(names)


def expire(tx: Tx, trail: str, before: float) -> int:
    """Give up what has waited since then; how many rows."""
    return tx.run("DELETE FROM cloudtrail_pending WHERE trail = ? AND created < ?", (trail, before))


def none(tx: Tx, trail: str) -> bool:
    return tx.one("SELECT 1 FROM cloudtrail_pending WHERE trail = ? LIMIT 1", (trail,)) is None
