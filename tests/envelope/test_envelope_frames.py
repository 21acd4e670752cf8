"""Framed bodies: round trips, ranged reads, and detection of every rearrangement."""

from __future__ import annotations

import os
import pickle
from itertools import permutations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.frames import (
    MAX_FRAMES,
    FrameReader,
    FrameWriter,
    frame_count,
    sealed_size,
    span,
)

KEY = bytes(range(32))


def seal(body: bytes, frame_bytes: int, key: bytes = KEY, aad: bytes = b"body") -> list[bytes]:
    writer = FrameWriter(key, aad)
    frames = frame_count(len(body), frame_bytes)
    return [
        writer.seal_frame(i, body[i * frame_bytes : (i + 1) * frame_bytes], i == frames - 1)
        for i in range(frames)
    ]


def unseal(frames: list[bytes], key: bytes = KEY, aad: bytes = b"body") -> bytes:
    reader = FrameReader(key, aad)
    return b"".join(reader.open_frame(i, frame, i == len(frames) - 1) for i, frame in enumerate(frames))


@given(st.binary(max_size=300), st.integers(1, 70))
def test_a_body_comes_back(body: bytes, frame_bytes: int) -> None:
    frames = seal(body, frame_bytes)
    assert unseal(frames) == body
    assert sum(map(len, frames)) == sealed_size(len(body), frame_bytes)


@given(st.data(), st.binary(max_size=300), st.integers(1, 70))
def test_any_range_opens_from_its_frames_alone(data: st.DataObject, body: bytes, frame_bytes: int) -> None:
    start = data.draw(st.integers(0, len(body)))
    length = data.draw(st.integers(0, len(body) - start))
    stored = b"".join(seal(body, frame_bytes))
    part = span(len(body), frame_bytes, start, length)
    sealed = stored[part.start : part.start + part.length]
    reader = FrameReader(KEY, b"body")
    opened = b""
    for index in range(part.first, part.first + part.frames):
        frame, sealed = sealed[: frame_bytes + 16], sealed[frame_bytes + 16 :]
        opened += reader.open_frame(index, frame, index == part.last)
    assert sealed == b"", "the span's length is exactly its frames"
    assert opened[part.skip : part.skip + length] == body[start : start + length]
    assert part.frames <= length // frame_bytes + 2, "no more frames than the range needs"


@pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, -1), (0, 11), (10, 1), (11, 0)])
def test_a_range_outside_the_body_is_refused(start: int, length: int) -> None:
    with pytest.raises(ValueError, match="not within"):
        span(10, 4, start, length)


def test_frames_in_another_order_are_refused() -> None:
    frames = seal(b"abcdefghij", 4)
    for order in permutations(range(3)):
        if order != (0, 1, 2):
            with pytest.raises(Tampered):
                unseal([frames[i] for i in order])


def test_a_body_that_lost_frames_is_refused() -> None:
    frames = seal(b"abcdefghijkl", 4)
    for cut in (frames[:1], frames[:2], frames[1:], [frames[0], frames[2]]):
        with pytest.raises(Tampered):
            unseal(cut)


def test_a_repeated_or_added_frame_is_refused() -> None:
    frames = seal(b"abcdefgh", 4)
    for grown in ([*frames, frames[-1]], [frames[0], *frames]):
        with pytest.raises(Tampered):
            unseal(grown)


def test_a_frame_of_another_body_is_refused() -> None:
    one, two = seal(b"abcdefgh", 4), seal(b"ABCDEFGH", 4, key=os.urandom(32))
    with pytest.raises(Tampered, match="frame 1 "):
        unseal([one[0], two[1]])
    with pytest.raises(Tampered):
        unseal(one, aad=b"another")


def test_every_flipped_bit_is_refused() -> None:
    (frame,) = seal(b"attack at dawn", 100)
    for bit in range(len(frame) * 8):
        changed = bytearray(frame)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Tampered):
            unseal([bytes(changed)])


def test_the_nonce_is_the_index_and_the_end() -> None:
    frames = seal(b"abcdefgh", 4)
    cipher = AESGCM(KEY)
    assert cipher.decrypt(bytes(12), frames[0], b"body") == b"abcd"
    assert cipher.decrypt(bytes(7) + b"\0\0\0\1\1", frames[1], b"body") == b"efgh"


def test_no_index_is_sealed_twice_or_out_of_turn() -> None:
    writer = FrameWriter(KEY, b"")
    with pytest.raises(ValueError, match="out of turn"):
        writer.seal_frame(1, b"")
    writer.seal_frame(0, b"")
    with pytest.raises(ValueError, match="out of turn"):
        writer.seal_frame(0, b"")
    writer.seal_frame(1, b"", last=True)
    with pytest.raises(ValueError, match="out of turn"):
        writer.seal_frame(2, b"")


def test_a_body_does_not_go_on_after_its_last_frame_or_the_last_index() -> None:
    writer = FrameWriter(KEY, b"")
    writer.seal_frame(0, b"", last=True)
    with pytest.raises(ValueError, match="out of turn"):
        writer.seal_frame(MAX_FRAMES, b"")
    for index in (-1, MAX_FRAMES):
        with pytest.raises(Tampered):
            FrameReader(KEY, b"").open_frame(index, bytes(16))


def test_a_key_of_another_length_is_refused() -> None:
    for kind in (FrameReader, FrameWriter):
        with pytest.raises(ValueError, match="32 bytes"):
            kind(bytes(16), b"")


def test_neither_side_shows_or_pickles_its_key() -> None:
    for holder in (FrameReader(KEY, b""), FrameWriter(KEY, b"")):
        assert repr(holder) in ("<FrameReader>", "<FrameWriter>")
        with pytest.raises(TypeError, match="holds a key"):
            pickle.dumps(holder)
