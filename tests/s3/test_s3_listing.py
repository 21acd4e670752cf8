"""ListObjectsV2, ListObjects, ListObjectVersions."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from s3_support import ACCOUNT, S3, allow, refused

from casemate.gate.canonical_user import canonical_user

KEYS = [
    *("a", "a/", "a/1", "a/2", "a/b/1", "a/b/2", "a b+c", "b", "b/1", "b//2", "c/d/e/f", "ü/€", "ü/1", "ü€"),
    *("z%2F", "z/~*", "\U0001f600", "\ue000"),
]
ORDERED = sorted(KEYS, key=str.encode)


@pytest.fixture(scope="module")
def bucket(s3: S3) -> str:
    name = s3.bucket()
    for key in KEYS:
        s3.of().put_object(Bucket=name, Key=key, Body=key.encode())
    return name


def expected(prefix: str, delimiter: str, after: str) -> list[str]:
    """Names in order; common prefixes end with the delimiter, and are told from keys by a star."""
    found: list[str] = []
    for key in ORDERED:
        if not key.startswith(prefix) or key.encode() <= after.encode():
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        name = key if at < 0 else f"*{key[: at + len(delimiter)]}"
        if not found or found[-1] != name:
            found.append(name)
    return found


def names(page: Any) -> list[str]:
    keys = [(each["Key"], each["Key"]) for each in page.get("Contents", ())]
    prefixes = [(each["Prefix"], f"*{each['Prefix']}") for each in page.get("CommonPrefixes", ())]
    return [shown for _, shown in sorted(keys + prefixes, key=lambda pair: pair[0].encode())]


@pytest.mark.parametrize(
    ("prefix", "delimiter", "after"),
    [
        *product(("", "a", "a/", "b/", "ü", "none"), ("", "/"), ("",)),
        ("", "/", "a/1"),
        ("", "", "a/1"),
        ("a/", "/", "a/b/1"),
        ("", "b", ""),
        ("", "//", ""),
        ("a/", "", "zzz"),
    ],
)
def test_what_is_listed(s3: S3, bucket: str, prefix: str, delimiter: str, after: str) -> None:
    more = {"Prefix": prefix, **({"Delimiter": delimiter} if delimiter else {})}
    wanted = expected(prefix, delimiter, after)
    whole = s3.of().list_objects_v2(Bucket=bucket, StartAfter=after, **more)
    assert names(whole) == wanted
    assert whole["KeyCount"] == len(wanted)
    assert whole["IsTruncated"] is False
    assert names(s3.of().list_objects(Bucket=bucket, Marker=after, **more)) == wanted
    versions = s3.of().list_object_versions(Bucket=bucket, KeyMarker=after, **more)
    assert names({**versions, "Contents": versions.get("Versions", [])}) == wanted
    for size in (1, 3):
        assert [name for page in pages(s3, bucket, size, StartAfter=after, **more) for name in page] == wanted


def pages(s3: S3, bucket: str, size: int, **more: Any) -> list[list[str]]:
    """The pages that a client walks over."""
    found = s3.of().get_paginator("list_objects_v2").paginate(Bucket=bucket, MaxKeys=size, **more)
    return [names(page) for page in found]


@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("operation", ["list_objects", "list_object_versions"])
def test_the_older_lists_have_pages_too(s3: S3, bucket: str, operation: str, delimiter: str) -> None:
    more = {"Delimiter": delimiter} if delimiter else {}
    found = []
    for page in (
        s3.of().get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": 2}, **more)
    ):
        assert page["MaxKeys"] == 2
        found += names({**page, "Contents": page.get("Contents", page.get("Versions", []))})
    assert found == expected("", delimiter, "")


def test_an_entry(s3: S3, bucket: str) -> None:
    put = s3.of().put_object(Bucket=bucket, Key="b", Body=b"12345")
    page = s3.of().list_objects_v2(Bucket=bucket, Prefix="b", MaxKeys=1, FetchOwner=True)
    (entry,) = page["Contents"]
    assert entry["ETag"] == put["ETag"]
    assert entry["Size"] == 5
    assert entry["StorageClass"] == "STANDARD"
    assert entry["ChecksumAlgorithm"] == ["CRC32"]
    assert entry["ChecksumType"] == "FULL_OBJECT"
    assert entry["Owner"] == {"ID": canonical_user(ACCOUNT)}
    told = s3.of().head_object(Bucket=bucket, Key="b")
    assert entry["LastModified"] == told["LastModified"]
    assert page["Name"] == bucket
    assert page["IsTruncated"] is True
    assert "Owner" not in s3.of().list_objects_v2(Bucket=bucket, MaxKeys=1)["Contents"][0]
    assert "Owner" in s3.of().list_objects(Bucket=bucket, MaxKeys=1)["Contents"][0]
    s3.of().put_object(Bucket=bucket, Key="b", Body=b"b")


def test_bounds(s3: S3, bucket: str) -> None:
    client = s3.of()
    nothing = client.list_objects_v2(Bucket=bucket, MaxKeys=0)
    assert (nothing["KeyCount"], nothing["IsTruncated"]) == (0, False)
    assert client.list_objects_v2(Bucket=bucket, MaxKeys=5000)["MaxKeys"] == 1000
    with refused("InvalidArgument", "Argument maxKeys must be an integer between 0 and 2147483647"):
        client.list_objects_v2(Bucket=bucket, MaxKeys=-1)
    with refused("InvalidArgument", "The continuation token provided is incorrect"):
        client.list_objects_v2(Bucket=bucket, ContinuationToken="x")
    with refused("InvalidArgument", "Invalid Encoding Method specified in Request"):
        client.list_objects_v2(Bucket=bucket, EncodingType="base64")
    with refused("InvalidArgument", "A version-id marker cannot be specified without a key marker."):
        client.list_object_versions(Bucket=bucket, VersionIdMarker="null")
    with refused("InvalidArgument", "Invalid version id specified"):
        client.list_object_versions(Bucket=bucket, KeyMarker="a", VersionIdMarker="x")
    assert client.list_objects_v2(Bucket=bucket, StartAfter="a", Prefix="b/")["StartAfter"] == "a"


def test_names_are_encoded_where_that_is_asked_for(s3: S3, bucket: str) -> None:
    # The client asks for it by itself, and decodes the names.
    keys = [each["Key"] for each in s3.of().list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ORDERED
    seen: list[bytes] = []
    other = s3.of()
    other.meta.events.register_first(
        "before-parse.s3.ListObjectsV2",
        lambda response_dict, **_: seen.append(response_dict["body"]),
        unique_id="body",
    )
    other.list_objects_v2(Bucket=bucket, EncodingType="url", Prefix="a b", Delimiter="/")
    other.meta.events.unregister("before-parse.s3.ListObjectsV2", unique_id="body")
    assert b"<Key>a+b%2Bc</Key>" in seen[0]
    assert b"<Prefix>a+b</Prefix>" in seen[0]
    assert b"<EncodingType>url</EncodingType>" in seen[0]


def test_versions_and_delete_markers(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    client.put_object(Bucket=bucket, Key="k", Body=b"0")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ids = [client.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"] for _ in range(3)]
    marker = client.delete_object(Bucket=bucket, Key="k")["VersionId"]
    other = client.put_object(Bucket=bucket, Key="l", Body=b"2")["VersionId"]
    assert [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["l"]
    page = client.list_object_versions(Bucket=bucket)
    versions = [(each["Key"], each["VersionId"], each["IsLatest"]) for each in page["Versions"]]
    assert versions == [
        *(("k", each, False) for each in reversed(ids)),
        ("k", "null", False),
        ("l", other, True),
    ]
    (found,) = page["DeleteMarkers"]
    assert (found["Key"], found["VersionId"], found["IsLatest"]) == ("k", marker, True)
    assert found["Owner"] == {"ID": canonical_user(ACCOUNT)}
    # Page by page, wherever a page ends.
    order = [marker, *reversed(ids), "null", other]
    for size in (1, 2, 5):
        seen = []
        for part in client.get_paginator("list_object_versions").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": size}
        ):
            listed = [*part.get("DeleteMarkers", []), *part.get("Versions", [])]
            seen += sorted((each["VersionId"] for each in listed), key=order.index)
        assert seen == order
    rest = client.list_object_versions(Bucket=bucket, KeyMarker="k", VersionIdMarker="null")
    assert [each["VersionId"] for each in rest["Versions"]] == [other]
    assert rest["KeyMarker"] == "k"
    assert rest["VersionIdMarker"] == "null"


def test_who_may_list_what(s3: S3, bucket: str) -> None:
    client = s3.of("nobody")
    home = {"StringLike": {"s3:prefix": ["a/*", "a/"]}, "NumericLessThanEquals": {"s3:max-keys": "10"}}
    s3.may("nobody", allow("s3:ListBucket", resource=f"arn:aws:s3:::{bucket}", Condition=home))
    assert len(client.list_objects_v2(Bucket=bucket, Prefix="a/", MaxKeys=10)["Contents"]) == 5
    assert client.list_objects(Bucket=bucket, Prefix="a/b/", MaxKeys=1)["Contents"]
    for more in ({}, {"Prefix": "b", "MaxKeys": 1}, {"Prefix": "a/"}, {"Prefix": "a/", "MaxKeys": 11}):
        with refused("AccessDenied", status=403):
            client.list_objects_v2(Bucket=bucket, **more)
    with refused("AccessDenied", status=403):
        client.list_object_versions(Bucket=bucket, Prefix="a/", MaxKeys=1)
    s3.may(
        "nobody",
        allow("s3:ListBucketVersions", "s3:ListBucket", Condition={"StringEquals": {"s3:delimiter": "/"}}),
    )
    client.list_object_versions(Bucket=bucket, Delimiter="/")
    client.list_objects_v2(Bucket=bucket, Delimiter="/")
    with refused("AccessDenied", status=403):
        client.list_objects_v2(Bucket=bucket)
