"""The rules for tags. Source: "Tagging and cost allocation tag restrictions"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from casemate.errors import AwsError

MOST = 50
_TEXT = re.compile(r"[\w\s+\-=._:/@]*")


def _invalid(text: str, key: str = "") -> AwsError:
    return AwsError("InvalidTag", text, 400, **({"TagKey": key} if key else {}))


def checked_tags(given: Iterable[Mapping[str, Any]], most: int = MOST) -> dict[str, str]:
    """Values by name. Raises InvalidTag, and BadRequest for too many."""
    tags: dict[str, str] = {}
    for tag in given:
        key, value = str(tag["Key"]), str(tag["Value"])
        if not 1 <= len(key) <= 128 or _TEXT.fullmatch(key) is None:
            raise _invalid("The TagKey you have provided is invalid", key)
        if len(value) > 256 or _TEXT.fullmatch(value) is None:
            raise _invalid("The TagValue you have provided is invalid", key)
        if key[:4].lower() == "aws:":
            raise _invalid("System tags cannot be added/updated by requester", key)
        if key in tags:
            raise _invalid("Cannot provide multiple Tags with the same key", key)
        tags[key] = value
    if len(tags) > most:
        what = "Bucket" if most == MOST else "Object"
        raise AwsError("BadRequest", f"{what} tags cannot be greater than {most}", 400)
    return tags
