"""Pages: what a reading of the audit journal found, by account, Region and hour, compressed and sealed, as rows.

The pages of a reading come in the transaction in which the reading moves on, so that each record is in one page. They
stay rows until they are shipped to the archive (shipping.py).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orjson import dumps, loads

from casemate.services.cloudtrail import terms
from casemate.services.cloudtrail.page_tokens import Place
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.engine.envelope.hierarchy import WrappingKey
    from casemate.store.database import Tx
    from casemate.store.journal_format import Position

PURPOSE: Final = "audit history"
"""Of the root's key that pages are sealed under, and of what they are bound to."""
_TERMS: Final = "audit history terms"

_MOST_EVENTS: Final = 4096
_MOST_BYTES: Final = 4 * 1024 * 1024
"""A page's, before it is compressed."""


def seconds_of(moment: str) -> int:
    """Of an eventTime, since the epoch."""
    return int(datetime.fromisoformat(moment).timestamp())


class Entry(NamedTuple):
    """A record as it is kept. order: when the journal wrote it, nanoseconds since the epoch, and its number within
    that moment; run, segment: where the journal has it."""

    order: int
    run: str
    segment: int
    text: bytes


class Page(NamedTuple):
    """A page's row without what it holds."""

    account: str
    region: str
    last: int
    id: str
    first: int
    management: int
    file: str


class _Gathered:
    """The page that is being filled, of one account, Region and hour."""

    __slots__ = ("bytes", "entries", "first", "last", "management", "seen", "terms")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.first, self.last = 1 << 62, 0
        self.management = 0
        self.bytes = 0
        self.terms = terms.no_terms()
        self.seen: set[terms.Source] = set()

    def add(self, time: int, entry: Entry, record: Mapping[str, Any]) -> None:
        self.entries.append(entry)
        self.first, self.last = min(self.first, time), max(self.last, time)
        self.bytes += len(entry.text)
        if record["managementEvent"]:
            self.management += 1
            # Most calls are like others before them.
            source = terms.source(record)
            if source not in self.seen:
                self.seen.add(source)
                terms.add(self.terms, record)

    @property
    def full(self) -> bool:
        return len(self.entries) >= _MOST_EVENTS or self.bytes >= _MOST_BYTES


class Sealed(NamedTuple):
    """A page's whole row but for its reading."""

    page: Page
    size: int
    terms: bytes
    records: bytes


class Gathering:
    """What one reading finds. key: seals it."""

    def __init__(self, key: WrappingKey, also: Callable[[Tx], object]) -> None:
        self._key = key
        self._also = also
        self._open: dict[tuple[str, str, int], _Gathered] = {}
        self._packed: list[Sealed] = []
        self._times: dict[str, int] = {}

    def see(self, position: Position, text: bytes, record: Mapping[str, Any]) -> None:
        """One more record, in the order of the journal."""
        moment = record["eventTime"]
        time = self._times.get(moment)
        if time is None:
            if len(self._times) > 10_000:
                self._times.clear()
            time = self._times[moment] = seconds_of(moment)
        place = record["recipientAccountId"], record["awsRegion"], time // 3600
        gathered = self._open.get(place)
        if gathered is None:
            gathered = self._open[place] = _Gathered()
        entry = Entry(position.time_ns + position.record, position.run, position.sequence, text)
        gathered.add(time, entry, record)
        if gathered.full:
            self._packed.append(self._pack(*place[:2], self._open.pop(place)))

    def pack(self) -> Callable[[Tx, Mapping[str, int]], None]:
        """What keeps it: in the reading's transaction, with each run's segment that the reading went on in."""
        for (account, region, _), gathered in self._open.items():
            self._packed.append(self._pack(account, region, gathered))
        self._open.clear()
        packed = self._packed

        def keep(tx: Tx, segments: Mapping[str, int]) -> None:
            if not packed:
                return
            reading = new_id()
            tx.run(
                "INSERT INTO cloudtrail_readings (id, segments) VALUES (?, ?)",
                (reading, json.dumps(dict(segments))),
            )
            for each in packed:
                insert(tx, each, reading)
            self._also(tx)

        return keep

    def _pack(self, account: str, region: str, gathered: _Gathered) -> Sealed:
        page = Page(account, region, gathered.last, new_id(), gathered.first, gathered.management, "")
        runs = {run: index for index, run in enumerate({entry.run for entry in gathered.entries})}
        head = dumps(
            [
                list(runs),
                [[entry.order, runs[entry.run], entry.segment] for entry in gathered.entries],
            ]
        )
        # A record is JSON of one line.
        plain = b"\n".join([head, *(entry.text for entry in gathered.entries)])
        return Sealed(
            page,
            gathered.bytes,
            self._key.wrap(terms.encode(gathered.terms), _TERMS, *_names(page)),
            self._key.wrap(zlib.compress(plain, 1), PURPOSE, *_names(page)),
        )


def _names(page: Page) -> tuple[str | int, ...]:
    return (page.account, page.region, page.id, page.first, page.last)


def insert(tx: Tx, sealed: Sealed, reading: str) -> None:
    tx.run(
        "INSERT INTO cloudtrail_pages (account, region, last, id, first, management, file, reading, bytes, terms, "
        "records) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*sealed.page, reading, sealed.size, sealed.terms, sealed.records),
    )


def terms_of(key: WrappingKey, page: Page, sealed: bytes, attribute: int) -> bytes:
    """An attribute's terms of a page. Raises Tampered."""
    if page.file:
        return key.unwrap(sealed, _TERMS, attribute, *_names(page))
    return terms.of_attribute(key.unwrap(sealed, _TERMS, *_names(page)), attribute)


def seal_terms(key: WrappingKey, page: Page, attribute: int, found: set[int]) -> bytes:
    """Of a file's page."""
    return key.wrap(terms.encode_one(found), _TERMS, attribute, *_names(page))


def entries(key: WrappingKey, page: Page, sealed: bytes) -> Iterator[Entry]:
    """What a page that is no file's holds, in the order of the journal. Raises Tampered."""
    head, *texts = zlib.decompress(key.unwrap(sealed, PURPOSE, *_names(page))).split(b"\n")
    runs, places = loads(head)
    for (order, run, segment), text in zip(places, texts, strict=True):
        yield Entry(order, runs[run], segment, text)


def place_of(order: int, record: Mapping[str, Any]) -> Place:
    return Place(seconds_of(record["eventTime"]), order, record["eventID"])
