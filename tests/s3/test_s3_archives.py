"""Storage classes: transitions by rules, archives, what is restored from them and for how long."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replication_support import advance, messages, queue, versioned
from s3_support import S3, refused, s3_server
from server_support import casemate

from casemate.services.s3.lifecycle_filters import DAY
from casemate.services.s3.lifecycle_job import doomed
from casemate.services.s3.object_rows import ObjectRow
from casemate.services.s3.transitions import DOWNWARDS, can_go

LARGE = b"x" * 200_000


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A server whose clock is moved, forwards only."""
    with s3_server(tmp_path_factory.mktemp("archives")) as running:
        yield running


def put_rules(s3: S3, bucket: str, *rules: dict[str, Any], **more: Any) -> None:
    full = [{"Status": "Enabled", "Filter": {}, **rule} for rule in rules]
    s3.of().put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": full}, **more)


def restore(s3: S3, bucket: str, key: str, days: int = 2, **more: Any) -> int:
    answer = s3.of().restore_object(Bucket=bucket, Key=key, RestoreRequest={"Days": days, **more})
    status: int = answer["ResponseMetadata"]["HTTPStatusCode"]
    return status


def test_an_archived_object(timed: S3) -> None:
    client, bucket = timed.of(), timed.bucket()
    client.put_object(Bucket=bucket, Key="k", Body=LARGE, StorageClass="GLACIER")
    url = queue(timed, bucket, "s3:ObjectRestore:*")
    with refused("InvalidObjectState", "The operation is not valid for the object's storage class", 403):
        client.get_object(Bucket=bucket, Key="k")
    with refused("ObjectNotInActiveTierError", status=403):
        client.copy_object(Bucket=bucket, Key="l", CopySource=f"{bucket}/k")
    head = client.head_object(Bucket=bucket, Key="k")
    assert (head["StorageClass"], head["ContentLength"]) == ("GLACIER", len(LARGE))
    assert "Restore" not in head
    assert restore(timed, bucket, "k") == 202
    with refused("RestoreAlreadyInProgress", "Object restore is already in progress", 409):
        restore(timed, bucket, "k")
    assert client.head_object(Bucket=bucket, Key="k")["Restore"] == 'ongoing-request="true"'
    with refused("InvalidObjectState", status=403):
        client.get_object(Bucket=bucket, Key="k")
    listed = {"Bucket": bucket, "OptionalObjectAttributes": ["RestoreStatus"]}
    assert client.list_objects_v2(**listed)["Contents"][0]["RestoreStatus"] == {"IsRestoreInProgress": True}
    advance(timed, "5h")
    got = client.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == LARGE
    status = client.list_object_versions(**listed)["Versions"][0]["RestoreStatus"]
    until = status["RestoreExpiryDate"]
    assert not status["IsRestoreInProgress"]
    assert (until.hour, until.minute, until.second) == (0, 0, 0)
    shown = until.strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert got["Restore"] == f'ongoing-request="false", expiry-date="{shown}"'
    assert "RestoreStatus" not in client.list_objects_v2(Bucket=bucket)["Contents"][0]
    # What is there can be kept for longer, and copied.
    client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
    copy = client.head_object(Bucket=bucket, Key="copy")
    assert ("Restore" in copy, "StorageClass" in copy) == (False, False)
    assert restore(timed, bucket, "k", days=5) == 200
    assert client.head_object(Bucket=bucket, Key="k")["Restore"] != got["Restore"]
    advance(timed, "3d")
    client.get_object(Bucket=bucket, Key="k")
    advance(timed, "4d")
    with refused("InvalidObjectState", status=403):
        client.get_object(Bucket=bucket, Key="k")
    told = [messages(timed, url)["Records"][0] for _ in range(3)]
    versions = {one["eventName"]: one["eventVersion"] for one in told}
    assert versions == {
        "ObjectRestore:Post": "2.1",
        "ObjectRestore:Completed": "2.1",
        "ObjectRestore:Delete": "2.3",
    }
    (completed,) = [one for one in told if one["eventName"].endswith("Completed")]
    data = completed["glacierEventData"]["restoreEventData"]
    assert data["lifecycleRestoreStorageClass"] == "GLACIER"
    assert data["lifecycleRestorationExpiryTime"] == until.strftime("%Y-%m-%dT%H:%M:%S.000Z")


