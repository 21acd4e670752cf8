"""A server with accounts and users for CloudWatch Logs' tests, and clients of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig
from server_support import Server, casemate, running_server
from server_support import refused as refused
from users_support import Users, seed_of
from users_support import access_key as access_key

from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
REGION = "us-east-1"
GROUP_ARN = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:"

_numbers = count(1)


def policy(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(*actions: str, resource: Any = "*", effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": list(actions), "Resource": resource, **more}


# user: (account, attached policies, inline policy)
_USERS: Users = {
    "admin": (ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
    "nobody": (ACCOUNT, (), ""),
    "stranger": (OTHER_ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
    # As AWS's pages write it for a Lambda function's role.
    "writer": (
        ACCOUNT,
        (),
        policy(statement("logs:CreateLogStream", "logs:PutLogEvents", resource=f"{GROUP_ARN}/app/*:*")),
    ),
    "streamer": (
        ACCOUNT,
        (),
        policy(statement("logs:GetLogEvents", resource=f"{GROUP_ARN}*:log-stream:mine-*")),
    ),
    "maker": (ACCOUNT, (), policy(statement("logs:CreateLogGroup"))),
    "tagger": (
        ACCOUNT,
        (),
        policy(
            statement(
                "logs:TagResource",
                resource=f"{GROUP_ARN}/app/*",
                Condition={"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}},
            )
        ),
    ),
}


def user_arn(user: str) -> str:
    return f"arn:aws:iam::{_USERS[user][0]}:user/{user}"


def _seed() -> dict[str, Any]:
    return seed_of(_USERS, ACCOUNT, OTHER_ACCOUNT)


class Logs:
    """A running server's CloudWatch Logs, as its users see it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._clients: dict[tuple[str, str], Any] = {}

    def of(self, user: str = "admin", service: str = "logs") -> Any:
        """A boto3 client by that user's access key."""
        client = self._clients.get((user, service))
        if client is None:
            client = self._clients[user, service] = self.server.client(
                service, access_key(user), region=REGION
            )
        return client

    def tailer(self, user: str = "admin") -> Any:
        """A client for live tails, which boto3 would ask of "stream-" and the endpoint's name otherwise."""
        key = access_key(user)
        session: Any = boto3.session.Session(
            aws_access_key_id=key.id, aws_secret_access_key=key.secret, region_name=REGION
        )
        config = ClientConfig(inject_host_prefix=False, retries={"total_max_attempts": 1})
        return session.client("logs", endpoint_url=self.server.endpoint, config=config)

    def advance(self, by: str) -> None:
        """Move the server's clock ("365d") and wait for what is due by then."""
        moved = casemate("clock", "--data", str(self.server.data), "--advance", by)
        assert moved.returncode == 0, moved.stderr

    def now(self) -> int:
        """Milliseconds since the epoch, by the server's clock."""
        from datetime import datetime

        shown = casemate("clock", "--data", str(self.server.data)).stdout
        return int(datetime.fromisoformat(shown.split()[0]).timestamp() * 1000)

    def group(self, prefix: str = "/app/group", *streams: str, **more: Any) -> str:
        """A new group's name."""
        name = f"{prefix}-{next(_numbers)}"
        self.of().create_log_group(logGroupName=name, **more)
        for stream in streams:
            self.of().create_log_stream(logGroupName=name, logStreamName=stream)
        return name

    def put(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> Any:
        return self.of().put_log_events(
            logGroupName=group,
            logStreamName=stream,
            logEvents=[{"timestamp": timestamp, "message": message} for timestamp, message in events],
        )

    def messages(self, group: str, **more: Any) -> list[str]:
        """What FilterLogEvents finds, over all its pages."""
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = self.of().filter_log_events(logGroupName=group, **more, **token)
            found += [event["message"] for event in page["events"]]
            if "nextToken" not in page:
                return found
            token = {"nextToken": page["nextToken"]}

    def awaited(self, group: str, count: int) -> list[str]:
        """The messages of a group, once there are so many: what services write comes a little later."""
        end = time.monotonic() + 20
        while len(found := self.messages(group)) < count and time.monotonic() < end:
            time.sleep(0.02)
        assert len(found) == count, found
        return found


@contextmanager
def logs_server(folder: Path) -> Iterator[Logs]:
    file = folder / "seed.json"
    file.write_text(json.dumps(_seed()))
    with running_server(folder, "--dev", "--seed", str(file)) as server:
        yield Logs(server)
