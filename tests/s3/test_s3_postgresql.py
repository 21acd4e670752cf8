"""Objects in PostgreSQL, with several workers."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from server_support import Server, casemate, running_server


def test_objects_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    large = os.urandom(200_000)
    with running_server(
        tmp_path, "--dev", "--workers", "2", env={"CASEMATE_DATABASE": postgres_url}
    ) as server:
        client = server.client("s3")
        client.create_bucket(Bucket="objects")
        client.put_bucket_versioning(Bucket="objects", VersioningConfiguration={"Status": "Enabled"})
        for key in ("a", "b/ü", "b/2", "Z"):
            for body in (b"old", large):
                client.put_object(Bucket="objects", Key=key, Body=body, Metadata={"of": "pg"})
        assert client.get_object(Bucket="objects", Key="b/ü")["Body"].read() == large
        # In the order of UTF-8's bytes, whatever the database's is.
        listed = client.list_objects_v2(Bucket="objects")["Contents"]
        assert [one["Key"] for one in listed] == ["Z", "a", "b/2", "b/ü"]
        versions = client.list_object_versions(Bucket="objects", Prefix="a")["Versions"]
        assert [one["IsLatest"] for one in versions] == [True, False]
        client.delete_object(Bucket="objects", Key="a", VersionId=versions[0]["VersionId"])
        assert client.get_object(Bucket="objects", Key="a")["Body"].read() == b"old"
        upload = client.create_multipart_upload(Bucket="objects", Key="p")["UploadId"]
        part = client.upload_part(Bucket="objects", Key="p", UploadId=upload, PartNumber=1, Body=large)
        client.complete_multipart_upload(
            Bucket="objects",
            Key="p",
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
        )
        assert client.get_object(Bucket="objects", Key="p", Range="bytes=5-9")["Body"].read() == large[5:10]


def test_background_work_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    """Replication, transitions, restores, inventories, and what is discarded bit by bit."""
    large = os.urandom(200_000)
    with running_server(
        tmp_path, "--dev", "--workers", "2", env={"CASEMATE_DATABASE": postgres_url}
    ) as server:
        client = server.client("s3")
        iam = server.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}
        may = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        role = iam.create_role(RoleName="copies", AssumeRolePolicyDocument=_document(trust))["Role"]["Arn"]
        iam.put_role_policy(RoleName="copies", PolicyName="copies", PolicyDocument=_document(may))
        for bucket in ("originals", "replicas"):
            client.create_bucket(Bucket=bucket)
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        to = "arn:aws:s3:::replicas"
        rule = {
            "Status": "Enabled",
            "Priority": 1,
            "Filter": {},
            "DeleteMarkerReplication": {"Status": "Enabled"},
            "Destination": {"Bucket": to},
        }
        client.put_bucket_replication(
            Bucket="originals", ReplicationConfiguration={"Role": role, "Rules": [rule]}
        )
        client.put_object(Bucket="originals", Key="k", Body=large)
        upload = {"Bucket": "originals", "Key": "parts"}
        upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
        part = client.upload_part(**upload, PartNumber=1, Body=large)
        client.complete_multipart_upload(
            **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        )
        for key in ("k", "parts"):
            _until(lambda: _status(client, key) == "COMPLETED")  # noqa: B023
            assert client.get_object(Bucket="replicas", Key=key)["Body"].read() == large
        let = {
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"{to}/*",
        }
        client.put_bucket_policy(Bucket="replicas", Policy=_document(let))
        client.put_bucket_inventory_configuration(
            Bucket="originals",
            Id="all",
            InventoryConfiguration={
                "Id": "all",
                "IsEnabled": True,
                "IncludedObjectVersions": "All",
                "Schedule": {"Frequency": "Daily"},
                "Destination": {"S3BucketDestination": {"Bucket": to, "Format": "CSV"}},
            },
        )
        lifecycle = {
            "Status": "Enabled",
            "Filter": {"Prefix": "parts"},
            "Transitions": [{"Days": 0, "StorageClass": "GLACIER"}],
        }
        client.put_bucket_lifecycle_configuration(
            Bucket="originals", LifecycleConfiguration={"Rules": [lifecycle]}
        )
        _advance(server, "2d")
        assert client.head_object(Bucket="originals", Key="parts")["StorageClass"] == "GLACIER"
        listed = client.list_objects_v2(Bucket="replicas", Prefix="originals/all/")["Contents"]
        assert any(one["Key"].endswith("manifest.json") for one in listed)
        client.restore_object(Bucket="originals", Key="parts", RestoreRequest={"Days": 1})
        _advance(server, "5h")
        assert client.get_object(Bucket="originals", Key="parts")["Body"].read() == large
        client.create_bucket(Bucket="emptied")
        client.create_multipart_upload(Bucket="emptied", Key="begun")
        client.delete_bucket(Bucket="emptied")
        _advance(server, "1h")
    checked = casemate("fsck", "--data", str(server.data), env={"CASEMATE_DATABASE": postgres_url})
    assert checked.returncode == 0, checked.stdout


def _document(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


def _status(client: Any, key: str) -> Any:
    return client.head_object(Bucket="originals", Key=key).get("ReplicationStatus")


def _advance(server: Server, by: str) -> None:
    moved = casemate("clock", "--data", str(server.data), "--advance", by)
    assert moved.returncode == 0, moved.stderr


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
