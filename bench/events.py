"""How soon an event reaches a target, and how many a second: ``python bench/events.py``.

A rule sends events to a queue. The delay is from before PutEvents until a client that waits by ReceiveMessage has the
message: three durable transactions, two requests, and boto3's own time. With pauses between the events; then as fast
as four clients can put them, ten in a request. Asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from targets import casemate


class Bench:
    """A server with a rule that sends to a queue, and clients of it."""

    def __init__(self, port: int, credentials: Path) -> None:
        self.port = port
        self.found = dict(
            line.split(" = ", 1) for line in credentials.read_text().splitlines() if " = " in line
        )
        account = str(self.client("sts").get_caller_identity()["Account"])
        self.events, self.sqs = self.client("events"), self.client("sqs")
        allow = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": "*",
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        self.url = self.sqs.create_queue(QueueName="bench", Attributes={"Policy": policy})["QueueUrl"]
        self.events.put_rule(Name="r", EventPattern='{"source": ["bench"]}')
        target = {"Id": "1", "Arn": f"arn:aws:sqs:us-east-1:{account}:bench"}
        self.events.put_targets(Rule="r", Targets=[target])

    def client(self, service: str) -> Any:
        # Any: boto3's stubs know each service's client by its name alone.
        import boto3

        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id=self.found["aws_access_key_id"],
            aws_secret_access_key=self.found["aws_secret_access_key"],
        )

    def put(self, client: Any, count: int) -> None:
        entry = {"Source": "bench", "DetailType": "t", "Detail": json.dumps({"put": time.time()})}
        client.put_events(Entries=[entry] * count)

    def delays(self, count: int) -> list[float]:
        """Milliseconds from before PutEvents until somebody who waits has the message."""
        delays: list[float] = []

        def receive() -> None:
            client = self.client("sqs")
            while len(delays) < count:
                found = client.receive_message(QueueUrl=self.url, WaitTimeSeconds=20)
                now = time.time()
                for message in found.get("Messages", ()):
                    delays.append((now - json.loads(message["Body"])["detail"]["put"]) * 1000)
                    client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

        receiver = threading.Thread(target=receive)
        receiver.start()
        for _ in range(count):
            time.sleep(0.03)
            self.put(self.events, 1)
        receiver.join()
        return sorted(delays)

    def waiting(self) -> int:
        name = "ApproximateNumberOfMessages"
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
        return int(found["Attributes"][name])

    def rates(self, count: int) -> tuple[float, float]:
        """Events a second that were taken, and that are in the queue."""
        each, begun = count // 40, time.perf_counter()

        def load() -> None:
            client = self.client("events")
            for _ in range(each):
                self.put(client, 10)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        taken = time.perf_counter() - begun
        while self.waiting() < each * 40:
            time.sleep(0.02)
        return each * 40 / taken, each * 40 / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alone", type=int, default=300, help="events that come one at a time")
    parser.add_argument("--many", type=int, default=10_000, help="events that come at once")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="casemate-bench-") as name, casemate(Path(name)) as target:
        assert target.process is not None
        options = [str(each) for each in target.process.args]  # type: ignore[union-attr]
        bench = Bench(target.port, Path(options[options.index("--data") + 1]) / "credentials")
        delays = bench.delays(args.alone)
        taken, sent = bench.rates(args.many)
    print(f"alone: median {statistics.median(delays):.1f} ms, p99 {delays[int(len(delays) * 0.99)]:.1f} ms")
    print(f"at once: {taken:,.0f}/s taken, {sent:,.0f}/s put and in the queue")


if __name__ == "__main__":
    main()
