"""AWS JSON 1.0 and 1.1: the operation in X-Amz-Target, all members in one JSON document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import orjson

from casemate.errors import AwsError
from casemate.wire.json_values import JsonReaders, JsonWriters, load
from casemate.wire.models import Operation, Service, service
from casemate.wire.refusals import Unreadable
from casemate.wire.replies import Reply, ResolvedError, query_error_header, resolve


@cache
def readers(service_name: str) -> JsonReaders:
    return JsonReaders()


@cache
def writers(service_name: str) -> JsonWriters:
    return JsonWriters()


def compile_parse(
    operation: Operation,
) -> Callable[[str, bytes, bytes, Mapping[bytes, bytes], bytes], dict[str, Any]]:
    """The function that reads a request's members. It raises Unreadable."""
    shape = operation.input
    read = readers(operation.service.name).compile(shape) if shape is not None else None

    def parse(
        method: str, path: bytes, query: bytes, headers: Mapping[bytes, bytes], body: bytes
    ) -> dict[str, Any]:
        document = load(body) if body else {}
        if read is not None:
            members: dict[str, Any] = read(document)
            return members
        if type(document) is not dict:
            raise Unreadable("Unexpected value type in payload")
        return {}

    return parse


def _head(metadata: Mapping[str, Any]) -> bytes:
    version = metadata.get("jsonVersion", "1.1")
    return f"Content-Type: application/x-amz-json-{version}\r\nx-amzn-RequestId: ".encode()


def compile_reply(operation: Operation) -> Callable[[Mapping[str, Any], str], Reply]:
    """The function that writes an answer. It raises TypeError for a member that the model has not."""
    shape = operation.output
    write = writers(operation.service.name).compile(shape) if shape is not None else None
    head = _head(operation.service.metadata)
    dumps = orjson.dumps

    def reply(result: Mapping[str, Any], request_id: str) -> Reply:
        if write is not None:
            body = dumps(write(result))
        elif result:
            raise TypeError(f"{operation.name} has no output, but the result has members")
        else:
            body = b"{}" if shape is not None else b""
        return Reply(200, head + request_id.encode() + b"\r\n", body)

    return reply


def error_members(service_name: str | None, error: AwsError, resolved: ResolvedError) -> dict[str, Any]:
    """An error's message and further members as JSON, under the model's names."""
    key = "message"
    fields: dict[str, Any] = {}
    if resolved.modelled is not None and service_name is not None:
        shape = resolved.modelled.shape
        if "Message" in shape.members:
            key = "Message"
        known = {name: value for name, value in error.fields.items() if name in shape.members}
        fields = writers(service_name).compile(shape)(known)  # type: ignore[misc]
        fields |= {name: value for name, value in error.fields.items() if name not in known}
    else:
        fields = dict(error.fields)
    return {key: error.message, **fields}


def error(name: str | None, failure: AwsError, request_id: str) -> Reply:
    """An error's answer; name: the service's, None when it is not known."""
    owner: Service | None = service(name) if name is not None else None
    resolved = resolve(owner, failure)
    body = orjson.dumps({"__type": resolved.name, **error_members(name, failure, resolved)})
    head = _head(owner.metadata if owner is not None else {}) + request_id.encode() + b"\r\n"
    return Reply(resolved.status, head + query_error_header(owner, resolved), body)
