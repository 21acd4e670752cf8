"""Replication: what comes to the other bucket, by whose permission, and what does not."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from replication_support import (
    FROM,
    TO,
    WAIT,
    advance,
    let,
    messages,
    pair,
    queue,
    replicate,
    role,
    rule,
    usual_role,
    versioned,
    wait,
)
from s3_support import ACCOUNT, OTHER_ACCOUNT, S3, allow, refused, s3_server
from server_support import casemate

LARGE = os.urandom(300_000)
PART = os.urandom(5 * 1024 * 1024)


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A server whose clock is moved, forwards only."""
    with s3_server(tmp_path_factory.mktemp("replication")) as running:
        yield running


def versions(s3: S3, bucket: str, region: str = "us-east-1", user: str = "admin") -> list[tuple[str, str]]:
    listed = s3.of(user, region).list_object_versions(Bucket=bucket)
    return [
        (one["Key"], one["VersionId"])
        for one in (*listed.get("Versions", ()), *listed.get("DeleteMarkers", ()))
    ]


def until(condition: Any) -> None:
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_what_a_replica_is_like(s3: S3, region: str) -> None:
    source, to = pair(s3, region)
    client, far = s3.of(), s3.of(region=region)
    for body in (b"small", LARGE):
        put = client.put_object(
            Bucket=source,
            Key="k",
            Body=body,
            ContentType="text/x-test",
            Metadata={"a": "1"},
            Tagging="t=1",
            StorageClass="STANDARD_IA",
            ChecksumAlgorithm="SHA256",
        )
        named = {"Key": "k", "VersionId": put["VersionId"]}
        head = wait(s3, source, "k", VersionId=named["VersionId"])
        got = far.get_object(Bucket=to, ChecksumMode="ENABLED", **named)
        assert got["Body"].read() == body
        assert got["ReplicationStatus"] == "REPLICA"
        for name in ("ETag", "ContentType", "Metadata", "TagCount", "StorageClass", "LastModified"):
            assert got[name] == head[name], name
        assert got["ChecksumSHA256"] == put["ChecksumSHA256"]
        assert far.get_object_tagging(Bucket=to, **named)["TagSet"] == [{"Key": "t", "Value": "1"}]
    assert versions(s3, to, region) == versions(s3, source)
    # A marker comes along, the removal of a version does not.
    marker = client.delete_object(Bucket=source, Key="k")
    until(lambda: versions(s3, to, region) == versions(s3, source))
    assert far.list_object_versions(Bucket=to)["DeleteMarkers"][0]["IsLatest"]
    client.delete_object(Bucket=source, Key="k", VersionId=marker["VersionId"])
    client.delete_object(Bucket=source, Key="k", VersionId=put["VersionId"])
    client.put_object(Bucket=source, Key="last", Body=b"")
    wait(s3, source, "last")
    assert len(versions(s3, to, region)) == 4
    assert len(versions(s3, source)) == 2


