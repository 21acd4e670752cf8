"""Clients that people use."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import urllib3
from botocore.config import Config
from transport_support import BOUND, Running, serving


@pytest.fixture
def server() -> Iterator[Running]:
    with serving() as running:
        yield running


def test_urllib3(server: Running) -> None:
    with urllib3.HTTPConnectionPool("127.0.0.1", server.port, maxsize=1) as pool:
        for number in range(5):
            answer = pool.request("POST", f"/a//b/..%2F{number}", body=b"body", retries=False, timeout=10)
            assert answer.data.endswith(b"body")
        answer = pool.request("POST", "/x", body=(b"piece" for _ in range(3)), chunked=True, timeout=10)
        assert answer.data == b"/x?\npiecepiecepiece"
        answer = pool.request("POST", "/x", body=b"a" * (BOUND + 1), retries=False, timeout=10)
        assert answer.status == 413
    assert server.counters.accepted <= 2


def test_botocore(server: Running) -> None:
    """The answer is no AWS answer, but the request goes out by botocore's own HTTP stack, signed."""
    client = boto3.client(
        "kms",
        endpoint_url=f"http://127.0.0.1:{server.port}",
        region_name="us-east-1",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        config=Config(retries={"max_attempts": 0}),
    )
    assert client.list_keys()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert server.app.headers[0][b"x-amz-target"] == b"TrentService.ListKeys"
    assert server.app.headers[0][b"authorization"].startswith(b"AWS4-HMAC-SHA256 ")
    assert server.app.asked[0][3] == b"{}"
    client.close()


def curl(server: Running, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    return subprocess.run(
        [program, "-sS", "--max-time", "15", "--path-as-is", *arguments], capture_output=True, check=False
    )


def test_curl(server: Running, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server.port}"
    assert curl(server, f"{url}//a/../%2F?b").stdout == b"//a/../%2F?b\n"
    assert curl(server, "-I", f"{url}/x").stdout.startswith(b"HTTP/1.1 200 OK\r\n")
    body = tmp_path / "body"
    body.write_bytes(bytes(3_000_000))
    # From 1 MiB on curl asks for 100 Continue.
    sent = curl(server, "-v", "-T", str(body), "-H", "Expect: 100-continue", f"{url}/stream/count")
    assert sent.stdout == b"3000000"
    assert b"HTTP/1.1 100 Continue" in sent.stderr
    refused = curl(
        server,
        "-w",
        "%{http_code}",
        "-o",
        os.devnull,
        "-T",
        str(body),
        "-H",
        "Expect: 100-continue",
        f"{url}/x",
    )
    assert refused.stdout == b"413"
    upgraded = curl(server, "--http2", "-d", "body", f"{url}/x", f"{url}/y")
    assert upgraded.stdout == b"/x?\nbody/y?\nbody", "an offer of HTTP/2 is passed over"
    old = curl(server, "--http1.0", f"{url}/x")
    assert old.stdout == b"/x?\n"
