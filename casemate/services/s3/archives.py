"""Archived objects, which cannot be read before they are restored.

Restore in what is told of a version: {"Since", "Due", "Days"} while it is restored, {"Until"} once it is and for as
long. Times in seconds since the epoch. Source: "Restoring an archived object", "Understanding archive retrieval
options".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from casemate.errors import AwsError
from casemate.services.s3.about import ARCHIVES, http_date

if TYPE_CHECKING:
    from casemate.services.s3.object_rows import ObjectRow

STATE = "Restore"

_HOUR = 3600.0
DELAYS: Mapping[str, Mapping[str, float]] = {
    "GLACIER": {"Expedited": 300.0, "Standard": 5 * _HOUR, "Bulk": 12 * _HOUR},
    "DEEP_ARCHIVE": {"Standard": 12 * _HOUR, "Bulk": 48 * _HOUR},
}
"""Seconds that a restore takes by its tier: the longest that AWS tells as usual."""


def stored_class(about: Mapping[str, Any]) -> str:
    found: str = about.get("StorageClass", "STANDARD")
    return found


def is_archived(about: Mapping[str, Any]) -> bool:
    """Whether its content is out of reach: in an archive, and not restored."""
    return about.get("StorageClass") in ARCHIVES and "Until" not in about.get(STATE, {})


def check_readable(row: ObjectRow) -> None:
    """Raise for what is to be restored first."""
    if is_archived(row.about):
        raise AwsError(
            "InvalidObjectState",
            "The operation is not valid for the object's storage class",
            403,
            StorageClass=stored_class(row.about),
        )


def check_copied(row: ObjectRow) -> None:
    """The same of what is to be copied."""
    if is_archived(row.about):
        raise AwsError(
            "ObjectNotInActiveTierError",
            "The source object of the COPY operation is not in the active tier and is only stored in Amazon S3 "
            "Glacier.",
            403,
        )


def shown(about: Mapping[str, Any]) -> dict[str, Any]:
    """The member of GetObject's and HeadObject's answers."""
    state = about.get(STATE)
    if state is None:
        return {}
    if "Until" not in state:
        return {"Restore": 'ongoing-request="true"'}
    return {"Restore": f'ongoing-request="false", expiry-date="{http_date(state["Until"])}"'}


def listed(about: Mapping[str, Any]) -> dict[str, Any]:
    """The member of an entry of a listing that asks for it."""
    state = about.get(STATE)
    if state is None:
        return {}
    if "Until" not in state:
        return {"RestoreStatus": {"IsRestoreInProgress": True}}
    until = datetime.fromtimestamp(state["Until"], UTC)
    return {"RestoreStatus": {"IsRestoreInProgress": False, "RestoreExpiryDate": until}}
