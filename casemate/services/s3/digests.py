"""Digests of a document that configures something: Content-MD5 and x-amz-checksum-*, in headers or behind the body.
Source: "Checking object integrity in Amazon S3", "Error responses".
"""

from __future__ import annotations

from hashlib import md5
from typing import TYPE_CHECKING

from casemate.engine.checksums import checksum
from casemate.errors import AwsError
from casemate.services.s3.integrity import algorithm_named, decoded
from casemate.services.s3.refusals import invalid_request, not_supported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.gate.call import Call

_PREFIX = "x-amz-checksum-"
# Headers that begin like a checksum's, and say something else.
_OTHERS = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"})


def check_document(call: Call, *, required: bool) -> None:
    """Compare the body with the digests that the request gives of it. required: there must be one.

    Raises InvalidDigest, BadDigest, InvalidRequest; NotImplemented for an algorithm that is not served."""
    if call.via or call.service:
        # A service asks: there is no body, or another one.
        return
    given = call.headers.get(b"content-md5")
    document, checksums = _arrived(call)
    if given is not None:
        found = decoded(given.decode("latin-1"), "MD5")
        if found is None:
            raise AwsError("InvalidDigest", "The Content-MD5 you specified was invalid.", 400)
        if found != md5(document, usedforsecurity=False).digest():
            raise AwsError("BadDigest", "The Content-MD5 you specified did not match what we received.", 400)
    if len(checksums) > 1:
        raise invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    for name, value in checksums.items():
        _check(name, value, document)
    if required and given is None and not checksums:
        raise invalid_request("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")


def _arrived(call: Call) -> tuple[bytes, Mapping[str, str]]:
    """The document, out of its framing, and the checksums that are told of it, by the header's or trailer's name."""
    told = {name.decode("latin-1"): value.decode("latin-1") for name, value in call.headers.items()}
    document = call.exchange.body
    if call.signed is not None and call.signed.framed:
        body = call.body()
        document = body.whole()
        told |= body.trailers
    return document, {
        name: value for name, value in told.items() if name.startswith(_PREFIX) and name not in _OTHERS
    }


def _check(name: str, value: str, document: bytes) -> None:
    algorithm = algorithm_named(name)
    if algorithm is None:
        raise not_supported(f"The checksum {name.removeprefix(_PREFIX)}")
    expected = decoded(value, algorithm)
    if expected is None:
        raise invalid_request(f"Value for {name} header is invalid.")
    counted = checksum(algorithm)
    counted.update(document)
    if counted.digest() != expected:
        raise AwsError(
            "BadDigest", f"The {algorithm} you specified did not match the calculated checksum.", 400
        )
