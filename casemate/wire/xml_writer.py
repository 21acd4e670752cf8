"""Results as XML, compiled once per shape: query, EC2 and rest-xml answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from casemate.wire.json_values import unknown_member
from casemate.wire.models import Shape
from casemate.wire.sqs_query import QUERY_NAME
from casemate.wire.text_values import text_writer
from casemate.wire.timestamps import to_iso8601_millis

ToXml = Callable[[Any], str]

_SPECIAL = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]')
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def escape(text: str) -> str:
    """Text for an element or an attribute. Characters that XML cannot hold become references, as S3 writes them."""
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(lambda found: _ENTITIES.get(found[0]) or f"&#x{ord(found[0]):x};", text)


def escape_message(text: str) -> str:
    """The same for an error's text, which may repeat whatever a client sent: what XML cannot hold is replaced, so
    that every parser reads the error."""
    return escape(_NOT_XML.sub("\ufffd", text))


def element(name: str, content: str, attributes: str = "") -> str:
    return f"<{name}{attributes}>{content}</{name}>"


def namespace(shape: Shape) -> str:
    """The namespace declaration that the model puts on an element, as attribute text."""
    declared = shape.traits.get("xmlNamespace")
    if declared is None:
        return ""
    if isinstance(declared, str):
        return f' xmlns="{escape(declared)}"'
    prefix = f":{declared['prefix']}" if declared.get("prefix") else ""
    return f' xmlns{prefix}="{escape(declared["uri"])}"'


class XmlWriters:
    """Writers of one service's shapes. milliseconds: times always have them, as EC2's and S3's."""

    def __init__(self, milliseconds: bool = False) -> None:
        self._milliseconds = milliseconds
        self._done: dict[tuple[str, bool], ToXml] = {}
        self._open: set[tuple[str, bool]] = set()

    def member(self, name: str, shape: Shape, wire: str | None = None) -> ToXml:
        """A function from a member's value to its element, or to its elements for a flattened list."""
        if shape.flattened and shape.kind in ("list", "map"):
            return self._flattened(name, shape)
        tag = wire or shape.wire_name or name
        content = self.content(shape)
        declared = namespace(shape)
        attributes = self._attributes(shape)
        if attributes is not None:
            return lambda value: f"<{tag}{declared}{attributes(value)}>{content(value)}</{tag}>"
        opening, closing = f"<{tag}{declared}>", f"</{tag}>"
        return lambda value: f"{opening}{content(value)}{closing}"

    def _flattened(self, name: str, shape: Shape) -> ToXml:
        if shape.kind == "list":
            tag = shape.element.wire_name or shape.wire_name or name
            write = self.member(name, shape.element, tag)
            return lambda value: "".join([write(item) for item in value if item is not None])
        tag = shape.traits.get(QUERY_NAME) or shape.wire_name or name
        entry = self._entry(shape)
        return lambda value: "".join([element(tag, entry(key, item)) for key, item in value.items()])

    def _attributes(self, shape: Shape) -> ToXml | None:
        """A function from a structure to the attributes of its element."""
        if shape.kind != "structure":
            return None
        bound = [
            (name, member) for name, member in shape.members.items() if member.traits.get("xmlAttribute")
        ]
        if not bound:
            return None
        table = [(name, member.wire_name or name, text_writer(member, "iso8601")) for name, member in bound]
        return lambda value: "".join(
            f' {wire}="{escape(write(value[name]))}"'
            for name, wire, write in table
            if value.get(name) is not None
        )

    def content(self, shape: Shape) -> ToXml:
        """A function from a value to what stands inside its element."""
        kind = shape.kind
        if kind not in ("structure", "list", "map"):
            if kind == "timestamp" and self._milliseconds and "timestampFormat" not in shape.traits:
                return to_iso8601_millis
            text = text_writer(shape, "iso8601")
            return (lambda value: escape(text(value))) if kind == "string" else text
        key = (shape.name, shape.flattened)
        if key in self._done:
            return self._done[key]
        if key in self._open:
            return lambda value: self._done[key](value)
        self._open.add(key)
        writer = {"structure": self._structure, "list": self._list, "map": self._map}[kind](shape)
        self._open.discard(key)
        self._done[key] = writer
        return writer

    def _structure(self, shape: Shape) -> ToXml:
        return self.members(shape, shape.members)

    def members(self, shape: Shape, members: Mapping[str, Shape]) -> ToXml:
        """A function from a structure's value to the elements of the given members."""
        table: dict[str, ToXml | None] = {
            name: None if member.traits.get("xmlAttribute") else self.member(name, member)
            for name, member in members.items()
        }

        def write(value: Mapping[str, Any]) -> str:
            parts = []
            for name, item in value.items():
                if name not in table:
                    raise unknown_member(shape, name)
                writer = table[name]
                if item is not None and writer is not None:
                    parts.append(writer(item))
            return "".join(parts)

        return write

    def _list(self, shape: Shape) -> ToXml:
        write = self.member("member", shape.element)
        return lambda value: "".join([write(item) for item in value if item is not None])

    def _map(self, shape: Shape) -> ToXml:
        entry = self._entry(shape)
        return lambda value: "".join([element("entry", entry(key, item)) for key, item in value.items()])

    def _entry(self, shape: Shape) -> Callable[[Any, Any], str]:
        key = self.member("key", shape.key)
        value = self.member("value", shape.element)
        return lambda name, item: key(name) + ("" if item is None else value(item))
