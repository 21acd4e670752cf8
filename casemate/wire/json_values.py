"""JSON documents: readers of what clients send, writers of what handlers return, compiled once per shape.

A reader turns a parsed JSON value into the member's value (bytes, datetime, int, ...) or raises Unreadable. A
writer turns a result's value into what ``orjson`` dumps; None stands for "as it is". Both are closures over their
members' closures, so that a request costs one dictionary look-up and one call per member that it carries.
"""

from __future__ import annotations

import binascii
import math
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import orjson

from casemate.wire.models import Shape
from casemate.wire.refusals import Unreadable
from casemate.wire.timestamps import (
    TO_TEXT,
    from_epoch,
    from_http_date,
    from_iso8601,
    to_epoch,
)

Reader = Callable[[Any], Any]
Writer = Callable[[Any], Any]

MAX_DEPTH = 100
"""How deep a document may nest. The recursive shapes of AWS's models need a tenth of it."""

_INTEGERS = {
    "integer": (-(2**31), 2**31 - 1, "Integer"),
    "long": (-(2**63), 2**63 - 1, "Long"),
}


def load(body: bytes) -> Any:
    """Parse a body. Raises Unreadable when it is not JSON or not UTF-8. The last of two equal keys wins."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Unreadable("Malformed JSON") from None


def load_deep(body: bytes) -> Any:
    """``load`` for shapes whose depth the model does not bound. Raises Unreadable when it is too deep."""
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise Unreadable("The document is nested too deeply")
    return load(body)


def _depth(body: bytes) -> int:
    """The deepest nesting of brackets, strings left out. The body need not be valid."""
    deepest = depth = position = 0
    length = len(body)
    while position < length:
        byte = body[position]
        if byte == 0x22:
            position += 1
            while position < length and body[position] != 0x22:
                position += 2 if body[position] == 0x5C else 1
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
        position += 1
    return deepest


def _kind(value: Any) -> str:
    """What AWS's messages call a JSON value of the wrong type; never the value."""
    if value is True:
        return "TRUE_VALUE"
    if value is False:
        return "FALSE_VALUE"
    if isinstance(value, str):
        return "STRING_VALUE"
    if isinstance(value, int | float):
        return "NUMBER_VALUE"
    return "END_OBJECT" if isinstance(value, dict) else "END_ARRAY"


def _wrong(value: Any, wanted: str) -> Unreadable:
    if isinstance(value, dict):
        return Unreadable("Start of structure or map found where not expected.")
    if isinstance(value, list):
        return Unreadable("Start of list found where not expected.")
    article = "an" if wanted[0] in "AEIOU" else "a"
    return Unreadable(f"{_kind(value)} can not be converted to {article} {wanted}")


def _read_string(value: Any) -> str:
    if type(value) is str:
        return value
    raise _wrong(value, "String")


