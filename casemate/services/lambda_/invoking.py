"""Invoke."""

from __future__ import annotations

import json
import random
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING

from casemate.api import lambda_
from casemate.errors import AwsError
from casemate.gate.random_ids import new_uuid
from casemate.services.lambda_.event_queue import Event, EventQueue
from casemate.services.lambda_.refusals import unserved
from casemate.services.lambda_.running import Wanted, run
from casemate.services.lambda_.targets import Target, need, qualified_function, version_of

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.services.lambda_.function import Entry
    from casemate.services.lambda_.rows import Version

MOST_BYTES = 6 * 1024 * 1024
MOST_EVENT_BYTES = 1024 * 1024

_TAIL = 4096


@lambda_.Invoke.reads(qualified_function, need("lambda:InvokeFunction"))
def invoke(call: Call, req: lambda_.InvocationRequest, target: Target) -> lambda_.InvocationResponse:
    """Run a function and give what it gives, with the end of its log if that is asked for; or have it run some time,
    and again if it fails; or only look whether the caller may."""
    kind = req.get("InvocationType", "RequestResponse")
    if kind == "DryRun":
        return {"StatusCode": 204}
    if req.get("DurableExecutionName") or req.get("TenantId"):
        raise unserved("Durable executions and tenants")
    payload = req.get("Payload", b"")
    _check(payload, MOST_EVENT_BYTES if kind == "Event" else MOST_BYTES)
    context = _client_context(req.get("ClientContext", ""))
    trace = call.exchange.headers.get(b"x-amzn-trace-id", b"").decode("latin-1")
    gate, what = call.gate, target.named
    if kind == "Event":
        # One request may ask for several, as an event with several targets does.
        event_id = new_uuid() if call.scope else call.request_id
        event = Event(event_id, what.place, what.qualifier, payload, context, trace, call.now)
        queue = call.part(EventQueue)
        if call.mutable:
            queue.put(call.tx, event)
        else:
            call.before("event", lambda: gate.store.write(lambda tx: queue.put(tx, event)))
            queue.told.set()
        return {"StatusCode": 202}
    request_id = call.before("request", new_uuid) if call.scope else call.request_id
    version = drawn_version(call, target.found, what.qualifier, target.meant, request_id)
    wanted = Wanted(target.found.row, version, what.qualifier, payload, request_id, context, trace)
    result = call.before("invoke", lambda: run(gate, wanted), waits=True)
    answer: lambda_.InvocationResponse = {
        "StatusCode": 200,
        "Payload": result.payload,
        "ExecutedVersion": result.version,
    }
    if result.failed:
        answer["FunctionError"] = "Unhandled"
    if req.get("LogType") == "Tail":
        answer["LogResult"] = b64encode(result.log[-_TAIL:]).decode()
    return answer


def _check(payload: bytes, most: int) -> None:
    """Raises RequestTooLargeException, InvalidRequestContentException."""
    if len(payload) > most:
        raise AwsError(
            "RequestTooLargeException",
            f"Request must be smaller than {most} bytes for the InvokeFunction operation",
            413,
            Type="User",
        )
    if not payload:
        return
    try:
        json.loads(payload)
    except (ValueError, RecursionError) as error:
        what = error.msg if isinstance(error, json.JSONDecodeError) else "it is not UTF-8"
        raise AwsError(
            "InvalidRequestContentException",
            f"Could not parse request body into json: Could not parse payload into json: {what}",
            Type="User",
        ) from None


def _client_context(text: str) -> str:
    """The JSON of a client context. Raises InvalidRequestContentException."""
    if not text:
        return ""
    try:
        return json.dumps(json.loads(b64decode(text, validate=True)))
    except (Base64Error, ValueError, RecursionError):
        raise AwsError(
            "InvalidRequestContentException",
            "Client context must be a valid Base64-encoded JSON object.",
            Type="User",
        ) from None


def drawn_version(call: Call, entry: Entry, qualifier: str, main: Version, request_id: str) -> Version:
    """The version that is run: an alias' other one as often as its weight says, by the request's id, so that it stays
    the same however often the request starts again. main: the one that the qualifier means."""
    alias = entry.row.aliases.get(qualifier)
    if alias is None:
        return main
    drawn = random.Random(request_id).random()  # noqa: S311 - nobody gains by guessing it
    for name, weight in alias.routing.items():
        if drawn < weight:
            return version_of(call, entry, name) or main
        drawn -= weight
    return main