def test_an_object_in_parts(s3: S3) -> None:
    source, to = pair(s3)
    client = s3.of()
    of_upload = {"Bucket": source, "Key": "k"}
    of_upload["UploadId"] = client.create_multipart_upload(**of_upload, ChecksumAlgorithm="SHA256")[
        "UploadId"
    ]
    parts = []
    for number, body in ((1, PART), (3, b"rest")):
        answer = client.upload_part(**of_upload, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256")
        parts.append(
            {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": answer["ChecksumSHA256"]}
        )
    client.complete_multipart_upload(**of_upload, MultipartUpload={"Parts": parts})
    head = wait(s3, source, "k")
    got = client.get_object(Bucket=to, Key="k")
    assert got["Body"].read() == PART + b"rest"
    assert got["ETag"] == head["ETag"]
    part = client.get_object(Bucket=to, Key="k", PartNumber=2)
    assert (part["Body"].read(), part["PartsCount"]) == (b"rest", 2)
    # One may go, and the other is there still.
    client.delete_object(Bucket=source, Key="k", VersionId=head["VersionId"])
    assert client.get_object(Bucket=to, Key="k", Range="bytes=5242875-")["Body"].read() == PART[-5:] + b"rest"
    client.delete_object(Bucket=to, Key="k", VersionId=head["VersionId"])


def test_which_objects(s3: S3) -> None:
    """By prefix and tags; of several rules, the one of the highest priority; replicas never again."""
    client = s3.of()
    source, one, two, three = (versioned(s3) for _ in range(4))
    arn = usual_role(s3)
    with_tag = {"And": {"Prefix": "a/", "Tags": [{"Key": "t", "Value": "1"}]}}
    unmarked = {"Status": "Disabled"}
    replicate(
        s3,
        source,
        arn,
        rule(one, ID="1", Priority=1, Filter={"Prefix": "a/"}, Destination={"StorageClass": "ONEZONE_IA"}),
        rule(
            one,
            ID="2",
            Priority=2,
            Filter=with_tag,
            DeleteMarkerReplication=unmarked,
            Destination={"StorageClass": "GLACIER_IR"},
        ),
        rule(two, ID="3", Priority=3, DeleteMarkerReplication=unmarked),
        rule(three, ID="4", Priority=4, Status="Disabled"),
    )
    replicate(s3, one, arn, rule(three))
    for key, tags in (("a/plain", ""), ("a/tagged", "t=1&u=2"), ("b", "t=1")):
        client.put_object(Bucket=source, Key=key, Body=b"1", Tagging=tags)
        wait(s3, source, key)
    client.delete_object(Bucket=source, Key="b")
    client.delete_object(Bucket=source, Key="a/plain")
    until(lambda: len(versions(s3, one)) == 3)
    stored = {
        each["Key"]: each["StorageClass"] for each in client.list_object_versions(Bucket=one)["Versions"]
    }
    assert stored == {"a/plain": "ONEZONE_IA", "a/tagged": "GLACIER_IR"}
    assert [key for key, _ in versions(s3, two)] == ["a/plain", "a/tagged", "b"]
    client.put_object(Bucket=one, Key="own", Body=b"1")
    wait(s3, one, "own")
    assert [key for key, _ in versions(s3, three)] == ["own"]
    # A copy is an object of its own, of which nothing was replicated yet.
    unreplicated = s3.bucket()
    client.copy_object(Bucket=unreplicated, Key="c", CopySource=f"{two}/a/tagged")
    assert "ReplicationStatus" not in client.head_object(Bucket=unreplicated, Key="c")


def test_the_older_schema(s3: S3) -> None:
    source, to = pair(s3, Filter=None, Priority=None, DeleteMarkerReplication=None, Prefix="a")
    client = s3.of()
    for key in ("a", "b"):
        client.put_object(Bucket=source, Key=key, Body=b"1")
    client.delete_object(Bucket=source, Key="a")
    until(lambda: len(versions(s3, to)) == 2)
    assert {key for key, _ in versions(s3, to)} == {"a"}
    assert "ReplicationStatus" not in client.head_object(Bucket=source, Key="b")


def test_changes_come_after(s3: S3) -> None:
    """Tags and locks, of replicas too where rules say so; an Object Lock is never weakened."""
    locked: dict[str, Any] = {"ObjectLockEnabledForBucket": True}
    source, to = versioned(s3, **locked), versioned(s3, **locked)
    client, arn = s3.of(), usual_role(s3)
    both = {"SourceSelectionCriteria": {"ReplicaModifications": {"Status": "Enabled"}}}
    replicate(s3, source, arn, rule(to, **both))
    replicate(s3, to, arn, rule(source, **both))
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    later = soon + timedelta(days=1)
    named = {"Key": "k", "VersionId": client.put_object(Bucket=source, Key="k", Body=b"1")["VersionId"]}
    wait(s3, source, "k", VersionId=named["VersionId"])

    def tag(bucket: str, value: str) -> None:
        client.put_object_tagging(Bucket=bucket, **named, Tagging={"TagSet": [{"Key": "t", "Value": value}]})

    def tags(bucket: str) -> Any:
        return [one["Value"] for one in client.get_object_tagging(Bucket=bucket, **named)["TagSet"]]

    tag(source, "1")
    until(lambda: tags(to) == ["1"])
    tag(to, "2")
    until(lambda: tags(source) == ["2"])
    assert client.head_object(Bucket=to, **named)["ReplicationStatus"] == "REPLICA"
    client.put_object_legal_hold(Bucket=source, **named, LegalHold={"Status": "ON"})
    until(lambda: "ObjectLockLegalHoldStatus" in client.head_object(Bucket=to, **named))
    strict = {"Mode": "COMPLIANCE", "RetainUntilDate": later}
    client.put_object_retention(Bucket=to, **named, Retention=strict)
    until(lambda: "ObjectLockMode" in client.head_object(Bucket=source, **named))
    other = {"Key": "l", "VersionId": client.put_object(Bucket=source, Key="l", Body=b"1")["VersionId"]}
    wait(s3, source, "l", VersionId=other["VersionId"])
    client.delete_bucket_replication(Bucket=to)
    client.put_object_retention(Bucket=to, **other, Retention=strict)
    weak = {"Mode": "GOVERNANCE", "RetainUntilDate": soon}
    client.put_object_retention(Bucket=source, **other, Retention=weak)
    wait(s3, source, "l", VersionId=other["VersionId"])
    assert client.get_object_retention(Bucket=to, **other)["Retention"] == strict
    client.put_object_legal_hold(Bucket=source, **named, LegalHold={"Status": "OFF"})
    until(lambda: client.head_object(Bucket=to, **named)["ObjectLockLegalHoldStatus"] == "OFF")


@pytest.mark.parametrize("bucket_key", [False, True])
@pytest.mark.parametrize("algorithm", ["aws:kms", "aws:kms:dsse"])
def test_kms(s3: S3, algorithm: str, bucket_key: bool) -> None:
    """Decrypted where the source is, encrypted where the replica comes to, by what the role is allowed."""
    client, far = s3.of(), s3.of(region="eu-west-1")
    source, to = versioned(s3), versioned(s3, "eu-west-1")
    default = {"SSEAlgorithm": "aws:kms"}
    far.put_bucket_encryption(
        Bucket=to,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": bucket_key}]
        },
    )
    here = s3.of(service="kms").create_key()["KeyMetadata"]["Arn"]
    there = s3.of(region="eu-west-1", service="kms").create_key()["KeyMetadata"]["Arn"]

    def via(region: str, resource: str) -> dict[str, Any]:
        with_key = bucket_key and algorithm == "aws:kms"
        bound = f"arn:aws:s3:::{to}" if with_key and region == "eu-west-1" else "arn:aws:s3:::*"
        return {
            "resource": resource,
            "Condition": {
                "StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"},
                "StringLike": {"kms:EncryptionContext:aws:s3:arn": bound},
            },
        }

    arn = usual_role(
        s3, allow("kms:Decrypt", **via("us-east-1", here)), allow("kms:Encrypt", **via("eu-west-1", there))
    )
    selects = {"SseKmsEncryptedObjects": {"Status": "Enabled"}}
    encrypts = {"EncryptionConfiguration": {"ReplicaKmsKeyID": there}}
    replicate(s3, source, arn, rule(to, SourceSelectionCriteria=selects, Destination=encrypts))
    for body in (b"small", LARGE):
        client.put_object(Bucket=source, Key="k", Body=body, ServerSideEncryption=algorithm, SSEKMSKeyId=here)
        wait(s3, source, "k")
        got = far.get_object(Bucket=to, Key="k")
        assert got["Body"].read() == body
        assert (got["ServerSideEncryption"], got["SSEKMSKeyId"]) == (algorithm, there)
        assert got.get("BucketKeyEnabled", False) == (bucket_key and algorithm == "aws:kms")
    client.put_object(Bucket=source, Key="plain", Body=b"1")
    wait(s3, source, "plain")
    assert far.head_object(Bucket=to, Key="plain")["ServerSideEncryption"] == "AES256"


