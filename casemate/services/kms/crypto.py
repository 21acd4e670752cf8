"""Encrypt, Decrypt, ReEncrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext, GenerateRandom."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from casemate.api import kms
from casemate.engine.envelope.errors import BadCiphertext
from casemate.engine.envelope.message import open_message, seal_message
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.services.kms.grant_tokens import check_tokens
from casemate.services.kms.key import SYMMETRIC_DEFAULT, Key
from casemate.services.kms.quotas import cryptographic
from casemate.services.kms.recipients import attested_recipient
from casemate.services.kms.refusals import end_dry_run, invalid, invalid_ciphertext, not_served
from casemate.services.kms.targets import (
    AccountWide,
    ReEncryption,
    Sealed,
    account_wide,
    ciphertext_key,
    named_key,
    re_encryption,
)

CONTEXT_BYTES = 8192
"""The most that an encryption context's names and values may have in UTF-8 together."""

_DATA_KEY_BYTES = {"AES_256": 32, "AES_128": 16}
_NO_CONTEXT: Mapping[str, str] = {}


def _context(context: Mapping[str, str] | None) -> Mapping[str, str]:
    if not context:
        return _NO_CONTEXT
    # A character has four bytes at most: most contexts are plainly small.
    size = 0
    for name, value in context.items():
        size += len(name) + len(value)
    if size * 4 > CONTEXT_BYTES and sum(len(text.encode()) for item in context.items() for text in item) > (
        CONTEXT_BYTES
    ):
        raise invalid(f"The encryption context is larger than {CONTEXT_BYTES} bytes.")
    return context


def _open(sealed: Sealed, context: Mapping[str, str]) -> bytes:
    backing = sealed.key.backing.get(sealed.material)
    if backing is None:
        raise invalid_ciphertext()
    try:
        return open_message(backing, sealed.blob, context)
    except BadCiphertext:
        raise invalid_ciphertext() from None


@kms.Encrypt.reads(named_key, quota=cryptographic)
def encrypt(call: Call, req: kms.EncryptRequest, key: Key) -> kms.EncryptResponse:
    """Seal up to 4 096 bytes under a symmetric key, the encryption context bound as additional data."""
    key.must_be_usable("Encrypt")
    key.must_take(req.get("EncryptionAlgorithm", SYMMETRIC_DEFAULT))
    check_tokens(call, req)
    context = _context(req.get("EncryptionContext"))
    if "DryRun" in req:
        end_dry_run(req)
    return {
        "CiphertextBlob": seal_message(key.current, key.arn, req["Plaintext"], context),
        "KeyId": key.arn,
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }


@kms.Decrypt.reads(ciphertext_key, Need("kms:Decrypt", lambda sealed: sealed.key), quota=cryptographic)
def decrypt(call: Call, req: kms.DecryptRequest, sealed: Sealed) -> kms.DecryptResponse:
    """Open what Encrypt and the operations that generate data keys have sealed."""
    key = sealed.key
    key.must_be_usable("Decrypt")
    key.must_take(req.get("EncryptionAlgorithm", SYMMETRIC_DEFAULT))
    check_tokens(call, req)
    recipient = attested_recipient(call, req) if "Recipient" in req else None
    context = _context(req.get("EncryptionContext"))
    if not sealed.material:
        end_dry_run(req)
    plaintext = _open(sealed, context)
    if "DryRun" in req:
        end_dry_run(req)
    answer: kms.DecryptResponse = {
        "KeyId": key.arn,
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        "KeyMaterialId": sealed.material,
    }
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
    source.key.must_be_usable("ReEncryptFrom")
    source.key.must_take(req.get("SourceEncryptionAlgorithm", SYMMETRIC_DEFAULT))
    destination.must_be_usable("ReEncryptTo")
    destination.must_take(req.get("DestinationEncryptionAlgorithm", SYMMETRIC_DEFAULT))
    check_tokens(call, req)
    before = _context(req.get("SourceEncryptionContext"))
    after = _context(req.get("DestinationEncryptionContext"))
    if not source.material:
        end_dry_run(req)
    plaintext = _open(source, before)
    if "DryRun" in req:
        end_dry_run(req)
    return {
        "CiphertextBlob": seal_message(destination.current, destination.arn, plaintext, after),
        "SourceKeyId": source.key.arn,
        "KeyId": destination.arn,
        "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        "SourceKeyMaterialId": source.material,
        "DestinationKeyMaterialId": destination.current.id,
    }


def _data_key(call: Call, req: Mapping[str, Any], key: Key, operation: str) -> tuple[bytes, bytes]:
    """A new data key and its ciphertext."""
    spec: str = req.get("KeySpec", "")
    count: int = req.get("NumberOfBytes", 0)
    if bool(spec) == bool(count):
        raise invalid("Please specify either number of bytes or key spec.")
    key.must_be_usable(operation)
    check_tokens(call, req)
    context = _context(req.get("EncryptionContext"))
    if "DryRun" in req:
        end_dry_run(req)
    data_key = os.urandom(count or _DATA_KEY_BYTES[spec])
    return data_key, seal_message(key.current, key.arn, data_key, context)


@kms.GenerateDataKey.reads(named_key, quota=cryptographic)
def generate_data_key(call: Call, req: kms.GenerateDataKeyRequest, key: Key) -> kms.GenerateDataKeyResponse:
    """Random bytes for the caller to encrypt with, in the clear and sealed."""
    recipient = attested_recipient(call, req) if "Recipient" in req else None
    data_key, blob = _data_key(call, req, key, "GenerateDataKey")
    answer: kms.GenerateDataKeyResponse = {
        "CiphertextBlob": blob,
        "KeyId": key.arn,
        "KeyMaterialId": key.current.id,
    }
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
    return {"CiphertextBlob": blob, "KeyId": key.arn, "KeyMaterialId": key.current.id}


@kms.GenerateRandom.reads(account_wide, quota=cryptographic)
def generate_random(
    call: Call, req: kms.GenerateRandomRequest, account: AccountWide
) -> kms.GenerateRandomResponse:
    """1 to 1 024 random bytes from the operating system."""
    if "CustomKeyStoreId" in req:
        raise not_served("CustomKeyStoreId")
    recipient = attested_recipient(call, req) if "Recipient" in req else None
    count = req.get("NumberOfBytes")
    if count is None:
        raise invalid("NumberOfBytes is required.")
    random = os.urandom(count)
    return {"Plaintext": random} if recipient is None else {"CiphertextForRecipient": recipient.seal(random)}
