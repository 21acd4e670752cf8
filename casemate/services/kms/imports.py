"""GetParametersForImport, ImportKeyMaterial, DeleteImportedKeyMaterial.

The import token holds the wrapping key itself, sealed under the account's key and bound to the KMS key, the algorithm
and its time, so that nothing is stored between the two calls.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from casemate.api import kms
from casemate.engine import key_wrapping
from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import AccountKey
from casemate.engine.keys.specs import SYMMETRIC_DEFAULT
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.kms.deletion import DAY
from casemate.services.kms.imported import (
    forget,
    incorrect_material,
    must_be_imported,
    stored_form,
    take_again,
    take_first,
    take_next,
)
from casemate.services.kms.key import Key
from casemate.services.kms.keys import Keys
from casemate.services.kms.private_keys import in_turn
from casemate.services.kms.refusals import invalid, invalid_ciphertext, unsupported
from casemate.services.kms.rows import MaterialRow, material_id_of
from casemate.services.kms.targets import own_key

TOKEN_TIME = DAY
"""Seconds for which a wrapping key and its token are good."""

LONGEST = 365
"""Days within which material expires, if it does."""

_MAGIC = b"CMI\x01"
_LENGTH = struct.Struct(">H")
_PURPOSE = "kms-import-token"


class _Token(NamedTuple):
    """What an import token is bound to. expires: seconds since the epoch."""

    key: str
    algorithm: str
    spec: str
    expires: float


def _sealed(account: AccountKey, token: _Token, private: bytes) -> bytes:
    head = json.dumps(token).encode()
    return _MAGIC + _LENGTH.pack(len(head)) + head + account.wrap(private, _PURPOSE, head.decode())


def _opened(account: AccountKey, text: bytes) -> tuple[_Token, bytes]:
    """The token and its private key. Raises InvalidImportTokenException."""
    try:
        start = len(_MAGIC) + _LENGTH.size
        (length,) = _LENGTH.unpack_from(text, len(_MAGIC))
        head = text[start : start + length].decode()
        if text[: len(_MAGIC)] != _MAGIC:
            raise _no_token()
        private = account.unwrap(text[start + length :], _PURPOSE, head)
        return _Token(*json.loads(head)), private
    except (struct.error, UnicodeDecodeError, Tampered):
        raise _no_token() from None


def _no_token() -> AwsError:
    return AwsError("InvalidImportTokenException", "The import token is invalid.")


def _must_fit(key: Key, algorithm: str, spec: str) -> None:
    """Raises UnsupportedOperationException, ValidationException for what cannot wrap such a key's material."""
    if algorithm not in key_wrapping.ALGORITHMS or spec not in key_wrapping.KEY_BITS:
        raise unsupported(f"Wrapping algorithm {algorithm} with wrapping key spec {spec} is not supported.")
    row = key.row
    if key_wrapping.is_indirect(algorithm):
        return
    if row.key_spec.startswith("RSA_") or (row.key_spec == "ECC_NIST_P521" and spec == "RSA_2048"):
        raise invalid(f"Wrapping algorithm {algorithm} with {spec} cannot wrap a key of spec {row.key_spec}.")


@kms.GetParametersForImport.reads(own_key)
def get_parameters_for_import(
    call: Call, req: kms.GetParametersForImportRequest, key: Key
) -> kms.GetParametersForImportResponse:
    """A new RSA key to wrap material with, and the token that says for which key; both for 24 hours."""
    must_be_imported(key)
    key.must_not_be_pending_deletion()
    algorithm, spec = req["WrappingAlgorithm"], req["WrappingKeySpec"]
    _must_fit(key, algorithm, spec)
    private = in_turn(call, "wrapping key", lambda: key_wrapping.generate(spec))
    token = _Token(key.arn, algorithm, spec, float(int(call.now + TOKEN_TIME)))
    account = call.part(Keys).account_key(call.tx, key.account)
    return {
        "KeyId": key.arn,
        "ImportToken": _sealed(account, token, private),
        "PublicKey": key_wrapping.public_half(private),
        "ParametersValidTo": datetime.fromtimestamp(token.expires, UTC),
    }


def _valid_to(req: Mapping[str, Any], now: float) -> float | None:
    """When the material expires, None for never. Raises ValidationException."""
    model = req.get("ExpirationModel", "KEY_MATERIAL_EXPIRES")
    moment: datetime | None = req.get("ValidTo")
    if model == "KEY_MATERIAL_DOES_NOT_EXPIRE":
        if moment is not None:
            raise invalid(
                "ValidTo must not be specified when ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE."
            )
        return None
    if moment is None:
        raise invalid("ValidTo is required when ExpirationModel is KEY_MATERIAL_EXPIRES.")
    if not now < moment.timestamp() <= now + LONGEST * DAY:
        raise invalid(f"ValidTo must be a time in the next {LONGEST} days.")
    return moment.timestamp()


