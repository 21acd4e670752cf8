"""Policies and what they are attached to, by a real client."""

from __future__ import annotations

import re
from typing import Any

import pytest
from orgs_support import World, allow, deny, document, refused

SCP, RCP = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"


def test_a_policy_is_made_changed_and_deleted(world: World) -> None:
    organization = world.organize()
    client = world.of()
    content = document(deny("s3:*"))
    made = client.create_policy(Type=SCP, Name="no s3", Description="none", Content=content)["Policy"]
    summary = made["PolicySummary"]
    assert re.fullmatch(r"p-[a-z0-9]{10}", summary["Id"])
    assert summary == {
        "Id": summary["Id"],
        "Arn": f"arn:aws:organizations::{world.id('management')}:policy/{organization['Id']}/service_control_policy/"
        + summary["Id"],
        "Name": "no s3",
        "Description": "none",
        "Type": SCP,
        "AwsManaged": False,
    }
    assert made["Content"] == content
    assert client.describe_policy(PolicyId=summary["Id"])["Policy"] == made
    changed = client.update_policy(PolicyId=summary["Id"], Name="other", Content=document(deny("ec2:*")))[
        "Policy"
    ]
    assert changed["PolicySummary"] == {**summary, "Name": "other"}
    assert client.describe_policy(PolicyId=summary["Id"])["Policy"] == changed
    listed = client.list_policies(Filter=SCP)["Policies"]
    assert sorted(each["Id"] for each in listed) == sorted(["p-FullAWSAccess", summary["Id"]])
    client.delete_policy(PolicyId=summary["Id"])
    for call in (
        client.describe_policy,
        client.delete_policy,
        client.update_policy,
        client.list_targets_for_policy,
    ):
        with refused("PolicyNotFoundException", "You specified a policy that doesn't exist."):
            call(PolicyId=summary["Id"])


def test_awss_own_policies_stay(world: World) -> None:
    world.organize()
    client = world.of()
    full = client.describe_policy(PolicyId="p-FullAWSAccess")["Policy"]["PolicySummary"]
    assert full["Arn"] == "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess"
    assert (full["Name"], full["AwsManaged"]) == ("FullAWSAccess", True)
    for call in (client.delete_policy, client.update_policy):
        with refused("InvalidInputException", reason="IMMUTABLE_POLICY"):
            call(PolicyId="p-FullAWSAccess")
    with refused("DuplicatePolicyException"):
        world.policy(deny("s3:*"), name="FullAWSAccess")


def test_names_are_of_one_policy_of_a_type(world: World) -> None:
    world.organize()
    world.of().enable_policy_type(RootId=world.root, PolicyType=RCP)
    first, second = world.policy(deny("s3:*"), name="a"), world.policy(deny("s3:*"), name="b")
    world.policy(deny("s3:*", Principal="*"), kind=RCP, name="a")
    with refused("DuplicatePolicyException", "A policy with the specified name and type already exists."):
        world.policy(deny("s3:*"), name="a")
    with refused("DuplicatePolicyException"):
        world.of().update_policy(PolicyId=second, Name="a")
    world.of().update_policy(PolicyId=first, Name="a")


def test_attachments(world: World) -> None:
    world.organize("first")
    client, root, first, unit = world.of(), world.root, world.id("first"), world.unit("work")
    policy = world.policy(deny("s3:*"))
    for target in (root, unit, first):
        client.attach_policy(PolicyId=policy, TargetId=target)
        with refused("DuplicatePolicyAttachmentException"):
            client.attach_policy(PolicyId=policy, TargetId=target)
        listed = client.list_policies_for_target(TargetId=target, Filter=SCP)["Policies"]
        assert {each["Id"] for each in listed} == {"p-FullAWSAccess", policy}
    targets = client.list_targets_for_policy(PolicyId=policy)["Targets"]
    assert {(each["TargetId"], each["Type"], each["Name"]) for each in targets} == {
        (root, "ROOT", "Root"),
        (unit, "ORGANIZATIONAL_UNIT", "work"),
        (first, "ACCOUNT", "the first"),
    }
    assert next(each["Arn"] for each in targets if each["TargetId"] == unit).endswith(f"/{unit}")
    with refused("PolicyInUseException"):
        client.delete_policy(PolicyId=policy)
    for target in (root, unit, first):
        client.detach_policy(PolicyId=policy, TargetId=target)
        with refused("PolicyNotAttachedException"):
            client.detach_policy(PolicyId=policy, TargetId=target)
    client.delete_policy(PolicyId=policy)


