"""The server's own operations, for tests against a ``--dev`` server: its clock and its reset.

    GET  /_casemate/clock                                    GetClock
    POST /_casemate/clock   {"advance_seconds": 31536000}    SetClock
                            {"set": "2030-01-01T00:00:00Z"}
                            {"reset": true}
    POST /_casemate/reset   {}                               Reset

They go the way of every request: signed (service name "casemate"), authorised (as casemate:SetClock and so on, on a
resource of the server's first account), audited. Without ``--dev`` their paths are unknown as any other.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from casemate import wire
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.conditions import iso_time
from casemate.gate.operation import Operation
from casemate.gate.resource import Resource
from casemate.gate.router import Route
from casemate.server.movable_clock import MovableClock
from casemate.store.database import Tx
from casemate.store.jobs import DOMAIN as JOBS
from casemate.store.migrate import Migrations
from casemate.wire import Reply

SERVICE = "casemate"
"""The service's name in signatures and in actions."""

GetClock: Operation[Mapping[str, Any], Mapping[str, Any]] = Operation(SERVICE, "GetClock")
SetClock: Operation[Mapping[str, Any], Mapping[str, Any]] = Operation(SERVICE, "SetClock")
Reset: Operation[Mapping[str, Any], Mapping[str, Any]] = Operation(SERVICE, "Reset")

_LAST = datetime(9990, 1, 1, tzinfo=UTC).timestamp()
"""The clock stays before this, so that what is reckoned from it has a date too."""

_KEPT = frozenset({"root_key", "account_keys"})
"""Keys under keys: every process has them in memory, and customers have no part in them."""


@dataclass(frozen=True, slots=True)
class Control:
    """What these operations work on. account: the server's first one; domains: all there are of generations;
    begin: makes what the server had at its start, in a database without customers' rows."""

    clock: MovableClock
    account: str
    migrations: tuple[Migrations, ...]
    domains: tuple[str, ...]
    begin: Callable[[Tx], object]


def the_server(call: Call, request: Mapping[str, Any]) -> Resource:  # noqa: ARG001 - a resolver's parameters
    """The server itself, which belongs to its first account: another account's administrator may not."""
    return Resource("*", call.part(Control).account)


@GetClock.reads(the_server)
def get_clock(call: Call, req: Mapping[str, Any], target: Resource) -> Mapping[str, Any]:  # noqa: ARG001
    """The time, how far it is ahead of the machine's, and how many jobs are due that have not run yet."""
    due = call.tx.one("SELECT COUNT(*) FROM store_jobs WHERE due <= ? AND failures = 0", (call.now,))
    assert due is not None
    return {
        "now": iso_time(call.now),
        "offset_seconds": round(call.part(Control).clock.offset, 3),
        "jobs_due": due[0],
    }


@SetClock.writes(the_server)
def set_clock(call: Call, req: Mapping[str, Any], target: Resource) -> Mapping[str, Any]:  # noqa: ARG001
    """Move the clock, and wake the jobs of all workers. To advance is reckoned from the request's receipt, so
    that running this twice moves it once."""
    clock = call.part(Control).clock
    machine = time.time()
    if "set" in req:
        moved = req["set"]
    elif "advance_seconds" in req:
        moved = call.now + req["advance_seconds"]
    else:
        moved = machine
    if moved >= _LAST:
        raise AwsError("ValidationException", "The clock stays before the year 9990.", 400)
    clock.move_to(moved - machine)
    call.tx.bump(JOBS)
    return {"now": iso_time(moved), "offset_seconds": round(clock.offset, 3)}


@Reset.writes(the_server)
def reset(call: Call, req: Mapping[str, Any], target: Resource) -> Mapping[str, Any]:  # noqa: ARG001
    """Back to the start: no customers' rows but those of the first start and the seed, the same administrator, no
    jobs but theirs, the machine's time. The audit journal goes on."""
    control = call.part(Control)
    tx = call.tx
    control.clock.move_to(0.0)
    for table in reversed(tables(control.migrations)):
        tx.run(f"DELETE FROM {table}")  # noqa: S608 - a name from our own migrations
    tx.run("DELETE FROM store_jobs")
    control.begin(tx)
    for domain in control.domains:
        tx.bump(domain)
    return {}


def tables(migrations: tuple[Migrations, ...]) -> list[str]:
    """The tables of customers' rows, in the order in which they were made."""
    return [
        table
        for owner in migrations
        for file in owner.files
        for table in re.findall(r"^CREATE TABLE (\w+)", file.sql, re.MULTILINE)
        if table not in _KEPT
    ]


# --- how they are written


class _Codec:
    """Small JSON bodies. read: checks the members; raises AwsError."""

    def __init__(self, read: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._read = read

    def parse(
        self,
        method: str,
        path: bytes,  # noqa: ARG002
        query: bytes,  # noqa: ARG002
        headers: Mapping[bytes, bytes],  # noqa: ARG002
        body: bytes,
    ) -> dict[str, Any]:
        members: Any = {}
        if method == "POST" and body:
            try:
                members = json.loads(body)
            except (ValueError, RecursionError):
                raise AwsError("SerializationException", "The body is not JSON.", 400) from None
        if not isinstance(members, dict):
            raise AwsError("SerializationException", "The body is not a JSON object.", 400)
        return self._read(members)

    def reply(self, result: Mapping[str, Any], request_id: str) -> Reply:
        head = f"Content-Type: application/json\r\nx-amzn-RequestId: {request_id}\r\n".encode()
        return Reply(200, head, json.dumps(result).encode())

    def error(self, error: AwsError, request_id: str) -> Reply:
        return wire.error_reply(None, "json", error, request_id)

    def redact(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return dict(params)

    def redact_result(self, result: Mapping[str, Any]) -> dict[str, Any]:
        return dict(result)


_CLOCK_USAGE = (
    'Give one of {"advance_seconds": N} (0 or more), {"set": "2030-01-01T00:00:00Z"} and {"reset": true}.'
)


def _nothing(members: dict[str, Any]) -> dict[str, Any]:
    if members:
        raise AwsError("ValidationException", "This takes no members.", 400)
    return {}


def _clock_move(members: dict[str, Any]) -> dict[str, Any]:
    refusal = AwsError("ValidationException", _CLOCK_USAGE, 400)
    if len(members) != 1:
        raise refusal
    name, value = next(iter(members.items()))
    if name == "advance_seconds" and isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value < _LAST:
            raise refusal
        return {name: float(value)}
    if name == "reset" and value is True:
        return {name: True}
    if name == "set" and isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise refusal from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = moment.timestamp()
        if seconds < 0:
            raise refusal
        return {name: seconds}
    raise refusal


def _route(operation: Operation[Any, Any], read: Callable[[dict[str, Any]], dict[str, Any]]) -> Route:
    return Route(operation, _Codec(read), SERVICE, "json", SERVICE)


PATHS: Mapping[tuple[str, bytes], Route] = {
    ("GET", b"/_casemate/clock"): _route(GetClock, _nothing),
    ("POST", b"/_casemate/clock"): _route(SetClock, _clock_move),
    ("POST", b"/_casemate/reset"): _route(Reset, _nothing),
}
