"""Objects much larger than what a server may hold of them."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from s3_support import s3_server
from test_s3_transfer import signed

_MIB = 1024 * 1024
_SIZE, _MAY_GROW = 320, 80
"""MiB of the object, and by how much the server's resident memory may grow meanwhile."""


def most_resident(pid: int) -> float:
    """MiB that a process has had resident at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def pieces(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield number.to_bytes(8, "big") * (_MIB // 8)


@pytest.mark.timeout(120)
def test_memory_does_not_grow_with_objects(tmp_path: Path) -> None:
    with s3_server(tmp_path) as s3:
        bucket, pid = s3.bucket(), s3.server.process.pid
        path = f"/{bucket}/large"
        peaks = []
        for size in (8, _SIZE):
            expected = hashlib.blake2b()
            connection = http.client.HTTPConnection(urlsplit(s3.server.endpoint).netloc, timeout=60)
            sent = signed(s3, path, "UNSIGNED-PAYLOAD") | {"Content-Length": str(size * _MIB)}
            connection.request("PUT", path, body=pieces(size), headers=sent)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
            connection.close()
            for piece in pieces(size):
                expected.update(piece)
            found = hashlib.blake2b()
            for piece in s3.of().get_object(Bucket=bucket, Key="large")["Body"].iter_chunks(_MIB):
                found.update(piece)
            assert found.digest() == expected.digest()
            peaks.append(most_resident(pid))
        assert peaks[1] - peaks[0] < _MAY_GROW, peaks
