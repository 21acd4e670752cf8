"""Inventories: what may be configured, and what a report is like."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import sqlite3
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import duckdb
import pytest
from replication_support import advance, versioned
from s3_support import ACCOUNT, OTHER_ACCOUNT, S3, allow, refused, s3_server
from server_support import casemate

from casemate.gate.canonical_user import canonical_user
from casemate.services.s3.inventory_parquet import parquet, schema

ALL_FIELDS = [
    "Size",
    "LastModifiedDate",
    "ETag",
    "StorageClass",
    "IsMultipartUploaded",
    "ReplicationStatus",
    "EncryptionStatus",
    "ObjectLockRetainUntilDate",
    "ObjectLockMode",
    "ObjectLockLegalHoldStatus",
    "IntelligentTieringAccessTier",
    "BucketKeyStatus",
    "ChecksumAlgorithm",
    "ObjectAccessControlList",
    "ObjectOwner",
    "LifecycleExpirationDate",
]


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A server whose clock is moved, forwards only."""
    with s3_server(tmp_path_factory.mktemp("inventory")) as running:
        yield running


def configuration(to: str, name: str = "report", **more: Any) -> dict[str, Any]:
    """more: of the configuration; Destination: of its destination."""
    destination = {"Bucket": f"arn:aws:s3:::{to}", "Format": "CSV", **more.pop("Destination", {})}
    return {
        "Destination": {"S3BucketDestination": destination},
        "IsEnabled": True,
        "Id": name,
        "IncludedObjectVersions": "Current",
        "Schedule": {"Frequency": "Daily"},
        **more,
    }


def put(s3: S3, bucket: str, to: str, user: str = "admin", **more: Any) -> dict[str, Any]:
    made = configuration(to, **more)
    s3.of(user).put_bucket_inventory_configuration(Bucket=bucket, Id=made["Id"], InventoryConfiguration=made)
    return made


def let(s3: S3, to: str, source: str, user: str = "admin") -> None:
    """The policy that AWS documents for destinations."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{to}/*",
        "Condition": {
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{source}"},
            "StringEquals": {"aws:SourceAccount": ACCOUNT, "s3:x-amz-acl": "bucket-owner-full-control"},
        },
    }
    document = {"Version": "2012-10-17", "Statement": statement}
    s3.of(user).put_bucket_policy(Bucket=to, Policy=json.dumps(document))


def keys(s3: S3, bucket: str, user: str = "admin") -> list[str]:
    return [one["Key"] for one in s3.of(user).list_objects_v2(Bucket=bucket).get("Contents", ())]


def report(s3: S3, to: str, folder: str, user: str = "admin") -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The last manifest, and what its files hold, by the columns' names."""
    client = s3.of(user)
    found = max(
        key for key in keys(s3, to, user) if key.startswith(folder) and key.endswith("/manifest.json")
    )
    content = client.get_object(Bucket=to, Key=found)["Body"].read()
    checksum = client.get_object(Bucket=to, Key=found.replace(".json", ".checksum"))["Body"].read()
    assert checksum.decode() == hashlib.md5(content, usedforsecurity=False).hexdigest()
    manifest: dict[str, Any] = json.loads(content)
    rows: list[dict[str, str]] = []
    for file in manifest["files"]:
        data = client.get_object(Bucket=to, Key=file["key"])["Body"].read()
        assert (len(data), hashlib.md5(data, usedforsecurity=False).hexdigest()) == (
            file["size"],
            file["MD5checksum"],
        )
        lines = csv.reader(gzip.decompress(data).decode().splitlines())
        rows += [dict(zip(manifest["fileSchema"].split(", "), line, strict=True)) for line in lines]
    return manifest, rows


