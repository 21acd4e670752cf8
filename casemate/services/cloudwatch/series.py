"""A metric's data in periods of a length that is asked for.

Source: "GetMetricStatistics" (periods, how start times are rounded, how long data is available).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from casemate.engine.metrics import Sample, merged, percentile, read_percentile
from casemate.services.cloudwatch.metrics import KEPT, Arrived, Metric, Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.gate.call import Call

STATISTICS = frozenset(("SampleCount", "Average", "Sum", "Minimum", "Maximum"))
_SHORT = (1, 5, 10, 20, 30)
_DAY = 86_400


def is_period(period: int) -> bool:
    return period in _SHORT or (period > 0 and period % 60 == 0)


def rounded_start(start: int, period: int, now: int) -> int:
    """As CloudWatch rounds a start time."""
    if period in _SHORT:
        return start - start % period
    age = now - start
    step = 60 if age < 15 * _DAY else 300 if age < 63 * _DAY else 3600
    return start - start % step


def arrived(call: Call) -> Arrived:
    """What of the caller's metrics is not folded yet."""
    return call.part(Metrics).arrived(call.tx, (call.account, call.region))


def in_periods(
    call: Call, metric: Metric, start: int, end: int, period: int, unit: str | None, new: Arrived
) -> Mapping[tuple[int, str], Sample]:
    """By the period's start and unit. start: rounded; unit: the only one wanted, if any; new: ``arrived``."""
    metrics, place, now = call.part(Metrics), (call.account, call.region), int(call.now)
    fine = period < 60
    # What is older is there in longer periods only.
    oldest = now - next(
        kept for resolution, kept in reversed(KEPT.items()) if period % resolution == 0 or resolution == 1
    )
    gathered: dict[tuple[int, str], list[Sample]] = defaultdict(list)
    # A point of a minute belongs to the period in which it begins.
    for point in metrics.points(call.tx, place, metrics.id_of(place, metric), start, end, fine, new):
        if point.start >= oldest and unit in (None, point.unit):
            gathered[start + (point.start - start) // period * period, point.unit].append(point.sample)
    return {at: merged(samples) for at, samples in gathered.items()}


def is_statistic(name: str) -> bool:
    return name in STATISTICS or read_percentile(name) is not None


def value_of(sample: Sample, statistic: str) -> float | None:
    """None where it cannot be told."""
    number = read_percentile(statistic)
    if number is not None:
        return percentile(sample, number)
    return {
        "SampleCount": sample.number,
        "Average": sample.average,
        "Sum": sample.total,
        "Minimum": sample.minimum,
        "Maximum": sample.maximum,
    }[statistic]
