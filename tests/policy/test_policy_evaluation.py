"""Evaluation within an account and across accounts, case by case after AWS's "Policy evaluation logic",
"Cross-account policy evaluation logic", "Permissions boundaries for IAM entities", "Session policies"."""

from __future__ import annotations

from typing import Any

import pytest
from policy_support import (
    ALICE,
    ANONYMOUS,
    AWAY,
    BOB_AWAY,
    BUCKET,
    FEDERATED,
    HOME,
    NO_IDENTITY,
    NO_RESOURCE,
    ROOT,
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

from casemate.engine.policy import Policy, Principal

ACTION = "s3:GetObject"
ELSEWHERE = policy("boundary", allow("ec2:*"))
EVERYTHING = policy("boundary", allow("s3:*"))
NOTHING_IN_SESSION = (policy("session", allow("ec2:*"), name="session"),)
S3_IN_SESSION = (policy("session", allow("s3:Get*"), name="session"),)


def bucket(principal: Any, effect: str = "Allow", element: str = "Principal", **more: Any) -> Policy:
    written = {"Effect": effect, element: principal, "Action": "s3:*", "Resource": f"{BUCKET}/*", **more}
    return policy("resource", written, name="bucket")


# "By default, all requests are implicitly denied with the exception of the AWS account root user".


def test_nothing_is_allowed_without_a_policy() -> None:
    decision = ask(ALICE)
    assert not decision.allowed
    assert decision.reason(ACTION) == NO_IDENTITY.format(ACTION)


def test_the_root_user_needs_no_policy() -> None:
    assert ask(ROOT).allowed


def test_an_identity_policy_allows() -> None:
    decision = ask(ALICE, allows=identity(allow("s3:Get*", f"{BUCKET}/*", Sid="Read")))
    assert decision.allowed
    (matched,) = decision.statements
    assert (matched.policy, matched.sid, matched.index, matched.effect) == ("identity", "Read", 0, "Allow")
    assert decision.reason(ACTION) == ""


@pytest.mark.parametrize(
    "statement",
    [
        allow("s3:PutObject"),
        allow(resource=f"{BUCKET}2/*"),
        allow("ec2:*"),
        allow(resource=f"{BUCKET}/Photo*"),
    ],
    ids=["other action", "other bucket", "other service", "other case"],
)
def test_a_statement_about_something_else_does_not_allow(statement: dict[str, Any]) -> None:
    assert not ask(ALICE, allows=identity(statement)).allowed


def test_actions_ignore_case() -> None:
    assert ask(ALICE, "S3:GETOBJECT", allows=identity(allow("s3:getObject"))).allowed


def test_an_explicit_deny_overrides_any_allow() -> None:
    decision = ask(ALICE, allows=identity(allow(), deny("s3:GetObject")), resource_policy=bucket("*"))
    assert not decision.allowed
    assert decision.explicit
    assert decision.reason(ACTION) == "with an explicit deny in an identity-based policy"


def test_an_explicit_deny_binds_the_user_whom_the_resource_policy_names() -> None:
    named = bucket({"AWS": ALICE.arn})
    assert ask(ALICE, resource_policy=named).allowed
    assert not ask(ALICE, resource_policy=named, allows=identity(deny())).allowed


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"boundary": policy("boundary", allow(), deny("s3:*"))}, "a permissions boundary"),
        ({"session": (policy("session", allow(), deny("s3:*")),)}, "a session policy"),
        ({"scps": [[policy("scp", allow(), deny("s3:*"))]]}, "a service control policy"),
        (
            {"rcps": [[policy("rcp", allow(Principal="*"), deny("s3:*", Principal="*"))]]},
            "a resource control policy",
        ),
        ({"resource_policy": bucket("*", "Deny")}, "a resource-based policy"),
    ],
)
def test_an_explicit_deny_counts_in_every_kind_of_policy(more: dict[str, Any], text: str) -> None:
    decision = ask(SESSION, allows=identity(allow()), **more)
    assert decision.explicit
    assert decision.reason(ACTION) == f"with an explicit deny in {text}"


def test_not_action_with_deny_denies_the_rest() -> None:
    only_read = {"Effect": "Deny", "NotAction": ["s3:Get*", "s3:List*"], "Resource": "*"}
    allows = identity(allow("s3:*"), only_read)
    assert ask(ALICE, "s3:GetObject", allows=allows).allowed
    assert ask(ALICE, "s3:PutObject", allows=allows).explicit


