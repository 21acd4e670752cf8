"""Objects in PostgreSQL, with several workers."""

from __future__ import annotations

import os
from pathlib import Path

from server_support import running_server


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
