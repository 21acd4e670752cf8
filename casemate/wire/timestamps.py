"""Timestamps on the wire: epoch seconds, ISO 8601 (RFC 3339) and the IMF-fixdate of RFC 9110.

In memory a timestamp is a timezone-aware ``datetime``. AWS's resolution is the millisecond; finer fractions are
read but not written. Source: Smithy's "Timestamp formats".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s?([Zz]|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
_HTTP = re.compile(
    r"[A-Z][a-z]{2}, (\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))? GMT", re.ASCII
)


def from_epoch(seconds: float) -> datetime:
    """Raises ValueError or OverflowError outside of the years 1 to 9999."""
    # Integers of microseconds keep what a float of that size still resolves; timedelta would round twice.
    return _EPOCH + timedelta(microseconds=round(seconds * 1_000_000))


def _fraction(digits: str | None) -> int:
    return int(digits[:6].ljust(6, "0")) if digits else 0


def from_iso8601(text: str) -> datetime:
    """A date alone is midnight UTC; a time without a zone is UTC. Raises ValueError."""
    found = _ISO.fullmatch(text)
    if found is None:
        raise ValueError("not an ISO 8601 timestamp")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    offset = UTC
    if zone and zone not in "Zz":
        sign = -1 if zone[0] == "-" else 1
        offset = timezone(sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])))
    moment = datetime(
        int(year),
        int(month),
        int(day),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        _fraction(fraction),
        offset,
    )
    return moment.astimezone(UTC)


def from_http_date(text: str) -> datetime:
    """Raises ValueError."""
    found = _HTTP.fullmatch(text)
    if found is None:
        raise ValueError("not an HTTP date")
    day, month, year, hour, minute, second, fraction = found.groups()
    if month not in _MONTHS:
        raise ValueError("not an HTTP date")
    number = _MONTHS.index(month) + 1
    return datetime(
        int(year), number, int(day), int(hour), int(minute), int(second), _fraction(fraction), tzinfo=UTC
    )


def from_text(text: str) -> datetime:
    """A timestamp in text of any of the three formats: AWS's text protocols read all of them. ValueError."""
    if text[:1].isalpha():
        return from_http_date(text)
    if "-" in text[1:] or ":" in text:
        return from_iso8601(text)
    if not re.fullmatch(r"-?\d{1,15}(\.\d{1,9})?", text, re.ASCII):
        raise ValueError("not a timestamp")
    return from_epoch(float(text))


def _aware(moment: datetime) -> datetime:
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise TypeError(f"a timezone-aware datetime was expected, not {type(moment).__name__}")
    return moment


def to_epoch(moment: datetime) -> float:
    """Seconds with milliseconds, as AWS's JSON has them."""
    since = _aware(moment) - _EPOCH
    return (since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000) / 1000


def to_iso8601(moment: datetime) -> str:
    moment = _aware(moment).astimezone(UTC)
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond >= 1000 else "seconds")
    return text[:-6] + "Z"


def to_iso8601_millis(moment: datetime) -> str:
    """Always with milliseconds, as EC2, IAM and S3 write them in XML."""
    return _aware(moment).astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


@lru_cache(512)
def to_http_date(moment: datetime) -> str:
    moment = _aware(moment).astimezone(UTC)
    return (
        f"{_DAYS[moment.weekday()]}, {moment.day:02} {_MONTHS[moment.month - 1]} {moment.year:04} "
        f"{moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"
    )


def to_cloudtrail(moment: datetime) -> str:
    """As CloudTrail shows a member of a request: ``Dec 31, 2026, 11:59:59 PM``."""
    moment = _aware(moment).astimezone(UTC)
    return (
        f"{_MONTHS[moment.month - 1]} {moment.day}, {moment.year}, "
        f"{moment.hour % 12 or 12}:{moment.minute:02}:{moment.second:02} {'AM' if moment.hour < 12 else 'PM'}"
    )


def _epoch_text(moment: datetime) -> str:
    seconds = to_epoch(moment)
    return str(int(seconds)) if seconds.is_integer() else repr(seconds)


TO_TEXT: dict[str, Callable[[datetime], str]] = {
    "iso8601": to_iso8601,
    "rfc822": to_http_date,
    "unixtimestamp": _epoch_text,
}
"""Writers by the model's timestampFormat in lower case."""