def test_not_action_with_allow_allows_the_rest() -> None:
    allows = identity({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})
    assert ask(ALICE, "s3:GetObject", allows=allows).allowed
    assert not ask(ALICE, "iam:CreateUser", "*", allows=allows).allowed


def test_not_resource() -> None:
    allows = identity(allow(), {"Effect": "Deny", "Action": "s3:*", "NotResource": f"{BUCKET}/*"})
    assert ask(ALICE, allows=allows).allowed
    assert ask(ALICE, resource="arn:aws:s3:::payroll/x", allows=allows).explicit


def test_an_action_without_a_resource_needs_a_star() -> None:
    assert ask(ALICE, "s3:ListAllMyBuckets", "*", allows=identity(allow("s3:*"))).allowed
    assert not ask(ALICE, "s3:ListAllMyBuckets", "*", allows=identity(allow("s3:*", f"{BUCKET}*"))).allowed


# "Evaluating identity-based policies with resource-based policies": either one allows within the account.


@pytest.mark.parametrize("named", [ALICE.arn, ALICE.id])
def test_a_resource_policy_that_names_the_user_is_enough(named: str) -> None:
    decision = ask(ALICE, resource_policy=bucket({"AWS": named}))
    assert decision.allowed
    assert decision.policy_kind == "resource-based policy"


@pytest.mark.parametrize("named", [HOME, f"arn:aws:iam::{HOME}:root"])
def test_a_resource_policy_that_names_the_own_account_only_delegates(named: str) -> None:
    delegating = bucket({"AWS": named})
    assert ask(ALICE, resource_policy=delegating).reason(ACTION) == NO_IDENTITY.format(ACTION)
    assert ask(ALICE, resource_policy=delegating, allows=identity(allow("s3:*"))).allowed


def test_everybody_includes_users_and_the_anonymous() -> None:
    for anybody in ("*", {"AWS": "*"}):
        assert ask(ALICE, resource_policy=bucket(anybody)).allowed
        assert ask(ANONYMOUS, resource_policy=bucket(anybody)).allowed


def test_the_anonymous_have_the_resource_policy_only() -> None:
    assert ask(ANONYMOUS).reason(ACTION) == NO_RESOURCE.format(ACTION)
    assert not ask(ANONYMOUS, allows=identity(allow())).allowed
    assert not ask(ANONYMOUS, resource_policy=bucket({"AWS": HOME})).allowed


# The table "Resource-based policies and implicit denies in other policy types (same account)".

ROLE_ARN = "arn:aws:iam::111122223333:role/team/Reader"


@pytest.mark.parametrize(
    ("principal", "named", "allowed"),
    [
        (SESSION, ROLE_ARN, False),
        (SESSION, SESSION.arn, True),
        (ALICE, ALICE.arn, True),
        (FEDERATED, ALICE.arn, False),
        (FEDERATED, FEDERATED.arn, True),
        (ROOT, f"arn:aws:iam::{HOME}:root", True),
    ],
    ids=["role", "role session", "user", "federated, by user", "federated session", "root"],
)
def test_what_implicit_denies_do_to_a_resource_policys_allow(
    principal: Principal, named: str, allowed: bool
) -> None:
    decision = ask(
        principal,
        resource_policy=bucket({"AWS": named}),
        boundary=ELSEWHERE,
        session=NOTHING_IN_SESSION if principal.kind in ("role", "federated-user") else None,
    )
    assert decision.allowed is allowed


def test_a_grant_to_the_role_needs_no_identity_policy() -> None:
    granted = bucket({"AWS": ROLE_ARN})
    assert ask(SESSION, resource_policy=granted).allowed
    assert ask(SESSION, resource_policy=granted, boundary=EVERYTHING, session=S3_IN_SESSION).allowed


def test_a_grant_to_the_role_is_limited_by_boundary_and_session() -> None:
    granted = bucket({"AWS": ROLE_ARN})
    assert (
        ask(SESSION, resource_policy=granted, boundary=ELSEWHERE).reason(ACTION)
        == "because no permissions boundary allows the s3:GetObject action"
    )
    assert (
        ask(SESSION, resource_policy=granted, boundary=EVERYTHING, session=NOTHING_IN_SESSION).reason(ACTION)
        == "because no session policy allows the s3:GetObject action"
    )


def test_a_role_can_be_named_by_its_unique_id() -> None:
    assert ask(SESSION, resource_policy=bucket({"AWS": "AROAREADERREADER1234"})).allowed
    assert not ask(SESSION, resource_policy=bucket({"AWS": "AROAREADERREADER9999"})).allowed


