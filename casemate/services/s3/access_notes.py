"""What the audit notes of requests to buckets whose access is logged, beyond what it records of all: the parts of a
line that nothing else tells. Source: "Amazon S3 server access log format", "Amazon S3 CloudTrail events".
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from orjson import dumps

from casemate.wire.rest_xml_protocol import host_id

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.services.s3.resources import Bucket

LOG_SERVICE = "logging.s3.amazonaws.com"
"""The principal that delivers logs, whose own requests are in none: each delivery would cause the next."""

_LONGEST = 4096
_SECRET = re.compile(rb"x-amz-(?:signature|security-token|credential|[a-z-]*customer-key)")
_SENDING = frozenset({"PutObject", "UploadPart"})


class AccessNote:
    """Of one call. buckets: those that it is to be logged for, by id and whether it copies from it; acl_required: a
    list let it, and no policy did."""

    __slots__ = ("acl_required", "buckets")

    def __init__(self) -> None:
        self.buckets: dict[tuple[str, bool], Bucket] = {}
        self.acl_required = False

    def __call__(self, call: Call, status: int, sent: int) -> bytes:
        """What the audit shows besides (additionalEventData), as JSON. sent: bytes of the answer's body."""
        exchange, headers = call.exchange, call.exchange.headers
        uri = exchange.path
        if exchange.query:
            uri += b"?" + _without_secrets(exchange.query)
        if exchange.method == "HEAD":
            sent = 0
        claim = None if call.signed is None else call.signed.claim
        passed = int((time.perf_counter() - call.started) * 1000)
        received = headers.get(b"x-amz-decoded-content-length") or headers.get(b"content-length", b"0")
        told: dict[str, Any] = {
            "bytesTransferredIn": int(received) if received.isdigit() and len(received) < 16 else 0,
            "bytesTransferredOut": sent,
            "x-amz-id-2": host_id(call.request_id),
        }
        if claim is not None:
            told["SignatureVersion"] = "SigV4"
            told["AuthenticationMethod"] = "AuthHeader" if claim.form == "header" else "QueryString"
        if exchange.tls is not None:
            told["CipherSuite"] = exchange.tls.cipher
        told["accessLog"] = {
            "buckets": [
                [each.name, each.id, each.account, copied] for (_, copied), each in self.buckets.items()
            ],
            # Whom the record of the bucket's account does not tell, where that is another one.
            "requester": call.identity.principal.arn,
            "request": f"{exchange.method} {uri[:_LONGEST].decode('latin-1')} HTTP/1.1",
            "status": status,
            "size": self._size(call, told["bytesTransferredIn"]),
            "milliseconds": passed,
            "referer": headers.get(b"referer", b"")[:_LONGEST].decode("latin-1"),
            "host": headers.get(b"host", b"").decode("latin-1"),
            "key": call.request.get("Key", ""),
            "source": call.request.get("CopySource", ""),
            "version": call.request.get("VersionId", ""),
            "acl": self.acl_required,
            "point": next((each.point.arn for each in self.buckets.values() if each.point), ""),
        }
        return dumps(told)

    def _size(self, call: Call, received: int) -> int | None:
        """Of the object that was asked for or sent."""
        assert call.route is not None
        if call.route.operation.name in _SENDING:
            return received
        row = next((row for each in call.resources if (row := getattr(each, "row", None))), None)
        size: int | None = getattr(row, "size", None)
        return size


def _without_secrets(query: bytes) -> bytes:
    """Without what a presigned URL can be used by, or an object be read with."""
    shown = []
    for part in query.split(b"&"):
        name, equals, value = part.partition(b"=")
        secret = _SECRET.fullmatch(unquote_to_bytes(name).lower())
        shown.append(name + equals + (value if secret is None else b"REDACTED"))
    return b"&".join(shown)


def note(call: Call, bucket: Bucket, *, copied: bool = False) -> None:
    """Have the call noted, for that bucket too. copied: it copies from it."""
    if call.service == LOG_SERVICE:
        return
    noting = call.noting
    if not isinstance(noting, AccessNote):
        noting = call.noting = AccessNote()
    noting.buckets[bucket.id, copied] = bucket
