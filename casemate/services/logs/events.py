"""Log events in order: out of batches, which may overlap in time.

Events are ordered by timestamp, then as they came. Batches are read by their first event (or, backwards, by their
last one); what was read waits until no batch that is still to come can hold an earlier event.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from casemate.services.logs.batches import Selection, backwards, forwards, opened

if TYPE_CHECKING:
    from casemate.engine.logs import FilterPattern
    from casemate.services.logs.encryption import Ciphers
    from casemate.store.database import Tx

_BATCH_BITS, _NUMBER_BITS = 128, 14
_DIGITS = 56


class Position(NamedTuple):
    """An event's place in the order. timestamp: milliseconds; batch: its batch's id as a number; number: of the event
    in the batch."""

    timestamp: int
    batch: int
    number: int

    def __str__(self) -> str:
        """56 digits, as AWS's event ids and tokens have."""
        place = (self.timestamp << _BATCH_BITS | self.batch) << _NUMBER_BITS | self.number
        return f"{place:0{_DIGITS}d}"


def read_position(digits: str) -> Position | None:
    """None for what is none."""
    if len(digits) != _DIGITS or not (digits.isascii() and digits.isdecimal()):
        return None
    place = int(digits)
    number = place & (1 << _NUMBER_BITS) - 1
    place >>= _NUMBER_BITS
    return Position(place >> _BATCH_BITS, place & (1 << _BATCH_BITS) - 1, number)


class Event(NamedTuple):
    """ingested: when it came."""

    position: Position
    message: str
    stream_id: str
    ingested: int


class Budget:
    """How many bytes of batches may still be read for a request. resume: where to go on once that is spent."""

    def __init__(self, stored: int) -> None:
        self.left = stored
        self.resume: Position | None = None


def ascending(
    tx: Tx,
    wanted: Selection,
    ciphers: Ciphers,
    after: Position | None = None,
    pattern: FilterPattern | None = None,
    budget: Budget | None = None,
) -> Iterator[Event]:
    """The events from wanted.start to wanted.end that come after a position. Ends early when the budget is spent,
    which then tells where to go on. Raises Tampered, AccessDeniedException."""
    start = wanted.start if after is None else max(wanted.start, after.timestamp)
    waiting: list[Event] = []
    for batch in forwards(tx, wanted._replace(start=start)):
        while waiting and waiting[0].position.timestamp < batch.first_event:
            yield heapq.heappop(waiting)
        if budget is not None:
            if budget.left <= 0 and batch.first_event > start:
                # All events before this batch's first one are out.
                budget.resume = Position(batch.first_event, 0, 0)
                return
            budget.left -= batch.stored
        number = int(batch.id, 16)
        for timestamp, index, message in opened(wanted.group_id, batch, ciphers[batch.data_key], pattern):
            if start <= timestamp <= wanted.end:
                position = Position(timestamp, number, index)
                if after is None or position > after:
                    heapq.heappush(waiting, Event(position, message, batch.stream_id, batch.ingested))
    while waiting:
        yield heapq.heappop(waiting)


def descending(
    tx: Tx, wanted: Selection, ciphers: Ciphers, before: Position | None = None
) -> Iterator[Event]:
    """The same from the end, before a position."""
    end = wanted.end if before is None else min(wanted.end, before.timestamp)
    # A heap has its least in front: by what is left of them to a bound that no position reaches.
    waiting: list[tuple[int, int, int, Event]] = []
    for batch in backwards(tx, wanted._replace(end=end)):
        while waiting and -waiting[0][0] > batch.last_event:
            yield heapq.heappop(waiting)[3]
        number = int(batch.id, 16)
        for timestamp, index, message in opened(wanted.group_id, batch, ciphers[batch.data_key], None):
            if wanted.start <= timestamp <= end:
                position = Position(timestamp, number, index)
                if before is None or position < before:
                    event = Event(position, message, batch.stream_id, batch.ingested)
                    heapq.heappush(waiting, (-timestamp, -number, -index, event))
    while waiting:
        yield heapq.heappop(waiting)[3]
