"""Runs queries in the background: reads a group's batches, a page in each transaction, and gives them to the engine.

A query is a job, so that one whose server is killed begins again. Few run at once in a worker; the others wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from casemate.engine.envelope.errors import Tampered
from casemate.engine.logs.insights import Piece, QueryError, QueryFailed, QueryStopped, Running, plan_query
from casemate.errors import AwsError, origin
from casemate.gate.acting import in_background
from casemate.services.logs import batches, streams
from casemate.services.logs.batches import Batch, Selection
from casemate.services.logs.encryption import Cipher, DataKeys
from casemate.services.logs.groups import Groups
from casemate.services.logs.query_store import SHOWN_FOR, Queries, Query
from casemate.services.logs.retrieving import oldest_shown
from casemate.store import jobs
from casemate.store.errors import StoreError
from casemate.store.jobs import ELSEWHERE

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.gate import Gate
    from casemate.store.database import Tx
    from casemate.store.jobs import Job

log = logging.getLogger("casemate.logs")

RUN, FORGET = "logs.query", "logs.forget_queries"
AT_ONCE = 2
TIMEOUT = 15 * 60.0
"""Seconds for which a query may run."""
MOST_RESULT = 32 * 1_048_576
"""Characters of a result; rows beyond are left out."""
_FORGET_EVERY = 3600.0
_AGAIN = 0.5
_RENEW = 15.0


def schedule(tx: Tx, query: Query, now: float) -> None:
    """Run a query."""
    jobs.schedule(tx, RUN, now, {"key": list(query.key)}, id=f"{RUN} {query.id}")
    jobs.schedule_for_good(tx, FORGET, now + _FORGET_EVERY, _FORGET_EVERY)


def forgetter(gate: Gate) -> Callable[[Job], None]:
    """Removes the queries that are over for too long."""

    def forget(job: Job) -> None:
        def some(tx: Tx) -> None:
            gate.parts[Queries].forget(tx, int(gate.clock.now() * 1000) - SHOWN_FOR)
            job.finish(tx)

        gate.store.write(some)

    return forget


def runner(gate: Gate) -> Callable[[Job], object]:
    """Runs a query in a thread of its own."""
    slots = threading.Semaphore(AT_ONCE)

    def run(job: Job) -> object:
        if not slots.acquire(blocking=False):
            due = gate.clock.now() + _AGAIN
            gate.store.write(lambda tx: jobs.schedule(tx, RUN, due, job.payload, id=job.id))
            return ELSEWHERE

        def work() -> None:
            try:
                _Run(gate, job).run()
            except StoreError as error:
                log.warning("a query is not finished: %s", error)
            except Exception as defect:
                log.error("a query failed: %s", origin(defect))
            finally:
                slots.release()

        gate.apart(work)
        return ELSEWHERE

    return run


class _Page(NamedTuple):
    """pieces: what the batches of a page hold; start: what is older is expired, or not asked for; stored: the bytes
    that the events count for; events: how many; last: the page's last batch, None when there are no more."""

    pieces: list[Piece]
    start: int
    stored: int
    events: int
    last: Batch | None


