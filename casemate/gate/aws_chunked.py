"""Bodies framed in aws-chunked, decoded and checked piece by piece, without I/O.

Source: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks" and "…
Including Trailing Headers (Chunked Upload)" (Amazon S3 API reference). A body is chunks of
``size-in-hex[;chunk-signature=…] CRLF data CRLF``, ended by one of size 0, then trailers as announced in
``x-amz-trailer`` and, where chunks are signed, ``x-amz-trailer-signature``. Each signature covers the one
before it, the first one the signature of the head.
"""

from __future__ import annotations

import hmac
import re
from binascii import hexlify
from collections.abc import Mapping
from hashlib import sha256

from casemate.errors import AwsError
from casemate.gate.auth_errors import auth_error, shown
from casemate.gate.claim import Claim
from casemate.gate.signature import EMPTY_HASH, Payload, SigningKey, signing_key

MIN_CHUNK = 8192
"""Bytes that every chunk but the last must have at least."""

MAX_TRAILER = 16_384
"""Bytes that all trailers together may have."""

_MAX_HEADER = 128
_SIGNED_HEADER = re.compile(rb"([0-9A-Fa-f]{1,16});chunk-signature=([0-9a-f]{64})\Z").match
_PLAIN_HEADER = re.compile(rb"([0-9A-Fa-f]{1,16})\Z").match
_DIGITS = re.compile(rb"[0-9]{1,18}\Z").match
_CHECKSUM = re.compile(rb"x-amz-checksum-[a-z0-9]{1,32}\Z").match
_TRAILER_SIGNATURE = b"x-amz-trailer-signature"

_HEADER, _DATA, _DATA_END, _TRAILER, _FAILED = range(5)


class ChunkDecoder:
    """Feed it the body as it comes; it gives the payload's pieces as views of what it was fed (no copies).

    A piece is handed out before its chunk's signature was seen: nothing may be kept for good until ``finish``
    has returned. After an error the decoder takes nothing more.
    """

    __slots__ = ("_announced", "_chain", "_held", "_left", "_rest", "_size", "_state")

    def __init__(self, size: int, announced: frozenset[bytes] | None, chain: ChunkChain | None) -> None:
        """size: the payload's bytes (x-amz-decoded-content-length); announced: the names in x-amz-trailer,
        None where the form has no trailers; chain: the signatures' chain, None where chunks are unsigned."""
        self._announced = announced
        self._chain = chain
        self._rest = size  # of the payload, beyond the chunks that were begun
        self._size = 0  # of the chunk begun last
        self._left = 0  # of it, still to come
        self._held = bytearray()  # of a header line, of the CRLF after data, or of the trailers
        self._state = _HEADER

    def feed(self, data: bytes | memoryview) -> list[memoryview]:
        """The next bytes of the body; the payload in them. Raises AwsError (400 or 403)."""
        view = memoryview(data)
        pieces: list[memoryview] = []
        try:
            while view:
                view = self._step(view, pieces)
        except AwsError:
            self._state = _FAILED
            raise
        return pieces

    def finish(self) -> dict[str, str]:
        """The body has ended: check that it is whole, and return its trailers (lower-case names)."""
        try:
            if self._state != _TRAILER:
                raise _incomplete()
            return self._read_trailers()
        except AwsError:
            self._state = _FAILED
            raise

    def _step(self, view: memoryview, pieces: list[memoryview]) -> memoryview:
        if self._state == _DATA:
            piece = view[: self._left]
            if self._chain is not None:
                self._chain.update(piece)
            pieces.append(piece)
            self._left -= len(piece)
            if not self._left:
                if self._chain is not None:
                    self._chain.close_chunk()
                self._state = _DATA_END
            return view[len(piece) :]
        if self._state == _HEADER:
            return self._read_header(view)
        if self._state == _DATA_END:
            taken = 2 - len(self._held)
            self._held += view[:taken]
            if not b"\r\n".startswith(self._held):
                raise _incomplete()
            if len(self._held) == 2:
                self._held.clear()
                self._state = _HEADER
            return view[taken:]
        if self._state == _TRAILER:
            if len(self._held) + len(view) > MAX_TRAILER:
                raise _malformed_trailer()
            self._held += view
            return view[:0]
        raise _incomplete()

    def _read_header(self, view: memoryview) -> memoryview:
        start = len(self._held)
        self._held += view[: _MAX_HEADER - start]
        end = self._held.find(b"\r\n", max(start - 1, 0))
        if end < 0:
            if len(self._held) >= _MAX_HEADER:
                raise _incomplete()
            return view[len(self._held) - start :]
        line = bytes(self._held[:end])
        self._held.clear()
        match = (_PLAIN_HEADER if self._chain is None else _SIGNED_HEADER)(line)
        if match is None:
            raise _incomplete()
        size = int(match[1], 16)
        if self._chain is not None:
            self._chain.open_chunk(match[2])
        if size > self._rest or (size == 0 and self._rest):
            raise _incomplete()
        if size == 0:
            if self._chain is not None:
                self._chain.close_chunk()
            self._state = _TRAILER
        else:
            if 0 < self._size < MIN_CHUNK:
                raise AwsError(
                    "InvalidChunkSizeError",
                    f"Only the last chunk is allowed to have a size less than {MIN_CHUNK} bytes",
                    403,
                    BadChunkSize=str(self._size),
                )
            self._size = size
            self._rest -= size
            self._left = size
            self._state = _DATA
        return view[end + 2 - start :]

    def _read_trailers(self) -> dict[str, str]:
        # Clients end a trailer's line with LF or CRLF, and leave an empty line before its signature or not;
        # the body's end is known, so that neither can hide anything.
        lines = [line for line in bytes(self._held).replace(b"\r\n", b"\n").split(b"\n") if line]
        if self._announced is None:
            if lines:
                raise _malformed_trailer()
            return {}
        trailers: dict[bytes, bytes] = {}
        signature = b""
        for line in lines:
            name, colon, value = line.partition(b":")
            name, value = name.strip(b" \t").lower(), value.strip(b" \t")
            if not colon or signature or name in trailers or not value.isascii():
                raise _malformed_trailer()
            if name == _TRAILER_SIGNATURE and self._chain is not None:
                signature = value
            else:
                trailers[name] = value
        if trailers.keys() != self._announced:
            raise _malformed_trailer()
        if self._chain is not None and trailers:
            if not signature:
                raise _malformed_trailer()
            text = b"".join([name + b":" + value + b"\n" for name, value in trailers.items()])
            self._chain.check_trailer(text, signature)
        elif signature:
            raise _malformed_trailer()
        return {name.decode(): value.decode() for name, value in trailers.items()}


