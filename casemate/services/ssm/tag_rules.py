"""The rules for a parameter's tags. Source: "AddTagsToResource", "Tag naming limits and requirements"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from casemate.errors import AwsError
from casemate.services.ssm.refusals import invalid

if TYPE_CHECKING:
    from casemate.api import ssm

MOST = 50


def check_keys(keys: Iterable[str]) -> None:
    """Raises ValidationException for names that are AWS's own."""
    for key in keys:
        if key[:4].lower() == "aws:":
            raise invalid(f"Tag key {key} is not allowed: keys that begin with aws: are reserved.")


def merged(tags: Mapping[str, str], added: Iterable[ssm.Tag]) -> dict[str, str]:
    """The tags with others added or replaced. Raises ValidationException, TooManyTagsError."""
    listed = list(added)
    check_keys(tag["Key"] for tag in listed)
    if len({tag["Key"] for tag in listed}) != len(listed):
        raise invalid("Duplicate tag keys are not allowed.")
    result = dict(tags) | {tag["Key"]: tag["Value"] for tag in listed}
    if len(result) > MOST:
        raise AwsError(
            "TooManyTagsError",
            f"A parameter can have a maximum of {MOST} tags. Remove one or more and try again.",
        )
    return result
