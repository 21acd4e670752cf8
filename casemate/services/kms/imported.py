"""Imported material: what a key has of it, when it expires, and what becomes of the key without it. Source:
"Importing key material for AWS KMS keys"."""

from __future__ import annotations

import logging
from collections.abc import Callable

from casemate.clock import Clock
from casemate.engine.keys import BadKeyMaterial, imported
from casemate.errors import AwsError
from casemate.services.kms.announcements import EXPIRATION, Tell, silent
from casemate.services.kms.key import (
    ENABLED,
    PENDING_DELETION,
    PENDING_IMPORT,
    PENDING_REPLICA_DELETION,
    Key,
)
from casemate.services.kms.keys import Keys
from casemate.services.kms.refusals import unsupported
from casemate.services.kms.rotation import PENDING_EVERYWHERE, PENDING_ROTATION, related
from casemate.services.kms.rows import KeyRow, MaterialRow
from casemate.store.database import Store, Tx
from casemate.store.jobs import Job, cancel, schedule

log = logging.getLogger("casemate.kms")

EXPIRE = "kms.expire_material"
"""The job that takes imported material away when its time is over."""


def must_be_imported(key: Key) -> None:
    """Raises UnsupportedOperationException for a key whose material KMS makes."""
    if key.row.origin != "EXTERNAL":
        raise unsupported(f"{key.arn} origin is {key.row.origin} which is not valid for this operation.")


def stored_form(key: Key, material: bytes) -> bytes:
    """Imported material as it is kept. Raises IncorrectKeyMaterialException for what no such key can have."""
    try:
        return imported(key.row.key_spec, material)
    except BadKeyMaterial:
        raise incorrect_material() from None


def incorrect_material() -> AwsError:
    return AwsError(
        "IncorrectKeyMaterialException",
        "The key material in the request is not the expected key material for this key.",
    )


# --- coming


def take_first(keys: Keys, tx: Tx, key: Key, row: MaterialRow, material: bytes) -> None:
    """The first material that a key ever has. It has no replicas yet: a key without material is not replicated."""
    keys.put_material(tx, key.row, row, material)
    keys.save(tx, key.row._replace(current_material=row.id, state=ENABLED))
    plan_expiry(tx, key.row, row)


def take_next(keys: Keys, tx: Tx, key: Key, row: MaterialRow, material: bytes) -> None:
    """Material that waits for the key's next rotation, and with it for its replicas to have it as well."""
    state = PENDING_EVERYWHERE if len(key.regions) > 1 else PENDING_ROTATION
    for each in related(keys, tx, key.row):
        here = each.row.region == key.row.region
        version = each.materials[-1].version + 1
        new = row if here else row._replace(valid_to=None, description="")
        new = new._replace(version=version, state=state)
        keys.put_material(tx, each.row, new, material if here else b"")
    plan_expiry(tx, key.row, row)


def take_again(keys: Keys, tx: Tx, key: Key, row: MaterialRow, material: bytes) -> None:
    """Material that the key has or had already, with another time to expire."""
    keys.put_material(tx, key.row, row, material)
    plan_expiry(tx, key.row, row)
    fresh = related(keys, tx, key.row)
    if key.row.state == PENDING_IMPORT and not fresh[0].lacks_material:
        keys.save(tx, fresh[0].row._replace(state=ENABLED))
    if row.state == PENDING_EVERYWHERE:
        _settle(keys, tx, fresh, row.id)


def _settle(keys: Keys, tx: Tx, fresh: list[Key], material_id: str) -> None:
    """When all related keys have the material, it may be rotated to."""
    versions = _versions(keys, tx, fresh, material_id)
    if len(versions) == len(fresh) and all(material for _, _, material in versions):
        for key, row, material in versions:
            keys.put_material(tx, key.row, row._replace(state=PENDING_ROTATION), material)


def unsettle(keys: Keys, tx: Tx, fresh: list[Key], material_id: str) -> None:
    """One of the related keys does not have the material that waits for their rotation: it waits for that, too."""
    for key, row, material in _versions(keys, tx, fresh, material_id):
        keys.put_material(tx, key.row, row._replace(state=PENDING_EVERYWHERE), material)


def _versions(keys: Keys, tx: Tx, fresh: list[Key], material_id: str) -> list[tuple[Key, MaterialRow, bytes]]:
    return [
        (key, *found) for key in fresh for found in keys.material(tx, key.row) if found[0].id == material_id
    ]


# --- going


def forget(keys: Keys, tx: Tx, key: Key, row: MaterialRow) -> None:
    """Take material away. What the key was used with must come back before it can be used; what waited for a rotation
    is no more, here and, if it was the primary key's, in its replicas."""
    cancel(tx, _job_id(key.row, row))
    if not row.state:
        keys.put_material(tx, key.row, row, b"")
        if key.row.state not in (PENDING_DELETION, PENDING_REPLICA_DELETION):
            keys.save(tx, key.row._replace(state=PENDING_IMPORT))
    elif key.row.is_replica:
        keys.put_material(tx, key.row, row, b"")
        unsettle(keys, tx, related(keys, tx, key.row), row.id)
    else:
        for each in related(keys, tx, key.row):
            keys.drop_material(tx, each.row, row.id)


def _job_id(key: KeyRow, row: MaterialRow) -> str:
    return f"{EXPIRE} {key.arn} {row.id}"


def plan_expiry(tx: Tx, key: KeyRow, row: MaterialRow) -> None:
    """Take the material away when it expires, if it does."""
    if row.valid_to is None:
        cancel(tx, _job_id(key, row))
        return
    place = {"account": key.account, "region": key.region, "key_id": key.id, "material": row.id}
    schedule(tx, EXPIRE, row.valid_to, place, id=_job_id(key, row))


def expirer(
    store: Store,
    keys: Keys,
    clock: Clock,
    record: Callable[[Key], None],
    audits: Callable[[], bool],
    tell: Tell = silent,
) -> Callable[[Job], None]:
    """The job's handler. It takes away only what is expired by now. record: writes that into the audit; audits:
    whether that can be done now, without which nothing is taken away; tell: tells of it."""

    def run(job: Job) -> None:
        if not audits():
            raise RuntimeError("the audit takes no records, so no key material is taken away")

        def expire(tx: Tx) -> Key | None:
            place = job.payload
            key = keys.load(tx, place["account"], place["region"], place["key_id"])
            expired = None
            if key is not None:
                expired = next(
                    (
                        each
                        for each in key.materials
                        if each.id == place["material"]
                        and each.present
                        and each.valid_to is not None
                        and each.valid_to <= clock.now()
                    ),
                    None,
                )
            if key is not None and expired is not None:
                forget(keys, tx, key, expired)
                tell(tx, EXPIRATION, key)
            else:
                job.finish(tx)
            return key if expired is not None else None

        affected = store.write(expire)
        if affected is not None:
            record(affected)
            log.info(
                "imported material of key %s of account %s has expired", affected.row.id, affected.account
            )

    return run
