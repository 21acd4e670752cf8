"""Prometheus metrics, in its text format (version 0.0.4), on a port of their own.

Whichever worker a scrape reaches answers for all: each publishes its numbers every second as a small file in
DATA/run, and what a worker had counted before it died goes on being counted, so that no total goes backwards.
One worker alone needs no files.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from casemate import __version__
from casemate.gate.tally import BOUNDS, Tallies
from casemate.server.transport_limits import Counters
from casemate.store.database import Store, StoreError, Tx

CONTENT_TYPE = b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"

_PAGE = os.sysconf("SC_PAGE_SIZE")
_STARTED = time.time()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One worker's numbers. calls: (operation, error code or '', calls in each bucket, seconds); totals and
    refused: the transport's, only ever growing; connections, resident_bytes, journal_healthy: as of now."""

    worker: int
    calls: list[tuple[str, str, list[float], float]]
    totals: dict[str, float]
    refused: dict[str, int]
    connections: int
    journal_healthy: bool
    resident_bytes: int
    cpu_seconds: float
    started: float


_TOTALS = {
    "accepted": ("casemate_connections_total", "Connections taken."),
    "requests": (
        "casemate_http_requests_total",
        "Well-formed HTTP requests, health checks and metrics included.",
    ),
    "received_bytes": ("casemate_received_bytes_total", "Bytes received from clients."),
    "sent_bytes": ("casemate_sent_bytes_total", "Bytes sent to clients."),
    "lost": (
        "casemate_lost_connections_total",
        "Connections that the client left in the middle of an exchange.",
    ),
}


def take_snapshot(number: int, tallies: Tallies, counters: Counters, *, journal_healthy: bool) -> Snapshot:
    """This worker's numbers; in the event loop's thread."""
    with open("/proc/self/statm", "rb") as file:
        resident = int(file.read().split()[1]) * _PAGE
    return Snapshot(
        worker=number,
        calls=[
            (operation, code, tally[:-1], tally[-1])
            for (operation, code), tally in tallies.by_outcome.items()
        ],
        totals={name: getattr(counters, name) for name in _TOTALS},
        refused=dict(counters.refused),
        connections=counters.connections,
        journal_healthy=journal_healthy,
        resident_bytes=resident,
        cpu_seconds=time.process_time(),
        started=_STARTED,
    )


class Published:
    """The workers' snapshots on disk, for the one that is scraped. They are not made durable: a server that
    starts counts anew."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def begin(self) -> None:
        """Before the workers start: nothing of the run before."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        for file in self._directory.glob("*.json"):
            file.unlink()

    def publish(self, snapshot: Snapshot) -> None:
        """Put a worker's numbers where the others find them."""
        path = self._directory / f"worker-{snapshot.worker:02d}.json"
        temporary = path.with_suffix(".new")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(asdict(snapshot)))
        temporary.replace(path)

    def bury(self, number: int) -> None:
        """A worker died: keep what it counted, under a name that its successor does not use."""
        path = self._directory / f"worker-{number:02d}.json"
        if path.exists():
            path.replace(self._directory / f"gone-{time.time_ns()}.json")

    def others(self, number: int) -> tuple[list[Snapshot], list[Snapshot]]:
        """The other workers' snapshots, and those of the dead."""
        alive, gone = [], []
        for path in sorted(self._directory.glob("*.json")):
            try:
                snapshot = Snapshot(**json.loads(path.read_bytes()))
            except FileNotFoundError:
                continue  # buried at this moment
            if path.name.startswith("gone-"):
                gone.append(snapshot)
            elif snapshot.worker != number:
                alive.append(snapshot)
        return alive, gone


