"""What a grant on a key is worth beside policies: AWS's "Grants in AWS KMS", "Troubleshooting key access"."""

from __future__ import annotations

from typing import Any

import pytest
from policy_support import (
    ALICE,
    BOB_AWAY,
    FULL_SCP,
    HOME,
    KEY,
    NO_IDENTITY,
    ROOT_AWAY,
    SERVICE,
    SESSION,
    SESSION_AWAY,
    allow,
    ask,
    deny,
    identity,
    policy,
)

from casemate.engine.policy import Decision, Grade, Principal

ENCRYPT = "kms:Encrypt"
DEFAULT = policy("key", allow("kms:*", Principal={"AWS": f"arn:aws:iam::{HOME}:root"}))
NOBODY = policy("boundary", deny("kms:*"))
OTHER = policy("boundary", allow("s3:*"), name="boundary")


def use(principal: Principal, granted: Grade = Grade.DIRECT, **more: Any) -> Decision:
    more.setdefault("resource_policy", DEFAULT)
    return ask(principal, ENCRYPT, KEY, guarded=True, granted=granted, **more)


@pytest.mark.parametrize("principal", [ALICE, SESSION, BOB_AWAY, SESSION_AWAY, SERVICE])
def test_a_grant_to_the_caller_is_enough(principal: Principal) -> None:
    decision = use(principal)
    assert decision.allowed
    assert decision.policy_kind == "grant"
    assert not use(principal, Grade.NONE).allowed


def test_a_grant_to_the_role_is_enough_for_its_sessions() -> None:
    for principal in (SESSION, SESSION_AWAY):
        assert use(principal, Grade.ENTITY).policy_kind == "grant"


@pytest.mark.parametrize("principal", [ALICE, BOB_AWAY, SESSION_AWAY])
def test_a_grant_to_an_account_is_the_accounts_to_pass_on(principal: Principal) -> None:
    refused = use(principal, Grade.ACCOUNT)
    assert not refused.allowed
    assert refused.reason(ENCRYPT) == NO_IDENTITY.format(ENCRYPT)
    assert use(principal, Grade.ACCOUNT, allows=identity(allow(ENCRYPT, KEY))).allowed


def test_a_grant_to_an_account_admits_its_root_user() -> None:
    assert use(ROOT_AWAY).allowed


def test_without_any_statement_of_the_key_policy() -> None:
    assert use(ALICE, resource_policy=policy("key", deny("kms:Sign", Principal="*"))).allowed
    assert use(ALICE, resource_policy=None).allowed


@pytest.mark.parametrize("granted", list(Grade))
def test_an_explicit_deny_wins_over_any_grant(granted: Grade) -> None:
    refuse = deny(ENCRYPT, Principal="*")
    assert use(ALICE, granted, resource_policy=policy("key", refuse)).explicit
    assert use(ALICE, granted, allows=identity(deny(ENCRYPT))).explicit
    assert use(ALICE, granted, boundary=NOBODY).explicit
    assert use(SESSION, granted, session=[policy("session", deny())]).explicit


@pytest.mark.parametrize("granted", [Grade.ACCOUNT, Grade.ENTITY, Grade.DIRECT])
def test_an_organisation_must_allow_all_the_same(granted: Grade) -> None:
    allows = identity(allow())
    assert use(ALICE, granted, allows=allows, scps=[[FULL_SCP]]).allowed
    refused = use(ALICE, granted, allows=allows, scps=[[policy("scp", allow("s3:*"))]])
    assert not refused.allowed
    assert refused.policy_kind == "service control policy"


def test_what_limits_a_roles_sessions_limits_what_its_role_is_granted() -> None:
    """As of an Allow for the role in a resource's policy; one for the session itself is not limited."""
    for limit in ({"boundary": OTHER}, {"session": [policy("session", allow("s3:*"))]}):
        assert not use(SESSION, Grade.ENTITY, **limit).allowed
        assert use(SESSION, Grade.DIRECT, **limit).allowed


def test_across_accounts_limits_hold_in_any_case() -> None:
    for granted in (Grade.ENTITY, Grade.DIRECT):
        refused = use(BOB_AWAY, granted, boundary=OTHER)
        assert not refused.allowed
        assert refused.policy_kind == "permissions boundary"
