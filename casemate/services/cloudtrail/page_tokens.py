"""NextToken: where a lookup goes on, good for the lookup that gave it and for an hour."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING, Final, NamedTuple

from orjson import JSONDecodeError, dumps, loads

if TYPE_CHECKING:
    from collections.abc import Sequence

GOOD_FOR: Final = 3600
"""Seconds."""


class Place(NamedTuple):
    """Where an event stands in the order of a history: later ones are greater. time: eventTime, seconds since the
    epoch; order: when the audit wrote it, nanoseconds since the epoch and its number within that moment."""

    time: int
    order: int
    id: str


class Token(NamedTuple):
    """until: the time that the first page's lookup was made for, seconds since the epoch."""

    after: Place
    until: int


def digest(asked: Sequence[str | int | None]) -> str:
    """Of what a token is good for: the account, the Region and the parameters of a lookup."""
    return hashlib.blake2b(dumps(asked), digest_size=9).hexdigest()


def write(token: Token, asked: str, now: float) -> str:
    text = dumps([*token.after, token.until, asked, int(now)])
    return urlsafe_b64encode(text).decode()


def read(text: str, asked: str, now: float) -> Token | None:
    """None for what is no token of this lookup's, or of more than an hour ago."""
    try:
        found = loads(urlsafe_b64decode(text.encode("ascii")))
    except (Base64Error, UnicodeError, JSONDecodeError, ValueError):
        return None
    if not isinstance(found, list) or [type(each) for each in found] != [int, int, str, int, str, int]:
        return None
    *place, until, of, given = found
    if of != asked or not 0 <= now - given <= GOOD_FOR:
        return None
    return Token(Place(*place), until)
