"""What sealed rows were opened to is found by all that the row holds, and by nothing less."""

from __future__ import annotations

import pytest

from casemate.store.opened import Opened


def test_a_row_is_opened_once_and_an_altered_one_again() -> None:
    opened: Opened[str] = Opened(10)
    calls: list[str] = []

    def open_it() -> str:
        calls.append("opened")
        return "content"

    assert opened.get(("name", b"sealed"), open_it) == "content"
    assert opened.get(("name", b"sealed"), open_it) == "content"
    assert calls == ["opened"]
    opened.get(("name", b"altered"), open_it)
    opened.get(("another name", b"sealed"), open_it)
    assert len(calls) == 3


def test_what_cannot_be_opened_is_not_kept() -> None:
    opened: Opened[str] = Opened(10)

    def refuse() -> str:
        raise ValueError("altered")

    with pytest.raises(ValueError, match="altered"):
        opened.get(("name", b"sealed"), refuse)
    assert opened.get(("name", b"sealed"), lambda: "content") == "content"


def test_it_is_bounded() -> None:
    opened: Opened[int] = Opened(3)
    for number in range(10):
        opened.put(number, number)
    assert repr(opened) == "<Opened 1>"
    assert opened.get(9, lambda: -1) == 9
