"""Lists in pages: MaxResults, NextToken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.gate.markers import read_marker, write_marker
from casemate.services.ssm.refusals import bad_token

SCANNED = 500
"""So many parameters at most are looked at for one page: where few pass the filters, a page may be short, even empty,
and the list goes on all the same, as AWS's does."""


def begin(operation: str, request: Mapping[str, Any]) -> str:
    """The entry after which the list goes on, '' at its beginning. Raises InvalidNextToken."""
    token = request.get("NextToken")
    if not token:
        return ""
    after = read_marker(operation, token)
    if after is None:
        raise bad_token()
    return after


def more(operation: str, last: str) -> dict[str, str]:
    """The member that tells that there is more; last: the last entry that was looked at."""
    return {"NextToken": write_marker(operation, last)}
