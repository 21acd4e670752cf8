"""How many requests of one account may wait at a time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from casemate.gate.parking import MOST, Parked, Parking


def _store() -> Any:
    generations = SimpleNamespace(slot=lambda domain: 0, current=lambda slot: 0, touch=lambda slot: None)
    return SimpleNamespace(generations=generations)


def _call(account: str) -> Any:
    return SimpleNamespace(account=account, exchange=SimpleNamespace(lost=False))


def test_an_account_fills_its_room_and_not_others() -> None:
    resumed: list[Any] = []

    async def run() -> None:
        parking = Parking(_store(), lambda do, *args: do(*args), resumed.append)
        for _ in range(MOST):
            assert not parking.full("many")
            parking.park(_call("many"), Parked("queue", 0, 20.0))
        assert parking.full("many")
        assert not parking.full("few")
        # Whoever is told leaves room for another one.
        parking.tell("queue")
        assert not parking.full("many")
        parking.close()
        assert not parking.full("many")

    asyncio.run(run())
    assert len(resumed) == MOST
