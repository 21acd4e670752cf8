"""The KMS ciphertext blob: round trips, its documented layout, and every way to be wrong."""

from __future__ import annotations

import copy
import os
import pickle
import struct
import threading

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode
from hypothesis import given
from hypothesis import strategies as st

from casemate.engine.envelope import derivation, message
from casemate.engine.envelope.derivation import Deriver, fresh
from casemate.engine.envelope.encoding import fields, pairs
from casemate.engine.envelope.errors import BadCiphertext
from casemate.engine.envelope.message import BackingKey, open_message, read_header, seal_message

ARN = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ID = "0123456789abcdef0123456789abcdef"
KEY = bytes(range(32))

VERSION_1 = bytes.fromhex(
    "434d4b014f3a2e9d59d8a425202502543a0c3a19097be09d40378f9a50b39b68004b002061726e3a6177733a6b6d733a7573"
    "2d656173742d313a3131313132323232333333333a6b65792f31323334616263642d313261622d333463642d353665662d31"
    "32333435363738393061623031323334353637383961626364656630313233343536373839616263646566a4f9f618c9dff8"
    "bead6115ce1923947eabf96669b825367ed780bef4e179"
)
"""A blob as it was written by the first version of the format; it must stay readable."""

contexts = st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4)


@given(st.binary(max_size=200), contexts)
def test_what_was_sealed_opens(plaintext: bytes, context: dict[str, str]) -> None:
    key = BackingKey(ID, KEY)
    blob = seal_message(key, ARN, plaintext, context)
    header = read_header(blob)
    assert (header.key_arn, header.backing_id) == (ARN, ID)
    reordered = dict(reversed(context.items()))
    assert open_message(key, blob, reordered) == plaintext


def test_a_blob_of_format_1_stays_readable() -> None:
    assert open_message(BackingKey(ID, KEY), VERSION_1, {"a": "é", "b": "2"}) == b"attack at dawn"


def test_the_layout_and_the_derivation_are_as_documented() -> None:
    """Opens a blob with nothing of ours: by the module's description and cryptography's own SP 800-108."""
    plaintext = os.urandom(64)
    blob = seal_message(BackingKey(ID, KEY), ARN, plaintext, {"b": "2", "a": "é"})
    magic, salt, nonce, arn_length, id_length = struct.unpack_from(">4s16s12sHH", blob)
    end = 36 + arn_length + id_length
    assert magic == b"CMK\x01"
    assert blob[36:end] == (ARN + ID).encode()
    derived = KBKDFHMAC(
        algorithm=hashes.SHA256(),
        mode=Mode.CounterMode,
        length=32,
        rlen=4,
        llen=4,
        location=CounterLocation.BeforeFixed,
        label=b"casemate kms message 1",
        context=salt,
        fixed=None,
    ).derive(KEY)
    assert AESGCM(derived).decrypt(nonce, blob[end:], blob[:end] + "1,1:aé1,1:b2".encode()) == plaintext


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=40))
def test_the_derivation_is_that_of_sp_800_108(key: bytes, context: bytes) -> None:
    theirs = KBKDFHMAC(
        algorithm=hashes.SHA256(),
        mode=Mode.CounterMode,
        length=32,
        rlen=4,
        llen=4,
        location=CounterLocation.BeforeFixed,
        label=b"some label",
        context=context,
        fixed=None,
    )
    assert Deriver(key, b"some label").derive(context) == theirs.derive(key)


def test_every_flipped_bit_is_refused() -> None:
    key = BackingKey(ID, KEY)
    blob = seal_message(key, ARN, b"attack at dawn", {"a": "b"})
    for bit in range(len(blob) * 8):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadCiphertext, match=r"^the ciphertext is not valid$"):
            open_message(key, bytes(changed), {"a": "b"})


def test_every_cut_and_every_addition_is_refused() -> None:
    key = BackingKey(ID, KEY)
    blob = seal_message(key, ARN, b"attack at dawn", {})
    for end in range(len(blob)):
        with pytest.raises(BadCiphertext):
            open_message(key, blob[:end], {})
    with pytest.raises(BadCiphertext):
        open_message(key, blob + b"\0", {})


@pytest.mark.parametrize(
    "other",
    [{}, {"a": "c"}, {"A": "b"}, {"a": "b", "c": ""}, {"ab": ""}, {"": "ab"}, {"a": "b "}],
)
def test_another_encryption_context_is_refused(other: dict[str, str]) -> None:
    key = BackingKey(ID, KEY)
    blob = seal_message(key, ARN, b"x", {"a": "b"})
    with pytest.raises(BadCiphertext):
        open_message(key, blob, other)


