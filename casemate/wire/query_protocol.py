"""AWS Query: form fields in, XML out. IAM, STS, SNS, CloudFormation, ELB; EC2's dialect is ``ec2_protocol``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from casemate.errors import AwsError
from casemate.wire.form import Node, pairs, tree
from casemate.wire.models import Operation, Service, Shape, service
from casemate.wire.refusals import Unreadable
from casemate.wire.replies import Parse, Reply, ResolvedError, Write, resolve
from casemate.wire.sqs_query import QUERY_NAME
from casemate.wire.text_values import text_reader
from casemate.wire.xml_writer import XmlWriters, element, escape, escape_message

FieldReader = Callable[[Any], Any]

_SCALAR = "A parameter has parts where a single value was expected"
_PARTS = "A parameter has a single value where parts were expected"


class FormReaders:
    """Readers of one service's shapes from the tree of form fields. Lists are named by their shape and whether
    the member flattens them."""

    def __init__(self) -> None:
        self._done: dict[tuple[str, bool], FieldReader] = {}
        self._open: set[tuple[str, bool]] = set()

    def member_name(self, name: str, shape: Shape) -> str:
        """The part of a field's name that stands for a structure's member."""
        if shape.kind == "list" and shape.flattened and shape.element.wire_name:
            return shape.element.wire_name
        return shape.traits.get(QUERY_NAME) or shape.wire_name or name

    def list_name(self, shape: Shape) -> str | None:
        """The part between a list and its numbers, None when there is none."""
        return None if shape.flattened else shape.element.wire_name or "member"

    def compile(self, shape: Shape) -> FieldReader:
        kind = shape.kind
        if kind not in ("structure", "list", "map"):
            read = text_reader(shape)

            def scalar(node: str | Node) -> Any:
                if type(node) is str:
                    return read(node)
                raise Unreadable(_SCALAR)

            return scalar
        key = (shape.name, shape.flattened)
        if key in self._done:
            return self._done[key]
        if key in self._open:
            return lambda node: self._done[key](node)
        self._open.add(key)
        reader = {"structure": self._structure, "list": self._list, "map": self._map}[kind](shape)
        self._open.discard(key)
        self._done[key] = reader
        return reader

    def _structure(self, shape: Shape) -> FieldReader:
        table = {
            self.member_name(name, member): (name, self.compile(member))
            for name, member in shape.members.items()
        }

        def read(node: str | Node) -> dict[str, Any]:
            if type(node) is str:
                if node:
                    raise Unreadable(_PARTS)
                return {}
            members = {}
            for part, inner in node.items():  # type: ignore[union-attr]
                found = table.get(part)
                if found is not None:
                    members[found[0]] = found[1](inner)
            return members

        return read

    def _list(self, shape: Shape) -> FieldReader:
        between = self.list_name(shape)
        read_element = self.compile(shape.element)

        def read(node: str | Node) -> list[Any]:
            if between is not None and type(node) is dict:
                node = node.get(between, "")
            if type(node) is str:
                if node:
                    raise Unreadable(_PARTS)
                return []
            return [read_element(inner) for inner in numbered(node)]  # type: ignore[arg-type]

        return read

    def _map(self, shape: Shape) -> FieldReader:
        between = None if shape.flattened else "entry"
        key_name = shape.key.wire_name or "key"
        value_name = shape.element.wire_name or "value"
        read_key = self.compile(shape.key)
        read_value = self.compile(shape.element)

        def read(node: str | Node) -> dict[str, Any]:
            if between is not None and type(node) is dict:
                node = node.get(between, "")
            if type(node) is str:
                if node:
                    raise Unreadable(_PARTS)
                return {}
            entries = {}
            for inner in numbered(node):  # type: ignore[arg-type]
                if type(inner) is not dict or key_name not in inner:
                    raise Unreadable("An entry of a map has no key")
                value = inner.get(value_name)
                entries[read_key(inner[key_name])] = None if value is None else read_value(value)
            return entries

        return read


def numbered(node: Node) -> list[Any]:
    """The elements of a list in the order of their numbers; gaps close. Raises Unreadable."""
    elements = []
    for part, inner in node.items():
        if part == "":
            continue
        if not (part.isascii() and part.isdigit() and len(part) <= 9):
            raise Unreadable("An element of a list has no number")
        elements.append((int(part), inner))
    elements.sort(key=lambda pair: pair[0])
    return [inner for _, inner in elements]


@cache
def _readers(_service_name: str) -> FormReaders:
    return FormReaders()


@cache
def _writers(_service_name: str) -> XmlWriters:
    return XmlWriters()


def parse_with(readers: FormReaders, shape: Shape | None) -> Parse:
    """A function that reads the fields of the form (POST) and of the query string (GET)."""
    read = readers.compile(shape) if shape is not None else None

    def parse(
        _method: str, _path: bytes, query: bytes, _headers: Mapping[bytes, bytes], body: bytes
    ) -> dict[str, Any]:
        fields = tree(pairs(body + b"&" + query))
        members: dict[str, Any] = read(fields) if read is not None else {}
        return members

    return parse


def compile_parse(operation: Operation) -> Parse:
    """The function that reads a request's members. It raises Unreadable."""
    return parse_with(_readers(operation.service.name), operation.input)


def head(request_id: str) -> bytes:
    return f"Content-Type: text/xml\r\nx-amzn-RequestId: {request_id}\r\n".encode()


def _namespace(owner: Service | None) -> str:
    uri = owner.metadata.get("xmlNamespace") if owner is not None else None
    return f' xmlns="{escape(uri)}"' if uri else ""


def compile_reply(operation: Operation) -> Write:
    """The function that writes an answer. It raises TypeError for a member that the model has not."""
    shape = operation.output or Shape.nothing(operation)
    write = _writers(operation.service.name).content(shape)
    wrapper = operation.result_wrapper
    opening = f"<{operation.name}Response{_namespace(operation.service)}>"
    closing = f"</RequestId></ResponseMetadata></{operation.name}Response>"

    def reply(result: Mapping[str, Any], request_id: str) -> Reply:
        content = write(result)
        if wrapper is not None:
            content = f"<{wrapper}>{content}</{wrapper}>"
        body = f"{opening}{content}<ResponseMetadata><RequestId>{escape(request_id)}{closing}"
        return Reply(200, head(request_id), body.encode())

    return reply


def error_content(writers: XmlWriters, failure: AwsError, resolved: ResolvedError) -> str:
    """An error's further members as XML, under the model's names where it has them."""
    content = []
    members = resolved.modelled.shape.members if resolved.modelled is not None else {}
    for name, value in failure.fields.items():
        if value is None:
            continue
        member = members.get(name)
        if member is not None:
            content.append(writers.member(name, member)(value))
        else:
            content.append(element(name, escape(str(value))))
    return "".join(content)


def error(name: str | None, failure: AwsError, request_id: str) -> Reply:
    """An error's answer; name: the service's, None when it is not known."""
    owner = service(name) if name is not None else None
    resolved = resolve(owner, failure)
    fields = error_content(_writers(name or ""), failure, resolved)
    body = (
        f"<ErrorResponse{_namespace(owner)}><Error><Type>{'Sender' if resolved.sender else 'Receiver'}</Type>"
        f"<Code>{escape(resolved.code)}</Code><Message>{escape_message(failure.message)}</Message>{fields}</Error>"
        f"<RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
    )
    return Reply(resolved.status, head(request_id), body.encode())
