"""Root key, account keys and what they wrap: altered rows are detected, the wrong seal is refused."""

from __future__ import annotations

import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.engine.envelope.errors import SealError, Tampered, WrongSeal
from casemate.engine.envelope.hierarchy import (
    AccountKey,
    RootKey,
    WrappingKey,
    account_key_version,
    read_record,
)
from casemate.engine.envelope.seal_keyfile import KeyFileSeal
from casemate.engine.envelope.seal_passphrase import Cost, PassphraseSeal

ROOT = RootKey(bytes(range(32)))
ACCOUNT = AccountKey("111122223333", 2, bytes(range(32, 64)))
QUICK = Cost(memory_kib=64, iterations=1, lanes=1)
PHRASE = b"correct horse battery"

VERSION_1 = {
    "derived": "6678bf180f77b318821aca63b0c2f629957c88a2d849034bc17ebbc3beea57a6",
    "account key": (
        "013ad75b5450eb1fcd33bab24d41b091b0f399380f285d8bb81fb6199f10fec73bdd204cddfdd8fbbded95800c591695"
        "eb9c98e53b9e7459d963ffe7d215e4a83a1c020489fddb50985a90ba34"
    ),
    "material": (
        "0000000201a364de6411bdb277e224383954f63275541417d62cb1ba0cce04a04716ff4ef06ae6e4b681efb743e91e89"
        "339baeb76221d3148af3129d48755c87f669eee3e95e8bad4350f8919f4f33226a"
    ),
    "by key file": (
        "434d524f4f5400010018004d6b657966696c653a3565396564366239356337303531653301f396a823c9e6571c4da981"
        "9bd6fb1f831ccf74aaffbda61ba6de8f2fed2ec5cf1d33b242c5b613eaa938d83d5056dc4618006b6838f43c38f22c86"
        "5112cecb70ac3b20b0840af2fed0483ed2"
    ),
    "by passphrase": (
        "434d524f4f540001000a006a70617373706872617365010000004000000001000000013ea84a4346c1892c997244f7af"
        "7c3daa01b9beced7c79f9c8b5994506334907fa9874fafc890b654163e235fdbde01fc220b57ffce39600b30db548d77"
        "69e60a1f1fd629778e24b8cb72ce1264eef952839ecff15903348966cc0609f7"
    ),
}
"""As written by the first version of the formats; all must stay readable."""


def flipped(data: bytes) -> list[bytes]:
    """The bytes with each one of their bits flipped."""
    return [
        data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]
        for bit in range(len(data) * 8)
    ]


def test_formats_of_version_1_stay_readable() -> None:
    stored = {name: bytes.fromhex(value) for name, value in VERSION_1.items()}
    assert ROOT.derive("session tokens") == stored["derived"]
    account = ROOT.unwrap_account_key("111122223333", 2, stored["account key"])
    assert account.unwrap(stored["material"], "kms backing key", "us-east-1", "k1", 7) == b"m" * 32
    assert RootKey.unsealed(stored["by key file"], [KeyFileSeal(bytes(range(64, 96)))]).same_as(ROOT)
    assert RootKey.unsealed(stored["by passphrase"], [PassphraseSeal(PHRASE, QUICK)]).same_as(ROOT)


@given(st.binary(max_size=100), st.text(max_size=10), st.lists(st.text(max_size=10) | st.integers(0, 2**63)))
def test_wrapped_material_comes_back(material: bytes, purpose: str, names: list[str | int]) -> None:
    wrapped = ACCOUNT.wrap(material, purpose, *names)
    assert account_key_version(wrapped) == 2
    assert ACCOUNT.unwrap(wrapped, purpose, *names) == material


@pytest.mark.parametrize(
    "place",
    [
        ("kms backing key", "us-east-1", "key-2", 1),
        ("kms backing key", "us-east-1", "key-1", 2),
        ("kms backing key", "us-west-2", "key-1", 1),
        ("secret", "us-east-1", "key-1", 1),
        ("kms backing key", "us-east-1key-1", 1),
        ("kms backing key", "us-east-1", "key-1"),
    ],
)
def test_a_row_moved_elsewhere_is_detected(place: tuple[str, ...]) -> None:
    wrapped = ACCOUNT.wrap(b"material", "kms backing key", "us-east-1", "key-1", 1)
    with pytest.raises(Tampered, match="altered or belongs elsewhere"):
        ACCOUNT.unwrap(wrapped, *place)


