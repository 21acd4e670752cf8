"""Authorisation messages: sealed with a refusal, opened by DecodeAuthorizationMessage for those who may."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_support import refused
from sts_support import ACCOUNT, OTHER_ACCOUNT, Sts, user_arn

from casemate.engine.authorization_message import LONGEST, AuthorizationMessages, BadMessage, content_of
from casemate.engine.envelope.hierarchy import RootKey
from casemate.engine.policy import Decision, Matched, Principal
from casemate.server.composition import open_data
from casemate.server.config import Config

MESSAGES = AuthorizationMessages(RootKey(bytes(32)))
ALICE = Principal(kind="user", arn=f"arn:aws:iam::{ACCOUNT}:user/alice", account=ACCOUNT, id="AIDAALICE")
DENY = Decision(
    False, True, "identity-based policy", (Matched("identity-based policy", "own", "No", 0, "Deny"),)
)


def content(conditions: Any = ()) -> dict[str, Any]:
    return content_of(DENY, ALICE, "ec2:RunInstances", "arn:aws:ec2:x", conditions)


def test_a_message_says_why() -> None:
    text = MESSAGES.seal(
        ACCOUNT, content([("aws:sourceip", "10.0.0.1"), ("aws:tagkeys", ["a", "b"]), ("x", None)])
    )
    assert json.loads(MESSAGES.open(ACCOUNT, text)) == {
        "allowed": False,
        "explicitDeny": True,
        "matchedStatements": {"items": [{"statementId": "No", "effect": "DENY", "policy": "own"}]},
        "failures": {"items": []},
        "context": {
            "principal": {"id": "AIDAALICE", "name": "alice", "arn": ALICE.arn},
            "action": "ec2:RunInstances",
            "resource": "arn:aws:ec2:x",
            "conditions": {
                "items": [
                    {"key": "aws:sourceip", "values": {"items": [{"value": "10.0.0.1"}]}},
                    {"key": "aws:tagkeys", "values": {"items": [{"value": "a"}, {"value": "b"}]}},
                ]
            },
        },
    }


def test_a_message_is_of_its_account_and_key() -> None:
    text = MESSAGES.seal(ACCOUNT, content())
    for messages, account in (
        (MESSAGES, OTHER_ACCOUNT),
        (AuthorizationMessages(RootKey(bytes(31) + b"1")), ACCOUNT),
    ):
        with pytest.raises(BadMessage):
            messages.open(account, text)


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: raw.hex()))
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        MESSAGES.open(ACCOUNT, text)


def test_a_long_message_goes_without_its_conditions() -> None:
    many = [(f"aws:requesttag/{number}", RootKey.generate().derive("x").hex() * 4) for number in range(300)]
    text = MESSAGES.seal(ACCOUNT, content(many))
    assert len(text) <= LONGEST
    assert json.loads(MESSAGES.open(ACCOUNT, text))["context"]["conditions"] == {"items": []}


def test_decoding_by_a_client(sts: Sts) -> None:
    opened = open_data(Config(data=Path(sts.server.data)))
    try:
        text = AuthorizationMessages(opened.root).seal(ACCOUNT, content())
    finally:
        opened.close()
    decoded = sts.of("admin").decode_authorization_message(EncodedMessage=text)["DecodedMessage"]
    assert json.loads(decoded) == content()
    with refused(
        "AccessDenied",
        f"User: {user_arn('nobody')} is not authorized to perform: sts:DecodeAuthorizationMessage on resource: * "
        "because no identity-based policy allows the sts:DecodeAuthorizationMessage action",
        403,
    ):
        sts.of("nobody").decode_authorization_message(EncodedMessage=text)
    # Another account's, or none.
    for client, wrong in (
        (sts.of("stranger"), text),
        (sts.of("admin"), text[:-4]),
        (sts.of("admin"), "none"),
    ):
        with refused("InvalidAuthorizationMessageException", "The authorization message is not valid."):
            client.decode_authorization_message(EncodedMessage=wrong)
