"""The rules for tags. Source: "Tagging in Amazon EventBridge"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from casemate.services.events.refusals import invalid, too_many
from casemate.services.events.resources import EventsResource

MOST = 50


def checked_tags(
    given: Iterable[Mapping[str, Any]], before: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The tags that there were, and those of the request. Raises ValidationException, LimitExceededException."""
    tags = dict(before or {})
    seen: set[str] = set()
    for tag in given:
        key = tag["Key"]
        if key.lower().startswith("aws:"):
            raise invalid("Tag keys must not start with aws:.")
        if key in seen:
            raise invalid("Duplicate tag keys are not allowed.")
        seen.add(key)
        tags[key] = tag["Value"]
    if len(tags) > MOST:
        raise too_many(f"A resource has at most {MOST} tags.")
    return tags


def when_tagged(target: EventsResource) -> EventsResource | None:
    """For events:TagResource of a request that makes something with tags."""
    return target if target.tagging else None
