"""Load for the journal's crash tests, run as a program of its own: journal_load.py crash DIRECTORY ROUNDS, or
journal_load.py limit DIRECTORY. Prints JSON for the test that runs it."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import threading
import time
from pathlib import Path

from casemate.engine.envelope.hierarchy import RootKey
from casemate.server.journal_cipher import JournalCipher
from casemate.store.journal import Journal, JournalUnavailable

ROOT = bytes(range(32))


def cipher() -> JournalCipher:
    return JournalCipher(RootKey(ROOT))


def load(directory: Path, round_: int, acknowledged: int) -> None:
    """Append from two threads until killed; write the numbers that came back durable into ``acknowledged``."""

    def durable(tokens: list[str], error: BaseException | None) -> None:
        if error is None:
            os.write(acknowledged, "".join(f"{token}\n" for token in tokens).encode())

    journal = Journal[str](
        directory, cipher(), durable, worker="crash", segment_bytes=20_000, ahead_bytes=8192
    )

    def append(thread: int) -> None:
        number = 0
        while True:
            name = f"{round_}.{thread}.{number}"
            journal.append(f'{{"name": "{name}", "padding": "{"x" * (number % 300)}"}}'.encode(), name)
            number += 1
            if number % 50 == 0:
                time.sleep(0.0005)

    threading.Thread(target=append, args=(1,), daemon=True).start()
    append(2)


def crash(directory: Path, rounds: int) -> None:
    """Kill a loaded child ``rounds`` times; print what each had acknowledged before it died."""
    everything: list[str] = []
    for round_ in range(rounds):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            load(directory, round_, writing)
        os.close(writing)
        got = os.read(reading, 65536)  # the load has begun
        until = time.monotonic() + random.uniform(0.0, 0.12)
        while time.monotonic() < until:
            got += os.read(reading, 65536)
        os.kill(child, signal.SIGKILL)
        while piece := os.read(reading, 65536):
            got += piece
        os.close(reading)
        os.waitpid(child, 0)
        everything += got.decode().split("\n")[:-1]
    print(json.dumps(everything))


def limit(directory: Path) -> None:
    """Run into a limit on the files' size, as into a full disk, and out of it again."""
    outcomes: list[tuple[str, str | None]] = []
    arrived = threading.Semaphore(0)

    def durable(tokens: list[str], error: BaseException | None) -> None:
        outcomes.extend((token, None if error is None else type(error).__name__) for token in tokens)
        arrived.release()

    journal = Journal[str](directory, cipher(), durable, worker="limit", ahead_bytes=4096, retry_seconds=0.02)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    refused = False
    for number in range(100):
        try:
            journal.append(b"x" * 1000, f"before {number}")
        except JournalUnavailable:
            refused = True
            break
        arrived.acquire()
    # Below the limit of a new, small segment, so that the journal cannot begin one.
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    time.sleep(0.1)
    still_unhealthy = not journal.healthy
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    until = time.monotonic() + 30
    while not journal.healthy and time.monotonic() < until:
        time.sleep(0.01)
    journal.append(b"y" * 1000, "after")
    arrived.acquire()
    journal.close()
    print(json.dumps({"outcomes": outcomes, "refused": refused, "still unhealthy": still_unhealthy}))


if __name__ == "__main__":
    if sys.argv[1] == "crash":
        crash(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        limit(Path(sys.argv[2]))
