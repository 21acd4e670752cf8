"""Messages as rows: sealed under the account's key and bound to their places, and within that, of queues that are
encrypted under a KMS key, under a data key (``encryption``).

Whatever is altered or moved in the database raises Tampered.
"""

from __future__ import annotations

import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from casemate.engine.envelope.errors import Tampered
from casemate.gate.keyring import Keyring
from casemate.services.sqs.queues import QueueRow
from casemate.store.database import Row, Tx
from casemate.store.ids import new_id

log = logging.getLogger("casemate.sqs")

_PURPOSE = "sqs message"
_COLUMNS = "id, sent, visible, receives, before, first_received, receipt, line, data"

_OLDEST, _GROUPS = 1_000, 10_000
"""Messages of a FIFO queue that are looked through in order, and message groups that are tried then."""

new_contents = new_id


class Message(NamedTuple):
    """What a message is. attributes: as SendMessage has them; trace: AWSTraceHeader; sent: milliseconds since the
    epoch, when it was sent first; sequence: of FIFO queues."""

    id: str
    body: str
    attributes: Mapping[str, Mapping[str, Any]]
    sender: str
    sent: int
    trace: str = ""
    group: str = ""
    deduplication: str = ""
    sequence: str = ""

    def written(self) -> bytes:
        text = {
            name: {
                part: b64encode(value).decode() if isinstance(value, bytes) else value
                for part, value in attribute.items()
            }
            for name, attribute in self.attributes.items()
        }
        return json.dumps([self.id, self.body, text, *self[3:]], separators=(",", ":")).encode()

    @classmethod
    def read(cls, written: bytes) -> Message:
        id_, body, text, *rest = json.loads(written)
        attributes = {
            name: {
                part: b64decode(value) if part == "BinaryValue" else value
                for part, value in attribute.items()
            }
            for name, attribute in text.items()
        }
        return cls(id_, body, attributes, *rest)


class Kept(NamedTuple):
    """A message's row. Times are seconds since the epoch; data_key: '' unless the content is sealed under one;
    source: the ARN of the queue that it came from as a dead letter; content: as ``Message.written``, maybe sealed."""

    id: str
    sent: float
    visible: float
    receives: int
    before: int
    first_received: float | None
    receipt: int
    line: str
    data_key: str
    source: str
    content: bytes


def put(tx: Tx, keyring: Keyring, queue: QueueRow, kept: Kept) -> None:
    """Put a message into a queue."""
    tx.run(
        "INSERT INTO sqs_messages (contents, id, sent, visible, receives, before, first_received, receipt, line, "
        "data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (queue.contents, *kept[:8], _sealed(tx, keyring, queue, kept)),
    )


def _sealed(tx: Tx, keyring: Keyring, queue: QueueRow, kept: Kept) -> bytes:
    head = f"{kept.data_key}\n{kept.source}\n".encode()
    return keyring.account_key(queue.place.account, tx).wrap(
        head + kept.content, _PURPOSE, queue.contents, kept.id
    )


def _opened(tx: Tx, keyring: Keyring, queue: QueueRow, row: Row) -> Kept:
    plain = keyring.account_key(queue.place.account, tx).unwrap(row[8], _PURPOSE, queue.contents, row[0])
    data_key, source, content = plain.split(b"\n", 2)
    return Kept._make((*row[:8], data_key.decode(), source.decode(), content))


def _opened_or_put_aside(tx: Tx, keyring: Keyring, queue: QueueRow, row: Row) -> Kept | None:
    """The message; None for one that was altered in the database, which must not stand before the others."""
    try:
        return _opened(tx, keyring, queue, row)
    except Tampered as error:
        put_aside(tx, queue, row[0], str(error))
        return None


def put_aside(tx: Tx, queue: QueueRow, id_: str, why: str) -> None:
    """Take a message that nobody can use out of the others' way."""
    log.error("a message of queue %s is not used: %s", queue.place.arn, why)
    tx.run(
        "UPDATE sqs_messages SET contents = ? WHERE contents = ? AND id = ?",
        (f"altered {queue.contents}", queue.contents, id_),
    )


def receivable(tx: Tx, keyring: Keyring, queue: QueueRow, now: float, most: int) -> list[Kept]:
    """Messages that may be received now, expired ones too; of FIFO queues in order, and none of a group of which an
    earlier one may not."""
    if queue.place.fifo:
        found = in_line(tx, queue, now, most)
        return [kept for id_ in found if (kept := one(tx, keyring, queue, id_)) is not None]
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM sqs_messages WHERE contents = ? AND visible <= ? "
        "ORDER BY visible, id LIMIT ? /*pg FOR UPDATE SKIP LOCKED */",
        (queue.contents, now, most),
    )
    return [kept for row in rows if (kept := _opened_or_put_aside(tx, keyring, queue, row)) is not None]