def test_everybody_by_condition_is_not_limited_by_boundary_or_session() -> None:
    by_arn = bucket("*", Condition={"ArnEquals": {"aws:PrincipalArn": ROLE_ARN}})
    assert ask(SESSION, resource_policy=by_arn, boundary=ELSEWHERE, session=NOTHING_IN_SESSION).allowed
    assert not ask(ALICE, resource_policy=by_arn).allowed


# "Permissions boundaries for IAM entities", "Session policies".


def test_identity_policy_and_boundary_must_both_allow() -> None:
    assert ask(ALICE, allows=identity(allow("s3:*")), boundary=EVERYTHING).allowed
    refused = ask(ALICE, allows=identity(allow("s3:*")), boundary=ELSEWHERE)
    assert refused.reason(ACTION) == "because no permissions boundary allows the s3:GetObject action"
    granted_by_nobody = ask(ALICE, boundary=EVERYTHING)
    assert granted_by_nobody.reason(ACTION) == NO_IDENTITY.format(ACTION)


def test_a_boundary_does_not_bind_the_root_user() -> None:
    assert ask(ROOT, boundary=ELSEWHERE).allowed


def test_a_session_policy_narrows_the_role() -> None:
    allows = identity(allow("s3:*"))
    assert ask(SESSION, allows=allows, session=S3_IN_SESSION).allowed
    assert not ask(SESSION, "s3:PutObject", allows=allows, session=S3_IN_SESSION).allowed
    assert not ask(SESSION, session=S3_IN_SESSION).allowed, "a session policy grants nothing"


def test_an_empty_session_policy_allows_nothing_but_what_names_the_session() -> None:
    allows = identity(allow("s3:*"))
    assert ask(FEDERATED, allows=allows, session=None).allowed
    assert not ask(FEDERATED, allows=allows, session=()).allowed
    assert ask(FEDERATED, session=(), resource_policy=bucket({"AWS": FEDERATED.arn})).allowed


def test_a_federated_root_session_is_bound_by_its_session_policy_alone() -> None:
    federated_root = Principal(
        "federated-user", f"arn:aws:sts::{HOME}:federated-user/x", HOME, issuer=f"arn:aws:iam::{HOME}:root"
    )
    assert ask(federated_root, session=S3_IN_SESSION, boundary=ELSEWHERE).allowed
    assert not ask(federated_root, session=NOTHING_IN_SESSION).allowed


# "Cross-account policy evaluation logic": both accounts must allow.


@pytest.mark.parametrize(
    ("named", "with_identity", "kind"),
    [
        (None, True, "resource-based policy"),
        (None, False, "resource-based policy"),
        (BOB_AWAY.arn, False, "identity-based policy"),
        (AWAY, False, "identity-based policy"),
        ("*", False, "identity-based policy"),
        (BOB_AWAY.arn, True, ""),
        (AWAY, True, ""),
        ("*", True, ""),
        (HOME, True, "resource-based policy"),
    ],
)
def test_across_accounts_both_sides_must_allow(named: str | None, with_identity: bool, kind: str) -> None:
    decision = ask(
        BOB_AWAY,
        allows=identity(allow("s3:*")) if with_identity else (),
        resource_policy=None if named is None else bucket({"AWS": named}),
    )
    assert decision.allowed is (kind == "")
    assert kind in ("", decision.policy_kind)


def test_across_accounts_a_grant_to_the_session_does_not_bypass_its_limits() -> None:
    granted = bucket({"AWS": SESSION_AWAY.arn})
    allows = identity(allow("s3:*"))
    assert ask(SESSION_AWAY, resource_policy=granted, allows=allows).allowed
    assert not ask(SESSION_AWAY, resource_policy=granted).allowed
    assert not ask(SESSION_AWAY, resource_policy=granted, allows=allows, boundary=ELSEWHERE).allowed
    assert not ask(SESSION_AWAY, resource_policy=granted, allows=allows, session=NOTHING_IN_SESSION).allowed


def test_another_accounts_root_user_needs_the_resource_policy() -> None:
    assert not ask(ROOT_AWAY).allowed
    assert ask(ROOT_AWAY, resource_policy=bucket({"AWS": AWAY})).allowed


# Services: "AWS service principals", "The confused deputy problem".


