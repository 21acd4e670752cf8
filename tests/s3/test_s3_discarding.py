"""Parts that nothing holds any more: some go at once, many bit by bit."""

from __future__ import annotations

from pathlib import Path

from casemate.services.s3.object_rows import DISCARDED_ALONG, DISCARDED_AT_ONCE, discard_parts, discard_some
from casemate.store.database import Store, Tx, open_store
from casemate.store.migrate import discover


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
    store = open_store(f"sqlite:///{tmp_path / 'db'}", migrations=[discover("casemate.services.s3")])
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
