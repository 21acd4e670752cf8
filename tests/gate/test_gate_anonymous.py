"""Callers without an identity: what is decided about them is decided anew, because nothing makes them anew."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from casemate.engine.policy import parse
from casemate.gate.authorise import decide
from casemate.gate.call import Call
from casemate.gate.identity import ANONYMOUS
from casemate.gate.resource import Resource

ACCOUNT = "111122223333"


def statement(effect: str, action: str) -> dict[str, Any]:
    return {"Effect": effect, "Principal": "*", "Action": action, "Resource": "*"}


def policy(kind: Any, *statements: dict[str, Any]) -> Any:
    return parse(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}), kind)


def test_an_rcp_and_a_closed_account_bind_them_at_once() -> None:
    standing = SimpleNamespace(scps=(), rcps=(), closed=False, organization="", path="")
    call: Any = object.__new__(Call)
    call.identity, call.transaction = ANONYMOUS, None
    call.gate = SimpleNamespace(organizations=SimpleNamespace(standing=lambda account, tx: standing))
    public = policy("resource", statement("Allow", "s3:GetObject"))
    resource = Resource("arn:aws:s3:::bucket/key", ACCOUNT, policy=public)

    def allowed() -> bool:
        return decide(call, "s3:GetObject", resource, {}).allowed

    assert allowed()
    everything = policy("rcp", {**statement("Allow", "*")})
    standing.rcps = ((everything, policy("rcp", statement("Deny", "s3:GetObject"))),)
    assert not allowed(), "the RCP came after the first request"
    standing.rcps = ()
    assert allowed()
    standing.closed = True
    assert not allowed(), "the account was closed after the first request"