def test_derived_keys_that_are_kept_for_opening_are_bounded_over_all_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(message, "_OPENERS", 5)
    message._kept.clear()
    keys = [BackingKey(f"k{number}", os.urandom(32)) for number in range(4)]
    blobs = []
    for key in keys:
        for _ in range(4):
            key._sealer = None  # as another process, with a salt of its own
            blobs.append((key, seal_message(key, ARN, b"x", {})))
    for key, blob in [*blobs, *blobs]:
        assert open_message(key, blob, {}) == b"x"
        assert sum(len(each._openers) for each in keys) <= 5
    for key, blob in blobs:
        invented = blob[:4] + os.urandom(16) + blob[20:]
        before = dict(key._openers)
        with pytest.raises(BadCiphertext):
            open_message(key, invented, {})
        assert key._openers == before, "what opens nothing pushes nothing out"


def test_another_backing_key_is_refused() -> None:
    blob = seal_message(BackingKey(ID, KEY), ARN, b"x", {})
    with pytest.raises(BadCiphertext):
        open_message(BackingKey(ID, bytes(32)), blob, {})


@given(st.binary(max_size=300))
def test_no_other_bytes_open(noise: bytes) -> None:
    key = BackingKey(ID, KEY)
    for blob in (noise, b"CMK\x01" + noise):
        with pytest.raises(BadCiphertext):
            open_message(key, blob, {})


@given(st.binary(max_size=300))
def test_reading_a_header_of_noise_says_only_bad_ciphertext(noise: bytes) -> None:
    with pytest.raises(BadCiphertext):
        read_header(noise)
    try:
        header = read_header(b"CMK\x01" + noise)
    except BadCiphertext:
        return
    assert header.length + 16 <= len(noise) + 4


@pytest.mark.parametrize("names", [b"\xff\xfe" + ID.encode(), b"ok" + b"\xff" * 32])
def test_a_header_with_names_that_are_no_text_is_refused(names: bytes) -> None:
    with pytest.raises(BadCiphertext):
        read_header(struct.pack(">4s16s12sHH", b"CMK\x01", bytes(16), bytes(12), 2, 32) + names + bytes(16))


def test_one_key_under_two_arns_keeps_them_apart() -> None:
    key = BackingKey(ID, KEY)
    for arn in (ARN, ARN + "2", ARN):
        assert read_header(seal_message(key, arn, b"", {})).key_arn == arn


@pytest.mark.parametrize(("arn", "id_"), [("", ID), (ARN, ""), ("a" * 65536, ID), (ARN, "a" * 65536)])
def test_names_that_a_header_cannot_hold_are_refused(arn: str, id_: str) -> None:
    with pytest.raises(ValueError, match="1 to 65535 bytes"):
        seal_message(BackingKey(id_, KEY), arn, b"x", {})


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        BackingKey(ID, bytes(length))


def test_a_label_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="zero byte"):
        Deriver(KEY, b"a\0b")


def test_a_backing_key_does_not_show_itself() -> None:
    key = BackingKey(ID, KEY)
    assert repr(key) == f"<BackingKey {ID}>"
    assert repr(Deriver(KEY, b"x")) == "<Deriver>"
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="holds a key"):
            way(key)


@given(contexts, contexts)
def test_two_contexts_never_encode_alike(one: dict[str, str], other: dict[str, str]) -> None:
    assert (pairs(one) == pairs(other)) == (one == other)


def test_a_context_with_a_lone_surrogate_is_still_told_apart() -> None:
    assert pairs({"a": "\ud800"}) != pairs({"a": "\ud801"})


@given(st.lists(st.text(max_size=8), max_size=4), st.lists(st.text(max_size=8), max_size=4))
def test_two_lists_of_fields_never_encode_alike(one: list[str], other: list[str]) -> None:
    assert (fields(*one) == fields(*other)) == (one == other)


def test_randomness_is_never_given_out_twice_by_threads() -> None:
    drawn: list[list[bytes]] = [[] for _ in range(4)]

    def draw(into: list[bytes]) -> None:
        into.extend(fresh() for _ in range(5000))

    threads = [threading.Thread(target=draw, args=(into,)) for into in drawn]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [random for into in drawn for random in into]
    assert len(everything) == 20_000
    assert len(set(everything)) == 20_000
    assert all(len(random) == 28 for random in everything)


def test_a_forked_child_draws_other_randomness() -> None:
    """The hook that empties the pool in a child is run by a real fork of a fresh interpreter, because this
    process may have threads."""
    import subprocess
    import sys

    program = (
        "import os\n"
        "from casemate.engine.envelope.derivation import fresh\n"
        "fresh()\n"
        "reading, writing = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.write(writing, b''.join(fresh() for _ in range(20)))\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "child = os.read(reading, 4096)\n"
        "ours = b''.join(fresh() for _ in range(20))\n"
        "assert len(child) == len(ours) == 560\n"
        "cut = lambda b: {b[i:i + 28] for i in range(0, 560, 28)}\n"
        "assert len(cut(child) | cut(ours)) == 40, 'parent and child share randomness'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_pool_is_refilled_in_whole_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derivation, "_pool", [])
    pieces = [fresh() for _ in range(500)]
    assert len(set(pieces)) == 500
    assert {len(piece) for piece in pieces} == {28}
