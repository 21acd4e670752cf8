"""Lists in pages: MaxResults, NextToken."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from casemate.services.organizations.refusals import invalid_input

T = TypeVar("T")

MOST = 20
"""Entries of a page, where the request does not ask for fewer."""


def page(
    operation: str, request: Mapping[str, Any], entries: Iterable[T], key: Callable[[T], str]
) -> tuple[list[T], dict[str, Any]]:
    """The request's page out of all entries, in the order of their keys; and NextToken, if there are more.

    operation: whose tokens are taken, no other's. Raises InvalidInputException for a token that it did not give.
    """
    token = request.get("NextToken")
    after = "" if token is None else _read(operation, token)
    limit = request.get("MaxResults", MOST)
    left = sorted((entry for entry in entries if key(entry) > after), key=key)
    if len(left) <= limit:
        return left, {}
    shown = left[:limit]
    return shown, {"NextToken": _token(operation, key(shown[-1]))}


def _token(operation: str, after: str) -> str:
    return urlsafe_b64encode(f"{operation}\n{after}".encode()).decode()


def _read(operation: str, token: str) -> str:
    try:
        of, _, after = urlsafe_b64decode(token.encode("ascii")).decode().partition("\n")
    except (Base64Error, UnicodeError):
        of, after = "", ""
    if of != operation or not after or _token(operation, after) != token:
        raise invalid_input("INVALID_NEXT_TOKEN", "You specified an invalid value for NextToken.")
    return after