def test_what_cannot_be_attached_or_detached(world: World) -> None:
    world.organize()
    client, root = world.of(), world.root
    policy = world.policy(deny("s3:*"))
    absent = f"ou-{root[2:]}-00000000"
    for call in (client.attach_policy, client.detach_policy):
        with refused("TargetNotFoundException", "You specified a target that doesn't exist."):
            call(PolicyId=policy, TargetId=absent)
        with refused("PolicyNotFoundException"):
            call(PolicyId="p-0000000000", TargetId=root)
    with refused("ConstraintViolationException", reason="MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED"):
        client.detach_policy(PolicyId="p-FullAWSAccess", TargetId=root)
    for number in range(9):
        client.attach_policy(PolicyId=world.policy(deny("s3:*"), name=f"p{number}"), TargetId=root)
    with refused("ConstraintViolationException", reason="MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED"):
        client.attach_policy(PolicyId=policy, TargetId=root)
    with refused("PolicyTypeNotEnabledException"):
        client.attach_policy(PolicyId="p-RCPFullAWSAccess", TargetId=root)
    client.enable_policy_type(RootId=root, PolicyType=RCP)
    with refused("InvalidInputException", reason="NON_DETACHABLE_POLICY"):
        client.detach_policy(PolicyId="p-RCPFullAWSAccess", TargetId=root)
    for number in range(4):
        rcp = world.policy(deny("s3:*", Principal="*"), kind=RCP, name=f"p{number}")
        client.attach_policy(PolicyId=rcp, TargetId=root)
    rcp = world.policy(deny("s3:*", Principal="*"), kind=RCP, name="one more")
    with refused("ConstraintViolationException", reason="MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED"):
        client.attach_policy(PolicyId=rcp, TargetId=root)


def test_policy_types_are_enabled_and_disabled(world: World) -> None:
    world.organize("first")
    client, root, first = world.of(), world.root, world.id("first")
    tagging = client.create_policy(Type="TAG_POLICY", Name="t", Description="", Content='{"tags":{}}')[
        "Policy"
    ]
    with refused("PolicyTypeNotEnabledException"):
        client.attach_policy(PolicyId=tagging["PolicySummary"]["Id"], TargetId=first)
    with refused("PolicyTypeAlreadyEnabledException"):
        client.enable_policy_type(RootId=root, PolicyType=SCP)
    with refused("PolicyTypeNotEnabledException"):
        client.disable_policy_type(RootId=root, PolicyType="TAG_POLICY")
    with refused("RootNotFoundException"):
        client.enable_policy_type(RootId="r-0000" if root != "r-0000" else "r-0001", PolicyType="TAG_POLICY")
    enabled = client.enable_policy_type(RootId=root, PolicyType="TAG_POLICY")["Root"]
    assert {each["Type"] for each in enabled["PolicyTypes"]} == {SCP, "TAG_POLICY"}
    client.attach_policy(PolicyId=tagging["PolicySummary"]["Id"], TargetId=first)
    listed = client.list_policies_for_target(TargetId=first, Filter="TAG_POLICY")["Policies"]
    assert listed == [tagging["PolicySummary"]]
    disabled = client.disable_policy_type(RootId=root, PolicyType="TAG_POLICY")["Root"]
    assert disabled["PolicyTypes"] == [{"Type": SCP, "Status": "ENABLED"}]
    assert client.list_policies_for_target(TargetId=first, Filter="TAG_POLICY")["Policies"] == []
    client.disable_policy_type(RootId=root, PolicyType=SCP)
    assert client.list_policies_for_target(TargetId=first, Filter=SCP)["Policies"] == []
    assert client.list_policies_for_target(TargetId=world.unit("bare"), Filter=SCP)["Policies"] == []
    client.enable_policy_type(RootId=root, PolicyType=SCP)
    for target in (root, first):
        (own,) = client.list_policies_for_target(TargetId=target, Filter=SCP)["Policies"]
        assert own["Id"] == "p-FullAWSAccess"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("TAG_POLICY", '{"plans":{}}'),
        ("BACKUP_POLICY", '{"tags":{}}'),
        ("DECLARATIVE_POLICY_EC2", "[]"),
        ("CHATBOT_POLICY", '{"chatbot":{},"x":{}}'),
        ("S3_POLICY", "{}"),
        ("TAG_POLICY", '{"tags":{},"tags":{}}'),
    ],
)
def test_documents_of_management_policies(world: World, kind: str, content: str) -> None:
    world.organize()
    with refused("MalformedPolicyDocumentException"):
        world.of().create_policy(Type=kind, Name="x", Description="", Content=content)


def test_permissions_may_be_for_a_type_or_a_policy(world: World) -> None:
    world.organize()
    policy, other = world.policy(deny("s3:*"), name="a"), world.policy(deny("s3:*"), name="b")
    arn = world.of().describe_policy(PolicyId=policy)["Policy"]["PolicySummary"]["Arn"]
    condition = {"StringEquals": {"organizations:PolicyType": "TAG_POLICY"}}
    world.of(service="iam").put_user_policy(
        UserName="nobody",
        PolicyName="own",
        PolicyDocument=document(
            allow("organizations:DescribePolicy", Resource=arn),
            allow("organizations:CreatePolicy", "organizations:ListPolicies", Condition=condition),
            allow("organizations:AttachPolicy", Resource=arn),
        ),
    )
    client: Any = world.of(user="nobody")
    client.describe_policy(PolicyId=policy)
    for absent in (other, "p-0000000000", "p-FullAWSAccess"):
        with refused("AccessDeniedException"):
            client.describe_policy(PolicyId=absent)
    client.list_policies(Filter="TAG_POLICY")
    with refused("AccessDeniedException"):
        client.list_policies(Filter=SCP)
    client.create_policy(Type="TAG_POLICY", Name="t", Description="", Content='{"tags":{}}')
    with refused("AccessDeniedException"):
        client.create_policy(Type=SCP, Name="t", Description="", Content=document(deny("s3:*")))
    with refused(
        "AccessDeniedException",
    ):
        client.attach_policy(PolicyId=policy, TargetId=world.root)
