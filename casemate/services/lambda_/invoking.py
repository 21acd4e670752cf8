"""Invoke."""

from __future__ import annotations

import json
import random
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING

from casemate.api import lambda_
from casemate.errors import AwsError
from casemate.services.lambda_.naming import LATEST
from casemate.services.lambda_.refusals import unserved
from casemate.services.lambda_.running import Wanted, run
from casemate.services.lambda_.targets import Target, need, qualified_function, version_of

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.services.lambda_.rows import Version

MOST_BYTES = 6 * 1024 * 1024
MOST_EVENT_BYTES = 1024 * 1024

_TAIL = 4096


@lambda_.Invoke.reads(qualified_function, need("lambda:InvokeFunction"))
def invoke(call: Call, req: lambda_.InvocationRequest, target: Target) -> lambda_.InvocationResponse:
    """Run a function and give what it gives, with the end of its log if that is asked for; or only look whether the
    caller may."""
    kind = req.get("InvocationType", "RequestResponse")
    if kind == "DryRun":
        return {"StatusCode": 204}
    if req.get("DurableExecutionName") or req.get("TenantId"):
        raise unserved("Durable executions and tenants")
    payload = req.get("Payload", b"")
    _check(payload, MOST_EVENT_BYTES if kind == "Event" else MOST_BYTES)
    if kind == "Event":
        raise unserved("Asynchronous invocations")
    version = _version(call, target)
    wanted = Wanted(
        target.found.row,
        version,
        target.named.qualifier,
        payload,
        call.request_id,
        _client_context(req.get("ClientContext", "")),
        call.exchange.headers.get(b"x-amzn-trace-id", b"").decode("latin-1"),
    )
    gate = call.gate
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


def _version(call: Call, target: Target) -> Version:
    """The version that is run: an alias' other one as often as its weight says, by the request's id, so that it stays
    the same however often the request starts again."""
    alias = target.alias
    if alias is None or target.named.qualifier == LATEST:
        return target.meant
    drawn = random.Random(call.request_id + call.scope).random()  # noqa: S311 - nobody gains by guessing it
    for name, weight in alias.routing.items():
        if drawn < weight:
            return version_of(call, target.found, name) or target.meant
        drawn -= weight
    return target.meant