@pytest.mark.parametrize(
    ("stored", "tier", "hours"),
    [
        ("GLACIER", "Expedited", 1),
        ("GLACIER", "Bulk", 12),
        ("DEEP_ARCHIVE", "Standard", 12),
        ("DEEP_ARCHIVE", "Bulk", 48),
    ],
)
def test_tiers(timed: S3, stored: str, tier: str, hours: int) -> None:
    client, bucket = timed.of(), timed.bucket()
    client.put_object(Bucket=bucket, Key="k", Body=b"1", StorageClass=stored)
    assert restore(timed, bucket, "k", GlacierJobParameters={"Tier": tier}) == 202
    if hours > 1:
        advance(timed, f"{hours - 1}h")
        assert client.head_object(Bucket=bucket, Key="k")["Restore"] == 'ongoing-request="true"'
    advance(timed, "1h")
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"


def test_what_is_not_restored(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    client.put_object(Bucket=bucket, Key="k", Body=b"1")
    client.put_object(Bucket=bucket, Key="deep", Body=b"1", StorageClass="DEEP_ARCHIVE")
    with refused("InvalidObjectState", "Restore is not allowed for the object's current storage class", 403):
        restore(s3, bucket, "k")
    with refused("InvalidArgument", "Retrieval option is not supported by this storage class"):
        restore(s3, bucket, "deep", Tier="Expedited")
    with refused("InvalidArgument"):
        restore(s3, bucket, "deep", days=0)
    with refused("MalformedXML"):
        client.restore_object(Bucket=bucket, Key="deep", RestoreRequest={"Tier": "Bulk"})
    with refused("MalformedXML"):
        client.restore_object(Bucket=bucket, Key="deep")
    with refused("NotImplemented", status=501):
        restore(s3, bucket, "deep", Type="SELECT")
    with refused("NoSuchKey", status=404):
        restore(s3, bucket, "none")
    with refused("AccessDenied", status=403):
        s3.of("nobody").restore_object(Bucket=bucket, Key="deep", RestoreRequest={"Days": 1})


def test_transitions(timed: S3) -> None:
    """By age, current versions and older ones; small objects stay, unless a rule speaks of sizes."""
    client, bucket = timed.of(), versioned(timed)
    put_rules(
        timed,
        bucket,
        {
            "ID": "down",
            "Transitions": [
                {"Days": 30, "StorageClass": "STANDARD_IA"},
                {"Days": 60, "StorageClass": "GLACIER"},
            ],
            "NoncurrentVersionTransitions": [{"NoncurrentDays": 1, "StorageClass": "GLACIER_IR"}],
            "Expiration": {"Days": 400},
        },
        {
            "ID": "small",
            "Filter": {"And": {"Prefix": "tiny", "ObjectSizeGreaterThan": 1}},
            "Transitions": [{"Days": 0, "StorageClass": "INTELLIGENT_TIERING"}],
        },
    )
    url = queue(timed, bucket, "s3:LifecycleTransition")
    older = client.put_object(Bucket=bucket, Key="large", Body=LARGE)["VersionId"]
    for key, body in (("large", LARGE), ("small", b"12"), ("tiny", b"12")):
        put = client.put_object(Bucket=bucket, Key=key, Body=body)
        assert 'rule-id="down"' in put["Expiration"]

    def classes() -> dict[str, str]:
        listed = client.list_objects_v2(Bucket=bucket)["Contents"]
        return {one["Key"]: one["StorageClass"] for one in listed}

    def moved(*keys: str) -> list[str]:
        """The classes that events tell of for these keys, in any order; the queue keeps none for long."""
        told = [messages(timed, url)["Records"][0] for _ in keys]
        assert {(one["eventName"], one["eventVersion"]) for one in told} == {("LifecycleTransition", "2.3")}
        assert sorted(one["s3"]["object"]["key"] for one in told) == sorted(keys)
        return sorted(
            one["lifecycleEventData"]["transitionEventData"]["destinationStorageClass"] for one in told
        )

    advance(timed, "3d")
    assert moved("tiny", "large") == ["GLACIER_IR", "INTELLIGENT_TIERING"]
    assert classes() == {"large": "STANDARD", "small": "STANDARD", "tiny": "INTELLIGENT_TIERING"}
    assert client.head_object(Bucket=bucket, Key="large", VersionId=older)["StorageClass"] == "GLACIER_IR"
    before = client.head_object(Bucket=bucket, Key="large")
    assert 'rule-id="down"' in before["Expiration"]
    advance(timed, "30d")
    assert moved("large") == ["STANDARD_IA"]
    after = client.head_object(Bucket=bucket, Key="large")
    assert (after["StorageClass"], after["LastModified"]) == ("STANDARD_IA", before["LastModified"])
    advance(timed, "30d")
    assert classes()["large"] == "GLACIER"
    with refused("InvalidObjectState", status=403):
        client.get_object(Bucket=bucket, Key="large")
    assert moved("large") == ["GLACIER"]


def test_when_objects_expire_is_told(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    put_rules(
        s3,
        bucket,
        {"ID": "a b", "Filter": {"Prefix": "k"}, "Expiration": {"Days": 3}},
        {"ID": "later", "Expiration": {"Date": datetime(2099, 1, 1, tzinfo=UTC)}},
        {"ID": "off", "Status": "Disabled", "Expiration": {"Days": 1}},
    )
    put = client.put_object(Bucket=bucket, Key="k", Body=b"1")
    head = client.head_object(Bucket=bucket, Key="k")
    day = head["LastModified"].replace(hour=0, minute=0, second=0) + timedelta(days=4)
    assert head["Expiration"] == f'expiry-date="{day:%a, %d %b %Y} 00:00:00 GMT", rule-id="a%20b"'
    assert put["Expiration"] == head["Expiration"] == client.get_object(Bucket=bucket, Key="k")["Expiration"]
    copied = client.copy_object(Bucket=bucket, Key="x", CopySource=f"{bucket}/k")
    assert copied["Expiration"] == 'expiry-date="Thu, 01 Jan 2099 00:00:00 GMT", rule-id="later"'


@pytest.mark.parametrize(
    ("code", "message", "change"),
    [
        ("MalformedXML", None, {"Transitions": [{"StorageClass": "GLACIER"}]}),
        ("MalformedXML", None, {"Transitions": [{"Days": 1}]}),
        ("MalformedXML", None, {"Transitions": [{"Days": 1, "StorageClass": "STANDARD"}]}),
        ("MalformedXML", None, {"NoncurrentVersionTransitions": [{"StorageClass": "GLACIER"}]}),
        ("InvalidArgument", None, {"Transitions": [{"Days": -1, "StorageClass": "GLACIER"}]}),
        (
            "InvalidArgument",
            "'Days' in Transition action must be greater than or equal to 30 for storageClass 'STANDARD_IA'",
            {"Transitions": [{"Days": 29, "StorageClass": "STANDARD_IA"}]},
        ),
        (
            "InvalidArgument",
            None,
            {"NoncurrentVersionTransitions": [{"NoncurrentDays": 29, "StorageClass": "ONEZONE_IA"}]},
        ),
        (
            "InvalidArgument",
            None,
            {
                "NoncurrentVersionTransitions": [
                    {"NoncurrentDays": 9, "StorageClass": "GLACIER", "NewerNoncurrentVersions": 101}
                ]
            },
        ),
        (
            "InvalidArgument",
            None,
            {
                "NoncurrentVersionTransitions": [{"NoncurrentDays": 9, "StorageClass": "GLACIER"}],
                "NoncurrentVersionExpiration": {"NoncurrentDays": 9},
            },
        ),
        (
            "InvalidArgument",
            "'Days' in the Expiration action for filter '(prefix=)' must be greater than 'Days' in the Transition "
            "action",
            {"Transitions": [{"Days": 9, "StorageClass": "GLACIER"}], "Expiration": {"Days": 9}},
        ),
        (
            "InvalidRequest",
            None,
            {
                "Transitions": [{"Days": 9, "StorageClass": "GLACIER"}],
                "Expiration": {"Date": datetime(2099, 1, 1, tzinfo=UTC)},
            },
        ),
        (
            "InvalidRequest",
            "'StorageClass' must be different for 'Transition' actions in same 'Rule' with filter '(prefix=)'",
            {"Transitions": [{"Days": days, "StorageClass": "GLACIER"} for days in (1, 2)]},
        ),
        (
            "InvalidArgument",
            None,
            {
                "Transitions": [
                    {"Days": 30, "StorageClass": "STANDARD_IA"},
                    {"Days": 59, "StorageClass": "GLACIER"},
                ]
            },
        ),
        (
            "InvalidArgument",
            None,
            {"Transitions": [{"Date": datetime(2099, 1, 1, 1, tzinfo=UTC), "StorageClass": "GLACIER"}]},
        ),
    ],
)
def test_transitions_that_cannot_be(s3: S3, code: str, message: str | None, change: dict[str, Any]) -> None:
    bucket = s3.bucket()
    with refused(code, message):
        put_rules(s3, bucket, change)
    with refused("NoSuchLifecycleConfiguration", status=404):
        s3.of().get_bucket_lifecycle_configuration(Bucket=bucket)


def test_transitions_are_shown_as_they_were_put(s3: S3) -> None:
    bucket = s3.bucket()
    rule = {
        "ID": "all",
        "Status": "Enabled",
        "Filter": {},
        "Transitions": [{"Date": datetime(2099, 1, 1, tzinfo=UTC), "StorageClass": "GLACIER"}],
        "NoncurrentVersionTransitions": [
            {"NoncurrentDays": 30, "StorageClass": "STANDARD_IA", "NewerNoncurrentVersions": 3}
        ],
    }
    put_rules(s3, bucket, rule, TransitionDefaultMinimumObjectSize="varies_by_storage_class")
    shown = s3.of().get_bucket_lifecycle_configuration(Bucket=bucket)
    assert shown["Rules"] == [rule]
    assert shown["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"


@given(st.sampled_from(DOWNWARDS), st.sampled_from(DOWNWARDS), st.sampled_from(DOWNWARDS))
def test_classes_only_go_down(one: str, two: str, three: str) -> None:
    assert not (can_go(one, two) and can_go(two, one))
    if can_go(one, two) and can_go(two, three):
        assert can_go(one, three) or (one, three) == ("ONEZONE_IA", "GLACIER_IR")


NOW = 1e9


def version(number: int, age: float, size: int = 200_000, **about: Any) -> ObjectRow:
    return ObjectRow("k", f"{number:032x}", False, number == 0, False, NOW - age * DAY, size, "", about)


@pytest.mark.parametrize(
    ("size", "minimum", "to", "moves"),
    [
        (10, "all_storage_classes_128K", "GLACIER", False),
        (10, "varies_by_storage_class", "GLACIER", True),
        (10, "varies_by_storage_class", "STANDARD_IA", False),
        (131_072, "all_storage_classes_128K", "STANDARD_IA", True),
    ],
)
def test_what_is_small_stays(size: int, minimum: str, to: str, moves: bool) -> None:
    rule = {"Filter": {}, "Transitions": [{"Days": 3, "StorageClass": to}]}
    assert bool(doomed([version(0, 5, size)], [rule], True, NOW, minimum).moved) is moves


def test_which_versions_are_moved() -> None:
    rule = {
        "Filter": {},
        "NoncurrentVersionTransitions": [
            {"NoncurrentDays": 2, "StorageClass": "GLACIER", "NewerNoncurrentVersions": 1}
        ],
        "NoncurrentVersionExpiration": {"NoncurrentDays": 50},
    }
    versions = [version(0, 10), version(1, 20), version(2, 30), version(3, 90), version(4, 100)]
    found = doomed(versions, [rule], True, NOW)
    assert (found.removed, [(row.version[-1], to) for row, to in found.moved]) == (
        [versions[4]],
        [("2", "GLACIER"), ("3", "GLACIER")],
    )
    # What waits to be replicated, or could not be, is left alone.
    waiting: dict[str, Any] = {"Replication": {"arn:aws:s3:::b": ["rule", "PENDING"]}}
    assert doomed([version(0, 10), version(1, 90, **waiting)], [rule], True, NOW).moved == []
    expires = {"Filter": {}, "Expiration": {"Days": 1}}
    assert not doomed([version(0, 10, **waiting)], [expires], True, NOW).hidden
    assert doomed([version(0, 10)], [expires], True, NOW).hidden


def test_fsck_sees_what_is_never_over(timed: S3) -> None:
    client, bucket, data = timed.of(), timed.bucket(), timed.server.data
    client.put_object(Bucket=bucket, Key="k", Body=b"1", StorageClass="GLACIER")
    restore(timed, bucket, "k")
    with closing(sqlite3.connect(data / "casemate.db", timeout=30)) as database, database:
        database.execute("DELETE FROM store_jobs WHERE kind = 's3.restore'")
    assert "is restored, and nothing ends that" in casemate("fsck", "--data", str(data)).stdout
    assert casemate("fsck", "--data", str(data), "--repair").returncode == 0
    advance(timed, "5h")
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