def test_another_accounts_or_versions_row_is_detected() -> None:
    wrapped = ACCOUNT.wrap(b"material", "secret", "a")
    same_key = bytes(range(32, 64))
    with pytest.raises(Tampered):
        AccountKey("444455556666", 2, same_key).unwrap(wrapped, "secret", "a")
    with pytest.raises(Tampered, match="version 3"):
        AccountKey("111122223333", 3, same_key).unwrap(wrapped, "secret", "a")
    relabelled = b"\0\0\0\3" + wrapped[4:]
    with pytest.raises(Tampered):
        AccountKey("111122223333", 3, same_key).unwrap(relabelled, "secret", "a")


def test_every_altered_row_is_detected() -> None:
    wrapped = ACCOUNT.wrap(b"material", "secret", "a")
    for changed in (*flipped(wrapped), *(wrapped[:end] for end in range(len(wrapped))), wrapped + b"\0"):
        with pytest.raises(Tampered):
            ACCOUNT.unwrap(changed, "secret", "a")


def test_an_account_key_comes_back_to_its_account_and_version_only() -> None:
    wrapped = ROOT.wrap_account_key(ACCOUNT)
    again = ROOT.unwrap_account_key("111122223333", 2, wrapped)
    assert again.unwrap(ACCOUNT.wrap(b"m", "secret"), "secret") == b"m"
    for account, version in (("111122223333", 1), ("444455556666", 2)):
        with pytest.raises(Tampered, match="account key"):
            ROOT.unwrap_account_key(account, version, wrapped)
    for changed in flipped(wrapped):
        with pytest.raises(Tampered):
            ROOT.unwrap_account_key("111122223333", 2, changed)
    with pytest.raises(Tampered):
        RootKey.generate().unwrap_account_key("111122223333", 2, wrapped)


def test_what_a_detected_row_is_called_holds_no_bytes() -> None:
    with pytest.raises(Tampered, match=r"^the stored segment key was altered or belongs elsewhere$"):
        WrappingKey(bytes(32)).unwrap(bytes(60), "segment key", b"\x01\x02")
    with pytest.raises(Tampered, match="the stored value was"):
        WrappingKey(bytes(32)).unwrap(b"", b"\x01")


def test_purposes_have_unrelated_keys() -> None:
    keys = {ROOT.derive(purpose) for purpose in ("session tokens", "journal", "", "session token")}
    assert len(keys) == 4
    assert ROOT.derive("journal") == RootKey(bytes(range(32))).derive("journal")
    wrapped = ROOT.wrapping_key("journal").wrap(b"k", "segment", "1")
    assert ROOT.wrapping_key("journal").unwrap(wrapped, "segment", "1") == b"k"
    with pytest.raises(Tampered):
        ROOT.wrapping_key("other").unwrap(wrapped, "segment", "1")


def test_wrapping_the_same_twice_looks_different() -> None:
    assert ACCOUNT.wrap(b"m", "secret") != ACCOUNT.wrap(b"m", "secret")


def test_a_root_key_comes_back_through_the_seal_that_wrapped_it() -> None:
    root, current, previous = RootKey.generate(), KeyFileSeal(os.urandom(32)), PassphraseSeal(PHRASE, QUICK)
    for seal in (current, previous):
        record = root.sealed_by(seal)
        assert read_record(record).seal_id == seal.id
        assert RootKey.unsealed(record, [current, previous]).same_as(root)
    assert not root.same_as(ROOT)


def test_the_wrong_seal_is_refused_by_name() -> None:
    right, wrong = KeyFileSeal(os.urandom(32)), KeyFileSeal(os.urandom(32))
    record = ROOT.sealed_by(right)
    with pytest.raises(WrongSeal) as refusal:
        RootKey.unsealed(record, [wrong, PassphraseSeal(PHRASE, QUICK)])
    text = f"the root key was sealed by {right.id}, but the seal given is {wrong.id} and passphrase"
    assert str(refusal.value) == text
    with pytest.raises(WrongSeal, match="the seal given is none"):
        RootKey.unsealed(record, [])


