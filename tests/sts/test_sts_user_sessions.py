"""GetSessionToken and GetFederationToken by a real client: what the credentials are of, may, and may not."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from server_support import refused
from sts_support import ACCOUNT, Sts, policy, user_arn

INVALID = "The security token included in the request is invalid."


def altered(token: str) -> str:
    return token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1]


def lasts(answer: Any) -> timedelta:
    expiration: datetime = answer["Credentials"]["Expiration"]
    return expiration - datetime.now(UTC)


def about(seconds: int) -> tuple[timedelta, timedelta]:
    return timedelta(seconds=seconds - 60), timedelta(seconds=seconds)


def test_a_users_session_is_the_user(sts: Sts) -> None:
    answer = sts.of("admin").get_session_token()
    low, high = about(43_200)
    assert low < lasts(answer) <= high
    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA")
    assert len(credentials["SecretAccessKey"]) == 40
    me = sts.by(credentials).get_caller_identity()
    assert (me["Arn"], me["Account"]) == (user_arn("admin"), ACCOUNT)
    assert me["UserId"] == sts.of("admin").get_caller_identity()["UserId"]
    key = sts.by(credentials, "kms").create_key()["KeyMetadata"]
    assert key["AWSAccountId"] == ACCOUNT


def test_durations_of_user_sessions(sts: Sts) -> None:
    low, high = about(900)
    assert low < lasts(sts.of("nobody").get_session_token(DurationSeconds=900)) <= high
    low, high = about(129_600)
    assert low < lasts(sts.of("nobody").get_session_token(DurationSeconds=129_600)) <= high
    # The root user's last an hour at most.
    low, high = about(3_600)
    assert low < lasts(sts.of("root").get_session_token(DurationSeconds=43_200)) <= high
    unchecked = sts.by(
        {"AccessKeyId": "AKIATESTNOBODYXXXXXX", "SecretAccessKey": "secret-of-nobody-0123456789"}
    )
    with refused("ValidationError"):
        unchecked.get_session_token(DurationSeconds=899)
    with refused("ValidationError"):
        sts.of("nobody").get_session_token(DurationSeconds=129_601)


def test_a_root_users_session_is_the_root_user(sts: Sts) -> None:
    me = sts.by(sts.of("root").get_session_token()["Credentials"]).get_caller_identity()
    assert (me["Arn"], me["UserId"]) == (f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)


def test_a_session_gives_no_sessions_of_users(sts: Sts) -> None:
    session = sts.by(sts.of("admin").get_session_token()["Credentials"])
    with refused("AccessDenied", "Cannot call GetSessionToken with session credentials", 403):
        session.get_session_token()
    with refused("AccessDenied", "Cannot call GetFederationToken with session credentials", 403):
        session.get_federation_token(Name="bob")


def test_a_second_factor_that_nobody_has(sts: Sts) -> None:
    with refused(
        "AccessDenied",
        "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.",
        403,
    ):
        sts.of("admin").get_session_token(TokenCode="123456")
    with refused(
        "AccessDenied",
        "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is "
        "valid and associated with this user.",
        403,
    ):
        sts.of("admin").get_session_token(
            SerialNumber=f"arn:aws:iam::{ACCOUNT}:mfa/admin", TokenCode="123456"
        )


def test_tokens_are_bound_to_their_access_key(sts: Sts) -> None:
    one = sts.of("admin").get_session_token()["Credentials"]
    other = sts.of("admin").get_session_token()["Credentials"]
    mixed = {**one, "SessionToken": other["SessionToken"]}
    forged = {**one, "SessionToken": altered(one["SessionToken"])}
    without = {**one, "SessionToken": None}
    for wrong in (mixed, forged, without):
        with refused("InvalidClientTokenId", INVALID, 403):
            sts.by(wrong).get_caller_identity()
        with refused("UnrecognizedClientException", INVALID):
            sts.by(wrong, "kms").list_keys()
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        sts.by({**one, "SecretAccessKey": other["SecretAccessKey"]}).get_caller_identity()


def test_an_access_key_goes_without_a_token(sts: Sts) -> None:
    session = sts.of("admin").get_session_token()["Credentials"]
    with refused("InvalidClientTokenId", INVALID, 403):
        sts.by(
            {
                "AccessKeyId": "AKIATESTADMINXXXXXXX",
                "SecretAccessKey": "secret-of-admin-0123456789",
                "SessionToken": session["SessionToken"],
            }
        ).get_caller_identity()


def test_a_federated_user_may_what_both_allow(sts: Sts) -> None:
    answer = sts.of("federator").get_federation_token(
        Name="bob", Policy=json.dumps(policy("kms:ListKeys", "kms:CreateKey", "sts:GetFederationToken"))
    )
    assert answer["FederatedUser"] == {
        "FederatedUserId": f"{ACCOUNT}:bob",
        "Arn": f"arn:aws:sts::{ACCOUNT}:federated-user/bob",
    }
    assert 0 < answer["PackedPolicySize"] < 20
    credentials = answer["Credentials"]
    me = sts.by(credentials).get_caller_identity()
    assert (me["UserId"], me["Arn"]) == (f"{ACCOUNT}:bob", f"arn:aws:sts::{ACCOUNT}:federated-user/bob")
    assert sts.by(credentials, "kms").list_keys()["Keys"] is not None
    with refused(
        "AccessDeniedException",
        f"User: arn:aws:sts::{ACCOUNT}:federated-user/bob is not authorized to perform: kms:ListAliases on "
        "resource: * because no session policy allows the kms:ListAliases action",
    ):
        sts.by(credentials, "kms").list_aliases()


def test_a_federated_user_without_policies_may_nothing(sts: Sts) -> None:
    answer = sts.of("admin").get_federation_token(Name="bob")
    assert "PackedPolicySize" not in answer
    with refused("AccessDeniedException"):
        sts.by(answer["Credentials"], "kms").list_keys()


def test_a_federated_user_under_a_managed_policy(sts: Sts) -> None:
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    answer = sts.of("federator").get_federation_token(Name="bob", PolicyArns=[{"arn": arn}])
    assert sts.by(answer["Credentials"], "kms").list_keys()["Keys"] is not None
    absent = f"arn:aws:iam::{ACCOUNT}:policy/absent"
    with refused("ValidationError", f"Policy {absent} does not exist or is not attachable."):
        sts.of("federator").get_federation_token(Name="bob", PolicyArns=[{"arn": absent}])


def test_federation_needs_a_permission(sts: Sts) -> None:
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/bob"
    with refused(
        "AccessDenied",
        f"User: {user_arn('nobody')} is not authorized to perform: sts:GetFederationToken on resource: {arn} "
        "because no identity-based policy allows the sts:GetFederationToken action",
        403,
    ):
        sts.of("nobody").get_federation_token(Name="bob")
    with refused(
        "AccessDenied",
        f"User: {user_arn('federator')} is not authorized to perform: sts:TagSession on resource: {arn} "
        "because no identity-based policy allows the sts:TagSession action",
        403,
    ):
        sts.of("federator").get_federation_token(Name="bob", Tags=[{"Key": "team", "Value": "red"}])


def test_session_policies_and_tags_are_checked(sts: Sts) -> None:
    def federate(**more: Any) -> None:
        sts.of("admin").get_federation_token(Name="bob", **more)

    with refused("MalformedPolicyDocument", "Syntax errors in policy."):
        federate(Policy="{")
    with refused("MalformedPolicyDocument"):
        federate(Policy=json.dumps(policy("kms:Encrypt") | {"Version": "2008-10-17"}))
    with refused("ValidationError", "ARN arn:aws:iam::x:policy/none is not valid."):
        federate(PolicyArns=[{"arn": "arn:aws:iam::x:policy/none"}])
    with refused(
        "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
    ):
        federate(Tags=[{"Key": "team", "Value": "red"}, {"Key": "Team", "Value": "blue"}])
    with refused("InvalidParameterValue", "Tag keys that begin with aws: are reserved for system use."):
        federate(Tags=[{"Key": "aws:team", "Value": "red"}])


def test_what_does_not_fit_into_a_token(sts: Sts) -> None:
    # Random text cannot be packed well.
    tags = [{"Key": f"key-{n}", "Value": os.urandom(120).hex()} for n in range(50)]
    with refused("PackedPolicyTooLarge"):
        sts.of("admin").get_federation_token(Name="bob", Tags=tags)


def test_whose_an_access_key_is(sts: Sts) -> None:
    temporary = sts.of("stranger").get_session_token()["Credentials"]["AccessKeyId"]
    for key_id, account in (("AKIATESTADMINXXXXXXX", ACCOUNT), (temporary, "444455556666")):
        assert sts.of("admin").get_access_key_info(AccessKeyId=key_id)["Account"] == account
    with refused("ValidationError", "The access key ID does not exist."):
        sts.of("admin").get_access_key_info(AccessKeyId="AKIAABSENTABSENTABSE")
    with refused("AccessDenied", status=403):
        sts.of("nobody").get_access_key_info(AccessKeyId=temporary)
