"""``python bench/scale.py``: Decrypt with few and many grants on a key, few and many keys, in one interleaved run.

Two servers run side by side: one has a hundred thousand keys more. On each, the same calls are measured on a key
without grants and on keys with fifty thousand, by a caller whom policies allow and by one whom only a grant allows.
What it prints stands in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import boto3
from run import Figures, measure, median
from targets import CONTEXT, PLAINTEXT_BYTES, REQUESTS, Target, captured, free_port, kms_client, start, stop

from casemate.server.composition import open_data
from casemate.server.config import Config
from casemate.services.kms.grant import Constraints, Grant
from casemate.services.kms.keys import Keys
from casemate.store.database import Tx

BATCH = 1_000


def fill(data: Path, keys: dict[str, str], bob: str, grants: int, more_keys: int) -> None:
    """Write grants and keys in bulk, as their operations would: through the services' own stores."""
    opened = open_data(Config(data=data))
    try:
        account = bob.split(":")[4]
        others = f"arn:aws:iam::{account}:user/other-"

        def plan(name: str, number: int) -> tuple[str, Constraints]:
            if name == "all to one":
                return bob, Constraints(subset={**CONTEXT, "table": str(number)})
            return f"{others}{number}", Constraints()

        for name in ("many grants", "all to one"):
            place = (account, "us-east-1", keys[name].rpartition("/")[2])
            for first in range(0, grants, BATCH):

                def put(
                    tx: Tx, name: str = name, place: tuple[str, str, str] = place, first: int = first
                ) -> None:
                    for number in range(first, first + BATCH):
                        grantee, constraints = plan(name, number)
                        identifier = f"{number:064x}"
                        operations = ("Encrypt", "Decrypt")
                        grant = Grant(
                            *place, identifier, 0.0, "", grantee, "", account, operations, constraints
                        )
                        opened.keys.grants.put(tx, grant)

                opened.store.write(put)
        for _ in range(0, more_keys, BATCH):
            opened.store.write(lambda tx: _make_keys(tx, opened.keys, account))
    finally:
        opened.close()


def _make_keys(tx: Tx, keys: Keys, account: str) -> None:
    for _ in range(BATCH):
        keys.create(tx, account, "us-east-1", 0.0)


@contextlib.contextmanager
def server(data: Path, name: str) -> Iterator[Target]:
    port = free_port()
    command = [sys.executable, "-m", "casemate.cli.main", "serve", "--data", str(data), "--workers", "1"]
    command += ["--port", str(port), "--tls-port", "0", "--metrics-port", "0"]
    target = start(name, command, port, "/_casemate/health")
    try:
        yield target
    finally:
        stop(target)


def administrator(data: Path) -> tuple[str, str]:
    text = (data / "credentials").read_text()
    found = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    return found["aws_access_key_id"], found["aws_secret_access_key"]


def prepare(data: Path, grants: int, more_keys: int) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """A data directory with what is measured: keys by name, and the callers' access keys."""
    with server(data, "preparation") as target:
        admin = administrator(data)
        client = kms_client(target.port, *admin)
        keys = {
            name: client.create_key(Description=name)["KeyMetadata"]["Arn"]
            for name in ("no grants", "one grant", "many grants", "all to one")
        }
        iam = boto3.client(
            "iam",
            endpoint_url=f"http://127.0.0.1:{target.port}",
            region_name="us-east-1",
            aws_access_key_id=admin[0],
            aws_secret_access_key=admin[1],
        )
        bob = iam.create_user(UserName="bob")["User"]["Arn"]
        made = iam.create_access_key(UserName="bob")["AccessKey"]
        for name in ("one grant", "many grants"):
            client.create_grant(KeyId=keys[name], GranteePrincipal=bob, Operations=["Encrypt", "Decrypt"])
    fill(data, keys, bob, grants, more_keys)
    return keys, {"admin": admin, "bob": (made["AccessKeyId"], made["SecretAccessKey"])}


CASES = {
    "policy allows, no grants": ("admin", "no grants"),
    "policy allows, many grants": ("admin", "many grants"),
    "grant allows, one grant": ("bob", "one grant"),
    "grant allows, many grants": ("bob", "many grants"),
    "grant allows, many to the caller": ("bob", "all to one"),
}


def decrypts(port: int, keys: dict[str, str], callers: dict[str, tuple[str, str]]) -> dict[str, list[bytes]]:
    """Signed Decrypt requests, by case."""
    admin = kms_client(port, *callers["admin"])
    found = {}
    for case, (caller, key) in CASES.items():
        client = kms_client(port, *callers[caller])
        requests: list[bytes] = []
        for number in range(REQUESTS):
            # Each by another one of the grants, where they differ.
            context = {**CONTEXT, "table": str(number * 7)}
            text = os.urandom(PLAINTEXT_BYTES)
            blob = admin.encrypt(KeyId=keys[key], Plaintext=text, EncryptionContext=context)["CiphertextBlob"]
            if not requests:
                client.decrypt(CiphertextBlob=blob, EncryptionContext=context)
            requests.append(captured(client, "decrypt", CiphertextBlob=blob, EncryptionContext=context))
        found[case] = requests
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--grants", type=int, default=50_000)
    parser.add_argument("--keys", type=int, default=100_000)
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="casemate-bench-")))
        targets = []
        for name, more_keys in (("few keys", 0), ("many keys", args.keys)):
            keys, callers = prepare(folder / name, args.grants, more_keys)
            target = stack.enter_context(server(folder / name, name.replace(" ", "-")))
            target.requests = decrypts(target.port, keys, callers)
            targets.append(target)
        runs: dict[tuple[str, str], list[Figures]] = {}
        for _ in range(args.rounds):
            for case in CASES:
                for target in targets:
                    runs.setdefault((case, target.name), []).append(
                        measure(target, case, folder, args.connections, args.seconds)
                    )
        print(
            f"{args.grants:,} grants, {args.keys:,} keys; medians of {args.rounds} rounds of {args.seconds:g} s\n"
        )
        # The least CPU time of the rounds is what a machine that others use, too, disturbs least.
        print("| Decrypt | Server | requests/s | p50 ms | p99 ms | CPU µs a request | at least |")
        print("|---|---|--:|--:|--:|--:|--:|")
        for (case, name), each in runs.items():
            found = median(each)
            failed = f" ({found.failures} failed)" if found.failures else ""
            rate = f"{found.rate:,.0f} | {found.p50:.2f} | {found.p99:.2f} | {found.cpu:.1f}"
            print(f"| {case} | {name}{failed} | {rate} | {min(run.cpu for run in each):.1f} |")


if __name__ == "__main__":
    main()
