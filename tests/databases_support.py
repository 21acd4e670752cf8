"""Real databases that are logged in to by passwords, over TCP, for tests of what rotates these."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pymysql  # type: ignore[import-untyped]
import pytest
from postgres_support import binaries

MASTER, MASTER_PASSWORD = "master", "the-masters-password"
_SECONDS = 30.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _folder(user: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A folder, and whom to run as: servers do not run as root."""
    path = Path(tempfile.mkdtemp(prefix="casemate-db-", dir="/tmp"))
    run_as: dict[str, Any] = {}
    if os.geteuid() == 0:
        found = pwd.getpwnam(user)
        os.chown(path, found.pw_uid, found.pw_gid)
        run_as = {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    try:
        yield path, run_as
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _serving(command: list[str], folder: Path, run_as: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", **run_as
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _made(command: list[str], run_as: dict[str, Any]) -> None:
    done = subprocess.run(command, capture_output=True, cwd="/", check=False, **run_as)
    assert done.returncode == 0, done.stderr.decode(errors="replace")


class Database:
    """A server on 127.0.0.1, with a user MASTER who may do everything. engine: as secrets have it."""

    engine = ""
    everything: type[Exception]

    def __init__(self, port: int) -> None:
        self.port = port

    def connect(self, user: str, password: str) -> Any:
        raise NotImplementedError

    def opens(self, user: str, password: str) -> bool:
        """Whether somebody logs in by that password."""
        try:
            with closing(self.connect(user, password)):
                return True
        except self.everything:
            return False

    def run(self, *statements: str) -> None:
        """As MASTER."""
        with (
            closing(self.connect(MASTER, MASTER_PASSWORD)) as connection,
            closing(connection.cursor()) as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)
            connection.commit()

    def ask(self, user: str, password: str, query: str) -> Any:
        """The first column of the first row."""
        with closing(self.connect(user, password)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(query)
            return cursor.fetchone()[0]

    def wait(self, process: subprocess.Popen[bytes], folder: Path, user: str, password: str) -> None:
        end = time.monotonic() + _SECONDS
        while not self.opens(user, password):
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail((folder / "log").read_text(errors="replace")[-2000:], pytrace=False)
            time.sleep(0.05)


class Postgres(Database):
    engine = "postgres"
    everything = psycopg.Error

    def connect(self, user: str, password: str) -> Any:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=password,
            dbname="postgres",
            connect_timeout=5,
        )


class MariaDb(Database):
    engine = "mysql"
    everything = pymysql.Error

    def connect(self, user: str, password: str) -> Any:
        return pymysql.connect(host="127.0.0.1", port=self.port, user=user, password=password)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """From Debian's package, by SCRAM passwords."""
    programs = binaries()
    with _folder("postgres") as (folder, run_as):
        password = folder / "password"
        password.write_text(MASTER_PASSWORD)
        if run_as:
            os.chown(password, run_as["user"], run_as["group"])
        data = str(folder / "data")
        _made(
            [
                *(str(programs / "initdb"), "-D", data, "-U", MASTER, "-A", "scram-sha-256"),
                *("--pwfile", str(password), "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"),
            ],
            run_as,
        )
        database = Postgres(_free_port())
        settings = (
            *("listen_addresses=127.0.0.1", f"port={database.port}", f"unix_socket_directories={folder}"),
            *("fsync=off", "autovacuum=off", "shared_buffers=16MB"),
        )
        command = [
            str(programs / "postgres"),
            "-D",
            data,
            *(part for each in settings for part in ("-c", each)),
        ]
        with _serving(command, folder, run_as) as process:
            database.wait(process, folder, MASTER, MASTER_PASSWORD)
            yield database


@contextmanager
def mariadb() -> Iterator[MariaDb]:
    """From Debian's package mariadb-server."""
    program = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.fail(
            "these tests need a MariaDB server: install Debian's package mariadb-server", pytrace=False
        )
    with _folder("mysql") as (folder, run_as):
        data = str(folder / "data")
        _made(
            [
                *("mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db"),
                *("--auth-root-authentication-method=normal", "--innodb-log-file-size=4M"),
            ],
            run_as,
        )
        database = MariaDb(_free_port())
        command = [
            *(program, "--no-defaults", f"--datadir={data}", f"--port={database.port}"),
            *("--bind-address=127.0.0.1", f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}"),
            *(
                "--innodb-log-file-size=4M",
                "--innodb-buffer-pool-size=8M",
                "--innodb-flush-log-at-trx-commit=0",
            ),
            *("--skip-name-resolve", "--performance-schema=OFF"),
        ]
        with _serving(command, folder, run_as) as process:
            database.wait(process, folder, "root", "")
            with closing(database.connect("root", "")) as connection, closing(connection.cursor()) as cursor:
                cursor.execute(f"CREATE USER {MASTER}@'%' IDENTIFIED BY '{MASTER_PASSWORD}'")
                cursor.execute(f"GRANT ALL ON *.* TO {MASTER}@'%' WITH GRANT OPTION")
                connection.commit()
            yield database


__all__ = ["MASTER", "MASTER_PASSWORD", "Database", "mariadb", "postgres"]
