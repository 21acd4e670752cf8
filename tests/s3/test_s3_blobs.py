"""Large objects whose content is in an object store: in another Casemate's S3, which is as good as any."""

from __future__ import annotations

import os
from pathlib import Path

from s3_support import S3, access_key
from server_support import running_server


def test_blobs_in_an_object_store(s3: S3, tmp_path: Path) -> None:
    there, key = s3.bucket(), access_key("admin")
    env = {
        "AWS_ENDPOINT_URL": s3.server.endpoint,
        "AWS_ACCESS_KEY_ID": key.id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        "CASEMATE_BLOBS": f"s3://{there}/blobs",
    }
    content = os.urandom(9 * 1024 * 1024)
    with running_server(tmp_path, "--dev", env=env) as server:
        client = server.client("s3")
        client.create_bucket(Bucket="here")
        for size in (10, 100_000, len(content)):
            client.put_object(Bucket="here", Key=str(size), Body=content[:size])
            assert client.get_object(Bucket="here", Key=str(size))["Body"].read() == content[:size]
        got = client.get_object(Bucket="here", Key=str(len(content)), Range="bytes=5000000-5000099")
        assert got["Body"].read() == content[5_000_000:5_000_100]
    stored = s3.of().list_objects_v2(Bucket=there)["Contents"]
    assert [one["Size"] > 100_000 for one in stored] == [True, True]
    for one in stored:
        sealed = s3.of().get_object(Bucket=there, Key=one["Key"])["Body"].read()
        assert content[:64] not in sealed
