"""AWS JSON 1.0 and 1.1: the operation in X-Amz-Target, all members in one JSON document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import orjson

from casemate.errors import AwsError
from casemate.wire.json_fast import compile_reader, compile_writer
from casemate.wire.json_values import JsonReaders, JsonWriters, load, load_deep
from casemate.wire.models import Operation, Service, Shape, service, unbounded
from casemate.wire.refusals import Unreadable
from casemate.wire.replies import Parse, Reply, ResolvedError, Write, checks, query_error_header, resolve


@cache
def readers(_service_name: str) -> JsonReaders:
    """The readers of a service's shapes, shared by its operations."""
    return JsonReaders()


@cache
def writers(_service_name: str) -> JsonWriters:
    """The writers of a service's shapes, shared by its operations."""
    return JsonWriters()


def compile_parse(operation: Operation) -> Parse:
    """The function that reads a request's members. It raises Unreadable."""
    shape = operation.input
    if shape is None:
        return _parse_nothing
    name = operation.service.name
    read = readers(name).compile(shape)
    loads = load_deep if unbounded(shape) else load

    def parse(
        _method: str, _path: bytes, _query: bytes, _headers: Mapping[bytes, bytes], body: bytes
    ) -> dict[str, Any]:
        members: dict[str, Any] = read(loads(body) if body else {})
        return members

    return parse


def compile_fast(operation: Operation) -> Callable[[bytes], dict[str, Any] | None] | None:
    """The straight way from a body to checked members: see ``json_fast``."""
    shape = operation.input
    if (
        shape is None
        or unbounded(shape)
        or any(m.traits.get("idempotencyToken") for m in shape.members.values())
    ):
        return None
    name = operation.service.name
    read = compile_reader(shape, readers(name).compile, checks(name).compile)
    if read is None:
        return None
    loads = orjson.loads

    def fast(body: bytes) -> dict[str, Any] | None:
        try:
            document = loads(body)
        except orjson.JSONDecodeError:
            return None
        return read(document)

    return fast


def _parse_nothing(
    _method: str, _path: bytes, _query: bytes, _headers: Mapping[bytes, bytes], body: bytes
) -> dict[str, Any]:
    if body and type(load(body)) is not dict:
        raise Unreadable("Unexpected value type in payload")
    return {}


def _head(metadata: Mapping[str, Any]) -> bytes:
    version = metadata.get("jsonVersion", "1.1")
    return f"Content-Type: application/x-amz-json-{version}\r\nx-amzn-RequestId: ".encode()


def compile_reply(operation: Operation) -> Write:
    """The function that writes an answer. It raises TypeError for a member that the model has not."""
    head = _head(operation.service.metadata)
    dumps = orjson.dumps
    new = tuple.__new__
    shape = operation.output
    # An operation without output is answered by an empty body, one whose output has no members by {}.
    write = compile_writer(shape or Shape.nothing(operation), writers(operation.service.name).compile)
    empty = b"{}" if shape is not None else b""

    def reply(result: Mapping[str, Any], request_id: str) -> Reply:
        written = write(result)
        return new(Reply, (200, head + request_id.encode() + b"\r\n", dumps(written) if written else empty))

    return reply


def error_members(service_name: str | None, error: AwsError, resolved: ResolvedError) -> dict[str, Any]:
    """An error's message and further members as JSON, under the model's names."""
    if resolved.modelled is None or service_name is None:
        return {"message": error.message, **error.fields}
    shape = resolved.modelled.shape
    known = {name: shape.members[name] for name in error.fields if name in shape.members}
    write = writers(service_name).members(shape, known)
    fields = write({name: error.fields[name] for name in known})
    fields |= {name: value for name, value in error.fields.items() if name not in known}
    return {"Message" if "Message" in shape.members else "message": error.message, **fields}


def error(name: str | None, failure: AwsError, request_id: str) -> Reply:
    """An error's answer; name: the service's, None when it is not known."""
    owner: Service | None = service(name) if name is not None else None
    resolved = resolve(owner, failure)
    body = orjson.dumps({"__type": resolved.name, **error_members(name, failure, resolved)})
    head = _head(owner.metadata if owner is not None else {}) + request_id.encode() + b"\r\n"
    return Reply(resolved.status, head + query_error_header(owner, resolved), body)
