"""Log events as they are stored: what one call of PutLogEvents brought is compressed and sealed as one batch."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import orjson

from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.engine.logs import FilterPattern
    from casemate.services.logs.encryption import Cipher
    from casemate.store.database import Tx

PURPOSE = "logs batch"
LONGEST = 86_400_000
"""Milliseconds that a batch's events may be apart at most."""

_COLUMNS = "stream_id, id, first_event, last_event, ingested, events, stored, data_key, data"
_CHUNK = 64


class Batch(NamedTuple):
    """A stored batch, sealed. Times are milliseconds since the epoch; stored: what its events count for, in bytes."""

    stream_id: str
    id: str
    first_event: int
    last_event: int
    ingested: int
    events: int
    stored: int
    data_key: str
    data: bytes


def put(
    tx: Tx,
    group_id: str,
    stream_id: str,
    events: Sequence[tuple[int, str]],
    ingested: int,
    stored: int,
    data_key: str,
    cipher: Cipher,
) -> str:
    """Store events (timestamp, message), which are in the order of time; the batch's id."""
    batch_id, first, last = new_id(), events[0][0], events[-1][0]
    plain = orjson.dumps([[timestamp for timestamp, _ in events], [message for _, message in events]])
    names = _names(group_id, stream_id, batch_id, first, last, ingested)
    data = cipher.wrap(zlib.compress(plain, 1), PURPOSE, *names)
    tx.run(
        f"INSERT INTO logs_batches (group_id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (group_id, stream_id, batch_id, first, last, ingested, len(events), stored, data_key, data),
    )
    return batch_id


def opened(
    group_id: str, batch: Batch, cipher: Cipher, pattern: FilterPattern | None
) -> Iterator[tuple[int, int, str]]:
    """(timestamp, index in the batch, message) of the events that the pattern means. Raises Tampered."""
    plain = plain_of(group_id, batch, cipher)
    if pattern is not None and not all(_written(word) in plain for word in pattern.needed):
        return
    timestamps, messages = orjson.loads(plain)
    if pattern is None:
        yield from zip(timestamps, range(len(messages)), messages, strict=True)
        return
    matches = pattern.matches
    for index, message in enumerate(messages):
        if matches(message):
            yield timestamps[index], index, message


def plain_of(group_id: str, batch: Batch, cipher: Cipher) -> bytes:
    """A batch's JSON: timestamps and messages. Raises Tampered."""
    return zlib.decompress(cipher.unwrap(batch.data, PURPOSE, *_names(group_id, *batch[:5])))


def _names(
    group_id: str, stream_id: str, batch_id: str, first: int, last: int, ingested: int
) -> tuple[str | int, ...]:
    return group_id, stream_id, batch_id, first, last, ingested


def _written(word: str) -> bytes:
    """As it stands in a batch's JSON."""
    return orjson.dumps(word)[1:-1]


class Selection(NamedTuple):
    """Which batches: of a group or, where streams are given, of those (ids), with events from start to end (both
    included)."""

    group_id: str
    streams: Sequence[str] | None
    start: int
    end: int


class _Way(NamedTuple):
    """An order in which batches are read. column: which orders them, then their ids; where, values: which batches are
    meant."""

    column: str
    where: str
    values: Callable[[Selection], tuple[int, ...]]
    down: bool

    def place(self, batch: Batch) -> tuple[int, str]:
        return (batch.last_event if self.down else batch.first_event), batch.id


_FORWARDS = _Way(
    "first_event",
    "first_event BETWEEN ? AND ? AND last_event >= ?",
    lambda wanted: (wanted.start - LONGEST, wanted.end, wanted.start),
    down=False,
)
_BACKWARDS = _Way(
    "last_event",
    "last_event BETWEEN ? AND ? AND first_event <= ?",
    lambda wanted: (wanted.start, wanted.end + LONGEST, wanted.end),
    down=True,
)


def forwards(tx: Tx, wanted: Selection) -> Iterator[Batch]:
    """By their first event."""
    return _pages(tx, wanted, _FORWARDS)


def backwards(tx: Tx, wanted: Selection) -> Iterator[Batch]:
    """By their last event, the latest first."""
    return _pages(tx, wanted, _BACKWARDS)


def page(tx: Tx, wanted: Selection, after: Batch | None) -> list[Batch]:
    """Some batches by their first event, those after one; none when there are no more."""
    return _page(tx, wanted, _FORWARDS, after)


def _pages(tx: Tx, wanted: Selection, way: _Way) -> Iterator[Batch]:
    last: Batch | None = None
    while found := _page(tx, wanted, way, last):
        yield from found
        if len(found) < _CHUNK:
            return
        last = found[-1]


def _page(tx: Tx, wanted: Selection, way: _Way, last: Batch | None) -> list[Batch]:
    if wanted.streams is None:
        of, owners = "group_id = ?", [wanted.group_id]
    else:
        of, owners = f"stream_id IN ({', '.join('?' * len(wanted.streams))})", list(wanted.streams)
    order, beyond, column = ("DESC", "<", way.column) if way.down else ("ASC", ">", way.column)
    further, at = ("", ()) if last is None else (f"AND ({column}, id) {beyond} (?, ?) ", way.place(last))
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM logs_batches WHERE {of} AND {way.where} {further}"
        f"ORDER BY {column} {order}, id {order} LIMIT {_CHUNK}",
        (*owners, *way.values(wanted), *at),
    )
    return [Batch(*row) for row in rows]


def by_id(tx: Tx, group_id: str, batch_id: str) -> Batch | None:
    """One of a group's batches."""
    row = tx.one(
        f"SELECT {_COLUMNS} FROM logs_batches WHERE id = ? AND group_id = ?",
        (batch_id, group_id),
    )
    return None if row is None else Batch(*row)


def ids_since(tx: Tx, groups: Sequence[str], first: str) -> list[str]:
    """The batches of groups whose ids are not less than ``first``, as they came."""
    marks = ", ".join("?" * len(groups))
    # By the primary key: of all batches there are few so new.
    rows = tx.all(
        f"SELECT id FROM logs_batches WHERE id >= ? AND group_id || '' IN ({marks}) ORDER BY id",
        (first, *groups),
    )
    return [row[0] for row in rows]


def delete_before(tx: Tx, group_id: str, timestamp: int, limit: int) -> int:
    """Remove batches of a group, at most so many, all of whose events are older; how many there were."""
    return tx.run(
        "DELETE FROM logs_batches WHERE id IN (SELECT id FROM logs_batches WHERE group_id = ? AND "
        "first_event < ? AND last_event < ? ORDER BY first_event LIMIT ?)",
        (group_id, timestamp, timestamp, limit),
    )