def test_a_report_of_all_versions(timed: S3) -> None:
    client, source = timed.of(), versioned(timed, ObjectLockEnabledForBucket=True)
    to = timed.bucket()
    let(timed, to, source)
    client.put_bucket_lifecycle_configuration(
        Bucket=source,
        LifecycleConfiguration={
            "Rules": [{"Status": "Enabled", "Filter": {"Prefix": "dir/"}, "Expiration": {"Days": 90}}]
        },
    )
    put(
        timed,
        source,
        to,
        IncludedObjectVersions="All",
        OptionalFields=ALL_FIELDS,
        Destination={"Prefix": "lists", "AccountId": ACCOUNT, "Encryption": {"SSES3": {}}},
    )
    older = client.put_object(Bucket=source, Key="dir/a b,ü", Body=b"1")
    held = client.put_object(
        Bucket=source,
        Key="dir/a b,ü",
        Body=b"22",
        StorageClass="INTELLIGENT_TIERING",
        ServerSideEncryption="aws:kms",
        BucketKeyEnabled=True,
        ChecksumAlgorithm="SHA256",
        ObjectLockLegalHoldStatus="ON",
    )
    marker = client.delete_object(Bucket=source, Key="gone")
    advance(timed, "1d")
    folder = f"lists/{source}/report/"
    manifest, rows = report(timed, to, folder)
    assert (manifest["sourceBucket"], manifest["destinationBucket"]) == (source, f"arn:aws:s3:::{to}")
    assert (manifest["version"], manifest["fileFormat"]) == ("2016-11-30", "CSV")
    columns = ["Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", *ALL_FIELDS]
    assert manifest["fileSchema"].split(", ") == columns
    assert [(row["Key"], row["VersionId"]) for row in rows] == [
        ("dir/a%20b%2C%C3%BC", held["VersionId"]),
        ("dir/a%20b%2C%C3%BC", older["VersionId"]),
        ("gone", marker["VersionId"]),
    ]
    first, second, third = rows
    assert [(row["IsLatest"], row["IsDeleteMarker"]) for row in rows] == [
        ("true", "false"),
        ("false", "false"),
        ("true", "true"),
    ]
    shown = {name: first[name] for name in ALL_FIELDS}
    acl = json.loads(b64decode(shown.pop("ObjectAccessControlList")))
    owner = canonical_user(ACCOUNT)
    assert acl["grants"] == [{"canonicalId": owner, "type": "CanonicalUser", "permission": "FULL_CONTROL"}]
    assert shown.pop("LifecycleExpirationDate").endswith("T00:00:00.000Z")
    head = client.head_object(Bucket=source, Key="dir/a b,ü")
    assert shown == {
        "Size": "2",
        "LastModifiedDate": head["LastModified"].strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "ETag": head["ETag"].strip('"'),
        "StorageClass": "INTELLIGENT_TIERING",
        "IsMultipartUploaded": "false",
        "ReplicationStatus": "",
        "EncryptionStatus": "SSE-KMS",
        "ObjectLockRetainUntilDate": "",
        "ObjectLockMode": "",
        "ObjectLockLegalHoldStatus": "On",
        "IntelligentTieringAccessTier": "FREQUENT",
        "BucketKeyStatus": "ENABLED",
        "ChecksumAlgorithm": "SHA256",
        "ObjectOwner": owner,
    }
    assert (second["EncryptionStatus"], second["BucketKeyStatus"], second["StorageClass"]) == (
        "SSE-S3",
        "",
        "STANDARD",
    )
    assert (third["Size"], third["ETag"], third["EncryptionStatus"]) == ("", "", "")
    (link,) = [key for key in keys(timed, to) if "/hive/dt=" in key]
    links = client.get_object(Bucket=to, Key=link)["Body"].read().decode().split("\n")
    assert links == [f"s3://{to}/{file['key']}" for file in manifest["files"]]
    advance(timed, "1d")
    assert len([key for key in keys(timed, to) if key.endswith("manifest.json")]) == 2


def test_a_report_for_another_account(timed: S3) -> None:
    """Of current versions that begin with a prefix, encrypted by a KMS key that lets S3."""
    client, source = timed.of(), versioned(timed)
    to = versioned(timed, user="stranger")
    kms = timed.of("stranger", service="kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    put(
        timed,
        source,
        to,
        Filter={"Prefix": "a"},
        OptionalFields=["Size"],
        Destination={"Encryption": {"SSEKMS": {"KeyId": key}}, "AccountId": OTHER_ACCOUNT},
    )
    for name in ("a", "ab", "b"):
        client.put_object(Bucket=source, Key=name, Body=b"1")
    client.delete_object(Bucket=source, Key="ab")
    client.put_object(Bucket=source, Key="a", Body=b"22")
    advance(timed, "1d")
    assert keys(timed, to, "stranger") == []
    let(timed, to, source, "stranger")
    advance(timed, "1d")
    assert keys(timed, to, "stranger") == []
    policy = json.loads(kms.get_key_policy(KeyId=key)["Policy"])
    policy["Statement"].append(
        {
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "kms:GenerateDataKey",
            "Resource": "*",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
                "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{source}"},
            },
        }
    )
    kms.put_key_policy(KeyId=key, Policy=json.dumps(policy))
    advance(timed, "1d")
    manifest, rows = report(timed, to, f"{source}/report/", "stranger")
    assert rows == [{"Bucket": source, "Key": "a", "Size": "2"}]
    head = timed.of("stranger").head_object(Bucket=to, Key=manifest["files"][0]["key"])
    assert head["SSEKMSKeyId"] == key


