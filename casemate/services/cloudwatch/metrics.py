"""The metrics of all accounts: their rows and the points of their data.

What a call brings is one row of arrivals, whatever it holds, so that who measures much never waits for another one
that does. A job folds arrivals into points, a minute later or less; whoever reads looks at both, in one snapshot, so
that each value counts once. All of it is sealed under the account's key: names and dimensions of metrics may come out
of log events.
"""

from __future__ import annotations

import hmac
import logging
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from casemate.engine.envelope.errors import Tampered
from casemate.engine.metrics import Sample, merged
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.gate.keyring import Keyring
    from casemate.store.database import Tx

log = logging.getLogger("casemate.cloudwatch")

RESOLUTIONS = (1, 60, 300, 3600)
POINTS = 60
"""Of one row."""
KEPT = {1: 3 * 3600, 60: 15 * 86_400, 300: 63 * 86_400, 3600: 455 * 86_400}
"""Seconds for which points of a resolution are kept; then they become points of the next one."""

_METRIC, _ARRIVALS, _POINTS = "cloudwatch metric", "cloudwatch arrivals", "cloudwatch points"

Place = tuple[str, str]
"""An account and a Region."""


class Metric(NamedTuple):
    """dimensions: by name, each once."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


class Datum(NamedTuple):
    """start: of the period of ``resolution`` seconds (1 or 60) that it was measured in, seconds since the epoch."""

    metric: Metric
    resolution: int
    start: int
    unit: str
    sample: Sample


class Point(NamedTuple):
    start: int
    unit: str
    sample: Sample


Arrived = Mapping[str, Sequence[tuple[int, Point]]]
"""What is not folded yet: by metric, each with the resolution it came with."""

Chunk = dict[tuple[int, str], Sample]
"""The points of a row, by start and unit."""


class Metrics:
    """The metrics of all accounts, one per worker: ``call.part(Metrics)``. key: for the names of rows."""

    def __init__(self, keyring: Keyring, key: bytes) -> None:
        self._keyring = keyring
        self._key = key

    def __repr__(self) -> str:
        return "<Metrics>"

    def id_of(self, place: Place, metric: Metric) -> str:
        """What names a metric's rows, and tells nothing of it."""
        return hmac.digest(self._key, orjson.dumps([*place, *metric]), "sha256")[:20].hex()

    # What comes.

    def put(self, tx: Tx, place: Place, data: Sequence[Datum], now: int) -> None:
        """Store what a call brought."""
        key = self._keyring.account_key(place[0], tx)
        ids: dict[Metric, str] = {}
        for each in data:
            if each.metric not in ids:
                ids[each.metric] = self._made(tx, place, each.metric, now)
        text = orjson.dumps(
            [
                [ids[each.metric], each.resolution, each.start, each.unit, _written(each.sample)]
                for each in data
            ]
        )
        row = new_id()
        tx.run(
            "INSERT INTO cloudwatch_arrivals (account, region, id, received, data) VALUES (?, ?, ?, ?, ?)",
            (*place, row, now, key.wrap(zlib.compress(text, 1), _ARRIVALS, place[1], row, now)),
        )

    def _made(self, tx: Tx, place: Place, metric: Metric, now: int) -> str:
        """A metric's id; its row is there."""
        metric_id = self.id_of(place, metric)
        of_it = (*place, metric_id)
        if (
            tx.one("SELECT 1 FROM cloudwatch_metrics WHERE account = ? AND region = ? AND id = ?", of_it)
            is None
        ):
            key = self._keyring.account_key(place[0], tx)
            tx.run(
                "INSERT INTO cloudwatch_metrics (account, region, id, latest, data) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (*of_it, now, key.wrap(orjson.dumps([*metric]), _METRIC, place[1], metric_id)),
            )
        return metric_id

    # What is there.

    def listed(self, tx: Tx, place: Place, since: int, after: str) -> Iterator[tuple[str, Metric]]:
        """Ids and metrics that data came for since then, by id, those after one."""
        while True:
            rows = tx.all(
                "SELECT id, data FROM cloudwatch_metrics WHERE account = ? AND region = ? AND id > ? "
                "AND latest >= ? ORDER BY id LIMIT 500",
                (*place, after, since),
            )
            for metric_id, data in rows:
                plain = self._keyring.account_key(place[0], tx).unwrap(data, _METRIC, place[1], metric_id)
                namespace, name, dimensions = orjson.loads(plain)
                yield metric_id, Metric(namespace, name, tuple((each[0], each[1]) for each in dimensions))
            if len(rows) < 500:
                return
            after = rows[-1][0]

    def arrived(self, tx: Tx, place: Place) -> Arrived:
        """What came for the account's metrics and is not folded yet, by their ids: (resolution, point)."""
        found: dict[str, list[tuple[int, Point]]] = defaultdict(list)
        rows = tx.all(
            "SELECT id, received, data FROM cloudwatch_arrivals WHERE account = ? AND region = ?", place
        )
        for row in rows:
            for metric_id, resolution, point in self._brought(tx, place, *row):
                found[metric_id].append((resolution, point))
        return found

    def points(
        self, tx: Tx, place: Place, metric_id: str, start: int, end: int, fine: bool, new: Arrived
    ) -> Iterator[Point]:
        """The points from start to end (not included), as they are stored. fine: those of high resolution, else
        the others; new: ``arrived``, by the same transaction."""
        for resolution in (1,) if fine else RESOLUTIONS[1:]:
            rows = tx.all(
                "SELECT start, data FROM cloudwatch_points WHERE account = ? AND region = ? AND metric = ? "
                "AND resolution = ? AND start > ? AND start < ?",
                (*place, metric_id, resolution, start - POINTS * resolution, end),
            )
            for first, data in rows:
                for (at, unit), sample in self._opened(tx, place, metric_id, resolution, first, data).items():
                    if start <= at < end:
                        yield Point(at, unit, sample)
        for resolution, (at, unit, sample) in new.get(metric_id, ()):
            began = at if fine else at - at % 60
            if start <= began < end and (resolution == 1 or not fine):
                yield Point(began, unit, sample)

    def _brought(
        self, tx: Tx, place: Place, row_id: str, received: int, data: bytes
    ) -> Iterator[tuple[str, int, Point]]:
        """What a row of arrivals holds: metrics' ids, resolutions, points. Raises Tampered."""
        key = self._keyring.account_key(place[0], tx)
        text = zlib.decompress(key.unwrap(data, _ARRIVALS, place[1], row_id, received))
        for metric_id, resolution, start, unit, sample in orjson.loads(text):
            yield metric_id, resolution, Point(start, unit, _read(sample))

    # Moving, in a write.

    def fold(self, tx: Tx, calls: int, most: int, now: int) -> bool:
        """Make points of what came, of so many calls, and of so many rows of points or a few more, at most; whether
        there is more."""
        rows = tx.all(
            "SELECT account, region, id, received, data FROM cloudwatch_arrivals "
            "ORDER BY account, region, id LIMIT ?",
            (calls,),
        )
        done = 0
        changed: dict[tuple[str, str, str, int, int], list[Point]] = defaultdict(list)
        latest: dict[tuple[str, str, str], int] = {}
        for account, region, row_id, received, data in rows:
            if len(changed) >= most:
                break
            done += 1
            try:
                for metric_id, resolution, point in self._brought(
                    tx, (account, region), row_id, received, data
                ):
                    of_it = (account, region, metric_id)
                    latest[of_it] = max(received, latest.get(of_it, 0))
                    if resolution == 1 and point.start >= now - KEPT[1]:
                        changed[(*of_it, 1, chunk_of(1, point.start))].append(point)
                    minute = point.start - point.start % 60
                    changed[(*of_it, 60, chunk_of(60, minute))].append(point._replace(start=minute))
            except Tampered as error:
                log.error("metrics that came are not used: %s", error)
        for (account, region, metric_id, resolution, first), points in changed.items():
            self.add(tx, (account, region), metric_id, resolution, first, points)
        for of_it, received in latest.items():
            tx.run(
                "UPDATE cloudwatch_metrics SET latest = ? WHERE account = ? AND region = ? AND id = ? AND latest < ?",
                (received, *of_it, received),
            )
        for account, region, row_id, _, _ in rows[:done]:
            tx.run(
                "DELETE FROM cloudwatch_arrivals WHERE account = ? AND region = ? AND id = ?",
                (account, region, row_id),
            )
        return done < len(rows) or len(rows) == calls

    def add(
        self,
        tx: Tx,
        place: Place,
        metric_id: str,
        resolution: int,
        first: int,
        points: Iterable[Point],
    ) -> None:
        """Add points to the row that begins at ``first``."""
        row = tx.one(
            "SELECT data FROM cloudwatch_points WHERE account = ? AND region = ? AND metric = ? "
            "AND resolution = ? AND start = ?",
            (*place, metric_id, resolution, first),
        )
        gathered: dict[tuple[int, str], list[Sample]] = defaultdict(list)
        if row is not None:
            for at, sample in self._opened(tx, place, metric_id, resolution, first, row[0]).items():
                gathered[at].append(sample)
        for start, unit, sample in points:
            gathered[start, unit].append(sample)
        text = orjson.dumps(
            [[start, unit, _written(merged(samples))] for (start, unit), samples in gathered.items()]
        )
        data = self._keyring.account_key(place[0], tx).wrap(
            zlib.compress(text, 1), _POINTS, place[1], metric_id, resolution, first
        )
        tx.run(
            "INSERT INTO cloudwatch_points (account, region, metric, resolution, start, data) "
            "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account, region, metric, resolution, start) "
            "DO UPDATE SET data = excluded.data",
            (*place, metric_id, resolution, first, data),
        )

    def coarsen(self, tx: Tx, resolution: int, before: int, limit: int) -> int:
        """Make rows whose points are all older points of the next resolution, so many at most; of how many it did.
        Those of high resolution are in the next one already, and the last resolution's are over."""
        rows = tx.all(
            "SELECT account, region, metric, start, data FROM cloudwatch_points "
            "WHERE resolution = ? AND start < ? ORDER BY start LIMIT ?",
            (resolution, before - POINTS * resolution, limit),
        )
        if resolution not in (1, RESOLUTIONS[-1]):
            coarser = RESOLUTIONS[RESOLUTIONS.index(resolution) + 1]
            for account, region, metric_id, first, data in rows:
                changed: dict[int, list[Point]] = defaultdict(list)
                try:
                    opened = self._opened(tx, (account, region), metric_id, resolution, first, data)
                except Tampered as error:
                    log.error("points of a metric are not used: %s", error)
                    continue
                for (at, unit), sample in opened.items():
                    start = at - at % coarser
                    changed[chunk_of(coarser, start)].append(Point(start, unit, sample))
                for chunk, points in changed.items():
                    self.add(tx, (account, region), metric_id, coarser, chunk, points)
        for account, region, metric_id, first, _ in rows:
            tx.run(
                "DELETE FROM cloudwatch_points WHERE account = ? AND region = ? AND metric = ? "
                "AND resolution = ? AND start = ?",
                (account, region, metric_id, resolution, first),
            )
        return len(rows)

    def forget(self, tx: Tx, before: int) -> None:
        """Remove metrics that no data came for since then: none of theirs is left."""
        tx.run("DELETE FROM cloudwatch_metrics WHERE latest < ?", (before,))

    def _opened(
        self, tx: Tx, place: Place, metric_id: str, resolution: int, first: int, data: bytes
    ) -> Chunk:
        key = self._keyring.account_key(place[0], tx)
        text = zlib.decompress(key.unwrap(data, _POINTS, place[1], metric_id, resolution, first))
        return {(start, unit): _read(sample) for start, unit, sample in orjson.loads(text)}


def chunk_of(resolution: int, start: int) -> int:
    """Where the row of a point begins."""
    return start - start % (POINTS * resolution)


def _written(sample: Sample) -> list[Any]:
    values = None if sample.values is None else list(sample.values.items())
    return [*sample[:4], values]


def _read(sample: Sequence[Any]) -> Sample:
    count, total, minimum, maximum, pairs = sample
    values: Mapping[float, float] | None = None if pairs is None else {pair[0]: pair[1] for pair in pairs}
    return Sample(count, total, minimum, maximum, values)
