"""A server with accounts and users for CloudWatch's tests, and clients of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from server_support import Server, casemate, running_server
from server_support import refused as refused
from users_support import Users, seed_of
from users_support import access_key as access_key

from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
REGION = "us-east-1"

_numbers = count(1)

_USERS: Users = {
    "admin": (ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
    "nobody": (ACCOUNT, (), ""),
    "stranger": (OTHER_ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
    "shop": (
        ACCOUNT,
        (),
        json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": {
                    "Effect": "Allow",
                    "Action": "cloudwatch:PutMetricData",
                    "Resource": "*",
                    "Condition": {"StringEquals": {"cloudwatch:namespace": "Shop"}},
                },
            }
        ),
    ),
}


class CloudWatch:
    """A running server's CloudWatch, as its users see it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._clients: dict[str, Any] = {}

    def of(self, user: str = "admin") -> Any:
        """A boto3 client by that user's access key."""
        if user not in self._clients:
            self._clients[user] = self.server.client("cloudwatch", access_key(user), region=REGION)
        return self._clients[user]

    def advance(self, by: str) -> None:
        """Move the server's clock ("16d") and wait for what is due by then."""
        moved = casemate("clock", "--data", str(self.server.data), "--advance", by)
        assert moved.returncode == 0, moved.stderr

    def now(self) -> datetime:
        shown = casemate("clock", "--data", str(self.server.data)).stdout
        return datetime.fromisoformat(shown.split()[0])

    def namespace(self) -> str:
        return f"Test/{next(_numbers)}"

    def put(self, namespace: str, *values: float, **more: Any) -> None:
        """Values of the metric "m", one request each."""
        for value in values:
            datum = {"MetricName": "m", "Value": value, **more}
            self.of().put_metric_data(Namespace=namespace, MetricData=[datum])

    def statistics(self, namespace: str, since: datetime, **more: Any) -> list[dict[str, Any]]:
        """Of "m", an hour from there on, by the minute."""
        wanted = {
            "StartTime": since,
            "EndTime": since + timedelta(hours=1),
            "Period": 60,
            "Statistics": ["Sum", "SampleCount", "Minimum", "Maximum", "Average"],
            **more,
        }
        wanted = {name: value for name, value in wanted.items() if value is not None}
        found = self.of().get_metric_statistics(Namespace=namespace, MetricName="m", **wanted)
        assert found["Label"] == "m"
        points: list[dict[str, Any]] = found["Datapoints"]
        return points


@contextmanager
def cloudwatch_server(folder: Path) -> Iterator[CloudWatch]:
    file = folder / "seed.json"
    file.write_text(json.dumps(seed_of(_USERS, ACCOUNT, OTHER_ACCOUNT)))
    with running_server(folder, "--dev", "--seed", str(file)) as server:
        yield CloudWatch(server)