def test_a_service_has_the_resource_policy_only() -> None:
    assert ask(SERVICE, resource_policy=bucket({"Service": "sns.amazonaws.com"})).allowed
    assert ask(SERVICE, resource_policy=bucket({"Service": "sns.us-east-1.amazonaws.com"})).allowed
    assert not ask(SERVICE, resource_policy=bucket({"Service": "sqs.amazonaws.com"})).allowed
    assert not ask(SERVICE, allows=identity(allow())).allowed


def test_a_service_for_a_certain_source() -> None:
    topic = f"arn:aws:sns:us-east-1:{HOME}:alarms"
    only = bucket(
        {"Service": "sns.amazonaws.com"},
        Condition={"ArnLike": {"aws:SourceArn": topic}, "StringEquals": {"aws:SourceAccount": HOME}},
    )
    keys = {"aws:sourcearn": topic, "aws:sourceaccount": HOME}
    assert ask(SERVICE, resource_policy=only, keys=keys).allowed
    assert not ask(SERVICE, resource_policy=only, keys={**keys, "aws:sourceaccount": AWAY}).allowed
    assert not ask(SERVICE, resource_policy=only).allowed, "a direct call has no source"


def test_a_deny_for_everybody_means_services_too() -> None:
    both = policy(
        "resource",
        {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "s3:*", "Resource": "*"},
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": "*",
            "Condition": {"BoolIfExists": {"aws:PrincipalIsAWSService": "false"}},
        },
    )
    assert ask(SERVICE, resource_policy=both).allowed
    assert ask(ALICE, resource_policy=both).explicit


# "AWS JSON policy elements: NotPrincipal".


def test_not_principal_with_deny_needs_the_account_too() -> None:
    allows = identity(allow())
    assert ask(
        ALICE, allows=allows, resource_policy=bucket({"AWS": ALICE.arn}, "Deny", "NotPrincipal")
    ).explicit
    both = {"AWS": [ALICE.arn, f"arn:aws:iam::{HOME}:root"]}
    assert ask(ALICE, allows=allows, resource_policy=bucket(both, "Deny", "NotPrincipal")).allowed


@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_not_principal_with_deny_needs_session_role_and_account(left_out: int) -> None:
    names = [SESSION.arn, ROLE_ARN, f"arn:aws:iam::{HOME}:root"]
    allows = identity(allow())
    whole = bucket({"AWS": names}, "Deny", "NotPrincipal")
    assert ask(SESSION, allows=allows, resource_policy=whole).allowed
    del names[left_out]
    part = bucket({"AWS": names}, "Deny", "NotPrincipal")
    assert ask(SESSION, allows=allows, resource_policy=part).explicit


def test_not_principal_with_deny_means_the_anonymous_and_services() -> None:
    both = policy(
        "resource",
        {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Deny", "NotPrincipal": {"AWS": HOME}, "Action": "s3:*", "Resource": "*"},
    )
    assert ask(ANONYMOUS, resource_policy=both).explicit
    assert ask(SERVICE, resource_policy=both).explicit
    assert ask(ROOT, resource_policy=both).allowed


def test_not_principal_with_allow_leaves_out_the_named() -> None:
    but_alice = bucket({"AWS": ALICE.arn}, "Allow", "NotPrincipal")
    assert not ask(ALICE, resource_policy=but_alice).allowed
    assert ask(SESSION, resource_policy=but_alice).allowed
    assert ask(ANONYMOUS, resource_policy=but_alice).allowed
    assert not ask(ANONYMOUS, resource_policy=bucket("*", "Allow", "NotPrincipal")).allowed


def test_a_deny_for_an_account_means_everybody_in_it() -> None:
    allows = identity(allow())
    for named in (HOME, f"arn:aws:iam::{HOME}:root"):
        refused = bucket({"AWS": named}, "Deny")
        assert ask(ALICE, allows=allows, resource_policy=refused).explicit
        assert ask(SESSION, allows=allows, resource_policy=refused).explicit
        assert ask(ROOT, resource_policy=refused).explicit


def test_a_canonical_user_is_the_account() -> None:
    canonical = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"
    named = bucket({"CanonicalUser": canonical})
    bob = Principal("user", BOB_AWAY.arn, AWAY, canonical=canonical)
    assert ask(bob, resource_policy=named, allows=identity(allow())).allowed
    assert not ask(bob, resource_policy=named).allowed
    assert not ask(BOB_AWAY, resource_policy=named, allows=identity(allow())).allowed


def test_a_statement_without_principal_in_a_resources_place_reaches_nobody() -> None:
    assert not ask(ALICE, resource_policy=policy("identity", allow())).allowed
