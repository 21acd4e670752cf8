"""Smithy RPC v2 CBOR: the operation in the path, all members in one CBOR map."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

import cbor2

from casemate.errors import AwsError
from casemate.wire.cbor_reader import load
from casemate.wire.json_values import JsonReaders, JsonWriters, Reader, Writer
from casemate.wire.models import Operation, Service, Shape, service
from casemate.wire.refusals import Unreadable
from casemate.wire.replies import Parse, Reply, Write, query_error_header, resolve
from casemate.wire.timestamps import to_epoch


def _read_blob(value: Any) -> bytes:
    if type(value) is bytes:
        return value
    raise Unreadable("A value can not be converted to a Blob")


def _read_timestamp(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    raise Unreadable("A value can not be converted to a Timestamp")


class _CborReaders(JsonReaders):
    """The data model is JSON's, with blobs as byte strings and times tagged."""

    def blob(self) -> Reader:
        return _read_blob

    def timestamp(self, shape: Shape) -> Reader:  # noqa: ARG002
        return _read_timestamp


class _CborWriters(JsonWriters):
    def blob(self) -> Writer | None:
        return bytes

    def timestamp(self, shape: Shape) -> Writer:  # noqa: ARG002
        return lambda moment: cbor2.CBORTag(1, to_epoch(moment))

    def floating(self) -> Writer | None:
        return float


@cache
def _readers(_service_name: str) -> _CborReaders:
    return _CborReaders()


@cache
def _writers(_service_name: str) -> _CborWriters:
    return _CborWriters()


def compile_parse(operation: Operation) -> Parse:
    """The function that reads a request's members. It raises Unreadable."""
    shape = operation.input or Shape.nothing(operation)
    read = _readers(operation.service.name).compile(shape)

    def parse(
        _method: str, _path: bytes, _query: bytes, _headers: Mapping[bytes, bytes], body: bytes
    ) -> dict[str, Any]:
        members: dict[str, Any] = read(load(body) if body else {})
        return members

    return parse


def _head(request_id: str) -> bytes:
    return (
        "Content-Type: application/cbor\r\nsmithy-protocol: rpc-v2-cbor\r\n"
        f"x-amzn-RequestId: {request_id}\r\n"
    ).encode()


def compile_reply(operation: Operation) -> Write:
    """The function that writes an answer. It raises TypeError for a member that the model has not."""
    shape = operation.output or Shape.nothing(operation)
    writers = _writers(operation.service.name)
    write = writers.members(shape, shape.members)

    def reply(result: Mapping[str, Any], request_id: str) -> Reply:
        return Reply(200, _head(request_id), cbor2.dumps(write(result)))

    return reply


def error(name: str | None, failure: AwsError, request_id: str) -> Reply:
    """An error's answer; name: the service's, None when it is not known."""
    owner: Service | None = service(name) if name is not None else None
    resolved = resolve(owner, failure)
    key, fields = "message", dict(failure.fields)
    if resolved.modelled is not None and name is not None:
        shape = resolved.modelled.shape
        key = "Message" if "Message" in shape.members else key
        known = {field: shape.members[field] for field in fields if field in shape.members}
        fields |= _writers(name).members(shape, known)({field: fields[field] for field in known})
    body = cbor2.dumps({"__type": resolved.name, key: failure.message, **fields})
    return Reply(resolved.status, _head(request_id) + query_error_header(owner, resolved), body)
