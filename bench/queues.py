"""SQS beside moto's server: ``python bench/queues.py``.

SendMessage and ReceiveMessage, each acknowledged when it is durable (moto's are in memory), by many connections to
one worker, the two servers in turn in one run. Prints medians; asserts nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path
from typing import Any

from parameters import client_of
from run import Figures, measure, median
from targets import REQUESTS, Target, captured, casemate, moto

BODY = "x" * 256


def client_for(target: Target, folder: Path) -> Any:
    if target.name == "Casemate":
        return client_of(target, folder, "sqs")
    # Any: boto3's stubs know each service's client by its name alone.
    import boto3

    return boto3.client(
        "sqs",
        endpoint_url=f"http://127.0.0.1:{target.port}",
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def requests(target: Target, client: Any) -> None:
    """Signed requests to one queue, whose messages stay hidden once they are received."""
    url = client.create_queue(QueueName="bench", Attributes={"VisibilityTimeout": "3600"})["QueueUrl"]
    for operation, method, more in (
        ("SendMessage", "send_message", {"MessageBody": BODY}),
        ("ReceiveMessage", "receive_message", {}),
    ):
        target.requests[operation] = [captured(client, method, QueueUrl=url, **more) for _ in range(REQUESTS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run")
    parser.add_argument("--connections", type=int, default=64)
    args = parser.parse_args()
    runs: dict[tuple[str, str], list[Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="casemate-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        targets = [stack.enter_context(casemate(folder)), stack.enter_context(moto())]
        for target in targets:
            requests(target, client_for(target, folder))
        for _ in range(args.rounds):
            for target in targets:
                # Fewer are received than were sent, so that no receive is of an empty queue.
                for operation, seconds in (
                    ("SendMessage", args.seconds),
                    ("ReceiveMessage", args.seconds / 3),
                ):
                    figures = measure(target, operation, folder, args.connections, seconds)
                    runs.setdefault((target.name, operation), []).append(figures)
    for (server, operation), each in runs.items():
        found = median(each)
        print(
            f"{server:10} {operation:16} {found.rate:8,.0f}/s  p50 {found.p50:6.1f} ms  p99 {found.p99:6.1f} ms  "
            f"{found.cpu:7.0f} µs CPU  {found.failures} failed"
        )


if __name__ == "__main__":
    main()
