"""What functions print, on its way to CloudWatch Logs: /aws/lambda/NAME, by the function's role. Source: "Sending
Lambda function logs to CloudWatch Logs".

It is given away when an invocation ends, and written by a thread a moment later. As on AWS, nobody waits for it: what
cannot be written is lost, and so is what the role may not write.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, NamedTuple

from casemate.api import logs
from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as, in_background
from casemate.services.lambda_.naming import SERVICE, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.gate.call import Call
    from casemate.gate.gate import Gate

log = logging.getLogger("casemate.lambda")

_WAITING = 1_000
"""So many invocations' lines are kept while they cannot be written."""
_WAITING_BYTES = 16 * 1024 * 1024
_MOST_EVENT = 256 * 1024
_MOST_BATCH, _OF_EACH, _MOST_EVENTS = 1_048_576, 26, 10_000
"""What one PutLogEvents takes: bytes, those that an event counts for besides its message, and events."""


class Logged(NamedTuple):
    """What one invocation printed. at: seconds since the epoch."""

    place: Place
    role: str
    stream: str
    at: float
    text: bytes


class LogLines:
    """``gate.parts[LogLines]``: one a worker. gate: set once there is one."""

    def __init__(self) -> None:
        self.gate: Gate | None = None
        self._queue: queue.Queue[Logged | None] = queue.Queue(_WAITING)
        self._bytes = 0
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def put(self, logged: Logged) -> None:
        """Have it written some time."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._write_all, name="casemate-lambda-logs", daemon=True
                )
                self._thread.start()
            kept = self._bytes + len(logged.text) <= _WAITING_BYTES and not self._queue.full()
            if kept:
                self._bytes += len(logged.text)
                self._queue.put_nowait(logged)
        if not kept:
            log.warning(
                "what the function %s printed is lost: too much waits to be written", logged.place.name
            )

    def close(self) -> None:
        """Write what waits, and end."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()

    def _write_all(self) -> None:
        while (logged := self._queue.get()) is not None:
            try:
                self._write(logged)
            except AwsError as error:
                log.debug("the role of %s may not write its log: %s", logged.place.name, error.code)
            except Exception as error:
                log.error("a function's log could not be written: %s", type(error).__qualname__)
            with self._lock:
                self._bytes -= len(logged.text)

    def _write(self, logged: Logged) -> None:
        gate = self.gate
        if gate is None:
            return
        place = logged.place
        group, stream = f"/aws/lambda/{place.name}", logged.stream
        actor = Actor(SERVICE, place.account, place.region, place.arn, role=logged.role, session=place.name)
        for events in _batches(logged):
            self._put(gate, actor, group, stream, events)

    def _put(
        self, gate: Gate, actor: Actor, group: str, stream: str, events: list[logs.InputLogEvent]
    ) -> None:
        def put(call: Call) -> None:
            logs.PutLogEvents.ask(
                act_as(call, actor),
                {"logGroupName": group, "logStreamName": stream, "logEvents": events},
            )

        try:
            in_background(gate, put)
            return
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
        for make in (
            lambda call: logs.CreateLogGroup.ask(act_as(call, actor), {"logGroupName": group}),
            lambda call: logs.CreateLogStream.ask(
                act_as(call, actor), {"logGroupName": group, "logStreamName": stream}
            ),
        ):
            try:
                in_background(gate, make)
            except AwsError as error:
                if error.code != "ResourceAlreadyExistsException":
                    raise
        in_background(gate, put)


def _batches(logged: Logged) -> Iterator[list[logs.InputLogEvent]]:
    """The lines, in as many requests as they need."""
    moment, size = int(logged.at * 1000), 0
    events: list[logs.InputLogEvent] = []
    for line in logged.text.decode("utf-8", "replace").split("\n"):
        if not line.strip():
            continue
        # Replaced bytes take more than they did.
        cut = line.encode()[:_MOST_EVENT]
        counted = len(cut) + _OF_EACH
        if size + counted > _MOST_BATCH or len(events) == _MOST_EVENTS:
            yield events
            events, size = [], 0
        events.append({"timestamp": moment, "message": cut.decode("utf-8", "ignore")})
        size += counted
    if events:
        yield events
