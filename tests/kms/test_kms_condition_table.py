"""Every condition key of KMS in a policy: a request that it matches, one that it does not, one without it.

Source: "AWS KMS condition keys", "Actions, resources, and condition keys for AWS Key Management Service".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from kms_support import ABSENT_ID, ACCOUNT, DELEGATION, OTHER_ACCOUNT, REGION, call_by, key_policy, policy_of

from casemate.api import kms
from casemate.engine.envelope.message import BackingKey
from casemate.engine.policy import Attached, Principal, Question, decide, parse
from casemate.gate.conditions import lookup_for
from casemate.gate.operation import Operation
from casemate.gate.resource import Resource
from casemate.services.kms import key as key_module
from casemate.services.kms.key import ENABLED, Key
from casemate.services.kms.rows import KeyRow
from casemate.services.kms.targets import NewKey, Side

MATERIAL = "ab" * 32
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
SERVICE = "storage.us-east-1.amazonaws.com"
SOURCE = f"arn:aws:sns:{REGION}:{ACCOUNT}:topic"


def key(*aliases: str, **changes: Any) -> Key:
    row = KeyRow(
        *(ACCOUNT, REGION, ABSENT_ID, 0.0, ENABLED, "", "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "AWS_KMS"),
        *("", {"team": "red"}, None, MATERIAL),
    )
    backing = {MATERIAL: BackingKey(MATERIAL, bytes(32))}
    return Key(row._replace(**changes), policy_of(key_policy(DELEGATION)), aliases, backing)


KEY = key()
NEW = NewKey("*", ACCOUNT)


class Asked(NamedTuple):
    """A request: its operation, what it says, what it acts on, and how it came."""

    operation: Operation[Any, Any]
    request: Mapping[str, Any] = MappingProxyType({})
    on: Resource = KEY
    via: tuple[str, ...] = ()
    account: str = ACCOUNT
    source: str = ""


class _Route:
    def __init__(self, operation: Operation[Any, Any]) -> None:
        self.operation = operation


def allowed(asked: Asked, operator: str, name: str, value: Any) -> bool:
    """Whether an identity policy with this condition alone allows the request."""
    call = call_by(asked.account, via=asked.via)
    call.route = _Route(asked.operation)  # type: ignore[assignment]
    call.source_arn = asked.source
    statement = {
        "Effect": "Allow",
        "Action": "*",
        "Resource": "*",
        "Condition": {operator: {name: value}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    question = Question(
        Principal("user", ALICE, ACCOUNT),
        Attached((parse(document, "identity"),)),
        asked.operation.action,
        asked.on.arn,
        ACCOUNT,
    )
    return decide(question, lookup_for(call, asked.on, asked.request)).allowed


def grant(**more: Any) -> Asked:
    return Asked(kms.CreateGrant, {"Operations": ["Encrypt", "Decrypt"], **more})


def side(same: bool) -> Asked:
    return Asked(kms.ReEncrypt, {}, Side(KEY, {}, None, "SYMMETRIC_DEFAULT", same))


CONTEXT = {"AppName": "shop"}
MOMENT = datetime(2026, 12, 1, tzinfo=UTC)
ENCRYPT = Asked(kms.Encrypt)

# operator, key, value: a request that matches, one that does not, one whose context does not have the key.
TABLE: list[tuple[str, str, Any, Asked, Asked, Asked | None]] = [
    (
        *("Bool", "kms:BypassPolicyLockoutSafetyCheck", "true"),
        Asked(kms.PutKeyPolicy, {"BypassPolicyLockoutSafetyCheck": True}),
        Asked(kms.PutKeyPolicy),
        ENCRYPT,
    ),
    (
        *("StringEquals", "kms:CallerAccount", OTHER_ACCOUNT),
        Asked(kms.Encrypt, account=OTHER_ACCOUNT),
        ENCRYPT,
        None,
    ),
    (
        *("StringLike", "kms:CustomerMasterKeySpec", "RSA_*"),
        Asked(kms.Sign, on=key(key_spec="RSA_2048")),
        ENCRYPT,
        Asked(kms.ListKeys, on=Resource("*", ACCOUNT)),
    ),
    (
        *("StringEquals", "kms:CustomerMasterKeyUsage", "SIGN_VERIFY"),
        Asked(kms.Sign, on=key(key_usage="SIGN_VERIFY")),
        ENCRYPT,
        Asked(kms.ListKeys, on=Resource("*", ACCOUNT)),
    ),
    (
        *("StringLike", "kms:DataKeyPairSpec", "RSA_*"),
        Asked(kms.GenerateDataKeyPair, {"KeyPairSpec": "RSA_2048"}),
        Asked(kms.GenerateDataKeyPair, {"KeyPairSpec": "ECC_NIST_P256"}),
        Asked(kms.GenerateDataKey),
    ),
    (
        *("StringEquals", "kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT"),
        Asked(kms.GenerateDataKeyPair),
        Asked(kms.Encrypt, {"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}),
        Asked(kms.DescribeKey),
    ),
    (
        *("StringEquals", "kms:EncryptionContext:appname", "shop"),
        Asked(kms.Encrypt, {"EncryptionContext": CONTEXT}),
        Asked(kms.Encrypt, {"EncryptionContext": {"AppName": "bank"}}),
        Asked(kms.Encrypt, {"EncryptionContext": {"other": "shop"}}),
    ),
    (
        *("StringEquals", "kms:EncryptionContext:AppName", "shop"),
        grant(Constraints={"EncryptionContextSubset": CONTEXT}),
        grant(Constraints={"EncryptionContextEquals": {"AppName": "bank"}}),
        grant(),
    ),
    (
        *("ForAnyValue:StringEquals", "kms:EncryptionContextKeys", "AppName"),
        Asked(kms.Encrypt, {"EncryptionContext": CONTEXT}),
        Asked(kms.Encrypt, {"EncryptionContext": {"appname": "shop"}}),
        ENCRYPT,
    ),
    (
        *("ForAnyValue:StringEquals", "kms:EncryptionContextKeys", "AppName"),
        grant(Constraints={"EncryptionContextEquals": CONTEXT}),
        grant(Constraints={"EncryptionContextEquals": {"other": "shop"}}),
        grant(Constraints={"SourceArn": SOURCE}),
    ),
    (
        *("StringEquals", "kms:EncapsulationAlgorithm", "ML_KEM"),
        Asked(kms.Encapsulate, {"EncapsulationAlgorithm": "ML_KEM"}),
        Asked(kms.Decapsulate, {"EncapsulationAlgorithm": "other"}),
        ENCRYPT,
    ),
    (
        *("StringEquals", "kms:ExpirationModel", "KEY_MATERIAL_EXPIRES"),
        Asked(kms.ImportKeyMaterial),
        Asked(kms.ImportKeyMaterial, {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}),
        ENCRYPT,
    ),
    (
        *("ArnLike", "kms:GrantConstraintSourceArn", f"arn:aws:sns:*:{ACCOUNT}:*"),
        grant(Constraints={"SourceArn": SOURCE}),
        grant(Constraints={"SourceArn": f"arn:aws:sns:{REGION}:{OTHER_ACCOUNT}:topic"}),
        grant(),
    ),
    (
        *("StringEquals", "kms:GrantConstraintType", "EncryptionContextEquals"),
        grant(Constraints={"EncryptionContextEquals": CONTEXT}),
        grant(Constraints={"EncryptionContextSubset": CONTEXT}),
        grant(),
    ),
    (
        *("StringEquals", "kms:GrantConstraintType", "SourceArn"),
        grant(Constraints={"SourceArn": SOURCE, "EncryptionContextEquals": CONTEXT}),
        grant(Constraints={"EncryptionContextSubset": CONTEXT}),
        ENCRYPT,
    ),
    (
        *("Bool", "kms:GrantIsForAWSResource", "true"),
        Asked(kms.RevokeGrant, via=("ssm",)),
        Asked(kms.ListGrants),
        Asked(kms.Encrypt, via=("ssm",)),
    ),
    (
        *("ForAllValues:StringEquals", "kms:GrantOperations", ["Encrypt", "Decrypt", "Sign"]),
        grant(),
        grant(Operations=["Encrypt", "DescribeKey"]),
        None,
    ),
    (
        *("ForAnyValue:StringEquals", "kms:GrantOperations", ["Sign", "Encrypt"]),
        grant(),
        grant(Operations=["DescribeKey"]),
        ENCRYPT,
    ),
    (
        *("StringEquals", "kms:GranteePrincipal", ALICE),
        grant(GranteePrincipal=ALICE),
        grant(GranteePrincipal=ALICE + "2"),
        Asked(kms.ListGrants, {"GranteePrincipal": ALICE}),
    ),
    (
        *("StringEquals", "kms:GranteeServicePrincipal", SERVICE),
        grant(GranteeServicePrincipal=SERVICE),
        grant(GranteeServicePrincipal="x." + SERVICE),
        grant(GranteePrincipal=ALICE),
    ),
    (
        *("StringEquals", "kms:EncapsulationAlgorithm", "ML_KEM_768"),
        Asked(kms.Encapsulate, {"EncapsulationAlgorithm": "ML_KEM_768"}),
        Asked(kms.Encapsulate, {"EncapsulationAlgorithm": "other"}),
        ENCRYPT,
    ),
    (
        *("StringEquals", "kms:KeyAgreementAlgorithm", "ECDH"),
        Asked(kms.DeriveSharedSecret, {"KeyAgreementAlgorithm": "ECDH"}),
        Asked(kms.DeriveSharedSecret, {"KeyAgreementAlgorithm": "other"}),
        ENCRYPT,
    ),
    (
        *("StringEquals", "kms:KeyOrigin", "EXTERNAL"),
        Asked(kms.Encrypt, on=key(origin="EXTERNAL")),
        ENCRYPT,
        Asked(kms.ListKeys, on=Resource("*", ACCOUNT)),
    ),
    (
        *("StringEquals", "kms:KeyOrigin", "AWS_KMS"),
        Asked(kms.CreateKey, on=NEW),
        Asked(kms.CreateKey, {"Origin": "EXTERNAL"}, NEW),
        None,
    ),
    (
        *("StringLike", "kms:KeySpec", "RSA_*"),
        Asked(kms.CreateKey, {"KeySpec": "RSA_4096"}, NEW),
        Asked(kms.CreateKey, on=NEW),
        Asked(kms.ListKeys, on=Resource("*", ACCOUNT)),
    ),
    (
        *("StringEquals", "kms:KeyUsage", "ENCRYPT_DECRYPT"),
        Asked(kms.CreateKey, on=NEW),
        Asked(kms.Sign, on=key(key_usage="SIGN_VERIFY")),
        Asked(kms.ListKeys, on=Resource("*", ACCOUNT)),
    ),
    (
        *("StringEquals", "kms:MacAlgorithm", "HMAC_SHA_256"),
        Asked(kms.GenerateMac, {"MacAlgorithm": "HMAC_SHA_256"}),
        Asked(kms.VerifyMac, {"MacAlgorithm": "HMAC_SHA_512"}),
        ENCRYPT,
    ),
    (
        *("StringEquals", "kms:MessageType", "RAW"),
        Asked(kms.Sign),
        Asked(kms.Verify, {"MessageType": "DIGEST"}),
        ENCRYPT,
    ),
    (
        *("Bool", "kms:MultiRegion", "true"),
        Asked(kms.CreateKey, {"MultiRegion": True}, NEW),
        ENCRYPT,
        Asked(kms.ListKeys, on=Resource("*", ACCOUNT)),
    ),
    (
        *("StringEquals", "kms:MultiRegionKeyType", "PRIMARY"),
        Asked(kms.Encrypt, on=key(primary_region=REGION)),
        Asked(kms.Encrypt, on=key(primary_region="eu-west-1")),
        ENCRYPT,
    ),
    (
        *("StringEquals", "kms:PolicyName", "default"),
        Asked(kms.GetKeyPolicy),
        Asked(kms.GetKeyPolicy, {"PolicyName": "other"}),
        ENCRYPT,
    ),
    (
        *("StringEquals", "kms:PrimaryRegion", "eu-west-1"),
        Asked(kms.UpdatePrimaryRegion, {"PrimaryRegion": "eu-west-1"}),
        Asked(kms.UpdatePrimaryRegion, {"PrimaryRegion": "eu-west-2"}),
        ENCRYPT,
    ),
    ("Bool", "kms:ReEncryptOnSameKey", "true", side(True), side(False), ENCRYPT),
    (
        *("StringEquals", "kms:ReplicaRegion", "eu-west-1"),
        Asked(kms.ReplicateKey, {"ReplicaRegion": "eu-west-1"}),
        Asked(kms.ReplicateKey, {"ReplicaRegion": "eu-west-2"}),
        ENCRYPT,
    ),
    (
        *("StringLike", "kms:RequestAlias", "alias/app-*"),
        Asked(kms.Encrypt, {"KeyId": f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/app-1"}),
        Asked(kms.Encrypt, {"KeyId": "alias/other"}),
        Asked(kms.Encrypt, {"KeyId": ABSENT_ID}),
    ),
    (
        *("ForAnyValue:StringLike", "kms:ResourceAliases", "alias/app-*"),
        Asked(kms.Encrypt, on=key("alias/other", "alias/app-1")),
        Asked(kms.Encrypt, on=key("alias/other")),
        ENCRYPT,
    ),
    (
        *("StringEquals", "kms:RetiringPrincipal", ALICE),
        grant(RetiringPrincipal=ALICE),
        grant(RetiringPrincipal=ALICE + "2"),
        Asked(kms.ListRetirableGrants, {"RetiringPrincipal": ALICE}),
    ),
    (
        *("StringEquals", "kms:RetiringServicePrincipal", SERVICE),
        grant(RetiringServicePrincipal=SERVICE),
        grant(RetiringServicePrincipal="x." + SERVICE),
        grant(RetiringPrincipal=ALICE),
    ),
    (
        *("NumericLessThanEquals", "kms:RotationPeriodInDays", "365"),
        Asked(kms.EnableKeyRotation),
        Asked(kms.EnableKeyRotation, {"RotationPeriodInDays": 366}),
        ENCRYPT,
    ),
    (
        *("NumericGreaterThan", "kms:ScheduleKeyDeletionPendingWindowInDays", "7"),
        Asked(kms.ScheduleKeyDeletion),
        Asked(kms.ScheduleKeyDeletion, {"PendingWindowInDays": 7}),
        ENCRYPT,
    ),
    (
        *("StringLike", "kms:SigningAlgorithm", "ECDSA_*"),
        Asked(kms.Sign, {"SigningAlgorithm": "ECDSA_SHA_256"}),
        Asked(kms.Verify, {"SigningAlgorithm": "RSASSA_PSS_SHA_256"}),
        ENCRYPT,
    ),
    (
        *("DateLessThan", "kms:ValidTo", "2027-01-01T00:00:00Z"),
        Asked(kms.ImportKeyMaterial, {"ValidTo": MOMENT}),
        Asked(kms.ImportKeyMaterial, {"ValidTo": MOMENT.replace(year=2027)}),
        ENCRYPT,
    ),
    (
        *("StringEquals", "kms:ViaService", f"ssm.{REGION}.amazonaws.com"),
        Asked(kms.Encrypt, via=("ssm",)),
        Asked(kms.Encrypt, via=("ssm", "s3")),
        ENCRYPT,
    ),
    (
        *("StringEquals", "kms:WrappingAlgorithm", "RSAES_OAEP_SHA_256"),
        Asked(kms.GetParametersForImport, {"WrappingAlgorithm": "RSAES_OAEP_SHA_256"}),
        Asked(kms.GetParametersForImport, {"WrappingAlgorithm": "RSAES_OAEP_SHA_1"}),
        ENCRYPT,
    ),
    (
        *("StringEquals", "kms:WrappingKeySpec", "RSA_3072"),
        Asked(kms.GetParametersForImport, {"WrappingKeySpec": "RSA_3072"}),
        Asked(kms.GetParametersForImport, {"WrappingKeySpec": "RSA_2048"}),
        ENCRYPT,
    ),
    (
        *("StringEquals", "aws:RequestTag/team", "red"),
        Asked(kms.TagResource, {"Tags": [{"TagKey": "Team", "TagValue": "red"}]}),
        Asked(kms.TagResource, {"Tags": [{"TagKey": "team", "TagValue": "blue"}]}),
        ENCRYPT,
    ),
    (
        *("StringEquals", "aws:ResourceTag/Team", "red"),
        ENCRYPT,
        Asked(kms.Encrypt, on=key(tags={"team": "blue"})),
        Asked(kms.Encrypt, on=key(tags={})),
    ),
    (
        *("ForAnyValue:StringEquals", "aws:TagKeys", "team"),
        Asked(kms.UntagResource, {"TagKeys": ["a", "team"]}),
        Asked(kms.UntagResource, {"TagKeys": ["a"]}),
        ENCRYPT,
    ),
    (
        *("ArnEquals", "aws:SourceArn", SOURCE),
        Asked(kms.Encrypt, source=SOURCE),
        Asked(kms.Encrypt, source=SOURCE + "2"),
        ENCRYPT,
    ),
    (
        *("StringEquals", "aws:SourceAccount", ACCOUNT),
        Asked(kms.Encrypt, source=SOURCE),
        Asked(kms.Encrypt, source=SOURCE.replace(ACCOUNT, OTHER_ACCOUNT)),
        ENCRYPT,
    ),
]


@pytest.mark.parametrize(
    ("operator", "name", "value", "match", "other", "without"),
    [pytest.param(*row, id=f"{row[1]} {row[0]}") for row in TABLE],
)
def test_a_condition_key(
    operator: str, name: str, value: Any, match: Asked, other: Asked, without: Asked | None
) -> None:
    assert allowed(match, operator, name, value)
    assert not allowed(other, operator, name, value)
    assert allowed(match, "Null", name, "false")
    if without is not None:
        assert not allowed(without, operator, name, value)
        assert allowed(without, "Null", name, "true")


def test_the_table_has_every_key() -> None:
    tabled = {name.lower() for _, name, *_ in TABLE}
    assert {*key_module._OF_KEY, *key_module._OF_CALL} <= tabled
