"""How an object is to be encrypted, and by which keys it is: SSE-S3, SSE-KMS, DSSE-KMS, SSE-C.

Every object has data keys of its own. What is kept of them (``Encryption`` of what is told of an object) is sealed
with its row: of SSE-S3 the key itself; of SSE-KMS what opens it at KMS, as the caller; of SSE-C the key wrapped under
the customer's, which is not kept.

A   algorithm: "AES256", "aws:kms", "aws:kms:dsse", or "SSE-C"
K   base64: the data key of S3's own layer (SSE-S3, and the second layer of DSSE-KMS)
B   base64: the data key as KMS gave it, sealed; N: the KMS key's ARN; C: the encryption context that the client gave
M   the MD5 of the customer's key, base64; W: base64: the data key wrapped under it; P: of a replica, which is made
    without that key, the bucket's id that both the data key and the content are bound to
"""

from __future__ import annotations

import hmac
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import md5
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.engine.envelope.derivation import KEY_BYTES
from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import WrappingKey
from casemate.errors import AwsError
from casemate.services.s3.ciphers import ObjectKeys
from casemate.services.s3.refusals import access_denied, invalid_argument, invalid_request
from casemate.services.s3.resources import Bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.services.s3.object_rows import ObjectRow

S3_KEYS, KMS_KEYS, TWO_LAYERS, CUSTOMER_KEYS = "AES256", "aws:kms", "aws:kms:dsse", "SSE-C"

_MANAGED = "alias/aws/s3"
_LABEL = b"casemate s3 customer key 1"
_CONTEXT_TEXT = (
    "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which "
    "represents a string-string map"
)
_ARN = "aws:s3:arn"


class Wanted(NamedTuple):
    """How a request, or its bucket, wants an object encrypted. key_id: KMS's, as named; context: the client's own
    encryption context; customer_key: of SSE-C; replica: it is for a replica, whose data key KMS does not generate but
    encrypt."""

    algorithm: str
    key_id: str = ""
    context: Mapping[str, str] = {}
    bucket_key: bool = False
    customer_key: bytes = b""
    replica: bool = False

    def __repr__(self) -> str:
        return f"<Wanted {self.algorithm}>"


class Encryption(NamedTuple):
    """An object's keys, and what is kept of them (sealed with its row)."""

    keys: ObjectKeys
    kept: Mapping[str, Any]


def wanted(call: Call, request: Mapping[str, Any], bucket: Bucket) -> Wanted:
    """What the request says, or else the bucket's default. Raises AwsError."""
    customer_key = customers_key(call, request)
    algorithm = request.get("ServerSideEncryption")
    key_id = request.get("SSEKMSKeyId", "")
    if customer_key is not None:
        if algorithm is not None:
            raise invalid_argument(
                "Server Side Encryption with Customer provided key is incompatible with the encryption method "
                "specified",
                "x-amz-server-side-encryption",
                algorithm,
            )
        if CUSTOMER_KEYS in bucket.blocked_encryption:
            raise access_denied("Access Denied: the bucket does not allow server-side encryption with SSE-C")
        return Wanted(CUSTOMER_KEYS, customer_key=customer_key)
    bucket_key = bool(bucket.encryption.get("BucketKeyEnabled"))
    if algorithm is None:
        if key_id or "SSEKMSEncryptionContext" in request:
            raise invalid_argument(
                "Server Side Encryption with AWS KMS managed key requires HTTP header "
                "x-amz-server-side-encryption : aws:kms",
                "x-amz-server-side-encryption",
            )
        rule = bucket.encryption["ApplyServerSideEncryptionByDefault"]
        algorithm, key_id = rule["SSEAlgorithm"], rule.get("KMSMasterKeyID", "")
    elif algorithm not in (S3_KEYS, KMS_KEYS, TWO_LAYERS):
        raise AwsError(
            "InvalidEncryptionAlgorithmError",
            "The encryption request you specified is not valid. Supported value: AES256.",
            400,
        )
    elif algorithm == S3_KEYS and (key_id or "SSEKMSEncryptionContext" in request):
        raise invalid_argument(
            "Server Side Encryption with AWS KMS managed key requires HTTP header "
            "x-amz-server-side-encryption : aws:kms",
            "x-amz-server-side-encryption",
            algorithm,
        )
    if algorithm == S3_KEYS:
        return Wanted(S3_KEYS)
    bucket_key = request.get("BucketKeyEnabled", bucket_key) and algorithm == KMS_KEYS
    return Wanted(algorithm, key_id or _MANAGED, _context(request), bucket_key)


