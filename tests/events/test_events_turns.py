"""Accounts take turns in EventBridge's outbox and among its retries. On both databases."""

from __future__ import annotations

from pathlib import Path

from acting_support import household_in

from casemate.gate.turns import take
from casemate.services.events.outbox import Waiting
from casemate.store.database import Tx

A, B, C = "111122223333", "222222222222", "333333333333"


def test_who_puts_much_keeps_nobody_waiting(database: str, tmp_path: Path) -> None:
    with household_in(tmp_path, database) as house:
        gate, outbox = house.gate, house.gate.announcer

        def put(tx: Tx) -> None:
            for account, number in ((A, 40), (B, 3), (C, 1)):
                for _ in range(number):
                    event = {"id": "x", "detail-type": "x", "detail": {}}
                    outbox.add(tx, Waiting(account, "us-east-1", "default", event))  # type: ignore[attr-defined]

        gate.store.write(put)
        taken = gate.store.write(lambda tx: outbox.take(tx, 16))  # type: ignore[attr-defined]
        counted = [account for _, account, _ in taken]
        # Each its share, and what one does not need the others have.
        assert (counted.count(A), counted.count(B), counted.count(C)) == (6, 3, 1)
        assert [row for row, _, _ in taken] == sorted(row for row, _, _ in taken)
        rows = gate.store.write(lambda tx: take(tx, "events_outbox", "account", A, 16))
        assert [row[0] for row in rows] == [A] * 16


def test_retries_that_are_not_due_take_no_turn(database: str, tmp_path: Path) -> None:
    with household_in(tmp_path, database) as house:

        def put(tx: Tx) -> None:
            for at in range(20):
                account, due = (f"{at:012d}", 900.0) if at < 18 else (f"{at:012d}", 10.0 + at)
                for each in range(3):
                    tx.run(
                        "INSERT INTO events_retries (id, account, due, sealed) VALUES (?, ?, ?, ?)",
                        (f"{at}-{each}", account, due - each, b""),
                    )

        store = house.gate.store
        store.write(put)
        rows = store.write(lambda tx: take(tx, "events_retries", "id", "000000000018", 3, 100.0))
        # From the one after on, and round; the earliest of each first.
        assert sorted(row[0] for row in rows) == ["18-2", "19-1", "19-2"]
        assert len(store.write(lambda tx: take(tx, "events_retries", "id", "", 16, 100.0))) == 3
        assert store.write(lambda tx: take(tx, "events_retries", "id", "", 16, 100.0)) == []