def _checked(call: Call, key: Key, plaintext: bytes) -> bytes:
    """The material in its stored form. That an RSA key's parts belong together takes up to some 100 ms to check."""
    if not key.row.key_spec.startswith("RSA_"):
        return stored_form(key, plaintext)
    return in_turn(call, "imported key", lambda: stored_form(key, plaintext))


def _is_new(req: Mapping[str, Any], key: Key) -> bool:
    """Whether the material is to be new to the key. Raises ValidationException, UnsupportedOperationException."""
    only_symmetric = [
        name for name in ("ImportType", "KeyMaterialDescription", "KeyMaterialId") if name in req
    ]
    if only_symmetric and key.row.key_spec != SYMMETRIC_DEFAULT:
        raise invalid(f"{only_symmetric[0]} is supported for symmetric encryption keys only.")
    ordinary = "EXISTING_KEY_MATERIAL" if key.materials else "NEW_KEY_MATERIAL"
    new: bool = req.get("ImportType", ordinary) == "NEW_KEY_MATERIAL"
    if new and "KeyMaterialId" in req:
        raise invalid("KeyMaterialId must not be specified when ImportType is NEW_KEY_MATERIAL.")
    if new and key.row.is_replica:
        raise unsupported(f"{key.arn} is a multi-Region replica key: import into its primary key first.")
    return new


@kms.ImportKeyMaterial.writes(own_key)
def import_key_material(
    call: Call, req: kms.ImportKeyMaterialRequest, key: Key
) -> kms.ImportKeyMaterialResponse:
    """Give a key that waits for it the material that was wrapped, or the same again, or new one to rotate to."""
    must_be_imported(key)
    key.must_not_be_pending_deletion()
    valid_to = _valid_to(req, call.now)
    new = _is_new(req, key)
    keys, tx, row = call.part(Keys), call.tx, key.row
    token, private = _opened(keys.account_key(tx, key.account), req["ImportToken"])
    if token.key != key.arn:
        raise _no_token()
    if token.expires <= call.now:
        raise AwsError("ExpiredImportTokenException", "The import token has expired.")
    try:
        material = key_wrapping.unwrap(private, token.algorithm, req["EncryptedKeyMaterial"])
    except key_wrapping.BadWrapping:
        raise invalid_ciphertext() from None
    material = _checked(call, key, material)
    material_id = material_id_of(row.account, row.region, row.id, material)
    known = next((each for each in key.materials if each.id == material_id), None)
    if (known is None) is not new or req.get("KeyMaterialId", material_id) != material_id:
        raise incorrect_material()
    if known is not None:
        description = req.get("KeyMaterialDescription", known.description)
        take_again(keys, tx, key, known._replace(valid_to=valid_to, description=description), material)
    else:
        made = MaterialRow(
            material_id, 1, call.now, description=req.get("KeyMaterialDescription", ""), valid_to=valid_to
        )
        if not key.materials:
            take_first(keys, tx, key, made, material)
        elif row.key_spec != SYMMETRIC_DEFAULT:
            raise incorrect_material()
        elif any(each.state for each in key.materials):
            raise AwsError(
                "KMSInvalidStateException", f"{key.arn} has key material that is pending rotation."
            )
        else:
            take_next(keys, tx, key, made, material)
    shown: kms.ImportKeyMaterialResponse = {"KeyId": key.arn}
    if row.key_spec == SYMMETRIC_DEFAULT:
        shown["KeyMaterialId"] = material_id
    return shown


@kms.DeleteImportedKeyMaterial.writes(own_key)
def delete_imported_key_material(
    call: Call, req: kms.DeleteImportedKeyMaterialRequest, key: Key
) -> kms.DeleteImportedKeyMaterialResponse:
    """Take material away, the current one unless another is named. Without it the key cannot be used; nothing else of
    the key changes."""
    must_be_imported(key)
    if not key.materials and "KeyMaterialId" not in req:
        return {"KeyId": key.arn}
    wanted = req.get("KeyMaterialId", key.row.current_material)
    row = next((each for each in key.materials if each.id == wanted), None)
    if row is None:
        raise AwsError("NotFoundException", f"Key material {wanted} of {key.arn} does not exist.")
    if row.present:
        forget(call.part(Keys), call.tx, key, row)
    shown: kms.DeleteImportedKeyMaterialResponse = {"KeyId": key.arn}
    if key.row.key_spec == SYMMETRIC_DEFAULT:
        shown["KeyMaterialId"] = wanted
    return shown
