"""Encrypt, Decrypt, ReEncrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext, GenerateRandom."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from casemate.api import kms
from casemate.engine.envelope.errors import BadCiphertext
from casemate.engine.envelope.message import open_message, seal_message
from casemate.engine.keys import BadEncryption, Material, WrongLength, operations
from casemate.engine.keys.specs import SYMMETRIC_DEFAULT
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.services.kms import elsewhere
from casemate.services.kms.custom_key_stores import random_of
from casemate.services.kms.encryption_contexts import encryption_context
from casemate.services.kms.grant_tokens import check_tokens
from casemate.services.kms.key import Key
from casemate.services.kms.private_keys import with_private_key
from casemate.services.kms.quotas import cryptographic
from casemate.services.kms.recipients import attested_recipient
from casemate.services.kms.refusals import end_dry_run, invalid, invalid_ciphertext
from casemate.services.kms.targets import (
    AccountWide,
    ReEncryption,
    Sealed,
    account_wide,
    ciphertext_key,
    named_key,
    re_encryption,
)

_DATA_KEY_BYTES = {"AES_256": 32, "AES_128": 16}


def _context(key: Key, context: Mapping[str, str] | None) -> Mapping[str, str]:
    """Raises ValidationException for one that is too large, or that no algorithm of the key authenticates."""
    if context and key.material is not None:
        raise invalid(f"EncryptionContext is not supported with key spec {key.row.key_spec}.")
    return encryption_context(context)


def _seal(call: Call, key: Key, algorithm: str, plaintext: bytes, context: Mapping[str, str]) -> bytes:
    if key.elsewhere:
        return elsewhere.seal(call, key, plaintext, context)
    if key.material is None:
        return seal_message(key.current, key.arn, plaintext, context)
    try:
        return operations.encrypt(key.material, algorithm, plaintext)
    except WrongLength:
        most = operations.longest_plaintext(key.material, algorithm)
        raise invalid(
            "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have "
            f"length less than or equal to {most}"
        ) from None


def _decrypt(material: Material, algorithm: str, blob: bytes) -> bytes:
    try:
        return operations.decrypt(material, algorithm, blob)
    except BadEncryption:
        raise invalid_ciphertext() from None


def _open(call: Call, sealed: Sealed, context: Mapping[str, str]) -> bytes:
    key, blob = sealed.key, sealed.blob
    if key.elsewhere:
        return elsewhere.unseal(call, key, blob, context)
    material = key.material
    if material is not None:
        algorithm = sealed.algorithm
        return with_private_key(call, material, algorithm, blob, lambda: _decrypt(material, algorithm, blob))
    backing = key.backing.get(sealed.material)
    if backing is None:
        raise invalid_ciphertext()
    try:
        return open_message(backing, blob, context)
    except BadCiphertext:
        raise invalid_ciphertext() from None


@kms.Encrypt.reads(named_key, quota=cryptographic)
def encrypt(call: Call, req: kms.EncryptRequest, key: Key) -> kms.EncryptResponse:
    """Seal up to 4 096 bytes under a symmetric key, the encryption context bound as additional data; or encrypt up to
    470 with an RSA key."""
    algorithm = req.get("EncryptionAlgorithm", SYMMETRIC_DEFAULT)
    key.must_be_usable("Encrypt")
    key.must_take(algorithm)
    check_tokens(call, req)
    context = _context(key, req.get("EncryptionContext"))
    blob = _seal(call, key, algorithm, req["Plaintext"], context)
    if "DryRun" in req:
        end_dry_run(req)
    return {"CiphertextBlob": blob, "KeyId": key.arn, "EncryptionAlgorithm": algorithm}


@kms.Decrypt.reads(ciphertext_key, Need("kms:Decrypt", lambda sealed: sealed.key), quota=cryptographic)
def decrypt(call: Call, req: kms.DecryptRequest, sealed: Sealed) -> kms.DecryptResponse:
    """Open what Encrypt and the operations that generate data keys have sealed, or what was encrypted with an RSA
    key's public half, wherever that was."""
    key = sealed.key
    key.must_be_usable("Decrypt")
    key.must_take(sealed.algorithm)
    check_tokens(call, req)
    recipient = attested_recipient(call, req) if "Recipient" in req else None
    context = _context(key, req.get("EncryptionContext"))
    if not sealed.blob:
        end_dry_run(req)
    plaintext = _open(call, sealed, context)
    if "DryRun" in req:
        end_dry_run(req)
    answer: kms.DecryptResponse = {"KeyId": key.arn, "EncryptionAlgorithm": sealed.algorithm}
    if sealed.material and not key.elsewhere:
        answer["KeyMaterialId"] = sealed.material
    if recipient is None:
        answer["Plaintext"] = plaintext
    else:
        answer["CiphertextForRecipient"] = recipient.seal(plaintext)
    return answer


