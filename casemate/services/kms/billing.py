"""What AWS charges for in KMS: keys by the hour, and requests by the kind of key.

A key is paid for from its creation to the scheduling of its deletion; its first and its second rotation add as much
again each. Requests are paid for by whoever makes them. Source: "AWS Key Management Service pricing".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from casemate.engine.billing.usage import Holding
from casemate.gate.billing import Billed
from casemate.services.kms.last_use import note_used, used_keys
from casemate.services.kms.naming import key_arn, parse_key_name
from casemate.services.kms.rows import KeyRow, MaterialRow
from casemate.store.database import Tx

KEYS = "KMS-Keys"
REQUESTS = "KMS-Requests"

_ROTATIONS_PAID = 2


def end_charging(tx: Tx, row: KeyRow, now: float, materials: Iterable[MaterialRow]) -> None:
    """The key is not paid for any more: its deletion is scheduled."""
    if row.manager != "CUSTOMER":
        return
    rotations = sorted(each.rotated for each in materials if each.rotation and each.rotated is not None)
    tx.run(
        "INSERT INTO kms_key_ends (account, region, key_id, key_spec, created, rotations, ended) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            *(row.account, row.region, row.id, row.key_spec, row.created),
            *(json.dumps(rotations[:_ROTATIONS_PAID]), now),
        ),
    )


def resume_charging(tx: Tx, row: KeyRow) -> None:
    """Its deletion was cancelled: it is paid for as though that had never been scheduled."""
    tx.run(
        "DELETE FROM kms_key_ends WHERE account = ? AND region = ? AND key_id = ?",
        (row.account, row.region, row.id),
    )


def holdings(tx: Tx, account: str, until: float) -> Iterator[Holding]:
    """The keys that an account pays or paid for, and their rotations, up to a time."""
    ended = {
        (region, key_id): (created, json.loads(rotations), end)
        for region, key_id, created, rotations, end in tx.all(
            "SELECT region, key_id, created, rotations, ended FROM kms_key_ends WHERE account = ?", (account,)
        )
    }
    rotated: dict[tuple[str, str], list[float]] = {}
    for region, key_id, when in tx.all(
        "SELECT region, key_id, rotated FROM kms_backing_keys "
        "WHERE account = ? AND rotation <> '' AND rotated IS NOT NULL ORDER BY rotated",
        (account,),
    ):
        rotated.setdefault((region, key_id), []).append(when)
    lives = {
        (region, key_id): (created, rotated.get((region, key_id), ()), until)
        for region, key_id, created in tx.all(
            "SELECT region, id, created FROM kms_keys WHERE account = ? AND manager = 'CUSTOMER'", (account,)
        )
    }
    for (region, key_id), (created, rotations, end) in sorted({**lives, **ended}.items()):
        arn = key_arn(account, region, key_id)
        for since in (created, *rotations[:_ROTATIONS_PAID]):
            # A replica has the rotations of before it was made, too.
            begin = max(since, created)
            if begin < min(end, until):
                yield Holding(account, region, KEYS, arn, begin, min(end, until))


def subject(event: Mapping[str, Any]) -> tuple[str, str]:
    """The key that a call used, and the kind of the key pair that it made."""
    spec = ""
    if event["eventName"] in _PAIRS:
        spec = (event["requestParameters"] or {}).get("keyPairSpec", "")
    for each in event.get("resources", ()):
        if each["type"] == "AWS::KMS::Key":
            return each["ARN"], spec
    return "", spec


def usage_type(tx: Tx, operation: str, arn: str, pair_spec: str) -> str:
    """As what a call is charged."""
    if operation in _PAIRS:
        return f"{REQUESTS}-GenerateDatakeyPair-{'RSA' if pair_spec.startswith('RSA') else 'ECC'}"
    spec = _spec_of(tx, arn) if arn and operation in _BY_KIND else ""
    if spec == "RSA_2048":
        return f"{REQUESTS}-Asymmetric-RSA_2048"
    if spec.startswith(("RSA_", "ECC_", "ML_DSA_", "ML_KEM_", "SM2")):
        return f"{REQUESTS}-Asymmetric"
    return REQUESTS


_PAIRS = frozenset({"GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"})
_BY_KIND = frozenset(
    {
        *("Encrypt", "Decrypt", "ReEncrypt", "Sign", "Verify", "DeriveSharedSecret", "Encapsulate"),
        *("Decapsulate", "GetPublicKey"),
    }
)
"""Operations whose price depends on the kind of key."""


def _spec_of(tx: Tx, arn: str) -> str:
    name = parse_key_name(arn)
    place = (name.account, name.region, name.key_id)
    row = tx.one(
        "SELECT key_spec FROM kms_keys WHERE account = ? AND region = ? AND id = ?", place
    ) or tx.one("SELECT key_spec FROM kms_key_ends WHERE account = ? AND region = ? AND key_id = ?", place)
    return str(row[0]) if row is not None else ""


BILLED = Billed("kms", "kms.amazonaws.com", subject, usage_type, holdings, used_keys, note_used)
