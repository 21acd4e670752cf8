"""Whose deliveries come next: accounts take turns, and some subscriptions wait for theirs. On both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acting_support import Household, household_in

from casemate.gate.turns import THREADS, turn
from casemate.services.sns.deliverer import Deliverer
from casemate.services.sns.delivering import Delivery, store
from casemate.services.sns.notices import Notice
from casemate.services.sns.topics import Topics
from casemate.store.database import Tx

BUSY, QUIET, LATER = "111122223333", "222222222222", "333333333333"


def _delivery(account: str) -> Delivery:
    notice = Notice("Notification", "id", "text", {})
    return Delivery(account, "topic", "subscription", "http", "http://a", False, notice, "", {})


def _waiting(house: Household, account: str, number: int, due: float) -> None:
    def put(tx: Tx) -> None:
        for each in range(number):
            store(tx, house.gate.parts[Topics], f"{account}-{each}-{due}", _delivery(account), due)

    house.gate.store.write(put)


def test_accounts_take_turns_and_leave_threads_to_others(database: str, tmp_path: Path) -> None:
    with household_in(tmp_path, database) as house:
        now = house.gate.clock.now()
        for account, number, due in ((BUSY, 200, now - 9), (QUIET, 3, now - 1), (LATER, 3, now + 600)):
            _waiting(house, account, number, due)
        deliverer, begun = Deliverer(house.gate), list[str]()

        def submit(_work: Any, row: str, account: str, sealed: bytes) -> None:
            begun.append(account)

        deliverer.threads.submit = submit  # type: ignore[method-assign, assignment]
        while deliverer.begin():
            pass
        # By turns while there is something of both; what is not due yet is left; and however much there is of one
        # account, it has no more threads than are free.
        assert begun[:6] == [BUSY, QUIET] * 3
        assert set(begun[6:]) == {BUSY}
        assert begun.count(BUSY) < THREADS - begun.count(BUSY)
        _waiting(house, QUIET, 1, now)
        assert deliverer.begin()
        assert begun[-1] == QUIET


def test_deliveries_of_so_many_a_second(database: str, tmp_path: Path) -> None:
    with household_in(tmp_path, database) as house:

        def next_turn(now: float) -> float:
            return house.gate.store.write(lambda tx: turn(tx, "sns_paces", "topic", "subscription", 4, now))

        assert [next_turn(1000.0) for _ in range(3)] == [1000.0, 1000.25, 1000.5]
        assert next_turn(1000.6) == 1000.75
        assert [next_turn(2000.0), next_turn(2000.0)] == [2000.0, 2000.25]