@kms.ReEncrypt.reads(
    re_encryption,
    Need("kms:ReEncryptFrom", lambda both: both.source_side),
    Need("kms:ReEncryptTo", lambda both: both.destination_side),
    quota=cryptographic,
)
def re_encrypt(call: Call, req: kms.ReEncryptRequest, both: ReEncryption) -> kms.ReEncryptResponse:
    """Open a ciphertext and seal its plaintext anew, which does not leave the server meanwhile."""
    source, destination = both.source, both.destination
    algorithm = req.get("DestinationEncryptionAlgorithm", SYMMETRIC_DEFAULT)
    source.key.must_be_usable("ReEncryptFrom")
    source.key.must_take(source.algorithm)
    destination.must_be_usable("ReEncryptTo")
    destination.must_take(algorithm)
    check_tokens(call, req)
    before = _context(source.key, req.get("SourceEncryptionContext"))
    after = _context(destination, req.get("DestinationEncryptionContext"))
    if not source.blob:
        end_dry_run(req)
    blob = _seal(call, destination, algorithm, _open(call, source, before), after)
    if "DryRun" in req:
        end_dry_run(req)
    answer: kms.ReEncryptResponse = {
        "CiphertextBlob": blob,
        "SourceKeyId": source.key.arn,
        "KeyId": destination.arn,
        "SourceEncryptionAlgorithm": source.algorithm,
        "DestinationEncryptionAlgorithm": algorithm,
    }
    if source.material and not source.key.elsewhere:
        answer["SourceKeyMaterialId"] = source.material
    if destination.material is None and not destination.elsewhere:
        answer["DestinationKeyMaterialId"] = destination.current.id
    return answer


def _data_key(call: Call, req: Mapping[str, Any], key: Key, operation: str) -> tuple[bytes, bytes]:
    """A new data key and its ciphertext."""
    spec: str = req.get("KeySpec", "")
    count: int = req.get("NumberOfBytes", 0)
    if bool(spec) == bool(count):
        raise invalid("Please specify either number of bytes or key spec.")
    key.must_be_usable(operation)
    key.must_be_symmetric(operation)
    check_tokens(call, req)
    context = encryption_context(req.get("EncryptionContext"))
    if key.elsewhere:
        return elsewhere.new_data_key(call, key, count or _DATA_KEY_BYTES[spec], context)
    if "DryRun" in req:
        end_dry_run(req)
    data_key = os.urandom(count or _DATA_KEY_BYTES[spec])
    return data_key, seal_message(key.current, key.arn, data_key, context)


@kms.GenerateDataKey.reads(named_key, quota=cryptographic)
def generate_data_key(call: Call, req: kms.GenerateDataKeyRequest, key: Key) -> kms.GenerateDataKeyResponse:
    """Random bytes for the caller to encrypt with, in the clear and sealed."""
    recipient = attested_recipient(call, req) if "Recipient" in req else None
    data_key, blob = _data_key(call, req, key, "GenerateDataKey")
    answer: kms.GenerateDataKeyResponse = {"CiphertextBlob": blob, "KeyId": key.arn}
    if not key.elsewhere:
        answer["KeyMaterialId"] = key.current.id
    if recipient is None:
        answer["Plaintext"] = data_key
    else:
        answer["CiphertextForRecipient"] = recipient.seal(data_key)
    return answer


@kms.GenerateDataKeyWithoutPlaintext.reads(named_key, quota=cryptographic)
def generate_data_key_without_plaintext(
    call: Call, req: kms.GenerateDataKeyWithoutPlaintextRequest, key: Key
) -> kms.GenerateDataKeyWithoutPlaintextResponse:
    """Random bytes, sealed only: for a data key that somebody else will open later."""
    blob = _data_key(call, req, key, "GenerateDataKeyWithoutPlaintext")[1]
    answer: kms.GenerateDataKeyWithoutPlaintextResponse = {"CiphertextBlob": blob, "KeyId": key.arn}
    if not key.elsewhere:
        answer["KeyMaterialId"] = key.current.id
    return answer


@kms.GenerateRandom.reads(account_wide, quota=cryptographic)
def generate_random(
    call: Call, req: kms.GenerateRandomRequest, account: AccountWide
) -> kms.GenerateRandomResponse:
    """1 to 1 024 random bytes from the operating system, or from a custom key store's HSM."""
    recipient = attested_recipient(call, req) if "Recipient" in req else None
    count = req.get("NumberOfBytes")
    if count is None:
        raise invalid("NumberOfBytes is required.")
    random = (
        random_of(call, req["CustomKeyStoreId"], count) if "CustomKeyStoreId" in req else os.urandom(count)
    )
    return {"Plaintext": random} if recipient is None else {"CiphertextForRecipient": recipient.seal(random)}
