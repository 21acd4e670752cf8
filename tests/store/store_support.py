"""A store on either database, with tables to try it by."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from casemate.store.database import Store, Tx, open_store
from casemate.store.migrate import Migration, Migrations

TABLES = Migrations(
    "test",
    (
        Migration(
            1,
            "tables",
            """
            CREATE TABLE item (
                id TEXT NOT NULL PRIMARY KEY,
                n INTEGER NOT NULL DEFAULT 0 CHECK (n >= 0),
                body BLOB,
                weight REAL
            ) STRICT, WITHOUT ROWID;
            CREATE TABLE part (
                id TEXT NOT NULL PRIMARY KEY,
                item TEXT NOT NULL REFERENCES item (id)
            ) STRICT;
            """,
        ),
    ),
)


@contextmanager
def opened(url: str, patience: float = 10.0) -> Iterator[Store]:
    store = open_store(url, migrations=[TABLES], patience=patience)
    try:
        yield store
    finally:
        store.close()


def put(tx: Tx, name: str, n: int = 0) -> int:
    return tx.run("INSERT INTO item (id, n) VALUES (?, ?)", (name, n))


def names(tx: Tx) -> list[str]:
    return [row[0] for row in tx.all("SELECT id FROM item ORDER BY id")]


def stored(store: Store) -> list[str]:
    return store.read(names)


def child(program: str, *arguments: str) -> subprocess.Popen[str]:
    """A process that runs ``program`` with this module's names, talking over pipes, line by line."""
    return subprocess.Popen(
        [sys.executable, "-c", f"from store_support import *\nimport sys\n{program}", *arguments],
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def say(process: subprocess.Popen[str], line: str = "") -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


@contextmanager
def running(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = child(program, *arguments)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


# For every line it reads, a forked process opens the store and writes, in four threads, until it is killed. Each
# name it prints was acknowledged; "dead" comes after the last.
WRITERS = """
import ctypes, os, signal, threading
import psycopg  # once, not in every fork
for start in sys.stdin:
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        print("dead", flush=True)
        continue
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: whatever becomes of the test
    store = open_store(sys.argv[1], migrations=[TABLES])
    print(os.getpid(), flush=True)
    def work(thread):
        for i in range(1_000_000):
            name = f"{start.strip()}-{thread}-{i:06}"
            store.write(lambda tx: (put(tx, name), tx.bump("d")))
            # One line, one write to the pipe: a kill leaves no part of a line.
            os.write(1, f"{name}\\n".encode())
    for thread in range(4):
        threading.Thread(target=work, args=(thread,)).start()
    threading.Event().wait()
"""


def killed_in_the_middle(url: str, rounds: int, writes: Callable[[int], int]) -> set[str]:
    """Let a process write and kill it, again and again, each after ``writes(round)`` acknowledgements; all names
    that were acknowledged."""
    acked: set[str] = set()
    with running(WRITERS, url) as process:
        for i in range(rounds):
            say(process, f"{i:03}")
            pid = int(hear(process))
            for _ in range(writes(i)):
                acked.add(hear(process))
            os.kill(pid, signal.SIGKILL)
            # What it had acknowledged before it died may still be in the pipe.
            while (line := hear(process)) != "dead":
                acked.add(line)
    return acked


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time
