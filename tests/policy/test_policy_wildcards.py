"""Wildcards match as they should, and in time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.engine.policy.operators import instant
from casemate.engine.policy.wildcards import glob


@settings(max_examples=200)
@given(st.text("ab*?", max_size=8), st.text("ab*?\n", max_size=8))
def test_against_regular_expressions(pattern: str, text: str) -> None:
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    assert glob(pattern)(text) is (re.fullmatch(expression, text, re.DOTALL) is not None)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*a" * 500 + "b", "a" * 10_000),
        ("*?" * 500 + "b", "a" * 10_000),
        ("*" * 5_000 + "b", "a" * 10_000),
        ("*a?a" * 200 + "*b", "a" * 10_000),
        ("a*" * 500 + "b", "a" * 10_000),
    ],
)
def test_many_stars_do_not_take_forever(pattern: str, text: str) -> None:
    """Backtracking would need longer than the universe has been there; the test's own time limit is the
    check."""
    match = glob(pattern)
    assert not match(text)
    assert match(text + "b") or "?" in pattern


def test_a_prefix_and_a_suffix_do_not_share_characters() -> None:
    assert not glob("ab*ba")("aba")
    assert glob("ab*ba")("abba")


@settings(max_examples=200)
@given(st.datetimes())
def test_dates_are_read_as_the_calendar_has_them(moment: object) -> None:
    from datetime import UTC, datetime

    assert isinstance(moment, datetime)
    aware = moment.replace(tzinfo=UTC, microsecond=0)
    assert instant(aware.strftime("%Y").zfill(4) + aware.strftime("-%m-%dT%H:%M:%SZ")) == int(
        aware.timestamp()
    )


def test_fractions_and_leap_years() -> None:
    assert instant("1970-01-01T00:00:00.5Z") * 2 == 1
    assert instant("1970-01-01T01.5Z") == 5400
    assert instant("2000-03-01") - instant("2000-02-28") == 2 * 86400
    assert instant("1900-03-01") - instant("1900-02-28") == 86400
    assert instant("-1") == -1
    assert instant("1969") == -365 * 86400
