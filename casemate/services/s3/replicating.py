"""What is to be replicated: noted with the change itself, in its transaction, so that no crash comes in between.

In what is told of a version:

Replication   of what is to be copied, or was: by the destination's ARN, the rule's id and how far it is
Replica       true of what replication made

Source: "Getting replication status information", "What does Amazon S3 replicate?".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from casemate.services.s3.object_rows import ObjectRow, Objects
from casemate.services.s3.replication_rules import (
    MINUTES,
    SETTING,
    Rule,
    destination,
    enabled,
    rule_named,
    rules_for,
    takes,
)
from casemate.store.jobs import cancel, schedule

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.services.s3.resources import Bucket
    from casemate.store.database import Tx

REPLICATE, LATE = "s3.replicate", "s3.replication_time"
"""The jobs: that copies a version to a bucket; that tells when this takes longer than S3 Replication Time Control
has it."""

PENDING, COMPLETED, FAILED, REPLICA = "PENDING", "COMPLETED", "FAILED", "REPLICA"
STATE, IS_REPLICA = "Replication", "Replica"

PATIENCE = MINUTES * 60.0


def status(about: Mapping[str, Any]) -> str | None:
    """x-amz-replication-status: of all destinations together. None of what is not replicated."""
    if IS_REPLICA in about:
        return REPLICA
    state = about.get(STATE)
    if state is None:
        return None
    found = {how for _, how in state.values()}
    return next(one for one in (FAILED, PENDING, COMPLETED) if one in found)


def is_unfinished(about: Mapping[str, Any]) -> bool:
    """Whether lifecycle rules leave it alone for now. Source: "How S3 Lifecycle interacts with other
    bucket configurations"."""
    return status(about) in (PENDING, FAILED)


def with_status(about: Mapping[str, Any], arn: str, how: str) -> dict[str, Any]:
    """What is told of a version once its way to a destination has come so far."""
    state = about[STATE]
    return {**about, STATE: {**state, arn: [state[arn][0], how]}}


def add(
    call: Call,
    bucket: Bucket,
    key: str,
    about: Mapping[str, Any],
    *,
    size: int = 0,
    body: str = "",
    marker: bool = False,
) -> ObjectRow:
    """A new version, as a request makes it, which is copied to where the bucket's rules say."""
    objects, tx = call.part(Objects), call.tx
    if SETTING not in bucket.settings:
        return objects.add(tx, bucket, key, call.now, about, size=size, body=body, marker=marker)
    rules = [rule for rule in rules_for(bucket, key, about.get("Tags", {})) if takes(rule, about, marker)]
    if rules:
        about = {**about, STATE: {destination(rule): [rule["ID"], PENDING] for rule in rules}}
    row = objects.add(tx, bucket, key, call.now, about, size=size, body=body, marker=marker)
    _plan(tx, bucket, row, rules, call.now)
    return row


def change(call: Call, bucket: Bucket, row: ObjectRow, about: Mapping[str, Any]) -> ObjectRow:
    """Change what is told of a version, as a request does, also where it was copied to; and of a replica, where rules
    say so, what it was copied from."""
    if SETTING not in bucket.settings:
        return call.part(Objects).describe(call.tx, bucket, row, about)
    rules: list[Rule] = []
    if IS_REPLICA in about:
        rules = [
            rule
            for rule in rules_for(bucket, row.key, row.tags)
            if enabled(rule, "SourceSelectionCriteria", "ReplicaModifications")
        ]
    elif STATE in about:
        found = (rule_named(bucket, own, arn) for arn, (own, _) in about[STATE].items())
        rules = [rule for rule in found if rule is not None]
        for rule in rules:
            about = with_status(about, destination(rule), PENDING)
    changed = call.part(Objects).describe(call.tx, bucket, row, about)
    _plan(call.tx, bucket, row, rules, call.now)
    return changed


def job_id(kind: str, bucket_id: str, version: str, arn: str) -> str:
    return f"{kind} {bucket_id} {version} {arn}"


def _plan(tx: Tx, bucket: Bucket, row: ObjectRow, rules: Iterable[Rule], now: float) -> None:
    for rule in rules:
        plan(tx, bucket, row, rule, now)


def plan(tx: Tx, bucket: Bucket, row: ObjectRow, rule: Rule, now: float) -> None:
    """Have a version copied by a rule; what was planned for it before is not done besides."""
    arn = destination(rule)
    payload = {
        "bucket": bucket.name,
        "id": bucket.id,
        "key": row.key,
        "version": row.version,
        "to": arn,
        "since": now,
    }
    schedule(tx, REPLICATE, now, payload, id=job_id(REPLICATE, bucket.id, row.version, arn))
    if enabled(rule, "Destination", "ReplicationTime"):
        schedule(tx, LATE, now + PATIENCE, payload, id=job_id(LATE, bucket.id, row.version, arn))


def waits_in_vain(tx: Tx, bucket: Bucket, row: ObjectRow) -> list[str]:
    """The destinations that a version is to be copied to, and no job does it: of which there are none, whatever
    happens."""
    return [
        arn
        for arn, (_, how) in row.about.get(STATE, {}).items()
        if how == PENDING
        and tx.one("SELECT 1 FROM store_jobs WHERE id = ?", (job_id(REPLICATE, bucket.id, row.version, arn),))
        is None
    ]


def resume(tx: Tx, objects: Objects, bucket: Bucket, row: ObjectRow, now: float) -> None:
    """Have it copied after all or, where there is no rule any more by which it is, marked."""
    for arn in waits_in_vain(tx, bucket, row):
        rule = rule_named(bucket, row.about[STATE][arn][0], arn)
        if rule is not None:
            plan(tx, bucket, row, rule, now)
        else:
            row = objects.describe(tx, bucket, row, with_status(row.about, arn, FAILED))


def in_time(tx: Tx, bucket: Bucket, version: str, arn: str) -> None:
    """Nothing is late any more."""
    cancel(tx, job_id(LATE, bucket.id, version, arn))
