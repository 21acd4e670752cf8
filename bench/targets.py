"""The servers that are measured: how each is started, and the requests that it is sent."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

REQUESTS = 256
"""How many different requests each operation's run goes round."""

PLAINTEXT_BYTES = 64
CONTEXT = {"app": "bench", "stage": "test"}
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
OPERATIONS = ("Encrypt", "Decrypt", "GenerateDataKey")


@dataclass(slots=True)
class Target:
    """A running server. first_answer: seconds from its start to its first answer; requests: by operation."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    first_answer: float
    requests: dict[str, list[bytes]] = field(default_factory=dict)

    def pids(self) -> list[int]:
        """The server's processes: it and its children."""
        found = [self.process.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += [int(child) for child in (task / "children").read_text().split()]
        return found

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        ticks = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """Resident memory of all its processes now, in MiB."""
        pages = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(
    name: str, command: list[str], port: int, probe: str = "/", env: dict[str, str] | None = None
) -> Target:
    """Start a server and wait for its first answer of any status."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # With bytecode kept, as an installed program has it.
        env={**_ENVIRONMENT, **(env or {})},
    )
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{probe}", timeout=2).read()
            break
        except urllib.error.HTTPError:
            break
        except OSError:
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended at once: {' '.join(command)}") from None
            if time.perf_counter() - started > 60:
                raise RuntimeError(f"{name} gave no answer within a minute") from None
            time.sleep(0.005)
    return Target(name, port, process, time.perf_counter() - started)


class Captured(BaseException):
    """Carries a signed request out of boto3 instead of sending it."""

    def __init__(self, request: AWSPreparedRequest) -> None:
        super().__init__()
        self.request = request


def captured(client: Any, method: str, **parameters: Any) -> bytes:
    """The bytes that boto3 would send for a call."""

    def capture(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        raise Captured(request)

    event = f"before-send.{client.meta.service_model.service_id.hyphenize()}"
    client.meta.events.register_first(event, capture)
    try:
        getattr(client, method)(**parameters)
    except Captured as caught:
        request = caught.request
    finally:
        client.meta.events.unregister(event, capture)
    body = request.body
    assert isinstance(body, bytes)
    host = request.url.split("/")[2]
    lines = [f"{request.method} / HTTP/1.1", f"Host: {host}"]
    for header, value in request.headers.items():
        text = value.decode() if isinstance(value, bytes) else value
        if header.lower() not in ("host", "content-length"):
            lines.append(f"{header}: {text}")
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def kms_requests(client: Any) -> dict[str, list[bytes]]:
    """Signed requests for each operation, against a new key."""
    key = client.create_key(Description="bench")["KeyMetadata"]["KeyId"]
    texts = [os.urandom(PLAINTEXT_BYTES) for _ in range(REQUESTS)]
    blobs = [
        client.encrypt(KeyId=key, Plaintext=text, EncryptionContext=CONTEXT)["CiphertextBlob"]
        for text in texts
    ]
    return {
        "Encrypt": [
            captured(client, "encrypt", KeyId=key, Plaintext=text, EncryptionContext=CONTEXT)
            for text in texts
        ],
        "Decrypt": [
            captured(client, "decrypt", CiphertextBlob=blob, EncryptionContext=CONTEXT) for blob in blobs
        ],
        "GenerateDataKey": [
            captured(client, "generate_data_key", KeyId=key, KeySpec="AES_256", EncryptionContext=CONTEXT)
            for _ in texts
        ],
    }


def kms_client(port: int, access_key: str, secret: str) -> Any:
    return boto3.client(
        "kms",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 1}),
    )


@contextlib.contextmanager
def casemate(scratch: Path) -> Iterator[Target]:
    """One worker, everything on: signatures, policies, durable audit."""
    port = free_port()
    data = scratch / "casemate"
    command = [sys.executable, "-m", "casemate.cli.main", "serve", "--data", str(data), "--workers", "1"]
    command += ["--port", str(port), "--tls-port", "0", "--metrics-port", "0"]
    target = start("Casemate", command, port, "/_casemate/health")
    try:
        text = (data / "credentials").read_text()
        found = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
        client = kms_client(port, found["aws_access_key_id"], found["aws_secret_access_key"])
        target.requests = kms_requests(client)
        yield target
    finally:
        stop(target)


@contextlib.contextmanager
def moto() -> Iterator[Target]:
    """moto's server, as ``moto_server`` starts it."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    target = start("moto", command, port)
    try:
        target.requests = kms_requests(kms_client(port, "testing", "testing"))
        yield target
    finally:
        stop(target)


@contextlib.contextmanager
def seaweedfs(scratch: Path) -> Iterator[Target]:
    """SeaweedFS's S3 with all its parts in one process, which keeps keys of its own for SSE-S3. It checks signatures,
    uses as many cores as it finds, and leaves to the system when what was written reaches the disk."""
    port, folder = free_port(), scratch / "seaweedfs"
    folder.mkdir()
    identity = {
        "name": "bench",
        "credentials": [{"accessKey": "bench", "secretKey": "benchbench"}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    command = [str(Path(sys.executable).parent / "weed"), "server", "-s3", "-ip=127.0.0.1", f"-dir={folder}"]
    command += [f"-s3.port={port}", f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-master.telemetry=false", "-volume.max=20", "-master.volumeSizeLimitMB=1024"]
    for part in ("master", "volume", "filer"):
        # Those 10,000 above are gRPC's.
        command.append(f"-{part}.port={free_port() % 20_000 + 12_000}")
    target = start("SeaweedFS", command, port, env={"WEED_S3_SSE_KEY": "bench"})
    try:
        yield target
    finally:
        stop(target)


@contextlib.contextmanager
def openbao(scratch: Path) -> Iterator[Target]:
    """OpenBao's transit engine, in memory and without an audit device, which favours it."""
    port = free_port()
    binary = Path(sys.executable).parent / "bao"
    command = [str(binary), "server", "-dev", "-dev-root-token-id=bench", "-dev-no-store-token"]
    command.append(f"-dev-listen-address=127.0.0.1:{port}")
    target = start("OpenBao", command, port, "/v1/sys/health", {"HOME": str(scratch)})

    def ask(path: str, body: dict[str, str]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/{path}",
            json.dumps(body).encode(),
            {"X-Vault-Token": "bench", "Content-Type": "application/json"},
        )
        answer: bytes = urllib.request.urlopen(request, timeout=10).read()
        return dict(json.loads(answer)) if answer else {}

    def prepared(path: str, body: dict[str, str]) -> bytes:
        text = json.dumps(body).encode()
        head = (
            f"POST /v1/{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Vault-Token: bench\r\n"
            f"User-Agent: bench\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        )
        return head.encode() + text

    try:
        ask("sys/mounts/transit", {"type": "transit"})
        ask("transit/keys/bench", {"type": "aes256-gcm96"})
        texts = [base64.b64encode(os.urandom(PLAINTEXT_BYTES)).decode() for _ in range(REQUESTS)]
        blobs = [ask("transit/encrypt/bench", {"plaintext": text})["data"]["ciphertext"] for text in texts]
        target.requests = {
            "Encrypt": [prepared("transit/encrypt/bench", {"plaintext": text}) for text in texts],
            "Decrypt": [prepared("transit/decrypt/bench", {"ciphertext": blob}) for blob in blobs],
            "GenerateDataKey": [prepared("transit/datakey/plaintext/bench", {})],
        }
        yield target
    finally:
        stop(target)


NGINX = """
daemon off; master_process off; pid {scratch}/nginx.pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy; fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi; scgi_temp_path {scratch}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ default_type application/x-amz-json-1.1; return 200 '{body}'; }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(scratch: Path, like: Target) -> Iterator[Target]:
    """nginx that returns a constant of the size of Casemate's answer to the same requests."""
    port = free_port()
    folder = scratch / "nginx"
    folder.mkdir()
    config = folder / "nginx.conf"
    body = "x" * len(_answer(like.port, like.requests["Encrypt"][0]))
    config.write_text(NGINX.format(scratch=folder, port=port, body=body))
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    target = start("nginx", [binary, "-c", str(config), "-p", str(folder)], port)
    target.requests = dict(like.requests)
    try:
        yield target
    finally:
        stop(target)


def _answer(port: int, request: bytes) -> bytes:
    """The body of the answer to one request."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer.partition(b"\r\n\r\n")[2]


def stop(target: Target) -> None:
    target.process.terminate()
    try:
        target.process.wait(10)
    except subprocess.TimeoutExpired:
        target.process.kill()
        target.process.wait()


@contextlib.contextmanager
def all_targets() -> Iterator[list[Target]]:
    """All servers at once, idle but for the one that is measured."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="casemate-bench-")))
        ours = stack.enter_context(casemate(scratch))
        yield [
            ours,
            stack.enter_context(nginx(scratch, ours)),
            stack.enter_context(openbao(scratch)),
            stack.enter_context(moto()),
        ]
