"""Log events under a customer's key, by a real client: what the key's policy must say, and what a key that is
disabled makes unreadable."""

from __future__ import annotations

import json
from typing import Any

import pytest
from logs_support import ACCOUNT, GROUP_ARN, REGION, Logs, refused

SERVICE = f"logs.{REGION}.amazonaws.com"


def key_policy(*groups: str) -> str:
    """As AWS's page writes it."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                    "Action": "kms:*",
                    "Resource": "*",
                },
                {
                    "Effect": "Allow",
                    "Principal": {"Service": SERVICE},
                    "Action": [
                        "kms:Encrypt*",
                        "kms:Decrypt*",
                        "kms:ReEncrypt*",
                        "kms:GenerateDataKey*",
                        "kms:Describe*",
                    ],
                    "Resource": "*",
                    "Condition": {
                        "ArnEquals": {
                            "kms:EncryptionContext:aws:logs:arn": [f"{GROUP_ARN}{group}" for group in groups]
                        }
                    },
                },
            ],
        }
    )


@pytest.fixture
def kms(logs: Logs) -> Any:
    return logs.of(service="kms")


def key(kms: Any, *groups: str) -> str:
    arn: str = kms.create_key(Policy=key_policy(*groups))["KeyMetadata"]["Arn"]
    return arn


def not_allowed(group: str) -> tuple[str, str]:
    return (
        "AccessDeniedException",
        f"The specified KMS key does not exist or is not allowed to be used with Arn '{GROUP_ARN}{group}'",
    )


def test_a_group_under_a_key(logs: Logs, kms: Any) -> None:
    group = "/app/under-a-key"
    arn = key(kms, group)
    logs.of().create_log_group(logGroupName=group, kmsKeyId=arn)
    logs.of().create_log_stream(logGroupName=group, logStreamName="s")
    (shown,) = logs.of().describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert shown["kmsKeyId"] == arn
    now = logs.now()
    for number in range(3):
        logs.put(group, "s", [(now + number, f"m{number}")])
    assert logs.messages(group) == ["m0", "m1", "m2"]
    kms.disable_key(KeyId=arn)
    with refused(*not_allowed(group)):
        logs.messages(group)
    with refused(*not_allowed(group)):
        logs.of().get_log_events(logGroupName=group, logStreamName="s")
    kms.enable_key(KeyId=arn)
    assert logs.messages(group) == ["m0", "m1", "m2"]
    kms.put_key_policy(KeyId=arn, Policy=key_policy("/app/another"))
    with refused(*not_allowed(group)):
        logs.messages(group)


def test_new_events_are_refused_within_a_minute(timed: Logs) -> None:
    group = "/app/key-is-gone"
    arn = key(timed.of(service="kms"), group)
    timed.of().create_log_group(logGroupName=group, kmsKeyId=arn)
    timed.of().create_log_stream(logGroupName=group, logStreamName="s")
    for number in range(2):
        timed.put(group, "s", [(timed.now(), f"m{number}")])
    timed.of(service="kms").disable_key(KeyId=arn)
    timed.advance("1m")
    with refused(*not_allowed(group)):
        timed.put(group, "s", [(timed.now(), "lost")])
    timed.of(service="kms").enable_key(KeyId=arn)
    timed.advance("2h")
    timed.put(group, "s", [(timed.now(), "under another data key")])
    assert timed.messages(group) == ["m0", "m1", "under another data key"]


def test_associated_later_and_no_longer(logs: Logs, kms: Any) -> None:
    group = logs.group("/app/associated", "s")
    arn = key(kms, group)
    now = logs.now()
    logs.put(group, "s", [(now, "before")])
    logs.of().associate_kms_key(logGroupName=group, kmsKeyId=arn)
    logs.put(group, "s", [(now + 1, "under the key")])
    logs.of().disassociate_kms_key(resourceIdentifier=f"{GROUP_ARN}{group}")
    logs.put(group, "s", [(now + 2, "after")])
    assert logs.messages(group) == ["before", "under the key", "after"]
    assert "kmsKeyId" not in logs.of().describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]
    kms.disable_key(KeyId=arn)
    assert logs.messages(group, endTime=now) == ["before"], "what the key does not seal is readable"
    assert logs.messages(group, startTime=now + 2) == ["after"]
    with refused(*not_allowed(group)):
        logs.messages(group)


def test_keys_that_are_refused(logs: Logs, kms: Any) -> None:
    group = logs.group("/app/keys-refused")
    client = logs.of()
    foreign = key(kms, "/app/another")
    with refused(*not_allowed(group)):
        client.associate_kms_key(logGroupName=group, kmsKeyId=foreign)
    absent = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-4000-8000-000000000000"
    with refused(*not_allowed(group)):
        client.associate_kms_key(logGroupName=group, kmsKeyId=absent)
    disabled = key(kms, group)
    kms.disable_key(KeyId=disabled)
    with refused("InvalidParameterException"):
        client.associate_kms_key(logGroupName=group, kmsKeyId=disabled)
    with refused("InvalidParameterException", "The specified KMS Key Id could not be found."):
        client.associate_kms_key(logGroupName=group, kmsKeyId="not-an-arn")
    with refused(*not_allowed("/app/never-made")):
        client.create_log_group(logGroupName="/app/never-made", kmsKeyId=foreign)
    assert client.describe_log_groups(logGroupNamePrefix="/app/never-made")["logGroups"] == []
    with refused("InvalidParameterException"):
        client.associate_kms_key(kmsKeyId=disabled)


def test_the_keys_owner_sees_who_used_it(logs: Logs, kms: Any) -> None:
    from server_support import casemate

    group = "/app/audited"
    arn = key(kms, group)
    logs.of().create_log_group(logGroupName=group, kmsKeyId=arn)
    listed = casemate("audit", "tail", "--data", str(logs.server.data), "-n", "all", "--json")
    (used,) = [
        event
        for event in map(json.loads, listed.stdout.splitlines())
        if event["eventName"] == "GenerateDataKeyWithoutPlaintext"
        and any(resource["ARN"] == arn for resource in event.get("resources", ()))
    ]
    assert used["userIdentity"] == {"type": "AWSService", "invokedBy": "logs.amazonaws.com"}
    assert used["requestParameters"]["encryptionContext"] == {"aws:logs:arn": f"{GROUP_ARN}{group}"}
