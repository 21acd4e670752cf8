"""``python bench/many_objects.py``: a bucket of ten thousand objects and one of ten million, side by side.

Two servers, one for each. The objects are written in bulk, as PutObject leaves them: sealed rows and bodies of a few
bytes, 1,000 keys to a folder. Then GetObject, HeadObject, PutObject and pages of ListObjectsV2 are asked for, one at
a time and in turns, and the medians are shown. ``--data`` keeps what was written, and takes it up again.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import os
import random
import statistics
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import apsw
import boto3
from objects import access_of, headers
from targets import Target, casemate

from casemate.engine.checksums import checksum
from casemate.server.composition import open_data
from casemate.server.config import Config
from casemate.services.s3.bodies import DIGEST
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.ciphers import ObjectKeys
from casemate.services.s3.object_rows import ObjectRow, Objects
from casemate.services.s3.resources import Bucket
from casemate.store.ids import new_id

BUCKET = "many"
_FOLDER, _BATCH = 1_000, 20_000
_NOTHING = hashlib.sha256(b"").hexdigest()
_CONTENT = b"a small object.."


def key_of(number: int) -> str:
    return f"d{number // _FOLDER:06d}/{number % _FOLDER:03d}"


def _checksum(content: bytes) -> bytes:
    counted = checksum(DIGEST)
    counted.update(content)
    return counted.digest()


def rows(
    objects: Objects, bucket: Bucket, numbers: range
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Of each object, the row of s3_objects and that of s3_bodies."""
    etag, whole = (
        hashlib.md5(_CONTENT, usedforsecurity=False).hexdigest(),
        b64encode(_checksum(_CONTENT)).decode(),
    )
    now = time.time()
    for number in numbers:
        key, body, secret = key_of(number), new_id(), os.urandom(32)
        version = f"{(1 << 128) - 1 - int(new_id(), 16):032x}"
        about = {
            "ETag": etag,
            "Encryption": {"A": "AES256", "K": b64encode(secret).decode()},
            "Checksums": {DIGEST: whole},
        }
        row = ObjectRow(key, version, True, True, False, now, len(_CONTENT), body, about)
        sealed = objects._sealed(None, bucket, row)  # type: ignore[arg-type]  # the key is in memory
        data = ObjectKeys((secret,), bucket.id, key).body().seal_whole(_CONTENT)
        yield (
            (bucket.id, key.encode(), version, 1, 1, 0, now, row.size, body, sealed),
            (body, version, 0, row.size, b"", data, _checksum(data)),
        )


def fill(data: Path, count: int) -> None:
    """Write so many objects into the bucket, which is there; goes on where it was left."""
    opened = open_data(Config(data=data))
    buckets, objects = Buckets(opened.store, opened.keyring), Objects(opened.keyring)
    bucket = opened.store.read(lambda tx: buckets.load(tx, BUCKET))
    assert bucket is not None
    opened.store.close()
    database = apsw.Connection(str(data / "casemate.db"))
    database.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000")
    found: Any = database.execute("SELECT COUNT(*) FROM s3_objects WHERE bucket = ?", (bucket.id,)).fetchone()
    for first in range(found[0], count, _BATCH):
        made = list(rows(objects, bucket, range(first, min(count, first + _BATCH))))
        with database:
            database.executemany(
                "INSERT INTO s3_objects (bucket, key, version, null_version, latest, marker, modified, size, body, "
                "sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (one for one, _ in made),
            )
            database.executemany(
                "INSERT INTO s3_bodies (id, holder, part, size, salt, data, digest) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (body for _, body in made),
            )
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


class Case(NamedTuple):
    """Something to be asked, of a bucket of count objects."""

    name: str
    method: str
    path: str
    body: bytes = b""


def cases(count: int, choose: random.Random) -> list[Case]:
    def listing(**parameters: Any) -> str:
        told = "&".join(
            f"{name.replace('_', '-')}={quote(str(value), safe='')}" for name, value in parameters.items()
        )
        return f"/{BUCKET}?list-type=2&{told}"

    some, deep = (
        key_of(choose.randrange(count)),
        key_of(count - count // 100 + choose.randrange(count // 200)),
    )
    folder = some.split("/")[0] + "/"
    return [
        Case("GetObject", "GET", f"/{BUCKET}/{some}"),
        Case("HeadObject", "HEAD", f"/{BUCKET}/{some}"),
        Case("PutObject, new", "PUT", f"/{BUCKET}/{folder}{new_id()}", _CONTENT),
        Case("PutObject, over another", "PUT", f"/{BUCKET}/{some}", _CONTENT),
        Case("ListObjectsV2, the first 100", "GET", listing(max_keys=100)),
        Case("ListObjectsV2, 100 of a prefix", "GET", listing(max_keys=100, prefix=folder)),
        Case("ListObjectsV2, 100 after a late key", "GET", listing(max_keys=100, start_after=deep)),
        Case("ListObjectsV2, 10 folders of 1,000", "GET", listing(max_keys=10, delimiter="/")),
    ]


def ask(target: Target, access: tuple[str, str], connection: http.client.HTTPConnection, case: Case) -> float:
    """Milliseconds until the answer is there."""
    digest = hashlib.sha256(case.body).hexdigest() if case.body else _NOTHING
    lines = headers(target, access, case.method, case.path, digest, len(case.body))
    begun = time.perf_counter()
    connection.request(case.method, case.path, case.body or None, lines)
    answer = connection.getresponse()
    answer.read()
    took = time.perf_counter() - begun
    assert answer.status == 200, answer.status
    return took * 1e3


def prepared(folder: Path, count: int) -> None:
    """A data directory with so many objects."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "casemate" / "casemate.db").exists():
        with casemate(folder) as target:
            key, secret = access_of(target, folder / "casemate")
            client = boto3.client(
                "s3",
                endpoint_url=f"http://127.0.0.1:{target.port}",
                region_name="us-east-1",
                aws_access_key_id=key,
                aws_secret_access_key=secret,
            )
            client.create_bucket(Bucket=BUCKET)
    begun = time.perf_counter()
    fill(folder / "casemate", count)
    size = (folder / "casemate" / "casemate.db").stat().st_size
    print(
        f"{count:,} objects: {size / 1e9:.2f} GB, written in {time.perf_counter() - begun:.0f} s", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000_000)
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--data", type=Path, help="where the data directories are kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="casemate-bench-") as name, contextlib.ExitStack() as stack:
        place = args.data or Path(name)
        counts = (args.few, args.objects)
        servers = []
        for count in counts:
            folder = place / str(count)
            prepared(folder, count)
            target = stack.enter_context(casemate(folder))
            connection = http.client.HTTPConnection("127.0.0.1", target.port)
            servers.append((count, target, access_of(target, folder / "casemate"), connection))
        choose = random.Random(1)
        took: dict[tuple[str, int], list[float]] = {}
        for number in range(args.rounds):
            for count, target, access, connection in servers if number % 2 else servers[::-1]:
                for case in cases(count, choose):
                    took.setdefault((case.name, count), []).append(ask(target, access, connection, case))
        print(f"| p50 ms | {counts[0]:,} | {counts[1]:,} |\n|---|--:|--:|")
        for name in dict.fromkeys(name for name, _ in took):
            few, many = (statistics.median(took[name, count]) for count in counts)
            print(f"| {name} | {few:.2f} | {many:.2f} |")


if __name__ == "__main__":
    main()
