"""The jobs that copy versions to other buckets, by the role that a bucket's replication configuration names.

A job first looks whether the role may, then moves the content outside of any transaction, then looks again and makes
the replica, marks the source and finishes, all in one transaction: so each version comes to each bucket once, however
often it is tried. Small content is moved in that transaction. Source: "Setting up permissions for live replication",
"What does Amazon S3 replicate?", "Replication status".
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Event
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as, in_background
from casemate.gate.authorise import decide
from casemate.services.s3 import acl_rules, locks, replica_content
from casemate.services.s3.bodies import INLINE, Bodies, Piece
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.happenings import created, hidden, replication_told
from casemate.services.s3.inventory_job import reporter
from casemate.services.s3.inventory_rows import INVENTORY
from casemate.services.s3.naming import bucket_of_arn
from casemate.services.s3.notices import SERVICE
from casemate.services.s3.object_rows import ObjectRow, Objects
from casemate.services.s3.object_targets import owner_of
from casemate.services.s3.replica_content import Content, Source
from casemate.services.s3.replicating import (
    COMPLETED,
    FAILED,
    IS_REPLICA,
    LATE,
    PATIENCE,
    PENDING,
    REPLICATE,
    STATE,
    in_time,
    with_status,
)
from casemate.services.s3.replication_rules import SETTING, Rule, enabled, rule_named, rules_for
from casemate.services.s3.replication_rules import destination as destination_of
from casemate.services.s3.resources import Bucket, Object
from casemate.services.s3.sealing import CUSTOMER_KEYS, S3_KEYS
from casemate.store.errors import StoreError
from casemate.store.jobs import Job, Jobs, LeaseLost

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.gate import Gate

log = logging.getLogger("casemate.s3")

MOVERS = 2
"""Threads of each worker that move content: what is large does not keep everything else waiting."""

_TRIES = 3
"""How often a refusal is tried again, after 1, 2 and 4 seconds; what is not available, for a day."""
_TRIED_FOR = 86_400.0
_RENEWED = 15.0
"""Seconds after which a job that still moves content renews its lease."""
_SESSION = "s3-replication"
_NOT_COPIED = (STATE, "Upload", "Restore")


class Stopping(Exception):
    """The worker ends: another one, or its successor, does it."""


class Replicator:
    """The threads that do what takes long: replicate, and list buckets. One set for each worker."""

    def __init__(self, gate: Gate) -> None:
        self._stopping = Event()
        handlers = {REPLICATE: replicate(gate, self._stopping), LATE: late(gate)}
        self._movers = [Jobs(gate.store, gate.clock, handlers) for _ in range(MOVERS)]
        # Whole buckets are listed beside it.
        listing = {INVENTORY: reporter(gate, self._stopping)}
        self._movers.append(Jobs(gate.store, gate.clock, listing))

    def start(self) -> None:
        for mover in self._movers:
            mover.start()

    def stop(self) -> None:
        """End after what is small; what is large is begun again by whoever comes next."""
        self._stopping.set()
        for mover in self._movers:
            mover.stop()


class _Task(NamedTuple):
    """What is to be done, as it stands in a transaction. to: None where there is no such bucket any more."""

    bucket: Bucket
    row: ObjectRow
    rule: Rule
    to: Bucket | None
    there: ObjectRow | None
    """The replica, where there is one already."""


class _Moving(NamedTuple):
    """Content that is to be moved to a bucket, and how the version is encrypted that it is of."""

    source: Source
    key: str
    to: Bucket
    encryption: Any


def replicate(gate: Gate, stopping: Event) -> Callable[[Job], None]:
    """The handler of REPLICATE."""

    def run(job: Job) -> None:
        try:
            _replicate(gate, job, stopping)
        except Stopping:
            gate.store.write(job.put_back)
        except Tampered as error:
            log.error("version %s of %s is not replicated: %s", *_named(job), error)
            _give_up(gate, job, "InternalError")
        except AwsError as error:
            young = gate.clock.now() - job.payload["since"] < _TRIED_FOR
            if (error.status >= 500 and young) or job.failures < _TRIES:
                raise
            log.warning("version %s of %s is not replicated: %s", *_named(job), error.code)
            _give_up(gate, job, error.code)

    return run


def _replicate(gate: Gate, job: Job, stopping: Event) -> None:
    moving = in_background(gate, lambda base: _step(base, job, None))
    if not isinstance(moving, _Moving):
        return
    bodies, objects = gate.parts[Bodies], gate.parts[Objects]
    content = replica_content.copy(bodies, moving.source, _watched(gate, job, stopping))
    content = replica_content.lay_out(
        gate.store, objects, moving.to, moving.key, moving.source, content, gate.clock.now()
    )
    kept: _Moving | bool = False
    try:
        kept = in_background(gate, lambda base: _step(base, job, (moving, content)))
    except StoreError as error:
        # What was committed, or what the store is not sure of, may be there: what is not is swept up later.
        kept = not isinstance(error, LeaseLost)
        raise
    finally:
        if kept is not True:
            replica_content.discard(gate.store, bodies, content)
    if isinstance(kept, _Moving):
        # It is encrypted otherwise by now, or goes elsewhere.
        gate.store.write(job.put_back)


def _named(job: Job) -> tuple[str, str]:
    return job.payload["version"], job.payload["bucket"]


def _watched(gate: Gate, job: Job, stopping: Event) -> Callable[[Iterable[Piece]], Iterator[Piece]]:
    """Pieces on their way: the lease is renewed meanwhile."""
    renewed = time.monotonic()

    def watched(pieces: Iterable[Piece]) -> Iterator[Piece]:
        nonlocal renewed
        for piece in pieces:
            if stopping.is_set():
                raise Stopping
            if time.monotonic() - renewed > _RENEWED:
                gate.store.write(job.renew)
                renewed = time.monotonic()
            yield piece

    return watched


def _find(base: Call, job: Job) -> _Task | None:
    """What there is to do; None when it is not any more."""
    payload, tx = job.payload, base.tx
    buckets, objects = base.part(Buckets), base.part(Objects)
    bucket = buckets.load(tx, payload["bucket"])
    if bucket is None or bucket.id != payload["id"]:
        return None
    row = objects.at(tx, bucket, payload["key"], payload["version"])
    if row is None:
        return None
    arn: str = payload["to"]
    rule = _rule(bucket, row, arn)
    if rule is None:
        return None
    to = buckets.load(tx, bucket_of_arn(arn) or "")
    there = None if to is None else objects.at(tx, to, row.key, row.version)
    return _Task(bucket, row, rule, to, there)


def _rule(bucket: Bucket, row: ObjectRow, arn: str) -> Rule | None:
    if IS_REPLICA not in row.about:
        state = row.about.get(STATE, {}).get(arn)
        return None if state is None else rule_named(bucket, state[0], arn)
    if SETTING not in bucket.settings:
        return None
    for rule in rules_for(bucket, row.key, row.tags):
        if destination_of(rule) == arn and enabled(rule, "SourceSelectionCriteria", "ReplicaModifications"):
            return rule
    return None


def _step(base: Call, job: Job, moved: tuple[_Moving, Content] | None) -> _Moving | bool:
    """One transaction: all of it or, where there is much to be moved first, what it takes for that. Whether a replica
    was made. Raises AwsError."""
    task = _find(base, job)
    if task is None:
        _leave(base, job, FAILED, "")
        return False
    actor = Actor(
        SERVICE,
        task.bucket.account,
        task.bucket.region,
        source_arn=task.bucket.arn,
        role=task.bucket.settings[SETTING]["Role"],
        session=_SESSION,
    )
    call = act_as(base, actor)
    to = _ready(task)
    with_tags = _check_allowed(call, task, to)
    made = False
    if task.there is not None:
        _update(base, task, to, task.there, with_tags)
    elif IS_REPLICA not in task.row.about:
        if not task.row.marker:
            if moved is None:
                source = replica_content.source_of(call, task.bucket, task.row, to, task.rule)
                moving = _Moving(source, task.row.key, to, task.row.about["Encryption"])
                if task.row.size > INLINE or task.row.in_parts:
                    return moving
                moved = moving, replica_content.copy(base.part(Bodies), source, iter)
            elif moved[0].encryption != task.row.about["Encryption"] or moved[0].to.id != to.id:
                return moved[0]
        _make(call, task, to, moved, with_tags)
        made = True
    _leave(base, job, COMPLETED, "")
    return made


# --- may it


def _ready(task: _Task) -> Bucket:
    """The destination, if it takes replicas. Raises AwsError."""
    to, about = task.to, task.row.about
    if to is None:
        raise AwsError("DstBucketNotFound", "There is no such bucket.", 404)
    if to.versioning != "Enabled":
        raise AwsError("DstBucketUnversioned", "The destination bucket keeps no versions.", 409)
    if task.rule["Destination"].get("Account", to.account) != to.account:
        raise AwsError("DstBucketNotOwned", "The destination bucket is another account's.", 403)
    if (
        to.acls
        and to.blocks.get("BlockPublicAcls")
        and "Acl" in about
        and "AccessControlTranslation" not in task.rule["Destination"]
        and acl_rules.is_public(acl_rules.opened(about["Acl"]))
    ):
        raise AwsError("AccessDenied", "The destination bucket blocks public ACLs.", 403)
    if "Lock" in about and to.object_lock is None:
        raise AwsError("DstBucketObjectLockConfigMissing", "The destination bucket has no Object Lock.", 409)
    if (
        not task.row.marker
        and about["Encryption"]["A"] == CUSTOMER_KEYS
        and CUSTOMER_KEYS in to.blocked_encryption
    ):
        raise AwsError("DstEncryptionNotAllowed", "The destination bucket does not allow SSE-C.", 403)
    return to


def _check_allowed(call: Call, task: _Task, to: Bucket) -> bool:
    """Whether the role's session may copy the tags as well. Raises AccessDenied where it may not copy at all."""
    row, bucket = task.row, task.bucket
    source = Object(bucket, row.key, object_tags=row.tags)
    replica = Object(to, row.key, object_tags=None if task.there is None else task.there.tags)
    _must(call, "s3:GetReplicationConfiguration", bucket)
    if row.marker:
        _must(call, "s3:ListBucket", bucket)
        _must(call, "s3:ReplicateDelete", replica)
        return False
    _must(call, "s3:GetObjectVersionForReplication", source)
    _must(call, "s3:GetObjectVersionAcl", source)
    if "Lock" in row.about:
        _must(call, "s3:GetObjectRetention", source)
        _must(call, "s3:GetObjectLegalHold", source)
    _must(call, "s3:ReplicateObject", replica, _asked(task))
    if "AccessControlTranslation" in task.rule["Destination"]:
        _must(call, "s3:ObjectOwnerOverrideToBucketOwner", replica)
    # Without these, objects are replicated all the same, and their tags are not.
    return (
        decide(call, "s3:GetObjectVersionTagging", source, {}).allowed
        and decide(call, "s3:ReplicateTags", replica, {}).allowed
    )


