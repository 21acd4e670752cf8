"""Lifecycle rules: what may be put, and what goes by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3_support import ACCOUNT, S3, refused, s3_server
from server_support import casemate

from casemate.engine.envelope.hierarchy import RootKey
from casemate.gate.announcing import ServiceEvent
from casemate.gate.keyring import Keyring
from casemate.server.movable_clock import MovableClock
from casemate.services.s3 import lifecycle_job
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.lifecycle_filters import DAY, due
from casemate.services.s3.lifecycle_job import LIFECYCLE, applier, doomed
from casemate.services.s3.object_rows import ObjectRow, Objects
from casemate.services.s3.resources import Bucket
from casemate.services.s3.settings import NEW
from casemate.store.database import Tx, open_store
from casemate.store.jobs import Jobs, schedule
from casemate.store.migrate import discover

RULE: dict[str, Any] = {
    "ID": "old",
    "Status": "Enabled",
    "Filter": {"Prefix": "tmp/"},
    "Expiration": {"Days": 3},
}


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A server whose clock is moved, forwards only."""
    with s3_server(tmp_path_factory.mktemp("lifecycle")) as running:
        yield running


def advance(s3: S3, by: str) -> None:
    """Move the clock, and wait for what is due by then."""
    moved = casemate("clock", "--data", str(s3.server.data), "--advance", by)
    assert moved.returncode == 0, moved.stderr


def put(s3: S3, bucket: str, *rules: dict[str, Any]) -> Any:
    return s3.of().put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)}
    )


def test_rules_are_put_shown_and_removed(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    with refused("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", 404):
        client.get_bucket_lifecycle_configuration(Bucket=bucket)
    date = datetime(2030, 1, 1, tzinfo=UTC)
    rules = [
        RULE,
        {
            "ID": "at a date",
            "Status": "Disabled",
            "Filter": {
                "And": {"Prefix": "a", "Tags": [{"Key": "t", "Value": "1"}], "ObjectSizeGreaterThan": 5}
            },
            "Expiration": {"Date": date},
        },
        {
            "ID": "others",
            "Status": "Enabled",
            "Prefix": "",
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 2},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
    ]
    answer = put(s3, bucket, *rules)
    assert answer["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    found = client.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert found["Rules"] == rules
    put(s3, bucket, {key: value for key, value in RULE.items() if key != "ID"})
    assert client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]["ID"]
    client.delete_bucket_lifecycle(Bucket=bucket)
    with refused("NoSuchLifecycleConfiguration", status=404):
        client.get_bucket_lifecycle_configuration(Bucket=bucket)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("InvalidArgument", {"Expiration": {"Days": 0}}),
        ("InvalidArgument", {"Expiration": {"Date": datetime(2030, 1, 1, 1, tzinfo=UTC)}}),
        ("MalformedXML", {"Expiration": {"Days": 1, "ExpiredObjectDeleteMarker": True}}),
        ("MalformedXML", {"Expiration": {}}),
        ("MalformedXML", {"Prefix": "a"}),
        ("MalformedXML", {"Filter": None}),
        ("MalformedXML", {"Filter": {"Prefix": "a", "Tag": {"Key": "a", "Value": "b"}}}),
        ("MalformedXML", {"Filter": {"And": {"Prefix": "a"}}}),
        ("MalformedXML", {"Status": "On"}),
        ("MalformedXML", {"NoncurrentVersionExpiration": {"NewerNoncurrentVersions": 1}}),
        ("MalformedXML", {"AbortIncompleteMultipartUpload": {}}),
        ("InvalidRequest", {"Expiration": None}),
        ("InvalidRequest", {"Filter": {"And": {"ObjectSizeGreaterThan": 9, "ObjectSizeLessThan": 9}}}),
        (
            "InvalidRequest",
            {"Filter": {"And": {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}}},
        ),
        (
            "InvalidRequest",
            {
                "Filter": {"Tag": {"Key": "a", "Value": "b"}},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
            },
        ),
        (
            "InvalidRequest",
            {"Filter": {"ObjectSizeLessThan": 5}, "Expiration": {"ExpiredObjectDeleteMarker": True}},
        ),
        ("InvalidArgument", {"ID": "a" * 256}),
        ("InvalidArgument", {"NoncurrentVersionExpiration": {"NoncurrentDays": 0}}),
        (
            "InvalidArgument",
            {"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 101}},
        ),
    ],
)
def test_rules_that_cannot_be(s3: S3, code: str, change: dict[str, Any]) -> None:
    bucket = s3.bucket()
    rule = {key: value for key, value in {**RULE, **change}.items() if value is not None}
    with refused(code):
        put(s3, bucket, rule)
    with refused("NoSuchLifecycleConfiguration", status=404):
        s3.of().get_bucket_lifecycle_configuration(Bucket=bucket)


