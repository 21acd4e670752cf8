"""A real PostgreSQL for tests, from Debian's package: one server per test run, a fresh database per test."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest


def binaries() -> Path:
    """The newest installed server's folder of programs. Fails the test when there is none."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]), reverse=True
    )
    if not found:
        pytest.fail(
            "these tests need a PostgreSQL server: install Debian's package postgresql", pytrace=False
        )
    return found[0].parent


class PostgresServer:
    """A server with its own folder, on a Unix socket only. Root must run it as another user: the package's.

    fsync is off: the machine does not crash in these tests, and what a killed server wrote the kernel keeps.
    The sort order is not C, so that a query that relies on the server's order shows.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bin = binaries()
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def create(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if self._as:
            os.chown(self.folder, self._as["user"], self._as["group"])
        self._run(
            "initdb", "-D", str(self.folder / "data"), "-U", "casemate", "-A", "trust", "-E", "UTF8",
            "--no-sync", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US",
        )  # fmt: skip

    def start(self) -> None:
        options = (
            f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off -c autovacuum=off "
            "-c max_connections=300 -c shared_buffers=32MB -c max_wal_size=256MB -c log_min_messages=fatal"
        )
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-s", "-l", log, "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """immediate: as a crash, without a checkpoint."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-s", "-m", mode, "stop")

    def pause(self) -> None:
        """Make the server hang: its processes are stopped, connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        parent = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for pid in [parent, *map(int, children)]:
            os.kill(pid, number)

    def url(self, database: str) -> str:
        return f"postgresql://casemate@/{database}?host={quote(str(self.folder), safe='')}"

    def new_database(self) -> str:
        """The URL of a fresh, empty database."""
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def drop_database(self, url: str) -> None:
        name = url.partition("@/")[2].partition("?")[0]
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    @contextmanager
    def schema(self) -> Iterator[str]:
        """The URL of an empty schema in a shared database: as good as a database of its own, 50 ms sooner."""
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            conn.execute(f"CREATE SCHEMA {name}".encode())
            yield f"{self.url('postgres')}&options=-csearch_path%3D{name}"
            conn.execute(f"DROP SCHEMA {name} CASCADE".encode())

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # not a pipe, which the server would keep open
            stderr=subprocess.PIPE if program != "pg_ctl" else subprocess.DEVNULL,
            cwd="/",
            check=False,
            **self._as,
        )
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(
                f"{program}: {done.stderr!r} {log.read_text()[-2000:] if log.exists() else ''}"
            )


@contextmanager
def own_server() -> Iterator[PostgresServer]:
    """A server for one test alone, which may stop it."""
    # Not in pytest's folder: the server's user may not enter it. The path of a Unix socket is short, too.
    server = PostgresServer(Path(tempfile.mkdtemp(prefix="casemate-pg-", dir="/tmp")))
    try:
        server.create()
        server.start()
        yield server
    finally:
        if (server.folder / "data" / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The test run's server: the first of pytest-xdist's workers starts it, the last one stops it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with locked(shared / "postgres.json") as state:
        if not state:
            server = PostgresServer(Path(tempfile.mkdtemp(prefix="casemate-pg-", dir="/tmp")))
            server.create()
            server.start()
            state.update(folder=str(server.folder), users=0)
        else:
            server = PostgresServer(Path(state["folder"]))
        state["users"] += 1
    yield server
    with locked(shared / "postgres.json") as state:
        state["users"] -= 1
        if not state["users"]:
            server.stop()
            shutil.rmtree(server.folder, ignore_errors=True)
            state.clear()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh, empty database."""
    url = postgres_server.new_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database: a test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        yield f"sqlite://{tmp_path}/data/casemate.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.schema() as url:
        yield url


@contextmanager
def locked(path: Path) -> Iterator[dict[str, Any]]:
    """A JSON object in a file that one process at a time reads and writes."""
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        state: dict[str, Any] = json.loads(file.read() or "{}")
        yield state
        file.seek(0)
        file.truncate()
        json.dump(state, file)
