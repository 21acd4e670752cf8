"""The rules for a key's tags. Source: "Tags in AWS KMS", "Resource quotas"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from casemate.errors import AwsError

if TYPE_CHECKING:
    from casemate.api import kms

MOST = 50


def check_names(names: Iterable[str]) -> None:
    """Raises TagException for names that are AWS's own, and for one that is given twice."""
    listed = list(names)
    if any(name[:4].lower() == "aws:" for name in listed):
        raise AwsError("TagException", "Tags beginning with aws: are reserved")
    if len(set(listed)) != len(listed):
        raise AwsError("TagException", "Duplicate tag keys")


def merged(tags: Mapping[str, str], added: list[kms.Tag]) -> dict[str, str]:
    """The tags with others added or replaced. Raises TagException."""
    check_names(tag["TagKey"] for tag in added)
    result = dict(tags) | {tag["TagKey"]: tag["TagValue"] for tag in added}
    if len(result) > MOST:
        raise AwsError("TagException", "Too many tags")
    return result
