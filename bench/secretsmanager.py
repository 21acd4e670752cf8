"""What Secrets Manager costs beside KMS: ``python bench/secretsmanager.py``.

GetSecretValue's CPU against Decrypt's, which each GetSecretValue asks itself, interleaved in one run of one server;
and PutSecretValue's rate, each acknowledged when it is durable, against the rate at which a store of that kind alone
commits single rows in groups on the same disk. Prints medians; asserts nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from run import Figures, measure
from targets import REQUESTS, Target, captured, casemate, kms_client

from casemate.store.database import open_store
from casemate.store.ids import new_id
from casemate.store.migrate import Migration, Migrations

SECRETS = 64
VALUE_BYTES = 64
COMMIT, SEAL = 600, 64
"""Bytes of a row that the store alone commits, about those of a version's."""


def requests(target: Target, folder: Path, puts: int) -> None:
    """Signed requests of both operations, for secrets of the target's. folder: where its data directory is."""
    # Any: boto3's stubs know each service's client by its name alone.
    import boto3

    text = (folder / "casemate" / "credentials").read_text()
    found = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    access = (found["aws_access_key_id"], found["aws_secret_access_key"])
    client: Any = boto3.client(
        "secretsmanager",
        endpoint_url=f"http://127.0.0.1:{target.port}",
        region_name="us-east-1",
        aws_access_key_id=access[0],
        aws_secret_access_key=access[1],
    )
    names = [f"bench/{number}" for number in range(SECRETS)]
    # Under a key of the account's own, as what Decrypt is measured with is.
    key = kms_client(target.port, *access).create_key()["KeyMetadata"]["Arn"]
    for name in names:
        client.create_secret(Name=name, SecretString=os.urandom(VALUE_BYTES // 2).hex(), KmsKeyId=key)
    target.requests["GetSecretValue"] = [
        captured(client, "get_secret_value", SecretId=names[number % SECRETS]) for number in range(REQUESTS)
    ]
    # Each is sent once: its token makes it another version.
    target.requests["PutSecretValue"] = [
        captured(
            client,
            "put_secret_value",
            SecretId=names[number % SECRETS],
            SecretString=os.urandom(VALUE_BYTES // 2).hex(),
            ClientRequestToken=str(uuid.uuid4()),
        )
        for number in range(puts)
    ]


def commits(folder: Path, seconds: float, clients: int) -> float:
    """Rows a second that the store alone commits, for so many who each wait for their own."""
    table = "CREATE TABLE bench (id TEXT NOT NULL PRIMARY KEY, body BLOB NOT NULL) STRICT"
    store = open_store(
        f"sqlite://{folder}/commits-{new_id()}.db",
        migrations=[Migrations("bench", (Migration(1, "bench", table),))],
    )
    done, end, lock = 0, time.perf_counter() + seconds, threading.Lock()
    waiting = threading.Semaphore(0)

    def again(_: object = None, error: BaseException | None = None) -> None:
        nonlocal done
        if error is not None:
            raise error
        with lock:
            done += 1
        if time.perf_counter() < end:
            submit()
        else:
            waiting.release()

    def submit() -> None:
        row = (new_id(), os.urandom(COMMIT))
        store.submit(lambda tx: tx.run("INSERT INTO bench (id, body) VALUES (?, ?)", row), again)

    started = time.perf_counter()
    for _ in range(clients):
        submit()
    for _ in range(clients):
        waiting.acquire()
    took = time.perf_counter() - started
    store.close()
    return done / took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--puts", type=int, default=20_000, help="requests that are made beforehand")
    args = parser.parse_args()
    runs: dict[str, list[Figures]] = {}
    alone: list[float] = []
    with tempfile.TemporaryDirectory(prefix="casemate-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        target = stack.enter_context(casemate(folder))
        requests(target, folder, args.puts)
        part = args.puts // args.rounds
        every = target.requests["PutSecretValue"]
        for number in range(args.rounds):
            for operation in ("Decrypt", "GetSecretValue"):
                runs.setdefault(operation, []).append(
                    measure(target, operation, folder, args.connections, args.seconds)
                )
            once = f"PutSecretValue-{number}"
            target.requests[once] = every[number * part : (number + 1) * part]
            runs.setdefault("PutSecretValue", []).append(
                measure(target, once, folder, args.connections, args.seconds / 4)
            )
            alone.append(commits(folder, args.seconds / 2, args.connections))
    for operation, figures in runs.items():
        cpu = statistics.median(each.cpu for each in figures)
        rate = statistics.median(each.rate for each in figures)
        failed = sum(each.failures for each in figures)
        print(f"{operation:16} {rate:10,.0f}/s {cpu:8.1f} µs CPU, {failed} failed")
    ratios = [
        get.cpu / decrypt.cpu for get, decrypt in zip(runs["GetSecretValue"], runs["Decrypt"], strict=True)
    ]
    print(f"GetSecretValue costs {statistics.median(ratios):.2f} times Decrypt")
    puts = statistics.median(each.rate for each in runs["PutSecretValue"])
    committed = statistics.median(alone)
    print(f"group commit alone {committed:10,.0f}/s; PutSecretValue reaches {puts / committed:.0%}")


if __name__ == "__main__":
    main()
