"""Trusted access, delegated administrators and the delegation policy, by real clients."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from orgs_support import World, deny, document, refused

GUARD, AUDIT, STACKS = "guardduty.amazonaws.com", "access-analyzer.amazonaws.com", "stacksets.amazonaws.com"


def test_trusted_access(world: World) -> None:
    world.organize()
    client = world.of()
    for service in (STACKS, AUDIT, STACKS):
        client.enable_aws_service_access(ServicePrincipal=service)
    listed = client.list_aws_service_access_for_organization()["EnabledServicePrincipals"]
    assert [each["ServicePrincipal"] for each in listed] == [AUDIT, STACKS]
    client.disable_aws_service_access(ServicePrincipal=AUDIT)
    client.disable_aws_service_access(ServicePrincipal=AUDIT)
    listed = client.list_aws_service_access_for_organization()["EnabledServicePrincipals"]
    assert [each["ServicePrincipal"] for each in listed] == [STACKS]
    with refused("InvalidInputException", reason="UNRECOGNIZED_SERVICE_PRINCIPAL"):
        client.enable_aws_service_access(ServicePrincipal="example.com")


def test_trusted_access_comes_with_all_features(world: World) -> None:
    world.organize(FeatureSet="CONSOLIDATED_BILLING")
    for call in (world.of().enable_aws_service_access, world.of().disable_aws_service_access):
        with refused("ConstraintViolationException", reason="ORGANIZATION_NOT_IN_ALL_FEATURES_MODE"):
            call(ServicePrincipal=AUDIT)
    with refused("ConstraintViolationException", reason="ORGANIZATION_NOT_IN_ALL_FEATURES_MODE"):
        world.of().list_aws_service_access_for_organization()


def test_a_delegated_administrator_reads_the_organization(world: World) -> None:
    world.organize("first", "second")
    client, delegate, first = world.of(), world.of("first"), world.id("first")
    registration = {"AccountId": first, "ServicePrincipal": AUDIT}
    with refused("ConstraintViolationException", reason="SERVICE_ACCESS_NOT_ENABLED"):
        client.register_delegated_administrator(**registration)
    client.enable_aws_service_access(ServicePrincipal=AUDIT)
    client.register_delegated_administrator(**registration)
    with refused("AccountAlreadyRegisteredException"):
        client.register_delegated_administrator(**registration)
    assert len(delegate.list_accounts()["Accounts"]) == 3
    assert delegate.describe_account(AccountId=world.id("second"))["Account"]["Id"] == world.id("second")
    (listed,) = delegate.list_delegated_administrators()["DelegatedAdministrators"]
    assert (listed["Id"], listed["Name"], listed["Status"]) == (first, "the first", "ACTIVE")
    assert delegate.list_delegated_administrators(ServicePrincipal=STACKS)["DelegatedAdministrators"] == []
    (service,) = client.list_delegated_services_for_account(AccountId=first)["DelegatedServices"]
    assert service["ServicePrincipal"] == AUDIT
    with refused("AccountNotRegisteredException"):
        client.list_delegated_services_for_account(AccountId=world.id("second"))
    with refused("AccessDeniedException", "You don't have permissions to access this resource."):
        delegate.create_organizational_unit(ParentId=world.root, Name="x")
    with refused("AccessDeniedException"):
        delegate.create_policy(Type="TAG_POLICY", Name="x", Description="", Content='{"tags":{}}')
    with refused("AccessDeniedException"):
        world.of("second").list_accounts()
    with refused("AccessDeniedException"):
        world.of("first", user="nobody").list_accounts()
    with refused("ConstraintViolationException", reason="CANNOT_REMOVE_DELEGATED_ADMINISTRATOR_FROM_ORG"):
        client.remove_account_from_organization(AccountId=first)
    with refused("ConflictException"):
        client.close_account(AccountId=first)
    client.deregister_delegated_administrator(**registration)
    with refused("AccountNotRegisteredException"):
        client.deregister_delegated_administrator(**registration)
    with refused("AccessDeniedException"):
        delegate.list_accounts()


def test_who_may_be_a_delegated_administrator(world: World) -> None:
    world.organize("first", "second")
    client = world.of()
    for service in (AUDIT, GUARD):
        client.enable_aws_service_access(ServicePrincipal=service)
    with refused("ConstraintViolationException", reason="CANNOT_REGISTER_MASTER_AS_DELEGATED_ADMINISTRATOR"):
        client.register_delegated_administrator(AccountId=world.id("management"), ServicePrincipal=AUDIT)
    with refused("AccountNotFoundException"):
        client.register_delegated_administrator(AccountId=world.id("outsider"), ServicePrincipal=AUDIT)
    for account in ("first", "second"):
        client.register_delegated_administrator(AccountId=world.id(account), ServicePrincipal=AUDIT)
    client.register_delegated_administrator(AccountId=world.id("first"), ServicePrincipal=GUARD)
    with refused("ConstraintViolationException", reason="DELEGATED_ADMINISTRATOR_EXISTS_FOR_THIS_SERVICE"):
        client.register_delegated_administrator(AccountId=world.id("second"), ServicePrincipal=GUARD)
    client.disable_aws_service_access(ServicePrincipal=AUDIT)
    listed = client.list_delegated_administrators()["DelegatedAdministrators"]
    assert [each["Id"] for each in listed] == [world.id("first")]
    made = world.new_account()
    client.close_account(AccountId=made)
    client.enable_aws_service_access(ServicePrincipal=AUDIT)
    with refused(
        "ConstraintViolationException", reason="CANNOT_REGISTER_SUSPENDED_ACCOUNT_AS_DELEGATED_ADMINISTRATOR"
    ):
        client.register_delegated_administrator(AccountId=made, ServicePrincipal=AUDIT)


def _delegation(world: World, *actions: str, **more: Any) -> str:
    principal = {"AWS": f"arn:aws:iam::{world.id('first')}:root"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": list(actions), "Resource": "*", **more}
    return document(statement)


def test_the_delegation_policy_lets_a_member_manage_policies(world: World) -> None:
    world.organize("first", "second")
    client, delegate = world.of(), world.of("first")
    content = _delegation(
        world,
        *("organizations:CreatePolicy", "organizations:AttachPolicy", "organizations:DetachPolicy"),
        *("organizations:DescribePolicy", "organizations:DeletePolicy"),
        Condition={"StringLikeIfExists": {"organizations:PolicyType": "SERVICE_CONTROL_POLICY"}},
    )
    with refused("ResourcePolicyNotFoundException"):
        client.describe_resource_policy()
    put = client.put_resource_policy(Content=content)["ResourcePolicy"]
    assert put["ResourcePolicySummary"]["Arn"].endswith(f"/{put['ResourcePolicySummary']['Id']}")
    assert client.describe_resource_policy()["ResourcePolicy"] == put
    made = delegate.create_policy(
        Type="SERVICE_CONTROL_POLICY", Name="theirs", Description="", Content=document(deny("kms:*"))
    )["Policy"]["PolicySummary"]
    delegate.attach_policy(PolicyId=made["Id"], TargetId=world.id("second"))
    with refused("AccessDeniedException"):
        world.of("second", "kms").create_key()
    delegate.detach_policy(PolicyId=made["Id"], TargetId=world.id("second"))
    world.of("second", "kms").create_key()
    # Not more than the policy says, nor without one's own permission, nor anybody else.
    calls: tuple[Callable[[], object], ...] = (
        lambda: delegate.create_policy(Type="TAG_POLICY", Name="x", Description="", Content='{"tags":{}}'),
        lambda: delegate.list_accounts(),
        lambda: delegate.create_organizational_unit(ParentId=world.root, Name="x"),
        lambda: delegate.put_resource_policy(Content=content),
        lambda: world.of("second").describe_policy(PolicyId=made["Id"]),
        lambda: world.of("first", user="nobody").describe_policy(PolicyId=made["Id"]),
    )
    for call in calls:
        with refused("AccessDeniedException"):
            call()
    client.tag_resource(ResourceId=put["ResourcePolicySummary"]["Id"], Tags=[{"Key": "a", "Value": "b"}])
    again = client.put_resource_policy(Content=_delegation(world, "organizations:ListAccounts"))
    assert again["ResourcePolicy"]["ResourcePolicySummary"] == put["ResourcePolicySummary"]
    assert len(delegate.list_accounts()["Accounts"]) == 3
    with refused("AccessDeniedException"):
        delegate.describe_policy(PolicyId=made["Id"])
    client.delete_resource_policy()
    with refused("ResourcePolicyNotFoundException"):
        client.delete_resource_policy()
    with refused("AccessDeniedException", "You don't have permissions to access this resource."):
        delegate.list_accounts()


def test_what_a_delegation_policy_must_be(world: World) -> None:
    world.organize("first")
    client = world.of()
    with refused("InvalidInputException", reason="INVALID_RESOURCE_POLICY_JSON"):
        client.put_resource_policy(Content="{")
    for action in ("organizations:CreateAccount", "s3:GetObject", "*"):
        with refused("InvalidInputException", reason="UNSUPPORTED_ACTION_IN_RESOURCE_POLICY"):
            client.put_resource_policy(Content=_delegation(world, action))
    client.put_resource_policy(Content=_delegation(world, "organizations:Describe*"))
    other = json.loads(_delegation(world, "organizations:ListAccounts"))
    other["Statement"][0]["Principal"] = {"AWS": world.id("outsider")}
    with refused("InvalidInputException", reason="INVALID_PRINCIPAL"):
        client.put_resource_policy(Content=json.dumps(other))
