"""Lifecycle rules: what may be put, and what a rule says of an object. Source: "Lifecycle configuration elements",
"PutBucketLifecycleConfiguration", "Expiring objects".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from casemate.errors import AwsError
from casemate.services.s3 import transitions
from casemate.services.s3.lifecycle_filters import DAY, Filter, check_filter, filter_of
from casemate.services.s3.refusals import invalid_argument, invalid_request, malformed_xml
from casemate.services.s3.transitions import CURRENT, OLDER

if TYPE_CHECKING:
    from casemate.api import s3

MOST_RULES = 1_000
_LONGEST_ID = 255
_ACTIONS = (
    "Expiration",
    "NoncurrentVersionExpiration",
    "AbortIncompleteMultipartUpload",
    CURRENT,
    OLDER,
)


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
    if not any(name in rule for name in _ACTIONS):
        raise invalid_request("At least one action needs to be specified in a rule.")
    if len(rule.get("ID", "")) > _LONGEST_ID:
        raise invalid_argument(f"ID length should not exceed allowed limit of {_LONGEST_ID}")
    if ("Filter" in rule) == ("Prefix" in rule):
        raise malformed_xml()
    made: dict[str, Any] = {key: value for key, value in rule.items() if key not in (CURRENT, OLDER)}
    made["ID"] = rule.get("ID") or f"rule-{number}"
    if "Filter" in rule:
        check_filter(rule["Filter"])
    scope = filter_of(made)
    if "Expiration" in rule:
        made["Expiration"] = _expiration(rule["Expiration"], scope)
    if "NoncurrentVersionExpiration" in rule:
        _check_noncurrent(rule["NoncurrentVersionExpiration"])
    transitions.check(rule, made)
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
        if CURRENT in rule:
            made[CURRENT] = [
                {**one, "Date": datetime.fromtimestamp(one["Date"], UTC)} if "Date" in one else one
                for one in rule[CURRENT]
            ]
        found.append(made)
    return found


def no_configuration(bucket: str) -> AwsError:
    return AwsError(
        "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", 404, BucketName=bucket
    )
