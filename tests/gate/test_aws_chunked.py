"""aws-chunked bodies: AWS's worked examples, round trips in every form, and each way to be wrong."""

from __future__ import annotations

import hmac
import re
import time
from hashlib import sha256
from io import BytesIO

import pytest
from botocore.httpchecksum import AwsChunkedWrapper, Sha256Checksum
from hypothesis import given, settings
from hypothesis import strategies as st
from signature_support import KEY_ID, SECRET, Request, check
from test_signature_vectors import seconds, signed_by

from casemate.errors import AwsError
from casemate.gate.aws_chunked import MAX_TRAILER, MIN_CHUNK, ChunkDecoder, chunk_decoder
from casemate.gate.claim import Claim, read_claim
from casemate.gate.signature import Payload, payload_of

SIGNED = b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"
NOW = seconds("20130524T000000Z")
DATA = b"a" * 66560

HEAD = {
    b"host": b"s3.amazonaws.com",
    b"x-amz-date": b"20130524T000000Z",
    b"x-amz-storage-class": b"REDUCED_REDUNDANCY",
    b"content-encoding": b"aws-chunked",
    b"x-amz-decoded-content-length": b"66560",
}
MANUAL = signed_by(
    Request(
        "PUT",
        b"/examplebucket/chunkObject.txt",
        b"",
        {**HEAD, b"x-amz-content-sha256": SIGNED, b"content-length": b"66824"},
    ),
    KEY_ID,
    "20130524/us-east-1/s3",
    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
)
MANUAL_CHUNKS = (
    (b"a" * 65536, b"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (b"a" * 1024, b"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (b"", b"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
)
TRAILER_MANUAL = signed_by(
    Request(
        "PUT",
        b"/examplebucket/chunkObject.txt",
        b"",
        {**HEAD, b"x-amz-content-sha256": SIGNED_TRAILER, b"x-amz-trailer": b"x-amz-checksum-crc32c"},
    ),
    KEY_ID,
    "20130524/us-east-1/s3",
    "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
)
TRAILER_CHUNKS = (
    (b"a" * 65536, b"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
    (b"a" * 1024, b"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
    (b"", b"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
)
TRAILER_TEXT = (
    b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
    b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
)


def framed(chunks: tuple[tuple[bytes, bytes], ...]) -> bytes:
    body = b""
    for data, signature in chunks:
        body += b"%x;chunk-signature=%b\r\n%b" % (len(data), signature, data + b"\r\n" if data else b"")
    return body


def verified(request: Request, now: float = NOW) -> tuple[Claim, Payload]:
    return check(request, "s3", now=now)


def decoder_of(request: Request) -> ChunkDecoder:
    claim, payload = verified(request)
    decoder, size = chunk_decoder(payload, request.headers, claim, SECRET)
    assert size == int(request.headers[b"x-amz-decoded-content-length"])
    return decoder


def decode(decoder: ChunkDecoder, body: bytes, step: int = 1 << 20) -> tuple[bytes, dict[str, str]]:
    pieces = [
        bytes(piece) for at in range(0, len(body), step) for piece in decoder.feed(body[at : at + step])
    ]
    return b"".join(pieces), decoder.finish()


class Signer:
    """An independent reading of the manual: signs chunks for any size."""

    def __init__(self, kind: bytes, size: int, trailers: dict[bytes, bytes] | None = None) -> None:
        key = b"AWS4" + SECRET.encode()
        for part in (b"20130524", b"us-east-1", b"s3", b"aws4_request"):
            key = hmac.new(key, part, sha256).digest()
        self.key = key
        self.trailers = trailers or {}
        headers = {**HEAD, b"x-amz-content-sha256": kind, b"x-amz-decoded-content-length": b"%d" % size}
        if trailers:
            headers[b"x-amz-trailer"] = b",".join(trailers)
        names = sorted(headers)
        canonical = b"PUT\n/b/k\n\n" + b"".join(name + b":" + headers[name] + b"\n" for name in names)
        canonical += b"\n" + b";".join(names) + b"\n" + kind
        self.last = self.mac(b"AWS4-HMAC-SHA256", None, sha256(canonical).hexdigest().encode())
        request = Request("PUT", b"/b/k", b"", headers)
        self.request = signed_by(request, KEY_ID, "20130524/us-east-1/s3", self.last.decode())

    def mac(self, algorithm: bytes, last: bytes | None, *rest: bytes) -> bytes:
        lines = [algorithm, b"20130524T000000Z", b"20130524/us-east-1/s3/aws4_request"]
        text = b"\n".join([*lines, *([] if last is None else [last]), *rest])
        return hmac.new(self.key, text, sha256).hexdigest().encode()

    def chunk(self, data: bytes) -> bytes:
        hashes = sha256().hexdigest().encode(), sha256(data).hexdigest().encode()
        self.last = self.mac(b"AWS4-HMAC-SHA256-PAYLOAD", self.last, *hashes)
        return framed(((data, self.last),))

    def end(self, newline: bytes = b"\r\n") -> bytes:
        if not self.trailers:
            return b"\r\n"
        text = b"".join(name + b":" + value + b"\n" for name, value in self.trailers.items())
        signature = self.mac(b"AWS4-HMAC-SHA256-TRAILER", self.last, sha256(text).hexdigest().encode())
        lines = text.replace(b"\n", newline) + b"x-amz-trailer-signature:" + signature
        return lines + b"\r\n\r\n"


@pytest.mark.parametrize("step", [1 << 20, 4096, 7, 1])
def test_manual_chunks(step: int) -> None:
    body = framed(MANUAL_CHUNKS) + b"\r\n"
    assert len(body) == 66824, "as the manual counts it"
    assert decode(decoder_of(MANUAL), body, step) == (DATA, {})


@pytest.mark.parametrize("step", [1 << 20, 4096, 7, 1])
def test_manual_trailer(step: int) -> None:
    body = framed(TRAILER_CHUNKS) + TRAILER_TEXT
    expected = (DATA, {"x-amz-checksum-crc32c": "sOO8/Q=="})
    assert decode(decoder_of(TRAILER_MANUAL), body, step) == expected


def test_pieces_are_views_of_what_was_fed() -> None:
    body = framed(MANUAL_CHUNKS)
    pieces = decoder_of(MANUAL).feed(body)
    assert [piece.obj is body for piece in pieces] == [True, True], "no copies of payload"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_round_trip_signed(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(MIN_CHUNK, MIN_CHUNK + 70), max_size=4)) + data.draw(
        st.lists(st.integers(1, MIN_CHUNK), max_size=1)
    )
    chunks = [bytes([index]) * size for index, size in enumerate(sizes)]
    trailers = data.draw(
        st.sampled_from([None, {b"x-amz-checksum-sha256": b"abc=", b"x-amz-checksum-crc32": b"AA=="}])
    )
    signer = Signer(SIGNED_TRAILER if trailers else SIGNED, sum(sizes), trailers)
    body = b"".join(map(signer.chunk, [*chunks, b""])) + signer.end(
        data.draw(st.sampled_from([b"\n", b"\r\n"]))
    )
    expected = {name.decode(): value.decode() for name, value in (trailers or {}).items()}
    step = data.draw(st.integers(1, 9000))
    assert decode(decoder_of(signer.request), body, step) == (b"".join(chunks), expected)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=40_000), st.integers(MIN_CHUNK, 20_000), st.integers(1, 50_000))
def test_round_trip_botocore_unsigned_trailer(data: bytes, chunk: int, step: int) -> None:
    wrapper = AwsChunkedWrapper(
        BytesIO(data), checksum_cls=Sha256Checksum, checksum_name="x-amz-checksum-sha256", chunk_size=chunk
    )
    decoder = ChunkDecoder(len(data), frozenset({b"x-amz-checksum-sha256"}), None)
    got, trailers = decode(decoder, wrapper.read(), step)
    assert got == data
    assert trailers.keys() == {"x-amz-checksum-sha256"}


def test_anonymous_unsigned_trailer() -> None:
    headers = {b"x-amz-content-sha256": UNSIGNED_TRAILER, b"x-amz-decoded-content-length": b"3"}
    assert read_claim("PUT", b"", headers) is None
    payload = payload_of(None, "s3", headers)
    decoder, _ = chunk_decoder(payload, headers, None, "")
    assert decode(decoder, b"3\r\nabc\r\n0\r\n\r\n") == (b"abc", {})


def test_anonymous_cannot_sign_chunks() -> None:
    headers = {b"x-amz-content-sha256": SIGNED, b"x-amz-decoded-content-length": b"3"}
    with pytest.raises(AwsError, match="InvalidArgument"):
        chunk_decoder(payload_of(None, "s3", headers), headers, None, "")


# --- refusals

UNSIGNED_BODY = b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n"


def refusal(decoder: ChunkDecoder, body: bytes, step: int = 1 << 20) -> AwsError:
    with pytest.raises(AwsError) as caught:
        decode(decoder, body, step)
    with pytest.raises(AwsError, match="IncompleteBody"):
        decoder.finish()
    return caught.value


def plain(size: int = 3) -> ChunkDecoder:
    return ChunkDecoder(size, frozenset({b"x-amz-checksum-crc32"}), None)


def test_the_unsigned_body_that_the_refusals_start_from_is_good() -> None:
    assert decode(plain(), UNSIGNED_BODY) == (b"abc", {"x-amz-checksum-crc32": "AAAA"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"3",
        b"3\r\nab",
        b"3\r\nabc",
        b"3\r\nabc\r\n",
        b"3\r\nabcd\r\n0\r\n",
        b"3\r\nabc\n0\r\n",
        b"3\nabc\r\n0\r\n",
        b"4\r\nabcd\r\n0\r\n",
        b"2\r\nab\r\n0\r\n",
        b"0\r\n",
        b"-3\r\nabc\r\n0\r\n",
        b"+3\r\nabc\r\n0\r\n",
        b"0x3\r\nabc\r\n0\r\n",
        b" 3\r\nabc\r\n0\r\n",
        b"g\r\nabc\r\n0\r\n",
        b"\r\nabc\r\n0\r\n",
        b"3;x=y\r\nabc\r\n0\r\n",
        b"00000000000000003\r\nabc\r\n0\r\n",
        b"ffffffffffffffff\r\nabc\r\n0\r\n",
        b"3;chunk-signature=" + b"0" * 64 + b"\r\nabc\r\n0\r\n",
        b"3" * 5000,
    ],
)
@pytest.mark.parametrize("step", [1 << 20, 1])
def test_malformed_framing(body: bytes, step: int) -> None:
    error = refusal(plain(), body, step)
    assert (error.code, error.status) == ("IncompleteBody", 400)


@pytest.mark.parametrize(
    "trailer",
    [
        b"",
        b"\r\n",
        b"x-amz-checksum-crc32\r\n\r\n",
        b"x-amz-checksum-crc32c:AAAA\r\n\r\n",
        b"x-amz-checksum-crc32:AAAA\r\nx-amz-checksum-crc32:AAAA\r\n\r\n",
        b"x-amz-checksum-crc32:AAAA\r\nx-amz-meta-a:b\r\n\r\n",
        b"x-amz-checksum-crc32:\xff\r\n\r\n",
        b"x-amz-checksum-crc32:AAAA\r\nx-amz-trailer-signature:" + b"0" * 64 + b"\r\n\r\n",
        b"x-amz-checksum-crc32:AAAA\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"x" * (MAX_TRAILER + 1),
    ],
)
def test_malformed_trailer(trailer: bytes) -> None:
    error = refusal(plain(), b"3\r\nabc\r\n0\r\n" + trailer)
    assert (error.code, error.status) == ("MalformedTrailerError", 400)


def test_trailing_data_after_signed_chunks() -> None:
    error = refusal(decoder_of(MANUAL), framed(MANUAL_CHUNKS) + b"\r\nx-amz-checksum-crc32:AAAA\r\n\r\n")
    assert error.code == "MalformedTrailerError"


def test_chunk_too_small() -> None:
    error = refusal(plain(MIN_CHUNK), b"1fff\r\n" + b"x" * 8191 + b"\r\n1\r\nx\r\n0\r\n\r\n")
    assert (error.code, error.status) == ("InvalidChunkSizeError", 403)
    assert error.message == "Only the last chunk is allowed to have a size less than 8192 bytes"


def test_missing_trailer_signature() -> None:
    body = framed(TRAILER_CHUNKS) + b"x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n"
    assert refusal(decoder_of(TRAILER_MANUAL), body).code == "MalformedTrailerError"


def test_changed_trailer() -> None:
    body = framed(TRAILER_CHUNKS) + TRAILER_TEXT.replace(b"sOO8", b"sOO9")
    error = refusal(decoder_of(TRAILER_MANUAL), body)
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)


@pytest.mark.parametrize("kind", [SIGNED, SIGNED_TRAILER])
def test_another_secret(kind: bytes) -> None:
    signer = Signer(kind, 0, {b"x-amz-checksum-crc32": b"AA=="} if kind == SIGNED_TRAILER else None)
    claim, payload = verified(signer.request)
    decoder, _ = chunk_decoder(payload, signer.request.headers, claim, "another")
    assert refusal(decoder, signer.chunk(b"") + signer.end()).code == "SignatureDoesNotMatch"


def test_chunks_cannot_be_reordered_or_replayed() -> None:
    signer = Signer(SIGNED, 3 * MIN_CHUNK)
    first, second, third = (signer.chunk(letter * MIN_CHUNK) for letter in (b"a", b"b", b"c"))
    end = signer.chunk(b"") + b"\r\n"
    assert decode(decoder_of(signer.request), first + second + third + end)[0][:1] == b"a"
    for body in (first + third + second + end, first + first + third + end, second + second + third + end):
        assert refusal(decoder_of(signer.request), body).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("kind", [SIGNED, SIGNED_TRAILER])
def test_every_changed_byte_is_refused(kind: bytes) -> None:
    trailers = {b"x-amz-checksum-crc32": b"AA=="} if kind == SIGNED_TRAILER else None
    signer = Signer(kind, 16, trailers)
    body = signer.chunk(b"sixteen bytes ok") + signer.chunk(b"") + signer.end()
    assert decode(decoder_of(signer.request), body)[0] == b"sixteen bytes ok"
    for at in range(len(body.rstrip(b"\r\n"))):
        changed = body[:at] + bytes([body[at] ^ 0x01]) + body[at + 1 :]
        with pytest.raises(AwsError):
            decode(decoder_of(signer.request), changed)
    for end in range(len(body.rstrip(b"\r\n"))):
        with pytest.raises(AwsError):
            decode(decoder_of(signer.request), body[:end])


@pytest.mark.parametrize("length", [None, b"", b"-1", b"1.5", b"x", b"9" * 19])
def test_missing_decoded_length(length: bytes | None) -> None:
    claim, payload = verified(MANUAL)
    headers = MANUAL.with_headers(x_amz_decoded_content_length=length).headers
    with pytest.raises(AwsError, match="MissingContentLength") as caught:
        chunk_decoder(payload, headers, claim, SECRET)
    assert caught.value.status == 411


@pytest.mark.parametrize(
    "name", [b"content-type", b"x-amz-meta-a", b"x-amz-checksum-", b"x-amz-checksum-a:b"]
)
def test_unsupported_trailer(name: bytes) -> None:
    claim, payload = verified(TRAILER_MANUAL)
    headers = TRAILER_MANUAL.with_headers(x_amz_trailer=name).headers
    with pytest.raises(AwsError, match="InvalidRequest: The value specified in the x-amz-trailer header"):
        chunk_decoder(payload, headers, claim, SECRET)


FRAGMENTS = st.sampled_from(
    [
        b"0",
        b"3",
        b"a",
        b"2000",
        b"\r\n",
        b"\n",
        b"\r",
        b";chunk-signature=",
        b"0" * 64,
        b"abc",
        b":",
        b"x" * 8192,
        b"x-amz-checksum-crc32",
        b"x-amz-trailer-signature",
        MANUAL_CHUNKS[0][1],
    ]
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(FRAGMENTS | st.binary(max_size=20), max_size=14).map(b"".join),
    st.integers(1, 200),
    st.sampled_from([MANUAL, TRAILER_MANUAL, None]),
    st.integers(0, 9000),
)
def test_fuzz(body: bytes, step: int, request: Request | None, size: int) -> None:
    decoder = plain(size) if request is None else decoder_of(request)
    try:
        data, _ = decode(decoder, body, step)
    except AwsError:
        return  # a refusal is what is expected; anything else fails the test
    assert request is None, "no random bytes are signed"
    assert len(data) == size
    assert re.match(rb"(?i)[0-9a-f]+\r\n", body)


def test_time_of_the_manual_is_over() -> None:
    with pytest.raises(AwsError, match="RequestTimeTooSkewed"):
        verified(MANUAL, time.time())
