"""Short ways to write policies and questions, and one to ask that holds both evaluators together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from casemate.engine.policy import (
    Attached,
    Decision,
    Grade,
    Kind,
    Plan,
    Policy,
    Principal,
    Question,
    Value,
    decide,
    explain,
    parse,
    principal_keys,
)

HOME = "111122223333"
AWAY = "444455556666"
KEY = f"arn:aws:kms:us-east-1:{HOME}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
BUCKET = "arn:aws:s3:::example"

ALICE = Principal("user", f"arn:aws:iam::{HOME}:user/alice", HOME, id="AIDAALICEALICEALICE1")
BOB_AWAY = Principal("user", f"arn:aws:iam::{AWAY}:user/bob", AWAY, id="AIDABOBBOBBOBBOBBOB1")
ROOT = Principal("root", f"arn:aws:iam::{HOME}:root", HOME)
ROOT_AWAY = Principal("root", f"arn:aws:iam::{AWAY}:root", AWAY)
SESSION = Principal(
    "role",
    f"arn:aws:sts::{HOME}:assumed-role/Reader/build",
    HOME,
    role_arn=f"arn:aws:iam::{HOME}:role/team/Reader",
    id="AROAREADERREADER1234:build",
)
SESSION_AWAY = Principal(
    "role",
    f"arn:aws:sts::{AWAY}:assumed-role/Audit/run",
    AWAY,
    role_arn=f"arn:aws:iam::{AWAY}:role/Audit",
    id="AROAAUDITAUDIT123456:run",
)
FEDERATED = Principal(
    "federated-user",
    f"arn:aws:sts::{HOME}:federated-user/fred",
    HOME,
    issuer=ALICE.arn,
    id=f"{HOME}:fred",
)
SERVICE = Principal("service", "sns.amazonaws.com", "", names=("sns.us-east-1.amazonaws.com",))
ANONYMOUS = Principal("anonymous", "", "")
WEB = Principal("web-identity", "", "", federated="accounts.google.com")
SAML = Principal("saml", "", "", federated=f"arn:aws:iam::{HOME}:saml-provider/Corp")
LINKED = Principal(
    "role",
    f"arn:aws:sts::{HOME}:assumed-role/AWSServiceRoleForX/x",
    HOME,
    role_arn=f"arn:aws:iam::{HOME}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX",
    id="AROALINKEDLINKED1234:x",
)

Statement = dict[str, Any]


def statement(effect: str, action: Any = "*", resource: Any = "*", **more: Any) -> Statement:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def allow(action: Any = "*", resource: Any = "*", **more: Any) -> Statement:
    return statement("Allow", action, resource, **more)


def deny(action: Any = "*", resource: Any = "*", **more: Any) -> Statement:
    return statement("Deny", action, resource, **more)


def document(*statements: Statement, version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


def policy(kind: Kind, *statements: Statement, version: str = "2012-10-17", name: str = "") -> Policy:
    return parse(document(*statements, version=version), kind).named(name)


def identity(*statements: Statement) -> tuple[Policy, ...]:
    return (policy("identity", *statements, name="identity"),)


def trust(principal: Any, **more: Any) -> Policy:
    written = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}
    return policy("trust", written, name="trust")


FULL_SCP = policy("scp", allow(), name="FullAWSAccess")
FULL_RCP = policy("rcp", allow(Principal="*"), name="RCPFullAWSAccess")


def ask(
    principal: Principal,
    action: str = "s3:GetObject",
    resource: str = f"{BUCKET}/photo.jpg",
    *,
    owner: str = HOME,
    keys: Mapping[str, Value] | None = None,
    known: Mapping[str, Value] | None = None,
    resource_policy: Policy | None = None,
    rcps: Sequence[Sequence[Policy]] = (),
    guarded: bool = False,
    allows: Sequence[Policy] = (),
    boundary: Policy | None = None,
    session: Sequence[Policy] | None = None,
    scps: Sequence[Sequence[Policy]] = (),
    granted: Grade = Grade.NONE,
) -> Decision:
    """The full evaluation's decision, once it is certain that the residual's is no other."""
    question = Question(
        principal,
        Attached(
            tuple(allows),
            boundary,
            None if session is None else tuple(session),
            tuple(tuple(level) for level in scps),
        ),
        action,
        resource,
        owner,
        resource_policy,
        tuple(tuple(level) for level in rcps),
        guarded,
        {**principal_keys(principal), **(known or {})},
        granted,
    )
    return agreed(question, dict(keys or {}))


def agreed(question: Question, keys: dict[str, Value]) -> Decision:
    full = decide(question, keys.get)
    plan = Plan(question)
    residual = plan.residual(question)
    quick = residual.decide(keys.get)
    # Statements are looked at one by one for a plan's first resource, and found by an index for all others.
    assert plan.residual(question).decide(keys.get) == quick, (
        "a plan's second residual differs from its first"
    )
    assert (quick.allowed, quick.explicit) == (full.allowed, full.explicit), (quick, full)
    if full.allowed:
        # Several policies may have granted it, and the quick answer names what it came upon first.
        applied = {each.statement for each in explain(question, keys.get) if each.applies}
        assert set(quick.statements) <= applied, (quick, full)
        assert (
            quick.policy_kind in {full.policy_kind, *(each.policy_kind for each in quick.statements)}
            or question.principal.is_root
            or (question.granted is not Grade.NONE and "grant" in (quick.policy_kind, full.policy_kind))
        )
    else:
        assert set(quick.statements) <= set(full.statements), (quick, full)
        assert quick.policy_kind == full.policy_kind
        assert bool(quick.statements) == bool(full.statements)
    if residual.constant is not None:
        assert residual.constant == quick, "a constant is what every request gets"
    return full


NO_IDENTITY = "because no identity-based policy allows the {} action"
NO_RESOURCE = "because no resource-based policy allows the {} action"