def _asked(task: _Task) -> Mapping[str, Any]:
    """What policies' conditions may ask of a replica."""
    algorithm = task.row.about["Encryption"]["A"]
    if algorithm == CUSTOMER_KEYS:
        return {"SSECustomerAlgorithm": "AES256"}
    key = task.rule["Destination"].get("EncryptionConfiguration", {}).get("ReplicaKmsKeyID")
    of_key = {} if key is None or algorithm == S3_KEYS else {"SSEKMSKeyId": key}
    return {"ServerSideEncryption": algorithm, **of_key}


def _must(
    call: Call, action: str, resource: Bucket | Object, asked: Mapping[str, Any] = MappingProxyType({})
) -> None:
    decision = decide(call, action, resource, asked)
    if not decision.allowed:
        who = call.identity.principal.arn
        raise AwsError(
            "AccessDenied",
            f"User: {who} is not authorized to perform: {action} on resource: {resource.arn} "
            f"{decision.reason(action)}",
            403,
        )


# --- do it


def _make(
    call: Call, task: _Task, to: Bucket, moved: tuple[_Moving, Content] | None, with_tags: bool
) -> None:
    row, objects, tx = task.row, call.part(Objects), call.tx
    about = {name: value for name, value in row.about.items() if name not in _NOT_COPIED}
    about[IS_REPLICA] = True
    replica = row._replace(null=False, about=about)
    if moved is None:
        hidden(call, to, objects.replicate(tx, to, replica))
        return
    if "AccessControlTranslation" in task.rule["Destination"]:
        about.pop("Owner", None)
        about.pop("Acl", None)
    elif not to.acls or (owner := owner_of(task.bucket, row.about)) == to.account:
        about.pop("Owner", None)
    else:
        about["Owner"] = owner
    if not with_tags:
        about.pop("Tags", None)
    stored_as = task.rule["Destination"].get("StorageClass")
    if stored_as is not None:
        about["StorageClass"] = stored_as
    if about.get("StorageClass") == "STANDARD":
        del about["StorageClass"]
    if "Lock" not in about:
        locks.lock_new(call, to, {}, about)
    moving, content = moved
    about["Encryption"] = moving.source.kept
    created(call, to, replica_content.keep(objects, tx, to, replica, moving.source, content), "PutObject")


