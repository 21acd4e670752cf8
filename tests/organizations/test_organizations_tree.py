"""Organisations, units and accounts by a real client."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from orgs_support import World, refused


def test_an_organization_is_made_described_and_deleted(world: World) -> None:
    client, management = world.of(), world.id("management")
    made = client.create_organization()["Organization"]
    assert re.fullmatch(r"o-[a-z0-9]{10}", made["Id"])
    assert made["Arn"] == f"arn:aws:organizations::{management}:organization/{made['Id']}"
    assert made["FeatureSet"] == "ALL"
    assert made["MasterAccountId"] == management
    assert (
        made["MasterAccountArn"] == f"arn:aws:organizations::{management}:account/{made['Id']}/{management}"
    )
    assert made["AvailablePolicyTypes"] == [{"Type": "SERVICE_CONTROL_POLICY", "Status": "ENABLED"}]
    assert client.describe_organization()["Organization"] == made
    (root,) = client.list_roots()["Roots"]
    assert re.fullmatch(r"r-[a-z0-9]{4}", root["Id"])
    assert root["Arn"] == f"arn:aws:organizations::{management}:root/{made['Id']}/{root['Id']}"
    assert root["Name"] == "Root"
    assert root["PolicyTypes"] == [{"Type": "SERVICE_CONTROL_POLICY", "Status": "ENABLED"}]
    (account,) = client.list_accounts()["Accounts"]
    assert account["Id"] == management
    assert (account["Status"], account["State"], account["JoinedMethod"]) == ("ACTIVE", "ACTIVE", "INVITED")
    assert account["Paths"] == [f"{made['Id']}/{root['Id']}/{management}/"]
    with refused("AlreadyInOrganizationException"):
        client.create_organization()
    client.delete_organization()
    with refused("AWSOrganizationsNotInUseException", "Your account is not a member of an organization."):
        client.describe_organization()
    again = client.create_organization(FeatureSet="CONSOLIDATED_BILLING")["Organization"]
    assert (again["FeatureSet"], again["AvailablePolicyTypes"]) == ("CONSOLIDATED_BILLING", [])
    assert client.list_roots()["Roots"][0]["PolicyTypes"] == []


def test_an_organization_with_members_is_not_deleted(world: World) -> None:
    world.organize("first")
    with refused("OrganizationNotEmptyException"):
        world.of().delete_organization()


def test_units_make_a_tree(world: World) -> None:
    organization = world.organize("first")
    client, root = world.of(), world.root
    made = client.create_organizational_unit(ParentId=root, Name="work", Tags=[{"Key": "a", "Value": "1"}])
    unit = made["OrganizationalUnit"]
    assert re.fullmatch(rf"ou-{root[2:]}-[a-z0-9]{{8}}", unit["Id"])
    assert (
        unit["Arn"] == f"arn:aws:organizations::{world.id('management')}:ou/{organization['Id']}/{unit['Id']}"
    )
    assert unit["Path"] == f"{organization['Id']}/{root}/{unit['Id']}/"
    assert client.list_tags_for_resource(ResourceId=unit["Id"])["Tags"] == [{"Key": "a", "Value": "1"}]
    with refused("DuplicateOrganizationalUnitException"):
        client.create_organizational_unit(ParentId=root, Name="work")
    inner = world.unit("inner", unit["Id"])
    world.unit("work", unit["Id"])
    assert client.list_parents(ChildId=inner)["Parents"] == [
        {"Id": unit["Id"], "Type": "ORGANIZATIONAL_UNIT"}
    ]
    assert client.list_parents(ChildId=unit["Id"])["Parents"] == [{"Id": root, "Type": "ROOT"}]
    renamed = client.update_organizational_unit(OrganizationalUnitId=inner, Name="other")[
        "OrganizationalUnit"
    ]
    assert renamed["Name"] == "other"
    with refused("DuplicateOrganizationalUnitException"):
        client.update_organizational_unit(OrganizationalUnitId=inner, Name="work")
    client.update_organizational_unit(OrganizationalUnitId=inner, Name="other")
    assert client.describe_organizational_unit(OrganizationalUnitId=inner)["OrganizationalUnit"] == renamed
    names = {
        each["Name"]
        for each in client.list_organizational_units_for_parent(ParentId=unit["Id"])["OrganizationalUnits"]
    }
    assert names == {"other", "work"}
    with refused("OrganizationalUnitNotEmptyException"):
        client.delete_organizational_unit(OrganizationalUnitId=unit["Id"])
    client.delete_organizational_unit(OrganizationalUnitId=inner)
    with refused("OrganizationalUnitNotFoundException"):
        client.describe_organizational_unit(OrganizationalUnitId=inner)


def test_units_are_five_deep_at_most(world: World) -> None:
    world.organize()
    parent = world.root
    for depth in range(5):
        parent = world.unit(f"level {depth}", parent)
    with refused("ConstraintViolationException", reason="OU_DEPTH_LIMIT_EXCEEDED"):
        world.unit("too deep", parent)


def test_what_is_not_there(world: World) -> None:
    world.organize("first")
    client, root = world.of(), world.root
    unit, account = f"ou-{root[2:]}-00000000", world.id("outsider")
    with refused("ParentNotFoundException", "You specified a parent that doesn't exist."):
        world.unit("x", unit)
    with refused("OrganizationalUnitNotFoundException"):
        client.delete_organizational_unit(OrganizationalUnitId=unit)
    with refused("OrganizationalUnitNotFoundException"):
        client.update_organizational_unit(OrganizationalUnitId=unit, Name="x")
    with refused("AccountNotFoundException", "You specified an account that doesn't exist."):
        client.describe_account(AccountId=account)
    with refused("AccountNotFoundException"):
        client.remove_account_from_organization(AccountId=account)
    with refused("AccountNotFoundException"):
        client.close_account(AccountId=account)
    with refused("ChildNotFoundException"):
        client.list_parents(ChildId=account)
    for listed in (
        client.list_children,
        client.list_accounts_for_parent,
        client.list_organizational_units_for_parent,
    ):
        more = {"ChildType": "ACCOUNT"} if listed == client.list_children else {}
        with refused("ParentNotFoundException"):
            listed(ParentId=unit, **more)
    with refused("TargetNotFoundException"):
        client.list_tags_for_resource(ResourceId=account)


def test_accounts_move(world: World) -> None:
    world.organize("first")
    client, root, first = world.of(), world.root, world.id("first")
    unit = world.unit("work")
    move = {"AccountId": first, "SourceParentId": root, "DestinationParentId": unit}
    client.move_account(**move)
    assert [each["Id"] for each in client.list_accounts_for_parent(ParentId=unit)["Accounts"]] == [first]
    assert client.list_children(ParentId=unit, ChildType="ACCOUNT")["Children"] == [
        {"Id": first, "Type": "ACCOUNT"}
    ]
    assert client.list_children(ParentId=root, ChildType="ORGANIZATIONAL_UNIT")["Children"][0]["Id"] == unit
    assert client.describe_account(AccountId=first)["Account"]["Paths"][0].endswith(
        f"/{root}/{unit}/{first}/"
    )
    absent = f"ou-{root[2:]}-00000000"
    with refused("SourceParentNotFoundException"):
        client.move_account(**move)
    with refused("SourceParentNotFoundException"):
        client.move_account(**{**move, "SourceParentId": absent})
    with refused("DestinationParentNotFoundException"):
        client.move_account(**{**move, "SourceParentId": unit, "DestinationParentId": absent})
    with refused("DuplicateAccountException"):
        client.move_account(**{**move, "SourceParentId": unit})
    with refused("AccountNotFoundException"):
        client.move_account(**{**move, "AccountId": world.id("outsider")})
    client.move_account(**{**move, "SourceParentId": unit, "DestinationParentId": root})
    assert client.list_parents(ChildId=first)["Parents"] == [{"Id": root, "Type": "ROOT"}]


def test_accounts_leave(world: World) -> None:
    world.organize("first", "second")
    world.of().remove_account_from_organization(AccountId=world.id("first"))
    world.of("second").leave_organization()
    assert [each["Id"] for each in world.of().list_accounts()["Accounts"]] == [world.id("management")]
    with refused("AWSOrganizationsNotInUseException"):
        world.of("second").describe_organization()
    with refused("MasterCannotLeaveOrganizationException"):
        world.of().remove_account_from_organization(AccountId=world.id("management"))
    with refused("MasterCannotLeaveOrganizationException"):
        world.of().leave_organization()
    world.of("first").create_organization()


def test_lists_come_in_pages(world: World) -> None:
    world.organize()
    client, root = world.of(), world.root
    made = sorted(world.unit(f"unit {number}") for number in range(5))
    found: list[str] = []
    parameters: dict[str, Any] = {"ParentId": root, "MaxResults": 2}
    while True:
        page = client.list_organizational_units_for_parent(**parameters)
        assert len(page["OrganizationalUnits"]) <= 2
        found += [each["Id"] for each in page["OrganizationalUnits"]]
        if "NextToken" not in page:
            break
        parameters["NextToken"] = page["NextToken"]
    assert found == made
    for token in ("x", parameters["NextToken"] + "A"):
        with refused("InvalidInputException", reason="INVALID_NEXT_TOKEN"):
            client.list_organizational_units_for_parent(ParentId=root, NextToken=token)
    with refused("InvalidInputException", reason="INVALID_NEXT_TOKEN"):
        client.list_children(ParentId=root, ChildType="ACCOUNT", NextToken=parameters["NextToken"])


def test_what_breaks_the_model_is_an_invalid_input(world: World) -> None:
    world.organize()
    with refused("InvalidInputException", reason="INVALID_PATTERN"):
        world.of().describe_account(AccountId="x")
    with refused("InvalidInputException", reason="MAX_VALUE_EXCEEDED"):
        world.of().list_accounts(MaxResults=21)
    with refused("InvalidInputException", reason="INVALID_ENUM_POLICY_TYPE"):
        world.of().list_policies(Filter="X")
    with refused("InvalidInputException", reason="INVALID_ENUM"):
        world.of().list_children(ParentId=world.root, ChildType="X")
    with refused("InvalidInputException", reason="MAX_LENGTH_EXCEEDED"):
        world.unit("x" * 129)


@pytest.mark.parametrize("account", ["first", "outsider"])
def test_the_tree_is_the_management_accounts_to_see_and_to_change(world: World, account: str) -> None:
    organization = world.organize("first")
    client, root = world.of(account), world.root
    calls: list[Callable[[], object]] = [
        lambda: client.list_accounts(),
        lambda: client.list_roots(),
        lambda: client.describe_account(AccountId=world.id("first")),
        lambda: client.describe_account(AccountId="000000000009"),
        lambda: client.list_parents(ChildId=world.id("first")),
        lambda: client.create_organizational_unit(ParentId=root, Name="x"),
        lambda: client.create_account(Email="x@example.com", AccountName="x"),
        lambda: client.close_account(AccountId=world.id("first")),
        lambda: client.remove_account_from_organization(AccountId=world.id("first")),
        lambda: client.delete_organization(),
        lambda: client.create_policy(Type="TAG_POLICY", Name="x", Description="", Content="{}"),
        lambda: client.list_handshakes_for_organization(),
    ]
    for call in calls:
        if account == "first":
            with refused("AccessDeniedException", "You don't have permissions to access this resource."):
                call()
        else:
            with refused("AWSOrganizationsNotInUseException"):
                call()
    if account == "first":
        assert client.describe_organization()["Organization"] == organization
        assert client.list_handshakes_for_account()["Handshakes"][0]["Action"] == "INVITE"


def test_permission_is_needed_too(world: World) -> None:
    world.organize("first")
    client = world.of(user="nobody")
    for call, action in (
        (client.describe_organization, "DescribeOrganization"),
        (client.list_accounts, "ListAccounts"),
        (client.delete_organization, "DeleteOrganization"),
    ):
        with refused(
            "AccessDeniedException",
            f"User: arn:aws:iam::{world.id('management')}:user/nobody is not authorized to perform: "
            f"organizations:{action} on resource: * because no identity-based policy allows the "
            f"organizations:{action} action",
        ):
            call()


def test_tags(world: World) -> None:
    world.organize("first")
    client = world.of()
    policy = world.policy({"Effect": "Deny", "Action": "s3:*", "Resource": "*"})
    for resource in (world.root, world.id("first"), world.unit("work"), policy):
        client.tag_resource(ResourceId=resource, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
        client.tag_resource(ResourceId=resource, Tags=[{"Key": "a", "Value": "2"}])
        assert client.list_tags_for_resource(ResourceId=resource)["Tags"] == [
            {"Key": "a", "Value": "2"},
            {"Key": "b", "Value": ""},
        ]
        client.untag_resource(ResourceId=resource, TagKeys=["a", "absent"])
        assert client.list_tags_for_resource(ResourceId=resource)["Tags"] == [{"Key": "b", "Value": ""}]
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    with refused("InvalidInputException", reason="DUPLICATE_TAG_KEY"):
        client.tag_resource(ResourceId=policy, Tags=twice)
    with refused("InvalidInputException", reason="INVALID_SYSTEM_TAGS_PARAMETER"):
        client.tag_resource(ResourceId=policy, Tags=[{"Key": "aws:x", "Value": ""}])
    with refused("InvalidInputException", reason="INVALID_SYSTEM_TAGS_PARAMETER"):
        client.untag_resource(ResourceId=policy, TagKeys=["aws:x"])
    many = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
    with refused("ConstraintViolationException", reason="MAX_TAG_LIMIT_EXCEEDED"):
        client.tag_resource(ResourceId=policy, Tags=many)
    with refused("TargetNotFoundException"):
        client.tag_resource(ResourceId="p-FullAWSAccess", Tags=many[:1])