def test_keys_that_no_rule_speaks_of(s3: S3) -> None:
    source, _to = pair(s3)
    put = s3.of().put_object(Bucket=source, Key="k", Body=b"1", ServerSideEncryption="aws:kms")
    assert "ReplicationStatus" not in s3.of().head_object(Bucket=source, Key="k", VersionId=put["VersionId"])


@pytest.mark.parametrize("body", [b"small", LARGE])
def test_a_customers_key(s3: S3, body: bytes) -> None:
    """Nobody but the customer can decrypt it, and it is replicated all the same."""
    source, to = pair(s3)
    client = s3.of(tls=True)
    for bucket in (source, to):
        client.put_bucket_encryption(
            Bucket=bucket,
            ServerSideEncryptionConfiguration={
                "Rules": [
                    {
                        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
                        "BlockedEncryptionTypes": {"EncryptionType": ["NONE"]},
                    }
                ]
            },
        )
    mine: dict[str, Any] = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(32)}
    client.put_object(Bucket=source, Key="k", Body=body, **mine)
    until(lambda: client.head_object(Bucket=source, Key="k", **mine)["ReplicationStatus"] == "COMPLETED")
    assert client.get_object(Bucket=to, Key="k", **mine)["Body"].read() == body
    with refused("AccessDenied", status=403):
        client.get_object(Bucket=to, Key="k", **{**mine, "SSECustomerKey": os.urandom(32)})
    copied = {f"CopySource{name}": value for name, value in mine.items()}
    client.copy_object(Bucket=to, Key="copy", CopySource=f"{to}/k", **copied)
    assert client.get_object(Bucket=to, Key="copy")["Body"].read() == body


