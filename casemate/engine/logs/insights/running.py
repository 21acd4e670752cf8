"""Runs a query by DuckDB, in memory, with bounds: no file, no network, no extension, nothing written to a disk.

with Running(plan_query("stats count(*) by status"), now) as running:
    running.add([Piece(stream="s", group="1:g", pointer="...", ingested=..., plain=b"[[...], [...]]")])
    running.rows()
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final, NamedTuple

from casemate.engine.logs.insights.errors import QueryFailed, QueryStopped
from casemate.engine.logs.insights.plan import STAGED, Plan
from casemate.engine.logs.insights.values import MACROS, Kind

MEMORY: Final = min(768 * 1_048_576, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 8)
"""Bytes, or less where the machine has little."""
THREADS: Final = 2
_COMPACT: Final = 100_000
"""Staged rows above which those that cannot be in the result are let go."""

_PIECE: Final = """
WITH batch AS (SELECT unnest($plain::VARCHAR[]) AS plain, unnest($stream::VARCHAR[]) AS stream,
    unnest($log::VARCHAR[]) AS log, unnest($pointer::VARCHAR[]) AS pointer, unnest($ingested::BIGINT[]) AS ingested),
opened AS (SELECT from_json(plain->'$[0]', '["BIGINT"]') AS times,
    from_json(plain->'$[1]', '["VARCHAR"]') AS messages, stream, log, pointer, ingested FROM batch),
events AS (SELECT unnest(times) AS "@timestamp", unnest(messages) AS "@message", unnest(range(len(times))) AS place,
    stream, log, pointer, ingested FROM opened),
piece AS (SELECT "@timestamp", ingested AS "@ingestionTime", "@message", stream AS "@logStream", log AS "@log",
    pointer || lpad(CAST(place AS VARCHAR), 5, '0') AS "@ptr" FROM events
    WHERE "@timestamp" BETWEEN $first AND $last)
"""


class Piece(NamedTuple):
    """A batch of events. pointer: what its events' pointers begin with; plain: JSON, their timestamps and their
    messages."""

    stream: str
    log: str
    pointer: str
    ingested: int
    plain: bytes


Row = list[tuple[str, str]]
"""Of a result: names and values; without those that have no value."""


class Running:
    """One query. now: seconds since the epoch; last: where the events' times that are meant end, in milliseconds."""

    def __init__(self, plan: Plan, now: float, last: int) -> None:
        self._plan = plan
        self._last = last
        self._now = now
        self._lock = Lock()
        self._stopped = False
        self._engine: Any = importlib.import_module("duckdb")
        self._connection: Any = None
        self._staged = 0
        self.matched = 0
        """How many events came through."""

    def __enter__(self) -> Running:
        engine = self._engine
        connection = engine.connect(
            ":memory:",
            config={
                "threads": str(THREADS),
                "memory_limit": f"{MEMORY // 1_048_576}MiB",
                "temp_directory": "",
                "autoload_known_extensions": "false",
                "autoinstall_known_extensions": "false",
            },
        )
        self._connection = connection
        for macro in MACROS:
            connection.execute(macro)
        connection.execute(f"SET VARIABLE now = {int(self._now)}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        nothing: dict[str, Any] = {name: [] for name in ("plain", "stream", "log", "pointer", "ingested")}
        self._run(f"CREATE TABLE {STAGED} AS {_PIECE} {self._plan.piece}", {**nothing, "first": 0, "last": 0})
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        connection.close()

    def stop(self) -> None:
        """Interrupt it; in any thread."""
        with self._lock:
            self._stopped = True
            if self._connection is not None:
                self._connection.interrupt()

    def add(self, pieces: Sequence[Piece], first: int) -> None:
        """Look at the events of batches that are not older than ``first`` (milliseconds). Raises QueryFailed,
        QueryStopped."""
        given: dict[str, Any] = {
            "plain": [each.plain.decode() for each in pieces],
            "stream": [each.stream for each in pieces],
            "log": [each.log for each in pieces],
            "pointer": [each.pointer for each in pieces],
            "ingested": [each.ingested for each in pieces],
            "first": first,
            "last": self._last,
        }
        ((added,),) = self._run(f"INSERT INTO {STAGED} {_PIECE} {self._plan.piece}", given)
        self.matched += added
        self._staged += added
        if self._plan.keep and self._staged > _COMPACT:
            self._run(f"CREATE OR REPLACE TABLE {STAGED} AS {self._plan.keep}")
            ((self._staged,),) = self._run(f"SELECT count(*) FROM {STAGED}")

    def rows(self) -> Iterator[Row]:
        """The result. Raises QueryFailed, QueryStopped."""
        for values in self._run(self._plan.rest):
            row: Row = []
            for (name, kind), value in zip(self._plan.shown, values, strict=True):
                shown = shown_value(value, kind)
                if shown is not None:
                    row.append((name, shown))
            yield row

    def _run(self, sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        if self._stopped:
            raise QueryStopped
        try:
            found: list[tuple[Any, ...]] = self._connection.execute(sql, parameters).fetchall()
        except self._engine.InterruptException:
            raise QueryStopped from None
        except self._engine.Error as error:
            # Its text may hold what events hold.
            raise QueryFailed(type(error).__name__) from None
        return found


def shown_value(value: Any, kind: Kind) -> str | None:
    """As results show it; None for no value."""
    if value is None:
        return None
    if kind == "time":
        try:
            moment = datetime.fromtimestamp(value / 1000, UTC)
        except (OverflowError, ValueError, OSError):
            return str(value)
        return f"{moment:%Y-%m-%d %H:%M:%S}.{int(value) % 1000:03d}"
    if kind == "bool":
        return "1" if value else "0"
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)
