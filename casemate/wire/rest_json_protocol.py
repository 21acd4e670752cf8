"""rest-json: HTTP bindings and JSON bodies. Lambda, GuardDuty, Inspector, Macie, EBS."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

from casemate.errors import AwsError
from casemate.wire import rest
from casemate.wire.json_protocol import error_members, readers, writers
from casemate.wire.json_values import load_deep, write_string
from casemate.wire.models import Operation, Shape, service
from casemate.wire.replies import Parse, Reply, Write, header_line, resolve

_JSON = b"Content-Type: application/json\r\n"
_OCTETS = b"Content-Type: application/octet-stream\r\n"


def _request_lines(request_id: str) -> bytes:
    return header_line("x-amzn-RequestId", request_id)


def compile_parse(operation: Operation) -> Parse:
    """The function that reads a request's members. It raises Unreadable."""
    return rest.compile_document_parse(operation, readers(operation.service.name), load_deep)


def _whole_writer(service_name: str) -> Any:
    def whole(_name: str, shape: Shape) -> rest.WriteBody:
        if shape.kind == "blob":
            return bytes
        if shape.kind == "string":
            return lambda value: write_string(value).encode()
        write = writers(service_name).compile(shape)
        return orjson.dumps if write is None else lambda value: orjson.dumps(write(value))

    return whole


def _members_writer(service_name: str) -> Any:
    def members(shape: Shape, shapes: dict[str, Shape]) -> rest.WriteBody:
        write = writers(service_name).members(shape, shapes)
        return lambda value: orjson.dumps(write(value))

    return members


def compile_reply(operation: Operation) -> Write:
    """The function that writes an answer. It raises TypeError for a member that the model has not."""
    shape = operation.output or Shape.nothing(operation)
    name = operation.service.name
    payload = shape.traits.get("payload")
    raw = payload is not None and shape.members[payload].kind == "blob"
    with_body = operation.output is not None and operation.status != 204
    output = rest.Output(shape, operation.status, _whole_writer(name), _members_writer(name), with_body)
    return rest.compile_reply(output, _OCTETS if raw else _JSON, _request_lines)


@cache
def _error_output(service_name: str, error_name: str, status: int) -> rest.Output:
    shape = service(service_name).shape(error_name)
    return rest.Output(shape, status, _whole_writer(service_name), _members_writer(service_name), True)


def error(name: str | None, failure: AwsError, request_id: str) -> Reply:
    """An error's answer; name: the service's, None when it is not known."""
    resolved = resolve(service(name) if name is not None else None, failure)
    head = header_line("x-amzn-ErrorType", resolved.name) + _JSON + _request_lines(request_id)
    if resolved.modelled is None or name is None:
        return Reply(resolved.status, head, orjson.dumps(error_members(None, failure, resolved)))
    shape = resolved.modelled.shape
    bound = {
        field: value
        for field, value in failure.fields.items()
        if field in shape.members and shape.members[field].location in ("header", "headers")
    }
    in_body = AwsError(
        failure.code,
        failure.message,
        failure.status,
        **{field: value for field, value in failure.fields.items() if field not in bound},
    )
    _, lines, _ = _error_output(name, shape.name, resolved.status).write(bound, b"")
    return Reply(resolved.status, head + lines, orjson.dumps(error_members(name, in_body, resolved)))