def test_the_wrong_passphrase_is_refused() -> None:
    record = ROOT.sealed_by(PassphraseSeal(PHRASE, QUICK))
    with pytest.raises(WrongSeal, match="this passphrase does not open this"):
        RootKey.unsealed(record, [PassphraseSeal(b"another passphrase", QUICK)])
    both = [PassphraseSeal(b"another passphrase", QUICK), PassphraseSeal(PHRASE, QUICK)]
    assert RootKey.unsealed(record, both).same_as(ROOT)


@pytest.mark.parametrize(
    "seal", [KeyFileSeal(bytes(32)), PassphraseSeal(PHRASE, QUICK)], ids=["file", "phrase"]
)
def test_every_altered_record_is_refused(seal: KeyFileSeal | PassphraseSeal) -> None:
    record = ROOT.sealed_by(seal)
    start = len(record) - len(read_record(record).wrapped)
    cost = range(start + 1, start + 13) if seal.id == "passphrase" else range(0)
    for at in range(len(record)):
        if at in cost:
            continue  # a flipped bit of the stored cost may ask for gigabytes; its own test is below
        changed = record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :]
        with pytest.raises((Tampered, WrongSeal)):
            RootKey.unsealed(changed, [seal])
    for end in range(len(record)):
        with pytest.raises(Tampered):
            RootKey.unsealed(record[:end], [seal])


def test_a_record_that_names_another_seal_is_refused_although_the_key_is_right() -> None:
    seal = KeyFileSeal(bytes(32))
    record = ROOT.sealed_by(seal)
    renamed = KeyFileSeal(bytes(32))
    renamed.id = "keyfile:0000000000000000"
    forged = record.replace(seal.id.encode(), renamed.id.encode())
    with pytest.raises(WrongSeal):
        RootKey.unsealed(forged, [renamed])


@pytest.mark.parametrize(
    "cost", [(2**31, 1, 1), (64, 2**31, 1), (64, 1, 2**31), (0, 1, 1), (64, 0, 1), (64, 1, 0)]
)
def test_a_stored_cost_that_would_bring_the_machine_down_is_refused(cost: tuple[int, int, int]) -> None:
    seal = PassphraseSeal(PHRASE, QUICK)
    wrapped = seal.wrap(bytes(32), b"")
    numbers = b"".join(value.to_bytes(4, "big") for value in cost)
    with pytest.raises(SealError, match="cost"):
        seal.unwrap(wrapped[:1] + numbers + wrapped[13:], b"")


def test_a_smaller_stored_cost_does_not_open() -> None:
    seal = PassphraseSeal(PHRASE, Cost(128, 2, 2))
    wrapped = seal.wrap(bytes(32), b"")
    with pytest.raises(WrongSeal):
        seal.unwrap(wrapped[:5] + (1).to_bytes(4, "big") + wrapped[9:], b"")


def test_nothing_that_holds_a_key_shows_or_pickles_it() -> None:
    holders = {
        "<RootKey>": ROOT,
        "<AccountKey 111122223333 version 2>": ACCOUNT,
        "<WrappingKey>": WrappingKey(bytes(32)),
        "<PassphraseSeal>": PassphraseSeal(PHRASE, QUICK),
        "<KeyFileSeal " + KeyFileSeal(bytes(32)).id + ">": KeyFileSeal(bytes(32)),
    }
    for text, holder in holders.items():
        assert repr(holder) == text
        assert not hasattr(holder, "__dict__")
        with pytest.raises(TypeError, match="holds a key"):
            pickle.dumps(holder)


def test_generated_keys_differ() -> None:
    assert not RootKey.generate().same_as(RootKey.generate())
    one, other = AccountKey.generate("1", 1), AccountKey.generate("1", 1)
    with pytest.raises(Tampered):
        other.unwrap(one.wrap(b"m", "secret"), "secret")
