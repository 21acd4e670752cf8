"""Keys in order, rolled up below a delimiter, at a cost that does not grow with what is rolled up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from casemate.services.s3.walking import Place, after_all_with, behind, walk


class Row(NamedTuple):
    key: str
    version: str


class Table:
    """Keys as a database has them, and how many rows of them were read."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.rows = [Row(key, "1") for key in sorted(set(keys), key=str.encode)]
        self.read = 0

    def fetch(self, place: Place, limit: int) -> list[Row]:
        first = (place.key.encode(), place.version)
        found = list(islice((row for row in self.rows if (row.key.encode(), row.version) > first), limit))
        self.read += len(found)
        return found


def plainly(keys: Sequence[str], start: str, prefix: str, delimiter: str) -> list[str]:
    found: list[str] = []
    for key in sorted(set(keys), key=str.encode):
        if key.encode() < start.encode() or not key.startswith(prefix):
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        name = key if at < 0 else key[: at + len(delimiter)]
        if not found or found[-1] != name:
            found.append(name)
    return found


_KEYS = st.text(st.sampled_from("ab/\ud7ff\ue000\U0010ffff"), min_size=1, max_size=6)


@given(
    st.lists(_KEYS, max_size=200),
    st.one_of(st.just(""), _KEYS),
    st.sampled_from(["", "a", "a/", "b", "/"]),
    st.sampled_from(["", "/", "a", "//"]),
)
def test_a_walk_finds_what_a_plain_reading_does(
    keys: list[str], start: str, prefix: str, delimiter: str
) -> None:
    table = Table(keys)
    found = walk(table.fetch, start=Place(start), prefix=prefix, delimiter=delimiter)
    assert [entry.name for entry in found] == plainly(keys, start, prefix, delimiter)


@given(
    st.lists(_KEYS, min_size=1, max_size=100), st.sampled_from(["", "a", "/"]), st.sampled_from(["/", "a"])
)
def test_a_walk_goes_on_behind_a_common_prefix(keys: list[str], prefix: str, delimiter: str) -> None:
    table = Table(keys)
    entries = list(walk(table.fetch, start=Place(""), prefix=prefix, delimiter=delimiter))
    for number, entry in enumerate(entries):
        if entry.row is None:
            rest = walk(table.fetch, start=Place(""), prefix=prefix, delimiter=delimiter, passed=entry.name)
            assert [each.name for each in rest] == [each.name for each in entries[number + 1 :]]


@given(_KEYS, _KEYS)
def test_what_comes_after_a_prefix(prefix: str, key: str) -> None:
    behind = after_all_with(prefix)
    if key.startswith(prefix):
        assert behind is None or key.encode() < behind.encode()
    elif key.encode() > prefix.encode():
        assert behind is not None
        assert key.encode() >= behind.encode()


def test_a_walk_goes_on_behind_a_key_or_a_version() -> None:
    table = Table(["a"])
    table.rows = [Row(key, version) for key in ("a", "a/b", "b") for version in "123"]
    rows = [entry.row for entry in walk(table.fetch, start=Place("a", "2"))]
    assert rows == table.rows[2:]
    assert [entry.row for entry in walk(table.fetch, start=behind("a"))] == table.rows[3:]
    found = [entry.name for entry in walk(table.fetch, start=behind("a"), delimiter="/")]
    assert found == ["a/", "b", "b", "b"]


def test_what_is_rolled_up_is_not_read() -> None:
    table = Table([f"{folder:03d}/{number:05d}" for folder in range(50) for number in range(400)])
    found = [entry.name for entry in walk(table.fetch, start=Place(""), prefix="", delimiter="/")]
    assert found == [f"{folder:03d}/" for folder in range(50)]
    assert table.read < 300