def test_to_another_account(s3: S3) -> None:
    source, to = versioned(s3), versioned(s3, user="stranger")
    arn = usual_role(s3)
    let(s3, to, arn)
    owner = {"Account": OTHER_ACCOUNT, "AccessControlTranslation": {"Owner": "Destination"}}
    replicate(s3, source, arn, rule(to, Destination=owner))
    s3.of().put_object(Bucket=source, Key="k", Body=b"1")
    wait(s3, source, "k")
    assert s3.of("stranger").get_object(Bucket=to, Key="k")["Body"].read() == b"1"


def test_tags_that_may_not_be_replicated(s3: S3) -> None:
    source, to = versioned(s3), versioned(s3)
    arn = role(s3, allow(*FROM, "s3:ReplicateObject"))
    replicate(s3, source, arn, rule(to))
    s3.of().put_object(Bucket=source, Key="k", Body=b"1", Tagging="t=1")
    wait(s3, source, "k")
    assert s3.of().get_object_tagging(Bucket=to, Key="k")["TagSet"] == []


def _failing(s3: S3, case: str) -> tuple[str, str]:
    """A bucket whose replication fails in some way, and the reason."""
    if case == "another account's":
        source, to = versioned(s3), versioned(s3, user="stranger")
        replicate(s3, source, usual_role(s3), rule(to, Destination={"Metrics": {"Status": "Enabled"}}))
        return source, "AccessDenied"
    metrics = {"Metrics": {"Status": "Enabled"}}
    source, to = versioned(s3), versioned(s3)
    if case == "no trust":
        arn = role(s3, allow(*FROM, *TO), service="ec2.amazonaws.com")
    elif case in FROM or case in TO:
        arn = role(s3, allow(*(action for action in (*FROM, *TO) if action != case)))
    else:
        arn = usual_role(s3)
    replicate(s3, source, arn, rule(to, Destination=metrics))
    if case == "no versions":
        s3.of().put_bucket_versioning(Bucket=to, VersioningConfiguration={"Status": "Suspended"})
        return source, "DstBucketUnversioned"
    if case == "no bucket":
        s3.of().delete_bucket(Bucket=to)
        return source, "DstBucketNotFound"
    return source, "AccessDenied"


@pytest.mark.parametrize(
    "case",
    [
        "no trust",
        "another account's",
        "no versions",
        "no bucket",
        "s3:GetObjectVersionForReplication",
        "s3:ReplicateObject",
    ],
)
def test_what_fails(timed: S3, case: str) -> None:
    source, reason = _failing(timed, case)
    url = queue(timed, source, "s3:Replication:*")
    client = timed.of()
    version = client.put_object(Bucket=source, Key="a b", Body=b"1")["VersionId"]
    assert client.head_object(Bucket=source, Key="a b")["ReplicationStatus"] == "PENDING"
    assert client.get_object(Bucket=source, Key="a b")["Body"].read() == b"1"
    wait(timed, source, "a b", "FAILED", hurry=True)
    (record,) = messages(timed, url)["Records"]
    assert (record["eventName"], record["eventVersion"]) == ("Replication:OperationFailedReplication", "2.2")
    assert (record["s3"]["object"]["key"], record["s3"]["object"]["versionId"]) == ("a+b", version)
    assert record["replicationEventData"]["failureReason"] == reason


