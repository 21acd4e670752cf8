"""Key policies that name roles, sessions, federated users and other accounts, by the credentials of those."""

from __future__ import annotations

import json
from typing import Any

import pytest
from server_support import refused
from sts_support import ACCOUNT, OTHER_ACCOUNT, Sts, policy, trust, user_arn

ROOT, OTHER_ROOT = (f"arn:aws:iam::{account}:root" for account in (ACCOUNT, OTHER_ACCOUNT))


def allow(principal: Any, *actions: str, **more: Any) -> dict[str, Any]:
    who = principal if isinstance(principal, dict) else {"AWS": principal}
    return {
        "Effect": "Allow",
        "Principal": who,
        "Action": list(actions or ("kms:Encrypt",)),
        "Resource": "*",
        **more,
    }


def key(sts: Sts, *statements: dict[str, Any]) -> str:
    """The ARN of a key that only the administrator and those of the statements may use."""
    document = {"Version": "2012-10-17", "Statement": [allow(user_arn("admin"), "kms:*"), *statements]}
    arn: str = sts.of("admin", "kms").create_key(Policy=json.dumps(document))["KeyMetadata"]["Arn"]
    return arn


def encrypt(sts: Sts, arn: str, session: Any) -> None:
    assert sts.by(session["Credentials"], "kms").encrypt(KeyId=arn, Plaintext=b"x")["KeyId"] == arn


def test_a_role_is_all_its_sessions_and_a_session_is_itself(sts: Sts) -> None:
    role = sts.role(trust(ROOT), Path="/team/")
    one, two = (sts.assume(role, RoleSessionName=name) for name in ("one", "two"))
    by_role, by_session = key(sts, allow(role)), key(sts, allow(one["AssumedRoleUser"]["Arn"]))
    encrypt(sts, by_role, one)
    encrypt(sts, by_role, two)
    encrypt(sts, by_session, one)
    with refused("AccessDeniedException"):
        encrypt(sts, by_session, two)
    with refused("AccessDeniedException"):
        encrypt(sts, by_role, sts.assume(sts.role(trust(ROOT))))


def test_session_policies_limit_what_the_policy_gives_the_role(sts: Sts) -> None:
    role = sts.role(trust(ROOT))
    arn = key(sts, allow(role))
    encrypt(sts, arn, sts.assume(role, Policy=json.dumps(policy("kms:Encrypt"))))
    with refused("AccessDeniedException"):
        encrypt(sts, arn, sts.assume(role, Policy=json.dumps(policy("s3:*"))))


def test_a_federated_user_is_named_by_the_session(sts: Sts) -> None:
    bob, alice = (sts.of("federator").get_federation_token(Name=name) for name in ("bob", "alice"))
    arn = key(sts, allow(bob["FederatedUser"]["Arn"]))
    encrypt(sts, arn, bob)
    with refused("AccessDeniedException"):
        encrypt(sts, arn, alice)


@pytest.mark.parametrize("named", ["account", "role"])
def test_across_accounts_both_sides_must_allow(sts: Sts, named: str) -> None:
    may = sts.role(trust(ROOT), policy("kms:Encrypt"), user="stranger")
    may_not = sts.role(trust(ROOT), user="stranger")
    names = OTHER_ROOT if named == "account" else [may, may_not]
    arn = key(sts, allow(names))
    encrypt(sts, arn, sts.assume(may))
    with refused("AccessDeniedException"):
        encrypt(sts, arn, sts.assume(may_not))
    with refused("AccessDeniedException"):
        encrypt(sts, key(sts), sts.assume(may))
    with refused("AccessDeniedException"):
        sts.by(sts.assume(may)["Credentials"], "kms").decrypt(
            CiphertextBlob=sts.of("admin", "kms").encrypt(KeyId=arn, Plaintext=b"x")["CiphertextBlob"]
        )


def test_a_service_named_alone_lets_no_client_in(sts: Sts) -> None:
    arn = key(
        sts,
        allow(
            {"Service": "sns.amazonaws.com"},
            Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        ),
    )
    session = sts.assume(sts.role(trust(ROOT), policy("kms:*")))
    with refused("AccessDeniedException"):
        encrypt(sts, arn, session)


def test_conditions_on_who_calls(sts: Sts) -> None:
    role = sts.role(trust(ROOT, "sts:AssumeRole", "sts:TagSession"))
    arn = key(
        sts,
        allow(
            "*",
            Condition={
                "ArnEquals": {"aws:PrincipalArn": role},
                "StringEquals": {"kms:CallerAccount": ACCOUNT, "aws:PrincipalTag/team": "red"},
            },
        ),
    )
    encrypt(sts, arn, sts.assume(role, Tags=[{"Key": "team", "Value": "red"}]))
    with refused("AccessDeniedException"):
        encrypt(sts, arn, sts.assume(role, Tags=[{"Key": "team", "Value": "blue"}]))
    with refused("AccessDeniedException"):
        encrypt(sts, arn, sts.assume(role))
