"""Rotation: a key gets new material, the old one stays for decryption. Related multi-Region keys rotate together.
Source: "Rotate AWS KMS keys".
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from casemate.clock import Clock
from casemate.services.kms.announcements import ROTATION, Tell, silent
from casemate.services.kms.deletion import DAY
from casemate.services.kms.key import ENABLED, Key
from casemate.services.kms.keys import MATERIAL_BYTES, Keys
from casemate.services.kms.rows import KeyRow, MaterialRow, material_id_of
from casemate.store.database import Store, Tx
from casemate.store.jobs import Job, cancel, schedule

log = logging.getLogger("casemate.kms")

ROTATE = "kms.rotate_key"
"""The job that rotates a key when its period is over."""

AUTOMATIC, ON_DEMAND = "AUTOMATIC", "ON_DEMAND"
PENDING_ROTATION = "PENDING_ROTATION"
PENDING_EVERYWHERE = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"


class Rotated(NamedTuple):
    """A rotation that was done. before, after: the ids of the material."""

    key: Key
    kind: str
    before: str
    after: str

    def details(self) -> Mapping[str, Any]:
        """As CloudTrail's RotateKey event has them."""
        return {
            "keyId": self.key.row.id,
            "rotationType": self.kind,
            "keyOrigin": self.key.row.origin,
            "previousKeyMaterialId": self.before,
            "currentKeyMaterialId": self.after,
        }


def related(keys: Keys, tx: Tx, row: KeyRow) -> list[Key]:
    """The key, of a multi-Region key all the related ones, as this transaction sees them."""
    key = keys.load(tx, row.account, row.region, row.id)
    if key is None:
        return []
    others = [keys.load(tx, row.account, region, row.id) for region in key.regions if region != row.region]
    return [key, *(each for each in others if each is not None)]


def rotate(
    keys: Keys, tx: Tx, key: Key, at: float, kind: str, following: float | None = None
) -> list[Rotated]:
    """Give a key, and those related to it, new material at a time: what was imported for it, else random material.
    following: the time of the next rotation, None to leave that as it is. One Rotated for each key."""
    row = key.row
    waiting = next((each for each in key.materials if each.state == PENDING_ROTATION), None)
    material = os.urandom(MATERIAL_BYTES)
    done = []
    for each in related(keys, tx, row):
        if waiting is None:
            name = material_id_of(row.account, row.region, row.id, material)
            new, value = MaterialRow(name, each.materials[-1].version + 1, at), material
        else:
            new, value = next(found for found in keys.material(tx, each.row) if found[0].id == waiting.id)
        keys.put_material(tx, each.row, new._replace(rotation=kind, rotated=at, state=""), value)
        turned = each.row._replace(current_material=new.id)
        keys.save(tx, turned if following is None else turned._replace(next_rotation=following))
        done.append(Rotated(each, kind, each.row.current_material, new.id))
    return done


# --- automatic rotation


def _job_id(row: KeyRow) -> str:
    # One job for all related keys, whichever of them is the primary key.
    return f"{ROTATE} {row.account} {row.id if row.primary_region else row.arn}"


def plan_rotation(tx: Tx, row: KeyRow) -> None:
    """Rotate the key at its next rotation's date; not at all where there is none."""
    if row.next_rotation is None:
        cancel(tx, _job_id(row))
        return
    place = {"account": row.account, "region": row.region, "key_id": row.id}
    schedule(tx, ROTATE, row.next_rotation, place, id=_job_id(row))


def set_rotation(keys: Keys, tx: Tx, row: KeyRow, period: int, following: float | None) -> None:
    """Rotate a key and those related to it every so many days, next at a time; None: not by itself."""
    for each in related(keys, tx, row):
        keys.save(tx, each.row._replace(rotation_period=period, next_rotation=following))
    plan_rotation(tx, row._replace(next_rotation=following))


def resume_rotation(keys: Keys, tx: Tx, row: KeyRow, now: float) -> None:
    """Of a key that is enabled again: what was missed meanwhile is made up for at once, by one rotation."""
    if row.next_rotation is not None and not row.is_replica:
        set_rotation(keys, tx, row, row.rotation_period, max(row.next_rotation, now))


def rotator(
    store: Store,
    keys: Keys,
    clock: Clock,
    record: Callable[[Rotated], None],
    audits: Callable[[], bool],
    tell: Tell = silent,
) -> Callable[[Job], None]:
    """The job's handler. A key that is not enabled is left alone until it is again. record: writes a rotation into
    the audit; audits: whether that can be done now, without which nothing is rotated; tell: tells of it."""

    def run(job: Job) -> None:
        if not audits():
            raise RuntimeError("the audit takes no records, so no key is rotated")

        def turn(tx: Tx) -> list[Rotated]:
            place = job.payload
            done: list[Rotated] = []
            key = keys.load(tx, place["account"], place["region"], place["key_id"])
            primary = _primary(keys, tx, key)
            # A clock that was moved by years, or a server that was away, has several dates behind it.
            while primary is not None and _due(primary.row, clock.now()):
                at = primary.row.next_rotation
                assert at is not None
                done += rotate(keys, tx, primary, at, AUTOMATIC, at + primary.row.rotation_period * DAY)
                primary = keys.load(tx, primary.account, primary.row.region, primary.row.id)
            job.finish(tx)
            for each in done:
                tell(tx, ROTATION, each.key)
            if primary is not None and primary.row.state == ENABLED:
                plan_rotation(tx, primary.row)
            return done

        for each in store.write(turn):
            record(each)
            log.info("key %s of account %s is rotated", each.key.row.id, each.key.account)

    return run


def _primary(keys: Keys, tx: Tx, key: Key | None) -> Key | None:
    if key is None or not key.row.is_replica:
        return key
    return keys.load(tx, key.account, key.row.primary_region, key.row.id)


def _due(row: KeyRow, now: float) -> bool:
    return row.state == ENABLED and row.next_rotation is not None and row.next_rotation <= now