def test_a_key_that_the_role_may_not_use(timed: S3) -> None:
    source, to = versioned(timed), versioned(timed)
    key = timed.of(service="kms").create_key()["KeyMetadata"]["Arn"]
    selects = {"SseKmsEncryptedObjects": {"Status": "Enabled"}}
    encrypts = {"EncryptionConfiguration": {"ReplicaKmsKeyID": key}}
    arn = usual_role(timed, allow("kms:Decrypt", resource=key))
    replicate(timed, source, arn, rule(to, SourceSelectionCriteria=selects, Destination=encrypts))
    timed.of().put_object(Bucket=source, Key="k", Body=LARGE, ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    wait(timed, source, "k", "FAILED", hurry=True)
    assert versions(timed, to) == []


WRITERS = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
LATE = ("MissedThreshold", "ReplicatedAfterThreshold")


def _hold(s3: S3, version: str) -> bool:
    """Keep a replication from being tried for now; whether it waits to be tried again."""
    with closing(sqlite3.connect(s3.server.data / "casemate.db", timeout=30)) as database, database:
        held = database.execute(
            "UPDATE store_jobs SET lease_until = due + 5000, epoch = epoch + 1 "
            "WHERE kind = 's3.replicate' AND failures > 0 AND id LIKE ?",
            (f"% {version} %",),
        )
        return held.rowcount > 0


def test_what_is_late(timed: S3) -> None:
    """Replication Time Control tells when it takes longer than fifteen minutes, and when it is done after all."""
    source, to = versioned(timed), versioned(timed)
    in_time = {
        "ReplicationTime": {"Status": "Enabled", "Time": {"Minutes": 15}},
        "Metrics": {"Status": "Enabled", "EventThreshold": {"Minutes": 15}},
    }
    arn = usual_role(timed)
    replicate(timed, source, arn, rule(to, Destination=in_time))
    url = queue(timed, source, *(f"s3:Replication:Operation{name}" for name in LATE))
    client, iam = timed.of(), timed.of(service="iam")
    client.put_object(Bucket=source, Key="early", Body=b"1")
    wait(timed, source, "early")
    name = arn.partition("/")[2]
    policy = iam.get_role_policy(RoleName=name, PolicyName="own")["PolicyDocument"]
    iam.delete_role_policy(RoleName=name, PolicyName="own")
    while True:
        version = client.put_object(Bucket=source, Key="late", Body=b"1")["VersionId"]
        until(lambda: _hold(timed, version) or _status(timed, source, version) == "FAILED")  # noqa: B023
        if _status(timed, source, version) == "PENDING":
            break
    advance(timed, "16m")
    (record,) = messages(timed, url)["Records"]
    assert record["eventName"] == "Replication:OperationMissedThreshold"
    assert (record["s3"]["object"]["versionId"], record["replicationEventData"]["threshold"]) == (
        version,
        900,
    )
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
    advance(timed, "2h")
    wait(timed, source, "late", VersionId=version)
    (record,) = messages(timed, url)["Records"]
    assert record["eventName"] == "Replication:OperationReplicatedAfterThreshold"
    assert record["replicationEventData"]["replicationTime"] >= 16 * 60


def _status(s3: S3, bucket: str, version: str) -> str:
    found: str = s3.of().head_object(Bucket=bucket, Key="late", VersionId=version)["ReplicationStatus"]
    return found


REFUSED: list[tuple[str, str | None, dict[str, Any]]] = [
    ("InvalidArgument", "Rule Id length should not exceed allowed limit of 255", {"ID": "a" * 256}),
    ("MalformedXML", None, {"Filter": None}),
    ("MalformedXML", None, {"Prefix": "a"}),
    ("MalformedXML", None, {"Filter": {"Prefix": "a", "Tag": {"Key": "a", "Value": "b"}}}),
    ("MalformedXML", None, {"Status": "On"}),
    ("InvalidRequest", None, {"Priority": None}),
    ("InvalidRequest", None, {"DeleteMarkerReplication": None}),
    ("InvalidRequest", None, {"Filter": None, "Prefix": ""}),
    ("InvalidArgument", None, {"Priority": -1}),
    ("InvalidRequest", None, {"Filter": {"Tag": {"Key": "a", "Value": "b"}}}),
    ("InvalidStorageClass", None, {"Destination": {"StorageClass": "OUTPOSTS"}}),
    ("InvalidRequest", None, {"Destination": {"AccessControlTranslation": {"Owner": "Destination"}}}),
    ("InvalidRequest", None, {"Destination": {"Account": "999999999999"}}),
    ("InvalidArgument", None, {"Destination": {"Bucket": "no-arn"}}),
    (
        "InvalidRequest",
        "Destination bucket must exist.",
        {"Destination": {"Bucket": "arn:aws:s3:::no-such-bucket"}},
    ),
    (
        "InvalidRequest",
        "Metrics must be enabled if ReplicationTime is enabled.",
        {"Destination": {"ReplicationTime": {"Status": "Enabled", "Time": {"Minutes": 15}}}},
    ),
    (
        "InvalidArgument",
        None,
        {"Destination": {"Metrics": {"Status": "Enabled", "EventThreshold": {"Minutes": 5}}}},
    ),
    (
        "InvalidRequest",
        "ReplicaKmsKeyID must be specified if SseKmsEncryptedObjects tag is present.",
        {"SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}}},
    ),
    ("InvalidRequest", None, {"Destination": {"EncryptionConfiguration": {"ReplicaKmsKeyID": "alias/a"}}}),
    ("NotImplemented", None, {"ExistingObjectReplication": {"Status": "Enabled"}}),
]


@pytest.fixture(scope="module")
def made(s3: S3) -> tuple[str, str, str]:
    return versioned(s3), versioned(s3), usual_role(s3)


@pytest.mark.parametrize(("code", "message", "change"), REFUSED)
def test_rules_that_cannot_be(
    s3: S3, made: tuple[str, str, str], code: str, message: str | None, change: dict[str, Any]
) -> None:
    source, to, arn = made
    with refused(code, message, 501 if code == "NotImplemented" else 400):
        replicate(s3, source, arn, rule(to, **change))
    with refused("ReplicationConfigurationNotFoundError", "The replication configuration was not found", 404):
        s3.of().get_bucket_replication(Bucket=source)


def test_configurations_that_cannot_be(s3: S3, made: tuple[str, str, str]) -> None:
    source, to, arn = made
    with refused("InvalidRequest", "Destination bucket cannot be the same as the source bucket."):
        replicate(s3, source, arn, rule(source))
    with refused("InvalidRequest", "Destination bucket must have versioning enabled."):
        replicate(s3, source, arn, rule(s3.bucket()))
    with refused(
        "InvalidRequest", "Versioning must be 'Enabled' on the bucket to apply a replication configuration"
    ):
        replicate(s3, s3.bucket(), arn, rule(to))
    with refused("InvalidArgument", "Rule Id must be unique. Found same Id for more than one rule"):
        replicate(s3, source, arn, rule(to), rule(to, Priority=2))
    with refused("InvalidRequest"):
        replicate(s3, source, arn, rule(to), rule(to, ID="other"))
    older = {"Filter": None, "Priority": None, "DeleteMarkerReplication": None}
    with refused("InvalidRequest"):
        replicate(s3, source, arn, rule(to, **older, Prefix="a"), rule(to, **older, Prefix="ab", ID="other"))
    with refused("InvalidRequest"):
        other = versioned(s3)
        replicate(s3, source, arn, rule(to, **older, Prefix="a"), rule(other, **older, Prefix="b"))
    with refused("MalformedXML"):
        replicate(s3, source, arn, rule(to), rule(to, **older, Prefix="ab", ID="other"))
    with refused("InvalidArgument"):
        replicate(s3, source, f"{arn}x", rule(to))
    locked = versioned(s3, ObjectLockEnabledForBucket=True)
    with refused("InvalidRequest", "Destination bucket must have Object Lock enabled."):
        replicate(s3, locked, arn, rule(to))


def test_who_may_configure(s3: S3) -> None:
    source, to = versioned(s3), versioned(s3)
    arn = usual_role(s3)
    configuration = {"Role": arn, "Rules": [rule(to)]}
    client = s3.of("nobody")
    s3.may("nobody", allow("s3:PutReplicationConfiguration"))
    with refused("AccessDenied", status=403):
        client.put_bucket_replication(Bucket=source, ReplicationConfiguration=configuration)
    passed = {"StringEquals": {"iam:PassedToService": "s3.amazonaws.com"}}
    s3.may("nobody", allow("iam:PassRole", resource=arn, Condition=passed))
    with refused("AccessDenied", status=403):
        client.put_bucket_replication(Bucket=source, ReplicationConfiguration=configuration)
    s3.may(
        "nobody",
        allow("s3:PutReplicationConfiguration"),
        allow("iam:PassRole", resource=arn, Condition=passed),
    )
    client.put_bucket_replication(Bucket=source, ReplicationConfiguration=configuration)
    with refused("AccessDenied", status=403):
        client.get_bucket_replication(Bucket=source)
    shown = s3.of().get_bucket_replication(Bucket=source)["ReplicationConfiguration"]
    assert shown == configuration
    with refused("InvalidBucketState", status=409):
        s3.of().put_bucket_versioning(Bucket=source, VersioningConfiguration={"Status": "Suspended"})
    client.delete_bucket_replication(Bucket=source)
    with refused("ReplicationConfigurationNotFoundError", status=404):
        s3.of().get_bucket_replication(Bucket=source)
    s3.of().put_bucket_versioning(Bucket=source, VersioningConfiguration={"Status": "Suspended"})


def test_the_audit_tells_of_it(s3: S3) -> None:
    source, to = pair(s3)
    s3.of().put_object(Bucket=source, Key="k", Body=b"1")
    wait(s3, source, "k")
    found: list[dict[str, Any]] = []

    def is_told() -> bool:
        # It is told once it is done.
        shown = casemate("audit", "tail", "--json", "-n", "all", "--data", str(s3.server.data))
        for line in shown.stdout.splitlines():
            details = json.loads(line).get("serviceEventDetails") or {}
            if to in details.get("to", ""):
                found.append(json.loads(line))
        return bool(found)

    until(is_told)
    told = found[0]
    assert (told["recipientAccountId"], told["serviceEventDetails"]["status"]) == (ACCOUNT, "COMPLETED")


@pytest.mark.parametrize("translated", [False, True])
def test_owners_and_lists(s3: S3, translated: bool) -> None:
    """A replica belongs to who owns its source, and has its list, unless the destination's owner is to own it."""
    source, to = versioned(s3), versioned(s3, user="stranger")
    s3.of().put_bucket_ownership_controls(Bucket=source, OwnershipControls=WRITERS)
    s3.of("stranger").put_bucket_ownership_controls(Bucket=to, OwnershipControls=WRITERS)
    arn = usual_role(s3)
    let(s3, to, arn)
    owner = {"Account": OTHER_ACCOUNT, "AccessControlTranslation": {"Owner": "Destination"}}
    replicate(s3, source, arn, rule(to, Destination=owner if translated else {}))
    client = s3.of()
    reader = f'id="{s3.of("stranger").list_buckets()["Owner"]["ID"]}"'
    put = client.put_object(Bucket=source, Key="k", Body=b"1", GrantRead=reader)
    wait(s3, source, "k")
    named = {"Key": "k", "VersionId": put["VersionId"]}
    here = client.get_object_acl(Bucket=source, **named)
    there = s3.of("stranger" if translated else "admin")
    acl = there.get_object_acl(Bucket=to, **named)
    assert (acl["Owner"] == here["Owner"], acl["Grants"] == here["Grants"]) == (not translated,) * 2
    client.put_object_acl(Bucket=source, **named, ACL="private")
    until(lambda: len(there.get_object_acl(Bucket=to, **named)["Grants"]) == 1)
