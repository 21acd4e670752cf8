"""What quotas do: requests above them are throttled and get through by backing off, and no more is made than they
allow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from quotas_support import ALIASES, KEYS, THROTTLED, quota, refused, value_of, wait_until
from server_support import Server, casemate, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(
        tmp_path_factory.mktemp("enforced"),
        "--dev",
        *("--workers", "2"),
        env={"CASEMATE_QUOTAS": "aws"},
    ) as running:
        yield running


def retrying(server: Server, region: str) -> tuple[Any, list[int]]:
    """A client with boto3's standard retries, and the attempts that each of its calls took."""
    client: Any = boto3.session.Session(
        aws_access_key_id=server.administrator.key.id,
        aws_secret_access_key=server.administrator.key.secret,
        region_name=region,
    ).client(
        "kms",
        endpoint_url=server.endpoint,
        config=Config(retries={"mode": "standard", "total_max_attempts": 12}),
    )
    attempts: list[int] = []
    client.meta.events.register(
        "after-call.kms",
        lambda parsed, **_: attempts.append(parsed["ResponseMetadata"].get("RetryAttempts", 0)),
    )
    return client, attempts


def test_above_the_rate_aws_says_so(server: Server) -> None:
    region = "eu-west-1"
    quota(server, "set", "kms", "UpdateKeyDescription", "0.01", "--region", region)
    kms = server.client("kms", region=region)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.update_key_description(KeyId=key, Description="one")
    with refused("ThrottlingException", THROTTLED):
        kms.update_key_description(KeyId=key, Description="two")
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Description"] == "one"
    # Another quota, and another Region's, are not used up.
    kms.tag_resource(KeyId=key, Tags=[])
    elsewhere = server.client("kms", region="eu-west-2")
    there = elsewhere.create_key()["KeyMetadata"]["KeyId"]
    elsewhere.update_key_description(KeyId=there, Description="two")


def test_boto3s_backoff_gets_through(server: Server) -> None:
    region = "eu-north-1"
    quota(server, "set", "kms", "CreateKey", "4", "--region", region)
    kms, attempts = retrying(server, region)
    keys = {kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(10)}
    assert len(keys) == 10
    assert sum(attempts) > 0, "some were throttled at first"


def test_workers_share_the_rate(server: Server) -> None:
    region = "ap-southeast-2"
    quota(server, "set", "kms", "ListKeys", "0.001", "--region", region)
    outcomes = []
    # Each client has a connection of its own, and the kernel spreads them over the workers.
    for _ in range(12):
        try:
            server.client("kms", region=region).list_keys()
            outcomes.append("ok")
        except Exception as error:
            outcomes.append(type(error).__name__)
    assert outcomes.count("ok") == 1


def test_cryptographic_operations_share_the_quota_of_their_keys_kind(server: Server) -> None:
    region = "us-west-2"
    quota(server, "set", "kms", "CryptographicOperationsSymmetric", "3", "--region", region)
    kms = server.client("kms", region=region)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    quota(server, "set", "kms", "CryptographicOperationsSymmetric", "0.01", "--region", region)
    kms.generate_random(NumberOfBytes=8)
    for operation, parameters in (
        ("encrypt", {"KeyId": key, "Plaintext": b"x"}),
        ("generate_data_key", {"KeyId": key, "KeySpec": "AES_256"}),
        ("generate_random", {"NumberOfBytes": 8}),
    ):
        with refused("ThrottlingException", THROTTLED):
            getattr(kms, operation)(**parameters)
    kms.describe_key(KeyId=key)


def test_an_increase_lets_more_through_at_once(server: Server) -> None:
    region = "ca-central-1"
    quota(server, "set", "kms", "GetKeyPolicy", "0.01", "--region", region)
    kms = server.client("kms", region=region)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.get_key_policy(KeyId=key)
    with refused("ThrottlingException"):
        kms.get_key_policy(KeyId=key)
    quotas = server.client("service-quotas", region=region)
    listed = quotas.list_service_quotas(ServiceCode="kms")["Quotas"]
    code = next(each["QuotaCode"] for each in listed if each["QuotaName"] == "GetKeyPolicy request rate")
    quotas.request_service_quota_increase(ServiceCode="kms", QuotaCode=code, DesiredValue=10_000)
    for _ in range(20):
        kms.get_key_policy(KeyId=key)


