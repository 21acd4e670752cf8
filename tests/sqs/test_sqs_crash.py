"""kill -9 under load: whatever was acknowledged is there afterwards, and what was deleted is not."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from server_support import Server, running_server

_THREADS = 3
_ROUNDS = 2
_ENOUGH = 25
"""Messages that each thread sends before the server is killed."""


def _load(client: Any, queue: str, topic: str, name: str, model: _Model) -> None:
    """Send, publish and delete until the server is gone."""
    number = 0
    try:
        while True:
            number += 1
            body = f"{name}-{number}"
            if number % 3:
                client[0].send_message(QueueUrl=queue, MessageBody=body)
            else:
                client[1].publish(TopicArn=topic, Message=body)
            model.sent.append(body)
            if number % 5 == 0:
                for message in client[0].receive_message(QueueUrl=queue).get("Messages", []):
                    model.deleting.append(message["Body"])
                    client[0].delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                    model.deleted.append(message["Body"])
    except (BotoCoreError, ClientError):
        return


class _Model:
    """What one thread knows: what was acknowledged, and what it was about to delete."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.deleting: list[str] = []
        self.deleted: list[str] = []


def _remaining(server: Server, queue: str) -> list[str]:
    client, found = server.client("sqs"), list[str]()
    while messages := client.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=600
    ).get("Messages", []):
        found += [message["Body"] for message in messages]
    return found


def test_no_acknowledged_message_is_lost(tmp_path: Path) -> None:
    path = ""
    for round_ in range(_ROUNDS):
        with running_server(tmp_path) as server:
            sqs, sns = server.client("sqs"), server.client("sns")
            queue = sqs.create_queue(QueueName=f"load-{round_}", Attributes={"VisibilityTimeout": "0"})[
                "QueueUrl"
            ]
            topic = sns.create_topic(Name=f"load-{round_}")["TopicArn"]
            arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
                "QueueArn"
            ]
            allow = {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
            }
            document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
            sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": document})
            sns.subscribe(
                TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
            )
            models = [_Model() for _ in range(_THREADS)]
            threads = [
                threading.Thread(
                    target=_load,
                    args=(
                        (server.client("sqs"), server.client("sns")),
                        queue,
                        topic,
                        f"{round_}.{at}",
                        model,
                    ),
                )
                for at, model in enumerate(models)
            ]
            for thread in threads:
                thread.start()
            while any(len(model.sent) < _ENOUGH for model in models) and any(
                thread.is_alive() for thread in threads
            ):
                threads[0].join(0.05)
            server.kill()
            for thread in threads:
                thread.join()
            assert all(len(model.sent) >= _ENOUGH for model in models)
            path = queue.split("/", 3)[3]
        with running_server(tmp_path) as server:
            remaining = _remaining(server, f"{server.endpoint}/{path}")
        assert len(remaining) == len(set(remaining))
        sent = {body for model in models for body in model.sent}
        maybe = {body for model in models for body in model.deleting}
        deleted = {body for model in models for body in model.deleted}
        assert sent - maybe <= set(remaining)
        assert not deleted & set(remaining)
