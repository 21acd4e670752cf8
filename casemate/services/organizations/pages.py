"""Lists in pages: MaxResults, NextToken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from casemate.gate.markers import read_marker, write_marker
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
    after = read_marker(operation, request["NextToken"]) if "NextToken" in request else ""
    if after is None:
        raise invalid_input("INVALID_NEXT_TOKEN", "You specified an invalid value for NextToken.")
    limit = request.get("MaxResults", MOST)
    left = sorted((entry for entry in entries if key(entry) > after), key=key)
    if len(left) <= limit:
        return left, {}
    shown = left[:limit]
    return shown, {"NextToken": write_marker(operation, key(shown[-1]))}
