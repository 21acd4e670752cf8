"""One operation in one protocol: its request read and checked, its answers written."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Mapping
from functools import cache
from threading import RLock
from typing import Any, Protocol
from uuid import uuid4

from casemate.errors import AwsError
from casemate.wire import json_protocol
from casemate.wire.constraints import violations
from casemate.wire.event_writer import EventWriter, event_stream_head
from casemate.wire.models import Operation, Shape, protocols, service
from casemate.wire.redaction import compile_redactor, restored
from casemate.wire.refusals import Unreadable, invalid, unreadable
from casemate.wire.replies import Parse, Reply, Write, checks

MAX_INFLATED = 16 * 1024 * 1024
"""How large a compressed request may become, in bytes."""


class ProtocolModule(Protocol):
    """What a protocol's module has."""

    @staticmethod
    def compile_parse(operation: Operation) -> Parse: ...
    @staticmethod
    def compile_reply(operation: Operation) -> Write: ...
    @staticmethod
    def error(name: str | None, failure: AwsError, request_id: str) -> Reply: ...


# A service's operations share the compiled functions of their shapes; threads compile them one at a time. Errors'
# shapes are compiled when they are first raised.
_compiling = RLock()

_MODULES = {
    "json": "json_protocol",
    "query": "query_protocol",
    "ec2": "ec2_protocol",
    "rest-json": "rest_json_protocol",
    "rest-xml": "rest_xml_protocol",
    "smithy-rpc-v2-cbor": "cbor_protocol",
}


@cache
def protocol_module(protocol: str) -> ProtocolModule:
    """The module of a protocol, imported when first needed. KeyError for one that is not served."""
    module: Any = importlib.import_module(f"casemate.wire.{_MODULES[protocol]}")
    loaded: ProtocolModule = module
    return loaded


def inflate(body: bytes) -> bytes:
    """A gzip-compressed body, bounded. Raises Unreadable."""
    inflater = zlib.decompressobj(wbits=31)
    try:
        inflated = inflater.decompress(body, MAX_INFLATED)
    except zlib.error:
        raise Unreadable("The body is not gzip") from None
    if not inflater.eof or inflater.unused_data:
        raise Unreadable("The compressed body is cut short, too large or followed by other data")
    return inflated


def _streaming_member(shape: Shape | None) -> str | None:
    """The blob payload that is streamed instead of held, if there is one."""
    if shape is None or (name := shape.traits.get("payload")) is None:
        return None
    member = shape.members[name]
    streamed = member.kind == "blob" and bool(member.traits.get("streaming"))
    return str(name) if streamed else None


def _event_stream(shape: Shape | None) -> str | None:
    if shape is None:
        return None
    return next((name for name, member in shape.members.items() if member.event_stream), None)


def _no_events(operation: str) -> AwsError:
    return AwsError("NotImplemented", f"{operation} is not served: it streams events", 501)


