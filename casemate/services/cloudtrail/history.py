"""The history of events, as lookups read it: pages, the latest first, in rows and in the archive."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orjson import dumps, loads

from casemate.services.cloudtrail import pages, shipping
from casemate.services.cloudtrail.archive import listed
from casemate.services.cloudtrail.found_events import values
from casemate.services.cloudtrail.page_tokens import Place
from casemate.services.cloudtrail.pages import Entry, Gathering, Page
from casemate.services.cloudtrail.sealed_files import File
from casemate.services.cloudtrail.terms import INDEXED, may_have

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from casemate.clock import Clock
    from casemate.engine.envelope.hierarchy import WrappingKey
    from casemate.services.cloudtrail.archive import Archive
    from casemate.store.database import Tx

_ROWS: Final = 256
"""Pages that are read at a time."""
_MOST_FILES: Final = 64
"""Files that are asked at a time."""

_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)

_CONDITIONS: Final = {
    "EventId": "event_id = ?",
    "EventName": "event_name = ?",
    "ReadOnly": "read_only = ?",
    "Username": "user_name = ?",
    "ResourceType": "contains(resource_types, ?)",
    "ResourceName": "contains(resource_names, ?)",
    "EventSource": "event_source = ?",
    "AccessKeyId": "access_key_id = ?",
}


class Lookup(NamedTuple):
    """What is looked for: management events from start to end, both included, seconds since the epoch; and before a
    place, where one is given. key: an attribute, '' for whatever there is."""

    account: str
    region: str
    key: str
    value: str
    start: int
    end: int
    after: Place | None = None

    def means(self, place: Place, record: Mapping[str, Any]) -> bool:
        """Whether a record of this account and Region is meant."""
        return (
            self.start <= place.time <= self.end
            and (self.after is None or place < self.after)
            and record["managementEvent"]
            and (not self.key or self.value in values(record, self.key))
        )

    @property
    def latest(self) -> int:
        """No event that is meant is later."""
        return self.end if self.after is None else min(self.end, self.after.time)


class Found(NamedTuple):
    place: Place
    text: str

    @property
    def record(self) -> Mapping[str, Any]:
        record: Mapping[str, Any] = loads(self.text)
        return record


class HistoryReader(NamedTuple):
    """Whoever reads the audit. catch_up: reads what has come up to now, if that is soon done, in a thread that may
    wait; what it leaves is read within seconds."""

    catch_up: Callable[[], object]


class History:
    """key: of pages."""

    def __init__(self, archive: Archive, key: WrappingKey) -> None:
        self.archive = archive
        self.key = key

    def __repr__(self) -> str:
        return "<History>"

    def gathering(self, clock: Clock) -> Gathering:
        """What the next reading of the journal is gathered by."""
        return Gathering(self.key, lambda tx: shipping.schedule(tx, clock.now()))

    def find(self, tx: Tx, lookup: Lookup, limit: int) -> Sequence[Found]:
        """The latest events that are meant, the latest first. Raises Tampered, Unavailable."""
        if lookup.key == "EventId":
            lookup = _of_id(lookup)
        found: list[Found] = []
        files: list[File] = []
        wave = 1
        for page in self._pages(tx, lookup):
            if len(files) >= wave or (files and len(found) >= limit):
                found = _latest([*found, *self._in_files(files, lookup, limit)], limit)
                files, wave = [], min(2 * wave, _MOST_FILES)
            if len(found) >= limit and found[-1].place.time > page.last:
                break
            if page.file:
                files.append(_file(tx, page.file))
            else:
                found = _latest([*found, *self._in_page(tx, page, lookup)], limit)
        return _latest([*found, *self._in_files(files, lookup, limit)], limit)

    @staticmethod
    def held(tx: Tx) -> Iterator[Mapping[str, int]]:
        """The segments that the journal keeps until what was read from them on is in the archive."""
        for (segments,) in tx.all("SELECT segments FROM cloudtrail_readings"):
            yield loads(segments)

    def everything(self, tx: Tx) -> list[Callable[[], Iterator[Entry]]]:
        """All that is kept, in parts, the oldest first. A part is read outside of the transaction. Raises Tampered,
        Unavailable."""
        parts: list[tuple[int, str, Callable[[], Iterator[Entry]]]] = []
        for *file, last in tx.all("SELECT name, blob, size, key, last FROM cloudtrail_archive"):
            parts.append((last // 3600, file[0], partial(self.archive.entries, File(*file))))
        for *of_page, records in tx.all(
            "SELECT account, region, last, id, first, management, file, records FROM cloudtrail_pages "
            "WHERE file = ''"
        ):
            page = Page(*of_page)
            parts.append((page.last // 3600, page.id, partial(pages.entries, self.key, page, records)))
        return [part for *_, part in sorted(parts, key=lambda each: each[:2])]

    def _pages(self, tx: Tx, lookup: Lookup) -> Iterator[Page]:
        """The pages that may have events that are meant, by their latest event, the latest first."""
        attribute = INDEXED.index(lookup.key) if lookup.key in INDEXED else None
        last, id_ = 1 << 62, ""
        while True:
            rows = tx.all(
                "SELECT p.account, p.region, p.last, p.id, p.first, p.management, p.file, p.terms, t.terms "
                "FROM cloudtrail_pages p LEFT JOIN cloudtrail_terms t ON t.page = p.id AND t.attribute = ? "
                "WHERE p.account = ? AND p.region = ? AND p.last >= ? AND (p.last, p.id) < (?, ?) "
                "AND p.first <= ? AND p.management > 0 ORDER BY p.last DESC, p.id DESC LIMIT ?",
                (
                    -1 if attribute is None else attribute,
                    *(lookup.account, lookup.region, lookup.start),
                    *(last, id_, lookup.latest, _ROWS),
                ),
            )
            for *of_page, inline, of_file in rows:
                page = Page(*of_page)
                if attribute is not None:
                    sealed = of_file if page.file else inline
                    if not may_have(pages.terms_of(self.key, page, sealed, attribute), lookup.value):
                        continue
                yield page
            if len(rows) < _ROWS:
                return
            last, id_ = rows[-1][2], rows[-1][3]

    def _in_page(self, tx: Tx, page: Page, lookup: Lookup) -> Iterator[Found]:
        row = tx.one(
            "SELECT records FROM cloudtrail_pages WHERE account = ? AND region = ? AND last = ? AND id = ?",
            page[:4],
        )
        assert row is not None
        needle = _needle(lookup)
        for entry in pages.entries(self.key, page, row[0]):
            if needle in entry.text:
                record = loads(entry.text)
                place = pages.place_of(entry.order, record)
                if lookup.means(place, record):
                    yield Found(place, entry.text.decode())

    def _in_files(self, files: Sequence[File], lookup: Lookup, limit: int) -> Iterator[Found]:
        where = "account = ? AND region = ? AND management AND event_time BETWEEN ? AND ?"
        parameters: list[Any] = [lookup.account, lookup.region, lookup.start, lookup.latest]
        if lookup.after is not None:
            where += " AND (event_time, written, event_id) < (?, ?, ?)"
            parameters += lookup.after
        if "\n" in lookup.value:
            return
        if lookup.key:
            where += f" AND {_CONDITIONS[lookup.key]}"
            several = lookup.key.startswith("Resource")
            parameters.append(listed([lookup.value]) if several else lookup.value)
        for time, written, event, text in self.archive.latest(files, where, parameters, limit):
            yield Found(Place(time, written, event), text)


def _latest(found: list[Found], limit: int) -> list[Found]:
    return sorted(found, reverse=True)[:limit]


def _file(tx: Tx, name: str) -> File:
    row = tx.one("SELECT name, blob, size, key FROM cloudtrail_archive WHERE name = ?", (name,))
    assert row is not None
    return File(*row)


def _of_id(lookup: Lookup) -> Lookup:
    """An event's id begins with its time."""
    if not _ID.fullmatch(lookup.value):
        return lookup._replace(start=1, end=0)
    # The latest time of those that end in these 32 bits.
    time = lookup.end - (lookup.end - int(lookup.value[:8], 16)) % (1 << 32)
    return lookup._replace(start=max(lookup.start, time), end=time)


def _needle(lookup: Lookup) -> bytes:
    """What the JSON of every record has that is meant."""
    if lookup.key == "ReadOnly":
        return b'"readOnly":%b' % lookup.value.encode()
    if not lookup.key or (lookup.key == "Username" and lookup.value == "root"):
        return b""
    return dumps(lookup.value)[1:-1]
