"""SecureStrings: values that KMS encrypts and decrypts, asked as the caller. Source: "AWS KMS encryption for AWS
Systems Manager Parameter Store SecureString parameters".

The value of a standard parameter is encrypted under the key itself; that of an advanced one under a data key, which
the key encrypts. In both the encryption context is the parameter's ARN. What is stored, and shown to who asks
without decryption, is base64 of the ciphertext; of an advanced parameter: version 1 | length of the encrypted data
key 2 | that | nonce 12 | ciphertext and tag.
"""

from __future__ import annotations

import os
import struct
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from functools import lru_cache
from typing import NamedTuple, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from casemate.api import kms
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Repeated
from casemate.services.ssm.rows import ADVANCED, Version

DEFAULT_KEY = "alias/aws/ssm"

_HEAD = struct.Struct(">BH")
_FORM = 1
_NONCE = 12

# What KMS says of keys, as Parameter Store passes it on.
_OF_THE_KEY = frozenset(
    {
        *("NotFoundException", "DisabledException", "KMSInvalidStateException", "InvalidKeyUsageException"),
        *("KeyUnavailableException", "InvalidArnException", "InvalidCiphertextException"),
        *("IncorrectKeyException", "UnsupportedOperationException", "ValidationException"),
    }
)


def encrypt(call: Call, arn: str, tier: str, key_id: str, plaintext: str) -> str:
    """The value as it is stored. arn: the parameter's. Raises InvalidKeyId, AccessDeniedException."""
    context = {"PARAMETER_ARN": arn}
    try:
        if tier != ADVANCED:
            asked: kms.EncryptRequest = {
                "KeyId": key_id,
                "Plaintext": plaintext.encode(),
                "EncryptionContext": context,
            }
            answer = kms.Encrypt.ask(call, asked, via="ssm")
            assert "CiphertextBlob" in answer
            return b64encode(answer["CiphertextBlob"]).decode()
        data_key = kms.GenerateDataKey.ask(
            call, {"KeyId": key_id, "KeySpec": "AES_256", "EncryptionContext": context}, via="ssm"
        )
    except AwsError as error:
        raise _passed_on(call, error) from None
    assert "CiphertextBlob" in data_key
    assert "Plaintext" in data_key
    blob, nonce = data_key["CiphertextBlob"], os.urandom(_NONCE)
    head = _HEAD.pack(_FORM, len(blob)) + blob
    sealed = AESGCM(data_key["Plaintext"]).encrypt(nonce, plaintext.encode(), head + arn.encode())
    return b64encode(head + nonce + sealed).decode()


def decrypt(call: Call, arn: str, version: Version) -> str:
    """The value in the clear. arn: the parameter's. Raises InvalidKeyId, AccessDeniedException; Tampered."""
    stored = _read(arn, version.value, version.tier)
    try:
        answer = kms.Decrypt.ask(call, stored.asked, via="ssm")
    except AwsError as error:
        raise _passed_on(call, error) from None
    assert "Plaintext" in answer
    if version.tier != ADVANCED:
        return answer["Plaintext"].decode()
    try:
        opened = AESGCM(answer["Plaintext"]).decrypt(stored.nonce, stored.content, stored.bound)
    except (InvalidTag, ValueError) as error:
        raise Tampered("the stored ciphertext was altered") from error
    return opened.decode()


class _Stored(NamedTuple):
    """A stored value. asked: what KMS is asked; nonce, content, bound: of a value under a data key, b"" of others."""

    asked: kms.DecryptRequest
    nonce: bytes = b""
    content: bytes = b""
    bound: bytes = b""


@lru_cache(maxsize=4096)
def _read(arn: str, value: str, tier: str) -> _Stored:
    """Values are read again and again, so what is sealed in them is remembered. Raises Tampered."""
    try:
        blob = b64decode(value)
        if tier != ADVANCED:
            return _Stored(_asked(arn, blob))
        form, length = _HEAD.unpack_from(blob)
    except (Base64Error, struct.error) as error:
        raise Tampered("the stored ciphertext is unreadable") from error
    if form != _FORM:
        raise Tampered("the stored ciphertext is of another form")
    head, rest = blob[: _HEAD.size + length], blob[_HEAD.size + length :]
    return _Stored(_asked(arn, head[_HEAD.size :]), rest[:_NONCE], rest[_NONCE:], head + arn.encode())


def _asked(arn: str, blob: bytes) -> kms.DecryptRequest:
    asked = Repeated({"CiphertextBlob": blob, "EncryptionContext": {"PARAMETER_ARN": arn}})
    return cast("kms.DecryptRequest", asked)


def _passed_on(call: Call, error: AwsError) -> AwsError:
    """KMS's refusal, in Parameter Store's words."""
    code = "InvalidKeyId" if error.code in _OF_THE_KEY else error.code
    return AwsError(
        code,
        f"{error.message} (Service: AWSKMS; Status Code: {error.status}; Error Code: {error.code}; "
        f"Request ID: {call.request_id}; Proxy: null)",
        error.status,
    )
