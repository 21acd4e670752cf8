"""The HTTP bindings of the REST protocols: path labels, query parameters, headers, status, payload.

``rest_json_protocol`` and ``rest_xml_protocol`` add how a body is read and written.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple, Protocol

import orjson

from casemate.wire.form import decode, pairs
from casemate.wire.json_values import unknown_member
from casemate.wire.models import Operation, Shape
from casemate.wire.refusals import Unreadable
from casemate.wire.replies import Parse, Reply, Write, header_line, line_writer
from casemate.wire.text_values import text_reader, text_writer

ReadBody = Callable[[bytes], Any]
WriteBody = Callable[[Any], bytes]


class Template(NamedTuple):
    """A requestUri: the path's expression and labels, the query parameters that it fixes."""

    path: re.Pattern[bytes]
    labels: tuple[str, ...]
    fixed: tuple[tuple[str, str], ...]
    weight: tuple[int, int]
    """How specific the path is: the length of its literal text, then whether no label is greedy."""


@cache
def template(uri: str) -> Template:
    """A path may end in a slash more or less than the template: S3's /bucket/ is /bucket, older clients of Lambda
    write /functions/."""
    path, _, query = uri.partition("?")
    if len(path) > 1:
        path = path.removesuffix("/")
    expression = ""
    labels = []
    literal = 0
    for part in re.split(r"(\{[^}]*\})", path):
        if part.startswith("{"):
            labels.append(part.strip("{}+"))
            expression += "(.+)" if part.endswith("+}") else "([^/]+)"
        else:
            expression += re.escape(part)
            literal += len(part)
    greedy = "+}" in path
    if not path.endswith(("+}", "/")):
        expression += "/?"
    compiled = re.compile(expression.encode(), re.DOTALL)
    return Template(compiled, tuple(labels), tuple(pairs(query.encode())), (literal, 0 if greedy else 1))


class _Label(NamedTuple):
    member: str
    read: Callable[[str], Any]


class _Header(NamedTuple):
    member: str
    wire: str
    read: Callable[[str], Any]


def _is_json_header(shape: Shape) -> bool:
    return bool(shape.traits.get("jsonvalue"))


_LIST_ITEM = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^",]*))\s*(?:,|$)', re.DOTALL)


def split_header_list(text: str) -> list[str]:
    """The elements of a comma-separated header; quoted ones may hold commas. Raises Unreadable."""
    items = []
    position = 0
    while position < len(text):
        found = _LIST_ITEM.match(text, position)
        if found is None:
            raise Unreadable("A header is not a list")
        quoted, plain = found.groups()
        items.append(
            re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if quoted is not None else plain.strip()
        )
        position = found.end()
    return items


def _split_dates(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) % 2 == 0 and all(len(part) == 3 for part in parts[::2]):
        return [f"{day}, {rest}" for day, rest in zip(parts[::2], parts[1::2], strict=True)]
    return parts


def _header_reader(shape: Shape) -> Callable[[str], Any]:
    if _is_json_header(shape):
        return _read_json_header
    if shape.kind == "list":
        read = text_reader(shape.element)
        split = _split_dates if shape.element.kind == "timestamp" else split_header_list
        return lambda text: [read(item) for item in split(text)]
    return text_reader(shape)


def _read_json_header(text: str) -> Any:
    try:
        return orjson.loads(base64.b64decode(text, validate=True))
    except ValueError:
        raise Unreadable("A header is not base64 of JSON") from None


def _header_text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _by_location(shape: Shape | None, location: str) -> list[tuple[str, Shape]]:
    members = shape.members.items() if shape is not None else ()
    return [(name, member) for name, member in members if member.location == location]


def body_members(shape: Shape) -> dict[str, Shape]:
    """The members that are in the body, when none of them is the whole body."""
    return {name: member for name, member in shape.members.items() if member.location is None}


def _convert(read: Callable[[str], Any], text: str, name: str) -> Any:
    """A parameter's value; name: what the client calls the parameter."""
    try:
        return read(text)
    except Unreadable as error:
        raise Unreadable(str(error), name) from None


def _decoded(raw: bytes) -> str:
    """A label of the path."""
    try:
        return decode(raw)
    except Unreadable as error:
        raise Unreadable(str(error), "") from None


