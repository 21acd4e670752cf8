"""Parts that nothing holds any more: some go at once, many bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from casemate.engine.envelope.hierarchy import RootKey
from casemate.errors import AwsError
from casemate.gate.keyring import Keyring
from casemate.services.s3.bodies import Bodies, Stored
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.object_rows import (
    DISCARDED_ALONG,
    DISCARDED_AT_ONCE,
    ObjectRow,
    Objects,
    PartRow,
    discard_parts,
    discard_some,
)
from casemate.services.s3.replica_content import Content, Source, discard, keep, lay_out
from casemate.services.s3.resources import Bucket
from casemate.services.s3.settings import NEW
from casemate.store.blobs import open_blobs
from casemate.store.database import Store, Tx, open_store
from casemate.store.ids import new_id
from casemate.store.migrate import discover

MIGRATIONS = [discover("casemate.gate"), discover("casemate.services.s3")]


def _hold(tx: Tx, holder: str, count: int) -> None:
    for number in range(1, count + 1):
        tx.run(
            "INSERT INTO s3_bodies (id, holder, part, size, salt, data) VALUES (?, ?, ?, 1, ?, ?)",
            (f"{holder}-{number}", holder, number, b"", None if number % 2 else b"x"),
        )


def _left(store: Store) -> tuple[int, int]:
    def count(tx: Tx) -> tuple[int, int]:
        bodies, garbage = tx.one("SELECT COUNT(*) FROM s3_bodies"), tx.one("SELECT COUNT(*) FROM s3_garbage")
        assert bodies is not None
        assert garbage is not None
        return bodies[0], garbage[0]

    return store.read(count)


def test_parts_go_by_batches(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'db'}", migrations=MIGRATIONS)
    try:
        few, many = DISCARDED_ALONG, 2 * DISCARDED_AT_ONCE + 1
        store.write(lambda tx: _hold(tx, "few", few))
        store.write(lambda tx: _hold(tx, "many", many))
        store.write(lambda tx: _hold(tx, "kept", 3))
        store.write(lambda tx: discard_parts(tx, "few", 1.0))
        assert _left(store) == (many + 3, few // 2)
        for _ in range(2):
            store.write(lambda tx: discard_parts(tx, "many", 1.0))
        assert _left(store) == (many + 3, few // 2)
        rounds = 0
        while store.write(lambda tx: discard_some(tx, 1.0)):
            rounds += 1
        # Three with parts, one that finds none left.
        assert rounds == 4
        assert _left(store) == (3, few // 2 + many // 2 + 1)
    finally:
        store.close()


def test_what_is_laid_out_is_discarded_in_time(tmp_path: Path) -> None:
    """Parts of a replica that is being made: theirs when it is, gone when it never is."""
    store = open_store(f"sqlite:///{tmp_path / 'db'}", migrations=MIGRATIONS)
    keyring = Keyring(RootKey.generate())
    buckets, objects = Buckets(store, keyring), Objects(keyring)
    try:
        settings = {**NEW, "Versioning": "Enabled"}
        row = store.write(lambda tx: buckets.create(tx, "b", "111122223333", "us-east-1", 0.0, settings))
        assert row is not None
        bucket, count = Bucket(row), 1_001
        told = [PartRow("", number, 1, b"", {}) for number in range(1, count + 1)]
        source = Source([], told, (), None, {})

        def lay(now: float) -> Content:
            stored = [Stored(new_id(), 1, None, b"") for _ in told]
            content = Content(stored, [b""] * count)
            return lay_out(store, objects, bucket, "k", source, content, now)

        taken, left, late = lay(0.0), lay(0.0), lay(0.0)
        assert not store.write(lambda tx: discard_some(tx, 1.0))
        version = ObjectRow("k", "f" * 32, False, True, False, 1.0, count, "", {"Parts": count})
        made = store.write(lambda tx: keep(objects, tx, bucket, version, source, taken))
        assert (made.holder, made.in_parts) == (taken.holder, True)
        discard(store, Bodies(open_blobs(str(tmp_path / "blobs"))), left)
        while store.write(lambda tx: discard_some(tx, 1.0)):
            pass
        assert _left(store) == (2 * count, count)
        while store.write(lambda tx: discard_some(tx, 86_400.0)):
            pass
        assert _left(store) == (count, 2 * count)
        with pytest.raises(AwsError):
            store.write(lambda tx: keep(objects, tx, bucket, version, source, late))
        assert len(store.read(lambda tx: objects.parts(tx, bucket, "k", made.holder))) == count
    finally:
        store.close()
