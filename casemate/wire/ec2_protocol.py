"""EC2's dialect of AWS Query: capitalised names, lists that are always flattened, its own envelope of answers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from casemate.errors import AwsError
from casemate.wire.models import Operation, Shape, service
from casemate.wire.query_protocol import FormReaders, error_content, head, parse_with
from casemate.wire.replies import Parse, Reply, Write, resolve
from casemate.wire.xml_writer import XmlWriters, escape, escape_message

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


class _Ec2Readers(FormReaders):
    def member_name(self, name: str, shape: Shape) -> str:
        if "queryName" in shape.traits:
            return str(shape.traits["queryName"])
        wire = shape.wire_name
        return wire[:1].upper() + wire[1:] if wire else name

    def list_name(self, shape: Shape) -> None:  # noqa: ARG002
        return None


@cache
def _readers(_service_name: str) -> _Ec2Readers:
    return _Ec2Readers()


@cache
def _writers(_service_name: str) -> XmlWriters:
    return XmlWriters(milliseconds=True)


def compile_parse(operation: Operation) -> Parse:
    """The function that reads a request's members. It raises Unreadable."""
    return parse_with(_readers(operation.service.name), operation.input)


def compile_reply(operation: Operation) -> Write:
    """The function that writes an answer. It raises TypeError for a member that the model has not."""
    write = _writers(operation.service.name).content(operation.output or Shape.nothing(operation))
    namespace = operation.service.metadata["xmlNamespace"].rstrip("/") + "/"
    opening = f'{_DECLARATION}<{operation.name}Response xmlns="{escape(namespace)}"><requestId>'
    closing = f"</{operation.name}Response>"

    def reply(result: Mapping[str, Any], request_id: str) -> Reply:
        body = f"{opening}{escape(request_id)}</requestId>{write(result)}{closing}"
        return Reply(200, head(request_id), body.encode())

    return reply


def error(name: str | None, failure: AwsError, request_id: str) -> Reply:
    """An error's answer; name: the service's, None when it is not known."""
    resolved = resolve(service(name) if name is not None else None, failure)
    fields = error_content(_writers(name or ""), failure, resolved)
    body = (
        f"{_DECLARATION}<Response><Errors><Error><Code>{escape(resolved.code)}</Code>"
        f"<Message>{escape_message(failure.message)}</Message>{fields}</Error></Errors>"
        f"<RequestID>{escape(request_id)}</RequestID></Response>"
    )
    return Reply(resolved.status, head(request_id), body.encode())