def _update(base: Call, task: _Task, to: Bucket, there: ObjectRow, with_tags: bool) -> None:
    """Let a replica, or what a replica was made of, be as the version is by now."""
    about = dict(there.about)
    if with_tags:
        about.pop("Tags", None)
        if task.row.tags:
            about["Tags"] = dict(task.row.tags)
    if "AccessControlTranslation" not in task.rule["Destination"]:
        about.pop("Acl", None)
        if "Acl" in task.row.about:
            about["Acl"] = task.row.about["Acl"]
    lock = locks.replicated(task.row.about.get("Lock", {}), there.about.get("Lock", {}), base.now)
    about.pop("Lock", None)
    if lock:
        about["Lock"] = lock
    if about != there.about:
        base.part(Objects).describe(base.tx, to, there, about)


def _leave(base: Call, job: Job, how: str, reason: str) -> None:
    """Finish: the version is marked, and who wants to know is told."""
    tx, payload = base.tx, job.payload
    job.finish(tx)
    bucket = base.part(Buckets).load(tx, payload["bucket"])
    if bucket is None or bucket.id != payload["id"]:
        return
    in_time(tx, bucket, payload["version"], payload["to"])
    told = {name: payload[name] for name in ("key", "to")} | {"versionId": payload["version"], "status": how}
    if reason:
        told["reason"] = reason
    base.committed(lambda: _record(base.gate, bucket, told))
    objects = base.part(Objects)
    row = objects.at(tx, bucket, payload["key"], payload["version"])
    if row is None or payload["to"] not in row.about.get(STATE, {}):
        return
    rule = _rule(bucket, row, payload["to"])
    objects.describe(tx, bucket, row, with_status(row.about, payload["to"], how))
    waited = base.now - payload["since"]
    if rule is None:
        return
    if how == FAILED and enabled(rule, "Destination", "Metrics"):
        _tell(base, bucket, row, rule, "OperationFailedReplication", {"failureReason": reason})
    if how == COMPLETED and waited > PATIENCE and enabled(rule, "Destination", "ReplicationTime"):
        more = {"replicationTime": int(waited)}
        _tell(base, bucket, row, rule, "OperationReplicatedAfterThreshold", more)


