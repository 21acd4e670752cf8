"""Which objects a rule is about, of lifecycle and of replication, and when something is so many days old."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from casemate.services.s3.refusals import invalid_request, malformed_xml

DAY = 86_400


class Filter(NamedTuple):
    """Which objects a rule is about. larger, smaller: sizes in bytes that objects are above and below."""

    prefix: str = ""
    tags: Mapping[str, str] = {}
    larger: int | None = None
    smaller: int | None = None

    def covers(self, key: str, size: int, tags: Mapping[str, str]) -> bool:
        return (
            key.startswith(self.prefix)
            and all(tags.get(name) == value for name, value in self.tags.items())
            and (self.larger is None or size > self.larger)
            and (self.smaller is None or size < self.smaller)
        )

    @property
    def of_keys_alone(self) -> bool:
        """Whether nothing but the key counts."""
        return not self.tags and self.larger is None and self.smaller is None


def filter_of(rule: Mapping[str, Any]) -> Filter:
    """A stored rule's."""
    given = rule.get("Filter")
    if given is None:
        return Filter(rule.get("Prefix", ""))
    given = given.get("And", given)
    listed = [*given.get("Tags", ()), *([given["Tag"]] if "Tag" in given else ())]
    return Filter(
        given.get("Prefix", ""),
        {tag["Key"]: tag["Value"] for tag in listed},
        given.get("ObjectSizeGreaterThan"),
        given.get("ObjectSizeLessThan"),
    )


def due(created: float, days: int) -> float:
    """When what was made then is so many days old: at the next midnight of UTC after that."""
    later = created + days * DAY
    return later + -later % DAY


def check_filter(given: Mapping[str, Any]) -> None:
    """Raise for a rule's filter that cannot be."""
    if len(given) > 1:
        raise malformed_xml()
    both = given.get("And")
    if both is not None and len(both) + max(0, len(both.get("Tags", ())) - 1) < 2:
        raise malformed_xml()
    scope = filter_of({"Filter": given})
    tags = [*both.get("Tags", ())] if both is not None else []
    if len({tag["Key"] for tag in tags}) != len(tags):
        raise invalid_request("Duplicate Tag Keys are not allowed.")
    if scope.larger is not None and scope.smaller is not None and scope.larger >= scope.smaller:
        raise invalid_request("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
