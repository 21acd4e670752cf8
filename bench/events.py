"""How soon an event reaches a target, and how many a second: ``python bench/events.py``.

A rule puts events on a second bus, by a role; that bus archives them. When each was put is in its detail, and when it
was archived is in the id of its row, which tells the time to the millisecond. So the delay is from before PutEvents
until the transaction in which the target took it. With pauses between the events, then as fast as four clients can.
Asserts nothing.
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

from casemate.server.composition import open_data
from casemate.server.config import Config
from casemate.services.events.buses import Buses
from casemate.services.events.outbox import Outbox

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
ALLOW = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}],
}


class Bench:
    def __init__(self, port: int, access: tuple[str, str]) -> None:
        self.port, self.access = port, access
        self.account = str(self.client("sts").get_caller_identity()["Account"])
        self.events = self.client("events")

    def client(self, service: str) -> Any:
        # Any: boto3's stubs know each service's client by its name alone.
        import boto3

        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id=self.access[0],
            aws_secret_access_key=self.access[1],
        )

    def prepare(self) -> None:
        iam = self.client("iam")
        made = iam.create_role(RoleName="forward", AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.put_role_policy(RoleName="forward", PolicyName="put", PolicyDocument=json.dumps(ALLOW))
        bus = self.events.create_event_bus(Name="second")["EventBusArn"]
        self.events.create_archive(ArchiveName="kept", EventSourceArn=bus)
        self.events.put_rule(Name="r", EventPattern='{"source": ["bench"]}')
        target = {"Id": "1", "Arn": bus, "RoleArn": made["Role"]["Arn"]}
        self.events.put_targets(Rule="r", Targets=[target])

    def put(self, client: Any, kind: str, count: int) -> None:
        detail = json.dumps({"put": time.time()})
        entry = {"Source": "bench", "DetailType": kind, "Detail": detail}
        client.put_events(Entries=[entry] * count)

    def arrived(self) -> int:
        return int(self.events.describe_archive(ArchiveName="kept")["EventCount"])

    def wait_for(self, count: int) -> None:
        while self.arrived() < count:
            time.sleep(0.01)


def delays(data: Path, account: str) -> list[float]:
    """Milliseconds, of those that came alone."""
    opened = open_data(Config(data=data))
    outbox = Outbox(Buses(opened.store, opened.keyring), opened.keyring)
    rows = opened.store.read(
        lambda tx: outbox.archived(
            tx, account, "us-east-1", "kept", after=(0.0, ""), until=1e12, most=1_000_000
        )
    )
    opened.close()
    return sorted(
        int(row[:12], 16) - event["detail"]["put"] * 1000
        for _, row, event in rows
        if event["detail-type"] == "alone"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alone", type=int, default=300, help="events that come one at a time")
    parser.add_argument("--many", type=int, default=10_000, help="events that come at once, ten in a request")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="casemate-bench-") as name:
        folder = Path(name)
        with casemate(folder) as target:
            assert target.process is not None
            data = Path(str(target.process.args[target.process.args.index("--data") + 1]))  # type: ignore[union-attr,index,arg-type]
            found = dict(
                line.split(" = ", 1)
                for line in (data / "credentials").read_text().splitlines()
                if " = " in line
            )
            bench = Bench(target.port, (found["aws_access_key_id"], found["aws_secret_access_key"]))
            bench.prepare()
            for _ in range(args.alone):
                bench.put(bench.events, "alone", 1)
                time.sleep(0.02)
            bench.wait_for(args.alone)
            each = args.many // 40
            begun = time.perf_counter()

            def load() -> None:
                client = bench.client("events")
                for _ in range(each):
                    bench.put(client, "many", 10)

            threads = [threading.Thread(target=load) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            put = time.perf_counter() - begun
            bench.wait_for(args.alone + each * 40)
            sent = time.perf_counter() - begun
        found_delays = delays(data, bench.account)
    print(
        f"alone: median {statistics.median(found_delays):.1f} ms, "
        f"p99 {found_delays[int(len(found_delays) * 0.99)]:.1f} ms from before PutEvents to the target"
    )
    print(f"at once: {each * 40 / put:,.0f}/s taken, {each * 40 / sent:,.0f}/s put and sent")


if __name__ == "__main__":
    main()
