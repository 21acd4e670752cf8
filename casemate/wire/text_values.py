"""Scalars as text: form fields, XML text, headers, path labels and query parameters. Compiled once per shape."""

from __future__ import annotations

import binascii
import math
import re
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Any

from casemate.wire.models import Shape
from casemate.wire.refusals import Unreadable
from casemate.wire.timestamps import TO_TEXT, from_text

FromText = Callable[[str], Any]
ToText = Callable[[Any], str]

_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_FLOAT = re.compile(r"[+-]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][+-]?\d{1,4})?|NaN|-?Infinity", re.ASCII)
_BOUNDS = {"integer": 2**31, "long": 2**63}


def _integer(kind: str) -> FromText:
    bound = _BOUNDS[kind]

    def read(text: str) -> int:
        if not _INTEGER.fullmatch(text) or not -bound <= int(text) < bound:
            raise Unreadable(
                f"A value can not be converted to {'an Integer' if kind == 'integer' else 'a Long'}"
            )
        return int(text)

    return read


def _float(text: str) -> float:
    if not _FLOAT.fullmatch(text):
        raise Unreadable("A value can not be converted to a Double")
    value = float(text)
    if math.isinf(value) and not text.endswith("Infinity"):
        raise Unreadable("A value can not be converted to a Double")
    return value


def _boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered not in ("true", "false"):
        raise Unreadable("A value can not be converted to a Boolean")
    return lowered == "true"


def _blob(text: str) -> bytes:
    try:
        return binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except ValueError:
        raise Unreadable("Unable to decode base64") from None


def _timestamp(text: str) -> datetime:
    try:
        return from_text(text)
    except (ValueError, OverflowError):
        raise Unreadable("Invalid timestamp") from None


def text_reader(shape: Shape) -> FromText:
    """The reader of a scalar. It raises Unreadable, never with the value."""
    kind = shape.kind
    if kind in ("string", "character"):
        return str
    if kind in _BOUNDS:
        return _integer(kind)
    readers: dict[str, FromText] = {
        "boolean": _boolean,
        "float": _float,
        "double": _float,
        "blob": _blob,
        "timestamp": _timestamp,
    }
    return readers[kind]


def _write_string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"a string was expected, not {type(value).__name__}")


def _write_integer(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"an integer was expected, not {type(value).__name__}")


def _write_float(value: float) -> str:
    text = repr(float(value))
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text, text)


def _write_boolean(value: Any) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    raise TypeError(f"a boolean was expected, not {type(value).__name__}")


def text_writer(shape: Shape, timestamp_format: str) -> ToText:
    """The writer of a scalar; timestamp_format: the default of the place where it is written. TypeError for a
    value of another type."""
    kind = shape.kind
    if kind == "timestamp":
        return TO_TEXT[shape.traits.get("timestampFormat", timestamp_format).lower()]
    writers: dict[str, ToText] = {
        "string": _write_string,
        "character": _write_string,
        "integer": _write_integer,
        "long": _write_integer,
        "boolean": _write_boolean,
        "float": _write_float,
        "double": _write_float,
        "blob": lambda value: b64encode(value).decode("ascii"),
    }
    return writers[kind]
