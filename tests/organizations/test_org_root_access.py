"""Centralised root access: an organisation's management account acts as its members' root users, a task at a time."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from orgs_support import World, deny, refused
from server_support import casemate

IAM = "iam.amazonaws.com"
TASK = "arn:aws:iam::aws:policy/root-task/"


def ready(world: World, *, credentials: bool = True, sessions: bool = True) -> None:
    """An organisation with the first account, which may be acted in as root."""
    world.organize("first")
    world.of().enable_aws_service_access(ServicePrincipal=IAM)
    if credentials:
        world.of(service="iam").enable_organizations_root_credentials_management()
    if sessions:
        world.of(service="iam").enable_organizations_root_sessions()


def assume(world: World, task: str, target: str = "first", by: str = "management", **more: Any) -> Any:
    return world.of(by, "sts").assume_root(
        TargetPrincipal=world.id(target), TaskPolicyArn={"arn": TASK + task}, **more
    )


def client(world: World, service: str, credentials: Any) -> Any:
    session: Any = boto3.session.Session(
        credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"], "us-east-1"
    )
    return session.client(service, endpoint_url=world.server.endpoint)


def test_features_are_switched_for_the_organisation(world: World) -> None:
    iam = world.of(service="iam")
    with refused("OrganizationNotFoundException", status=400):
        iam.list_organizations_features()
    organization = world.organize("first")["Id"]
    with refused("ServiceAccessNotEnabledException", status=400):
        iam.enable_organizations_root_sessions()
    world.of().enable_aws_service_access(ServicePrincipal=IAM)
    assert iam.list_organizations_features()["EnabledFeatures"] == []
    both = ["RootCredentialsManagement", "RootSessions"]
    iam.enable_organizations_root_sessions()
    assert iam.enable_organizations_root_credentials_management()["EnabledFeatures"] == both
    listed = iam.list_organizations_features()
    assert (listed["OrganizationId"], listed["EnabledFeatures"]) == (organization, both)
    assert iam.disable_organizations_root_sessions()["EnabledFeatures"] == both[:1]
    assert iam.disable_organizations_root_credentials_management()["EnabledFeatures"] == []
    with refused("AccountNotManagementOrDelegatedAdministratorException", status=400):
        world.of("first", "iam").list_organizations_features()


def test_a_members_root_credentials_are_looked_at_and_deleted(world: World) -> None:
    ready(world)
    audit = client(world, "iam", assume(world, "IAMAuditRootUserCredentials")["Credentials"])
    (key,) = audit.list_access_keys()["AccessKeyMetadata"]
    assert audit.get_account_summary()["SummaryMap"]["AccountAccessKeysPresent"] == 1
    with refused("AccessDenied", status=403):
        audit.delete_access_key(AccessKeyId=key["AccessKeyId"])
    with refused("AccessDenied", status=403):
        audit.list_users()
    deleting = client(world, "iam", assume(world, "IAMDeleteRootUserCredentials")["Credentials"])
    deleting.delete_access_key(AccessKeyId=key["AccessKeyId"])
    assert audit.list_access_keys()["AccessKeyMetadata"] == []
    with refused("InvalidClientTokenId", status=403):
        world.of("first", "sts", "root").get_caller_identity()


def test_a_roots_password_may_be_recovered_and_is_known_to_nobody(world: World) -> None:
    ready(world)
    creating = client(world, "iam", assume(world, "IAMCreateRootUserPassword")["Credentials"])
    with refused("NoSuchEntity", status=404):
        creating.get_login_profile()
    assert creating.create_login_profile()["LoginProfile"]["UserName"] == "root"
    assert creating.get_login_profile()["LoginProfile"]["UserName"] == "root"
    client(world, "iam", assume(world, "IAMDeleteRootUserCredentials")["Credentials"]).delete_login_profile()
    with refused("NoSuchEntity", status=404):
        creating.get_login_profile()


def test_who_the_session_is(world: World) -> None:
    ready(world)
    made = assume(world, "S3UnlockBucketPolicy", DurationSeconds=60)
    me = client(world, "sts", made["Credentials"]).get_caller_identity()
    assert me["Arn"] == f"arn:aws:iam::{world.id('first')}:root"
    with refused("AccessDeniedException"):
        client(world, "kms", made["Credentials"]).list_keys()
    listed = casemate("audit", "tail", "--data", str(world.server.data), "-n", "all", "--json").stdout
    assert made["Credentials"]["SecretAccessKey"] not in listed
    records = [json.loads(line) for line in listed.splitlines()]
    (refusal,) = (
        each
        for each in records
        if each["eventName"] == "ListKeys" and each["recipientAccountId"] == world.id("first")
    )
    assert refusal["userIdentity"]["type"] == "Root"
    assert refusal["userIdentity"]["sessionContext"]["assumedRoot"] == "true"


def test_a_delegated_administrator_may_too(world: World) -> None:
    ready(world)
    world.join("second")
    with refused("AccessDenied", status=403):
        assume(world, "IAMAuditRootUserCredentials", by="second")
    world.of().register_delegated_administrator(AccountId=world.id("second"), ServicePrincipal=IAM)
    assert assume(world, "IAMAuditRootUserCredentials", by="second")["Credentials"]


def test_members_only_and_by_their_administrators_only(world: World) -> None:
    ready(world)
    for target, by in (("management", "management"), ("outsider", "management"), ("management", "first")):
        with refused("AccessDenied", status=403):
            assume(world, "IAMAuditRootUserCredentials", target, by)
    with refused("AccessDenied", status=403):
        world.of(service="sts", user="nobody").assume_root(
            TargetPrincipal=world.id("first"), TaskPolicyArn={"arn": TASK + "IAMAuditRootUserCredentials"}
        )
    with refused("AccessDenied", status=403):
        world.of(service="sts", user="root").assume_root(
            TargetPrincipal=world.id("first"), TaskPolicyArn={"arn": TASK + "IAMAuditRootUserCredentials"}
        )


def test_a_task_needs_its_feature(world: World) -> None:
    ready(world, credentials=False)
    with refused("AccessDenied", "RootCredentialsManagement is not enabled in the organization.", status=403):
        assume(world, "IAMAuditRootUserCredentials")
    assert assume(world, "SQSUnlockQueuePolicy")["Credentials"]
    world.of(service="iam").disable_organizations_root_sessions()
    with refused("AccessDenied", "RootSessions is not enabled in the organization.", status=403):
        assume(world, "SQSUnlockQueuePolicy")


def test_what_is_no_task(world: World) -> None:
    ready(world)
    sts = world.of(service="sts")
    with refused("ValidationError"):
        sts.assume_root(
            TargetPrincipal=world.id("first"),
            TaskPolicyArn={"arn": "arn:aws:iam::aws:policy/AdministratorAccess"},
        )
    with refused("ValidationError"):
        sts.assume_root(
            TargetPrincipal="arn:aws:iam::111122223333:user/bob",
            TaskPolicyArn={"arn": TASK + "S3UnlockBucketPolicy"},
        )
    with refused("ValidationError"):
        assume(world, "S3UnlockBucketPolicy", DurationSeconds=901)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_policy_may_name_the_task(world: World, allowed: bool) -> None:
    ready(world)
    task = TASK + ("IAMAuditRootUserCredentials" if allowed else "IAMDeleteRootUserCredentials")
    world.of(service="iam").put_user_policy(
        UserName="nobody",
        PolicyName="root",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "sts:AssumeRoot",
                        "Resource": f"arn:aws:iam::{world.id('first')}:root",
                        "Condition": {"StringEquals": {"sts:TaskPolicyArn": task}},
                    }
                ],
            }
        ),
    )
    asked = {
        "TargetPrincipal": world.id("first"),
        "TaskPolicyArn": {"arn": TASK + "IAMAuditRootUserCredentials"},
    }
    if allowed:
        assert world.of(service="sts", user="nobody").assume_root(**asked)["Credentials"]
    else:
        with refused("AccessDenied", status=403):
            world.of(service="sts", user="nobody").assume_root(**asked)


def test_control_policies_bind_the_session(world: World) -> None:
    ready(world)
    policy = world.policy(deny("iam:ListAccessKeys"))
    world.of().attach_policy(PolicyId=policy, TargetId=world.id("first"))
    audit = client(world, "iam", assume(world, "IAMAuditRootUserCredentials")["Credentials"])
    assert audit.get_account_summary()["SummaryMap"]
    with refused("AccessDenied", status=403):
        audit.list_access_keys()
