"""What the families of condition operators compare, apart from quantifiers and missing keys.

Each function takes the policy's values and gives a ``Hit``: does this value of the request meet any of them?
A value of the request that cannot be read (no number, no date, no address) meets none.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import operator
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from casemate.engine.policy.wildcards import STAR, Token, matcher

Hit = Callable[[str], bool]
Tokens = tuple[Token, ...]

_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def string_equals(values: Sequence[str]) -> Hit:
    return frozenset(values).__contains__


def string_equals_ignoring_case(values: Sequence[str]) -> Hit:
    wanted = frozenset(value.lower() for value in values)

    def hit(value: str) -> bool:
        return value.lower() in wanted

    return hit


def string_like(values: Sequence[Tokens]) -> Hit:
    matchers = [matcher(tokens) for tokens in values]
    if len(matchers) == 1:
        return matchers[0]

    def hit(value: str) -> bool:
        return any(match(value) for match in matchers)

    return hit


def boolean(values: Sequence[str]) -> Hit:
    return string_equals_ignoring_case(values)


def arn_like(values: Sequence[Tokens]) -> Hit:
    """Each of the six parts of an ARN is matched on its own, so that no wildcard reaches over a colon, save
    in the last (AWS: "Amazon Resource Name (ARN) condition operators"). A pattern with fewer parts is
    completed with stars, as in Resource; ``*`` alone is any ARN."""
    patterns = [[matcher(part) for part in split_arn(tokens)] for tokens in values]

    def hit(value: str) -> bool:
        parts = value.split(":", 5)
        if len(parts) < 6:
            return False
        return any(
            all(match(part) for match, part in zip(pattern, parts, strict=True)) for pattern in patterns
        )

    return hit


def split_arn(tokens: Tokens) -> list[Tokens]:
    """A pattern cut at its first five colons, completed to six parts."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if not isinstance(token, str):
            parts[-1].append(token)
            continue
        pieces = token.split(":", 6 - len(parts)) if len(parts) < 6 else [token]
        for index, piece in enumerate(pieces):
            if index:
                parts.append([])
            if piece:
                parts[-1].append(piece)
    return [tuple(part) for part in parts] + [(STAR,)] * (6 - len(parts))


# Numbers.

_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)


def _number(text: str) -> Decimal:
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(text)
    return Decimal(text)


def numeric(comparison: str, values: Sequence[str]) -> Hit:
    """Raises ValueError for a value that is no number."""
    return _ordered(comparison, [_number(value) for value in values], _number)


def _ordered(comparison: str, wanted: Sequence[Any], read: Callable[[str], Any]) -> Hit:
    compare = _COMPARE[comparison]

    def hit(value: str) -> bool:
        try:
            actual = read(value)
        except ValueError:
            return False
        return any(compare(actual, each) for each in wanted)

    return hit


# Dates.

_DATE: Final = re.compile(
    r"(?P<year>[+-]?\d{1,9})(?:-(?P<month>\d{1,2})(?:-(?P<day>\d{1,2}))?)?"
    r"(?:[Tt](?:(?P<hour>\d{1,2})(?::(?P<minute>\d{1,2})(?::(?P<second>\d{1,2}))?)?"
    r"(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_EPOCH: Final = re.compile(r"-?\d{1,19}(?:\.\d{1,9})?", re.ASCII)
_LONG: Final = 2**63


@lru_cache(maxsize=1024)
def instant(text: str) -> Decimal:
    """Seconds since the epoch of an ISO 8601 date and time (W3C's profile; UTC where no zone is given) or of
    a number of seconds; four digits are a year. Raises ValueError."""
    if _EPOCH.fullmatch(text) and not (len(text) == 4 and text.isdigit()):
        seconds = Decimal(text)
        if not -_LONG <= seconds < _LONG:
            raise ValueError(text)
        return seconds
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    month, day = int(found["month"] or 1), int(found["day"] or 1)
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    days = _days(int(found["year"]), month, day)
    if not (hour <= 23 and minute <= 59 and second <= 59):
        raise ValueError(text)
    # A fraction belongs to the smallest unit that is written.
    unit = 1 if found["second"] else 60 if found["minute"] else 3600
    fraction = Decimal(f"0.{found['fraction'] or 0}") * unit
    return Decimal(days * 86400 + hour * 3600 + minute * 60 + second) + fraction - _offset(found["zone"])


def _offset(zone: str | None) -> int:
    if zone is None or zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[3:].removeprefix(":") or 0)
    if hours > 23 or minutes > 59:
        raise ValueError(zone)
    return (-1 if zone[0] == "-" else 1) * (hours * 3600 + minutes * 60)


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the Gregorian calendar, for any year (datetime ends at 9999)."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not 1 <= month <= 12 or not 1 <= day <= lengths[month - 1]:
        raise ValueError(f"{year}-{month}-{day}")
    before = year - 1
    return (
        before * 365
        + before // 4
        - before // 100
        + before // 400
        + sum(lengths[: month - 1])
        + day
        - 1
        - 719162
    )


def date(comparison: str, values: Sequence[str]) -> Hit:
    """Raises ValueError for a value that is no date."""
    return _ordered(comparison, [instant(value) for value in values], instant)


# Binary.


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError(text) from None


def binary(values: Sequence[str]) -> Hit:
    """Both sides are base64. Raises ValueError for a value that is not."""
    return _ordered("=", [_decoded(value) for value in values], _decoded)


# Addresses.


def ip_address(values: Sequence[str]) -> Hit:
    """Addresses or CIDR blocks, IPv4 or IPv6; bits below a block's prefix are ignored. An IPv4 address
    written as ``::ffff:a.b.c.d`` is that IPv4 address. Raises ValueError for a value that is no block."""
    blocks = [_block(value) for value in values]

    def hit(value: str) -> bool:
        address = _address(value)
        if address is None:
            return False
        version, number = address
        # A generator for any() would cost more than the comparison.
        for wanted, network, mask in blocks:  # noqa: SIM110
            if version == wanted and number & mask == network:
                return True
        return False

    return hit


def _block(text: str) -> tuple[int, int, int]:
    if "%" in text:
        raise ValueError(text)
    network = ipaddress.ip_network(text, strict=False)
    return network.version, int(network.network_address), int(network.netmask)


@lru_cache(maxsize=4096)
def _address(text: str) -> tuple[int, int] | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.version, int(address)