def test_weekly_and_switched_off(timed: S3) -> None:
    source, to = timed.bucket(), timed.bucket()
    let(timed, to, source)
    put(timed, source, to, name="weekly", Schedule={"Frequency": "Weekly"})
    put(timed, source, to, name="off", IsEnabled=False)
    put(timed, source, to, name="removed")
    timed.of().delete_bucket_inventory_configuration(Bucket=source, Id="removed")
    for _ in range(7):
        advance(timed, "1d")
    manifests = [key for key in keys(timed, to) if key.endswith("/manifest.json")]
    assert len(manifests) == 1
    assert manifests[0].startswith(f"{source}/weekly/")
    _, rows = report(timed, to, f"{source}/weekly/")
    assert rows == []


def test_configurations(s3: S3) -> None:
    client, source, to = s3.of(), s3.bucket(), s3.bucket()
    with refused("NoSuchConfiguration", "The specified configuration does not exist.", 404):
        client.get_bucket_inventory_configuration(Bucket=source, Id="none")
    with refused("NoSuchConfiguration", status=404):
        client.delete_bucket_inventory_configuration(Bucket=source, Id="none")
    made = put(s3, source, to, name="one", OptionalFields=["Size", "ETag"], Filter={"Prefix": "a/"})
    found = client.get_bucket_inventory_configuration(Bucket=source, Id="one")
    assert found["InventoryConfiguration"] == made
    listed = client.list_bucket_inventory_configurations(Bucket=source)
    assert (listed["InventoryConfigurationList"], listed["IsTruncated"]) == ([made], False)
    with refused("InvalidArgument", "The continuation token provided is incorrect"):
        client.list_bucket_inventory_configurations(Bucket=source, ContinuationToken="x")
    for user, operation in (
        ("nobody", "list_bucket_inventory_configurations"),
        ("nobody", "get_bucket_inventory_configuration"),
        ("nobody", "delete_bucket_inventory_configuration"),
    ):
        named = {} if operation.startswith("list") else {"Id": "one"}
        with refused("AccessDenied", status=403):
            getattr(s3.of(user), operation)(Bucket=source, **named)
    with refused("AccessDenied", status=403):
        put(s3, source, to, "nobody")
    fields = {"ForAllValues:StringEquals": {"s3:InventoryAccessibleOptionalFields": ["Size"]}}
    s3.may("nobody", allow("s3:PutInventoryConfiguration", Condition=fields))
    put(s3, source, to, "nobody", OptionalFields=["Size"])
    with refused("AccessDenied", status=403):
        put(s3, source, to, "nobody", OptionalFields=["Size", "ObjectOwner"])
    client.delete_bucket(Bucket=source)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("NotImplemented", {"Destination": {"Format": "ORC"}}),
        ("NotImplemented", {"OptionalFields": ["ObjectLockEventHoldStatus"]}),
        ("InvalidS3DestinationBucket", {"Destination": {"Bucket": "arn:aws:s3:::no-such-bucket"}}),
        ("InvalidS3DestinationBucket", {"Destination": {"Bucket": "no-arn"}}),
        ("MalformedXML", {"OptionalFields": ["Size", "Size"]}),
        ("MalformedXML", {"OptionalFields": ["Sise"]}),
        ("MalformedXML", {"Schedule": {"Frequency": "Hourly"}}),
        ("MalformedXML", {"Destination": {"Encryption": {"SSES3": {}, "SSEKMS": {"KeyId": "a"}}}}),
        ("InvalidArgument", {"name": "a/b"}),
        ("InvalidArgument", {"name": "a" * 65}),
    ],
)
def test_configurations_that_cannot_be(s3: S3, code: str, change: dict[str, Any]) -> None:
    source = s3.bucket()
    with refused(code, status=501 if code == "NotImplemented" else 400):
        put(s3, source, s3.bucket(), **change)
    assert "InventoryConfigurationList" not in s3.of().list_bucket_inventory_configurations(Bucket=source)


def test_more_that_cannot_be(s3: S3) -> None:
    source, to = s3.bucket(), s3.bucket()
    with refused("InvalidS3DestinationBucket"):
        put(s3, source, s3.bucket("eu-west-1"))
    with refused("MalformedXML"):
        s3.of().put_bucket_inventory_configuration(
            Bucket=source, Id="other", InventoryConfiguration=configuration(to)
        )


