"""Replication rules: what may be put, and what they say of an object. Source: "Replication configuration file
elements", "PutBucketReplication".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from casemate.errors import AwsError
from casemate.services.s3.about import ARCHIVES, storage_class
from casemate.services.s3.lifecycle_filters import check_filter, filter_of
from casemate.services.s3.refusals import invalid_argument, invalid_request, malformed_xml, not_supported
from casemate.services.s3.sealing import KMS_KEYS, TWO_LAYERS

if TYPE_CHECKING:
    from casemate.api import s3
    from casemate.services.s3.resources import Bucket

SETTING = "Replication"
"""In a bucket's settings: Role, and Rules as the API has them."""

MOST_RULES = 1_000
MINUTES = 15
"""Of S3 Replication Time Control, which knows no other time."""

_LONGEST_ID = 255
_SCHEMA = (
    "for this version of Cross Region Replication configuration schema. Please refer to S3 Developer Guide for more "
    "information."
)

Rule = Mapping[str, Any]


# --- what they say


def destination(rule: Rule) -> str:
    """The ARN of the bucket that it replicates to."""
    arn: str = rule["Destination"]["Bucket"]
    return arn


def enabled(rule: Rule | None, *path: str) -> bool:
    """Whether something of a rule has the status "Enabled"; without a path, the rule itself."""
    found: Any = rule or {}
    for name in path:
        found = found.get(name, {})
    return bool(found.get("Status") == "Enabled")


def rules_for(bucket: Bucket, key: str, tags: Mapping[str, str]) -> Iterator[Rule]:
    """The rules by which an object is replicated, one for each destination: where several are, the one of the highest
    priority."""
    found: dict[str, Rule] = {}
    for rule in bucket.settings[SETTING]["Rules"]:
        if not enabled(rule) or not filter_of(rule).covers(key, 0, tags):
            continue
        other = found.get(destination(rule))
        if other is None or rule.get("Priority", 0) > other.get("Priority", 0):
            found[destination(rule)] = rule
    yield from found.values()


def takes(rule: Rule, about: Mapping[str, Any], marker: bool) -> bool:
    """Whether a new version is replicated by a rule that covers it. about: what is told of it."""
    if marker:
        # The older schema replicates them always, the newer one by rules that look at keys alone.
        return "Filter" not in rule or enabled(rule, "DeleteMarkerReplication")
    if about.get("StorageClass") in ARCHIVES:
        return False
    if about["Encryption"]["A"] in (KMS_KEYS, TWO_LAYERS):
        return enabled(rule, "SourceSelectionCriteria", "SseKmsEncryptedObjects")
    return True


def rule_named(bucket: Bucket, rule_id: str, arn: str) -> Rule | None:
    """The rule of that id, if it replicates to that bucket still."""
    for rule in bucket.settings.get(SETTING, {}).get("Rules", ()):
        if rule["ID"] == rule_id and destination(rule) == arn and enabled(rule):
            found: Rule = rule
            return found
    return None


# --- what may be put


def stored(rules: Sequence[s3.ReplicationRule]) -> list[dict[str, Any]]:
    """The rules as settings hold them, with ids. Raises AWS's refusal of the first that cannot be."""
    if not rules:
        raise malformed_xml()
    if len(rules) > MOST_RULES:
        raise invalid_request(
            f"The number of replication rules must not exceed the allowed limit of {MOST_RULES} rules."
        )
    if len({"Filter" in rule for rule in rules}) > 1:
        # One schema for all of them.
        raise malformed_xml()
    found = [_stored(rule, number) for number, rule in enumerate(rules, 1)]
    ids = [rule["ID"] for rule in found]
    if len(set(ids)) != len(ids):
        raise invalid_argument("Rule Id must be unique. Found same Id for more than one rule")
    if "Filter" in found[0]:
        _check_priorities(found)
    else:
        _check_prefixes(found)
    return found


