"""The jobs of rotation: the window begins, the four steps are done, a configuration is tried."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from casemate.errors import origin
from casemate.gate.acting import in_background
from casemate.gate.announcing import announce
from casemate.gate.audit import service_event
from casemate.gate.call import Call
from casemate.services.secretsmanager import labels, replication, windows
from casemate.services.secretsmanager.invoking import SERVICE, STEPS, TRY, StepFailed, take
from casemate.services.secretsmanager.labels import CURRENT, PENDING
from casemate.services.secretsmanager.rotation import (
    DUE,
    TEST,
    TURN,
    Rotation,
    begun,
    failed,
    in_progress,
    plan,
    rotation_of,
    succeeded,
    turn,
    with_rotation,
)
from casemate.services.secretsmanager.rows import SecretRow
from casemate.services.secretsmanager.secret import Secret
from casemate.services.secretsmanager.secrets import Secrets
from casemate.store.database import Tx
from casemate.store.jobs import ELSEWHERE, Job, LeaseLost, schedule

if TYPE_CHECKING:
    from casemate.gate.gate import Gate

log = logging.getLogger("casemate.secretsmanager")

_LONGEST_STEP = 16 * 60.0
"""Seconds for which the job is this worker's while a function runs, for 15 minutes at most."""


def tell(call: Call, row: SecretRow, name: str, details: Mapping[str, Any] | None = None) -> None:
    """Audit what Secrets Manager does by itself, and announce it, in the call's transaction. Source: "Log AWS Secrets
    Manager events with AWS CloudTrail", "Match AWS Secrets Manager events with Amazon EventBridge"."""
    event = service_event(
        SERVICE,
        name,
        row.account,
        row.region,
        call.now,
        Secret(row, None),
        {"SecretId": row.arn, **(details or {})},
    )
    call.records = [*call.records, event]
    announce(
        call,
        "aws.secretsmanager",
        "AWS Service Event via CloudTrail",
        {
            "eventSource": SERVICE,
            "eventName": name,
            "eventType": "AwsServiceEvent",
            "awsRegion": row.region,
            "recipientAccountId": row.account,
            "additionalEventData": {"SecretId": row.arn, **(details or {})},
        },
        resources=[row.arn],
        account=row.account,
        region=row.region,
    )


def rotators(gate: Gate) -> dict[str, Callable[[Job], object]]:
    """The handlers, by kind. The function is waited for in another thread than that of the jobs."""

    def elsewhere(work: Callable[[Gate, Job], None]) -> Callable[[Job], object]:
        def run(job: Job) -> object:
            gate.store.write(lambda tx: job.renew(tx, _LONGEST_STEP))
            gate.apart(lambda: _guarded(work, gate, job))
            return ELSEWHERE

        return run

    return {
        DUE: lambda job: _window_begins(gate, job),
        TURN: elsewhere(_rotate),
        TEST: elsewhere(_test),
    }


def _guarded(work: Callable[[Gate, Job], None], gate: Gate, job: Job) -> None:
    """In a thread that nobody waits for. A job that is not finished is claimed again when its lease is over."""
    try:
        work(gate, job)
    except LeaseLost:
        log.info("job %s was cancelled, or scheduled anew, meanwhile", job.id)
    except Exception as defect:
        log.error("job %s failed: %s", job.id, origin(defect))
        gate.store.write(lambda tx: job.renew(tx, 60.0))


def _load(gate: Gate, tx: Tx, job: Job) -> Secret | None:
    place = job.payload
    secrets: Secrets = gate.parts[Secrets]
    return secrets.load(tx, place["account"], place["region"], place["name"])


def _window_begins(gate: Gate, job: Job) -> None:
    def begin(base: Call) -> None:
        tx = base.tx
        secret = _load(gate, tx, job)
        rotation = None if secret is None else rotation_of(secret.row)
        job.finish(tx)
        if secret is None or rotation is None or not rotation.enabled or rotation.start > base.now:
            return
        row = secret.row
        if row.deletion is not None or row.is_replica:
            return
        # Should it not succeed, the next window is another occasion.
        window = windows.following(rotation.rules, base.now)
        if window is not None:
            schedule(tx, DUE, window.start, job.payload, id=job.id)
        if not in_progress(row):
            row = begun(row, rotation, str(uuid4()))
        elif rotation.pending != row.labels[PENDING]:
            # Somebody prepares a version by hand.
            tell(base, row, "RotationFailed", {"reason": "A version with AWSPENDING is not a rotation's."})
            return
        begin_turn(base, row)

    in_background(gate, begin)