def _parameters(query: bytes) -> list[tuple[str, str]]:
    try:
        return list(pairs(query))
    except Unreadable as error:
        raise Unreadable(str(error), "") from None


def _host_labels(operation: Operation) -> tuple[re.Pattern[bytes], tuple[str, ...]] | None:
    prefix = operation.traits.get("endpoint", {}).get("hostPrefix", "")
    labels = tuple(re.findall(r"\{(\w+)\}", prefix))
    if not labels:
        return None
    expression = "".join(
        "([A-Za-z0-9-]+)" if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{\w+\})", prefix)
    )
    # An address has no labels: 127.0.0.1 is not the account 127.
    return re.compile(rf"(?![0-9.]+(?::\d+)?$|\[){expression}.".encode()), labels


def compile_parse(
    operation: Operation,
    whole_reader: Callable[[Shape], ReadBody],
    members_reader: Callable[[dict[str, Shape]], ReadBody],
) -> Parse:
    """The function that reads a request's members from everywhere. It raises Unreadable."""
    shape = operation.input
    if shape is None:
        return lambda _method, _path, _query, _headers, _body: {}
    match = template(operation.uri)
    named = {member.wire_name or name: (name, member) for name, member in _by_location(shape, "uri")}
    labels = [_Label(named[label][0], text_reader(named[label][1])) for label in match.labels]
    queries: dict[str, tuple[str, bool, Callable[[str], Any]]] = {}
    open_query: str | None = None
    for name, member in _by_location(shape, "querystring"):
        if member.kind == "map":
            open_query = name
        else:
            many = member.kind == "list"
            queries[member.wire_name or name] = (name, many, text_reader(member.element if many else member))
    headers_bound = {
        (member.wire_name or name).lower().encode(): _Header(
            name, member.wire_name or name, _header_reader(member)
        )
        for name, member in _by_location(shape, "header")
    }
    of_headers = headers_bound.keys()
    prefixes = [
        (name, (member.wire_name or "").lower().encode()) for name, member in _by_location(shape, "headers")
    ]
    hosts = _host_labels(operation)
    payload: str | None = shape.traits.get("payload")
    read_payload: ReadBody | None = None
    streamed = False
    if payload is not None:
        streamed = bool(shape.members[payload].traits.get("streaming")) or shape.members[payload].event_stream
        read_payload = None if streamed else whole_reader(shape.members[payload])
    body_shapes = {} if payload is not None else body_members(shape)
    read_members = members_reader(body_shapes) if body_shapes else None

    def parse(
        _method: str, path: bytes, query: bytes, headers: Mapping[bytes, bytes], body: bytes
    ) -> dict[str, Any]:
        members: dict[str, Any] = {}
        if labels:
            found = match.path.fullmatch(path)
            if found is None:
                raise Unreadable("The path is not the operation's", "")
            for label, raw in zip(labels, found.groups(), strict=True):
                members[label.member] = _convert(label.read, _decoded(raw), label.member)
        if query and (queries or open_query is not None):
            rest: dict[str, Any] = {}
            for key, text in _parameters(query):
                bound = queries.get(key)
                if bound is None:
                    rest.setdefault(key, text)
                elif bound[1]:
                    members.setdefault(bound[0], []).append(_convert(bound[2], text, key))
                elif bound[0] not in members:
                    members[bound[0]] = _convert(bound[2], text, key)
            if open_query is not None and rest:
                members[open_query] = rest
        # A model has dozens of headers, of which a request has a handful.
        present = of_headers & headers.keys()
        for name_sent in sorted(present) if len(present) > 1 else present:
            header = headers_bound[name_sent]
            members[header.member] = _convert(header.read, _header_text(headers[name_sent]), header.wire)
        for name, prefix in prefixes:
            matching = {
                _header_text(key[len(prefix) :]): _header_text(value)
                for key, value in headers.items()
                if key.startswith(prefix)
            }
            if matching:
                members[name] = matching
        if hosts is not None:
            host = hosts[0].match(headers.get(b"host", b""))
            for number, name in enumerate(hosts[1], 1):
                if name not in members and host is not None:
                    members[name] = host[number].decode("ascii")
        if payload is not None:
            if body and read_payload is not None:
                members[payload] = read_payload(body)
        elif body and read_members is not None:
            members |= read_members(body)
        return members

    return parse


# ---- answers ----