def test_keys_have_a_limit(server: Server) -> None:
    region = "ap-northeast-1"
    quota(server, "set", "kms", KEYS, "2", "--region", region)
    kms = server.client("kms", region=region)
    keys = [kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2)]
    with refused("LimitExceededException", "The quota for keys is 2."):
        kms.create_key()
    kms.schedule_key_deletion(KeyId=keys[0], PendingWindowInDays=7)
    with refused("LimitExceededException"):
        kms.create_key()
    quota(server, "set", "kms", KEYS, "3", "--region", region)
    kms.create_key()


def test_aliases_have_one_that_can_be_raised(server: Server) -> None:
    region = "ap-northeast-2"
    quota(server, "set", "kms", "CreateAlias", "100", "--region", region)
    quota(server, "set", "kms", ALIASES, "1", "--region", region)
    kms = server.client("kms", region=region)
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/one", TargetKeyId=key["KeyId"])
    with refused("LimitExceededException", f"The quota for aliases of {key['Arn']} is 1."):
        kms.create_alias(AliasName="alias/two", TargetKeyId=key["KeyId"])
    server.client("service-quotas", region=region).request_service_quota_increase(
        ServiceCode="kms", QuotaCode=ALIASES, DesiredValue=2
    )
    kms.create_alias(AliasName="alias/two", TargetKeyId=key["KeyId"])


def test_stss_operations_share_one(server: Server) -> None:
    region = "sa-east-1"
    quota(server, "set", "sts", "Requests", "0.01", "--region", region)
    sts = server.client("sts", region=region)
    sts.get_caller_identity()
    with refused("Throttling", "Rate exceeded"):
        sts.get_session_token()
    with refused("Throttling", "Rate exceeded"):
        sts.get_caller_identity()


def test_iams_quotas_are_global(server: Server) -> None:
    iam, quotas = server.client("iam"), server.client("service-quotas")
    trust = (
        '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", '
        '"Principal": {"Service": "ec2.amazonaws.com"}}}'
    )
    iam.create_role(RoleName="quotas", AssumeRolePolicyDocument=trust)
    assert iam.get_account_summary()["SummaryMap"]["RolesQuota"] == 1000
    quota(server, "set", "iam", "L-FE177D64", "1", "--region", "eu-west-1")
    assert iam.get_account_summary()["SummaryMap"]["RolesQuota"] == 1
    with refused("LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1", 409):
        iam.create_role(RoleName="more", AssumeRolePolicyDocument=trust)
    quotas.request_service_quota_increase(ServiceCode="iam", QuotaCode="L-FE177D64", DesiredValue=2000)
    iam.create_role(RoleName="more", AssumeRolePolicyDocument=trust)
    quota(server, "set", "iam", "L-0DA4ABF3", "0")
    with refused("LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 0", 409):
        iam.attach_role_policy(RoleName="more", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")


def test_on_postgresql_too(tmp_path: Path, postgres_url: str) -> None:
    env = {"CASEMATE_DATABASE": postgres_url, "CASEMATE_QUOTAS": "aws", "CASEMATE_QUOTA_APPROVAL": "never"}
    with running_server(tmp_path, "--dev", env=env) as server:

        def command(*args: str) -> str:
            done = casemate(*args, "--data", str(server.data), env=env)
            assert done.returncode == 0, done.stderr
            return done.stdout

        command("quota", "set", "kms", KEYS, "2")
        quotas, kms = server.client("service-quotas"), server.client("kms")
        for _ in range(2):
            kms.create_key()
        wait_until(lambda: value_of(quotas, KEYS) == 2)
        with refused("LimitExceededException"):
            kms.create_key()
        asked = quotas.request_service_quota_increase(ServiceCode="kms", QuotaCode=KEYS, DesiredValue=3)
        assert asked["RequestedQuota"]["Status"] == "PENDING"
        assert asked["RequestedQuota"]["Id"] in command("quota", "list")
        command("quota", "approve", asked["RequestedQuota"]["Id"])
        wait_until(lambda: value_of(quotas, KEYS) == 3)
        kms.create_key()
        quotas.tag_resource(
            ResourceARN=quotas.get_service_quota(ServiceCode="kms", QuotaCode=KEYS)["Quota"]["QuotaArn"],
            Tags=[{"Key": "a", "Value": "b"}],
        )
        history = quotas.list_requested_service_quota_change_history(Status="APPROVED", MaxResults=1)
        assert [each["DesiredValue"] for each in history["RequestedQuotas"]] == [3]
        assert "KMS-Keys" in command("cost")
        command("reset")
        wait_until(lambda: value_of(quotas, KEYS) == 100_000)
        assert "KMS-Keys" not in command("cost")
