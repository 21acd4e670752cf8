"""Lists in pages: MaxItems, Marker, IsTruncated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from casemate.gate.call import Call
from casemate.gate.markers import read_marker, write_marker
from casemate.services.iam.refusals import invalid

T = TypeVar("T")

DEFAULT = 100
"""Entries of a page unless MaxItems says otherwise."""


class Cut(NamedTuple, Generic[T]):
    """A page. more: the members of the answer that tell whether there is another."""

    shown: list[T]
    more: dict[str, Any]


class Page:
    """Which part of a list a request asks for.

    limit: how many entries at most; after: the last entry's place on the page before, '' for the first page. Raises
    ValidationError for what is no marker of this operation's.
    """

    def __init__(self, call: Call, request: Mapping[str, Any]) -> None:
        assert call.route is not None
        self._operation = call.route.operation.name
        self.limit: int = request.get("MaxItems", DEFAULT)
        self.after = ""
        if "Marker" in request:
            after = read_marker(self._operation, request["Marker"])
            if after is None:
                raise invalid("Invalid Marker.")
            self.after = after

    def cut(self, entries: list[T], place: Callable[[T], str]) -> Cut[T]:
        """Out of entries that follow the page before, one more than the limit if there are more."""
        if len(entries) <= self.limit:
            return Cut(entries, {"IsTruncated": False})
        shown = entries[: self.limit]
        return Cut(shown, {"IsTruncated": True, "Marker": write_marker(self._operation, place(shown[-1]))})

    def of(self, entries: Iterable[T], place: Callable[[T], str]) -> Cut[T]:
        """Out of all entries, in whatever order they come. Places are different from each other."""
        found = sorted((each for each in entries if place(each) > self.after), key=place)
        return self.cut(found[: self.limit + 1], place)
