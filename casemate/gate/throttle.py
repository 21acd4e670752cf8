"""Step 5: request quotas, as token buckets per quota, account and Region.

Each worker process has buckets of its own, with its share of the rate. What is not limited costs one look-up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from casemate.errors import AwsError


class Throttle:
    """rates: requests a second by quota ("kms:Encrypt", or "*" for each quota without a rate of its own).

    A bucket holds one second's worth of requests, as AWS's per-second quotas do.
    """

    __slots__ = ("_buckets", "_clock", "_default", "_rates", "limits")

    def __init__(
        self,
        rates: Mapping[str, float],
        share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rates = {quota: rate * share for quota, rate in rates.items() if quota != "*"}
        self._default = rates["*"] * share if "*" in rates else None
        self.limits = bool(rates)
        """False: ``take`` never refuses."""
        self._buckets: dict[tuple[str, str, str], tuple[float, float]] = {}
        self._clock = clock

    def take(self, service: str, quota: str, account: str, region: str) -> None:
        """Count one request. Raises ThrottlingException (HTTP 400) when the quota is used up."""
        name = f"{service}:{quota}"
        rate = self._rates.get(name, self._default)
        if rate is None:
            return
        now = self._clock()
        key = (name, account, region)
        capacity = max(rate, 1.0)
        tokens, since = self._buckets.get(key, (capacity, now))
        tokens = min(capacity, tokens + (now - since) * rate)
        if tokens < 1.0:
            self._buckets[key] = (tokens, now)
            raise AwsError("ThrottlingException", "Rate exceeded", 400)
        self._buckets[key] = (tokens - 1.0, now)
