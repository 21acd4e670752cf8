"""Accounts that are made, invited and closed, by real clients."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import boto3
from botocore.config import Config as ClientConfig
from orgs_support import World, allow, deny, document, events, organizations_server, refused
from server_support import casemate


def test_an_account_is_made(world: World) -> None:
    organization = world.organize()
    client = world.of()
    email = f"Made.{world.number}@example.com"
    asked = client.create_account(
        Email=email, AccountName="Team", RoleName="Keeper", Tags=[{"Key": "team", "Value": "a"}]
    )["CreateAccountStatus"]
    assert re.fullmatch(r"car-[a-z0-9]{32}", asked["Id"])
    assert (asked["State"], asked["AccountName"]) == ("IN_PROGRESS", "Team")
    assert "AccountId" not in asked
    done = client.describe_create_account_status(CreateAccountRequestId=asked["Id"])["CreateAccountStatus"]
    assert done["State"] == "SUCCEEDED"
    assert done["CompletedTimestamp"] >= done["RequestedTimestamp"]
    assert client.list_create_account_status()["CreateAccountStatuses"] == [done]
    assert client.list_create_account_status(States=["FAILED", "IN_PROGRESS"])["CreateAccountStatuses"] == []
    account = client.describe_account(AccountId=done["AccountId"])["Account"]
    assert account["Arn"] == (
        f"arn:aws:organizations::{world.id('management')}:account/{organization['Id']}/{account['Id']}"
    )
    assert (account["Email"], account["Name"], account["JoinedMethod"]) == (email, "Team", "CREATED")
    assert client.list_parents(ChildId=account["Id"])["Parents"] == [{"Id": world.root, "Type": "ROOT"}]
    assert client.list_tags_for_resource(ResourceId=account["Id"])["Tags"] == [{"Key": "team", "Value": "a"}]
    (scp,) = client.list_policies_for_target(TargetId=account["Id"], Filter="SERVICE_CONTROL_POLICY")[
        "Policies"
    ]
    assert (scp["Id"], scp["AwsManaged"]) == ("p-FullAWSAccess", True)
    own = "/aws-service-role/organizations.amazonaws.com/"
    (linked,) = assumed(world, account["Id"], "Keeper").client("iam").list_roles(PathPrefix=own)["Roles"]
    assert linked["RoleName"] == "AWSServiceRoleForOrganizations"
    assert len(world.of(service="iam").list_roles(PathPrefix=own)["Roles"]) == 1
    role = assumed(world, account["Id"], "Keeper")
    assert role.client("sts").get_caller_identity()["Account"] == account["Id"]


def test_the_default_role_administers_for_the_management_account_alone(world: World) -> None:
    world.organize("first")
    account = world.new_account()
    arn = f"arn:aws:iam::{account}:role/OrganizationAccountAccessRole"
    kms = assumed(world, account).client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    assert key.split(":")[4] == account
    with refused("AccessDenied", status=403):
        world.of("first", "sts").assume_role(RoleArn=arn, RoleSessionName="test")
    # What binds the account binds the role's sessions.
    world.of().attach_policy(PolicyId=world.policy(deny("kms:CreateKey")), TargetId=account)
    with refused(
        "AccessDeniedException",
        f"User: arn:aws:sts::{account}:assumed-role/OrganizationAccountAccessRole/test is not authorized to perform: "
        "kms:CreateKey on resource: * with an explicit deny in a service control policy",
    ):
        kms.create_key()
    kms.describe_key(KeyId=key)


def test_an_account_that_cannot_be_made(world: World) -> None:
    world.organize()
    client = world.of()
    email = f"twice-{world.number}@example.com"
    for address, reason in (
        (email, None),
        (email.upper(), "EMAIL_ALREADY_EXISTS"),
        ("two words@example.com", None),
        (".dot@example.com", "INVALID_EMAIL"),
        ("a,b@example.com", "INVALID_EMAIL"),
        ("a@-example.com", "INVALID_EMAIL"),
        ("a@example.com-", "INVALID_EMAIL"),
    ):
        if " " in address:
            with refused("InvalidInputException", reason="INVALID_PATTERN"):
                client.create_account(Email=address, AccountName="x")
            continue
        asked = client.create_account(Email=address, AccountName="x")["CreateAccountStatus"]
        assert asked["State"] == "IN_PROGRESS"
        done = client.describe_create_account_status(CreateAccountRequestId=asked["Id"])[
            "CreateAccountStatus"
        ]
        assert (done["State"], done.get("FailureReason")) == ("FAILED" if reason else "SUCCEEDED", reason)
    assert len(client.list_accounts()["Accounts"]) == 2
    assert len(client.list_create_account_status(States=["FAILED"])["CreateAccountStatuses"]) == 5
    with refused("InvalidInputException", reason="INVALID_ROLE_NAME"):
        client.create_account(Email="y@example.com", AccountName="x", RoleName="AWSServiceRoleForX")
    with refused("CreateAccountStatusNotFoundException"):
        client.describe_create_account_status(CreateAccountRequestId="car-" + "0" * 32)


def test_tags_at_the_making_need_their_permission(world: World) -> None:
    world.organize()
    iam = world.of(service="iam")
    iam.put_user_policy(
        UserName="nobody", PolicyName="p", PolicyDocument=document(allow("organizations:CreateAccount"))
    )
    client = world.of(user="nobody")
    client.create_account(Email=f"untagged-{world.number}@example.com", AccountName="x")
    with refused("AccessDeniedException"):
        client.create_account(
            Email=f"tagged-{world.number}@example.com", AccountName="x", Tags=[{"Key": "a", "Value": ""}]
        )


def test_ten_accounts_at_most_with_the_invited_ones(world: World) -> None:
    world.organize("first")
    client = world.of()
    for number in range(7):
        world.new_account(f"number-{number}")
    invited = client.invite_account_to_organization(Target={"Type": "ACCOUNT", "Id": world.id("second")})
    with refused("ConstraintViolationException", reason="ACCOUNT_NUMBER_LIMIT_EXCEEDED"):
        client.create_account(Email=f"more-{world.number}@example.com", AccountName="x")
    with refused("HandshakeConstraintViolationException", reason="ACCOUNT_NUMBER_LIMIT_EXCEEDED"):
        client.invite_account_to_organization(Target={"Type": "ACCOUNT", "Id": world.id("outsider")})
    client.cancel_handshake(HandshakeId=invited["Handshake"]["Id"])
    client.create_account(Email=f"more-{world.number}@example.com", AccountName="x")
    with refused("ConstraintViolationException", reason="ACCOUNT_NUMBER_LIMIT_EXCEEDED"):
        client.create_account(Email=f"yet-more-{world.number}@example.com", AccountName="x")
    quota = ("quota", "set", "organizations", "L-E619E033", "11", "--account", world.id("management"))
    assert casemate(*quota, "--data", str(world.server.data)).returncode == 0
    client.create_account(Email=f"yet-more-{world.number}@example.com", AccountName="x")
    with refused("ConstraintViolationException", reason="ACCOUNT_NUMBER_LIMIT_EXCEEDED"):
        client.create_account(Email=f"even-more-{world.number}@example.com", AccountName="x")


def test_nobody_acts_in_a_closed_account(world: World) -> None:
    world.organize("first", "second")
    client, first = world.of(), world.id("first")
    kms, session = world.of("first", "kms"), world.of("first", "sts").get_session_token()["Credentials"]
    temporary = Assumed(world, session)
    account_role = world.of("first", "iam")
    account_role.create_role(
        RoleName="shared",
        AssumeRolePolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"},
            }
        ),
    )
    policy = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"},
    }
    key = kms.create_key(Policy=json.dumps(policy))["KeyMetadata"]["Arn"]
    stranger = world.of("second", "kms")
    stranger.encrypt(KeyId=key, Plaintext=b"x")
    shared = {"RoleArn": f"arn:aws:iam::{first}:role/shared", "RoleSessionName": "test"}
    world.of("second", "sts").assume_role(**shared)
    client.close_account(AccountId=first)
    account = client.describe_account(AccountId=first)["Account"]
    assert (account["Status"], account["State"]) == ("SUSPENDED", "CLOSED")
    for user in ("admin", "root"):
        with refused("UnrecognizedClientException", status=400):
            world.of("first", "kms", user).list_keys()
    with refused("InvalidClientTokenId", status=403):
        world.of("first", "sts").get_caller_identity()
    with refused("UnrecognizedClientException"):
        temporary.client("kms").list_keys()
    with refused("AccessDeniedException"):
        stranger.encrypt(KeyId=key, Plaintext=b"x")
    with refused("AccessDenied", status=403):
        world.of("second", "sts").assume_role(**shared)
    with refused("AccountAlreadyClosedException"):
        client.close_account(AccountId=first)
    with refused("ConstraintViolationException", reason="CANNOT_CLOSE_MANAGEMENT_ACCOUNT"):
        client.close_account(AccountId=world.id("management"))
    with refused("ConstraintViolationException", reason="ACCOUNT_CANNOT_LEAVE_ORGANIZATION"):
        client.remove_account_from_organization(AccountId=first)


def test_accounts_are_closed_with_all_features_only(world: World) -> None:
    world.organize("first", FeatureSet="CONSOLIDATED_BILLING")
    with refused("ConstraintViolationException", reason="ORGANIZATION_NOT_IN_ALL_FEATURES_MODE"):
        world.of().close_account(AccountId=world.id("first"))
    with refused("PolicyTypeNotAvailableForOrganizationException"):
        world.policy(deny("s3:*"))
    with refused("PolicyTypeNotAvailableForOrganizationException"):
        world.of().enable_policy_type(RootId=world.root, PolicyType="SERVICE_CONTROL_POLICY")


def test_what_time_brings(tmp_path: Path) -> None:
    with organizations_server(tmp_path) as server:
        world = World(server, 0)
        world.organize("first", "second")
        client = world.of()
        made = world.new_account()
        with refused("ConstraintViolationException", reason="WAIT_PERIOD_ACTIVE"):
            client.remove_account_from_organization(AccountId=made)
        invited = client.invite_account_to_organization(
            Target={"Type": "ACCOUNT", "Id": world.id("outsider")}
        )
        handshake = invited["Handshake"]
        assert handshake["ExpirationTimestamp"] - handshake["RequestedTimestamp"] == timedelta(days=15)
        client.close_account(AccountId=world.id("first"))

        def wait(days: int) -> None:
            assert casemate("clock", "--data", str(server.data), "--advance", f"{days}d").returncode == 0

        wait(4)
        client.remove_account_from_organization(AccountId=made)
        wait(12)
        with refused("InvalidHandshakeTransitionException"):
            world.of("outsider").accept_handshake(HandshakeId=handshake["Id"])
        assert client.describe_handshake(HandshakeId=handshake["Id"])["Handshake"]["State"] == "EXPIRED"
        wait(30)
        with refused("HandshakeNotFoundException"):
            client.describe_handshake(HandshakeId=handshake["Id"])
        assert world.of("outsider").list_handshakes_for_account()["Handshakes"] == []
        assert len(client.list_accounts()["Accounts"]) == 3
        wait(45)
        for _ in range(600):
            if len(client.list_accounts()["Accounts"]) == 2:
                break
            Event().wait(0.05)
        assert {each["Id"] for each in client.list_accounts()["Accounts"]} == {
            world.id("management"),
            world.id("second"),
        }
        with refused("UnrecognizedClientException"):
            world.of("first", "kms").list_keys()


def test_the_trail_is_told_of_accounts(world: World) -> None:
    world.organize("first", "second")
    client = world.of()
    world.of("first").leave_organization()
    client.remove_account_from_organization(AccountId=world.id("second"))
    made = world.new_account()
    client.create_account(Email=f"made-{world.number}@example.com", AccountName="again")
    client.close_account(AccountId=made)
    joined, left = ["AccountJoinedOrganization"] * 4, ["AccountDepartedOrganization"] * 2
    found = events(world, *joined, *left, "CreateAccountResult", "CreateAccountResult", "CloseAccountResult")
    assert {record["eventSource"] for record in found} == {"organizations.amazonaws.com"}
    details = [(record["eventName"], record["serviceEventDetails"]) for record in found]
    methods = {
        (each["accountId"], each.get("joinedMethod") or each.get("departureMethod"))
        for name, each in details
        if name.startswith("Account")
    }
    assert methods == {
        (world.id("management"), "INVITED"),
        (world.id("first"), "INVITED"),
        (world.id("first"), "LEFT"),
        (world.id("second"), "INVITED"),
        (world.id("second"), "REMOVED"),
        (made, "CREATED"),
    }
    results = {
        each["createAccountStatus"]["state"]: each["createAccountStatus"]
        for name, each in details
        if "Create" in name
    }
    assert results["SUCCEEDED"]["accountId"] == made
    assert results["FAILED"]["failureReason"] == "EMAIL_ALREADY_EXISTS"
    (closing,) = [each["closeAccountStatus"] for name, each in details if "Close" in name]
    assert (closing["accountId"], closing["state"]) == (made, "SUCCEEDED")


def test_on_postgresql_too(tmp_path: Path, postgres_url: str) -> None:
    with organizations_server(tmp_path, env={"CASEMATE_DATABASE": postgres_url}) as server:
        world = World(server, 0)
        world.organize("first")
        client, made, unit = world.of(), world.new_account(), world.unit("work")
        client.move_account(AccountId=made, SourceParentId=world.root, DestinationParentId=unit)
        kms = assumed(world, made).client("kms")
        kms.create_key()
        policy = world.policy(deny("kms:*"))
        client.attach_policy(PolicyId=policy, TargetId=unit)
        with refused("AccessDeniedException"):
            kms.create_key()
        client.detach_policy(PolicyId=policy, TargetId=unit)
        kms.create_key()
        client.close_account(AccountId=made)
        with refused("UnrecognizedClientException"):
            kms.create_key()
        assert len(client.list_accounts()["Accounts"]) == 3


class Assumed:
    """Clients by temporary credentials."""

    def __init__(self, world: World, credentials: Mapping[str, str]) -> None:
        self._world = world
        self._credentials = credentials

    def client(self, service: str) -> Any:
        session: Any = boto3.session.Session(
            aws_access_key_id=self._credentials["AccessKeyId"],
            aws_secret_access_key=self._credentials["SecretAccessKey"],
            aws_session_token=self._credentials["SessionToken"],
            region_name="us-east-1",
        )
        return session.client(
            service,
            endpoint_url=self._world.server.endpoint,
            config=ClientConfig(retries={"total_max_attempts": 1}),
        )


def assumed(world: World, account: str, role: str = "OrganizationAccountAccessRole") -> Assumed:
    arn = f"arn:aws:iam::{account}:role/{role}"
    answer = world.of(service="sts").assume_role(RoleArn=arn, RoleSessionName="test")
    return Assumed(world, answer["Credentials"])
