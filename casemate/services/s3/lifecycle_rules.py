"""Lifecycle rules: what may be put, and what a rule says of an object. Source: "Lifecycle configuration elements",
"PutBucketLifecycleConfiguration", "Expiring objects".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import AwsError
from casemate.services.s3.refusals import invalid_argument, invalid_request, malformed_xml, not_supported

if TYPE_CHECKING:
    from casemate.api import s3

MOST_RULES = 1_000
_LONGEST_ID = 255
DAY = 86_400
_ACTIONS = ("Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")
_TRANSITIONS = ("Transitions", "NoncurrentVersionTransitions")


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


def stored(rules: Sequence[s3.LifecycleRule]) -> list[dict[str, Any]]:
    """The rules as settings hold them: with ids, and dates as seconds. Raises AWS's refusal of the first that cannot
    be."""
    if len(rules) > MOST_RULES:
        raise invalid_request(
            f"The number of lifecycle rules must not exceed the allowed limit of {MOST_RULES} rules"
        )
    if not rules:
        raise malformed_xml()
    found = [_stored(rule, number) for number, rule in enumerate(rules, 1)]
    ids = [rule["ID"] for rule in found]
    if len(set(ids)) != len(ids):
        raise invalid_argument("RuleId must be unique. Found same ID for more than one rule")
    return found


def _stored(rule: s3.LifecycleRule, number: int) -> dict[str, Any]:
    if any(rule.get(name) for name in _TRANSITIONS):
        raise not_supported("A transition to another storage class")
    if not any(name in rule for name in _ACTIONS):
        raise invalid_request("At least one action needs to be specified in a rule.")
    if len(rule.get("ID", "")) > _LONGEST_ID:
        raise invalid_argument(f"ID length should not exceed allowed limit of {_LONGEST_ID}")
    if ("Filter" in rule) == ("Prefix" in rule):
        raise malformed_xml()
    made: dict[str, Any] = {key: value for key, value in rule.items() if key not in _TRANSITIONS}
    made["ID"] = rule.get("ID") or f"rule-{number}"
    if "Filter" in rule:
        _check_filter(rule["Filter"])
    scope = filter_of(made)
    if "Expiration" in rule:
        made["Expiration"] = _expiration(rule["Expiration"], scope)
    if "NoncurrentVersionExpiration" in rule:
        _check_noncurrent(rule["NoncurrentVersionExpiration"])
    if "AbortIncompleteMultipartUpload" in rule:
        days = rule["AbortIncompleteMultipartUpload"].get("DaysAfterInitiation")
        if days is None:
            raise malformed_xml()
        _must_be_positive("DaysAfterInitiation", "AbortIncompleteMultipartUpload", days)
        if not scope.of_keys_alone:
            raise invalid_request(
                "AbortIncompleteMultipartUpload cannot be specified with Tags or object sizes."
            )
    return made


def _must_be_positive(what: str, action: str, days: int) -> None:
    if days < 1:
        raise invalid_argument(f"'{what}' for {action} action must be a positive integer")


def _check_filter(given: s3.LifecycleRuleFilter) -> None:
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


def _expiration(given: s3.LifecycleExpiration, scope: Filter) -> dict[str, Any]:
    if len(given) != 1:
        raise malformed_xml()
    if "Days" in given:
        _must_be_positive("Days", "Expiration", given["Days"])
    if "ExpiredObjectDeleteMarker" in given and not scope.of_keys_alone:
        raise invalid_request("ExpiredObjectDeleteMarker cannot be specified with Tags or object sizes.")
    made: dict[str, Any] = dict(given)
    if "Date" in given:
        when = given["Date"].timestamp()
        if when % DAY:
            raise invalid_argument("'Date' must be at midnight GMT")
        made["Date"] = when
    return made


def _check_noncurrent(given: s3.NoncurrentVersionExpiration) -> None:
    days, newer = given.get("NoncurrentDays"), given.get("NewerNoncurrentVersions")
    if days is None:
        raise malformed_xml()
    _must_be_positive("NoncurrentDays", "NoncurrentVersionExpiration", days)
    if newer is not None and not 1 <= newer <= 100:
        raise invalid_argument(
            "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be 1 to 100"
        )


def shown(rules: Sequence[Mapping[str, Any]]) -> list[s3.LifecycleRule]:
    """The rules out of settings, as the API has them."""
    found: list[Any] = []
    for rule in rules:
        made = dict(rule)
        date = rule.get("Expiration", {}).get("Date")
        if date is not None:
            made["Expiration"] = {"Date": datetime.fromtimestamp(date, UTC)}
        found.append(made)
    return found


def no_configuration(bucket: str) -> AwsError:
    return AwsError(
        "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", 404, BucketName=bucket
    )
