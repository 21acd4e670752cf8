"""What objects are found by: no statement reads a table that grows with them from its beginning to its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from casemate.engine.envelope.hierarchy import RootKey
from casemate.gate.keyring import Keyring
from casemate.services.s3 import listing_objects
from casemate.services.s3.bodies import Stored, insert
from casemate.services.s3.collecting import due, referenced
from casemate.services.s3.object_rows import Objects, PartRow, discard_part, discard_parts
from casemate.services.s3.resources import Bucket, BucketRow
from casemate.services.s3.walking import Place
from casemate.store.database import Row, Store, Tx, open_store
from casemate.store.migrate import discover

BUCKET = Bucket(BucketRow("toys", "1", "111122223333", "us-east-1", 0.0, {"Versioning": "Enabled"}))


class Planned:
    """A transaction that looks at the plan of whatever is asked of it."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.seen = 0

    def _look(self, sql: str, params: Sequence[Any]) -> None:
        steps = [str(row[3]) for row in self._tx.all(f"EXPLAIN QUERY PLAN {sql}", params)]
        self.seen += 1
        assert not any(step.startswith("SCAN s3_") for step in steps), (sql, steps)
        # The index gives the order as well; a page alone (l) may be sorted.
        assert "SCAN l" in steps or "USE TEMP B-TREE FOR ORDER BY" not in steps, (sql, steps)

    def one(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        self._look(sql, params)
        return self._tx.one(sql, params)

    def all(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        self._look(sql, params)
        return self._tx.all(sql, params)

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        self._look(sql, params)
        return self._tx.run(sql, params)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    migrations = [discover("casemate.services.s3"), discover("casemate.gate")]
    opened = open_store(f"sqlite://{tmp_path / 'casemate.db'}", migrations=migrations)
    yield opened
    opened.close()


def test_no_statement_reads_a_whole_table(store: Store) -> None:
    objects = Objects(Keyring(RootKey.generate()))

    def run(tx: Tx) -> int:
        planned: Any = Planned(tx)
        stored = Stored("a", 3, b"abc", b"")
        for versioning in ("Enabled", "Suspended"):
            bucket = Bucket(BUCKET.row._replace(settings={"Versioning": versioning}))
            for body in ("a", "b"):
                row = objects.add(planned, bucket, "k", 1.0, {}, size=3, body=body)
                insert(planned, stored._replace(id=body + versioning), row.version)
        assert objects.current(planned, BUCKET, "k") is not None
        assert objects.version(planned, BUCKET, "k", "null") is not None
        objects.version(planned, BUCKET, "k", row.version)
        assert not objects.is_empty(planned, BUCKET)
        objects.describe(planned, BUCKET, row, {"Tags": {}})
        part = PartRow("p", 1, 3, b"", {})
        sealed = objects.seal_part(planned, BUCKET, "k", part)
        insert(planned, stored._replace(id="p", data=None), "upload", part=1, sealed=sealed)
        assert [each.number for each in objects.parts(planned, BUCKET, "k", "upload")] == [1]
        discard_part(planned, "upload", 1, 1.0)
        discard_parts(planned, "upload", 1.0)
        assert due(planned, 1e9) == ["p"]
        referenced(planned, ["a", "p"])
        call: Any = SimpleNamespace(tx=planned)
        for place in (Place(""), Place("k"), Place("k", row.version)):
            for fetch in (listing_objects._current(call, BUCKET), listing_objects._versions(call, BUCKET)):
                fetch(place, 10)
        objects.remove(planned, BUCKET, row, 1.0)
        seen: int = planned.seen
        return seen

    assert store.write(run) > 40
