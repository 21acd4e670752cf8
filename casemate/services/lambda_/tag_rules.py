"""The rules for a function's tags. Source: "Using tags on Lambda functions"."""

from __future__ import annotations

from collections.abc import Mapping

from casemate.services.lambda_.refusals import invalid

MOST = 50


def checked_tags(tags: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """The tags with others added or replaced. Raises InvalidParameterValueException."""
    for key in added:
        if key[:4].lower() == "aws:":
            raise invalid("Tag keys that begin with aws: are reserved for AWS.")
    result = dict(tags) | dict(added)
    if len(result) > MOST:
        raise invalid(f"Number of tags exceeds resource tag limit of {MOST}.")
    return result
