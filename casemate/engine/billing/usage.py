"""What is charged for: things that are held for a time, and requests."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple


class Holding(NamedTuple):
    """Something that is paid for by the hour. usage_type: as in the price table ("KMS-Keys"); begin, end: seconds
    since the epoch."""

    account: str
    region: str
    usage_type: str
    resource: str
    begin: float
    end: float


class Requests(NamedTuple):
    """A day's calls of one operation on one resource ('' for none)."""

    account: str
    region: str
    day: date
    operation: str
    usage_type: str
    resource: str
    calls: int
