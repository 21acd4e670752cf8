"""GetKeyLastUsage by a real client: the audit's own ids."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from kms_support import OTHER_ACCOUNT, Kms, key_policy, refused, statement, user_arn


def usage(kms: Kms, key_id: str) -> Any:
    return kms.of().get_key_last_usage(KeyId=key_id)


def test_a_key_that_was_never_used(kms: Kms) -> None:
    key = kms.key()
    kms.of().describe_key(KeyId=key["KeyId"])
    told = usage(kms, key["KeyId"])
    assert told["KeyId"] == key["KeyId"]
    assert told["KeyLastUsage"] == {}
    assert told["KeyCreationDate"] == told["TrackingStartDate"] == key["CreationDate"]


def test_the_last_use_is_that_of_the_audit(kms: Kms) -> None:
    key = kms.key()
    blob = kms.of().encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    opened = kms.of().decrypt(CiphertextBlob=blob)
    with refused("InvalidCiphertextException"):
        kms.of().decrypt(CiphertextBlob=blob, EncryptionContext={"a": "b"})
    told = usage(kms, key["KeyId"])["KeyLastUsage"]
    assert told["Operation"] == "Decrypt"
    assert told["KmsRequestId"] == opened["ResponseMetadata"]["RequestId"], "a refusal is no use"
    event = kms.events("Decrypt", key["Arn"], 2)[0]
    assert told["CloudTrailEventId"] == event["eventID"]
    assert abs(told["Timestamp"] - kms.now()) < timedelta(minutes=5)


def test_a_re_encryption_uses_both_keys(kms: Kms) -> None:
    one, other = kms.key()["KeyId"], kms.key()["KeyId"]
    blob = kms.of().encrypt(KeyId=one, Plaintext=b"x")["CiphertextBlob"]
    done = kms.of().re_encrypt(CiphertextBlob=blob, DestinationKeyId=other)
    for key_id in (one, other):
        told = usage(kms, key_id)["KeyLastUsage"]
        assert told["Operation"] == "ReEncrypt"
        assert told["KmsRequestId"] == done["ResponseMetadata"]["RequestId"]


def test_another_accounts_use_counts_with_the_owners_event(kms: Kms) -> None:
    shared = key_policy(
        statement(user_arn("admin"), "kms:*"), statement(f"arn:aws:iam::{OTHER_ACCOUNT}:root", "kms:*")
    )
    key = kms.key(shared)
    kms.of("stranger").encrypt(KeyId=key["Arn"], Plaintext=b"x")
    told = usage(kms, key["KeyId"])["KeyLastUsage"]
    events = kms.events("Encrypt", key["Arn"], 2)
    owners = next(each for each in events if each["recipientAccountId"] != OTHER_ACCOUNT)
    assert told["CloudTrailEventId"] == owners["eventID"]
    with refused("AccessDeniedException"):
        kms.of("stranger").get_key_last_usage(KeyId=key["Arn"])


def test_a_replica_that_is_made_anew_was_never_used(timed: Kms) -> None:
    ireland = timed.of(region="eu-west-1")
    key_id = timed.key(MultiRegion=True)["KeyId"]
    timed.of().replicate_key(KeyId=key_id, ReplicaRegion="eu-west-1")
    ireland.encrypt(KeyId=key_id, Plaintext=b"x")
    assert ireland.get_key_last_usage(KeyId=key_id)["KeyLastUsage"]["Operation"] == "Encrypt"
    ireland.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    timed.advance("8d")
    timed.of().replicate_key(KeyId=key_id, ReplicaRegion="eu-west-1")
    assert ireland.get_key_last_usage(KeyId=key_id)["KeyLastUsage"] == {}
