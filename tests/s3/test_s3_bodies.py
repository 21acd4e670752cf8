"""Bodies as they are sealed and read: any range of them, and nothing that was altered."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.engine.checksums import ALGORITHMS, CYCLIC, checksum, combined, size_of
from casemate.engine.envelope.errors import Tampered
from casemate.services.s3 import bodies as module
from casemate.services.s3 import ciphers
from casemate.services.s3.bodies import Bodies
from casemate.services.s3.ciphers import ObjectKeys, Part
from casemate.store.blobs import open_blobs

FRAME, INLINE = 16, 40


@contextmanager
def small_frames() -> Iterator[None]:
    with (
        patch.object(ciphers, "FRAME_BYTES", FRAME),
        patch.object(module, "FRAME_BYTES", FRAME),
        patch.object(module, "INLINE", INLINE),
    ):
        yield


BODIES = Bodies(open_blobs("memory://"))


def cut(content: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted(cut % (len(content) + 1) for cut in cuts)
    return [content[start:end] for start, end in zip([0, *ends], [*ends, len(content)], strict=True)]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5), st.integers(1, 2), st.data())
def test_any_range_of_any_body(content: bytes, cuts: list[int], layers: int, data: st.DataObject) -> None:
    keys = ObjectKeys([os.urandom(32) for _ in range(layers)], "bucket", "key")
    parts: list[Part] = []
    counted = checksum("SHA256")
    with small_frames():
        for number, piece in enumerate(cut(content, cuts), 1):
            stored = BODIES.store(iter(cut(piece, cuts)), len(piece), keys.body(number), (counted,))
            assert (stored.data is None) == (len(piece) > INLINE)
            parts.append(Part(stored.id, stored.size, keys.body(number), stored.data))
        start = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, len(content) - start))
        assert b"".join(BODIES.read(parts, start, length)) == content[start : start + length]
    whole = checksum("SHA256")
    whole.update(content)
    assert counted.digest() == whole.digest()


@given(st.binary(min_size=1, max_size=100), st.data())
def test_what_was_altered_is_not_read(content: bytes, data: st.DataObject) -> None:
    keys = ObjectKeys([os.urandom(32)], "bucket", "key")
    with small_frames(), patch.object(module, "INLINE", 1000):
        stored = BODIES.store([content], len(content), keys.body(), ())
        assert stored.data is not None
        right = Part(stored.id, len(content), keys.body(), stored.data)
        assert b"".join(BODIES.read([right], 0, len(content))) == content
        at = data.draw(st.integers(0, len(stored.data) - 1))
        altered = bytearray(stored.data)
        altered[at] ^= 1 << data.draw(st.integers(0, 7))
        for wrong, body in (
            (bytes(altered), keys.body()),
            (stored.data[:-1], keys.body()),
            (stored.data, keys.body(1)),
            (stored.data, keys.body(0, b"salt")),
            (stored.data, ObjectKeys([os.urandom(32)], "bucket", "key").body()),
        ):
            with pytest.raises(Tampered):
                b"".join(BODIES.read([Part(stored.id, len(content), body, wrong)], 0, len(content)))


def test_frames_are_not_exchanged_and_none_is_cut_off() -> None:
    keys = ObjectKeys([os.urandom(32)], "bucket", "key")
    content = os.urandom(FRAME * 4)
    with small_frames():
        stored = BODIES.store([content], len(content), keys.body(), ())
        sealed = BODIES.blobs.open(stored.id).read()
        frame = FRAME + 16
        exchanged = sealed[frame : 2 * frame] + sealed[:frame] + sealed[2 * frame :]
        for size, wrong in (
            (len(content), exchanged),
            (FRAME * 3, sealed[: 3 * frame]),
            (len(content), sealed[:frame]),
        ):
            part = Part(BODIES.blobs.put(wrong), size, keys.body(), None)
            with pytest.raises(Tampered):
                b"".join(BODIES.read([part], 0, size))
        gone = Part("0" * 32, len(content), keys.body(), None)
        with pytest.raises(Tampered):
            b"".join(BODIES.read([gone], 0, 1))


# Of "123456789": the check values of the catalogue of parametrised CRC algorithms; the hashes by their own programs.
KNOWN = {
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "MD5": "25f9e794323b453885f5181f1b624d0b",
    "SHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "SHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    "XXHASH64": "8cb841db40e6ae83",
}


@pytest.mark.parametrize("algorithm", KNOWN)
def test_checksums_are_those_of_their_names(algorithm: str) -> None:
    counted = checksum(algorithm)
    counted.update(b"1234")
    counted.update(memoryview(b"56789"))
    assert counted.digest().hex() == KNOWN[algorithm]


@given(st.binary(max_size=100), st.lists(st.integers(0, 100), max_size=4))
def test_a_cyclic_checksum_follows_from_its_parts(content: bytes, cuts: list[int]) -> None:
    for algorithm in ALGORITHMS:
        whole = checksum(algorithm)
        whole.update(content)
        digest = whole.digest()
        assert len(digest) == size_of(algorithm)
        if algorithm in CYCLIC:
            parts = []
            for piece in cut(content, cuts):
                one = checksum(algorithm)
                one.update(piece)
                parts.append((one.digest(), len(piece)))
            assert combined(algorithm, parts) == digest