class DocumentReaders(Protocol):
    """Compiles readers of what a loaded document holds: of JSON's values, or of XML's elements."""

    def compile(self, shape: Shape) -> Callable[[Any], Any]: ...
    def members(self, members: dict[str, Shape]) -> Callable[[Any], Any]: ...


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("The body is not UTF-8") from None


def compile_document_parse(
    operation: Operation, readers: DocumentReaders, load: Callable[[bytes], Any]
) -> Parse:
    """The function that reads the members of a request whose body is a blob, a text or a document that ``load``
    takes apart. It raises Unreadable."""

    def whole(shape: Shape) -> ReadBody:
        if shape.kind == "blob":
            return bytes
        if shape.kind == "string":
            return _text
        read = readers.compile(shape)
        return lambda body: read(load(body))

    def members(shapes: dict[str, Shape]) -> ReadBody:
        read = readers.members(shapes)
        return lambda body: read(load(body))

    return compile_parse(operation, whole, members)


def _header_writer(name: str, shape: Shape) -> Callable[[Any], bytes]:
    line = line_writer(shape.wire_name or name)
    if _is_json_header(shape):
        return lambda value: line(base64.b64encode(orjson.dumps(value)).decode("ascii"))
    if shape.kind == "list":
        write_item = text_writer(shape.element, "rfc822")
        return lambda value: line(", ".join([write_item(item) for item in value]))
    write = text_writer(shape, "rfc822")
    return lambda value: line(write(value))


def _header_map_writer(shape: Shape) -> Callable[[Any], bytes]:
    prefix = shape.wire_name or ""

    def write(value: Mapping[str, str]) -> bytes:
        return b"".join([header_line(prefix + key, item) for key, item in value.items()])

    return write


class Output:
    """The bindings of an output or of an error: which members make headers, the status, the body."""

    __slots__ = (
        "_body",
        "_event_stream",
        "_headers",
        "_payload",
        "_shape",
        "_status",
        "_status_member",
        "_typed",
    )

    def __init__(
        self,
        shape: Shape,
        status: int,
        whole_writer: Callable[[str, Shape], WriteBody],
        members_writer: Callable[[Shape, dict[str, Shape]], WriteBody],
        body_when_empty: bool,
    ) -> None:
        self._shape = shape
        self._status = status
        self._status_member = next((name for name, _ in _by_location(shape, "statusCode")), None)
        self._headers = {name: _header_writer(name, member) for name, member in _by_location(shape, "header")}
        self._headers |= {name: _header_map_writer(member) for name, member in _by_location(shape, "headers")}
        self._typed = frozenset(
            name
            for name, member in _by_location(shape, "header")
            if (member.wire_name or name).lower() == "content-type"
        )
        self._payload: str | None = shape.traits.get("payload")
        members = body_members(shape)
        self._body: WriteBody | None = None
        if self._payload is not None:
            self._body = whole_writer(self._payload, shape.members[self._payload])
        elif members or body_when_empty:
            self._body = members_writer(shape, members)

    def write(self, result: Mapping[str, Any], content_type: bytes) -> tuple[int, bytes, bytes]:
        """(status, header lines, body). content_type: the line to add when there is a body and no bound one."""
        status = self._status
        lines = []
        inner: dict[str, Any] = {}
        payload: Any = None
        typed = False
        header_of = self._headers.get
        for name, value in result.items():
            header = header_of(name)
            if header is not None:
                if value is not None:
                    lines.append(header(value))
                    typed = typed or name in self._typed
                continue
            if name not in self._shape.members:
                raise unknown_member(self._shape, name)
            if value is None:
                continue
            if name == self._status_member:
                status = value
            elif name == self._payload:
                payload = value
            else:
                inner[name] = value
        body = b""
        if self._payload is not None:
            if payload is not None and self._body is not None:
                body = self._body(payload)
        elif self._body is not None:
            body = self._body(inner)
        if body and not typed:
            lines.append(content_type)
        return status, b"".join(lines), body


def compile_reply(output: Output, content_type: bytes, request_lines: Callable[[str], bytes]) -> Write:
    """The function that writes an answer. It raises TypeError for a member that the model has not."""

    def reply(result: Mapping[str, Any], request_id: str) -> Reply:
        status, lines, body = output.write(result, content_type)
        return Reply(status, lines + request_lines(request_id), body)

    return reply