def _record(gate: Gate, bucket: Bucket, told: Mapping[str, Any]) -> None:
    gate.record_event(SERVICE, "ReplicateObject", bucket.account, bucket.region, bucket, told)


def _tell(base: Call, bucket: Bucket, row: ObjectRow, rule: Rule, name: str, more: Mapping[str, Any]) -> None:
    about = {"replicationRuleId": rule["ID"], "destinationBucket": destination_of(rule), **more}
    replication_told(base, bucket, row, name, about)


def _give_up(gate: Gate, job: Job, reason: str) -> None:
    try:
        in_background(gate, lambda base: _leave(base, job, FAILED, reason))
    except Tampered:
        # Of what was altered nothing can be told.
        gate.store.write(job.finish)


def late(gate: Gate) -> Callable[[Job], None]:
    """The handler of LATE."""

    def tell(base: Call, job: Job) -> None:
        task = _find(base, job)
        if task is not None:
            state = task.row.about.get(STATE, {}).get(job.payload["to"])
            if state is not None and state[1] == PENDING:
                more = {"threshold": int(PATIENCE)}
                _tell(base, task.bucket, task.row, task.rule, "OperationMissedThreshold", more)
        job.finish(base.tx)

    def run(job: Job) -> None:
        in_background(gate, lambda base: tell(base, job))

    return run
