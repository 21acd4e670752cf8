"""What Parameter Store costs beside KMS: ``python bench/parameters.py``.

GetParameter with decryption against Decrypt, which each asks itself: CPU time, interleaved in one run of one server.
And what a page of a path costs where there are few parameters and where there are many. Prints the best of its
rounds; asserts nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

from run import Figures, measure
from targets import REQUESTS, Target, captured, casemate

from casemate.gate.markers import write_marker

PARAMETERS = 64
VALUE_BYTES = 64
OPERATIONS = ("Decrypt", "GetParameter", "GetParameterSecure", "GetParameterAdvanced", "GetParameterOwnKey")


def client_of(target: Target, folder: Path, service: str = "ssm") -> Any:
    """The administrator's."""
    import boto3

    text = (folder / "casemate" / "credentials").read_text()
    found = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    # Any: boto3's stubs know each service's client by its name alone.
    session: Any = boto3.session.Session(
        aws_access_key_id=found["aws_access_key_id"],
        aws_secret_access_key=found["aws_secret_access_key"],
        region_name="us-east-1",
    )
    return session.client(service, endpoint_url=f"http://127.0.0.1:{target.port}")


def requests(target: Target, client: Any, key_id: str) -> None:
    """Signed requests for parameters of the target's: Strings, and SecureStrings under the account's managed key, the
    same in the advanced tier, and under a customer's key, as Decrypt's is."""
    kinds = {
        "GetParameter": {"Type": "String"},
        "GetParameterSecure": {"Type": "SecureString"},
        "GetParameterAdvanced": {"Type": "SecureString", "Tier": "Advanced"},
        "GetParameterOwnKey": {"Type": "SecureString", "KeyId": key_id},
    }
    for operation, kind in kinds.items():
        names = [f"/bench/{operation}/{number}" for number in range(PARAMETERS)]
        for name in names:
            client.put_parameter(Name=name, Value=os.urandom(VALUE_BYTES // 2).hex(), **kind)
        target.requests[operation] = [
            captured(client, "get_parameter", Name=names[number % PARAMETERS], WithDecryption=True)
            for number in range(REQUESTS)
        ]


def fill(folder: Path, path: str, count: int) -> None:
    """Put so many parameters below a path, past the server, which notices."""
    import argparse

    from casemate.cli.settings import initialised
    from casemate.server.composition import open_data
    from casemate.server.credentials_file import read_credentials
    from casemate.services.ssm.naming import Place
    from casemate.services.ssm.parameters import Parameters
    from casemate.services.ssm.rows import Row, Version

    opened = open_data(initialised(argparse.Namespace(data=str(folder / "casemate"), config=None)))
    try:
        account = read_credentials(opened.config.data).account
        parameters = Parameters(opened.store, opened.keyring)

        def write(tx: Any) -> None:
            for number in range(count):
                name = f"{path}/{number:06}"
                row = Row(Place(account, "us-east-1", name), name, 1)
                parameters.put(tx, row, Version(1, opened.clock.now(), "arn:x", "String", "value"), None)

        opened.store.write(write)
    finally:
        opened.close()


def pages(target: Target, folder: Path, client: Any, many: int) -> list[str]:
    """Signed requests for pages out of a path with few parameters and of one with many: near its beginning, and the
    last one. The operations."""
    operations = []
    for count in (100, many):
        path = f"/bench/{count}"
        fill(folder, path, count)
        for place, after in (("early", 20), ("last", count - 11)):
            operation = f"{place} page of {count}"
            token = write_marker("GetParametersByPath", f"{path}/{after:06}")
            target.requests[operation] = [
                captured(client, "get_parameters_by_path", Path=path, NextToken=token)
                for _ in range(REQUESTS)
            ]
            operations.append(operation)
    return operations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--many", type=int, default=0, help="parameters in one path, 0 for none")
    args = parser.parse_args()
    runs: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="casemate-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        target = stack.enter_context(casemate(folder))
        client = client_of(target, folder)
        key_id = client_of(target, folder, "kms").create_key()["KeyMetadata"]["KeyId"]
        requests(target, client, key_id)
        operations = [*OPERATIONS]
        if args.many:
            operations += pages(target, folder, client, args.many)
        for _ in range(args.rounds):
            for operation in operations:
                runs.setdefault(operation, []).append(
                    measure(target, operation, folder, args.connections, args.seconds)
                )
    # The least CPU time of the rounds is what a machine that others use, too, disturbs least.
    least = {operation: min(each.cpu for each in figures) for operation, figures in runs.items()}
    for operation, figures in runs.items():
        rate = max(each.rate for each in figures)
        failed = sum(each.failures for each in figures)
        times = least[operation] / least["Decrypt"]
        print(
            f"{operation:22} {rate:10,.0f}/s {least[operation]:8.1f} µs CPU, {times:.2f} times Decrypt, "
            f"{failed} failed"
        )


if __name__ == "__main__":
    main()
