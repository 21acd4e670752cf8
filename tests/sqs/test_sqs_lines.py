"""Which messages of a FIFO queue may be received: of a group those before the first that may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from acting_support import Household, household_in
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casemate.services.sqs import messages
from casemate.store.database import Tx

NOW = 100.0


@pytest.fixture
def house(database: str, tmp_path: Path) -> Iterator[Household]:
    with household_in(tmp_path, database) as made:
        yield made


def _put(tx: Tx, contents: str, rows: list[tuple[str, bool]]) -> None:
    """rows: in order, each with its group and whether it may be received."""
    tx.run("DELETE FROM sqs_messages WHERE contents = ?", (contents,))
    for at, (line, visible) in enumerate(rows):
        tx.run(
            "INSERT INTO sqs_messages (contents, id, sent, visible, receives, before, first_received, receipt, line, "
            "data) VALUES (?, ?, 0.0, ?, 0, 0, NULL, 0, ?, ?)",
            (contents, messages.row_id(at), NOW if visible else NOW + 1, line, b""),
        )


def _allowed(rows: list[tuple[str, bool]]) -> list[str]:
    waiting, found = set[str](), []
    for at, (line, visible) in enumerate(rows):
        if not visible:
            waiting.add(line)
        elif line not in waiting:
            found.append(messages.row_id(at))
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=24),
    most=st.integers(1, 10),
    oldest=st.integers(1, 30),
)
def test_as_many_as_there_are_and_in_order(
    house: Household, rows: list[tuple[str, bool]], most: int, oldest: int
) -> None:
    queue: Any = SimpleNamespace(contents="q")

    def look(tx: Tx) -> list[str]:
        _put(tx, "q", rows)
        with patch.object(messages, "_OLDEST", oldest):
            return messages.in_line(tx, queue, NOW, most)

    found, allowed = house.gate.store.write(look), _allowed(rows)
    assert len(found) == len(set(found)) == min(most, len(allowed))
    for group in "abcdef":
        of_group = [each for each in allowed if rows[int(each)][0] == group]
        got = [each for each in found if rows[int(each)][0] == group]
        assert got == of_group[: len(got)], "none of a group before one that came earlier"


def test_a_long_line_costs_no_more_than_a_short_one(house: Household) -> None:
    """What is looked at is counted, not timed: rows that the database hands out."""
    queue: Any = SimpleNamespace(contents="q")

    def looked_at(tx: Tx, number: int, first: bool) -> int:
        rows = [("a", first), *[("a", True)] * (number - 2), ("b", True)]
        _put(tx, "q", rows)
        read = 0

        class Counting:
            def all(self, *args: Any) -> Any:
                nonlocal read
                found = tx.all(*args)
                read += len(found)
                return found

            def one(self, *args: Any) -> Any:
                nonlocal read
                read += 1
                return tx.one(*args)

        counting: Any = Counting()
        found = messages.in_line(counting, queue, NOW, 10)
        assert found == [messages.row_id(at) for at in (range(10) if first else [number - 1])]
        return read

    def compare(tx: Tx) -> None:
        with patch.object(messages, "_OLDEST", 20):
            for first in (True, False):
                assert looked_at(tx, 400, first) <= looked_at(tx, 40, first) + 2

    house.gate.store.write(compare)
