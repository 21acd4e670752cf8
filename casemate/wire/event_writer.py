"""Events to the client, of operations whose answer is a stream of them, in the JSON protocol.

Source: Smithy's "Event streams" (initial responses, the headers of events).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from casemate.wire.eventstream import encode_message
from casemate.wire.json_values import JsonWriters, Writer
from casemate.wire.models import Shape

_CONTENT = "application/json"


def event_stream_head(request_id: str) -> bytes:
    """The header lines of such an answer."""
    return f"Content-Type: application/vnd.amazon.eventstream\r\nx-amzn-RequestId: {request_id}\r\n".encode()


class EventWriter:
    """Writes the events of a stream, whose members they are."""

    __slots__ = ("_writers",)

    def __init__(self, stream: Shape) -> None:
        writers = JsonWriters()
        self._writers: dict[str, tuple[str, Writer]] = {}
        for name, member in stream.members.items():
            kind = "exception" if member.traits.get("exception") else "event"
            self._writers[name] = (kind, writers.members(member, member.members))

    def initial(self, body: bytes) -> bytes:
        """The answer's members besides the stream, as its first event."""
        headers = {":message-type": "event", ":event-type": "initial-response", ":content-type": _CONTENT}
        return encode_message({**headers}, body or b"{}")

    def event(self, name: str, members: Mapping[str, Any]) -> bytes:
        """KeyError for an event that the model has not."""
        kind, write = self._writers[name]
        headers = {":message-type": kind, f":{kind}-type": name, ":content-type": _CONTENT}
        return encode_message({**headers}, orjson.dumps(write(members)))
