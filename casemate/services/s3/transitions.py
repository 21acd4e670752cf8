"""Transitions of lifecycle rules: into which storage class an object comes, and when.

Source: "Transitioning objects using Amazon S3 Lifecycle", "Lifecycle configuration elements".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from casemate.services.s3.about import ARCHIVES
from casemate.services.s3.archives import stored_class
from casemate.services.s3.lifecycle_filters import DAY, due, filter_of
from casemate.services.s3.object_rows import ObjectRow
from casemate.services.s3.refusals import invalid_argument, invalid_request, malformed_xml

CURRENT, OLDER = "Transitions", "NoncurrentVersionTransitions"

ALL_LARGE, VARIES = "all_storage_classes_128K", "varies_by_storage_class"
"""Which objects are left alone because they are small, unless a rule says which sizes it is about."""

_SMALL = 128 * 1024
_INFREQUENT = ("STANDARD_IA", "ONEZONE_IA")
_DAYS_BEFORE = 30
DOWNWARDS = (
    "STANDARD",
    "STANDARD_IA",
    "INTELLIGENT_TIERING",
    "ONEZONE_IA",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
)
_RANK = {name: rank for rank, name in enumerate(DOWNWARDS)} | {"REDUCED_REDUNDANCY": 0}
_NEVER = {("ONEZONE_IA", "GLACIER_IR")}

Rule = Mapping[str, Any]


def can_go(of: str, to: str) -> bool:
    """Whether what is in one class may come into the other: only ever downwards."""
    return _RANK[of] < _RANK[to] and (of, to) not in _NEVER


def takes(rule: Rule, row: ObjectRow, to: str, minimum: str) -> bool:
    """Whether a rule moves an object of its size."""
    scope = filter_of(rule)
    if not scope.covers(row.key, row.size, row.tags):
        return False
    if row.size >= _SMALL or scope.larger is not None or scope.smaller is not None:
        return True
    return minimum == VARIES and to in ARCHIVES


def reached(rules: Sequence[Rule], row: ObjectRow, minimum: str, now: float) -> str | None:
    """The class that a current version comes into now: of several the lowest. None: it stays where it is."""
    return _lowest(
        row,
        [
            one["StorageClass"]
            for rule in rules
            for one in rule.get(CURRENT, ())
            if _is_over(one, row.modified, now) and takes(rule, row, one["StorageClass"], minimum)
        ],
    )


def reached_older(
    rules: Sequence[Rule], row: ObjectRow, minimum: str, number: int, since: float, now: float
) -> str | None:
    """The same of an older version. number: how many older ones are newer; since: when it ceased to be current."""
    return _lowest(
        row,
        [
            one["StorageClass"]
            for rule in rules
            for one in rule.get(OLDER, ())
            if due(since, one["NoncurrentDays"]) <= now
            and number >= one.get("NewerNoncurrentVersions", 0)
            and takes(rule, row, one["StorageClass"], minimum)
        ],
    )


def _is_over(transition: Mapping[str, Any], made: float, now: float) -> bool:
    if "Date" in transition:
        return bool(transition["Date"] <= now)
    return due(made, transition["Days"]) <= now


def _lowest(row: ObjectRow, classes: Sequence[str]) -> str | None:
    possible = [name for name in classes if can_go(stored_class(row.about), name)]
    return max(possible, key=_RANK.__getitem__, default=None)


# --- what may be put


def check(rule: Rule, made: dict[str, Any]) -> None:
    """Put a rule's transitions as they are kept into made, with dates in seconds. Raises AwsError."""
    if rule.get(CURRENT):
        made[CURRENT] = [_transition(one) for one in rule[CURRENT]]
        _check_together(made, CURRENT, "Days", "Transition")
        _check_expiration(made)
    if rule.get(OLDER):
        made[OLDER] = [_older(one) for one in rule[OLDER]]
        _check_together(made, OLDER, "NoncurrentDays", "NoncurrentVersionTransition")
        expiration = made.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
        latest = max(one["NoncurrentDays"] for one in made[OLDER])
        if expiration is not None and expiration <= latest:
            raise invalid_argument(
                f"'NoncurrentDays' in the NoncurrentVersionExpiration action for {_scope(made)} must be greater "
                "than 'NoncurrentDays' in the NoncurrentVersionTransition action"
            )


def _scope(rule: Rule) -> str:
    return f"filter '(prefix={filter_of(rule).prefix})'"


def _transition(given: Mapping[str, Any]) -> dict[str, Any]:
    if "StorageClass" not in given or ("Days" in given) == ("Date" in given):
        raise malformed_xml()
    made = dict(given)
    if "Date" in given:
        made["Date"] = given["Date"].timestamp()
        if made["Date"] % DAY:
            raise invalid_argument("'Date' must be at midnight GMT")
        return made
    _check_days("Days", "Transition", given["Days"], given["StorageClass"])
    return made


def _older(given: Mapping[str, Any]) -> dict[str, Any]:
    if "StorageClass" not in given or "NoncurrentDays" not in given:
        raise malformed_xml()
    newer = given.get("NewerNoncurrentVersions")
    if newer is not None and not 1 <= newer <= 100:
        raise invalid_argument(
            "'NewerNoncurrentVersions' for NoncurrentVersionTransition action must be 1 to 100"
        )
    _check_days(
        "NoncurrentDays", "NoncurrentVersionTransition", given["NoncurrentDays"], given["StorageClass"]
    )
    return dict(given)


def _check_days(name: str, action: str, days: int, storage_class: str) -> None:
    if days < 0:
        raise invalid_argument(f"'{name}' for {action} action must be nonnegative")
    if storage_class in _INFREQUENT and days < _DAYS_BEFORE:
        raise invalid_argument(
            f"'{name}' in {action} action must be greater than or equal to {_DAYS_BEFORE} for storageClass "
            f"'{storage_class}'"
        )


def _check_together(rule: Rule, which: str, name: str, action: str) -> None:
    """Each class once, and later ones lower."""
    listed = sorted(rule[which], key=lambda one: _RANK[one["StorageClass"]])
    classes = [one["StorageClass"] for one in listed]
    if len(set(classes)) != len(classes):
        raise invalid_request(
            f"'StorageClass' must be different for '{action}' actions in same 'Rule' with {_scope(rule)}"
        )
    if len({"Date" in one for one in listed}) > 1:
        raise _mixed(rule)
    unit = "Date" if "Date" in listed[0] else name
    for before, after in pairwise(listed):
        least = before[unit]
        if before["StorageClass"] in _INFREQUENT:
            least += _DAYS_BEFORE * (DAY if unit == "Date" else 1)
        if after[unit] < least or after[unit] == before[unit]:
            raise invalid_argument(
                f"'{unit}' in the '{action}' action for StorageClass '{after['StorageClass']}' for {_scope(rule)} "
                f"must be {_DAYS_BEFORE} days more than {_scope(rule)} in the '{action}' action for StorageClass "
                f"'{before['StorageClass']}'"
            )


def _check_expiration(rule: Rule) -> None:
    expiration = rule.get("Expiration", {})
    dated = "Date" in rule[CURRENT][0]
    if ("Days" in expiration and dated) or ("Date" in expiration and not dated):
        raise _mixed(rule)
    unit = "Date" if dated else "Days"
    if unit in expiration and expiration[unit] <= max(one[unit] for one in rule[CURRENT]):
        raise invalid_argument(
            f"'{unit}' in the Expiration action for {_scope(rule)} must be greater than '{unit}' in the Transition "
            "action"
        )


def _mixed(rule: Rule) -> Exception:
    return invalid_request(
        f"Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for {_scope(rule)}"
    )
