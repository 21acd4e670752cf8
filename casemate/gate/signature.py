"""Signature Version 4, verified from the raw request.

The order for the gate: ``read_claim`` (casemate/gate/claim.py) → find the service and the key →
``check_scope`` → ``payload_of`` → ``verify``, before the body is read if the payload's hash is declared,
else with ``body_hash(body)`` → ``check_body`` once the body is there, or a decoder from
casemate/gate/aws_chunked.py.

Source: "Signing AWS API requests" (IAM user guide), "Authenticating Requests (AWS Signature Version 4)"
(Amazon S3 API reference). Time is the machine's own, seconds since the epoch.
"""

from __future__ import annotations

import hmac
import re
from binascii import hexlify
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from casemate.gate.auth_errors import Family, auth_error, iso_basic, iso_extended, shown
from casemate.gate.canonical import canonical_query, collapse, normal_path, query_pairs, s3_path
from casemate.gate.claim import Claim, Scope, remember, unsigned_headers

if TYPE_CHECKING:
    from hashlib import _Hash

SKEW = 900
"""Seconds by which a client's clock may be off, both ways."""

EMPTY_HASH: Final = sha256().hexdigest().encode()
UNSIGNED: Final = b"UNSIGNED-PAYLOAD"

_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))
_TAB, _SPACE = b"\t "
_HEX_HASH = re.compile(rb"[0-9a-f]{64}\Z").match


# --- the signing key


class SigningKey:
    """A day's signing key for one region and service, as the two hash states HMAC begins with: copying them
    is twice as fast as keying anew (0.9 µs against 2.0). Never printed."""

    __slots__ = ("inner", "outer", "secret")

    def __init__(self, secret: str, scope: Scope) -> None:
        self.secret = secret
        key = b"AWS4" + secret.encode()
        for part in (scope.date, scope.region, scope.service, scope.terminator):
            key = hmac.digest(key, part.encode(), "sha256")
        padded = key.ljust(64, b"\0")
        self.inner: _Hash = sha256(padded.translate(_INNER_PAD))
        self.outer: _Hash = sha256(padded.translate(_OUTER_PAD))

    def sign(self, message: bytes) -> bytes:
        """The signature of a string to sign, in hex."""
        inner = self.inner.copy()
        inner.update(message)
        outer = self.outer.copy()
        outer.update(inner.digest())
        return hexlify(outer.digest())

    def __repr__(self) -> str:
        return "SigningKey(…)"


def signing_key(scope: Scope, secret: str) -> SigningKey:
    """The scope's signing key for this secret; derived again when the secret is another than last time."""
    key = scope.key
    if key is None or key.secret != secret:
        key = scope.key = SigningKey(secret, scope)
    return key


# --- the payload


class Payload(NamedTuple):
    """What the claim says of the body.

    kind: "body" (nothing is declared: hash the whole body, then verify), "hash" (declared: verify the head,
    then hold the body against it), "unsigned", or one of the streaming forms, whose body is framed in
    aws-chunked. declared: the last line of the canonical request; None for "body".
    """

    kind: Literal["body", "hash", "unsigned", "chunks", "chunks-trailer", "unsigned-trailer"]
    declared: bytes | None


_BODY: Final = Payload("body", None)
_NAMED: Final[dict[bytes, Payload]] = {
    UNSIGNED: Payload("unsigned", UNSIGNED),
    b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD": Payload("chunks", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
    b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": Payload(
        "chunks-trailer", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    ),
    b"STREAMING-UNSIGNED-PAYLOAD-TRAILER": Payload("unsigned-trailer", b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
}


