"""KMS's condition keys: what a key says of itself and of the request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kms_support import ABSENT_ID, ACCOUNT, DELEGATION, OTHER_ACCOUNT, REGION, call_by, key_policy, policy_of

from casemate.api import kms
from casemate.engine.envelope.message import BackingKey
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Operation
from casemate.gate.resource import Value
from casemate.services.kms.key import DISABLED, ENABLED, PENDING_DELETION, Key
from casemate.services.kms.rows import KeyRow
from casemate.services.kms.targets import AccountWide, NewKey, Side

MATERIAL = "ab" * 32


def key(*aliases: str, **changes: Any) -> Key:
    row = KeyRow(
        *(ACCOUNT, REGION, ABSENT_ID, 0.0, ENABLED, "", "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "AWS_KMS"),
        *("", {"team": "red"}, None, MATERIAL),
    )
    backing = {MATERIAL: BackingKey(MATERIAL, bytes(32))}
    return Key(row._replace(**changes), policy_of(key_policy(DELEGATION)), aliases, backing)


class _Route:
    def __init__(self, operation: Operation[Any, Any]) -> None:
        self.operation = operation


def call_of(operation: Operation[Any, Any] | None = None, **more: Any) -> Call:
    call = call_by(**more)
    call.route = None if operation is None else _Route(operation)  # type: ignore[assignment]
    return call


def asked(name: str, call: Call | None = None, **request: Any) -> Value:
    return key("alias/a", "alias/b").condition(name.lower(), call or call_of(), request)


def test_what_the_key_is() -> None:
    assert asked("kms:KeyOrigin") == "AWS_KMS"
    assert asked("kms:KeySpec") == asked("kms:CustomerMasterKeySpec") == "SYMMETRIC_DEFAULT"
    assert asked("kms:KeyUsage") == asked("kms:CustomerMasterKeyUsage") == "ENCRYPT_DECRYPT"
    assert asked("kms:MultiRegion") == "false"
    assert asked("kms:ResourceAliases") == ("alias/a", "alias/b")
    assert key().condition("kms:resourcealiases", call_of(), {}) is None
    assert key().tags() == {"team": "red"}


def test_who_calls() -> None:
    assert asked("kms:CallerAccount", call_of(account=OTHER_ACCOUNT)) == OTHER_ACCOUNT
    assert asked("kms:ViaService") is None
    via = call_of(via=("secretsmanager", "ssm"), region="eu-west-1")
    assert asked("kms:ViaService", via) == "ssm.eu-west-1.amazonaws.com"


def test_how_the_key_is_named() -> None:
    assert asked("kms:RequestAlias", KeyId="alias/a") == "alias/a"
    assert asked("kms:RequestAlias", KeyId=f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/a") == "alias/a"
    assert asked("kms:RequestAlias", KeyId=ABSENT_ID) is None
    assert asked("kms:RequestAlias") is None


def test_the_encryption_context() -> None:
    context = {"AppName": "shop", "n": "1"}
    assert asked("kms:EncryptionContext:AppName", EncryptionContext=context) == "shop"
    assert asked("kms:EncryptionContext:other", EncryptionContext=context) is None
    assert asked("kms:EncryptionContext:AppName") is None
    assert asked("kms:EncryptionContextKeys", EncryptionContext=context) == ("AppName", "n")
    assert asked("kms:EncryptionContextKeys", EncryptionContext={}) is None
    twice = {"AppName": "shop", "appname": "bank"}
    assert asked("kms:EncryptionContext:APPNAME", EncryptionContext=twice) == ["shop", "bank"]


@given(st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=5), st.text(max_size=6))
def test_every_part_of_the_context_can_be_asked_for(context: dict[str, str], other: str) -> None:
    for name, value in context.items():
        found = asked(f"kms:EncryptionContext:{name}", EncryptionContext=context)
        assert found is not None
        assert value == found or value in found
    if other.lower() not in {name.lower() for name in context}:
        assert asked(f"kms:EncryptionContext:{other}", EncryptionContext=context) is None


@pytest.mark.parametrize(
    ("name", "operation", "request_members", "value"),
    [
        ("kms:EncryptionAlgorithm", kms.Encrypt, {}, "SYMMETRIC_DEFAULT"),
        ("kms:EncryptionAlgorithm", kms.Decrypt, {"EncryptionAlgorithm": "SM2PKE"}, "SM2PKE"),
        ("kms:EncryptionAlgorithm", kms.DescribeKey, {}, None),
        ("kms:BypassPolicyLockoutSafetyCheck", kms.PutKeyPolicy, {}, "false"),
        (
            "kms:BypassPolicyLockoutSafetyCheck",
            kms.CreateKey,
            {"BypassPolicyLockoutSafetyCheck": True},
            "true",
        ),
        ("kms:BypassPolicyLockoutSafetyCheck", kms.Encrypt, {}, None),
        ("kms:PolicyName", kms.PutKeyPolicy, {}, "default"),
        ("kms:PolicyName", kms.GetKeyPolicy, {"PolicyName": "x"}, "x"),
        ("kms:PolicyName", kms.Encrypt, {}, None),
        ("kms:ScheduleKeyDeletionPendingWindowInDays", kms.ScheduleKeyDeletion, {}, "30"),
        (
            "kms:ScheduleKeyDeletionPendingWindowInDays",
            kms.ScheduleKeyDeletion,
            {"PendingWindowInDays": 7},
            "7",
        ),
        ("kms:ScheduleKeyDeletionPendingWindowInDays", kms.Encrypt, {}, None),
        ("aws:RequestTag/Team", kms.TagResource, {"Tags": [{"TagKey": "team", "TagValue": "x"}]}, "x"),
        ("aws:RequestTag/none", kms.TagResource, {"Tags": [{"TagKey": "team", "TagValue": "x"}]}, None),
        ("aws:TagKeys", kms.TagResource, {"Tags": [{"TagKey": "team", "TagValue": "x"}]}, ("team",)),
        ("aws:TagKeys", kms.UntagResource, {"TagKeys": ["a", "b"]}, ("a", "b")),
        ("aws:TagKeys", kms.Encrypt, {}, None),
        ("kms:Nonsense", kms.Encrypt, {}, None),
    ],
)
def test_what_the_request_says(
    name: str, operation: Operation[Any, Any], request_members: dict[str, Any], value: Value
) -> None:
    call = call_of(operation)
    assert asked(name, call, **request_members) == value
    if not name.startswith("kms:EncryptionContext"):
        account_wide = AccountWide("*", ACCOUNT)
        assert account_wide.condition(name.lower(), call, request_members) == value


def test_a_key_to_be_made_is_what_the_request_wants() -> None:
    target = NewKey("*", ACCOUNT)
    call = call_of(kms.CreateKey)
    request = {"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY", "Origin": "EXTERNAL", "MultiRegion": True}
    wanted = {
        "kms:keyspec": ("SYMMETRIC_DEFAULT", "RSA_2048"),
        "kms:keyusage": ("ENCRYPT_DECRYPT", "SIGN_VERIFY"),
        "kms:keyorigin": ("AWS_KMS", "EXTERNAL"),
        "kms:multiregion": ("false", "true"),
    }
    for name, (default, given_value) in wanted.items():
        assert target.condition(name, call, {}) == default
        assert target.condition(name, call, request) == given_value
    assert target.condition("kms:keyspec", call, {"CustomerMasterKeySpec": "SM2"}) == "SM2"


def test_the_sides_of_a_re_encryption_are_told_apart() -> None:
    call = call_of(kms.ReEncrypt)
    request = {"EncryptionContext": {"a": "not this"}, "KeyId": "alias/not-this"}
    side = Side(key("alias/a"), {"a": "1"}, "alias/a", "SYMMETRIC_DEFAULT", True)
    assert side.condition("kms:encryptioncontext:a", call, request) == "1"
    assert side.condition("kms:encryptioncontextkeys", call, request) == ("a",)
    assert side.condition("kms:requestalias", call, request) == "alias/a"
    assert side.condition("kms:reencryptonsamekey", call, request) == "true"
    assert side.condition("kms:encryptionalgorithm", call, request) == "SYMMETRIC_DEFAULT"
    assert side.condition("kms:resourcealiases", call, request) == ("alias/a",)
    assert side.tags() == {"team": "red"}
    assert side.guarded, "the key's policy must allow on both sides"
    other = Side(key(), None, None, "SYMMETRIC_DEFAULT", False)
    assert other.condition("kms:reencryptonsamekey", call, request) == "false"
    assert other.condition("kms:requestalias", call, request) is None


def test_what_a_state_allows() -> None:
    key().must_be_usable("Encrypt")
    with pytest.raises(AwsError) as caught:
        key(state=DISABLED).must_be_usable("Encrypt")
    assert (caught.value.code, caught.value.message) == (
        "DisabledException",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{ABSENT_ID} is disabled.",
    )
    with pytest.raises(AwsError) as caught:
        key(state=PENDING_DELETION).must_be_usable("Encrypt")
    assert caught.value.code == "KMSInvalidStateException"
    with pytest.raises(AwsError) as caught:
        key(key_usage="SIGN_VERIFY").must_be_usable("Encrypt")
    assert (caught.value.code, caught.value.message) == (
        "InvalidKeyUsageException",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{ABSENT_ID} key usage is SIGN_VERIFY which is not valid for "
        "Encrypt.",
    )


def test_nothing_shows_the_material() -> None:
    secret = bytes(range(32))
    shown = Key(key().row, policy_of(key_policy(DELEGATION)), (), {MATERIAL: BackingKey(MATERIAL, secret)})
    text = f"{shown!r} {shown.backing!r} {shown.row!r}"
    assert secret.hex() not in text
    assert repr(secret) not in text