def _read_boolean(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise _wrong(value, "Boolean")


def read_blob(value: Any) -> bytes:
    """Base64, strictly: no line breaks, no other characters, padded."""
    if type(value) is not str:
        raise _wrong(value, "Blob")
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        raise Unreadable("Unable to decode base64") from None


def integer_reader(kind: str) -> Reader:
    low, high, name = _INTEGERS[kind]

    def read(value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int:
            raise _wrong(value, name)
        if not low <= value <= high:
            raise Unreadable(f"NUMBER_VALUE can not be converted to {'an' if name[0] == 'I' else 'a'} {name}")
        return value

    return read


_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _read_float(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    if type(value) is str and value in _SPECIAL:
        return _SPECIAL[value]
    raise _wrong(value, "Double")


def timestamp_reader(shape: Shape, default: str) -> Reader:
    wanted = shape.traits.get("timestampFormat", default).lower()

    def read(value: Any) -> Any:
        try:
            if type(value) in (int, float):
                return from_epoch(value)
            if type(value) is str and wanted != "unixtimestamp":
                return from_iso8601(value) if wanted == "iso8601" else from_http_date(value)
        except (ValueError, OverflowError):
            raise Unreadable("Invalid timestamp") from None
        raise _wrong(value, "Timestamp")

    return read


class JsonReaders:
    """Readers of one service's shapes; aggregates by name, so that recursive shapes refer to their own entry."""

    def __init__(self) -> None:
        self._done: dict[str, Reader] = {}
        self._open: set[str] = set()

    def compile(self, shape: Shape) -> Reader:
        kind = shape.kind
        if kind in ("structure", "list", "map"):
            name = shape.name
            if name in self._done:
                return self._done[name]
            if name in self._open:
                return lambda value: self._done[name](value)
            self._open.add(name)
            reader = {"structure": self._structure, "list": self._list, "map": self._map}[kind](shape)
            self._open.discard(name)
            self._done[name] = reader
            return reader
        if kind in ("string", "character"):
            return _read_string
        if kind == "boolean":
            return _read_boolean
        if kind == "blob":
            return self.blob()
        if kind in _INTEGERS:
            return integer_reader(kind)
        if kind in ("float", "double"):
            return _read_float
        if kind == "timestamp":
            return self.timestamp(shape)
        raise NotImplementedError(f"shapes of type {kind}")

    def blob(self) -> Reader:
        return read_blob

    def timestamp(self, shape: Shape) -> Reader:
        return timestamp_reader(shape, "unixTimestamp")

    def _structure(self, shape: Shape) -> Reader:
        if shape.document:
            return lambda value: value
        return self.members(
            {name: member for name, member in shape.members.items() if not member.event_stream}
        )

    def members(self, members: dict[str, Shape]) -> Reader:
        """A reader of an object that holds the given members; it leaves out nulls and what it does not know."""
        table = {member.wire_name or name: (name, self.compile(member)) for name, member in members.items()}
        find = table.get

        def read(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise (
                    Unreadable("Unexpected value type in payload")
                    if not isinstance(value, list)
                    else _wrong(value, "Structure")
                )
            members = {}
            for key, item in value.items():
                found = find(key)
                if found is not None and item is not None:
                    members[found[0]] = found[1](item)
            return members

        return read

    def _list(self, shape: Shape) -> Reader:
        element = self.compile(shape.element)

        def read(value: Any) -> list[Any]:
            if type(value) is not list:
                raise _wrong(value, "List")
            return [None if item is None else element(item) for item in value]

        return read

    def _map(self, shape: Shape) -> Reader:
        element = self.compile(shape.element)

        def read(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise _wrong(value, "Map")
            return {key: None if item is None else element(item) for key, item in value.items()}

        return read


def unknown_member(shape: Shape, name: str) -> TypeError:
    """A handler's result has a member that the model has not: a defect of ours, never the client's doing."""
    return TypeError(f"{shape.name} has no member {name!r}")


def write_blob(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def write_string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"a string was expected, not {type(value).__name__}")


def _write_float(value: float) -> float | str:
    if value != value:
        return "NaN"
    if value in (math.inf, -math.inf):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def timestamp_writer(shape: Shape, default: str) -> Writer:
    wanted = shape.traits.get("timestampFormat", default).lower()
    return to_epoch if wanted == "unixtimestamp" else TO_TEXT[wanted]


class JsonWriters:
    """Writers of one service's shapes. ``compile`` gives None where a value is dumped as it is."""

    def __init__(self) -> None:
        self._done: dict[str, Writer] = {}
        self._open: set[str] = set()

    def compile(self, shape: Shape) -> Writer | None:
        kind = shape.kind
        if kind in ("structure", "list", "map"):
            name = shape.name
            if name in self._done:
                return self._done[name]
            if name in self._open:
                return lambda value: self._done[name](value)
            self._open.add(name)
            writer = {"structure": self._structure, "list": self._list, "map": self._map}[kind](shape)
            self._open.discard(name)
            self._done[name] = writer
            return writer
        if kind == "blob":
            return self.blob()
        if kind == "timestamp":
            return self.timestamp(shape)
        if kind in ("float", "double"):
            return self.floating()
        if kind in ("string", "character"):
            return write_string
        return None

    def blob(self) -> Writer | None:
        return write_blob

    def timestamp(self, shape: Shape) -> Writer:
        return timestamp_writer(shape, "unixTimestamp")

    def floating(self) -> Writer | None:
        return _write_float

    def _structure(self, shape: Shape) -> Writer:
        if shape.document:
            return lambda value: value
        return self.members(shape, shape.members)

    def members(self, shape: Shape, members: dict[str, Shape]) -> Writer:
        """A writer of an object that holds the given members of a structure. None-valued ones are left out."""
        table = {name: (member.wire_name or name, self.compile(member)) for name, member in members.items()}
        find = table.get

        def write(value: Any) -> dict[str, Any]:
            written = {}
            for name, item in value.items():
                found = find(name)
                if found is None:
                    raise unknown_member(shape, name)
                if item is not None:
                    writer = found[1]
                    written[found[0]] = item if writer is None else writer(item)
            return written

        return write

    def _list(self, shape: Shape) -> Writer:
        element = self.compile(shape.element)
        if element is None:
            return list
        return lambda value: [None if item is None else element(item) for item in value]

    def _map(self, shape: Shape) -> Writer:
        element = self.compile(shape.element)
        if element is None:
            return dict
        return lambda value: {key: None if item is None else element(item) for key, item in value.items()}
