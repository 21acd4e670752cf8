"""The rules for tags. Keys differ by more than case, and keep the case in which they were given. Source: "Tags for
AWS Identity and Access Management resources"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from casemate.errors import AwsError
from casemate.services.iam.refusals import invalid_input

if TYPE_CHECKING:
    from casemate.api import iam

MOST = 50


def merged(tags: Mapping[str, str], added: Sequence[iam.Tag]) -> dict[str, str]:
    """The tags with others added or replaced. Raises InvalidInput, LimitExceeded."""
    keys = [tag["Key"].lower() for tag in added]
    if len(set(keys)) != len(keys):
        raise invalid_input("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    if any(key.startswith("aws:") for key in keys):
        raise invalid_input("aws: prefixed tag key names are not allowed for external use.")
    result = without(tags, keys) | {tag["Key"]: tag["Value"] for tag in added}
    if len(result) > MOST:
        raise AwsError("LimitExceeded", "The number of tags has reached the maximum limit.")
    return result


def without(tags: Mapping[str, str], keys: Iterable[str]) -> dict[str, str]:
    """The tags but for some; keys that are not there are no error."""
    gone = {key.lower() for key in keys}
    return {key: value for key, value in tags.items() if key.lower() not in gone}