def begin_turn(call: Call, row: SecretRow) -> None:
    """Store the row of a secret whose pending version is to be rotated to, by the first attempt of several."""
    rotation = rotation_of(row)
    assert rotation is not None
    rotation = rotation._replace(attempts=0)
    row = replication.followed(call, with_rotation(row, rotation))
    call.part(Secrets).save(call.tx, row)
    turn(call.tx, row, rotation, call.now)
    tell(call, row, "RotationStarted")


def _current(gate: Gate, tx: Tx, job: Job) -> tuple[SecretRow, Rotation] | None:
    """The secret whose rotation this is; None when it was cancelled, abandoned, or the secret deleted."""
    secret = _load(gate, tx, job)
    rotation = None if secret is None else rotation_of(secret.row)
    if secret is None or rotation is None or not rotation.enabled:
        return None
    if rotation.pending != job.payload["version"] or secret.row.deletion is not None:
        return None
    return secret.row, rotation


def _rotate(gate: Gate, job: Job) -> None:
    version = job.payload["version"]
    why = ""
    try:
        for step in STEPS:
            found = gate.store.read(lambda tx: _current(gate, tx, job))
            if found is None:
                gate.store.write(job.finish)
                return
            row, rotation = found
            gate.store.write(lambda tx: job.renew(tx, _LONGEST_STEP))
            take(gate, row, rotation.function, step, version, rotation.token)
    except StepFailed as failure:
        why = str(failure)

    def conclude(base: Call) -> None:
        tx = base.tx
        job.finish(tx)
        found = _current(gate, tx, job)
        if found is None:
            return
        row, rotation = found
        reason = why or (
            "" if row.labels.get(CURRENT) == version else "the function did not finish the rotation"
        )
        if reason:
            row = failed(row, rotation)
            gate.parts[Secrets].save(tx, row)
            turn(tx, row, rotation._replace(attempts=rotation.attempts + 1), base.now)
            tell(base, row, "RotationFailed", {"reason": reason})
            log.warning("the rotation of %s failed: %s", row.arn, reason)
        else:
            row = replication.followed(base, succeeded(row, rotation, base.now)._replace(changed=base.now))
            gate.parts[Secrets].save(tx, row)
            plan(tx, row)
            tell(base, row, "RotationSucceeded")

    in_background(gate, conclude)


def _test(gate: Gate, job: Job) -> None:
    """Only the step that tries the version, which is then removed."""
    version = job.payload["version"]
    secret = gate.store.read(lambda tx: _load(gate, tx, job))
    rotation = None if secret is None else rotation_of(secret.row)
    why = ""
    if secret is not None and rotation is not None:
        try:
            take(gate, secret.row, rotation.function, TRY, version, rotation.token)
        except StepFailed as failure:
            why = str(failure)

    def conclude(base: Call) -> None:
        tx = base.tx
        job.finish(tx)
        secret = _load(gate, tx, job)
        if secret is None or secret.row.labels.get(PENDING) != version:
            return
        row = replication.followed(base, untried(base, secret.row, version))
        gate.parts[Secrets].save(tx, row)
        tell(
            base,
            row,
            "TestRotationFailed" if why else "TestRotationSucceeded",
            {"reason": why} if why else None,
        )

    in_background(gate, conclude)


def untried(call: Call, row: SecretRow, version: str) -> SecretRow:
    """The row without the version that was made for a test, which is removed."""
    secrets = call.part(Secrets)
    there = secrets.has_version(call.tx, row, version)
    secrets.drop_version(call.tx, row, version)
    kept = labels.detached(row.labels, PENDING)
    return row._replace(labels=kept, versions=row.versions - there)
