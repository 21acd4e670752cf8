"""Lists in pages: Limit, Marker, NextMarker, Truncated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from casemate.errors import AwsError
from casemate.gate.markers import read_marker, write_marker
from casemate.services.kms.refusals import constraint

T = TypeVar("T")


class Page:
    """Which part of a list a request asks for.

    operation: whose markers are taken, no other's; default, most: of Limit. limit: how many entries at most; after:
    the last entry's name on the page before, '' for the first page. Raises InvalidMarkerException,
    ValidationException.
    """

    def __init__(self, operation: str, request: Mapping[str, Any], *, default: int, most: int = 1000) -> None:
        self._operation = operation
        self.limit: int = request.get("Limit", default)
        if self.limit > most:
            raise constraint("limit", self.limit, f"Member must have value less than or equal to {most}")
        marker = request.get("Marker")
        after = "" if marker is None else read_marker(operation, marker)
        if after is None:
            raise AwsError("InvalidMarkerException", "Invalid marker.")
        self.after = after

    def cut(self, entries: list[T], name: Callable[[T], str]) -> tuple[list[T], dict[str, Any]]:
        """The page's entries out of one more than its limit, if there are more; and the members that tell."""
        if len(entries) <= self.limit:
            return entries, {"Truncated": False}
        shown = entries[: self.limit]
        return shown, {"Truncated": True, "NextMarker": write_marker(self._operation, name(shown[-1]))}
