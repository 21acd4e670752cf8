"""Lists in pages: Limit, Marker, NextMarker, Truncated."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from casemate.errors import AwsError
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
        self.after = "" if marker is None else self._read(marker)

    def _read(self, marker: str) -> str:
        try:
            operation, _, after = urlsafe_b64decode(marker.encode("ascii")).decode().partition("\n")
        except (Base64Error, UnicodeError):
            operation, after = "", ""
        # U+0000 is in no name, and PostgreSQL takes none.
        if operation != self._operation or not after or "\0" in after or self._marker(after) != marker:
            raise AwsError("InvalidMarkerException", "Invalid marker.")
        return after

    def _marker(self, after: str) -> str:
        return urlsafe_b64encode(f"{self._operation}\n{after}".encode()).decode()

    def cut(self, entries: list[T], name: Callable[[T], str]) -> tuple[list[T], dict[str, Any]]:
        """The page's entries out of one more than its limit, if there are more; and the members that tell."""
        if len(entries) <= self.limit:
            return entries, {"Truncated": False}
        shown = entries[: self.limit]
        return shown, {"Truncated": True, "NextMarker": self._marker(name(shown[-1]))}
