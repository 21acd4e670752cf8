"""The finished answer, and what the error answers of all protocols share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from casemate.errors import AwsError
from casemate.wire.constraints import Checks
from casemate.wire.models import ErrorShape, Service


class Reply(NamedTuple):
    """A whole answer. head: header lines, each ended by CRLF, without Content-Length and Date."""

    status: int
    head: bytes
    body: bytes


_HEADER_NAME = re.compile(r"[^\x00-\x20\x7f:]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

Parse = Callable[[str, bytes, bytes, Mapping[bytes, bytes], bytes], dict[str, Any]]
"""(method, raw path, raw query, headers, body) → members, not yet checked. Raises Unreadable."""
Write = Callable[[Mapping[str, Any], str], Reply]
"""(result, request id) → answer."""


@cache
def checks(_service_name: str) -> Checks:
    """The checks of a service's shapes, shared by its operations."""
    return Checks()


class ResolvedError(NamedTuple):
    """An AwsError matched with the model. name: the shape's name; code: the code of the query wire; status:
    HTTP; modelled: None when the model has no such error; sender: True when the client is to blame."""

    name: str
    code: str
    status: int
    modelled: ErrorShape | None
    sender: bool


def resolve(service: Service | None, error: AwsError) -> ResolvedError:
    """Match an error with the service's model.

    The status is the model's when the error has the default one (400) and the model names another; an error
    raised with a status of its own keeps it. Faults of the server without a modelled status are 500.
    """
    modelled = service.error(error.code) if service is not None else None
    if modelled is None:
        return ResolvedError(error.code, error.code, error.status, None, error.status < 500)
    status = error.status
    if status == 400 and modelled.status is not None:
        status = modelled.status
    return ResolvedError(modelled.shape.name, modelled.code, status, modelled, status < 500)


def header_line(name: str, value: str) -> bytes:
    """One header line. Raises ValueError for what would end the line or begin another."""
    if not _HEADER_NAME.fullmatch(name) or _CONTROL.search(value):
        raise ValueError(f"header {name!r} has a character that headers cannot carry")
    return f"{name}: {value}\r\n".encode()


def line_writer(name: str) -> Callable[[str], bytes]:
    """What writes that header's line. It raises ValueError as ``header_line`` does."""
    before = header_line(name, "")[:-2].decode()
    search = _CONTROL.search

    def write(value: str) -> bytes:
        if search(value):
            raise ValueError(f"header {name!r} has a character that headers cannot carry")
        return f"{before}{value}\r\n".encode()

    return write


def query_error_header(service: Service | None, resolved: ResolvedError) -> bytes:
    """For services that left the query protocol: its code and type (Smithy's "awsQueryCompatible")."""
    if service is None or not service.query_compatible:
        return b""
    return header_line("x-amzn-query-error", f"{resolved.code};{'Sender' if resolved.sender else 'Receiver'}")
