"""What an invocation of a warm function costs, and what a cold start: ``python bench/functions.py``.

An empty Python handler, isolated by bubblewrap, invoked by one client and by four, over kept connections, beside KMS
Encrypt by the same clients, which is a request without a function. Asserts nothing.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from targets import Target, casemate

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
CODE = "def handler(event, context):\n    return event\n"


def client(target: Target, access: tuple[str, str], service: str) -> Any:
    # Any: boto3's stubs know each service's client by its name alone.
    import boto3

    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=f"http://127.0.0.1:{target.port}",
        region_name="us-east-1",
        aws_access_key_id=access[0],
        aws_secret_access_key=access[1],
    )


def package() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", CODE)
    return buffer.getvalue()


def measured(calls: list[Callable[[], object]], count: int) -> tuple[list[float], float]:
    """Milliseconds of each call, by as many clients at once as there are calls, and calls a second."""
    times: list[float] = []

    def run(call: Callable[[], object]) -> None:
        for _ in range(count):
            begun = time.perf_counter()
            call()
            times.append((time.perf_counter() - begun) * 1000)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(times), len(times) / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="invocations of each client")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="casemate-bench-") as name, casemate(Path(name)) as target:
        data = Path(str(target.process.args[target.process.args.index("--data") + 1]))  # type: ignore[union-attr,index,arg-type]
        found = dict(
            line.split(" = ", 1) for line in (data / "credentials").read_text().splitlines() if " = " in line
        )
        access = (found["aws_access_key_id"], found["aws_secret_access_key"])
        iam = client(target, access, "iam")
        role = iam.create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        clients = [client(target, access, "lambda") for _ in range(4)]
        cold = []
        for number in range(5):
            clients[0].create_function(
                FunctionName=f"bench-{number}",
                Runtime=f"python3.{sys.version_info.minor}",
                Role=role,
                Handler="index.handler",
                Code={"ZipFile": package()},
            )
            begun = time.perf_counter()
            answer = clients[0].invoke(FunctionName=f"bench-{number}", Payload=b"{}")
            cold.append((time.perf_counter() - begun) * 1000)
            assert "FunctionError" not in answer, answer["Payload"].read()
        print(f"cold: median {statistics.median(cold):.0f} ms")
        kms = [client(target, access, "kms") for _ in range(4)]
        key = kms[0].create_key()["KeyMetadata"]["Arn"]

        def invoke(each: Any) -> Callable[[], object]:
            return lambda: each.invoke(FunctionName="bench-0", Payload=b"{}")["Payload"].read()

        def encrypt(each: Any) -> Callable[[], object]:
            return lambda: each.encrypt(KeyId=key, Plaintext=b"x")

        for what, of, each in (("Invoke", invoke, clients), ("Encrypt", encrypt, kms)):
            for count in (1, 4):
                measured([of(one) for one in each[:count]], 20)
                times, rate = measured([of(one) for one in each[:count]], args.count)
                print(
                    f"{what}, {count} at once: median {statistics.median(times):.2f} ms, "
                    f"p99 {times[int(len(times) * 0.99)]:.2f} ms, {rate:,.0f}/s"
                )


if __name__ == "__main__":
    main()
