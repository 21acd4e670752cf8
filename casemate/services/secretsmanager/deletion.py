"""DeleteSecret, RestoreSecret, and what becomes of a secret when its recovery window is over: it is gone, with all of
its values."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

from casemate.api import secretsmanager
from casemate.clock import Clock
from casemate.gate.call import Call
from casemate.gate.resource import Resource
from casemate.services.secretsmanager.refusals import (
    invalid_parameter,
    invalid_request,
    on_a_replica,
)
from casemate.services.secretsmanager.rotation import call_off, plan, rotation_of, turn
from casemate.services.secretsmanager.rows import SecretRow
from casemate.services.secretsmanager.secret import Secret, moment
from casemate.services.secretsmanager.secrets import Secrets
from casemate.services.secretsmanager.targets import named_secret
from casemate.services.secretsmanager.values import DAY
from casemate.store.database import Store, Tx
from casemate.store.jobs import Job, cancel, schedule

log = logging.getLogger("casemate.secretsmanager")

KIND = "secretsmanager.delete_secret"
_LEAST, _MOST = 7, 30


def deletable_secret(call: Call, request: Mapping[str, Any]) -> Resource:
    """SecretId. What is not there can be deleted by force, which makes no difference."""
    secret: Resource = named_secret(call, request)
    if secret.missing is not None and request.get("ForceDeleteWithoutRecovery"):
        secret.missing = None
    return secret


@secretsmanager.DeleteSecret.writes(deletable_secret)
def delete_secret(
    call: Call, req: secretsmanager.DeleteSecretRequest, secret: Resource
) -> secretsmanager.DeleteSecretResponse:
    """Mark a secret for deletion in 7 to 30 days, until which it can be restored; or delete it now."""
    force = req.get("ForceDeleteWithoutRecovery", False)
    if force and "RecoveryWindowInDays" in req:
        raise invalid_parameter(
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."
        )
    days = req.get("RecoveryWindowInDays", _MOST)
    if not _LEAST <= days <= _MOST:
        raise invalid_parameter(
            f"The RecoveryWindowInDays value must be between {_LEAST} and {_MOST} days (inclusive)."
        )
    if not isinstance(secret, Secret):
        answer = {"ARN": secret.arn, "Name": secret.arn.rpartition(":")[2], "DeletionDate": moment(call.now)}
        return cast("secretsmanager.DeleteSecretResponse", answer)
    row = secret.row
    if row.is_replica:
        raise on_a_replica()
    if row.replicas:
        raise invalid_request(
            f"You can't delete secret {row.name} that still has replica regions [{', '.join(sorted(row.replicas))}]"
        )
    secrets = call.part(Secrets)
    if force:
        remove(secrets, call.tx, row)
        deletion = call.now
    else:
        secret.must_not_be_deleted()
        deletion = call.now + days * DAY
        secrets.save(call.tx, row._replace(deletion=deletion, changed=call.now))
        call_off(call.tx, row)
        place = {"account": row.account, "region": row.region, "name": row.name}
        schedule(call.tx, KIND, deletion, place, id=_job_id(row))
    return {"ARN": row.arn, "Name": row.name, "DeletionDate": moment(deletion)}


@secretsmanager.RestoreSecret.writes(named_secret)
def restore_secret(
    call: Call, req: secretsmanager.RestoreSecretRequest, secret: Secret
) -> secretsmanager.RestoreSecretResponse:
    """Do not delete a secret after all; of one that is not marked for deletion, nothing changes."""
    row = secret.row
    if row.deletion is not None:
        cancel(call.tx, _job_id(row))
        row = row._replace(deletion=None, changed=call.now)
        call.part(Secrets).save(call.tx, row)
        plan(call.tx, row)
        rotation = rotation_of(row)
        if rotation is not None and rotation.pending:
            turn(call.tx, row, rotation, call.now)
    return {"ARN": row.arn, "Name": row.name}


def remove(secrets: Secrets, tx: Tx, row: SecretRow) -> None:
    """Delete a secret now, with all that is planned for it."""
    secrets.delete(tx, row)
    cancel(tx, _job_id(row))
    call_off(tx, row)


def _job_id(row: SecretRow) -> str:
    return f"{KIND} {row.arn}"


def deleter(
    store: Store,
    secrets: Secrets,
    clock: Clock,
    record: Callable[[Secret], None],
    audits: Callable[[], bool],
) -> Callable[[Job], None]:
    """The job's handler: it deletes only what is still marked for deletion, and due. record: writes the deletion into
    the audit; audits: whether that can be done now, without which nothing is deleted."""

    def run(job: Job) -> None:
        if not audits():
            raise RuntimeError("the audit takes no records, so no secret is deleted")

        def delete(tx: Tx) -> Secret | None:
            place = job.payload
            secret = secrets.load(tx, place["account"], place["region"], place["name"])
            deletion = None if secret is None else secret.row.deletion
            due = secret is not None and deletion is not None and deletion <= clock.now()
            if secret is not None and due:
                secrets.delete(tx, secret.row)
            job.finish(tx)
            return secret if due else None

        deleted = store.write(delete)
        if deleted is not None:
            record(deleted)
            log.info("secret %s is deleted", deleted.arn)

    return run