def test_more_of_what_cannot_be(s3: S3) -> None:
    bucket = s3.bucket()
    with refused("InvalidArgument", "RuleId must be unique. Found same ID for more than one rule"):
        put(s3, bucket, RULE, RULE)


def keys(s3: S3, bucket: str) -> list[str]:
    return [each["Key"] for each in s3.of().list_objects_v2(Bucket=bucket).get("Contents", ())]


def test_objects_expire(timed: S3) -> None:
    client, bucket = timed.of(), timed.bucket()
    for key in ("tmp/a", "keep", "tags/x", "tags/y", "large", "small"):
        tags = {"Tagging": "short=1"} if key == "tags/x" else {}
        client.put_object(Bucket=bucket, Key=key, Body=b"1" * (100 if key == "large" else 1), **tags)
    put(
        timed,
        bucket,
        RULE,
        {**RULE, "ID": "tags", "Filter": {"Tag": {"Key": "short", "Value": "1"}}},
        {**RULE, "ID": "sizes", "Filter": {"ObjectSizeGreaterThan": 50}},
        {**RULE, "ID": "off", "Filter": {"Prefix": ""}, "Status": "Disabled"},
    )
    advance(timed, "2d")
    assert len(keys(timed, bucket)) == 6
    client.put_object(Bucket=bucket, Key="tmp/b", Body=b"1")
    advance(timed, "2d")
    assert keys(timed, bucket) == ["keep", "small", "tags/y", "tmp/b"]
    advance(timed, "2d")
    assert keys(timed, bucket) == ["keep", "small", "tags/y"]
    client.delete_bucket_lifecycle(Bucket=bucket)
    shown = casemate("audit", "tail", "--data", str(timed.server.data), "-n", "all", "--json")
    events = [json.loads(line) for line in shown.stdout.splitlines()]
    told = [
        each["serviceEventDetails"]["deletedVersions"]
        for each in events
        if each["eventName"] == "ApplyLifecycleRules" and each["resources"][0]["ARN"].endswith(bucket)
    ]
    assert sorted(entry["key"] for entries in told for entry in entries) == [
        "large",
        "tags/x",
        "tmp/a",
        "tmp/b",
    ]


def test_versions_expire(timed: S3) -> None:
    client = timed.of()
    bucket = timed.bucket(ObjectLockEnabledForBucket=True)
    for number in range(4):
        client.put_object(Bucket=bucket, Key="k", Body=str(number).encode())
    locked = client.put_object(Bucket=bucket, Key="l", Body=b"1", ObjectLockLegalHoldStatus="ON")["VersionId"]
    client.put_object(Bucket=bucket, Key="l", Body=b"2")
    put(
        timed,
        bucket,
        {
            "ID": "all",
            "Status": "Enabled",
            "Filter": {},
            "Expiration": {"Days": 5},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 1},
        },
    )
    advance(timed, "2d")
    found = client.list_object_versions(Bucket=bucket, Prefix="k")["Versions"]
    assert [(each["IsLatest"]) for each in found] == [True, False]
    # What is current is hidden behind a delete marker.
    advance(timed, "5d")
    assert keys(timed, bucket) == []
    found = client.list_object_versions(Bucket=bucket, Prefix="k")
    assert found["DeleteMarkers"][0]["IsLatest"] is True
    # What was current then is kept as the one older version; the marker goes once nothing is left behind it.
    put(
        timed,
        bucket,
        {
            "ID": "all",
            "Status": "Enabled",
            "Filter": {},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        },
    )
    advance(timed, "2d")
    advance(timed, "1d")
    found = client.list_object_versions(Bucket=bucket)
    # A legal hold outlasts every rule.
    assert [each["VersionId"] for each in found["Versions"]] == [locked]
    assert [each["Key"] for each in found["DeleteMarkers"]] == ["l"]
    client.delete_bucket_lifecycle(Bucket=bucket)


