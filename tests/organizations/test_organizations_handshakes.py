"""Invitations and the way to all features, by real clients of both sides."""

from __future__ import annotations

import re
from typing import Any

import pytest
from orgs_support import World, refused


def invite(world: World, account: str = "first", **more: Any) -> Any:
    target = {"Type": "ACCOUNT", "Id": world.id(account)}
    return world.of().invite_account_to_organization(Target=target, **more)["Handshake"]


def test_an_invitation_is_accepted(world: World) -> None:
    organization = world.organize()
    client, invited = world.of(), world.of("first")
    sent = invite(world, Notes="Come in", Tags=[{"Key": "team", "Value": "a"}])
    assert re.fullmatch(r"h-[a-z0-9]{10}", sent["Id"])
    assert sent["Arn"] == (
        f"arn:aws:organizations::{world.id('management')}:handshake/{organization['Id']}/invite/{sent['Id']}"
    )
    assert (sent["State"], sent["Action"]) == ("REQUESTED", "INVITE")
    assert sent["Parties"] == [
        {"Id": organization["Id"], "Type": "ORGANIZATION"},
        {"Id": world.id("first"), "Type": "ACCOUNT"},
    ]
    assert sent["Resources"] == [
        {
            "Type": "ORGANIZATION",
            "Value": organization["Id"],
            "Resources": [
                {"Type": "MASTER_EMAIL", "Value": organization["MasterAccountEmail"]},
                {"Type": "MASTER_NAME", "Value": "the management"},
                {"Type": "ORGANIZATION_FEATURE_SET", "Value": "ALL"},
            ],
        },
        {"Type": "ACCOUNT", "Value": world.id("first")},
        {"Type": "NOTES", "Value": "Come in"},
    ]
    assert invited.list_handshakes_for_account()["Handshakes"] == [sent]
    assert client.list_handshakes_for_organization()["Handshakes"] == [sent]
    assert invited.describe_handshake(HandshakeId=sent["Id"])["Handshake"] == sent
    accepted = invited.accept_handshake(HandshakeId=sent["Id"])["Handshake"]
    assert accepted == {**sent, "State": "ACCEPTED"}
    account = client.describe_account(AccountId=world.id("first"))["Account"]
    assert (account["Name"], account["JoinedMethod"]) == ("the first", "INVITED")
    assert client.list_tags_for_resource(ResourceId=world.id("first"))["Tags"] == [
        {"Key": "team", "Value": "a"}
    ]
    assert invited.describe_organization()["Organization"] == organization
    with refused("HandshakeAlreadyInStateException"):
        invited.accept_handshake(HandshakeId=sent["Id"])
    for answer in (invited.decline_handshake, client.cancel_handshake):
        with refused("InvalidHandshakeTransitionException"):
            answer(HandshakeId=sent["Id"])
    with refused("HandshakeConstraintViolationException", reason="ALREADY_IN_AN_ORGANIZATION"):
        invite(world)


def test_an_invitation_is_declined_or_taken_back(world: World) -> None:
    world.organize()
    client, invited = world.of(), world.of("first")
    sent = invite(world)
    with refused("DuplicateHandshakeException"):
        invite(world)
    assert invited.decline_handshake(HandshakeId=sent["Id"])["Handshake"]["State"] == "DECLINED"
    with refused("InvalidHandshakeTransitionException"):
        invited.accept_handshake(HandshakeId=sent["Id"])
    again = invite(world)
    assert client.cancel_handshake(HandshakeId=again["Id"])["Handshake"]["State"] == "CANCELED"
    with refused("InvalidHandshakeTransitionException"):
        invited.accept_handshake(HandshakeId=again["Id"])
    with refused("HandshakeAlreadyInStateException"):
        client.cancel_handshake(HandshakeId=again["Id"])
    assert [each["Id"] for each in client.list_accounts()["Accounts"]] == [world.id("management")]


def test_each_side_has_its_own_answers(world: World) -> None:
    world.organize()
    client, invited, outsider = world.of(), world.of("first"), world.of("outsider")
    sent = invite(world)
    with refused("AccessDeniedException", "You don't have permissions to access this resource."):
        client.accept_handshake(HandshakeId=sent["Id"])
    with refused("AccessDeniedException"):
        client.decline_handshake(HandshakeId=sent["Id"])
    with refused("AccessDeniedException"):
        invited.cancel_handshake(HandshakeId=sent["Id"])
    for answer in (outsider.accept_handshake, outsider.decline_handshake, outsider.describe_handshake):
        for handshake in (sent["Id"], "h-0000000000"):
            with refused("HandshakeNotFoundException", "You specified a handshake that doesn't exist."):
                answer(HandshakeId=handshake)
    assert outsider.list_handshakes_for_account()["Handshakes"] == []
    with refused("AccessDeniedException"):
        world.of("first", user="nobody").accept_handshake(HandshakeId=sent["Id"])


def test_an_account_joins_one_organization(world: World) -> None:
    world.organize()
    world.of("outsider").create_organization()
    sent = invite(world)
    other = world.of("outsider").invite_account_to_organization(
        Target={"Type": "ACCOUNT", "Id": world.id("first")}
    )["Handshake"]
    world.of("first").accept_handshake(HandshakeId=sent["Id"])
    with refused("HandshakeConstraintViolationException", reason="ALREADY_IN_AN_ORGANIZATION"):
        world.of("first").accept_handshake(HandshakeId=other["Id"])
    world.of("first").leave_organization()
    world.of("first").accept_handshake(HandshakeId=other["Id"])
    assert len(world.of("outsider").list_accounts()["Accounts"]) == 2


