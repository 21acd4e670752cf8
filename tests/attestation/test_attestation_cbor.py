"""CBOR from strangers: what is read, what is refused, and that nothing else happens."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.engine.attestation import cbor
from casemate.engine.attestation.errors import BadAttestation

LEAVES = st.none() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=300) | st.text(max_size=300)
NAMES = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=20)
VALUES = st.one_of(
    LEAVES,
    st.lists(LEAVES, max_size=30),
    st.dictionaries(NAMES, LEAVES | st.lists(LEAVES, max_size=3), max_size=30),
)


@given(VALUES)
def test_what_is_written_is_what_others_write_and_read(value: Any) -> None:
    data = cbor.dump(value)
    assert data == cbor2.dumps(value)
    assert cbor.load(data) == value == cbor2.loads(data)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_as_others_read_them_or_refused(data: bytes) -> None:
    try:
        value = cbor.load(data)
    except BadAttestation:
        return
    assert cbor2.loads(data) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",  # a byte string of 2^64 - 1 bytes
        b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff" + b"\x00" * 1000,  # an array of so many items
        b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff" + bytes(range(24)),
        b"\x81" * 5 + b"\x00",  # nested once too often
        b"\x81" * 100_000,
        b"\xa1\x00" * 100_000,
        b"\xc1\x00",  # a tag
        b"\xd8\x23\x63a+b",  # a regular expression
        b"\xc2\x42\x01\x00",  # a big number
        b"\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00",  # a float
        b"\x9f\x00",  # an array without its end
        b"\xbf\x00\xff",  # a name without a value
        b"\xbf\x00\x00\x00\x00\xff",
        b"\x9f" * 100_000,
        b"\x81\xff",
        b"\x5f\x41\x00\xff",  # a string in pieces
        b"\xff",
        b"\xf7",  # undefined
        b"\x1c",  # a reserved length
        b"\x62\xff\xfe",  # not UTF-8
        b"\xa2\x00\x00\x00\x00",  # a name twice
        b"\xa1\x40\x00",  # a name that is bytes
        b"\xa1\xf5\x00",  # or a boolean, which Python would take for 1
        b"\x00\x00",  # two items
    ],
)
def test_what_no_document_holds_is_refused(data: bytes) -> None:
    with pytest.raises(BadAttestation):
        cbor.load(data)


@given(st.dictionaries(NAMES, LEAVES | st.lists(LEAVES, max_size=3), max_size=30))
def test_maps_and_arrays_may_be_of_indefinite_length(value: dict[Any, Any]) -> None:
    def open_ended(item: Any) -> bytes:
        if isinstance(item, list):
            return b"\x9f" + b"".join(map(open_ended, item)) + b"\xff"
        return cbor.dump(item)

    data = b"\xbf" + b"".join(open_ended(part) for pair in value.items() for part in pair) + b"\xff"
    assert cbor.load(data) == value == cbor2.loads(data)


def test_only_what_can_be_written_is() -> None:
    with pytest.raises(TypeError):
        cbor.dump(1.5)
    with pytest.raises(ValueError, match="64 bits"):
        cbor.dump(2**64)
