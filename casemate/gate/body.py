"""A request's body as its client meant it: out of its framing, and held against what its signature declares."""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import NamedTuple

from casemate.errors import AwsError
from casemate.gate.auth_errors import Family
from casemate.gate.aws_chunked import ChunkDecoder, chunk_decoder
from casemate.gate.claim import Claim
from casemate.gate.signature import Payload, check_body

Piece = bytes | memoryview


class Signed(NamedTuple):
    """What is known of a body before it is read. claim: verified with secret; None of an anonymous request, whose
    secret is ''."""

    payload: Payload
    claim: Claim | None
    secret: str
    family: Family

    def __repr__(self) -> str:
        return f"<Signed {self.payload.kind}>"

    @property
    def framed(self) -> bool:
        """Whether the body is in aws-chunked."""
        return self.payload.kind not in ("body", "hash", "unsigned")


class Body:
    """A body to be read once, from any thread. size: its bytes, without framing; trailers: by lower-case name, once
    it has been read to its end.

    A piece is handed out before the body is known to be what was signed: nothing may be kept for good until the
    iterator has ended.
    """

    __slots__ = ("_decoder", "_hashed", "_signed", "_source", "size", "trailers")

    def __init__(
        self,
        source: Callable[[], Iterable[Piece]],
        headers: Mapping[bytes, bytes],
        signed: Signed,
        *,
        hashed: bool,
    ) -> None:
        """hashed: its hash was held against the declared one already. Raises AwsError for a head that does not say
        how long the body is."""
        self._source = source
        self._signed = signed
        self._hashed = hashed
        self._decoder: ChunkDecoder | None = None
        self.trailers: Mapping[str, str] = {}
        if signed.framed:
            self._decoder, self.size = chunk_decoder(signed.payload, headers, signed.claim, signed.secret)
        else:
            length = headers.get(b"content-length")
            if length is None and b"transfer-encoding" in headers:
                raise AwsError(
                    "MissingContentLength", "You must provide the Content-Length HTTP header.", 411
                )
            self.size = int(length or b"0")

    def __iter__(self) -> Iterator[Piece]:
        """Its pieces. Raises AwsError when it is not what was signed, or is not whole."""
        decoder = self._decoder
        if decoder is not None:
            for piece in self._source():
                yield from decoder.feed(piece)
            self.trailers = decoder.finish()
        elif self._hashed or self._signed.payload.kind != "hash":
            yield from self._source()
        else:
            digest = sha256()
            for piece in self._source():
                digest.update(piece)
                yield piece
            check_body(self._signed.family, self._signed.payload, hexlify(digest.digest()))

    def whole(self) -> bytes:
        """All of it, for bodies that are held anyway."""
        return b"".join(self)


def held_body(content: bytes) -> Body:
    """A body that no client sent: a service's own."""
    signed = Signed(Payload("unsigned", None), None, "", "s3")
    return Body(lambda: (content,), {b"content-length": b"%d" % len(content)}, signed, hashed=True)