def test_many_configurations(s3: S3) -> None:
    """A page has a hundred of them; a bucket a thousand."""
    client, source, to = s3.of(), s3.bucket(), s3.bucket()
    put(s3, source, to, name="000", IsEnabled=False)
    with closing(sqlite3.connect(s3.server.data / "casemate.db", timeout=30)) as database, database:
        database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) "
            "INSERT INTO s3_inventories "
            "SELECT bucket, printf('z%04d', i), sealed FROM n, s3_inventories "
            "WHERE bucket = (SELECT id FROM s3_buckets WHERE name = ?)",
            (source,),
        )
    with refused("TooManyConfigurations"):
        put(s3, source, to, name="one-more")
    put(s3, source, to, name="000", IsEnabled=False)
    # What stands in another place than it was sealed for is not used.
    with refused("InternalError", status=500):
        client.get_bucket_inventory_configuration(Bucket=source, Id="z0001")
    with closing(sqlite3.connect(s3.server.data / "casemate.db", timeout=30)) as database, database:
        database.execute("DELETE FROM s3_inventories WHERE id > 'z'")
    for number in range(100):
        put(s3, source, to, name=f"y{number:03}", IsEnabled=False)
    first = client.list_bucket_inventory_configurations(Bucket=source)
    assert (len(first["InventoryConfigurationList"]), first["IsTruncated"]) == (100, True)
    token = first["NextContinuationToken"]
    rest = client.list_bucket_inventory_configurations(Bucket=source, ContinuationToken=token)
    assert ([one["Id"] for one in rest["InventoryConfigurationList"]], rest["IsTruncated"]) == (
        ["y099"],
        False,
    )


def test_fsck_sees_what_is_not_made(timed: S3) -> None:
    source, to, data = timed.bucket(), timed.bucket(), timed.server.data
    let(timed, to, source)
    put(timed, source, to)
    with closing(sqlite3.connect(data / "casemate.db", timeout=30)) as database, database:
        database.execute(
            "DELETE FROM store_jobs WHERE kind = 's3.inventory' AND payload LIKE ?", (f"%{source}%",)
        )
    assert f"inventory report of {source}: is to be made" in casemate("fsck", "--data", str(data)).stdout
    assert casemate("fsck", "--data", str(data), "--repair").returncode == 0
    advance(timed, "2d")
    assert report(timed, to, f"{source}/report/")[1] == []


def test_parquet(timed: S3) -> None:
    client, source, to = timed.of(), versioned(timed), timed.bucket()
    let(timed, to, source)
    put(
        timed,
        source,
        to,
        IncludedObjectVersions="All",
        OptionalFields=["Size", "LastModifiedDate", "StorageClass"],
        Destination={"Format": "Parquet"},
    )
    key = 'a\r\n"b", ü'
    made = client.put_object(Bucket=source, Key=key, Body=b"123")
    modified = client.head_object(Bucket=source, Key=key)["LastModified"]
    marker = client.delete_object(Bucket=source, Key="gone")
    advance(timed, "1d")
    (name,) = [one for one in keys(timed, to) if one.endswith("/manifest.json")]
    manifest = json.loads(client.get_object(Bucket=to, Key=name)["Body"].read())
    assert manifest["fileFormat"] == "Parquet"
    assert manifest["fileSchema"] == (
        "message s3.inventory { required binary bucket (UTF8); required binary key (UTF8); optional binary "
        "version_id (UTF8); optional boolean is_latest; optional boolean is_delete_marker; optional int64 size; "
        "optional int64 last_modified_date (TIMESTAMP_MILLIS); optional binary storage_class (UTF8); }"
    )
    (file,) = manifest["files"]
    assert file["key"].endswith(".parquet")
    data = client.get_object(Bucket=to, Key=file["key"])["Body"].read()
    local = timed.server.data.parent / "report.parquet"
    local.write_bytes(data)
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT * FROM read_parquet(?)", [str(local)]).fetchall()
    assert rows[0] == (
        source,
        key,
        made["VersionId"],
        True,
        False,
        3,
        modified.replace(tzinfo=None),
        "STANDARD",
    )
    assert rows[1][1:6] == ("gone", marker["VersionId"], True, True, None)


def test_parquet_of_nothing_and_of_all_fields() -> None:
    columns = ["Bucket", "Key", *ALL_FIELDS]
    assert parquet(columns, []).startswith(b"PAR1")
    assert schema(columns).count(";") == len(columns)
