"""Answers: lists in pages (Limit, NextToken), and times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from casemate.gate.markers import read_marker, write_marker
from casemate.services.events.refusals import invalid

T = TypeVar("T")

_LARGEST = 100


def moment(seconds: float) -> datetime:
    """A time as answers have it."""
    return datetime.fromtimestamp(seconds, UTC)


class Page:
    """Which part of a list a request asks for. after: the last entry's name on the page before, '' at first; limit:
    how many entries at most. Raises ValidationException for another operation's token."""

    def __init__(self, operation: str, request: Mapping[str, Any]) -> None:
        self._operation = operation
        self.limit: int = request.get("Limit", _LARGEST)
        token = request.get("NextToken")
        after = "" if token is None else read_marker(operation, token)
        if after is None:
            raise invalid("Invalid token.")
        self.after = after

    def cut(self, entries: list[T], name: Callable[[T], str]) -> tuple[list[T], dict[str, Any]]:
        """The page's entries out of one more than its limit, if there are more; and the member that tells."""
        if len(entries) <= self.limit:
            return entries, {}
        shown = entries[: self.limit]
        return shown, {"NextToken": write_marker(self._operation, name(shown[-1]))}
