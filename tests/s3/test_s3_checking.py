"""What is in the data directory: checked, put right, collected, taken along by a backup; useless without the seal."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError
from s3_support import S3, refused, s3_server
from server_support import casemate, running_server

from casemate.services.s3 import collecting
from casemate.services.s3.bodies import Bodies
from casemate.services.s3.collecting import collector, sweeper
from casemate.store.blobs import open_blobs
from casemate.store.database import open_store
from casemate.store.migrate import discover

LARGE = os.urandom(200_000)


def filled(s3: S3, name: str) -> Any:
    """A bucket with objects of all kinds; its client."""
    client = s3.of()
    client.create_bucket(Bucket=name)
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"first", b"small", LARGE):
        client.put_object(Bucket=name, Key=f"k{len(body)}", Body=body)
    client.put_object(Bucket=name, Key="two layers", Body=LARGE, ServerSideEncryption="aws:kms:dsse")
    client.delete_object(Bucket=name, Key="k5")
    upload = client.create_multipart_upload(Bucket=name, Key="parts")["UploadId"]
    part = client.upload_part(Bucket=name, Key="parts", UploadId=upload, PartNumber=1, Body=LARGE)
    client.complete_multipart_upload(
        Bucket=name,
        Key="parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    begun = client.create_multipart_upload(Bucket=name, Key="begun")["UploadId"]
    client.upload_part(Bucket=name, Key="begun", UploadId=begun, PartNumber=1, Body=LARGE)
    return client


def fsck(data: Path, *options: str) -> tuple[int, list[str]]:
    ran = casemate("fsck", "--data", str(data), *options)
    assert not ran.stderr
    return ran.returncode, ran.stdout.splitlines()


def blobs(data: Path) -> list[Path]:
    return sorted(path for path in (data / "blobs").glob("??/*") if path.is_file())


def change(data: Path, sql: str) -> int:
    with closing(sqlite3.connect(data / "casemate.db", timeout=30)) as database, database:
        return database.execute(sql).rowcount


def test_a_data_directory(tmp_path: Path) -> None:
    """One server for all of it: what is right, what is damaged in each way, and what a backup brings back."""
    with s3_server(tmp_path) as s3:
        client, data = filled(s3, "checked"), s3.server.data
        status, told = fsck(data)
        assert (status, told[-1][:42]) == (0, "6 versions of objects in 1 buckets, 0.8 MB"), told
        backup = tmp_path / "backup"
        made = casemate("backup", "--data", str(data), str(backup))
        assert made.returncode == 0, made.stderr

        assert len(blobs(data)) == 4
        damages: dict[str, tuple[str, Callable[[], object]]] = {
            "k200000": ("is not as it was written", lambda: _flip(_blob_of(data, "k200000"))),
            "two layers": ("bytes, not", lambda: _shorten(_blob_of(data, "two layers"))),
            "parts": ("is missing", lambda: _blob_of(data, "parts").unlink()),
            "k5": (
                "belongs elsewhere",
                lambda: change(data, "UPDATE s3_objects SET size = 6 WHERE size = 5"),
            ),
        }
        for number, (key, (text, damage)) in enumerate(damages.items(), 1):
            damage()
            status, told = fsck(data)
            found = [line for line in told if line.startswith("PROBLEM")]
            assert status == 1
            assert any(f"checked/{key}" in line and text in line for line in found), found
            assert len({line.split(" version ")[0] for line in found}) == number
            # What was altered is never answered.
            with pytest.raises((ClientError, ResponseStreamingError, IncompleteReadError)):
                client.get_object(Bucket="checked", Key=key)["Body"].read()
        change(data, "UPDATE s3_objects SET latest = 0 WHERE marker = 1")
        status, told = fsck(data, "--repair", "--quick")
        assert any(line.startswith("repaired") and "is not marked as the newest one" in line for line in told)
        assert not any("newest" in line for line in fsck(data, "--quick")[1])
    again, seal = tmp_path / "again" / "data", str(data / "seal.key")
    restored = casemate("restore", str(backup), "--data", str(again), "--key", seal)
    assert restored.returncode == 0, restored.stderr
    assert fsck(again)[0] == 0
    with running_server(tmp_path / "again", "--dev") as server:
        client = S3(server).of()
        for name in ("k200000", "two layers", "parts"):
            assert client.get_object(Bucket="checked", Key=name)["Body"].read() == LARGE
    # Without the seal's key, the same directory tells nothing.
    (again / "seal.key").unlink()
    refusal = casemate("fsck", "--data", str(again))
    assert refusal.returncode != 0
    assert "cannot be checked" in refusal.stderr


def _blob_of(data: Path, key: str) -> Path:
    with closing(sqlite3.connect(data / "casemate.db", timeout=30)) as database:
        found = database.execute(
            "SELECT b.id FROM s3_objects o JOIN s3_bodies b ON b.holder = o.version OR o.body = '+' || b.holder "
            "WHERE o.key = ?",
            (key.encode(),),
        ).fetchone()
    blob = str(found[0])
    return data / "blobs" / blob[-2:] / blob


def _shorten(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


class _Clock:
    def now(self) -> float:
        return 1000.0


class _Job:
    def renew(self, tx: Any) -> None:
        """Nobody else has it."""


def test_what_nothing_refers_to_is_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(f"sqlite://{tmp_path / 'casemate.db'}", migrations=[discover("casemate.services.s3")])
    try:
        bodies = Bodies(open_blobs(str(tmp_path / "blobs")))
        garbage, later, kept, orphan = (bodies.blobs.put(b"x") for _ in range(4))
        store.write(
            lambda tx: [
                tx.run("INSERT INTO s3_garbage (id, due) VALUES (?, ?)", row)
                for row in ((garbage, 999.0), (later, 1001.0))
            ]
        )
        store.write(
            lambda tx: tx.run(
                "INSERT INTO s3_bodies (id, holder, part, size, salt) VALUES (?, '1', 0, 1, ?)", (kept, b"")
            )
        )
        collector(store, bodies, _Clock())(_Job())  # type: ignore[arg-type]  # as much of both as it needs
        assert {blob.id for blob in bodies.blobs.list()} == {later, kept, orphan}
        assert store.read(lambda tx: tx.all("SELECT id FROM s3_garbage")) == [(later,)]
        sweeper(store, bodies)(_Job())  # type: ignore[arg-type]  # as above
        assert len(list(bodies.blobs.list())) == 3, "what is young may be about to be referred to"
        monkeypatch.setattr(collecting, "_YOUNG", -60.0)
        sweeper(store, bodies)(_Job())  # type: ignore[arg-type]  # as above
        assert {blob.id for blob in bodies.blobs.list()} == {later, kept}
    finally:
        store.close()


def test_what_is_replaced_and_removed_goes_in_the_end(tmp_path: Path) -> None:
    with s3_server(tmp_path) as s3:
        client, data = s3.of(), s3.server.data
        client.create_bucket(Bucket="going")
        for _ in range(2):
            client.put_object(Bucket="going", Key="k", Body=LARGE)
        assert len(blobs(data)) == 2
        # A body that is refused in the transaction leaves nothing.
        with refused("PreconditionFailed", status=412):
            client.put_object(Bucket="going", Key="k", Body=LARGE, IfNoneMatch="*")
        client.delete_object(Bucket="going", Key="k")
        with closing(sqlite3.connect(data / "casemate.db", timeout=30)) as database:
            assert database.execute("SELECT COUNT(*) FROM s3_bodies").fetchone() == (0,)
            assert database.execute("SELECT COUNT(*) FROM s3_garbage").fetchone() == (2,)
            kinds = database.execute(
                "SELECT kind FROM store_jobs WHERE kind LIKE 's3.%' ORDER BY kind"
            ).fetchall()
            assert kinds == [("s3.collect_garbage",), ("s3.sweep_orphans",)]
