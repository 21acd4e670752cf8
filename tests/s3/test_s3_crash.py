"""kill -9 in the middle of PUTs, uploads in parts and deletes: what was acknowledged is there, nothing is half."""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError
from s3_support import access_key, seed
from server_support import Server, casemate, running_server

_ROUNDS, _THREADS, _CALLS = 20, 3, 15
_CHECKED = 5
"""In each so manieth round everything is checked, not only what was touched."""
_SIZES = (10, 60_000, 70_000, 400_000)


class Model:
    """What one thread knows of its own keys: the content that was acknowledged last (None: removed), and what a call
    under way would have made of it."""

    def __init__(self) -> None:
        self.known: dict[str, bytes | None] = {}
        self.asked: dict[str, bytes | None] = {}
        self.touched: set[str] = set()
        self.acknowledged = 0
        self.unexpected: list[str] = []


def client_of(server: Server) -> Any:
    key = access_key("admin")
    return boto3.client(
        "s3",
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        region_name="us-east-1",
        endpoint_url=server.endpoint,
        config=ClientConfig(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20),
    )


def content_of(name: str, size: int) -> bytes:
    return hashlib.sha256(name.encode()).digest() * (size // 32 + 1)


def load(server: Server, number: int, rounds: int, model: Model) -> None:
    """Write until the server is gone."""
    client, choose = client_of(server), random.Random(number * 100 + rounds)
    count = 0
    try:
        while True:
            count += 1
            key = f"{number}/{choose.randrange(6)}"
            content = content_of(f"{rounds} {count}", choose.choice(_SIZES))
            what = choose.randrange(5)
            model.asked = {key: None if what == 0 else content}
            model.touched.add(key)
            if what == 0:
                client.delete_object(Bucket="crash", Key=key)
            elif what == 1:
                upload = client.create_multipart_upload(Bucket="crash", Key=key)["UploadId"]
                named = {"Bucket": "crash", "Key": key, "UploadId": upload}
                etag = client.upload_part(**named, PartNumber=1, Body=content)["ETag"]
                parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
                client.complete_multipart_upload(**named, MultipartUpload=parts)
            else:
                client.put_object(Bucket="crash", Key=key, Body=content)
            model.known |= model.asked
            model.asked = {}
            model.acknowledged += 1
    except ClientError as error:
        model.unexpected.append(str(error))
    except BotoCoreError:
        return  # the server is gone


def found(client: Any, key: str) -> bytes | None:
    try:
        content: bytes = client.get_object(Bucket="crash", Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return None
    return content


def check(client: Any, model: Model, keys: Iterable[str]) -> None:
    """Each key holds what was acknowledged last or, of a call that the crash cut off, what that would have made."""
    for key in keys:
        right = [model.known.get(key), *([model.asked[key]] if key in model.asked else [])]
        read = found(client, key)
        assert read in right, f"{key} is not what was acknowledged"
        model.known[key] = read


def blobs(data: Path) -> dict[str, Path]:
    """All files of blobs, half-written ones too, by id."""
    return {path.name: path for path in (data / "blobs").glob("*/*")}


def check_orphans(data: Path) -> None:
    """What the crashes left behind goes, once it is old, and nothing else does."""
    with closing(sqlite3.connect(data / "casemate.db", timeout=30)) as database:
        query = "SELECT id FROM s3_bodies WHERE data IS NULL UNION SELECT id FROM s3_garbage"
        referred = {row[0] for row in database.execute(query)}
    assert referred <= blobs(data).keys()
    for path in blobs(data).values():
        os.utime(path, (0, 0))
    repaired = casemate("fsck", "--data", str(data), "--repair")
    assert repaired.returncode == 0, repaired.stdout
    assert blobs(data).keys() == referred


@pytest.mark.timeout(180)
def test_kill_in_the_middle_of_writing(tmp_path: Path) -> None:
    file = tmp_path / "seed.json"
    file.write_text(json.dumps(seed()))
    options = ("--dev", "--seed", str(file))
    models = [Model() for _ in range(_THREADS)]
    for rounds in range(_ROUNDS + 1):
        last = rounds == _ROUNDS
        with running_server(tmp_path, *options) as server:
            client = client_of(server)
            if rounds == 0:
                client.create_bucket(Bucket="crash")
            for model in models:
                assert not model.unexpected
                # What nobody has touched since cannot be other than it was, which the last round makes sure of.
                check(client, model, sorted(model.known.keys() | model.touched if last else model.touched))
                model.touched.clear()
            if last or rounds % _CHECKED == 0:
                listed = {one["Key"] for one in client.list_objects_v2(Bucket="crash").get("Contents", ())}
                known = {key for each in models for key, content in each.known.items() if content is not None}
                assert listed == known
                checked = casemate("fsck", "--data", str(server.data))
                assert checked.returncode == 0, checked.stdout
            if last:
                check_orphans(server.data)
                for model in models:
                    check(client, model, sorted(model.known))
                break
            threads = [
                threading.Thread(target=load, args=(server, number, rounds, model))
                for number, model in enumerate(models)
            ]
            for thread in threads:
                thread.start()
            before = sum(model.acknowledged for model in models)
            while sum(model.acknowledged for model in models) < before + _CALLS:
                assert any(thread.is_alive() for thread in threads)
                threads[0].join(0.005)
            server.kill()
            for thread in threads:
                thread.join()
    assert sum(model.acknowledged for model in models) >= _ROUNDS * _CALLS