def customers_key(call: Call, request: Mapping[str, Any], prefix: str = "") -> bytes | None:
    """The key that the client provides (SSE-C); None where it does not. prefix: "CopySource" for the key of a copy's
    source. Raises AwsError. Source: "Using server-side encryption with customer-provided keys (SSE-C)"."""
    algorithm = request.get(f"{prefix}SSECustomerAlgorithm")
    key = request.get(f"{prefix}SSECustomerKey")
    digest = request.get(f"{prefix}SSECustomerKeyMD5")
    if algorithm is None and key is None and digest is None:
        return None
    subject = "Requests specifying Server Side Encryption with Customer provided keys must "
    if call.tls is None:
        raise invalid_request(subject + "be made over a secure connection.")
    if algorithm is None:
        raise invalid_argument(
            subject + "provide a valid encryption algorithm.",
            "x-amz-server-side-encryption-customer-algorithm",
        )
    if algorithm != "AES256":
        raise AwsError(
            "InvalidEncryptionAlgorithmError",
            "The encryption request you specified is not valid. Supported value: AES256.",
            400,
        )
    if key is None:
        raise invalid_argument(
            subject + "provide an appropriate secret key.", "x-amz-server-side-encryption-customer-key"
        )
    if digest is None:
        raise invalid_argument(
            subject + "provide the client calculated MD5 of the secret key.",
            "x-amz-server-side-encryption-customer-key-MD5",
        )
    try:
        secret = b64decode(key, validate=True)
    except ValueError:
        secret = b""
    if len(secret) != KEY_BYTES:
        raise invalid_argument(
            "The secret key was invalid for the specified algorithm.",
            "x-amz-server-side-encryption-customer-key",
        )
    if not hmac.compare_digest(_md5(secret).encode(), digest.encode()):
        raise invalid_argument(
            "The calculated MD5 hash of the key did not match the hash that was provided.",
            "x-amz-server-side-encryption-customer-key-MD5",
        )
    return secret


def _md5(secret: bytes) -> str:
    return b64encode(md5(secret, usedforsecurity=False).digest()).decode()


def _context(request: Mapping[str, Any]) -> Mapping[str, str]:
    header = request.get("SSEKMSEncryptionContext")
    if header is None:
        return {}
    try:
        context = json.loads(b64decode(header, validate=True).decode())
    except ValueError:
        context = None
    if not isinstance(context, dict) or not all(isinstance(value, str) for value in context.values()):
        raise invalid_argument(_CONTEXT_TEXT, "x-amz-server-side-encryption-context")
    return context


# --- keys


def begin(call: Call, bucket: Bucket, key: str, how: Wanted) -> Encryption:
    """New keys for an object. KMS is asked once, however often the request starts again. Raises AwsError."""
    if how.algorithm == CUSTOMER_KEYS:
        secret = os.urandom(KEY_BYTES)
        wrapped = WrappingKey(how.customer_key, _LABEL).wrap(secret, "s3 data key", bucket.id, key)
        return Encryption(
            ObjectKeys((secret,), bucket.id, key),
            {"A": CUSTOMER_KEYS, "M": _md5(how.customer_key), "W": _text(wrapped)},
        )
    own = os.urandom(KEY_BYTES)
    if how.algorithm == S3_KEYS:
        return Encryption(ObjectKeys((own,), bucket.id, key), {"A": S3_KEYS, "K": _text(own)})
    from casemate.services.s3.bucket_keys import data_key

    given = call.once("s3 data key", lambda: data_key(call, bucket, key, how))
    kept: dict[str, Any] = {"A": how.algorithm, "N": given.key_arn, **given.kept}
    if how.context:
        kept["C"] = dict(how.context)
    if how.algorithm == KMS_KEYS:
        return Encryption(ObjectKeys((given.secret,), bucket.id, key), kept)
    kept["K"] = _text(own)
    return Encryption(ObjectKeys((given.secret, own), bucket.id, key), kept)


