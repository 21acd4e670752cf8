"""Lambda's Runtime API, as the server gives it to one execution environment. Source: "Using the Lambda runtime API
for custom runtimes".

Whoever has an environment invokes it in a thread of their own, which speaks with its runtime until there is an
outcome. Between invocations nobody does: what the runtime says waits in its sockets and pipes.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import time
from typing import Any, NamedTuple

from casemate.services.lambda_.execution.http import BadRequest, Connection, Request

_VERSION = "/2018-06-01/runtime"

MOST_ANSWER = 6_291_556
"""Bytes of what a function gives back."""

_MOST_OUTPUT = 1024 * 1024
"""Bytes that are kept of what an invocation prints."""

_MOST_CONNECTIONS = 8
_NO_DESCRIPTORS = 0.05  # seconds until the server may have descriptors again


class Event(NamedTuple):
    """What a function is invoked with. deadline: seconds since the epoch."""

    request_id: str
    arn: str
    payload: bytes
    deadline: float
    trace: str
    client_context: str = ""


class Outcome(NamedTuple):
    """How an invocation ended. failed: the payload is an error; usable: the environment may be used again."""

    payload: bytes
    failed: bool
    usable: bool


def error(kind: str, message: str) -> bytes:
    """An error's payload."""
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


class RuntimeApi:
    """The server's end: a listening socket, the connections of the runtime, what it prints, and its process."""

    def __init__(self, listener: socket.socket, output: int, process: int) -> None:
        """output: the descriptor that stdout and stderr come from; process: a pidfd. All are closed by ``close``."""
        listener.setblocking(False)
        os.set_blocking(output, False)
        self._listener, self._output, self._process = listener, output, process
        self._selector = selectors.DefaultSelector()
        for each in (listener, output, process):
            self._selector.register(each, selectors.EVENT_READ)
        self._connections: set[Connection] = set()
        self._waiting: Connection | None = None
        self._event: Event | None = None
        self._given = False
        self._outcome: Outcome | None = None
        self._printed = bytearray()
        self.over = False
        """The process has ended."""

    def ready(self, until: float) -> Outcome | None:
        """Wait until the runtime asks for its first invocation. None: it did; otherwise why it does not."""
        while self._waiting is None and self._outcome is None:
            if self.over:
                return Outcome(b"", True, False)
            if not self._turn(until):
                return Outcome(b"", True, False)
        outcome, self._outcome = self._outcome, None
        return outcome

    def invoke(self, event: Event, until: float) -> Outcome | None:
        """Let the function run. None: it has neither answered in time nor ended. until: of the monotonic clock."""
        self._event, self._given, self._outcome = event, False, None
        self._hand_out()
        while self._outcome is None:
            if self.over:
                return Outcome(b"", True, False)
            if not self._turn(until):
                return None
        # What was printed before the answer is in the pipe by now.
        self._read_output()
        return self._outcome

    def printed(self) -> bytes:
        """What was printed since the last look."""
        self._read_output()
        text = bytes(self._printed)
        self._printed.clear()
        return text

    def close(self) -> None:
        self._selector.close()
        for connection in self._connections:
            connection.close()
        self._listener.close()
        os.close(self._output)
        os.close(self._process)

    def _turn(self, until: float) -> bool:
        """Wait for something, and do it. False when the time is over."""
        left = until - time.monotonic()
        if left <= 0:
            return False
        for key, _ in self._selector.select(left):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj == self._output:
                self._read_output()
            elif key.fileobj == self._process:
                self._read_output()
                self.over = True
                self._selector.unregister(self._process)
            else:
                self._serve(key.data)
        return True

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            # What cannot be accepted stays there to be accepted.
            time.sleep(_NO_DESCRIPTORS)
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(sock, MOST_ANSWER)
        self._connections.add(connection)
        self._selector.register(sock, selectors.EVENT_READ, connection)
        if len(self._connections) == _MOST_CONNECTIONS:
            # Others wait until one of these ends.
            self._selector.unregister(self._listener)

    def _drop(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        self._selector.unregister(connection.sock)
        if len(self._connections) == _MOST_CONNECTIONS:
            self._selector.register(self._listener, selectors.EVENT_READ)
        self._connections.discard(connection)
        if self._waiting is connection:
            self._waiting = None
        connection.close()

    def _serve(self, connection: Connection) -> None:
        if not connection.receive():
            self._drop(connection)
            return
        try:
            while (request := connection.request()) is not None:
                if not self._handle(connection, request):
                    self._drop(connection)
                    return
        except BadRequest:
            self._drop(connection)

    def _handle(self, connection: Connection, request: Request) -> bool:
        """Answer a request, or let it wait; False when the connection is of no more use."""
        path = request.path.removeprefix(_VERSION)
        if request.method == "GET" and path == "/invocation/next":
            self._waiting = connection
            self._hand_out()
            return True
        if request.method == "POST" and path == "/init/error":
            self._outcome = Outcome(request.body or b"{}", True, False)
            return _accepted(connection)
        event = self._event
        if request.method != "POST" or not path.startswith("/invocation/"):
            return _refuse(connection, "404 Not Found", "NotFound", "There is no such path.")
        request_id, _, what = path.removeprefix("/invocation/").partition("/")
        if event is None or self._outcome is not None or request_id != event.request_id:
            return _refuse(connection, "400 Bad Request", "InvalidRequestID", "Invalid request ID")
        if request.body is None:
            text = f"Response payload size exceeded maximum allowed payload size ({MOST_ANSWER} bytes)."
            self._outcome = Outcome(error("Function.ResponseSizeTooLarge", text), True, False)
            _refuse(connection, "413 Payload Too Large", "RequestEntityTooLarge", text)
            return False
        if what not in ("response", "error"):
            return _refuse(connection, "404 Not Found", "NotFound", "There is no such path.")
        self._outcome = Outcome(request.body, what == "error", True)
        return _accepted(connection)

    def _hand_out(self) -> None:
        """Give the event to the runtime that waits for one."""
        event, connection = self._event, self._waiting
        if event is None or connection is None or self._given:
            return
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": event.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(event.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": event.arn,
            "Lambda-Runtime-Trace-Id": event.trace,
        }
        if event.client_context:
            headers["Lambda-Runtime-Client-Context"] = event.client_context
        self._waiting = None
        self._given = connection.answer("200 OK", headers, event.payload)
        if not self._given:
            self._drop(connection)

    def _read_output(self) -> None:
        while True:
            try:
                data = os.read(self._output, 64 * 1024)
            except OSError:
                return
            if not data:
                if self._output in self._selector.get_map():
                    self._selector.unregister(self._output)
                return
            self._printed += data
            if len(self._printed) > _MOST_OUTPUT:
                del self._printed[: len(self._printed) - _MOST_OUTPUT]


def _accepted(connection: Connection) -> bool:
    return connection.answer("202 Accepted", {"Content-Type": "application/json"}, b'{"status":"OK"}\n')


def _refuse(connection: Connection, status: str, kind: str, message: str) -> bool:
    body: dict[str, Any] = {"errorType": kind, "errorMessage": message}
    return connection.answer(status, {"Content-Type": "application/json"}, json.dumps(body).encode())
