"""Buckets, their configuration, lists, access points and lifecycle on PostgreSQL, with two workers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from server_support import casemate, refused, running_server


def _without_account(request: Any, **_: Any) -> None:
    request.url = re.sub(r"//[0-9]{12}\.", "//", request.url)


def test_buckets_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    with running_server(
        tmp_path, "--dev", "--workers", "2", env={"CASEMATE_DATABASE": postgres_url}
    ) as server:
        client, account = server.client("s3"), server.administrator.account
        for name in ("alpha-1", "alpha-2", "beta"):
            client.create_bucket(Bucket=name)
        page = client.list_buckets(Prefix="alpha-", MaxBuckets=1)
        rest = client.list_buckets(Prefix="alpha-", ContinuationToken=page["ContinuationToken"])
        assert [each["Name"] for each in page["Buckets"] + rest["Buckets"]] == ["alpha-1", "alpha-2"]
        assert len(client.list_buckets(BucketRegion="us-east-1")["Buckets"]) == 3
        client.put_bucket_versioning(Bucket="beta", VersioningConfiguration={"Status": "Enabled"})
        keys = ["a", "a/1", "a/2", "ü/1", "Z", "a b"]
        for key in (*keys, "a"):
            client.put_object(Bucket="beta", Key=key, Body=b"1")
        client.delete_object(Bucket="beta", Key="Z")
        listed = client.list_objects_v2(Bucket="beta", Delimiter="/")
        assert [each["Key"] for each in listed["Contents"]] == ["a", "a b"]
        assert [each["Prefix"] for each in listed["CommonPrefixes"]] == ["a/", "ü/"]
        pages = client.get_paginator("list_object_versions").paginate(
            Bucket="beta", PaginationConfig={"PageSize": 2}
        )
        found = [each["Key"] for each in pages.search("Versions") if each]
        assert found == ["Z", "a", "a", "a b", "a/1", "a/2", "ü/1"]
        # Every worker heeds a policy at once.
        policy = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::beta",
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": policy})
        client.put_bucket_policy(Bucket="beta", Policy=document)
        client.delete_bucket_policy(Bucket="beta")
        control = server.client("s3control")
        control.meta.events.register("before-send.s3-control", _without_account)
        made = control.create_access_point(AccountId=account, Name="point", Bucket="beta")
        assert control.list_access_points(AccountId=account)["AccessPointList"][0]["Name"] == "point"
        assert client.get_object(Bucket=made["Alias"], Key="a")["Body"].read() == b"1"
        control.put_public_access_block(
            AccountId=account, PublicAccessBlockConfiguration={"BlockPublicPolicy": True}
        )
        with refused("BucketHasAccessPointsAttached", status=409):
            _empty(client, "beta")
        rule = {
            "ID": "all",
            "Status": "Enabled",
            "Filter": {},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        }
        client.put_bucket_lifecycle_configuration(Bucket="alpha-1", LifecycleConfiguration={"Rules": [rule]})
        client.put_bucket_versioning(Bucket="alpha-1", VersioningConfiguration={"Status": "Enabled"})
        for _ in range(3):
            client.put_object(Bucket="alpha-1", Key="k", Body=b"1")
        client.create_bucket(Bucket="logs", ObjectOwnership="ObjectWriter", ACL="log-delivery-write")
        enabled = {"TargetBucket": "logs", "TargetPrefix": ""}
        client.put_bucket_logging(Bucket="alpha-2", BucketLoggingStatus={"LoggingEnabled": enabled})
        for _ in range(5):
            client.head_bucket(Bucket="alpha-2")
        moved = casemate("clock", "--data", str(server.data), "--advance", "3d")
        assert moved.returncode == 0, moved.stderr
        assert len(client.list_object_versions(Bucket="alpha-1")["Versions"]) == 1
        text = b"".join(
            client.get_object(Bucket="logs", Key=each["Key"])["Body"].read()
            for each in client.list_objects_v2(Bucket="logs")["Contents"]
        )
        assert text.count(b" REST.HEAD.BUCKET ") == 5


def _empty(client: Any, bucket: str) -> None:
    """Remove all versions, then the bucket."""
    page = client.list_object_versions(Bucket=bucket)
    for each in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
        client.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
    client.delete_bucket(Bucket=bucket)
