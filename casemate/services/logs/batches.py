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
    names = _names(group_id, *batch[:5])
    plain = zlib.decompress(cipher.unwrap(batch.data, PURPOSE, *names))
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


def forwards(tx: Tx, wanted: Selection) -> Iterator[Batch]:
    """By their first event."""
    yield from _pages(
        tx,
        wanted,
        lambda batch: (batch.first_event, batch.id),
        "first_event BETWEEN ? AND ? AND last_event >= ?",
        (wanted.start - LONGEST, wanted.end, wanted.start),
        "first_event",
        ">",
    )


def backwards(tx: Tx, wanted: Selection) -> Iterator[Batch]:
    """By their last event, the latest first."""
    yield from _pages(
        tx,
        wanted,
        lambda batch: (batch.last_event, batch.id),
        "last_event BETWEEN ? AND ? AND first_event <= ?",
        (wanted.start, wanted.end + LONGEST, wanted.end),
        "last_event",
        "<",
    )


def _pages(
    tx: Tx,
    wanted: Selection,
    place: Callable[[Batch], tuple[int, str]],
    where: str,
    values: tuple[int, ...],
    column: str,
    beyond: str,
) -> Iterator[Batch]:
    if wanted.streams is None:
        of, owners = "group_id = ?", [wanted.group_id]
    else:
        of, owners = f"stream_id IN ({', '.join('?' * len(wanted.streams))})", list(wanted.streams)
    order = "ASC" if beyond == ">" else "DESC"
    last: tuple[int, str] | None = None
    while True:
        further, at = ("", ()) if last is None else (f"AND ({column}, id) {beyond} (?, ?) ", last)
        rows = tx.all(
            f"SELECT {_COLUMNS} FROM logs_batches WHERE {of} AND {where} {further}"
            f"ORDER BY {column} {order}, id {order} LIMIT {_CHUNK}",
            (*owners, *values, *at),
        )
        for row in rows:
            batch = Batch(*row)
            last = place(batch)
            yield batch
        if len(rows) < _CHUNK:
            return


def delete_before(tx: Tx, group_id: str, timestamp: int, limit: int) -> int:
    """Remove batches of a group, at most so many, all of whose events are older; how many there were."""
    return tx.run(
        "DELETE FROM logs_batches WHERE id IN (SELECT id FROM logs_batches WHERE group_id = ? AND "
        "first_event < ? AND last_event < ? ORDER BY first_event LIMIT ?)",
        (group_id, timestamp, timestamp, limit),
    )