def test_who_may_be_invited(world: World) -> None:
    world.organize()
    client = world.of()
    with refused("InvalidInputException", reason="INVALID_PARTY_TYPE_TARGET"):
        client.invite_account_to_organization(Target={"Type": "ACCOUNT", "Id": "999999999999"})
    with refused("InvalidInputException", reason="INVALID_PARTY_TYPE_TARGET"):
        client.invite_account_to_organization(Target={"Type": "ORGANIZATION", "Id": "o-0000000000"})
    with refused("InvalidInputException", reason="INVALID_EMAIL_ADDRESS_TARGET"):
        client.invite_account_to_organization(Target={"Type": "EMAIL", "Id": "nobody@example.com"})
    email = f"made-{world.number}@example.com"
    made = world.new_account()
    # By email, an account that Organizations made and that stands alone again could be invited.
    with refused("HandshakeConstraintViolationException", reason="ALREADY_IN_AN_ORGANIZATION"):
        client.invite_account_to_organization(Target={"Type": "EMAIL", "Id": email.upper()})
    world.of("outsider").create_organization()
    sent = world.of("outsider").invite_account_to_organization(Target={"Type": "EMAIL", "Id": email})[
        "Handshake"
    ]
    assert sent["Parties"][1] == {"Id": email, "Type": "EMAIL"}
    assert made not in str(sent), "who knows an email does not learn the account"


def test_twenty_invitations_a_day(world: World) -> None:
    world.organize()
    client = world.of()
    for _ in range(20):
        client.cancel_handshake(HandshakeId=invite(world)["Id"])
    with refused("HandshakeConstraintViolationException", reason="HANDSHAKE_RATE_LIMIT_EXCEEDED"):
        invite(world)


def test_all_features_are_enabled_when_all_invited_accounts_agree(world: World) -> None:
    organization = world.organize("first", "second", FeatureSet="CONSOLIDATED_BILLING")
    client = world.of()
    with refused("HandshakeConstraintViolationException", reason="ORGANIZATION_ALREADY_HAS_ALL_FEATURES"):
        world.of("outsider").create_organization()
        world.of("outsider").enable_all_features()
    whole = client.enable_all_features()["Handshake"]
    assert (whole["Action"], whole["State"]) == ("ENABLE_ALL_FEATURES", "REQUESTED")
    assert whole["Parties"] == [{"Id": organization["Id"], "Type": "ORGANIZATION"}]
    with refused(
        "HandshakeConstraintViolationException",
        reason="ORGANIZATION_IS_ALREADY_PENDING_ALL_FEATURES_MIGRATION",
    ):
        client.enable_all_features()
    with refused(
        "HandshakeConstraintViolationException", reason="INVITE_DISABLED_DURING_ENABLE_ALL_FEATURES"
    ):
        invite(world, "outsider")
    with refused("InvalidHandshakeTransitionException"):
        client.accept_handshake(HandshakeId=whole["Id"])
    parts = client.list_handshakes_for_organization(Filter={"ParentHandshakeId": whole["Id"]})["Handshakes"]
    assert [each["Action"] for each in parts] == ["APPROVE_ALL_FEATURES"] * 2
    with refused("InvalidInputException", reason="MAX_LIMIT_EXCEEDED_FILTER"):
        client.list_handshakes_for_organization(
            Filter={"ParentHandshakeId": whole["Id"], "ActionType": "INVITE"}
        )
    for member in ("first", "second"):
        wanted = {"ActionType": "APPROVE_ALL_FEATURES"}
        (part,) = world.of(member).list_handshakes_for_account(Filter=wanted)["Handshakes"]
        state = client.describe_handshake(HandshakeId=whole["Id"])["Handshake"]["State"]
        assert state == "REQUESTED"
        world.of(member).accept_handshake(HandshakeId=part["Id"])
    assert client.describe_handshake(HandshakeId=whole["Id"])["Handshake"]["State"] == "OPEN"
    assert client.describe_organization()["Organization"]["FeatureSet"] == "CONSOLIDATED_BILLING"
    client.accept_handshake(HandshakeId=whole["Id"])
    assert client.describe_organization()["Organization"]["FeatureSet"] == "ALL"
    client.enable_policy_type(RootId=world.root, PolicyType="SERVICE_CONTROL_POLICY")


@pytest.mark.parametrize("answer", ["decline", "cancel"])
def test_all_features_may_be_refused(world: World, answer: str) -> None:
    world.organize("first", FeatureSet="CONSOLIDATED_BILLING")
    client = world.of()
    whole = client.enable_all_features()["Handshake"]
    (part,) = client.list_handshakes_for_organization(Filter={"ParentHandshakeId": whole["Id"]})["Handshakes"]
    if answer == "decline":
        world.of("first").decline_handshake(HandshakeId=part["Id"])
    else:
        client.cancel_handshake(HandshakeId=whole["Id"])
    with refused("InvalidHandshakeTransitionException"):
        client.accept_handshake(HandshakeId=whole["Id"])
    with refused("InvalidHandshakeTransitionException"):
        world.of("first").accept_handshake(HandshakeId=part["Id"])
    assert client.describe_organization()["Organization"]["FeatureSet"] == "CONSOLIDATED_BILLING"