class OperationCodec:
    """An operation's codec; ``casemate.wire.codec`` makes and keeps them. Everything is compiled here, once."""

    __slots__ = (
        "_check",
        "_compressed",
        "_events",
        "_fast",
        "_model",
        "_read",
        "_redact",
        "_redact_result",
        "_tokens",
        "_write",
        "event_stream_input",
        "event_stream_output",
        "operation",
        "protocol",
        "service",
        "streaming_input",
        "streaming_output",
    )

    service: str
    operation: str
    protocol: str
    streaming_input: str | None
    """The blob member that is the request's body and streamed (S3's Body); ``parse`` leaves it out."""
    streaming_output: str | None
    """The blob member that is the answer's body and streamed; a result holds its bytes or leaves it to the gate."""
    event_stream_input: str | None
    """The member that is a stream of events from the client; ``parse`` refuses such operations."""
    event_stream_output: str | None
    """The member that is a stream of events to the client, each made by ``event``; the result leaves it out."""

    def __init__(self, operation: Operation, protocol: str) -> None:
        shape = operation.input
        module = protocol_module(protocol)
        self.service = operation.service.name
        self.operation = operation.name
        self.protocol = protocol
        self.streaming_input = _streaming_member(shape)
        self.streaming_output = _streaming_member(operation.output)
        self.event_stream_input = _event_stream(shape)
        self.event_stream_output = _event_stream(operation.output)
        self._model = operation
        self._read = module.compile_parse(operation)
        self._write = module.compile_reply(operation)
        self._check = checks(self.service).compile(shape) if shape is not None else None
        self._fast = json_protocol.compile_fast(operation) if protocol == "json" else None
        self._redact = compile_redactor(shape)
        self._redact_result = compile_redactor(operation.output)
        members = shape.members if shape is not None else {}
        self._tokens = tuple(
            name for name, member in members.items() if member.traits.get("idempotencyToken")
        )
        self._compressed = "requestcompression" in operation.traits
        self._events = None
        if self.event_stream_output is not None and operation.output is not None and protocol == "json":
            self._events = EventWriter(operation.output.members[self.event_stream_output])

    def parse(
        self, method: str, path: bytes, query: bytes, headers: Mapping[bytes, bytes], body: bytes
    ) -> dict[str, Any]:
        """The members of a request, every constraint of the model checked.

        path and query are raw (percent-encoded); header names are lower-case. Raises AwsError.
        """
        if self.event_stream_input is not None:
            raise _no_events(self.operation)
        fast = self._fast
        if fast is not None and body:
            try:
                members = fast(body)
            except Unreadable as error:
                raise unreadable(self._model.service, self.protocol, error) from None
            if members is not None:
                return members
        try:
            if self._compressed and headers.get(b"content-encoding", b"").lower() == b"gzip":
                body = inflate(body)
            params = self._read(method, path, query, headers, body)
        except Unreadable as error:
            raise unreadable(self._model.service, self.protocol, error) from None
        for name in self._tokens:
            if name not in params:
                params[name] = str(uuid4())
        if self._check is not None and not self._check(params):
            shape = self._model.input
            assert shape is not None  # there is a check because there is an input
            raise invalid(self._model, self.protocol, violations(shape, params))
        return params

    def reply(self, result: Mapping[str, Any], request_id: str) -> Reply:
        """The answer. TypeError, KeyError or ValueError for a result that the model does not allow: a defect."""
        if self.event_stream_output is None:
            return self._write(result, request_id)
        if self._events is None:
            raise _no_events(self.operation)
        # What the model has of members besides comes as the first event.
        reply = self._write(result, request_id)
        return reply._replace(head=event_stream_head(request_id), body=self._events.initial(reply.body))

    def event(self, name: str, members: Mapping[str, Any]) -> bytes:
        """An event of the stream that the operation answers; an exception where the model says that it is one."""
        if self._events is None:
            raise _no_events(self.operation)
        return self._events.event(name, members)

    def error(self, error: AwsError, request_id: str) -> Reply:
        """The answer that tells an error. It has no body where HTTP allows none (HEAD, 304)."""
        reply = error_reply(self.service, self.protocol, error, request_id)
        if self._model.method == "HEAD" or reply.status == 304:
            return reply._replace(body=b"")
        return reply

    def redact(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The input as CloudTrail shows it: see ``casemate.wire.redaction``."""
        return self._redact(params)

    def restore(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        """Input members out of what ``redact`` showed of them; what it hid is not among them."""
        shape = self._model.input
        found: dict[str, Any] = {} if shape is None else restored(shape, shown)
        return found

    def redact_result(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """The output as CloudTrail shows it of calls that change something (``responseElements``)."""
        return self._redact_result(result)


@cache
def codec(service_name: str, operation: str, protocol: str) -> OperationCodec:
    """The codec of an operation. KeyError for an unknown service or operation, or a protocol it is not served in."""
    if protocol not in protocols(service_name):
        raise KeyError(protocol)
    with _compiling:
        return OperationCodec(service(service_name).operation(operation), protocol)


def error_reply(service_name: str | None, protocol: str, error: AwsError, request_id: str) -> Reply:
    """The answer that tells an error when the operation is not known."""
    with _compiling:
        return protocol_module(protocol).error(service_name, error, request_id)
