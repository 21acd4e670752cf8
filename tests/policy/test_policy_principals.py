"""The condition keys that follow from a principal (AWS: "IAM policy elements: Variables and tags", "Principal
key values"; "AWS global condition context keys"), and explanations."""

from __future__ import annotations

import pytest
from policy_support import (
    ALICE,
    ANONYMOUS,
    FEDERATED,
    HOME,
    ROOT,
    SERVICE,
    SESSION,
    WEB,
    allow,
    deny,
    identity,
    policy,
)

from casemate.engine.policy import (
    Attached,
    Principal,
    Question,
    Value,
    decide,
    explain,
    prepare,
    principal_keys,
)

NO_KEYS: dict[str, Value] = {}


@pytest.mark.parametrize(
    ("principal", "arn", "kind", "userid", "username"),
    [
        (ALICE, ALICE.arn, "User", ALICE.id, "alice"),
        (ROOT, ROOT.arn, "Account", HOME, None),
        (SESSION, SESSION.role_arn, "AssumedRole", SESSION.id, None),
        (FEDERATED, FEDERATED.arn, "FederatedUser", f"{HOME}:fred", None),
        (ANONYMOUS, None, "Anonymous", None, None),
        (SERVICE, None, None, None, None),
        (WEB, None, None, None, None),
    ],
)
def test_principal_keys(
    principal: Principal, arn: Value, kind: Value, userid: Value, username: Value
) -> None:
    keys = principal_keys(principal)
    assert keys["aws:principalarn"] == arn
    assert keys["aws:principaltype"] == kind
    assert keys["aws:userid"] == userid
    assert keys["aws:username"] == username
    assert keys["aws:principalaccount"] == (principal.account or None)
    assert keys["aws:principalisawsservice"] == ("true" if principal is SERVICE else "false")


def test_a_federated_users_id_follows_from_its_name() -> None:
    unnamed = Principal("federated-user", FEDERATED.arn, HOME)
    assert principal_keys(unnamed)["aws:userid"] == f"{HOME}:fred"


def test_a_services_names() -> None:
    keys = principal_keys(SERVICE)
    assert keys["aws:principalservicename"] == "sns.amazonaws.com"
    assert keys["aws:principalservicenameslist"] == ("sns.amazonaws.com", "sns.us-east-1.amazonaws.com")


def test_an_explanation_names_every_statement_and_what_was_in_its_way() -> None:
    bucket = policy(
        "resource",
        allow("s3:*", "*", Principal={"AWS": "444455556666"}, Sid="Partner"),
        deny("s3:*", "*", Principal={"AWS": "444455556666"}, Sid="NoPartner"),
        name="bucket",
    )
    allows = identity(
        allow("s3:PutObject", Sid="Write"),
        allow("s3:*", "arn:aws:s3:::other/*", Sid="Other"),
        allow("s3:*", Sid="Tls", Condition={"Bool": {"aws:SecureTransport": "true"}}),
        allow("s3:Get*"),
    )
    question = Question(ALICE, Attached(allows), "s3:GetObject", "arn:aws:s3:::b/x", HOME, bucket)
    found = [(each.statement.policy, each.statement.sid, each.why) for each in explain(question, NO_KEYS.get)]
    assert found == [
        ("bucket", "Partner", "the principal is not meant"),
        ("bucket", "NoPartner", "the principal is not meant"),
        ("identity", "Write", "the action is not covered"),
        ("identity", "Other", "the resource is not covered"),
        ("identity", "Tls", "the condition Bool on aws:securetransport is not met"),
        ("identity", "", ""),
    ]
    ineffective = allow("kms:*", Principal="*")
    del ineffective["Resource"]
    shut = Question(ALICE, Attached(), "kms:Encrypt", "*", HOME, policy("key", ineffective), guarded=True)
    assert [each.why for each in explain(shut, NO_KEYS.get)] == ["the statement has no Resource"]


def test_what_no_request_can_change_is_constant() -> None:
    conditional = {"Bool": {"aws:SecureTransport": "true"}}
    shut = Question(ALICE, Attached(), "s3:GetObject", "*", HOME)
    assert prepare(shut).constant == decide(shut, NO_KEYS.get)
    opened = Question(ALICE, Attached(identity(allow())), "s3:GetObject", "*", HOME)
    constant = prepare(opened).constant
    assert constant is not None
    assert constant.allowed
    hanging = Question(ALICE, Attached(identity(allow(Condition=conditional))), "s3:GetObject", "*", HOME)
    assert prepare(hanging).constant is None
    settled = Question(
        ALICE,
        Attached(identity(allow(Condition=conditional))),
        "s3:GetObject",
        "*",
        HOME,
        known={"aws:securetransport": "true"},
    )
    assert prepare(settled).constant is not None
    denied = Question(ALICE, Attached(identity(allow(), deny())), "s3:GetObject", "*", HOME)
    constant = prepare(denied).constant
    assert constant is not None
    assert constant.explicit


def test_known_keys_are_not_asked_for_again() -> None:
    asked: list[str] = []

    def lookup(key: str) -> Value:
        asked.append(key)
        return "true"

    written = allow(
        Condition={"StringEquals": {"aws:username": "alice"}, "Bool": {"aws:SecureTransport": "true"}}
    )
    question = Question(
        ALICE, Attached(identity(written)), "s3:GetObject", "*", HOME, known=principal_keys(ALICE)
    )
    assert prepare(question).decide(lookup).allowed
    assert asked == ["aws:securetransport"]