def in_line(tx: Tx, queue: QueueRow, now: float, most: int) -> list[str]:
    """The ids of messages of a FIFO queue that may be received now: of each group those before the first that
    may not.

    The oldest messages are looked through in order. Where these do not suffice, because they are of groups that must
    wait, the others' groups are tried one by one, from anywhere on: however much waits, it is a bounded look."""
    found, waiting = list[str](), set[str]()
    rows = tx.all(
        "SELECT id, line, visible FROM sqs_messages WHERE contents = ? ORDER BY id LIMIT ?",
        (queue.contents, _OLDEST),
    )
    for id_, line, visible in rows:
        if line in waiting:
            continue
        if visible > now:
            if line:
                waiting.add(line)
            continue
        found.append(id_)
        if len(found) == most:
            return found
    if len(rows) == _OLDEST:
        _further(tx, queue, now, most, rows[-1][0], waiting, found)
    return found


def _further(
    tx: Tx, queue: QueueRow, now: float, most: int, after: str, waiting: set[str], found: list[str]
) -> None:
    """Messages after one, of groups that need not wait."""
    start = sha256(after.encode() + str(now).encode()).hexdigest()[:40]
    line, turned = start, False
    for _ in range(_GROUPS):
        row = tx.one(
            "SELECT line FROM sqs_messages WHERE contents = ? AND line > ? AND line <> '' ORDER BY line LIMIT 1",
            (queue.contents, line),
        )
        if row is None:
            if turned:
                return
            line, turned = "", True
            continue
        line = row[0]
        if turned and line > start:
            return
        if line in waiting:
            continue
        for id_, visible in tx.all(
            "SELECT id, visible FROM sqs_messages WHERE contents = ? AND line = ? AND line <> '' AND id > ? "
            "ORDER BY id LIMIT ?",
            (queue.contents, line, after, most - len(found)),
        ):
            if visible > now:
                break
            found.append(id_)
        if len(found) == most:
            return


def one(tx: Tx, keyring: Keyring, queue: QueueRow, id_: str) -> Kept | None:
    """The message of a row's id."""
    row = tx.one(
        f"SELECT {_COLUMNS} FROM sqs_messages WHERE contents = ? AND id = ?",
        (queue.contents, id_),
    )
    return None if row is None else _opened_or_put_aside(tx, keyring, queue, row)


def received(tx: Tx, queue: QueueRow, kept: Kept) -> None:
    """Note a receive: what of the row changes with it."""
    tx.run(
        "UPDATE sqs_messages SET visible = ?, receives = ?, first_received = ?, receipt = ? "
        "WHERE contents = ? AND id = ?",
        (kept.visible, kept.receives, kept.first_received, kept.receipt, queue.contents, kept.id),
    )


def hide(tx: Tx, queue: QueueRow, id_: str, visible: float) -> None:
    """Let a message be visible from then on."""
    tx.run(
        "UPDATE sqs_messages SET visible = ? WHERE contents = ? AND id = ?", (visible, queue.contents, id_)
    )


def remove(tx: Tx, queue: QueueRow, id_: str) -> None:
    tx.run("DELETE FROM sqs_messages WHERE contents = ? AND id = ?", (queue.contents, id_))


def next_visible(tx: Tx, queue: QueueRow, now: float) -> float | None:
    """When the next message becomes visible."""
    row = tx.one(
        "SELECT MIN(visible) FROM sqs_messages WHERE contents = ? AND visible > ?", (queue.contents, now)
    )
    return None if row is None else row[0]


def expired_before(queue: QueueRow, now: float) -> float:
    """What was sent before then is retained no longer."""
    return now - queue.number("MessageRetentionPeriod")


def counted(tx: Tx, queue: QueueRow, now: float) -> dict[str, int]:
    """How many messages there are of each kind."""
    row = tx.one(
        "SELECT coalesce(CAST(SUM(CASE WHEN visible <= ? THEN 1 ELSE 0 END) AS INTEGER), 0), "
        "coalesce(CAST(SUM(CASE WHEN visible > ? AND receives = before THEN 1 ELSE 0 END) AS INTEGER), 0), "
        "coalesce(CAST(SUM(CASE WHEN visible > ? AND receives > before THEN 1 ELSE 0 END) AS INTEGER), 0) "
        "FROM sqs_messages WHERE contents = ? AND sent >= ?",
        (now, now, now, queue.contents, expired_before(queue, now)),
    )
    assert row is not None
    return {
        "ApproximateNumberOfMessages": row[0],
        "ApproximateNumberOfMessagesDelayed": row[1],
        "ApproximateNumberOfMessagesNotVisible": row[2],
    }


def in_flight(tx: Tx, queue: QueueRow, now: float) -> int:
    row = tx.one(
        "SELECT COUNT(*) FROM sqs_messages WHERE contents = ? AND visible > ? AND receives > before",
        (queue.contents, now),
    )
    assert row is not None
    return int(row[0])


def next_sequence(tx: Tx, queue: QueueRow) -> int:
    """The next sequence number of a FIFO queue."""
    row = tx.one(
        "INSERT INTO sqs_sequences (queue, last) VALUES (?, 1) "
        "ON CONFLICT (queue) DO UPDATE SET last = sqs_sequences.last + 1 RETURNING last",
        (queue.id,),
    )
    assert row is not None
    return int(row[0])


_SHOWN_FROM = 18_850_000_000_000_000_000
"""AWS's have twenty digits; only their order means something."""


def shown_sequence(sequence: int) -> str:
    """How clients see a sequence number."""
    return str(_SHOWN_FROM + sequence)


def row_id(sequence: int) -> str:
    """A FIFO queue's message's row id."""
    return f"{sequence:020d}"