def opened(
    call: Call,
    bucket: Bucket,
    key: str,
    kept: Mapping[str, Any],
    request: Mapping[str, Any],
    prefix: str = "",
) -> ObjectKeys:
    """The keys of an object that is there. request: where the customer's key is, of SSE-C; prefix: as in
    ``customers_key``. Raises AwsError."""
    customer_key = customers_key(call, request, prefix)
    algorithm = kept["A"]
    if algorithm == CUSTOMER_KEYS:
        if customer_key is None:
            raise invalid_request(
                "The object was stored using a form of Server Side Encryption. The correct parameters must be "
                "provided to retrieve the object."
            )
        place = kept.get("P", bucket.id)
        try:
            secret = WrappingKey(customer_key, _LABEL).unwrap(b64decode(kept["W"]), "s3 data key", place, key)
        except Tampered:
            raise access_denied() from None
        return ObjectKeys((secret,), place, key)
    if customer_key is not None:
        raise invalid_request("The encryption parameters are not applicable to this object.")
    if algorithm == S3_KEYS:
        return ObjectKeys((b64decode(kept["K"]),), bucket.id, key)
    from casemate.services.s3.bucket_keys import open_data_key

    secret = call.once(_opening(kept), lambda: open_data_key(call, bucket, key, kept))
    if algorithm == KMS_KEYS:
        return ObjectKeys((secret,), bucket.id, key)
    return ObjectKeys((secret, b64decode(kept["K"])), bucket.id, key)


def _opening(kept: Mapping[str, Any]) -> str:
    """What tells the opening of a data key from that of others: when the request starts again, the object may be
    another version, with another key."""
    return f"s3 data key opened {kept.get('D') or kept.get('R') or kept['B']}"


def rewrapped(call: Call, bucket: Bucket, row: ObjectRow, how: Wanted) -> dict[str, Any]:
    """What is kept of the same data key under another KMS key. row: of SSE-S3 or SSE-KMS. Raises AwsError."""
    from casemate.services.s3.bucket_keys import data_key, open_data_key

    key, kept = row.key, row.about["Encryption"]
    if kept["A"] == S3_KEYS:
        secret = b64decode(kept["K"])
    else:
        secret = call.once(_opening(kept), lambda: open_data_key(call, bucket, key, kept))
    given = call.once(f"s3 data key {row.version}", lambda: data_key(call, bucket, key, how, secret))
    changed: dict[str, Any] = {"A": KMS_KEYS, "N": given.key_arn, **given.kept}
    if how.context:
        changed["C"] = dict(how.context)
    return changed


def shown(kept: Mapping[str, Any]) -> dict[str, Any]:
    """What answers say of it."""
    algorithm = kept["A"]
    if algorithm == CUSTOMER_KEYS:
        return {"SSECustomerAlgorithm": "AES256", "SSECustomerKeyMD5": kept["M"]}
    if algorithm == S3_KEYS:
        return {"ServerSideEncryption": algorithm}
    answer = {"ServerSideEncryption": algorithm, "SSEKMSKeyId": kept["N"]}
    if "D" in kept:
        answer["BucketKeyEnabled"] = True
    return answer


def etag_is_md5(kept: Mapping[str, Any]) -> bool:
    """Whether the ETag is the content's MD5. Source: "Object" (ETag) of the API reference."""
    return bool(kept["A"] == S3_KEYS)


def _text(value: bytes) -> str:
    return b64encode(value).decode()
