"""Data types: what a value must be for each. Source: "PutParameter", "Working with parameter data types"."""

from __future__ import annotations

import ipaddress
import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from casemate.gate.regions import regions
from casemate.services.ssm.refusals import invalid
from casemate.services.ssm.rows import STRING

TEXT, IMAGE, INTEGRATION = "text", "aws:ec2:image", "aws:ssm:integration"
ADVANCED_TYPES = frozenset({"url", "json", "jsonc"})
"""For parameters of the advanced tier only."""

_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.ASCII)
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9.-]{1,255})", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
# A string, or a comment: what stands in a string is no comment.
# What does not end goes to the end of the value, so that no character is looked at again and again.
_STRING = r'("(?:[^"\\]|\\.)*+(?:"|\Z))'
_JSONC = re.compile(rf"{_STRING}|//[^\n]*|/\*(?:.*?\*/|.*)", re.DOTALL)
_TRAILING_COMMA = re.compile(rf"{_STRING}|,(?=\s*+[}}\]])", re.DOTALL)


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: compiled.fullmatch(value) is not None


def _binary(value: str) -> bool:
    try:
        b64decode(value, validate=True)
    except (Base64Error, ValueError):
        return False
    return True


def _address(kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        try:
            kind(value)
        except ValueError:
            return False
        return True

    return check


def _hostname(value: str) -> bool:
    return len(value) <= 253 and _HOSTNAME.fullmatch(value) is not None


def _email(value: str) -> bool:
    found = _EMAIL.fullmatch(value)
    return found is not None and _hostname(found[1])


def _url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return bool(parts.scheme and parts.netloc and parts.hostname) and not re.search(r"\s", value)
    except ValueError:
        return False


def _json(value: str) -> bool:
    try:
        json.loads(value, parse_constant=_no_constant, parse_int=str)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _without_comment(found: re.Match[str]) -> str:
    """A string, and a comment that does not end, as they are."""
    text = found[0]
    ends = text.startswith("//") or (len(text) > 3 and text.endswith("*/"))
    return found[1] or (" " if ends else text)


def _jsonc(value: str) -> bool:
    """JSON with comments and trailing commas."""
    plain = _JSONC.sub(_without_comment, value)
    return _json(_TRAILING_COMMA.sub(lambda found: found[1] or "", plain))


DATA_TYPES: Mapping[str, Callable[[str], bool]] = {
    TEXT: lambda _: True,
    IMAGE: _matches(r"ami-(?:[0-9a-f]{8}|[0-9a-f]{17})"),
    INTEGRATION: _json,
    "aws:region": lambda value: value in regions(),
    "aws:account:id": _matches(r"\d{12}"),
    "boolean": _matches("true|false"),
    "integer": _matches(r"[+-]?\d+"),
    "float": lambda value: _FLOAT.fullmatch(value) is not None,
    "binary": _binary,
    "hostname": _hostname,
    "email": _email,
    "ipv4-address": _address(ipaddress.IPv4Address),
    "ipv6-address": _address(ipaddress.IPv6Address),
    "url": _url,
    "json": _json,
    "jsonc": _jsonc,
}


def check_value(data_type: str, type: str, value: str) -> None:  # noqa: A002 - AWS's own name
    """Raises ValidationException for a data type that there is not, or that the parameter's type does not have, and
    for a value that is not of it, which the error does not show."""
    check = DATA_TYPES.get(data_type)
    if check is None:
        raise invalid(
            f"The following data type is not supported: {data_type} (Data type names are all lowercase.)"
        )
    if data_type == IMAGE and type != STRING:
        raise invalid(f"The data type {data_type} is supported for parameters of the type String only.")
    if not check(value):
        raise invalid(f"Parameter value, cannot be validated against the data type {data_type}.")
