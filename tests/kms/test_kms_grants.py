"""Grants by real clients: what they allow, to whom, and who makes, lists, retires and revokes them."""

from __future__ import annotations

from contextlib import closing
from sqlite3 import connect
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

NO_GRANT = "0" * 64
SOURCE = f"arn:aws:sns:{REGION}:{ACCOUNT}:topic"
NOBODY, HELPER = user_arn("nobody"), user_arn("helper")


def grant(kms: Kms, key: Any, grantee: str = NOBODY, *operations: str, by: str = "admin", **more: Any) -> Any:
    return kms.of(by).create_grant(
        KeyId=key["Arn"], GranteePrincipal=grantee, Operations=list(operations) or ["Encrypt"], **more
    )


def encrypts(kms: Kms, key: Any, user: str = "nobody", **more: Any) -> bytes:
    blob: bytes = kms.of(user).encrypt(KeyId=key["Arn"], Plaintext=b"x", **more)["CiphertextBlob"]
    return blob


def denied(user: str, action: str, key: Any, kind: str = "identity-based") -> Any:
    return refused(
        "AccessDeniedException",
        f"User: {user_arn(user)} is not authorized to perform: {action} on resource: {key['Arn']} "
        f"because no {kind} policy allows the {action} action",
    )


# --- what a grant allows


def test_a_grant_allows_its_operations_from_its_creation_to_its_end(kms: Kms) -> None:
    key = kms.key()
    with denied("nobody", "kms:Encrypt", key):
        encrypts(kms, key)
    made = grant(kms, key, NOBODY, "Encrypt", "DescribeKey")
    assert set(made) >= {"GrantId", "GrantToken"}
    blob = encrypts(kms, key)
    assert kms.of("nobody").describe_key(KeyId=key["KeyId"])["KeyMetadata"]["Arn"] == key["Arn"]
    with denied("nobody", "kms:Decrypt", key):
        kms.of("nobody").decrypt(CiphertextBlob=blob)
    with denied("helper", "kms:Encrypt", key):
        encrypts(kms, key, "helper")
    kms.of().revoke_grant(KeyId=key["KeyId"], GrantId=made["GrantId"])
    with denied("nobody", "kms:Encrypt", key):
        encrypts(kms, key)