def payload_of(
    claim: Claim | None, family: Family, headers: Mapping[bytes, bytes], *, unsigned_allowed: bool = False
) -> Payload:
    """How the body is signed, from the head alone.

    S3 takes every form, and needs the header where the Authorization header is used; a presigned URL's
    payload is unsigned unless it says otherwise. Other services take a hash or nothing, and an unsigned
    payload only for operations modelled as ``v4-unsigned-body`` (``unsigned_allowed``). claim: None for an
    anonymous request, whose body may still be declared.
    """
    s3 = family == "s3" if claim is None else claim.s3
    declared = headers.get(b"x-amz-content-sha256")
    if declared is None and claim is not None and claim.presigned is not None:
        declared = dict(claim.presigned.pairs).get(b"X-Amz-Content-Sha256")
    if declared is None:
        if not s3:
            return _BODY
        if claim is not None and claim.presigned is None:
            raise auth_error(family, "missing-content-sha256")
        return _NAMED[UNSIGNED]
    if _HEX_HASH(declared):
        return Payload("hash", declared)
    payload = _NAMED.get(declared)
    if payload is None or not (s3 or (unsigned_allowed and payload.kind == "unsigned")):
        raise auth_error(family, "invalid-content-sha256", ArgumentName="x-amz-content-sha256")
    return payload


def body_hash(body: bytes | memoryview) -> bytes:
    """What ``verify`` needs where the payload is "body"."""
    return hexlify(sha256(body).digest())


def check_body(family: Family, payload: Payload, computed: bytes) -> None:
    """Hold the body's computed hash (hex) against the declared one; only "hash" declares one."""
    if payload.kind == "hash" and payload.declared != computed:
        raise auth_error(
            family,
            "content-sha256-mismatch",
            ClientComputedContentSHA256=(payload.declared or b"").decode(),
            S3ComputedContentSHA256=computed.decode(),
        )


# --- the checks


def check_scope(claim: Claim, family: Family, service: str, regions: Collection[str]) -> None:
    """Refuse a credential scoped to another service than the one addressed, or to no region of ours.

    service: the addressed service's signing name; regions: those served (for S3, the bucket's own alone).
    """
    scope = claim.scope
    presigned = claim.form == "query"
    if scope.service != service:
        raise auth_error(
            family, "scope-service", presigned=presigned, service=service, given_service=scope.service
        )
    if scope.region not in regions:
        expected = min(regions, default="")
        raise auth_error(
            family, "scope-region", presigned=presigned, given_region=scope.region, Region=expected
        )


def verify(
    claim: Claim,
    secret: str,
    family: Family,
    method: str,
    path: bytes,
    query: bytes,
    headers: Mapping[bytes, bytes],
    payload: bytes,
    now: float,
) -> None:
    """Return if the request was signed with this secret, for this moment; else raise AwsError.

    path and query: raw, as they came; headers: lower-case names, trimmed values, repeated ones joined by
    commas; payload: the canonical request's last line (``payload_of(…).declared`` or ``body_hash(body)``);
    now: the machine's time.
    """
    scope = claim.scope
    if claim.presigned is None:
        if not -SKEW <= claim.epoch - now <= SKEW:
            raise _skewed(claim, family, now)
    else:
        from casemate.gate.presigned import check_lifetime

        check_lifetime(claim, family, now)
    timestamp = claim.timestamp
    if not timestamp.startswith(scope.day):
        raise auth_error(
            family,
            "scope-date",
            presigned=claim.form == "query",
            scope_date=scope.date,
            day=timestamp[:8].decode(),
            date=timestamp.decode(),
        )
    if b"host" not in scope.signed_names or not scope.covered.issuperset(headers):
        missing = unsigned_headers(scope, headers)
        if missing:
            raise auth_error(
                family,
                "unsigned-host" if missing == [b"host"] else "unsigned-headers",
                header=shown(missing[0]),
                HeadersNotSigned=", ".join(map(shown, missing)),
            )
    request = canonical_request(claim, method, path, query, headers, payload)
    to_sign = scope.to_sign % (timestamp, hexlify(sha256(request).digest()))
    key = scope.key
    if key is None or key.secret != secret:
        key = signing_key(scope, secret)
    if not hmac.compare_digest(key.sign(to_sign), claim.signature):
        raise auth_error(
            family,
            "signature-mismatch",
            AWSAccessKeyId=scope.access_key_id,
            StringToSign=to_sign.decode(),
            SignatureProvided=shown(claim.signature),
        )
    if claim.prefix:
        remember(claim.prefix, scope)


