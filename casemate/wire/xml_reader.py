"""XML requests, read safely: expat without document types, entities or unbounded depth; then members by shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.parsers import expat

from casemate.wire.models import Shape
from casemate.wire.refusals import Unreadable
from casemate.wire.text_values import text_reader

MAX_DEPTH = 60
MAX_ELEMENTS = 200_000
"""S3's largest documents (DeleteObjects of 1,000, CompleteMultipartUpload of 10,000 parts) need 60,000."""


class Element:
    """One element: names without namespaces, its text (where it has children, what comes before them)."""

    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Element] = []
        self.text = ""


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def load(body: bytes) -> Element:
    """The root of a document. Raises Unreadable for what is not well-formed UTF-8 XML, or has a DTD."""
    # The encoding is fixed: a declared one could name any codec of Python.
    parser = expat.ParserCreate(encoding="UTF-8", namespace_separator=" ")
    parser.buffer_text = True
    top = Element("", {})
    stack = [top]
    texts: list[list[str]] = [[]]
    count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(stack) > MAX_DEPTH or count > MAX_ELEMENTS:
            raise Unreadable("The document is too deep or too large")
        element = Element(_local(name), {_local(key): value for key, value in attributes.items()})
        stack[-1].children.append(element)
        stack.append(element)
        texts.append([])

    def end(_name: str) -> None:
        # Joined once: pieces that are added to a text one by one take time by its square.
        stack.pop().text = "".join(texts.pop())

    def text(data: str) -> None:
        if not stack[-1].children:
            texts[-1].append(data)

    def refuse(*_arguments: Any) -> None:
        raise Unreadable("Document types are not allowed")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(body, True)
    except expat.ExpatError:
        raise Unreadable("Malformed XML") from None
    return top.children[0]


XmlReader = Callable[[Element], Any]


class XmlReaders:
    """Readers of one service's shapes."""

    def __init__(self) -> None:
        self._done: dict[tuple[str, bool], XmlReader] = {}
        self._open: set[tuple[str, bool]] = set()

    def compile(self, shape: Shape) -> XmlReader:
        kind = shape.kind
        if kind not in ("structure", "list", "map"):
            read = text_reader(shape)

            def scalar(node: Element) -> Any:
                if node.children:
                    raise Unreadable("An element has children where text was expected")
                return read(node.text)

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

    def _structure(self, shape: Shape) -> XmlReader:
        return self.members(shape.members)

    def members(self, members: dict[str, Shape]) -> XmlReader:
        """A reader of an element that holds the given members as children and attributes."""
        single: dict[str, tuple[str, XmlReader]] = {}
        lists: dict[str, tuple[str, XmlReader]] = {}
        maps: dict[str, tuple[str, Callable[[Element, dict[str, Any]], None]]] = {}
        attributes: list[tuple[str, str, Callable[[str], Any]]] = []
        for name, member in members.items():
            tag = member.wire_name or name
            if member.traits.get("xmlAttribute"):
                attributes.append((tag.rpartition(":")[2], name, text_reader(member)))
            elif member.kind == "list" and member.flattened:
                lists[member.wire_name or member.element.wire_name or name] = (
                    name,
                    self.compile(member.element),
                )
            elif member.kind == "map" and member.flattened:
                maps[tag] = (name, self._entry(member))
            else:
                single[tag] = (name, self.compile(member))

        def read(node: Element) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for child in node.children:
                tag = child.name
                if tag in single:
                    name, reader = single[tag]
                    found[name] = reader(child)
                elif tag in lists:
                    name, reader = lists[tag]
                    found.setdefault(name, []).append(reader(child))
                elif tag in maps:
                    name, entry = maps[tag]
                    entry(child, found.setdefault(name, {}))
            for attribute, name, convert in attributes:
                if attribute in node.attributes:
                    found[name] = convert(node.attributes[attribute])
            return found

        return read

    def _list(self, shape: Shape) -> XmlReader:
        tag = shape.element.wire_name or "member"
        read_element = self.compile(shape.element)
        return lambda node: [read_element(child) for child in node.children if child.name == tag]

    def _map(self, shape: Shape) -> XmlReader:
        entry = self._entry(shape)

        def read(node: Element) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for child in node.children:
                if child.name == "entry":
                    entry(child, found)
            return found

        return read

    def _entry(self, shape: Shape) -> Callable[[Element, dict[str, Any]], None]:
        key_tag = shape.key.wire_name or "key"
        value_tag = shape.element.wire_name or "value"
        read_key = self.compile(shape.key)
        read_value = self.compile(shape.element)

        def entry(node: Element, into: dict[str, Any]) -> None:
            parts = {child.name: child for child in node.children}
            if key_tag not in parts:
                raise Unreadable("An entry of a map has no key")
            into[read_key(parts[key_tag])] = read_value(parts[value_tag]) if value_tag in parts else None

        return entry
