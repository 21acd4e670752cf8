"""Digest files: which log files there are of an hour, each digest signed and bound to the one before.

Source: "CloudTrail digest file structure", "Custom implementations of CloudTrail log file integrity validation".
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from hashlib import md5, sha256
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

ALGORITHM = "SHA256withRSA"


class LogFile(NamedTuple):
    """A log file as it was delivered. digest: SHA-256 of its content, not compressed, in hex; oldest, newest: its
    events' times, "2026-11-25T10:00:00Z"."""

    bucket: str
    key: str
    digest: str
    oldest: str
    newest: str


class Previous(NamedTuple):
    """The digest file before. digest: SHA-256 of its content; signature: in hex."""

    bucket: str
    key: str
    digest: str
    signature: str


class Digest(NamedTuple):
    """A digest file. content: not compressed; signature: in hex."""

    content: bytes
    digest: str
    signature: str


def made(
    account: str,
    bucket: str,
    key: str,
    start: float,
    end: float,
    files: Sequence[LogFile],
    previous: Previous | None,
    signer: RSAPrivateKey,
) -> Digest:
    """The digest file of the time from start to end. previous: None where a chain begins."""
    ended = _iso(end)
    document: dict[str, Any] = {
        "awsAccountId": account,
        "digestStartTime": _iso(start),
        "digestEndTime": ended,
        "digestS3Bucket": bucket,
        "digestS3Object": key,
        "digestPublicKeyFingerprint": fingerprint(public_key(signer)),
        "digestSignatureAlgorithm": ALGORITHM,
        "newestEventTime": max((each.newest for each in files), default=None),
        "oldestEventTime": min((each.oldest for each in files), default=None),
        "previousDigestS3Bucket": previous and previous.bucket,
        "previousDigestS3Object": previous and previous.key,
        "previousDigestHashValue": previous and previous.digest,
        "previousDigestHashAlgorithm": previous and "SHA-256",
        "previousDigestSignature": previous and previous.signature,
        "logFiles": [
            {
                "s3Bucket": each.bucket,
                "s3Object": each.key,
                "hashValue": each.digest,
                "hashAlgorithm": "SHA-256",
                "newestEventTime": each.newest,
                "oldestEventTime": each.oldest,
            }
            for each in files
        ],
    }
    content = json.dumps(document).encode()
    digest = sha256(content).hexdigest()
    before = previous.signature if previous else "null"
    return Digest(content, digest, _signed(signer, f"{ended}\n{bucket}/{key}\n{digest}\n{before}"))


def _signed(signer: RSAPrivateKey, text: str) -> str:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    return signer.sign(text.encode(), PKCS1v15(), SHA256()).hex()


def public_key(signer: RSAPrivateKey) -> bytes:
    """The key that verifies: PKCS #1, DER."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return signer.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)


def fingerprint(public: bytes) -> str:
    """What a public key is known by, 32 hexadecimal digits."""
    return md5(public, usedforsecurity=False).hexdigest()


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
