"""kill -9 while objects are replicated: each comes to the other bucket once, and what was forgotten is noticed."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from replication_support import advance, pair, wait
from s3_support import S3, s3_server
from server_support import casemate, running_server

LARGE = os.urandom(3_000_000)


def test_a_crash(tmp_path: Path) -> None:
    with s3_server(tmp_path) as s3:
        source, to = pair(s3)
        client = s3.of()
        made = {}
        for number in range(12):
            body = LARGE if number % 4 == 0 else b"small"
            made[f"k{number}"] = client.put_object(Bucket=source, Key=f"k{number}", Body=body)["VersionId"]
        s3.server.kill()
    with running_server(tmp_path, "--dev") as server:
        s3 = S3(server)
        client = s3.of()
        # What was under way is left alone until its lease is over.
        advance(s3, "61s")
        for key, version in made.items():
            wait(s3, source, key, VersionId=version)
        listed = client.list_object_versions(Bucket=to)["Versions"]
        assert {one["Key"]: one["VersionId"] for one in listed} == made
        assert client.get_object(Bucket=to, Key="k4")["Body"].read() == LARGE
    assert casemate("fsck", "--data", str(tmp_path / "data")).returncode == 0


def test_fsck(tmp_path: Path) -> None:
    """A version that waits to be replicated without a job, as none should."""
    data = tmp_path / "data"
    with s3_server(tmp_path) as s3:
        source, to = pair(s3)
        role = s3.of().get_bucket_replication(Bucket=source)["ReplicationConfiguration"]["Role"]
        s3.of(service="iam").delete_role_policy(RoleName=role.partition("/")[2], PolicyName="own")
        s3.of().put_object(Bucket=source, Key="k", Body=b"1")
        with closing(sqlite3.connect(data / "casemate.db", timeout=30)) as database, database:
            assert database.execute("DELETE FROM store_jobs WHERE kind = 's3.replicate'").rowcount == 1
        told = casemate("fsck", "--data", str(data))
        assert told.returncode == 1
        assert "waits to be replicated, and nothing does it" in told.stdout
        assert casemate("fsck", "--data", str(data), "--repair").returncode == 0
        wait(s3, source, "k", "FAILED", hurry=True)
        assert "Versions" not in s3.of().list_object_versions(Bucket=to)