def _stored(rule: s3.ReplicationRule, number: int) -> dict[str, Any]:
    if len(rule.get("ID", "")) > _LONGEST_ID:
        raise invalid_argument(f"Rule Id length should not exceed allowed limit of {_LONGEST_ID}")
    if ("Filter" in rule) == ("Prefix" in rule):
        raise malformed_xml()
    if enabled(rule, "ExistingObjectReplication"):
        raise not_supported("The replication of objects that are there already")
    made: dict[str, Any] = {**rule, "ID": rule.get("ID") or f"rule-{number}"}
    if "Filter" in rule:
        check_filter(rule["Filter"])
        for name in ("Priority", "DeleteMarkerReplication"):
            if name not in rule:
                raise invalid_request(f"{name} must be specified {_SCHEMA}")
        if made["Priority"] < 0:
            raise invalid_argument(
                "Priority must be a non-negative integer", "Priority", str(made["Priority"])
            )
        if enabled(rule, "DeleteMarkerReplication") and filter_of(made).tags:
            raise invalid_request(
                "Delete marker replication is not supported if any Tag filter is specified. Please refer to S3 "
                "Developer Guide for more information."
            )
    else:
        for name in ("Priority", "DeleteMarkerReplication"):
            if name in rule:
                raise invalid_request(f"{name} cannot be used {_SCHEMA}")
    _check_destination(rule["Destination"])
    _check_encryption(rule)
    return made


def _check_destination(given: s3.Destination) -> None:
    stored_as = given.get("StorageClass")
    if stored_as is not None:
        storage_class(stored_as)
    if "AccessControlTranslation" in given and "Account" not in given:
        raise invalid_request("Account must be specified if AccessControlTranslation is present.")
    metrics = given.get("Metrics")
    if metrics is not None:
        _check_minutes(metrics.get("EventThreshold"))
    time = given.get("ReplicationTime")
    if time is None:
        return
    _check_minutes(time["Time"])
    if time["Status"] == "Enabled" and not enabled(given, "Metrics"):
        raise invalid_request("Metrics must be enabled if ReplicationTime is enabled.")


def _check_minutes(given: s3.ReplicationTimeValue | None) -> None:
    if given is not None and given.get("Minutes") != MINUTES:
        raise invalid_argument(f"The only valid value for Minutes is {MINUTES}.")


def _check_encryption(rule: s3.ReplicationRule) -> None:
    selects = "SseKmsEncryptedObjects" in rule.get("SourceSelectionCriteria", {})
    key = rule["Destination"].get("EncryptionConfiguration", {}).get("ReplicaKmsKeyID")
    if enabled(rule, "SourceSelectionCriteria", "SseKmsEncryptedObjects") and not key:
        raise invalid_request("ReplicaKmsKeyID must be specified if SseKmsEncryptedObjects tag is present.")
    if key and not selects:
        raise invalid_request(
            "SseKmsEncryptedObjects must be specified if EncryptionConfiguration is present."
        )


def _check_priorities(rules: Sequence[Rule]) -> None:
    priorities = [rule["Priority"] for rule in rules]
    if len(set(priorities)) != len(priorities):
        raise invalid_request("Found duplicate priorities. Each rule must have a unique priority.")


def _check_prefixes(rules: Sequence[Rule]) -> None:
    """By the older schema, no key is of two rules, and all of them have one destination."""
    for number, rule in enumerate(rules):
        for other in rules[:number]:
            one, two = rule["Prefix"], other["Prefix"]
            if one.startswith(two) or two.startswith(one):
                raise invalid_request(f"Found overlapping prefixes '{two}' and '{one}'.")
    if len({destination(rule) for rule in rules}) > 1:
        raise invalid_request("Number of distinct destination bucket ARNs cannot exceed 1")


def no_configuration(bucket: str) -> AwsError:
    return AwsError(
        "ReplicationConfigurationNotFoundError",
        "The replication configuration was not found",
        404,
        BucketName=bucket,
    )