class Proven:
    """A signature that was verified, kept for the next ones that differ in their payload only: by the same key, in
    the same second, with the same values of the signed headers. Holds the hashes' states after what is the same."""

    __slots__ = ("_epoch", "_inner", "_outer", "_request", "_scope", "_values")

    def __init__(self, claim: Claim, secret: str, request: bytes, values: tuple[bytes, ...]) -> None:
        """claim: verified with the secret; request: the canonical request without the payload's hash, which ends it;
        values: of the signed headers."""
        scope = self._scope = claim.scope
        self._epoch = claim.epoch
        self._values = values
        self._request = sha256(request)
        key = signing_key(scope, secret)
        self._inner = key.inner.copy()
        self._inner.update(scope.to_sign % (claim.timestamp, b""))
        self._outer = key.outer

    def proves(self, signature: bytes, headers: Mapping[bytes, bytes], body: bytes, now: float) -> bool:
        """Whether that is the signature of such a request with this body. Of one that it is not, ``verify`` tells
        what is wrong with it, if anything is."""
        scope = self._scope
        try:
            if scope.values(headers) != self._values:
                return False
        except KeyError:
            return False
        if not -SKEW <= self._epoch - now <= SKEW or not scope.covered.issuperset(headers):
            return False
        request = self._request.copy()
        request.update(hexlify(sha256(body).digest()))
        inner = self._inner.copy()
        inner.update(hexlify(request.digest()))
        outer = self._outer.copy()
        outer.update(inner.digest())
        return hmac.compare_digest(hexlify(outer.digest()), signature)

    def __repr__(self) -> str:
        return f"Proven({self._scope!r})"


def proven(
    claim: Claim, secret: str, method: str, path: bytes, query: bytes, headers: Mapping[bytes, bytes]
) -> Proven | None:
    """What is to be kept of a claim that was verified with this secret. None where that is nothing: it is for
    long-term keys, and for bodies whose hash the head does not declare."""
    scope = claim.scope
    if claim.session_token is not None or claim.presigned is not None or b"x-amz-content-sha256" in headers:
        return None
    if b"x-amz-date" not in scope.signed_names or not scope.signed_names.issubset(headers):
        return None
    request = canonical_request(claim, method, path, query, headers, b"")
    return Proven(claim, secret, request, scope.values(headers))


def canonical_request(
    claim: Claim, method: str, path: bytes, query: bytes, headers: Mapping[bytes, bytes], payload: bytes
) -> bytes:
    """The canonical request that the client should have signed."""
    scope = claim.scope
    try:
        values = scope.values(headers)
    except KeyError:
        # A header that was signed and is not there: as if it were empty, so that the signature decides.
        values = tuple([headers.get(name, b"") for name in scope.signed.split(b";")])
    if method == "POST" and path == b"/" and not query:
        request = scope.plain_post % (*values, payload)
        # Searching a byte by its number is five times as fast as searching a string of one byte.
        if _TAB not in request and (_SPACE not in request or b"  " not in request):
            return request
    if claim.presigned is not None:
        query = canonical_query(claim.presigned.pairs)
    elif query:
        query = canonical_query(query_pairs(query))
    return b"%b\n%b\n%b\n%b" % (
        method.encode("latin-1", "replace"),
        s3_path(path) if claim.s3 else normal_path(path),
        query,
        scope.template % (*map(collapse, values), payload),
    )


def _skewed(claim: Claim, family: Family, now: float) -> Exception:
    early = claim.epoch > now
    return auth_error(
        family,
        "not-yet-current" if early else "expired",
        date=claim.timestamp.decode(),
        now=iso_basic(now),
        bound=iso_basic(now + SKEW if early else now - SKEW),
        window=SKEW // 60,
        RequestTime=claim.timestamp.decode(),
        ServerTime=iso_extended(now),
        MaxAllowedSkewMilliseconds=str(SKEW * 1000),
    )
