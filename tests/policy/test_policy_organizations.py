"""Service and resource control policies: AWS's "SCP evaluation", "Resource control policies (RCPs)"."""

from __future__ import annotations

from dataclasses import replace

import pytest
from policy_support import (
    ALICE,
    ANONYMOUS,
    BOB_AWAY,
    BUCKET,
    FULL_RCP,
    FULL_SCP,
    HOME,
    LINKED,
    ROOT,
    SERVICE,
    SESSION,
    allow,
    ask,
    deny,
    identity,
    policy,
)

from casemate.engine.policy import Principal

ACTION = "s3:GetObject"
ONLY_EC2 = policy("scp", allow("ec2:*"), name="only-ec2")
NO_S3 = policy("scp", deny("s3:*"), name="no-s3")
OPEN_BUCKET = policy("resource", allow("s3:*", f"{BUCKET}/*", Principal="*"))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_every_level_must_allow(level: int) -> None:
    scps = [[FULL_SCP], [FULL_SCP], [FULL_SCP]]
    allows = identity(allow("s3:*"))
    assert ask(ALICE, allows=allows, scps=scps).allowed
    scps[level] = [ONLY_EC2]
    refused = ask(ALICE, allows=allows, scps=scps)
    assert refused.reason(ACTION) == "because no service control policy allows the s3:GetObject action"


def test_a_level_without_policies_allows_nothing() -> None:
    assert not ask(ALICE, allows=identity(allow()), scps=[[FULL_SCP], []]).allowed


def test_within_a_level_one_allow_is_enough() -> None:
    assert ask(ALICE, allows=identity(allow()), scps=[[ONLY_EC2, FULL_SCP]]).allowed


def test_a_deny_on_any_level_is_final() -> None:
    decision = ask(ALICE, allows=identity(allow()), scps=[[FULL_SCP, NO_S3], [FULL_SCP]])
    assert decision.reason(ACTION) == "with an explicit deny in a service control policy"
    assert [each.policy for each in decision.statements] == ["no-s3"]


def test_an_scp_grants_nothing() -> None:
    assert ask(ALICE, scps=[[FULL_SCP]]).policy_kind == "identity-based policy"


def test_scps_bind_the_root_user_of_a_member_account() -> None:
    assert ask(ROOT, scps=[[FULL_SCP]]).allowed
    assert not ask(ROOT, scps=[[ONLY_EC2]]).allowed
    assert ask(ROOT, scps=[[FULL_SCP, NO_S3]]).explicit


def test_scps_bind_those_whom_a_resource_policy_names() -> None:
    assert not ask(ALICE, resource_policy=OPEN_BUCKET, scps=[[ONLY_EC2]]).allowed


@pytest.mark.parametrize("principal", [SERVICE, ANONYMOUS], ids=["service", "anonymous"])
def test_scps_do_not_bind_services_and_outsiders(principal: Principal) -> None:
    assert ask(principal, resource_policy=OPEN_BUCKET, scps=[[ONLY_EC2]]).allowed


def test_scps_and_rcps_do_not_bind_service_linked_roles() -> None:
    no_s3 = policy("rcp", deny("s3:*", Principal="*"))
    allows = identity(allow("s3:*"))
    assert ask(LINKED, allows=allows, scps=[[NO_S3]], rcps=[[FULL_RCP, no_s3]]).allowed
    assert not ask(SESSION, allows=allows, rcps=[[FULL_RCP, no_s3]]).allowed


def test_an_scps_condition() -> None:
    by_region = policy(
        "scp",
        allow(),
        deny("s3:*", Condition={"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}}),
    )
    allows = identity(allow("s3:*"))
    assert ask(ALICE, allows=allows, scps=[[by_region]], keys={"aws:requestedregion": "eu-west-1"}).allowed
    assert ask(ALICE, allows=allows, scps=[[by_region]], keys={"aws:requestedregion": "us-east-1"}).explicit
    assert ask(ALICE, allows=allows, scps=[[by_region]]).explicit, "a negated test passes without the key"


def test_an_rcp_binds_outsiders() -> None:
    perimeter = policy(
        "rcp",
        deny(
            "s3:*",
            Principal="*",
            Condition={
                "StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-home"},
                "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
            },
        ),
    )
    rcps = [[FULL_RCP, perimeter]]
    allows = identity(allow("s3:*"))
    inside = {"aws:principalorgid": "o-home"}
    assert ask(ALICE, allows=allows, rcps=rcps, keys=inside).allowed
    outside = ask(
        BOB_AWAY, allows=allows, resource_policy=OPEN_BUCKET, rcps=rcps, keys={"aws:principalorgid": "o-x"}
    )
    assert outside.reason(ACTION) == "with an explicit deny in a resource control policy"
    assert ask(ANONYMOUS, resource_policy=OPEN_BUCKET, rcps=rcps).explicit
    assert ask(SERVICE, resource_policy=OPEN_BUCKET, rcps=rcps).allowed


def test_an_rcp_level_without_full_access_allows_nothing() -> None:
    decision = ask(ALICE, allows=identity(allow()), rcps=[[FULL_RCP], []])
    assert decision.reason(ACTION) == "because no resource control policy allows the s3:GetObject action"


def test_rcps_are_reported_before_scps() -> None:
    no_s3 = policy("rcp", deny("s3:*", Principal="*"))
    decision = ask(ALICE, scps=[[NO_S3]], rcps=[[FULL_RCP, no_s3]])
    assert decision.policy_kind == "resource control policy"


def test_a_path_that_looks_like_a_services_does_not_lift_scps_and_rcps() -> None:
    arn = f"arn:aws:iam::{HOME}:role/x:role/aws-service-role/Reader"
    disguised = replace(SESSION, role_arn=arn)
    allows = identity(allow())
    assert ask(disguised, allows=allows).allowed
    assert ask(disguised, allows=allows, scps=[[FULL_SCP, NO_S3]]).explicit
    no_s3 = policy("rcp", deny("s3:*", Principal="*"))
    assert ask(disguised, allows=allows, rcps=[[FULL_RCP, no_s3]]).explicit
