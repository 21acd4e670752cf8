"""Shipping: pages of hours that are over go to the archive, a file at a time; and what is older than the archive
keeps is removed.

A file is durable before the transaction that puts its pages in place of those that it holds. A crash before that
leaves a blob that nothing refers to, which is swept in a day.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from orjson import loads

from casemate.services.cloudtrail import pages, terms
from casemate.services.cloudtrail.pages import Page, Sealed, seconds_of
from casemate.store import jobs
from casemate.store.blobs import sweep_orphans
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from casemate.clock import Clock
    from casemate.engine.envelope.hierarchy import WrappingKey
    from casemate.services.cloudtrail.archive import Archive
    from casemate.services.cloudtrail.pages import Entry
    from casemate.store.database import Store, Tx
    from casemate.store.jobs import Job

KIND: Final = "cloudtrail.ship"
EVERY: Final = 300.0
"""Seconds between two looks."""
LATE: Final = 120
"""Seconds after an hour's end for which its events may still come."""

_MOST_BYTES: Final = 8 * 1024 * 1024
"""Of records that make a file, about."""
_MOST_PAGES: Final = 16_384
_WAITING_BYTES: Final = 64 * 1024 * 1024
"""So much waits for its hour's end; what is more is shipped before."""
_SWEEP_EVERY: Final = 86_400
_EXPIRED: Final = 100

log = logging.getLogger("casemate.cloudtrail")


def schedule(tx: Tx, now: float) -> None:
    """Have pages shipped, from the first one on."""
    jobs.schedule_for_good(tx, KIND, now + EVERY, EVERY)


def shipper(store: Store, archive: Archive, key: WrappingKey, clock: Clock) -> Callable[[Job], None]:
    """The handler that ships what there is to ship. key: of pages."""
    days = archive.days

    def ship(job: Job) -> None:
        now = clock.now()
        while chosen := store.read(lambda tx: _next(tx, now)):
            ship_pages(store, archive, key, chosen, job)
        while days and (expired := store.write(lambda tx: _expire(tx, int(now) - days * 86_400))):
            for blob in expired:
                archive.blobs.delete(blob)
            store.write(job.renew)
        if int(job.due) // _SWEEP_EVERY != int(job.due - EVERY) // _SWEEP_EVERY:
            _sweep(store, archive, job)

    return ship


def _next(tx: Tx, now: float) -> Sequence[Page]:
    """The oldest pages that are to be shipped: of one hour, and as many as make a file."""
    over = int(now - LATE) // 3600 * 3600
    row = tx.one("SELECT CAST(SUM(bytes) AS INTEGER) FROM cloudtrail_pages WHERE file = ''")
    too_much = row is not None and (row[0] or 0) > _WAITING_BYTES
    chosen: list[Page] = []
    left = _MOST_BYTES
    for *of_page, length in tx.all(
        "SELECT account, region, last, id, first, management, file, bytes FROM cloudtrail_pages WHERE file = '' "
        "ORDER BY id LIMIT ?",
        (_MOST_PAGES,),
    ):
        page = Page(*of_page)
        if (page.last < over or too_much) and (not chosen or page.last // 3600 == chosen[0].last // 3600):
            chosen.append(page)
            left -= length
            if left <= 0:
                break
    return chosen


def ship_pages(store: Store, archive: Archive, key: WrappingKey, chosen: Sequence[Page], job: Job) -> None:
    """Make a file of these pages, and put it in their place. Raises LeaseLost when somebody else did."""
    held = store.read(lambda tx: _held(tx, key, chosen))
    file = archive.write(held)
    made = _pages_of(held, file.name)
    sealed = [
        (page, attribute, pages.seal_terms(key, page, attribute, found))
        for page, of_page in made
        for attribute, found in enumerate(of_page)
        if found
    ]

    def replace(tx: Tx) -> None:
        job.renew(tx)
        for page in chosen:
            gone = tx.run(
                "DELETE FROM cloudtrail_pages WHERE account = ? AND region = ? AND last = ? AND id = ?",
                page[:4],
            )
            if not gone:
                raise jobs.LeaseLost("the pages are in the archive already")
        tx.run(
            "DELETE FROM cloudtrail_readings WHERE NOT EXISTS (SELECT 1 FROM cloudtrail_pages p "
            "WHERE p.file = '' AND p.reading = cloudtrail_readings.id)"
        )
        first, last = min(page.first for page, _ in made), max(page.last for page, _ in made)
        tx.run(
            "INSERT INTO cloudtrail_archive (name, blob, size, key, first, last, events) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (file.name, file.blob, file.size, file.key, first, last, len(held)),
        )
        for page, _ in made:
            pages.insert(tx, Sealed(page, 0, b"", b""), "")
        for page, attribute, found in sealed:
            tx.run(
                "INSERT INTO cloudtrail_terms (page, attribute, terms) VALUES (?, ?, ?)",
                (page.id, attribute, found),
            )

    try:
        store.write(replace)
    except jobs.LeaseLost:
        archive.blobs.delete(file.blob)
        raise


def _held(tx: Tx, key: WrappingKey, chosen: Sequence[Page]) -> list[Entry]:
    held: list[Entry] = []
    for page in chosen:
        row = tx.one(
            "SELECT records FROM cloudtrail_pages WHERE account = ? AND region = ? AND last = ? AND id = ?",
            page[:4],
        )
        if row is None:
            raise jobs.LeaseLost("the pages are in the archive already")
        held += pages.entries(key, page, row[0])
    return held


def _pages_of(held: Iterable[Entry], file: str) -> list[tuple[Page, terms.Terms]]:
    """The pages of a file, by account and Region, with what may be looked up in each."""
    made: dict[tuple[str, str], tuple[Page, terms.Terms]] = {}
    for entry in held:
        record = loads(entry.text)
        place = record["recipientAccountId"], record["awsRegion"]
        time = seconds_of(record["eventTime"])
        if place not in made:
            made[place] = Page(*place, time, new_id(), time, 0, file), terms.no_terms()
        page, found = made[place]
        if record["managementEvent"]:
            page = page._replace(management=page.management + 1)
            terms.add(found, record)
        made[place] = page._replace(first=min(page.first, time), last=max(page.last, time)), found
    return list(made.values())


def _expire(tx: Tx, before: int) -> list[str]:
    """Remove the rows of some files whose events are all older; the blobs that are to be removed."""
    files = tx.all(
        "SELECT name, blob FROM cloudtrail_archive WHERE last < ? ORDER BY last LIMIT ?", (before, _EXPIRED)
    )
    for name, _ in files:
        tx.run(
            "DELETE FROM cloudtrail_terms WHERE page IN (SELECT id FROM cloudtrail_pages WHERE file = ?)",
            (name,),
        )
        tx.run("DELETE FROM cloudtrail_pages WHERE file = ? AND file <> ''", (name,))
        tx.run("DELETE FROM cloudtrail_archive WHERE name = ?", (name,))
    return [blob for _, blob in files]


def _sweep(store: Store, archive: Archive, job: Job) -> None:
    """Remove the blobs that crashes left behind."""
    before = time.time() - _SWEEP_EVERY
    for _ in sweep_orphans(
        archive.blobs, lambda ids: store.read(lambda tx: _referenced(tx, ids)), before=before
    ):
        store.write(job.renew)


def _referenced(tx: Tx, ids: list[str]) -> list[str]:
    marks = ", ".join("?" * len(ids))
    return [blob for (blob,) in tx.all(f"SELECT blob FROM cloudtrail_archive WHERE blob IN ({marks})", ids)]
