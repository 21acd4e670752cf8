"""What is kept of the values of a metric in a period: their count, sum and bounds, and how often each occurred.

Of many different values those that are close to each other become one: so many digits of a value are kept that there
are no more than 1,000, three of them at least (0.5 per cent of the value) unless values span more than any
measurement does. Source: "Statistics" and "Percentiles" of "CloudWatch concepts", "PutMetricData".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

MOST_VALUES: Final = 1_000
_PERCENTILE: Final = re.compile(r"p(\d{1,3}(?:\.\d{1,10})?)", re.ASCII)


class Sample(NamedTuple):
    """number: of the values; values: how often each occurred, None where that is not known, so that there are no
    percentiles."""

    number: float
    total: float
    minimum: float
    maximum: float
    values: Mapping[float, float] | None

    @property
    def average(self) -> float:
        return self.total / self.number if self.number else 0.0


def of_values(values: Sequence[float], counts: Sequence[float] | None = None) -> Sample:
    """values: at least one; counts: how often each occurred, once unless given."""
    kept: dict[float, float] = {}
    for at, value in enumerate(values):
        kept[value] = kept.get(value, 0.0) + (1.0 if counts is None else counts[at])
    total = sum(value * count for value, count in kept.items())
    return Sample(sum(kept.values()), total, min(kept), max(kept), _few(kept))


def of_set(count: float, total: float, minimum: float, maximum: float) -> Sample:
    """What is known of values of which only that is told: the values themselves if they are all the same."""
    same = minimum == maximum and (count == 1 or total == minimum * count)
    return Sample(count, total, minimum, maximum, {minimum: count} if same else None)


def merged(samples: Iterable[Sample]) -> Sample:
    """All of them as one; at least one."""
    first, *others = samples
    count, total, minimum, maximum, values = first
    if not others:
        return first
    kept: dict[float, float] | None = None if values is None else dict(values)
    for each in others:
        count += each.number
        total += each.total
        minimum, maximum = min(minimum, each.minimum), max(maximum, each.maximum)
        if kept is None or each.values is None:
            kept = None
            continue
        for value, times in each.values.items():
            kept[value] = kept.get(value, 0.0) + times
    return Sample(count, total, minimum, maximum, None if kept is None else _few(kept))


def _few(values: dict[float, float]) -> dict[float, float]:
    digits = 7
    while len(values) > MOST_VALUES and digits > 0:
        digits -= 1
        folded: dict[float, float] = {}
        for value, count in values.items():
            rounded = float(f"{value:.{digits}e}")
            folded[rounded] = folded.get(rounded, 0.0) + count
        values = folded
    return values


def read_percentile(statistic: str) -> float | None:
    """The number of "p99.9"; None for what is no percentile."""
    found = _PERCENTILE.fullmatch(statistic)
    number = None if found is None else float(found[1])
    return number if number is not None and number <= 100 else None


def percentile(sample: Sample, number: float) -> float | None:
    """The least value that so many per cent of all are not above; None where that cannot be told: of statistic sets,
    and where there are negative values."""
    if not sample.values or sample.minimum < 0:
        return None
    wanted = sample.number * number / 100
    seen = 0.0
    for value in sorted(sample.values):
        seen += sample.values[value]
        if seen >= wanted and seen > 0:
            return min(max(value, sample.minimum), sample.maximum)
    return sample.maximum