class ChunkChain:
    """The signatures of a body's chunks, each over its data and the signature before it."""

    __slots__ = ("_claim", "_expected", "_hash", "_key", "_last", "_prefix")

    def __init__(self, claim: Claim, key: SigningKey) -> None:
        self._claim = claim
        self._key = key
        self._last = claim.signature
        self._expected = b""
        self._prefix = b"\n%b\n%b\n" % (claim.timestamp, claim.scope.text)
        self._hash = sha256()

    def open_chunk(self, signature: bytes) -> None:
        """A chunk begins that is to have this signature."""
        self._expected = signature
        self._hash = sha256()

    def update(self, data: memoryview) -> None:
        self._hash.update(data)

    def close_chunk(self) -> None:
        """The chunk's data is all there: check it."""
        digest = hexlify(self._hash.digest())
        self._check(b"AWS4-HMAC-SHA256-PAYLOAD", EMPTY_HASH + b"\n" + digest, self._expected)

    def check_trailer(self, text: bytes, signature: bytes) -> None:
        """text: the trailers as ``name:value LF``, in their order."""
        self._check(b"AWS4-HMAC-SHA256-TRAILER", hexlify(sha256(text).digest()), signature)

    def _check(self, algorithm: bytes, digest: bytes, signature: bytes) -> None:
        to_sign = algorithm + self._prefix + self._last + b"\n" + digest
        if not hmac.compare_digest(self._key.sign(to_sign), signature):
            raise auth_error(
                "s3",
                "signature-mismatch",
                AWSAccessKeyId=self._claim.scope.access_key_id,
                StringToSign=to_sign.decode("ascii", "replace"),
                SignatureProvided=shown(signature),
            )
        self._last = signature


def chunk_decoder(
    payload: Payload, headers: Mapping[bytes, bytes], claim: Claim | None, secret: str
) -> tuple[ChunkDecoder, int]:
    """The decoder for a body whose ``payload.kind`` is a streaming form, and its payload's size in bytes.

    claim: verified with secret; None for an anonymous request, whose chunks cannot be signed. Raises AwsError
    when the head lacks what the form needs (x-amz-decoded-content-length, x-amz-trailer).
    """
    length = headers.get(b"x-amz-decoded-content-length", b"")
    if not _DIGITS(length):
        raise AwsError("MissingContentLength", "You must provide the Content-Length HTTP header.", 411)
    size = int(length)
    announced: frozenset[bytes] | None = None
    if payload.kind != "chunks":
        names = [name.strip().lower() for name in headers.get(b"x-amz-trailer", b"").split(b",")]
        announced = frozenset(filter(None, names))
        if not all(map(_CHECKSUM, announced)):
            raise AwsError(
                "InvalidRequest", "The value specified in the x-amz-trailer header is not supported", 400
            )
    if payload.kind == "unsigned-trailer":
        return ChunkDecoder(size, announced, None), size
    if claim is None:
        raise auth_error("s3", "invalid-content-sha256", ArgumentName="x-amz-content-sha256")
    return ChunkDecoder(size, announced, ChunkChain(claim, signing_key(claim.scope, secret))), size


def _incomplete() -> AwsError:
    return AwsError("IncompleteBody", "The request body terminated unexpectedly", 400)


def _malformed_trailer() -> AwsError:
    return AwsError(
        "MalformedTrailerError",
        "The request contained trailing data that was not well-formed or did not conform to our published "
        "schema.",
        400,
    )
