"""Step 5: request quotas, as token buckets per quota, account and Region.

A bucket holds one second's worth of requests, as AWS's quotas are for each second; with less than one request a
second it holds one. Buckets are a worker's own, or those of all workers of a machine (``SharedBuckets``). While
nothing is limited, a request pays for one attribute.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from casemate.errors import AwsError
from casemate.gate.quotas import AppliedQuotas
from casemate.store.database import Tx

BucketKey = tuple[str, str, str]

# By protocol family. Source: "Common errors" of EC2, IAM and KMS, "Error responses" of Amazon S3.
_REFUSALS = {
    "query": ("Throttling", "Rate exceeded", 400),
    "ec2": ("RequestLimitExceeded", "Request limit exceeded.", 503),
    "s3": ("SlowDown", "Please reduce your request rate.", 503),
}


def throttled(family: str, text: str = "") -> AwsError:
    """What a request above its quota is answered. text: the service's own, where it has one."""
    code, usual, status = _REFUSALS.get(family, ("ThrottlingException", "Rate exceeded", 400))
    return AwsError(code, text or usual, status)


class Buckets(Protocol):
    def take(self, key: BucketKey, rate: float) -> bool:
        """One request out of the bucket; False when it is empty. rate: what flows in a second."""
        ...


class Throttle:
    """rates: requests a second by what counts ("kms:CreateKey", or "*" for each that is not named), for every account
    and Region; or AppliedQuotas, by which they differ. texts: what services say of it, by service."""

    __slots__ = ("_applied", "_buckets", "_default", "_fixed", "_texts", "limits")

    def __init__(
        self,
        rates: Mapping[str, float] | AppliedQuotas,
        buckets: Buckets | None = None,
        texts: Mapping[str, str] | None = None,
    ) -> None:
        self._applied: AppliedQuotas | None = None
        self._fixed: Mapping[str, float] = {}
        self._default: float | None = None
        if isinstance(rates, Mapping):
            self._fixed = rates
            self._default = rates.get("*")
            self.limits = bool(rates)
        else:
            self._applied = rates
            self.limits = True
        self._buckets = buckets or LocalBuckets()
        self._texts = texts or {}

    def take(self, counts: str, account: str, region: str, family: str, tx: Tx | None) -> None:
        """Count one request. Raises AWS's refusal when the quota is used up; and Miss, before anything is counted,
        when the quotas that apply are not in memory and there is no transaction."""
        applied = self._applied
        rates = self._fixed if applied is None else applied.rates(account, region, tx)
        rate = rates.get(counts)
        if rate is None:
            # What counts for each of many ("kms:KeyStore/cks-1") has the rate of its kind.
            rate = rates.get(counts.partition("/")[0], self._default)
        if rate is not None and not self._buckets.take((counts, account, region), rate):
            raise throttled(family, self._texts.get(counts.partition(":")[0], ""))


class LocalBuckets:
    """One process's."""

    __slots__ = ("_buckets", "_clock")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._buckets: dict[BucketKey, tuple[float, float]] = {}
        self._clock = clock

    def take(self, key: BucketKey, rate: float) -> bool:
        now = self._clock()
        capacity = rate if rate > 1.0 else 1.0 if rate > 0.0 else 0.0
        known = self._buckets.get(key)
        tokens = capacity if known is None else min(capacity, known[0] + (now - known[1]) * rate)
        if tokens < 1.0:
            return False
        self._buckets[key] = (tokens - 1.0, now)
        return True


_SLOT = struct.Struct("=16sdd")  # whose it is, tokens, since when
_SLOTS = 4096
_PROBES = 8


class SharedBuckets:
    """Those of all processes of a machine, in a small file that they map; two system calls a request.

    A slot is changed under a lock, which goes with its process. Holds nothing worth keeping: a bucket that
    loses its slot to another begins anew, full.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        # The machine's monotonic clock: all processes have the same.
        self._clock = clock
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._descriptor, _SLOT.size * _SLOTS)
        self._map = mmap.mmap(self._descriptor, _SLOT.size * _SLOTS)
        self._known: dict[BucketKey, tuple[bytes, int]] = {}
        # A file's locks are between processes; this one is between a process's threads.
        self._lock = threading.Lock()

    def take(self, key: BucketKey, rate: float) -> bool:
        known = self._known.get(key)
        if known is None:
            digest = blake2b("\n".join(key).encode(), digest_size=16).digest()
            known = self._known[key] = digest, int.from_bytes(digest[:4]) % (_SLOTS - _PROBES)
        digest, first = known
        start, length = first * _SLOT.size, _PROBES * _SLOT.size
        capacity = rate if rate > 1.0 else 1.0 if rate > 0.0 else 0.0
        with self._lock:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX, length, start)
            try:
                at, tokens, since = self._find(digest, first, capacity)
                now = self._clock()
                # A time that lies ahead is of before the machine was started anew.
                tokens = capacity if since > now else min(capacity, tokens + (now - since) * rate)
                if tokens < 1.0:
                    return False
                _SLOT.pack_into(self._map, at, digest, tokens - 1.0, now)
                return True
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, length, start)

    def _find(self, digest: bytes, first: int, capacity: float) -> tuple[int, float, float]:
        """Where the bucket is or may be, and what it holds."""
        oldest = (first * _SLOT.size, float("inf"))
        for index in range(first, first + _PROBES):
            at = index * _SLOT.size
            owner, tokens, since = _SLOT.unpack_from(self._map, at)
            if owner == digest:
                return at, tokens, since
            if since < oldest[1]:
                oldest = (at, since)
        return oldest[0], capacity, 0.0

    def close(self) -> None:
        self._map.close()
        os.close(self._descriptor)
