"""Lists in pages: MaxItems, Marker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.gate.markers import read_marker, write_marker
from casemate.services.lambda_.refusals import invalid

_MOST = 50


def size(request: Mapping[str, Any]) -> int:
    """Entries on a page: 50 at most, whatever is asked for."""
    return min(int(request.get("MaxItems", _MOST)), _MOST)


def begin(operation: str, request: Mapping[str, Any]) -> str:
    """The entry after which the list goes on, '' at its beginning. Raises InvalidParameterValueException."""
    marker = request.get("Marker")
    if not marker:
        return ""
    after = read_marker(operation, marker)
    if after is None:
        raise invalid("The marker is not valid.")
    return after


def more(operation: str, last: str) -> str:
    """The NextMarker; last: the last entry of the page."""
    return write_marker(operation, last)
