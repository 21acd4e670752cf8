"""What requests act on, with whatever clients may send as names and ciphertexts."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kms_support import ABSENT_ID, ACCOUNT, OTHER_ACCOUNT, REGION, call_by, keys_of, opened_store

from casemate.engine.envelope.hierarchy import RootKey
from casemate.engine.envelope.message import seal_message
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.kms.key import Key
from casemate.services.kms.keys import Keys
from casemate.services.kms.targets import ciphertext_key, named_key, own_key, re_encryption
from casemate.store.database import Store, Tx

PLACES = st.sampled_from(
    ["aws", "aws-cn", "kms", "s3", REGION, "eu-west-1", ACCOUNT, OTHER_ACCOUNT, "", "\0"]
)
NAMES = (
    st.text(max_size=40)
    | st.builds(
        lambda *parts: "arn:" + ":".join(parts),
        *(PLACES for _ in range(4)),
        st.sampled_from([f"key/{ABSENT_ID}", "alias/x", "key/", "alias/\0", "key/*"]),
    )
    | st.sampled_from([ABSENT_ID, "alias/x"])
)


class _Gate:
    def __init__(self, keys: Keys) -> None:
        self.parts = {Keys: keys}


class World:
    """A store with one key in it, and calls that may wait for it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.keys = keys_of(store, RootKey.generate())
        key = store.write(lambda tx: self.keys.create(tx, ACCOUNT, REGION, 0.0))
        assert key is not None
        self.key: Key = key

    def resolve(self, resolver: Any, **request: Any) -> Any:
        def run(tx: Tx) -> Any:
            call: Call = call_by()
            call.gate = _Gate(self.keys)  # type: ignore[assignment]
            call.transaction = tx
            return resolver(call, request)

        return self.store.read(run)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with opened_store(f"sqlite://{tmp_path_factory.mktemp('targets')}/casemate.db") as store:
        yield World(store)


def outcome(world: World, resolver: Any, **request: Any) -> str:
    """The code of the refusal; '' for what is authorised first."""
    try:
        world.resolve(resolver, **request)
    except AwsError as error:
        return error.code
    return ""


@settings(max_examples=150)
@given(NAMES)
def test_any_name_is_found_or_refused(world: World, name: str) -> None:
    for resolver in (named_key, own_key):
        assert outcome(world, resolver, KeyId=name) in ("", "NotFoundException", "InvalidArnException")


@settings(max_examples=150)
@given(st.binary(max_size=300) | st.binary(max_size=40).map(lambda rest: b"CMK\x01" + rest))
def test_any_blob_is_a_ciphertext_or_refused(world: World, blob: bytes) -> None:
    assert outcome(world, ciphertext_key, CiphertextBlob=blob) == "InvalidCiphertextException"


@settings(max_examples=150)
@given(NAMES, st.text(min_size=1, max_size=70), st.none() | NAMES)
def test_any_header_is_a_keys_or_refused(world: World, arn: str, material: str, key_id: str | None) -> None:
    named, version = arn.encode(), material.encode()
    blob = b"CMK\x01" + bytes(28) + struct.pack(">HH", len(named), len(version)) + named + version + bytes(48)
    request: dict[str, Any] = {"CiphertextBlob": blob, "DestinationKeyId": world.key.arn}
    for resolver, member in ((ciphertext_key, "KeyId"), (re_encryption, "SourceKeyId")):
        code = outcome(world, resolver, **request, **({} if key_id is None else {member: key_id}))
        assert code in (
            "",
            "AccessDeniedException",
            "IncorrectKeyException",
            "InvalidArnException",
            "InvalidCiphertextException",
            "NotFoundException",
        )


def test_a_key_that_is_there_is_guarded_by_its_policy(world: World) -> None:
    key = world.resolve(named_key, KeyId=world.key.row.id)
    assert key.arn == world.key.arn
    assert key.guarded
    assert key.policy is not None
    assert key.missing is None


def test_what_is_missing_says_so_only_when_it_is_asked(world: World) -> None:
    absent = world.resolve(named_key, KeyId=ABSENT_ID)
    assert not absent.guarded
    assert absent.policy is None
    assert absent.missing.code == "NotFoundException"
    assert absent.type == "", "the audit lists no resource that does not exist"
    foreign = f"arn:aws:kms:{REGION}:{OTHER_ACCOUNT}:alias/x"
    blob = seal_message(world.key.current, world.key.arn, b"x", {})
    for stand_in in (
        world.resolve(named_key, KeyId=foreign),
        world.resolve(ciphertext_key, KeyId=foreign, CiphertextBlob=blob).key,
    ):
        assert stand_in.account == OTHER_ACCOUNT
        assert stand_in.policy is None, "another account's resource without a policy is closed to all"
        assert stand_in.missing is not None


def test_a_ciphertexts_key_is_found_by_the_ciphertext_alone(world: World) -> None:
    blob = seal_message(world.key.current, world.key.arn, b"x", {"a": "b"})
    sealed = world.resolve(ciphertext_key, CiphertextBlob=blob)
    assert sealed.key.arn == world.key.arn
    assert sealed.material == world.key.current.id
    assert sealed.blob == blob


@pytest.mark.parametrize("account", [ACCOUNT, OTHER_ACCOUNT])
def test_a_header_that_names_a_key_does_not_tell_whether_it_exists(world: World, account: str) -> None:
    named = f"arn:aws:kms:{REGION}:{account}:key/{ABSENT_ID}".encode()
    blob = b"CMK\x01" + bytes(28) + struct.pack(">HH", len(named), 1) + named + b"x" + bytes(48)
    for stand_in in (
        world.resolve(ciphertext_key, CiphertextBlob=blob).key,
        world.resolve(re_encryption, CiphertextBlob=blob, DestinationKeyId=world.key.arn).source_side,
    ):
        assert stand_in.arn == named.decode(), "it is authorised first, as a key that exists"
        assert stand_in.account == account
        assert stand_in.missing.code == "AccessDeniedException"