def exposition(
    alive: Sequence[Snapshot],
    gone: Sequence[Snapshot],
    generations: Mapping[str, int],
    jobs: Mapping[str, int] | None,
) -> bytes:
    """The text that Prometheus reads. generations: by domain; jobs: by state, None when the store cannot be
    read."""
    page = _Page()
    everyone = [*alive, *gone]
    page.add("casemate_build_info", "gauge", "The version.", [({"version": __version__}, 1)])
    page.add("casemate_workers", "gauge", "Worker processes.", [({}, len(alive))])

    calls: dict[tuple[str, str], list[float]] = {}
    seconds: dict[str, float] = {}
    for snapshot in everyone:
        for operation, code, buckets, spent in snapshot.calls:
            known = calls.setdefault((operation, code), [0] * len(buckets))
            calls[operation, code] = [a + b for a, b in zip(known, buckets, strict=True)]
            seconds[operation] = seconds.get(operation, 0.0) + spent
    page.add(
        "casemate_requests_total",
        "counter",
        "Answered calls by operation and error code ('' for successes).",
        [
            ({"operation": name, "code": code}, sum(buckets))
            for (name, code), buckets in sorted(calls.items())
        ],
    )
    page.histogram(
        "casemate_request_seconds",
        "From the receipt of a request to its reply, by operation.",
        {
            name: [
                sum(column) for column in zip(*(b for (n, _), b in calls.items() if n == name), strict=True)
            ]
            for name in sorted(seconds)
        },
        seconds,
    )

    for field, (name, text) in _TOTALS.items():
        page.add(name, "counter", text, [({}, sum(each.totals[field] for each in everyone))])
    refused: dict[str, int] = {}
    for snapshot in everyone:
        for kind, count in snapshot.refused.items():
            refused[kind] = refused.get(kind, 0) + count
    page.add(
        "casemate_refusals_total",
        "counter",
        "What the transport refused before it was a request, by kind.",
        [({"kind": kind}, count) for kind, count in sorted(refused.items())],
    )
    page.add(
        "casemate_connections", "gauge", "Open connections.", [({}, sum(each.connections for each in alive))]
    )
    page.add(
        "casemate_journal_healthy",
        "gauge",
        "1 while the worker's audit journal can be written; without it no call is served.",
        [({"worker": str(each.worker)}, int(each.journal_healthy)) for each in alive],
    )
    page.add(
        "casemate_store_readable",
        "gauge",
        "1 while the database can be read.",
        [({}, int(jobs is not None))],
    )
    page.add(
        "casemate_generations_total",
        "counter",
        "How often the caches of a domain were made to start afresh.",
        [({"domain": domain}, number) for domain, number in sorted(generations.items())],
    )
    page.add(
        "casemate_jobs",
        "gauge",
        "Background jobs: scheduled (all), due, failing (ran and failed since they were due).",
        [({"state": state}, count) for state, count in sorted((jobs or {}).items())],
    )
    for name, kind, text, field in (
        ("process_resident_memory_bytes", "gauge", "Resident memory by worker.", "resident_bytes"),
        ("process_cpu_seconds_total", "counter", "User and system time by worker.", "cpu_seconds"),
        ("process_start_time_seconds", "gauge", "Start by worker, seconds since the epoch.", "started"),
    ):
        page.add(name, kind, text, [({"worker": str(each.worker)}, getattr(each, field)) for each in alive])
    return page.text()


def count_jobs(store: Store, now: float) -> dict[str, int] | None:
    """The jobs by state; None when the store cannot be read."""

    def count(tx: Tx) -> dict[str, int]:
        row = tx.one(
            "SELECT COUNT(*), COUNT(CASE WHEN due <= ? THEN 1 END), COUNT(CASE WHEN failures > 0 THEN 1 END) "
            "FROM store_jobs",
            (now,),
        )
        assert row is not None
        return {"scheduled": row[0], "due": row[1], "failing": row[2]}

    try:
        return store.read(count)
    except StoreError:
        return None


class _Page:
    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(
        self, name: str, kind: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]
    ) -> None:
        self._head(name, kind, text)
        self._lines += [f"{name}{_labels(labels)} {_number(value)}" for labels, value in samples]

    def histogram(
        self, name: str, text: str, buckets: Mapping[str, Sequence[float]], sums: Mapping[str, float]
    ) -> None:
        self._head(name, "histogram", text)
        for operation, counts in buckets.items():
            total = 0.0
            for bound, count in zip([*map(str, BOUNDS), "+Inf"], counts, strict=True):
                total += count
                labels = _labels({"operation": operation, "le": bound})
                self._lines.append(f"{name}_bucket{labels} {_number(total)}")
            labels = _labels({"operation": operation})
            self._lines += [
                f"{name}_sum{labels} {_number(sums[operation])}",
                f"{name}_count{labels} {_number(total)}",
            ]

    def text(self) -> bytes:
        return ("\n".join(self._lines) + "\n").encode()

    def _head(self, name: str, kind: str, text: str) -> None:
        self._lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: Any) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