class _Run:
    """One run of a query."""

    def __init__(self, gate: Gate, job: Job) -> None:
        self._gate = gate
        self._job = job
        self._queries: Queries = gate.parts[Queries]
        account, region, query_id = job.payload["key"]
        self._key = (account, region, query_id)
        self._begun = time.monotonic()
        self._renewed = self._begun
        self._late = False
        self._statistics = {
            "recordsMatched": 0.0,
            "recordsScanned": 0.0,
            "bytesScanned": 0.0,
            "logGroupsScanned": 0.0,
        }

    def run(self) -> None:
        query = self._gate.store.write(self._start)
        if query is None:
            return
        status, rows = "Failed", []
        try:
            plan = plan_query(query.asked["text"], query.asked["limit"])
            with Running(plan, self._gate.clock.now(), query.asked["end"]) as running:
                self._queries.begin(query.id, running)
                clock = threading.Timer(TIMEOUT, self._time_out, (running,))
                clock.daemon = True
                clock.start()
                try:
                    self._scan(query, running)
                    rows = list(_bounded(running))
                finally:
                    clock.cancel()
                    self._queries.end(query.id)
                self._statistics["recordsMatched"] = float(running.matched)
            status = "Complete"
        except QueryStopped:
            if self._queries.closing:
                # The lease runs out, and it begins again.
                return
            status = "Timeout" if self._late else "Cancelled"
        except (AwsError, QueryError, QueryFailed, Tampered) as error:
            log.warning("query %s failed: %s", query.id, type(error).__name__)
        self._gate.store.write(lambda tx: self._finish(tx, query, status, rows))

    def _time_out(self, running: Running) -> None:
        self._late = True
        running.stop()

    def _start(self, tx: Tx) -> Query | None:
        query = self._queries.find(tx, *self._key, int(self._gate.clock.now() * 1000))
        if query is None or not self._queries.change(tx, query, "Running"):
            self._job.finish(tx)
            return None
        self._job.renew(tx)
        return query

    def _finish(self, tx: Tx, query: Query, status: str, rows: list[list[tuple[str, str]]]) -> None:
        if self._queries.change(tx, query, status, int(self._gate.clock.now() * 1000)):
            self._queries.keep(tx, query, rows, self._statistics)
        self._job.finish(tx)

    def _scan(self, query: Query, running: Running) -> None:
        """Raises what running raises, and AwsError where KMS refuses."""
        for account, group_id, name in query.groups:
            for page in self._pages(query, group_id, f"{account}:{name}"):
                if page.pieces:
                    running.add(page.pieces, page.start)
                self._statistics["recordsScanned"] += page.events
                self._statistics["bytesScanned"] += page.stored
                self._statistics["recordsMatched"] = float(running.matched)
                if time.monotonic() - self._renewed > _RENEW:
                    self._renewed = time.monotonic()
                    self._gate.store.write(lambda tx: self._progress(tx, query))
            self._statistics["logGroupsScanned"] += 1

    def _progress(self, tx: Tx, query: Query) -> None:
        self._job.renew(tx)
        self._queries.keep(tx, query, [], self._statistics)

    def _pages(self, query: Query, group_id: str, log_name: str) -> Iterator[_Page]:
        opened: dict[str, Cipher] = {}
        last: Batch | None = None
        names: dict[str, str] = {}
        while True:
            after = last

            def read(call: Call, after: Batch | None = after) -> _Page:
                return self._page(call, query, (group_id, log_name), after, opened, names)

            page = in_background(self._gate, read, reads=True)
            yield page
            last = page.last
            if last is None:
                return

    def _page(
        self,
        call: Call,
        query: Query,
        of: tuple[str, str],
        after: Batch | None,
        opened: dict[str, Cipher],
        names: dict[str, str],
    ) -> _Page:
        group_id, log_name = of
        group = call.part(Groups).by_id(call.tx, group_id)
        current = self._queries.find(call.tx, *self._key, int(call.now * 1000))
        if current is None or current.status != "Running":
            raise QueryStopped
        if group is None:
            # It was deleted meanwhile.
            return _Page([], 0, 0, 0, None)
        start = max(query.asked["start"], oldest_shown(group, call.now))
        found = batches.page(call.tx, Selection(group_id, None, start, query.asked["end"]), after)
        ciphers = call.part(DataKeys).to_read(call, group, opened)
        unnamed = list({batch.stream_id for batch in found} - names.keys())
        if unnamed:
            names.update(streams.by_ids(call.tx, group_id, unnamed))
        pieces = [
            Piece(
                names.get(batch.stream_id, ""),
                log_name,
                group_id + batch.id,
                batch.ingested,
                batches.plain_of(group_id, batch, ciphers[batch.data_key]),
            )
            for batch in found
        ]
        return _Page(
            pieces,
            start,
            sum(batch.stored for batch in found),
            sum(batch.events for batch in found),
            found[-1] if found else None,
        )


def _bounded(running: Running) -> Iterator[list[tuple[str, str]]]:
    left = MOST_RESULT
    for row in running.rows():
        left -= sum(len(name) + len(value) for name, value in row)
        if left < 0:
            return
        yield row
