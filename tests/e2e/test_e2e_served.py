"""Every operation of the served services is there, or says that it is not: never a made-up success."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from e2e_support import ADMIN, Reply, Wire
from server_support import Server

from casemate.gate.operation import Api, Operation
from casemate.server.composition import APIS
from casemate.wire.models import service as model_of

ALL = {api.service: api for api in APIS}

# Operations that came before those of another name, and mean the same request.
SUPERSEDED = {
    "s3:GetBucketLifecycle",
    "s3:GetBucketNotification",
    "s3:PutBucketLifecycle",
    "s3:PutBucketNotification",
}
# Directory buckets' and Outposts', which have endpoints of their own.
ELSEWHERE = {"s3:ListDirectoryBuckets", "s3control:CreateBucket"}


def least_call(operation: Operation[Any, Any]) -> tuple[str, str, dict[str, str]]:
    """Method, target and headers of a REST request with no more than what tells the operation from others."""
    modelled = model_of(operation.service).operation(operation.name)
    target = re.sub(r"\{[^}]*\}", "some-name", modelled.uri)
    queries, headers = [], {}
    shape = modelled.input
    required = [] if shape is None else [(name, shape.members[name]) for name in shape.required]
    for name, member in required:
        value = "1" if member.kind in ("integer", "long") else "x"
        if member.location == "querystring":
            queries.append(f"{member.wire_name or name}={value}")
        elif member.location == "header":
            headers[member.wire_name or name] = "111122223333" if name == "AccountId" else value
    if queries:
        target += ("&" if "?" in target else "?") + "&".join(queries)
    return modelled.method, target, headers


def empty_call(wire: Wire, api: Api, operation: Operation[Any, Any], signed: bool = True) -> Reply:
    """Without any parameters but those in the address."""
    method, target, body = "POST", "/", b""
    if "json" in api.protocols:
        body, headers = (
            b"{}",
            {
                "X-Amz-Target": f"{api.target_prefix}.{operation.name}",
                "Content-Type": "application/x-amz-json-1.1",
            },
        )
    elif {"rest-json", "rest-xml"} & set(api.protocols):
        method, target, headers = least_call(operation)
        if api.signing_name == "s3":
            headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
    else:
        body, headers = (
            f"Action={operation.name}&Version={api.version}".encode(),
            {"Content-Type": "application/x-www-form-urlencoded"},
        )
    if not signed:
        headers.pop("x-amz-content-sha256", None)
        return wire.send_as_is(method, target, body, headers)
    return wire.send(body, headers, method=method, path=target, service=api.signing_name)


@pytest.mark.parametrize("service", ALL)
def test_what_is_not_served_answers_501_and_names_itself(seeded: Server, service: str) -> None:
    wire = Wire(seeded, ADMIN)
    for operation in ALL[service].operations:
        if name_of(operation) in SUPERSEDED | ELSEWHERE:
            assert operation.served is None
            continue
        reply = empty_call(wire, ALL[service], operation)
        said = f"The operation {operation} is not served by Casemate.".encode()
        if operation.served is None:
            assert reply.status == 501, f"{operation}: {reply}"
            assert said in reply.body
            # Where JSON comes by REST, the code is a header.
            assert b"NotImplemented" in reply.body or "rest-json" in ALL[service].protocols
        else:
            assert reply.status in (200, 201, 202, 204, 400, 403, 404, 409, 411, 415), f"{operation}: {reply}"
            assert said not in reply.body
    wire.close()


def name_of(operation: Operation[Any, Any]) -> str:
    return f"{operation.service}:{operation.name}"


@pytest.mark.parametrize("service", ALL)
def test_nothing_is_told_to_whoever_does_not_sign(seeded: Server, service: str) -> None:
    wire = Wire(seeded, ADMIN)
    for operation in ALL[service].operations:
        if name_of(operation) in SUPERSEDED | ELSEWHERE:
            continue
        if operation.served is not None and operation.served.proof:
            continue
        reply = empty_call(wire, ALL[service], operation, signed=False)
        if {"rest-json", "rest-xml"} & set(ALL[service].protocols):
            # Without a signature it is a request for a bucket that may let the public in. None of these does.
            assert reply.status in (400, 403, 404, 405, 411, 501), f"{name_of(operation)}: {reply}"
            continue
        assert reply.status in (400, 403), f"{operation}: {reply}"
        assert b"MissingAuthenticationToken" in reply.body, f"{operation}: {reply}"
    wire.close()
