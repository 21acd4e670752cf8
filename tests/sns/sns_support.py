"""Topics, queues that they may deliver to, and an HTTP endpoint, for SNS's tests."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple

from sqs_support import Sqs, arn_of, policy, statement


class Posted(NamedTuple):
    """headers: by their names in lower case."""

    headers: Mapping[str, str]
    body: str

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Listener:
    """Takes what is posted to it. statuses: its next answers, 200 once they are used up."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.posted: queue.Queue[Posted] = queue.Queue()
        listening = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                listening.posted.put(
                    Posted({name.lower(): each for name, each in self.headers.items()}, body)
                )
                self.send_response(listening.statuses.pop(0) if listening.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def next(self) -> Posted:
        return self.posted.get(timeout=20)


def topic(aws: Sqs, name: str = "", **attributes: str) -> str:
    """A new topic's ARN."""
    fifo = attributes.get("FifoTopic") == "true"
    made = aws.of(service="sns").create_topic(
        Name=(name or aws.name("topic")) + (".fifo" if fifo else ""), Attributes=attributes
    )
    return str(made["TopicArn"])


def subscribed_queue(
    aws: Sqs, topic_arn: str, attributes: Mapping[str, str] | None = None, *, fifo: bool = False
) -> str:
    """The URL of a new queue that subscribes to a topic and lets it deliver."""
    url = aws.fifo() if fifo else aws.queue()
    let(aws, url, topic_arn)
    aws.of(service="sns").subscribe(
        TopicArn=topic_arn, Protocol="sqs", Endpoint=arn_of(url), Attributes=dict(attributes or {})
    )
    return url


def let(aws: Sqs, url: str, topic_arn: str) -> None:
    """Let a topic send to a queue."""
    document = policy(
        statement(
            "sqs:SendMessage",
            resource=arn_of(url),
            Principal={"Service": "sns.amazonaws.com"},
            Condition={"ArnEquals": {"aws:SourceArn": topic_arn}},
        )
    )
    aws.of().set_queue_attributes(QueueUrl=url, Attributes={"Policy": document})
