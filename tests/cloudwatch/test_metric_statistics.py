"""What is kept of values: as many as there are, their sum and bounds, and percentiles close to the true ones."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.engine.metrics import merged, of_set, of_values, percentile, read_percentile
from casemate.engine.metrics.statistics import MOST_VALUES

VALUES = st.lists(st.floats(0, 1e9, allow_subnormal=False), min_size=1, max_size=60)


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_parts_merge_into_the_whole(parts: list[list[float]]) -> None:
    every = sorted(value for part in parts for value in part)
    whole = merged([of_values(part) for part in parts])
    assert (whole.number, whole.minimum, whole.maximum) == (len(every), every[0], every[-1])
    assert math.isclose(whole.total, sum(every), rel_tol=1e-9, abs_tol=1e-9)
    for number in (0.0, 10.0, 50.0, 99.0, 100.0):
        wanted = every[max(0, math.ceil(len(every) * number / 100) - 1)]
        assert percentile(whole, number) == wanted


def test_many_values_become_few_and_stay_close() -> None:
    every = [1.0001**number for number in range(100_000)]
    whole = merged([of_values(every[at : at + 500]) for at in range(0, len(every), 500)])
    assert whole.values is not None
    assert len(whole.values) <= MOST_VALUES
    assert whole.number == len(every)
    for number in (1, 25, 50, 75, 99):
        found = percentile(whole, number)
        assert found is not None
        assert math.isclose(found, every[number * 1_000 - 1], rel_tol=0.1)


def test_percentiles_that_cannot_be_told() -> None:
    assert percentile(of_values([-1.0, 2.0]), 50) is None
    assert percentile(of_set(3, 6, 1, 3), 50) is None
    assert percentile(of_set(3, 6, 2, 2), 50) == 2
    assert percentile(merged([of_values([1.0]), of_set(2, 3, 1, 2)]), 50) is None


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("p50", 50.0),
        ("p99.9", 99.9),
        ("p0", 0.0),
        ("p100", 100.0),
        ("p100.1", None),
        ("p", None),
        ("P50", None),
    ],
)
def test_names_of_percentiles(name: str, number: float | None) -> None:
    assert read_percentile(name) == number
