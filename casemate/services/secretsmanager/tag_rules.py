"""The rules for a secret's tags. Source: "Tags in AWS Secrets Manager"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from casemate.services.secretsmanager.refusals import invalid_parameter

if TYPE_CHECKING:
    from casemate.api import secretsmanager

MOST = 50


def merged(tags: Mapping[str, str], added: Iterable[secretsmanager.Tag]) -> dict[str, str]:
    """The tags with others added or replaced. Raises InvalidParameterException."""
    listed = [(tag.get("Key"), tag.get("Value", "")) for tag in added]
    keys = [key for key, _ in listed]
    if None in keys:
        raise invalid_parameter("You must provide a Key for each tag.")
    if any(key is not None and key.lower().startswith("aws:") for key in keys):
        raise invalid_parameter("Tag keys that begin with aws: are reserved for AWS's use.")
    if len(set(keys)) != len(keys):
        raise invalid_parameter("Duplicate tag keys found.")
    result = dict(tags) | {key: value for key, value in listed if key is not None}
    if len(result) > MOST:
        raise invalid_parameter(f"You can't attach more than {MOST} tags to a secret.")
    return result
