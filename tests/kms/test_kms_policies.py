"""Key policies by a real client: what they are, what is taken as one, and whom they let in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kms_support import (
    ABSENT_ID,
    ACCOUNT,
    DELEGATION,
    OTHER_ACCOUNT,
    REGION,
    ROOT,
    Kms,
    key_policy,
    refused,
    statement,
    user_arn,
)

LOCKOUT = "The new key policy will not allow you to update the key policy in the future."


def denied(user: str, action: str, arn: str, why: str) -> str:
    return f"User: {user_arn(user)} is not authorized to perform: {action} on resource: {arn} {why}"


def no_policy(kind: str, action: str) -> str:
    return f"because no {kind} policy allows the {action} action"


def test_the_default_policy(kms: Kms) -> None:
    key_id = kms.key()["KeyId"]
    answer = kms.of().get_key_policy(KeyId=key_id)
    assert answer["PolicyName"] == "default"
    assert answer["Policy"] == (
        "{\n"
        '  "Version" : "2012-10-17",\n'
        '  "Id" : "key-default-1",\n'
        '  "Statement" : [ {\n'
        '    "Sid" : "Enable IAM User Permissions",\n'
        '    "Effect" : "Allow",\n'
        '    "Principal" : {\n'
        f'      "AWS" : "{ROOT}"\n'
        "    },\n"
        '    "Action" : "kms:*",\n'
        '    "Resource" : "*"\n'
        "  } ]\n"
        "}"
    )
    chinese = kms.of(region="cn-north-1")
    key_id = chinese.create_key()["KeyMetadata"]["KeyId"]
    policy = json.loads(chinese.get_key_policy(KeyId=key_id, PolicyName="default")["Policy"])
    assert policy["Statement"][0]["Principal"] == {"AWS": f"arn:aws-cn:iam::{ACCOUNT}:root"}


def test_policy_names(kms: Kms) -> None:
    key_id, client = kms.key()["KeyId"], kms.of()
    assert client.list_key_policies(KeyId=key_id)["PolicyNames"] == ["default"]
    policy = client.get_key_policy(KeyId=key_id)["Policy"]
    client.put_key_policy(KeyId=key_id, PolicyName="default", Policy=policy)
    with refused("NotFoundException", "No such policy exists"):
        client.get_key_policy(KeyId=key_id, PolicyName="other")
    with refused("NotFoundException", "No such policy exists"):
        client.put_key_policy(KeyId=key_id, PolicyName="other", Policy=policy)
    with refused("ValidationException", "The AWS_RAM policy can only be managed by the RAM service."):
        client.put_key_policy(KeyId=key_id, PolicyName="AWS_RAM", Policy=policy)


def test_a_policy_put_is_the_policy_from_then_on(kms: Kms) -> None:
    key, client = kms.key(), kms.of()
    assert kms.of("reader").encrypt(KeyId=key["KeyId"], Plaintext=b"x")["KeyId"] == key["Arn"]
    text = json.dumps(key_policy(statement(user_arn("admin"), "kms:*")))
    client.put_key_policy(KeyId=key["KeyId"], Policy=text)
    assert client.get_key_policy(KeyId=key["KeyId"])["Policy"] == text
    with refused(
        "AccessDeniedException",
        denied("reader", "kms:Encrypt", key["Arn"], no_policy("resource-based", "kms:Encrypt")),
    ):
        kms.of("reader").encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    assert client.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["KeyId"] == key["Arn"]


@pytest.mark.parametrize(
    "document",
    [
        "not json",
        "{}",
        '{"Version":"2012-10-17","Statement":[]}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}',
        json.dumps(key_policy(statement("nobody in particular", "kms:*"))),
        json.dumps(key_policy(DELEGATION | {"Effect": "Maybe"})),
    ],
)
def test_what_is_no_policy_is_refused(kms: Kms, document: str) -> None:
    key_id = kms.key()["KeyId"]
    with refused("MalformedPolicyDocumentException"):
        kms.of().put_key_policy(KeyId=key_id, Policy=document, BypassPolicyLockoutSafetyCheck=True)
    with refused("MalformedPolicyDocumentException"):
        kms.of().create_key(Policy=document, BypassPolicyLockoutSafetyCheck=True)


@pytest.mark.parametrize(
    ("name", "what"),
    [("kms:EncryptionContext:Department", "encryption context"), ("aws:RequestTag/team", "tag")],
)
def test_a_condition_that_lets_everything_through_is_refused(kms: Kms, name: str, what: str) -> None:
    condition = {"ForAllValues:StringLike": {name: "x"}}
    document = json.dumps(key_policy(DELEGATION, statement(ROOT, "kms:Encrypt", Condition=condition)))
    text = (
        "OverlyPermissiveCondition: Using the ForAllValues set operator with a single-valued condition key matches "
        f"requests without the specified {what} or with an unspecified {what}. To fix, remove ForAllValues."
    )
    with refused("MalformedPolicyDocumentException", text):
        kms.of().create_key(Policy=document)
    with refused("MalformedPolicyDocumentException", text):
        kms.of().put_key_policy(KeyId=kms.key()["KeyId"], Policy=document)
    kms.of().create_key(Policy=document.replace("ForAllValues:", ""))


def test_a_policy_has_32_kilobytes_at_most(kms: Kms) -> None:
    key_id = kms.key()["KeyId"]
    text = json.dumps(key_policy(DELEGATION))
    kms.of().put_key_policy(KeyId=key_id, Policy=text + " " * (32 * 1024 - len(text)))
    with refused("LimitExceededException"):
        kms.of().put_key_policy(KeyId=key_id, Policy=text + " " * (32 * 1024 - len(text) + 1))


def locking(*statements: Any) -> str:
    return json.dumps(key_policy(*statements))


@pytest.mark.parametrize(
    "policy",
    [
        locking(statement(user_arn("nobody"), "kms:*")),
        locking(statement(ROOT, "kms:Encrypt")),
        locking(statement(f"arn:aws:iam::{OTHER_ACCOUNT}:root", "kms:*")),
        locking(DELEGATION, statement("*", "kms:PutKeyPolicy", Effect="Deny")),
        locking(statement(ROOT, "kms:*", Condition={"StringEquals": {"aws:PrincipalTag/a": "b"}})),
        locking(
            statement(ROOT, "kms:*", Condition={"StringEquals": {"kms:ViaService": "ssm.amazonaws.com"}})
        ),
    ],
)
def test_nobody_locks_themselves_out_by_mistake(kms: Kms, policy: str) -> None:
    key_id = kms.key()["KeyId"]
    with refused("MalformedPolicyDocumentException", LOCKOUT):
        kms.of().put_key_policy(KeyId=key_id, Policy=policy)
    with refused("MalformedPolicyDocumentException", LOCKOUT):
        kms.of().create_key(Policy=policy)
    kms.of().put_key_policy(KeyId=key_id, Policy=policy, BypassPolicyLockoutSafetyCheck=True)
    kms.of().create_key(Policy=policy, BypassPolicyLockoutSafetyCheck=True)


@pytest.mark.parametrize(
    "policy",
    [
        locking(DELEGATION),
        locking(statement(user_arn("admin"), "kms:PutKeyPolicy")),
        locking(statement(ROOT, "kms:*", Condition={"StringEquals": {"kms:CallerAccount": ACCOUNT}})),
        locking(statement(ROOT, "kms:*", Condition={"StringEquals": {"kms:PolicyName": "default"}})),
    ],
)
def test_policies_that_pass_the_lockout_check(kms: Kms, policy: str) -> None:
    key_id = kms.key()["KeyId"]
    kms.of().put_key_policy(KeyId=key_id, Policy=policy)


def test_a_maker_without_other_permissions_may_delegate(kms: Kms) -> None:
    made = kms.of("maker").create_key(Policy=json.dumps(key_policy(DELEGATION)))["KeyMetadata"]
    assert made["KeyState"] == "Enabled", "the check takes the caller's identity policies as allowing"
    with refused("AccessDeniedException"):
        kms.of("maker").describe_key(KeyId=made["KeyId"])


# --- whom a key policy lets in


def test_by_default_identity_policies_decide(kms: Kms) -> None:
    key = kms.key()
    arn = key["Arn"]
    assert kms.of("reader").encrypt(KeyId=arn, Plaintext=b"x")["KeyId"] == arn
    with refused(
        "AccessDeniedException",
        denied("reader", "kms:Decrypt", arn, no_policy("identity-based", "kms:Decrypt")),
    ):
        blob = kms.of().encrypt(KeyId=arn, Plaintext=b"x")["CiphertextBlob"]
        kms.of("reader").decrypt(CiphertextBlob=blob)
    with refused(
        "AccessDeniedException",
        denied("nobody", "kms:Encrypt", arn, no_policy("identity-based", "kms:Encrypt")),
    ):
        kms.of("nobody").encrypt(KeyId=arn, Plaintext=b"x")


def test_a_key_policy_lets_a_user_in_by_itself(kms: Kms) -> None:
    key = kms.key(key_policy(DELEGATION, statement(user_arn("nobody"), "kms:Encrypt")))
    assert kms.of("nobody").encrypt(KeyId=key["KeyId"], Plaintext=b"x")["KeyId"] == key["Arn"]


def test_an_explicit_deny_ends_it(kms: Kms) -> None:
    key = kms.key(key_policy(DELEGATION, statement(user_arn("admin"), "kms:Encrypt", Effect="Deny")))
    with refused(
        "AccessDeniedException",
        denied("admin", "kms:Encrypt", key["Arn"], "with an explicit deny in a resource-based policy"),
    ):
        kms.of().encrypt(KeyId=key["KeyId"], Plaintext=b"x")


def test_without_delegation_identity_policies_count_for_nothing(kms: Kms) -> None:
    key = kms.key(key_policy(statement(user_arn("nobody"), "kms:*")))
    with refused(
        "AccessDeniedException",
        denied("admin", "kms:DescribeKey", key["Arn"], no_policy("resource-based", "kms:DescribeKey")),
    ):
        kms.of().describe_key(KeyId=key["KeyId"])


def test_across_accounts_both_must_allow(kms: Kms) -> None:
    other_root = f"arn:aws:iam::{OTHER_ACCOUNT}:root"
    closed = kms.key()["Arn"]
    opened = kms.key(key_policy(DELEGATION, statement(other_root, "kms:Encrypt", "kms:Decrypt")))["Arn"]
    blob = kms.of("stranger").encrypt(KeyId=opened, Plaintext=b"x")["CiphertextBlob"]
    assert kms.of("stranger").decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    assert kms.of("stranger").decrypt(CiphertextBlob=blob, KeyId=opened[-36:])["Plaintext"] == b"x"
    with refused(
        "AccessDeniedException",
        denied("powerless", "kms:Encrypt", opened, no_policy("identity-based", "kms:Encrypt")),
    ):
        kms.of("powerless").encrypt(KeyId=opened, Plaintext=b"x")
    with refused("NotFoundException"):
        kms.of("stranger").encrypt(KeyId=opened[-36:], Plaintext=b"x")
    why = no_policy("resource-based", "kms:Encrypt")
    # A key that is closed to them and one that does not exist look the same to strangers.
    absent = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{ABSENT_ID}"
    for arn in (closed, absent, f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/never-there"):
        with refused("AccessDeniedException", denied("stranger", "kms:Encrypt", arn, why)):
            kms.of("stranger").encrypt(KeyId=arn, Plaintext=b"x")


def test_operations_of_the_owner_alone(kms: Kms) -> None:
    other_root = f"arn:aws:iam::{OTHER_ACCOUNT}:root"
    arn = kms.key(key_policy(DELEGATION, statement(other_root, "kms:*")))["Arn"]
    stranger = kms.of("stranger")
    assert stranger.describe_key(KeyId=arn)["KeyMetadata"]["AWSAccountId"] == ACCOUNT
    for operation in ("get_key_policy", "enable_key", "schedule_key_deletion", "list_resource_tags"):
        with refused("AccessDeniedException"):
            getattr(stranger, operation)(KeyId=arn)


def test_missing_keys_are_told_to_those_who_may_know(kms: Kms) -> None:
    arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{ABSENT_ID}"
    with refused("NotFoundException", f"Key '{arn}' does not exist"):
        kms.of("reader").describe_key(KeyId=ABSENT_ID)
    with refused("AccessDeniedException"):
        kms.of("nobody").describe_key(KeyId=ABSENT_ID)


# --- conditions


def test_conditions_on_the_encryption_context(kms: Kms) -> None:
    key_id = kms.key(
        key_policy(
            DELEGATION,
            statement(
                user_arn("nobody"),
                "kms:Encrypt",
                "kms:Decrypt",
                Condition={
                    "StringEquals": {"kms:EncryptionContext:AppName": "shop"},
                    "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["AppName", "appname", "n"]},
                },
            ),
        )
    )["KeyId"]
    client = kms.of("nobody")
    blob = client.encrypt(KeyId=key_id, Plaintext=b"x", EncryptionContext={"AppName": "shop"})[
        "CiphertextBlob"
    ]
    client.decrypt(CiphertextBlob=blob, EncryptionContext={"AppName": "shop"})
    client.encrypt(KeyId=key_id, Plaintext=b"x", EncryptionContext={"appname": "shop", "n": "1"})
    for context in ({}, {"AppName": "bank"}, {"n": "shop"}, {"AppName": "shop", "more": "1"}):
        with refused("AccessDeniedException"):
            client.encrypt(KeyId=key_id, Plaintext=b"x", EncryptionContext=context)


def test_re_encryption_needs_both_sides_with_their_own_contexts(kms: Kms) -> None:
    def side(action: str, stage: str) -> dict[str, Any]:
        condition = {"StringEquals": {"kms:EncryptionContext:stage": stage}}
        return statement(user_arn("nobody"), action, Condition=condition)

    source = kms.key(key_policy(DELEGATION, side("kms:ReEncryptFrom", "test")))["Arn"]
    destination = kms.key(key_policy(DELEGATION, side("kms:ReEncryptTo", "prod")))["Arn"]
    test, prod = {"stage": "test"}, {"stage": "prod"}
    blob = kms.of().encrypt(KeyId=source, Plaintext=b"x", EncryptionContext=test)["CiphertextBlob"]

    def move(to: str, before: dict[str, str], after: dict[str, str]) -> Any:
        return kms.of("nobody").re_encrypt(
            CiphertextBlob=blob,
            SourceEncryptionContext=before,
            DestinationKeyId=to,
            DestinationEncryptionContext=after,
        )

    assert move(destination, test, prod)["KeyId"] == destination
    for to, before, after, action, at in (
        (destination, prod, prod, "kms:ReEncryptFrom", source),
        (destination, test, test, "kms:ReEncryptTo", destination),
        (source, test, prod, "kms:ReEncryptTo", source),
    ):
        with refused(
            "AccessDeniedException",
            denied("nobody", action, at, no_policy("identity-based", action)),
        ):
            move(to, before, after)


def test_re_encryption_can_be_confined_to_the_same_key(kms: Kms) -> None:
    same = {"Bool": {"kms:ReEncryptOnSameKey": "true"}}
    statements = (DELEGATION, statement(user_arn("nobody"), "kms:ReEncrypt*", Condition=same))
    key, other = (kms.key(key_policy(*statements))["Arn"] for _ in range(2))
    blob = kms.of().encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    kms.of("nobody").re_encrypt(CiphertextBlob=blob, DestinationKeyId=key)
    with refused("AccessDeniedException"):
        kms.of("nobody").re_encrypt(CiphertextBlob=blob, DestinationKeyId=other)


def test_access_by_tags(kms: Kms) -> None:
    key_id = kms.key()["KeyId"]
    with refused("AccessDeniedException"):
        kms.of("tagged").encrypt(KeyId=key_id, Plaintext=b"x")
    kms.of().tag_resource(KeyId=key_id, Tags=[{"TagKey": "team", "TagValue": "red"}])
    kms.of("tagged").encrypt(KeyId=key_id, Plaintext=b"x")
    kms.of().tag_resource(KeyId=key_id, Tags=[{"TagKey": "team", "TagValue": "blue"}])
    with refused("AccessDeniedException"):
        kms.of("tagged").encrypt(KeyId=key_id, Plaintext=b"x")


def test_access_by_the_alias_in_the_request(kms: Kms) -> None:
    key_id = kms.key()["KeyId"]
    kms.of().create_alias(AliasName="alias/app-1", TargetKeyId=key_id)
    kms.of().create_alias(AliasName="alias/ops-1", TargetKeyId=key_id)
    client = kms.of("aliased")
    client.encrypt(KeyId="alias/app-1", Plaintext=b"x")
    client.encrypt(KeyId=f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/app-1", Plaintext=b"x")
    for name in (key_id, "alias/ops-1"):
        with refused("AccessDeniedException"):
            client.encrypt(KeyId=name, Plaintext=b"x")


def test_access_by_the_keys_aliases(kms: Kms) -> None:
    condition = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/blessed"}}
    key_id = kms.key(
        key_policy(DELEGATION, statement(user_arn("nobody"), "kms:Encrypt", Condition=condition))
    )["KeyId"]
    with refused("AccessDeniedException"):
        kms.of("nobody").encrypt(KeyId=key_id, Plaintext=b"x")
    kms.of().create_alias(AliasName="alias/blessed", TargetKeyId=key_id)
    kms.of("nobody").encrypt(KeyId=key_id, Plaintext=b"x")
    kms.of().delete_alias(AliasName="alias/blessed")
    with refused("AccessDeniedException"):
        kms.of("nobody").encrypt(KeyId=key_id, Plaintext=b"x")


def test_making_a_key_with_tags_needs_permission_to_tag(kms: Kms) -> None:
    kms.of("maker").create_key()
    with refused(
        "AccessDeniedException",
        denied(
            "maker",
            "kms:TagResource",
            f"arn:aws:kms:{REGION}:{ACCOUNT}:key/*",
            no_policy("identity-based", "kms:TagResource"),
        ),
    ):
        kms.of("maker").create_key(Tags=[{"TagKey": "a", "TagValue": "b"}])
    with refused(
        "AccessDeniedException",
        denied("nobody", "kms:CreateKey", "*", no_policy("identity-based", "kms:CreateKey")),
    ):
        kms.of("nobody").create_key()
