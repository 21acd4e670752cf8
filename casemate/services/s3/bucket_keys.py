"""Data keys from KMS, asked for as the caller; with S3 Bucket Keys, one of KMS's for many objects.

With a bucket key, KMS gives a key for the bucket, bound to the bucket's ARN, which wraps the data keys of objects for
a while. It is kept in memory for the bucket, the KMS key, the caller and the context that it was asked with, and each
object has it, sealed by KMS, so that it opens for as long as the KMS key may be used. Source: "Reducing the cost of
SSE-KMS with Amazon S3 Bucket Keys".

B   base64: what KMS sealed: the data key or, where there is D or R, a key that wraps it
D   base64: the data key, wrapped under a bucket key
R   base64: the data key of an object that came under this KMS key later, wrapped
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.api import kms
from casemate.engine.envelope.derivation import KEY_BYTES, KeyHolder
from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import WrappingKey
from casemate.errors import AwsError
from casemate.services.s3.refusals import invalid_argument
from casemate.services.s3.resources import Bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.services.s3.sealing import Wanted

LIFETIME = 300.0
"""Seconds for which a bucket key is used, by the machine's clock and the injected one alike."""

_MOST = 10_000
_LABEL = b"casemate s3 bucket key 1"
_ARN = "aws:s3:arn"


class DataKey(NamedTuple):
    """A data key; kept: what opens it again."""

    secret: bytes
    key_arn: str
    kept: Mapping[str, str]

    def __repr__(self) -> str:
        return f"<DataKey of {self.key_arn}>"


class _BucketKey(NamedTuple):
    secret: bytes
    sealed: bytes
    key_arn: str
    until: float

    def __repr__(self) -> str:
        return f"<bucket key of {self.key_arn}>"


class BucketKeys(KeyHolder):
    """The bucket keys in this worker's memory: ``call.part(BucketKeys)``."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], _BucketKey] = {}

    def get(self, name: tuple[Any, ...], now: float) -> _BucketKey | None:
        found = self._kept.get(name)
        return None if found is None or not found.until - LIFETIME <= now < found.until else found

    def keep(self, name: tuple[Any, ...], key: _BucketKey) -> None:
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[name] = key


def data_key(call: Call, bucket: Bucket, key: str, how: Wanted, secret: bytes = b"") -> DataKey:
    """A new data key; secret: the one that an object has already. Raises AwsError."""
    if not how.bucket_key:
        made = _generate(call, bucket, how, {_ARN: f"{bucket.arn}/{key}", **how.context})
        kept = {"B": _text(made.sealed)}
        if secret:
            kept["R"] = _wrapped(made, secret, bucket, key)
        return DataKey(secret or made.secret, made.key_arn, kept)
    keys = call.part(BucketKeys)
    # The identity itself, which is another one for each session, and after each change of what it may do.
    name = (bucket.id, how.key_id, call.identity, tuple(sorted(how.context.items())))
    found = keys.get(name, call.now)
    if found is None:
        found = _generate(call, bucket, how, {_ARN: bucket.arn, **how.context})
        keys.keep(name, found)
        keys.keep((found.sealed, call.identity), found)
    secret = secret or os.urandom(KEY_BYTES)
    wrapped = _wrapped(found, secret, bucket, key)
    return DataKey(secret, found.key_arn, {"B": _text(found.sealed), "D": wrapped})


def _wrapped(under: _BucketKey, secret: bytes, bucket: Bucket, key: str) -> str:
    return _text(WrappingKey(under.secret, _LABEL).wrap(secret, "s3 data key", bucket.id, key))


def _unwrapped(under: bytes, wrapped: str, bucket: Bucket, key: str) -> bytes:
    try:
        return WrappingKey(under, _LABEL).unwrap(b64decode(wrapped), "s3 data key", bucket.id, key)
    except Tampered:
        raise _broken() from None


def open_data_key(call: Call, bucket: Bucket, key: str, kept: Mapping[str, Any]) -> bytes:
    """The data key of an object that is there. Raises AwsError."""
    sealed, context, key_arn = b64decode(kept["B"]), kept.get("C", {}), kept["N"]
    if "D" not in kept:
        opened = _decrypt(call, bucket, key_arn, sealed, {_ARN: f"{bucket.arn}/{key}", **context})
        return _unwrapped(opened, kept["R"], bucket, key) if "R" in kept else opened
    keys = call.part(BucketKeys)
    name = (sealed, call.identity)
    found = keys.get(name, call.now)
    if found is None:
        secret = _decrypt(call, bucket, key_arn, sealed, {_ARN: bucket.arn, **context})
        found = _BucketKey(secret, sealed, key_arn, call.now + LIFETIME)
        keys.keep(name, found)
    return _unwrapped(found.secret, kept["D"], bucket, key)


def _generate(call: Call, bucket: Bucket, how: Wanted, context: Mapping[str, str]) -> _BucketKey:
    _must_be_signed(call)
    made: Any
    secret = b""
    try:
        if how.replica:
            # What replication is allowed to ask. Source: "Replicating encrypted objects".
            secret = os.urandom(KEY_BYTES)
            made = kms.Encrypt.ask(
                call,
                {"KeyId": how.key_id, "Plaintext": secret, "EncryptionContext": dict(context)},
                via="s3",
                region=bucket.region,
            )
        else:
            made = kms.GenerateDataKey.ask(
                call,
                {"KeyId": how.key_id, "KeySpec": "AES_256", "EncryptionContext": dict(context)},
                via="s3",
                region=bucket.region,
            )
    except AwsError as refusal:
        raise as_told_by_s3(refusal) from None
    secret = secret or made.get("Plaintext", b"")
    return _BucketKey(secret, made["CiphertextBlob"], made["KeyId"], call.now + LIFETIME)


def _decrypt(call: Call, bucket: Bucket, key_arn: str, sealed: bytes, context: Mapping[str, str]) -> bytes:
    """In the bucket's Region, which is not the request's where an object is copied from elsewhere."""
    _must_be_signed(call)
    try:
        found = kms.Decrypt.ask(
            call,
            {"KeyId": key_arn, "CiphertextBlob": sealed, "EncryptionContext": dict(context)},
            via="s3",
            region=bucket.region,
        )
    except AwsError as refusal:
        raise as_told_by_s3(refusal) from None
    assert "Plaintext" in found
    return found["Plaintext"]


def _must_be_signed(call: Call) -> None:
    if call.identity.principal.kind == "anonymous":
        raise invalid_argument(
            "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.",
            "Authorization",
            "null",
        )


def as_told_by_s3(refusal: AwsError) -> AwsError:
    """A refusal of KMS's as S3 tells it."""
    if refusal.code == "AccessDeniedException":
        return AwsError("AccessDenied", refusal.message, 403)
    if refusal.code == "ThrottlingException":
        return AwsError("SlowDown", "Please reduce your request rate.", 503)
    if refusal.status >= 500:
        return AwsError("ServiceUnavailable", "Service is unable to handle request.", 503)
    if refusal.code == "InvalidCiphertextException":
        return _broken()
    return AwsError(f"KMS.{refusal.code}", refusal.message, 400)


def _broken() -> AwsError:
    return AwsError("InternalError", "We encountered an internal error. Please try again.", 500)


def _text(value: bytes) -> str:
    return b64encode(value).decode()
