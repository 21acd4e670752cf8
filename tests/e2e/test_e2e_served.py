"""Every operation of the served services is there, or says that it is not: never a made-up success."""

from __future__ import annotations

from typing import Any

import pytest
from e2e_support import ADMIN, Reply, Wire
from server_support import Server

from casemate.gate.operation import Api, Operation
from casemate.server.composition import APIS

ALL = {api.service: api for api in APIS}


def empty_call(wire: Wire, api: Api, operation: Operation[Any, Any], signed: bool = True) -> Reply:
    """Without any parameters."""
    if "json" in api.protocols:
        body, headers = (
            b"{}",
            {
                "X-Amz-Target": f"{api.target_prefix}.{operation.name}",
                "Content-Type": "application/x-amz-json-1.1",
            },
        )
    else:
        body, headers = (
            f"Action={operation.name}&Version={api.version}".encode(),
            {"Content-Type": "application/x-www-form-urlencoded"},
        )
    if not signed:
        return wire.send_as_is("POST", "/", body, headers)
    return wire.send(body, headers, service=api.signing_name)


@pytest.mark.parametrize("service", ALL)
def test_what_is_not_served_answers_501_and_names_itself(seeded: Server, service: str) -> None:
    wire = Wire(seeded, ADMIN)
    for operation in ALL[service].operations:
        reply = empty_call(wire, ALL[service], operation)
        said = f"The operation {operation} is not served by Casemate.".encode()
        if operation.served is None:
            assert reply.status == 501, reply
            assert said in reply.body
            assert b"NotImplemented" in reply.body
        else:
            assert reply.status in (200, 400, 403, 404, 409), f"{operation}: {reply}"
            assert said not in reply.body
    wire.close()


@pytest.mark.parametrize("service", ALL)
def test_nothing_is_told_to_whoever_does_not_sign(seeded: Server, service: str) -> None:
    wire = Wire(seeded, ADMIN)
    for operation in ALL[service].operations:
        if operation.served is not None and operation.served.proof:
            continue
        reply = empty_call(wire, ALL[service], operation, signed=False)
        assert reply.status in (400, 403)
        assert b"MissingAuthenticationToken" in reply.body, f"{operation}: {reply}"
    wire.close()
