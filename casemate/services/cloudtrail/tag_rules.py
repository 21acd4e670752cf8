"""The rules for a trail's tags. Source: "AddTags", "Tag" of CloudTrail's API reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from casemate.errors import AwsError

MOST = 50


def merged(tags: Mapping[str, str], added: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The tags with others added or replaced. Raises InvalidTagParameterException, TagsLimitExceededException."""
    listed = [(tag["Key"], tag.get("Value", "")) for tag in added]
    if any(key[:4].lower() == "aws:" for key, _ in listed):
        raise _invalid("Tag keys that begin with aws: are reserved for AWS.")
    if len({key for key, _ in listed}) < len(listed):
        raise _invalid("Duplicate tag keys found.")
    result = {**tags, **dict(listed)}
    if len(result) > MOST:
        raise AwsError("TagsLimitExceededException", f"A trail can have {MOST} tags at most.")
    return result


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidTagParameterException", message)
