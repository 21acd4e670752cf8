"""Unusual activity: what makes a minute's calls unusual, and the events that tell of it.

A minute of an API's calls (or of its calls that were refused with one error) is unusual when they are at least 10, at
least one and a half times as many as in the busiest of the usual minutes before, and at least three standard
deviations above these minutes' average. Usual minutes are those of the seven days before that belong to no unusual
activity; minutes without a call count as 0. Source (of the baseline and the events): "Working with CloudTrail
Insights", "CloudTrail Insights insightDetails element".
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_URL, uuid5

CALL_RATE, ERROR_RATE = "ApiCallRateInsight", "ApiErrorRateInsight"
START, END = "Start", "End"

BASELINE: Final = 7 * 1440
"""Minutes that what is usual is taken from, at most."""
LEARNING: Final = 36 * 60
"""Minutes that were watched before anything is called unusual."""
QUIET: Final = 10
"""Minutes without an unusual one after which activity has ended."""
LONGEST: Final = 1440
"""Minutes after which what was unusual is the new usual."""

LEAST, _PEAKS, _DEVIATIONS = 10, 1.5, 3.0
_SHOWN = 5
_KEPT = 20

Callers = Mapping[str, Mapping[str, int]]
"""By attribute ("userIdentityArn", "userAgent", "errorCode"), the calls of each value."""

ATTRIBUTES: Final = ("userIdentityArn", "userAgent", "errorCode")


class Series(NamedTuple):
    """What is counted. error: the errorCode of refused calls, '' of all calls."""

    account: str
    region: str
    source: str
    name: str
    error: str

    @property
    def kind(self) -> str:
        return ERROR_RATE if self.error else CALL_RATE


class Baseline(NamedTuple):
    """Usual minutes: how many, and the sum, the sum of squares and the greatest of their counts."""

    minutes: int
    total: int = 0
    squares: int = 0
    peak: int = 0

    @property
    def average(self) -> float:
        return self.total / self.minutes

    @property
    def least(self) -> float:
        """How many calls make a minute unusual."""
        mean = self.average
        deviation = sqrt(max(self.squares / self.minutes - mean * mean, 0.0))
        return max(LEAST, _PEAKS * self.peak, mean + _DEVIATIONS * deviation)


class Activity(NamedTuple):
    """What one event tells. minute: when it began or ended, minutes since the epoch; calls: in so many minutes;
    callers, usual_callers: of these minutes, and of the baseline's."""

    series: Series
    minute: int
    shared: str
    minutes: int
    calls: int
    callers: Callers
    baseline: Baseline
    usual_callers: Callers


def shared_id(series: Series, started: int) -> str:
    """The sharedEventID of what began then, the same for all trails."""
    return str(uuid5(NAMESPACE_URL, " ".join((*series, str(started)))))


def event(activity: Activity, state: str, category: str) -> dict[str, Any]:
    """The Insights event. category: of the calls that it is about."""
    series = activity.series
    details: dict[str, Any] = {
        "state": state,
        "eventSource": series.source,
        "eventName": series.name,
        "insightType": series.kind,
    }
    if series.error:
        details["errorCode"] = series.error
    details["insightContext"] = {
        "statistics": {
            "baseline": {"average": _rounded(activity.baseline.average)},
            "insight": {"average": _rounded(activity.calls / activity.minutes)},
            "insightDuration": activity.minutes,
            "baselineDuration": activity.baseline.minutes,
        },
        "attributions": [
            {
                "attribute": attribute,
                "insight": _averages(activity.callers.get(attribute, {}), activity.minutes),
                "baseline": _averages(activity.usual_callers.get(attribute, {}), activity.baseline.minutes),
            }
            for attribute in ATTRIBUTES
        ],
    }
    if category != "Management":
        details["sourceEventCategory"] = category
    return {
        "eventVersion": "1.11",
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(activity.minute * 60)),
        "awsRegion": series.region,
        "eventID": str(uuid5(NAMESPACE_URL, f"{activity.shared} {state}")),
        "eventType": "AwsCloudTrailInsight",
        "recipientAccountId": series.account,
        "sharedEventID": activity.shared,
        "insightDetails": details,
        "eventCategory": "Insight",
    }


def _averages(calls: Mapping[str, int], minutes: int) -> list[dict[str, Any]]:
    greatest = sorted(calls.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
    return [{"value": value, "average": _rounded(count / minutes)} for value, count in greatest]


def _rounded(average: float) -> float:
    return round(average, 10)


def callers_of(record: Mapping[str, Any]) -> dict[str, str]:
    """What an event tells of who called, by attribute."""
    return {
        "userIdentityArn": record["userIdentity"].get("arn")
        or record["userIdentity"].get("invokedBy", "null"),
        "userAgent": record.get("userAgent") or "null",
        "errorCode": record.get("errorCode") or "null",
    }


def together(several: Iterable[Callers]) -> dict[str, dict[str, int]]:
    """The callers of several minutes; those that call most of many."""
    found: dict[str, Counter[str]] = {attribute: Counter() for attribute in ATTRIBUTES}
    for callers in several:
        for attribute, counts in callers.items():
            found[attribute].update(counts)
    return {attribute: dict(counts.most_common(_KEPT)) for attribute, counts in found.items()}


def usual(minutes: int, counts: Sequence[int]) -> Baseline:
    """The baseline of so many minutes, of which those with calls had so many."""
    return Baseline(minutes, sum(counts), sum(count * count for count in counts), max(counts, default=0))
