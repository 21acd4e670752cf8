"""What S3's objects cost: ``python bench/objects.py``.

Small objects: PUT and GET of 16 KiB beside moto's server and SeaweedFS, requests/s and CPU, interleaved in one run.
Large ones: PUT and GET of 64 MiB beside what the machine does of the same bytes alone: MD5 in one thread, SHA-256 and
AES-256-GCM in another; and AES-256-GCM alone. All of Casemate's are encrypted, audited and durable. Prints medians;
asserts nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from run import Figures, measure
from targets import Target, casemate, moto, seaweedfs

SMALL, LARGE = 16 * 1024, 64 * 1024 * 1024
_OBJECTS = 1000
_FRAME = 128 * 1024
_MIB = 2**20
_BUCKET = "bench"


class _Signer(S3SigV4Auth):
    """Signs a request of which only the body's hash is known."""

    def __init__(self, access: tuple[str, str], digest: str) -> None:
        super().__init__(Credentials(*access), "s3", "us-east-1")
        self._digest = digest

    def payload(self, request: Any) -> str:  # noqa: ARG002 - its base's
        return self._digest


def headers(
    target: Target, access: tuple[str, str], method: str, path: str, digest: str, size: int
) -> dict[str, str]:
    """Those of a signed request, which asks for SSE-S3."""
    asked = {"x-amz-server-side-encryption": "AES256"} if method == "PUT" else {}
    request = AWSRequest(method, f"http://127.0.0.1:{target.port}{path}", headers=asked)
    _Signer(access, digest).add_auth(request)
    more = {"Content-Length": str(size)} if method == "PUT" else {}
    return {"Host": f"127.0.0.1:{target.port}", **dict(request.headers.items()), **more}


def prepare(target: Target, access: tuple[str, str]) -> None:
    """Make the bucket, and the requests of both operations for small objects."""
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{target.port}",
        region_name="us-east-1",
        aws_access_key_id=access[0],
        aws_secret_access_key=access[1],
    )
    client.create_bucket(Bucket=_BUCKET)
    while True:
        # SeaweedFS answers before it can store anything.
        try:
            client.put_object(Bucket=_BUCKET, Key="ready", Body=b"", ServerSideEncryption="AES256")
            break
        except client.exceptions.ClientError:
            time.sleep(0.1)
    body = os.urandom(SMALL)
    nothing = hashlib.sha256(b"").hexdigest()
    for method, content in (("PUT", body), ("GET", b"")):
        digest = hashlib.sha256(content).hexdigest() if content else nothing
        made = []
        for number in range(_OBJECTS):
            path = f"/{_BUCKET}/small/{number}"
            lines = headers(target, access, method, path, digest, len(content)).items()
            head = "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines)])
            made.append(head.encode() + b"\r\n\r\n" + content)
        target.requests[method] = made
    for number in range(_OBJECTS):
        client.put_object(Bucket=_BUCKET, Key=f"small/{number}", Body=body, ServerSideEncryption="AES256")


def access_of(target: Target, data: Path) -> tuple[str, str]:
    """The administrator's access key; any of moto's."""
    if target.name == "moto":
        return "testing", "testing"
    if target.name == "SeaweedFS":
        return "bench", "benchbench"
    text = (data / "credentials").read_text()
    found = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    return found["aws_access_key_id"], found["aws_secret_access_key"]


def large(target: Target, access: tuple[str, str], body: bytes, digest: str) -> tuple[float, float]:
    """Seconds of one PUT and one GET."""
    path = f"/{_BUCKET}/large"
    connection = http.client.HTTPConnection("127.0.0.1", target.port)
    try:
        lines = headers(target, access, "PUT", path, digest, len(body))
        begun = time.perf_counter()
        connection.request("PUT", path, body, lines)
        answer = connection.getresponse()
        answer.read()
        put = time.perf_counter() - begun
        assert answer.status == 200
        lines = headers(target, access, "GET", path, hashlib.sha256(b"").hexdigest(), 0)
        room = bytearray(_MIB)
        begun = time.perf_counter()
        connection.request("GET", path, headers=lines)
        answer = connection.getresponse()
        came = 0
        while count := answer.readinto(room):
            came += count
        assert came == len(body)
        return put, time.perf_counter() - begun
    finally:
        connection.close()


def _seal(body: bytes) -> None:
    cipher, view = AESGCM(os.urandom(32)), memoryview(body)
    for number, start in enumerate(range(0, len(body), _FRAME)):
        cipher.encrypt(number.to_bytes(12, "big"), view[start : start + _FRAME], None)


def _hash_and_seal(body: bytes) -> None:
    beside = threading.Thread(target=lambda: hashlib.md5(body, usedforsecurity=False).digest())
    beside.start()
    hashlib.sha256(body).digest()
    _seal(body)
    beside.join()


def seconds_of(work: Callable[[bytes], None], body: bytes) -> float:
    begun = time.perf_counter()
    work(body)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run of small objects")
    parser.add_argument("--connections", type=int, default=64)
    args = parser.parse_args()
    small: dict[tuple[str, str], list[Figures]] = {}
    rates: dict[str, list[float]] = {"PUT": [], "GET": [], "alone": [], "AES": []}
    body = os.urandom(LARGE)
    digest = hashlib.sha256(body).hexdigest()
    with tempfile.TemporaryDirectory(prefix="casemate-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        targets = [stack.enter_context(casemate(folder))]
        if (Path(sys.executable).parent / "moto_server").exists():
            targets.append(stack.enter_context(moto()))
        if (Path(sys.executable).parent / "weed").exists():
            targets.append(stack.enter_context(seaweedfs(folder)))
        for target in targets:
            prepare(target, access_of(target, folder / "casemate"))
        access = access_of(targets[0], folder / "casemate")
        large(targets[0], access, body, digest)
        for _ in range(args.rounds):
            for method in ("PUT", "GET"):
                for target in targets:
                    figures = measure(target, method, folder, args.connections, args.seconds)
                    small.setdefault((target.name, method), []).append(figures)
            took = dict(zip(("PUT", "GET"), large(targets[0], access, body, digest), strict=True))
            took |= {"alone": seconds_of(_hash_and_seal, body), "AES": seconds_of(_seal, body)}
            for what, seconds in took.items():
                rates[what].append(LARGE / _MIB / seconds)
    for (server, method), runs in small.items():
        rate, cpu = (statistics.median(getattr(each, field) for each in runs) for field in ("rate", "cpu"))
        failed = sum(each.failures for each in runs)
        print(f"{server:10} {method} 16 KiB {rate:9,.0f}/s {cpu:8.0f} µs CPU, {failed} failed")
    for what, of in (("PUT", "alone"), ("GET", "AES")):
        reached, possible = statistics.median(rates[what]), statistics.median(rates[of])
        told = "MD5 beside SHA-256 and AES-GCM" if of == "alone" else "AES-GCM"
        print(
            f"Casemate   {what} 64 MiB {reached:7,.0f} MiB/s: {reached / possible:.0%} of {told} alone "
            f"({possible:,.0f})"
        )


if __name__ == "__main__":
    main()