def test_every_operation_on_a_symmetric_key_can_be_granted(kms: Kms) -> None:
    key, client = kms.key(), kms.of("nobody")
    grant(
        kms,
        key,
        NOBODY,
        *("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "DescribeKey", "RetireGrant", "CreateGrant"),
        *("GenerateDataKey", "GenerateDataKeyWithoutPlaintext"),
    )
    blob = encrypts(kms, key)
    assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    again = client.re_encrypt(CiphertextBlob=blob, DestinationKeyId=key["KeyId"])["CiphertextBlob"]
    assert client.decrypt(CiphertextBlob=again)["Plaintext"] == b"x"
    assert client.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256")["KeyId"] == key["Arn"]
    client.generate_data_key_without_plaintext(KeyId=key["KeyId"], KeySpec="AES_256")
    client.describe_key(KeyId=key["KeyId"])


def test_what_cannot_be_granted_is_not_allowed_by_any_grant(kms: Kms) -> None:
    key = kms.key()
    grant(kms, key, NOBODY, "Encrypt", "CreateGrant", "RetireGrant")
    client = kms.of("nobody")
    with denied("nobody", "kms:ListGrants", key):
        client.list_grants(KeyId=key["KeyId"])
    with denied("nobody", "kms:RevokeGrant", key):
        client.revoke_grant(KeyId=key["KeyId"], GrantId=NO_GRANT)
    with denied("nobody", "kms:DisableKey", key):
        client.disable_key(KeyId=key["KeyId"])
    with refused("ValidationException"):
        grant(kms, key, NOBODY, "ListGrants")


def test_both_sides_of_a_re_encryption_need_their_own(kms: Kms) -> None:
    one, other = kms.key(), kms.key()
    blob = encrypts(kms, one, "admin")
    grant(kms, one, NOBODY, "ReEncryptFrom")
    with denied("nobody", "kms:ReEncryptTo", other):
        kms.of("nobody").re_encrypt(CiphertextBlob=blob, DestinationKeyId=other["KeyId"])
    context = {"side": "destination"}
    grant(kms, other, NOBODY, "ReEncryptTo", Constraints={"EncryptionContextEquals": context})
    with denied("nobody", "kms:ReEncryptTo", other):
        kms.of("nobody").re_encrypt(CiphertextBlob=blob, DestinationKeyId=other["KeyId"])
    kms.of("nobody").re_encrypt(
        CiphertextBlob=blob, DestinationKeyId=other["KeyId"], DestinationEncryptionContext=context
    )


def test_an_explicit_deny_wins(kms: Kms) -> None:
    denial = statement("*", "kms:Encrypt", Effect="Deny", Principal={"AWS": NOBODY})
    key = kms.key(key_policy(DELEGATION, denial))
    grant(kms, key)
    with refused("AccessDeniedException"):
        encrypts(kms, key)
    open_key = kms.key()
    grant(kms, open_key, user_arn("forbidden"))
    with refused("AccessDeniedException"):
        encrypts(kms, open_key, "forbidden")


def test_a_grant_needs_nothing_of_the_key_policy(kms: Kms) -> None:
    key = kms.key(key_policy(statement(user_arn("admin"), "kms:*")))
    grant(kms, key)
    encrypts(kms, key)


def test_a_grant_is_enough_across_accounts_and_one_to_the_account_is_passed_on(kms: Kms) -> None:
    key = kms.key()
    grant(kms, key, user_arn("powerless"))
    encrypts(kms, key, "powerless")
    with refused("AccessDeniedException"):
        encrypts(kms, key, "stranger")
    grant(kms, key, f"arn:aws:iam::{OTHER_ACCOUNT}:root", "GenerateDataKey")
    kms.of("stranger").generate_data_key(KeyId=key["Arn"], KeySpec="AES_256")
    with denied("powerless", "kms:GenerateDataKey", key):
        kms.of("powerless").generate_data_key(KeyId=key["Arn"], KeySpec="AES_256")


def test_a_disabled_key_is_not_used_by_a_grant(kms: Kms) -> None:
    key = kms.key()
    grant(kms, key)
    kms.of().disable_key(KeyId=key["KeyId"])
    with refused("DisabledException"):
        encrypts(kms, key)


# --- constraints


@pytest.mark.parametrize(
    ("constraint", "context", "allowed"),
    [
        ("EncryptionContextSubset", {"Department": "IT"}, True),
        ("EncryptionContextSubset", {"Department": "IT", "Purpose": "Test"}, True),
        ("EncryptionContextSubset", {"department": "IT"}, True),
        ("EncryptionContextSubset", {"Department": "it"}, False),
        ("EncryptionContextSubset", {"Purpose": "Test"}, False),
        ("EncryptionContextSubset", {}, False),
        ("EncryptionContextEquals", {"Department": "IT"}, True),
        ("EncryptionContextEquals", {"DEPARTMENT": "IT"}, True),
        ("EncryptionContextEquals", {"Department": "IT", "Purpose": "Test"}, False),
        ("EncryptionContextEquals", {"Department": "it"}, False),
        ("EncryptionContextEquals", {}, False),
    ],
)
def test_an_encryption_context_constraint(
    kms: Kms, constraint: str, context: dict[str, str], allowed: bool
) -> None:
    key = kms.key()
    grant(
        kms,
        key,
        NOBODY,
        "Encrypt",
        "Decrypt",
        "DescribeKey",
        Constraints={constraint: {"Department": "IT"}},
    )
    blob = encrypts(kms, key, "admin", EncryptionContext=context)
    if allowed:
        encrypts(kms, key, EncryptionContext=context)
        kms.of("nobody").decrypt(CiphertextBlob=blob, EncryptionContext=context)
    else:
        with denied("nobody", "kms:Encrypt", key):
            encrypts(kms, key, EncryptionContext=context)
        with denied("nobody", "kms:Decrypt", key):
            kms.of("nobody").decrypt(CiphertextBlob=blob, EncryptionContext=context)
    # It does not apply to what takes no encryption context.
    kms.of("nobody").describe_key(KeyId=key["KeyId"])


def test_a_source_constraint_is_met_by_no_client(kms: Kms) -> None:
    key = kms.key()
    grant(kms, key, Constraints={"SourceArn": SOURCE})
    with denied("nobody", "kms:Encrypt", key):
        encrypts(kms, key)


@pytest.mark.parametrize(
    "constraints",
    [
        {"EncryptionContextSubset": {str(n): "x" for n in range(9)}},
        {"EncryptionContextEquals": {"x": "y" * 385}},
    ],
)
def test_a_constraint_is_bounded(kms: Kms, constraints: Any) -> None:
    key = kms.key()
    with refused("ValidationException"):
        grant(kms, key, Constraints=constraints)


def test_a_source_must_be_an_arn_with_an_account(kms: Kms) -> None:
    with refused("ValidationException"):
        grant(kms, kms.key(), Constraints={"SourceArn": "arn:aws:s3:::a-bucket"})


# --- making grants


@pytest.mark.parametrize(
    "principal",
    [
        "somebody",
        ACCOUNT,
        "AIDAEXAMPLEEXAMPLE22",
        "s3.amazonaws.com",
        f"arn:aws:iam::{ACCOUNT}:group/team",
        f"arn:aws:iam::{ACCOUNT}:user/nobody-is-this",
        f"arn:aws:iam::{ACCOUNT}:role/nor-this",
        f"arn:aws-cn:iam::{ACCOUNT}:user/x",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/no-session",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:key/x",
    ],
)
def test_who_cannot_be_granted_anything(kms: Kms, principal: str) -> None:
    key = kms.key()
    refusal = f"ARN does not refer to a valid principal: {principal}"
    with refused("InvalidArnException", refusal):
        grant(kms, key, principal)
    with refused("InvalidArnException", refusal):
        grant(kms, key, RetiringPrincipal=principal)
    with refused("InvalidArnException", refusal):
        kms.of().list_grants(KeyId=key["KeyId"], GranteePrincipal=principal)
    with refused("InvalidArnException", refusal):
        kms.of().list_retirable_grants(RetiringPrincipal=principal)


@pytest.mark.parametrize(
    "principal",
    [
        ROOT,
        "arn:aws:iam::999988887777:role/team/elsewhere",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/app/session",
        f"arn:aws:sts::{ACCOUNT}:federated-user/bob",
        user_arn("stranger"),
    ],
)
def test_who_can(kms: Kms, principal: str) -> None:
    key = kms.key()
    made = grant(kms, key, principal, RetiringPrincipal=principal)
    (shown,) = kms.of().list_grants(KeyId=key["KeyId"], GranteePrincipal=principal)["Grants"]
    assert (shown["GrantId"], shown["RetiringPrincipal"]) == (made["GrantId"], principal)


def test_grants_in_another_partition(kms: Kms) -> None:
    chinese = kms.of(region="cn-north-1")
    theirs, key = kms.of("nobody", "cn-north-1"), chinese.create_key()["KeyMetadata"]["Arn"]
    with refused("AccessDeniedException"):
        theirs.encrypt(KeyId=key, Plaintext=b"x")
    chinese.create_grant(KeyId=key, GranteePrincipal=NOBODY, Operations=["Encrypt"])
    theirs.encrypt(KeyId=key, Plaintext=b"x")
    (shown,) = chinese.list_grants(KeyId=key)["Grants"]
    assert shown["IssuingAccount"] == f"arn:aws-cn:iam::{ACCOUNT}:root"
    foreign = kms.of("stranger", "cn-north-1")
    for partition in ("aws", "aws-cn"):
        root = f"arn:{partition}:iam::{OTHER_ACCOUNT}:root"
        key = chinese.create_key()["KeyMetadata"]["Arn"]
        chinese.create_grant(KeyId=key, GranteePrincipal=root, Operations=["Encrypt"])
        foreign.encrypt(KeyId=key, Plaintext=b"x")


def test_a_grant_needs_one_grantee(kms: Kms) -> None:
    key, client = kms.key(), kms.of()
    with refused(
        "ValidationException", "You must specify either GranteePrincipal or GranteeServicePrincipal."
    ):
        client.create_grant(KeyId=key["KeyId"], Operations=["Encrypt"])
    both = {"GranteePrincipal": NOBODY, "GranteeServicePrincipal": "s3.us-east-1.amazonaws.com"}
    with refused(
        "ValidationException",
        "You can specify either GranteePrincipal or GranteeServicePrincipal, but not both.",
    ):
        client.create_grant(KeyId=key["KeyId"], Operations=["Encrypt"], **both)
    with refused("ValidationException"):
        grant(kms, key, RetiringPrincipal=HELPER, RetiringServicePrincipal="s3.us-east-1.amazonaws.com")


def test_a_grant_to_a_service_needs_a_source_and_somebody_to_retire_it(kms: Kms) -> None:
    key, client = kms.key(), kms.of()
    wanted: dict[str, Any] = {
        "KeyId": key["KeyId"],
        "Operations": ["Encrypt"],
        "GranteeServicePrincipal": "storage.us-east-1.amazonaws.com",
    }
    with refused(
        "ValidationException", "You must specify a SourceArn constraint with GranteeServicePrincipal."
    ):
        client.create_grant(**wanted)
    wanted["Constraints"] = {"SourceArn": SOURCE}
    with refused(
        "ValidationException",
        "You must specify RetiringPrincipal or RetiringServicePrincipal with GranteeServicePrincipal.",
    ):
        client.create_grant(**wanted)
    client.create_grant(**wanted, RetiringServicePrincipal="storage.us-east-1.amazonaws.com")
    (shown,) = client.list_grants(KeyId=key["KeyId"])["Grants"]
    assert shown["GranteeServicePrincipal"] == shown["RetiringServicePrincipal"]
    assert shown["Constraints"] == wanted["Constraints"]
    assert "GranteePrincipal" not in shown


def test_operations_must_be_the_keys(kms: Kms) -> None:
    key = kms.key()
    with refused(
        "ValidationException",
        f"Operations GenerateMac, Sign are not supported on {key['Arn']}, whose key usage is ENCRYPT_DECRYPT "
        "and whose key spec is SYMMETRIC_DEFAULT.",
    ):
        grant(kms, key, NOBODY, "Encrypt", "Sign", "GenerateMac")
    with refused("ValidationException", "Grants must not contain only the CreateGrant operation."):
        grant(kms, key, NOBODY, "CreateGrant")
    with refused("ValidationException", "You must specify at least one operation."):
        kms.of().create_grant(KeyId=key["KeyId"], GranteePrincipal=NOBODY, Operations=[])
    assert kms.of().list_grants(KeyId=key["KeyId"])["Grants"] == []


def test_a_key_must_be_enabled_and_named_by_its_id(kms: Kms) -> None:
    key, client = kms.key(), kms.of()
    client.disable_key(KeyId=key["KeyId"])
    with refused("DisabledException"):
        grant(kms, key)
    client.schedule_key_deletion(KeyId=key["KeyId"])
    with refused("KMSInvalidStateException"):
        grant(kms, key)
    with refused("KMSInvalidStateException", None):
        grant(kms, kms.key(Origin="EXTERNAL"))
    with refused("NotFoundException"):
        grant(kms, {"Arn": ABSENT_ID})
    with refused("NotFoundException"):
        grant(kms, {"Arn": "alias/x"})


def test_a_named_request_again_makes_no_other_grant(kms: Kms) -> None:
    key = kms.key()
    first = grant(kms, key, NOBODY, "Encrypt", "Decrypt", Name="one")
    again = grant(kms, key, NOBODY, "Decrypt", "Encrypt", Name="one")
    assert again["GrantId"] == first["GrantId"]
    assert again["GrantToken"] != first["GrantToken"]
    others = [
        grant(kms, key, NOBODY, "Encrypt", Name="one"),
        grant(kms, key, HELPER, "Encrypt", "Decrypt", Name="one"),
        grant(kms, key, NOBODY, "Encrypt", "Decrypt", Name="two"),
        grant(kms, key, NOBODY, "Encrypt", "Decrypt", Name="one", RetiringPrincipal=HELPER),
        grant(kms, key, NOBODY, "Encrypt", "Decrypt"),
        grant(kms, key, NOBODY, "Encrypt", "Decrypt"),
    ]
    assert len({first["GrantId"], *(made["GrantId"] for made in others)}) == 7
    assert len(kms.of().list_grants(KeyId=key["KeyId"])["Grants"]) == 7


def test_a_child_grant_is_no_wider_than_its_parent(kms: Kms) -> None:
    key = kms.key()
    grant(
        kms,
        key,
        NOBODY,
        "Encrypt",
        "Decrypt",
        "CreateGrant",
        Constraints={"EncryptionContextSubset": {"Department": "IT"}},
    )

    def child(*operations: str, **constraints: Any) -> Any:
        return grant(kms, key, HELPER, *operations, by="nobody", Constraints=constraints)

    child("Encrypt", EncryptionContextEquals={"department": "IT"})
    child("Encrypt", "Decrypt", EncryptionContextSubset={"Department": "IT", "Purpose": "Test"})
    encrypts(kms, key, "helper", EncryptionContext={"Department": "IT"})
    for operations, constraints in (
        (("Encrypt", "DescribeKey"), {"EncryptionContextSubset": {"Department": "IT"}}),
        (("Encrypt",), {}),
        (("Encrypt",), {"EncryptionContextSubset": {"Purpose": "Test"}}),
        (("Encrypt",), {"EncryptionContextEquals": {"Department": "HR"}}),
        (("Encrypt",), {"EncryptionContextEquals": {}}),
    ):
        with denied("nobody", "kms:CreateGrant", key):
            child(*operations, **constraints)
    with denied("helper", "kms:CreateGrant", key):
        grant(kms, key, NOBODY, "Encrypt", by="helper")


def test_a_grant_made_from_another_account_is_issued_by_it(kms: Kms) -> None:
    stranger = user_arn("stranger")
    key = kms.key(key_policy(DELEGATION, statement(stranger, "kms:CreateGrant", "kms:ListGrants")))
    made = grant(kms, key, user_arn("powerless"), by="stranger")
    (shown,) = kms.of("stranger").list_grants(KeyId=key["Arn"])["Grants"]
    assert shown["IssuingAccount"] == f"arn:aws:iam::{OTHER_ACCOUNT}:root"
    encrypts(kms, key, "powerless")
    kms.of("stranger").retire_grant(KeyId=key["Arn"], GrantId=made["GrantId"])


# --- tokens


def test_a_grant_token_is_taken_and_by_itself_allows_nothing(kms: Kms) -> None:
    key = kms.key()
    made = grant(kms, key)
    token = made["GrantToken"]
    encrypts(kms, key, GrantTokens=[token])
    encrypts(kms, key, "admin", GrantTokens=[token, token])
    with denied("helper", "kms:Encrypt", key):
        encrypts(kms, key, "helper", GrantTokens=[token])
    kms.of().describe_key(KeyId=key["KeyId"], GrantTokens=[token])
    kms.of().generate_data_key(KeyId=key["KeyId"], KeySpec="AES_128", GrantTokens=[token])
    grant(kms, key, HELPER, GrantTokens=[token])
    kms.of().revoke_grant(KeyId=key["KeyId"], GrantId=made["GrantId"])
    with refused("InvalidGrantTokenException"):
        encrypts(kms, key, "admin", GrantTokens=[token])


def test_what_is_no_grant_token(kms: Kms) -> None:
    key, client = kms.key(), kms.of()
    token = grant(kms, key)["GrantToken"]
    altered = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    for wrong in ("x", "ä", altered, token[:-4], token + "AAAA", "9" * 12, "=" + token):
        with refused("InvalidGrantTokenException", "Invalid grant token."):
            encrypts(kms, key, "admin", GrantTokens=[token, wrong])
        with refused("InvalidGrantTokenException", "Invalid grant token."):
            client.describe_key(KeyId=key["KeyId"], GrantTokens=[wrong])
        with refused("InvalidGrantTokenException", "Invalid grant token."):
            grant(kms, key, GrantTokens=[wrong])
        with refused("InvalidGrantTokenException", "Invalid grant token."):
            client.retire_grant(GrantToken=wrong)
    elsewhere = kms.of(region="eu-west-1")
    with refused("InvalidGrantTokenException"):
        elsewhere.retire_grant(GrantToken=token)


# --- lists


def test_what_a_list_shows(kms: Kms) -> None:
    key = kms.key()
    constraints = {"EncryptionContextSubset": {"a": "1"}}
    made = grant(
        kms, key, NOBODY, "Encrypt", "Decrypt", Name="n", RetiringPrincipal=HELPER, Constraints=constraints
    )
    (shown,) = kms.of().list_grants(KeyId=key["KeyId"])["Grants"]
    created = shown.pop("CreationDate")
    assert abs((created - key["CreationDate"]).total_seconds()) < 3600
    assert shown == {
        "KeyId": key["Arn"],
        "GrantId": made["GrantId"],
        "Name": "n",
        "GranteePrincipal": NOBODY,
        "RetiringPrincipal": HELPER,
        "IssuingAccount": ROOT,
        "Operations": ["Encrypt", "Decrypt"],
        "Constraints": constraints,
    }
    bare = grant(kms, key)
    (shown,) = kms.of().list_grants(KeyId=key["KeyId"], GrantId=bare["GrantId"])["Grants"]
    assert shown["Name"] == ""
    assert not {"RetiringPrincipal", "Constraints"} & set(shown)


def test_lists_are_filtered_and_come_in_pages(kms: Kms) -> None:
    key, client = kms.key(), kms.of()
    ours = {grant(kms, key)["GrantId"] for _ in range(5)}
    other = grant(kms, key, HELPER)["GrantId"]
    pages = list(
        client.get_paginator("list_grants").paginate(KeyId=key["KeyId"], PaginationConfig={"PageSize": 2})
    )
    assert [len(page["Grants"]) for page in pages] == [2, 2, 2]
    listed = [each["GrantId"] for page in pages for each in page["Grants"]]
    assert listed == sorted({*ours, other})

    def ids(**more: Any) -> set[str]:
        return {each["GrantId"] for each in client.list_grants(KeyId=key["KeyId"], **more)["Grants"]}

    assert ids(GranteePrincipal=NOBODY) == ours
    assert ids(GranteePrincipal=HELPER) == {other}
    assert ids(GrantId=other) == {other}
    assert ids(GrantId=other, GranteePrincipal=NOBODY) == set()
    assert ids(GrantId=NO_GRANT) == set()
    with refused("InvalidGrantIdException"):
        ids(GrantId="x")
    with refused("InvalidMarkerException"):
        ids(Marker="x")
    with refused("ValidationException"):
        ids(Limit=101)
    with refused("AccessDeniedException"):
        ids(GranteeServicePrincipal="s3.us-east-1.amazonaws.com")
    with refused("ValidationException"):
        ids(GranteeServicePrincipal="s3.us-east-1.amazonaws.com", GranteePrincipal=NOBODY)


def test_retirable_grants_are_those_on_all_keys_of_all_accounts(kms: Kms) -> None:
    mine, retirer = [kms.key(), kms.key()], user_arn("retirer")
    theirs = kms.of("stranger").create_key()["KeyMetadata"]
    made = {grant(kms, key, RetiringPrincipal=retirer)["GrantId"] for key in mine}
    made |= {grant(kms, theirs, by="stranger", RetiringPrincipal=retirer)["GrantId"]}
    grant(kms, mine[0], retirer, RetiringPrincipal=HELPER)
    pages = (
        kms.of("retirer")
        .get_paginator("list_retirable_grants")
        .paginate(RetiringPrincipal=retirer, PaginationConfig={"PageSize": 1})
    )
    listed = [each for page in pages for each in page["Grants"]]
    assert {each["GrantId"] for each in listed} == made
    assert {each["KeyId"] for each in listed} == {key["Arn"] for key in (*mine, theirs)}
    with refused("AccessDeniedException"):
        kms.of("nobody").list_retirable_grants(RetiringPrincipal=retirer)
    with refused("AccessDeniedException"):
        kms.of("stranger").list_retirable_grants(RetiringPrincipal=retirer)
    with refused("ValidationException"):
        kms.of().list_retirable_grants()
    with refused("AccessDeniedException"):
        kms.of().list_retirable_grants(RetiringServicePrincipal="s3.us-east-1.amazonaws.com")


# --- the end of a grant


def test_who_may_retire_a_grant(kms: Kms) -> None:
    key = kms.key()

    def made(*operations: str, **more: Any) -> str:
        found: str = grant(kms, key, NOBODY, *operations, **more)["GrantId"]
        return found

    def retire(user: str, grant_id: str) -> None:
        kms.of(user).retire_grant(KeyId=key["Arn"], GrantId=grant_id)

    retire("helper", made("Encrypt", RetiringPrincipal=HELPER))
    retire("nobody", made("Encrypt", "RetireGrant"))
    retire("powerless", made("Encrypt", RetiringPrincipal=user_arn("powerless")))
    # The account may, and passes it on by identity policies.
    retire("admin", made("Encrypt"))
    retire("retirer", made("Encrypt"))
    retire("stranger", made("Encrypt", RetiringPrincipal=f"arn:aws:iam::{OTHER_ACCOUNT}:root"))
    assert kms.of().list_grants(KeyId=key["KeyId"])["Grants"] == []
    kept = made("Encrypt", "Decrypt", RetiringPrincipal=HELPER)
    with denied("nobody", "kms:RetireGrant", key):
        retire("nobody", kept)
    with denied("stranger", "kms:RetireGrant", key, "resource-based"):
        retire("stranger", kept)
    constrained = made(
        "Encrypt", "RetireGrant", Constraints={"EncryptionContextEquals": {"Department": "IT"}}
    )
    retire("nobody", constrained)


def test_a_key_policy_has_no_say_in_retiring(kms: Kms) -> None:
    key = kms.key(
        key_policy(
            statement(user_arn("admin"), "kms:*"),
            statement(NOBODY, "kms:RetireGrant"),
        )
    )
    kept = grant(kms, key, HELPER)["GrantId"]
    with denied("nobody", "kms:RetireGrant", key):
        kms.of("nobody").retire_grant(KeyId=key["Arn"], GrantId=kept)


def test_a_deny_keeps_from_retiring(kms: Kms) -> None:
    key, forbidden = kms.key(), user_arn("forbidden")
    kept = grant(kms, key, RetiringPrincipal=forbidden)["GrantId"]
    with refused("AccessDeniedException"):
        kms.of("forbidden").retire_grant(KeyId=key["Arn"], GrantId=kept)


def test_retiring_by_token(kms: Kms) -> None:
    key, client = kms.key(), kms.of("helper")
    token = grant(kms, key, RetiringPrincipal=HELPER)["GrantToken"]
    with denied("nobody", "kms:RetireGrant", key):
        kms.of("nobody").retire_grant(GrantToken=token)
    client.retire_grant(GrantToken=token)
    with denied("nobody", "kms:Encrypt", key):
        encrypts(kms, key)
    with refused("InvalidGrantTokenException"):
        client.retire_grant(GrantToken=token)


def test_how_a_grant_to_retire_is_named(kms: Kms) -> None:
    key, client = kms.key(), kms.of()
    made = grant(kms, key)
    for wrong in (
        {},
        {"KeyId": key["Arn"]},
        {"GrantId": made["GrantId"]},
        {"KeyId": key["Arn"], "GrantId": made["GrantId"], "GrantToken": made["GrantToken"]},
        {"KeyId": key["Arn"], "GrantToken": made["GrantToken"]},
    ):
        with refused("ValidationException", "Specify either a grant token, or both a grant ID and a key ID."):
            client.retire_grant(**wrong)
    with refused("InvalidGrantIdException"):
        client.retire_grant(KeyId=key["Arn"], GrantId="x")
    with refused("InvalidGrantIdException"):
        client.revoke_grant(KeyId=key["Arn"], GrantId="x")
    with refused("NotFoundException", f"Grant ID {NO_GRANT} not found"):
        client.retire_grant(KeyId=key["Arn"], GrantId=NO_GRANT)
    with refused("NotFoundException", f"Grant ID {NO_GRANT} not found"):
        client.revoke_grant(KeyId=key["Arn"], GrantId=NO_GRANT)
    with refused("NotFoundException"):
        client.retire_grant(KeyId=ABSENT_ID, GrantId=NO_GRANT)
    with refused("NotFoundException"):
        client.revoke_grant(KeyId=ABSENT_ID, GrantId=NO_GRANT)


def test_whether_a_grant_exists_is_not_told_to_the_unauthorised(kms: Kms) -> None:
    key = kms.key()
    there = grant(kms, key)["GrantId"]
    for user, kind in (("nobody", "identity-based"), ("stranger", "resource-based")):
        for grant_id in (there, NO_GRANT):
            with denied(user, "kms:RetireGrant", key, kind):
                kms.of(user).retire_grant(KeyId=key["Arn"], GrantId=grant_id)
            with denied(user, "kms:RevokeGrant", key, kind):
                kms.of(user).revoke_grant(KeyId=key["Arn"], GrantId=grant_id)


def test_a_dry_run_changes_nothing(kms: Kms) -> None:
    key, client = kms.key(), kms.of()
    done = (
        "DryRunOperationException",
        "The request would have succeeded, but the DryRun option is set.",
        412,
    )
    with refused(*done):
        grant(kms, key, DryRun=True)
    assert client.list_grants(KeyId=key["KeyId"])["Grants"] == []
    with denied("nobody", "kms:CreateGrant", key):
        grant(kms, key, by="nobody", DryRun=True)
    made = grant(kms, key, DryRun=False)
    with refused(*done):
        client.retire_grant(GrantToken=made["GrantToken"], DryRun=True)
    with refused(*done):
        client.revoke_grant(KeyId=key["KeyId"], GrantId=made["GrantId"], DryRun=True)
    with refused("NotFoundException"):
        client.revoke_grant(KeyId=key["KeyId"], GrantId=NO_GRANT, DryRun=True)
    with denied("nobody", "kms:RetireGrant", key):
        kms.of("nobody").retire_grant(GrantToken=made["GrantToken"], DryRun=True)
    with refused(*done):
        encrypts(kms, key, DryRun=True)
    assert len(client.list_grants(KeyId=key["KeyId"])["Grants"]) == 1


# --- policies on grants, and how many there may be


@pytest.mark.parametrize(
    ("condition", "met", "unmet"),
    [
        (
            {"ForAllValues:StringEquals": {"kms:GrantOperations": ["Encrypt", "DescribeKey"]}},
            {},
            {"Operations": ["Encrypt", "Decrypt"]},
        ),
        (
            {"StringEquals": {"kms:GranteePrincipal": NOBODY}},
            {},
            {"GranteePrincipal": user_arn("reader")},
        ),
        (
            {"StringEquals": {"kms:RetiringPrincipal": NOBODY}},
            {"RetiringPrincipal": NOBODY},
            {},
        ),
        (
            {"StringEquals": {"kms:GrantConstraintType": "EncryptionContextEquals"}},
            {"Constraints": {"EncryptionContextEquals": {"a": "1"}}},
            {"Constraints": {"EncryptionContextSubset": {"a": "1"}}},
        ),
        (
            {"StringEquals": {"kms:EncryptionContext:a": "1"}},
            {"Constraints": {"EncryptionContextSubset": {"A": "1", "b": "2"}}},
            {"Constraints": {"EncryptionContextSubset": {"a": "2"}}},
        ),
        (
            {"ArnLike": {"kms:GrantConstraintSourceArn": SOURCE}},
            {"Constraints": {"SourceArn": SOURCE}},
            {},
        ),
        ({"Bool": {"kms:GrantIsForAWSResource": "false"}}, {}, None),
        ({"Bool": {"kms:GrantIsForAWSResource": "true"}}, None, {}),
    ],
)
def test_a_policy_on_what_may_be_granted(
    kms: Kms, condition: dict[str, Any], met: dict[str, Any] | None, unmet: dict[str, Any] | None
) -> None:
    key = kms.key(key_policy(DELEGATION, statement(HELPER, "kms:CreateGrant", Condition=condition)))
    wanted = {"KeyId": key["KeyId"], "GranteePrincipal": NOBODY, "Operations": ["Encrypt"]}
    if met is not None:
        kms.of("helper").create_grant(**wanted | met)
    if unmet is not None:
        with denied("helper", "kms:CreateGrant", key):
            kms.of("helper").create_grant(**wanted | unmet)


def test_a_key_has_fifty_thousand_grants_at_most(kms: Kms) -> None:
    key = kms.key()
    first = grant(kms, key, Name="first")
    # As if there were one less than that.
    with closing(connect(kms.server.data / "casemate.db")) as database, database:
        changed = database.execute(
            "UPDATE kms_grant_counts SET grants = 49999 WHERE key_id = ?", (key["KeyId"],)
        )
        assert changed.rowcount == 1
    last = grant(kms, key)
    with refused("LimitExceededException", "The quota for grants on one key is 50000."):
        grant(kms, key)
    with refused("LimitExceededException"):
        grant(kms, key, DryRun=True)
    assert grant(kms, key, Name="first")["GrantId"] == first["GrantId"], "a retry makes no other"
    kms.of().revoke_grant(KeyId=key["KeyId"], GrantId=last["GrantId"])
    grant(kms, key)


def test_grants_on_a_key_that_is_to_be_deleted_can_be_seen_and_ended(kms: Kms) -> None:
    key, client = kms.key(), kms.of()
    one, other = grant(kms, key), grant(kms, key)
    client.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    assert len(client.list_grants(KeyId=key["KeyId"])["Grants"]) == 2
    client.revoke_grant(KeyId=key["KeyId"], GrantId=one["GrantId"])
    client.retire_grant(KeyId=key["KeyId"], GrantId=other["GrantId"])
    assert client.list_grants(KeyId=key["KeyId"])["Grants"] == []
