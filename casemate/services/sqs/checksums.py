"""The MD5s by which clients check what they have sent and received.

Source: "Calculating the MD5 message digest for message attributes".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from hashlib import md5
from typing import Any

_LENGTH = struct.Struct(">I")


def of_body(body: str) -> str:
    return md5(body.encode(), usedforsecurity=False).hexdigest()


def of_attributes(attributes: Mapping[str, Mapping[str, Any]]) -> str:
    """Names in order, each with its type and its value, preceded by their lengths."""
    digest = md5(usedforsecurity=False)
    for name in sorted(attributes):
        attribute = attributes[name]
        kind = attribute["DataType"]
        digest.update(_part(name.encode()) + _part(kind.encode()))
        if kind.startswith("Binary"):
            digest.update(b"\x02" + _part(attribute["BinaryValue"]))
        else:
            digest.update(b"\x01" + _part(attribute["StringValue"].encode()))
    return digest.hexdigest()


def _part(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value