@pytest.mark.parametrize(
    ("kept", "expected"), [(0, [*"aa", *"c" * 11, "d", *"e" * 4]), (3, [*"c" * 8, "e"]), (7, [*"c" * 4])]
)
def test_more_versions_and_uploads_than_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int, expected: list[str]
) -> None:
    monkeypatch.setattr(lifecycle_job, "_BATCH", 5)
    migrations = [discover("casemate.gate"), discover("casemate.services.s3")]
    store = open_store(f"sqlite:///{tmp_path / 'lifecycle.db'}", migrations=migrations)
    keyring = Keyring(RootKey.generate())
    buckets, objects = Buckets(store, keyring), Objects(keyring)
    older = {"NoncurrentVersionExpiration": {"NoncurrentDays": 3, "NewerNoncurrentVersions": kept}}
    uploads = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}, "Filter": {"Prefix": "u"}}
    rules = [{**older, "Filter": {}, "Status": "Enabled"}, {**uploads, "Status": "Enabled"}]
    settings = {**NEW, "Versioning": "Enabled", "Lifecycle": {"Rules": rules, "Minimum": ""}}
    settings["Notification"] = {"EventBridge": {}}
    announced: list[ServiceEvent] = []

    class Listener:
        def announce(self, tx: Tx, event: ServiceEvent) -> None:
            announced.append(event)

    told: list[Mapping[str, Any]] = []

    def fill(tx: Tx) -> None:
        row = buckets.create(tx, "bucket", ACCOUNT, "us-east-1", 0.0, settings)
        assert row is not None
        schedule(tx, LIFECYCLE, 0.0, {"bucket": "bucket", "id": row.id}, every=DAY)
        for key, count in (("a", 3), ("b", 1), ("c", 12), ("d", 2), ("e", 5), ("f", 1)):
            for _ in range(count):
                objects.add(tx, Bucket(row), key, 0.0, {})
        for number in range(12):
            tx.run(
                "INSERT INTO s3_uploads (bucket, key, id, started, sealed) VALUES (?, ?, ?, 0.0, ?)",
                (row.id, b"u" if number else b"other", f"{number:02}", b""),
            )

    clock = MovableClock(tmp_path / "clock")
    run = applier(
        store, buckets, objects, clock, lambda _bucket, each: told.append(each), lambda: True, Listener()
    )
    try:
        store.write(fill)
        Jobs(store, clock, {LIFECYCLE: run}).run_due()
        left = store.read(lambda tx: tx.all("SELECT key FROM s3_objects WHERE latest = 1 ORDER BY key"))
        assert [bytes(key).decode() for (key,) in left] == [*"abcdef"]
        removed = [entry["key"] for each in told for entry in each.get("deletedVersions", ())]
        assert removed == expected
        assert store.read(lambda tx: tx.all("SELECT COUNT(*) FROM s3_objects")) == [(24 - len(expected),)]
        aborted = [entry["uploadId"] for each in told for entry in each.get("abortedUploads", ())]
        assert aborted == [f"{number:02}" for number in range(1, 12)]
        assert store.read(lambda tx: tx.all("SELECT id FROM s3_uploads")) == [("00",)]
        # No transaction does more than it may read.
        assert all(len(done) <= 5 for each in told for done in each.values())
        assert [event.detail["object"]["key"] for event in announced] == removed
        assert {event.detail["reason"] for event in announced} == {"Lifecycle Expiration"}
        assert {event.detail["deletion-type"] for event in announced} == {"Permanently Deleted"}
    finally:
        store.close()


# --- what rules say of a key


def version(number: int, age: float, *, marker: bool = False, **about: Any) -> ObjectRow:
    return ObjectRow("k", f"{number:032x}", False, number == 0, marker, 1e9 - age * DAY, 10, "", about)


NOW = 1e9
OLDER = {"NoncurrentVersionExpiration": {"NoncurrentDays": 3}, "Filter": {}}


def test_an_older_version_is_as_old_as_what_replaced_it() -> None:
    versions = [version(0, 1), version(1, 100), version(2, 200)]
    assert doomed(versions, [OLDER], True, NOW).removed == [versions[2]]
    assert doomed(versions, [{**OLDER, "Filter": {"Prefix": "x"}}], True, NOW).removed == []


def test_a_marker_with_nothing_behind_it_goes() -> None:
    marker = version(0, 5, marker=True)
    for expiration, goes in (
        ({"ExpiredObjectDeleteMarker": True}, True),
        ({"Days": 3}, True),
        ({"Days": 30}, False),
        ({"Date": NOW - 1}, True),
        ({"Date": NOW + 1}, False),
    ):
        rule = {"Expiration": expiration, "Filter": {}}
        assert bool(doomed([marker], [rule], True, NOW).removed) is goes
        assert doomed([marker, version(1, 9)], [rule], True, NOW).removed == []


def test_what_is_locked_stays() -> None:
    versions = [version(0, 10), version(1, 20, Lock={"Mode": "GOVERNANCE", "Until": NOW + 1})]
    assert doomed(versions, [OLDER], True, NOW).removed == []
    versions[1] = version(1, 20, Lock={"Mode": "GOVERNANCE", "Until": NOW - 1})
    assert doomed(versions, [OLDER], True, NOW).removed == [versions[1]]


@given(st.floats(0, 4e9), st.integers(1, 10_000))
def test_days_are_counted_to_the_next_midnight(created: float, days: int) -> None:
    when = due(created, days)
    assert when % DAY == 0
    assert 0 <= when - (created + days * DAY) < DAY
