"""A server with accounts and users for SQS's and SNS's tests, and clients of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")

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
    "sender": (ACCOUNT, (), policy(statement("sqs:SendMessage", resource=f"arn:aws:sqs:*:{ACCOUNT}:app-*"))),
    "messenger": (ACCOUNT, (), policy(statement("sqs:SendMessage", "sqs:ReceiveMessage"))),
    "maker": (ACCOUNT, (), policy(statement("sqs:CreateQueue"))),
    "red": (
        ACCOUNT,
        (),
        policy(
            statement("sqs:SendMessage", Condition={"StringEquals": {"aws:ResourceTag/team": "red"}}),
            statement("sqs:TagQueue", Condition={"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}),
        ),
    ),
}


def user_arn(user: str) -> str:
    return f"arn:aws:iam::{_USERS[user][0]}:user/{user}"


def _seed() -> dict[str, Any]:
    return seed_of(_USERS, ACCOUNT, OTHER_ACCOUNT)


class Sqs:
    """A running server's SQS, as its users see it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._clients: dict[tuple[str, str], Any] = {}

    def of(self, user: str = "admin", service: str = "sqs") -> Any:
        """A boto3 client by that user's access key."""
        client = self._clients.get((user, service))
        if client is None:
            client = self._clients[user, service] = self.server.client(
                service, access_key(user), region=REGION
            )
        return client

    def advance(self, by: str) -> None:
        """Move the server's clock ("365d") and wait for what is due by then."""
        moved = casemate("clock", "--data", str(self.server.data), "--advance", by)
        assert moved.returncode == 0, moved.stderr

    def name(self, prefix: str = "queue") -> str:
        return f"{prefix}-{next(_numbers)}"

    def queue(self, prefix: str = "queue", **attributes: Any) -> str:
        """A new queue's URL."""
        return str(
            self.of().create_queue(QueueName=self.name(prefix), Attributes=_texts(attributes))["QueueUrl"]
        )

    def fifo(self, **attributes: Any) -> str:
        """A new FIFO queue's URL."""
        name = f"{self.name('fifo')}.fifo"
        given = _texts({"FifoQueue": "true", **attributes})
        return str(self.of().create_queue(QueueName=name, Attributes=given)["QueueUrl"])

    def send(self, url: str, *bodies: str, **more: Any) -> None:
        for body in bodies:
            self.of().send_message(QueueUrl=url, MessageBody=body, **more)

    def receive(self, url: str, most: int = 10, **more: Any) -> list[dict[str, Any]]:
        found = self.of().receive_message(QueueUrl=url, MaxNumberOfMessages=most, **more)
        messages: list[dict[str, Any]] = found.get("Messages", [])
        return messages

    def bodies(self, url: str, most: int = 10, **more: Any) -> list[str]:
        return [message["Body"] for message in self.receive(url, most, **more)]

    def attribute(self, url: str, name: str) -> str | None:
        found = self.of().get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        value: str | None = found.get("Attributes", {}).get(name)
        return value


def _texts(attributes: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in attributes.items()
    }


def arn_of(url: str) -> str:
    account, name = url.rsplit("/", 2)[1:]
    return f"arn:aws:sqs:{REGION}:{account}:{name}"


@contextmanager
def sqs_server(folder: Path, env: Mapping[str, str] | None = None) -> Iterator[Sqs]:
    file = folder / "seed.json"
    file.write_text(json.dumps(_seed()))
    with running_server(folder, "--dev", "--seed", str(file), env=env) as server:
        yield Sqs(server)
