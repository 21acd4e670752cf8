"""Key policies name users and roles as they are when the policy is put."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import boto3
import pytest
from kms_support import ACCOUNT, DELEGATION, REGION, Kms, access_key, key_policy, refused, statement

_numbers = count(1)
NOBODY = "Policy contains a statement with one or more invalid principals."


def iam(kms: Kms) -> Any:
    return kms.server.client("iam", access_key("admin"))


def new_user(kms: Kms, name: str = "") -> tuple[str, str, Any]:
    """Name, ARN and a KMS client of a new user without policies."""
    name = name or f"named-{next(_numbers)}"
    arn = iam(kms).create_user(UserName=name)["User"]["Arn"]
    made = iam(kms).create_access_key(UserName=name)["AccessKey"]
    session: Any = boto3.session.Session(made["AccessKeyId"], made["SecretAccessKey"], region_name=REGION)
    return name, arn, session.client("kms", endpoint_url=kms.server.endpoint)


def delete(kms: Kms, name: str) -> None:
    for key in iam(kms).list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam(kms).delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam(kms).delete_user(UserName=name)


def shown(kms: Kms, key_id: str) -> Any:
    return json.loads(kms.of().get_key_policy(KeyId=key_id)["Policy"])["Statement"][1]["Principal"]["AWS"]


@pytest.mark.parametrize("kind", ["user", "role"])
def test_they_must_exist(kms: Kms, kind: str) -> None:
    key_id = kms.key()["KeyId"]
    document = json.dumps(
        key_policy(DELEGATION, statement(f"arn:aws:iam::{ACCOUNT}:{kind}/nobody-is-this", "kms:*"))
    )
    with refused("MalformedPolicyDocumentException", NOBODY):
        kms.of().put_key_policy(KeyId=key_id, Policy=document)
    with refused("MalformedPolicyDocumentException", NOBODY):
        kms.of().put_key_policy(KeyId=key_id, Policy=document, BypassPolicyLockoutSafetyCheck=True)
    with refused("MalformedPolicyDocumentException", NOBODY):
        kms.of().create_key(Policy=document)
    unchanged = json.loads(kms.of().get_key_policy(KeyId=key_id)["Policy"])
    assert len(unchanged["Statement"]) == 1


def test_accounts_that_are_elsewhere_may_be_named(kms: Kms) -> None:
    arn = "arn:aws:iam::999988887777:role/somewhere"
    key_id = kms.key(key_policy(DELEGATION, statement(arn, "kms:*")))["KeyId"]
    assert shown(kms, key_id) == arn


def test_whoever_is_made_anew_is_somebody_else(kms: Kms) -> None:
    name, arn, client = new_user(kms)
    key_id = kms.key(key_policy(DELEGATION, statement(arn, "kms:Encrypt")))["KeyId"]
    client.encrypt(KeyId=key_id, Plaintext=b"x")
    user_id = iam(kms).get_user(UserName=name)["User"]["UserId"]
    delete(kms, name)
    assert shown(kms, key_id) == user_id, "AWS shows who is no more by their unique id"
    _, again, other = new_user(kms, name)
    assert again == arn
    with refused("AccessDeniedException"):
        other.encrypt(KeyId=key_id, Plaintext=b"x")
    assert shown(kms, key_id) == user_id
    # Put anew, the policy means the new one.
    kms.of().put_key_policy(
        KeyId=key_id, Policy=json.dumps(key_policy(DELEGATION, statement(arn, "kms:Encrypt")))
    )
    other.encrypt(KeyId=key_id, Plaintext=b"x")
    delete(kms, name)


def test_whoever_is_renamed_stays_the_same(kms: Kms) -> None:
    name, arn, client = new_user(kms)
    key_id = kms.key(key_policy(DELEGATION, statement(arn, "kms:Encrypt")))["KeyId"]
    iam(kms).update_user(UserName=name, NewUserName=f"{name}-renamed")
    assert shown(kms, key_id) == f"{arn}-renamed"
    client.encrypt(KeyId=key_id, Plaintext=b"x")


def test_federated_users_are_the_users_who_vouch_for_them(kms: Kms) -> None:
    name, arn, _ = new_user(kms)
    everything = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    )
    iam(kms).put_user_policy(UserName=name, PolicyName="all", PolicyDocument=everything)
    made = iam(kms).create_access_key(UserName=name)["AccessKey"]
    user: Any = boto3.session.Session(made["AccessKeyId"], made["SecretAccessKey"], region_name=REGION)
    sts = user.client("sts", endpoint_url=kms.server.endpoint)
    got = sts.get_federation_token(Name="guest", Policy=everything)["Credentials"]
    of: Any = boto3.session.Session(got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"], REGION)
    guest = of.client("kms", endpoint_url=kms.server.endpoint)
    admin = statement(f"arn:aws:iam::{ACCOUNT}:user/admin", "kms:*")
    key_id = kms.key(key_policy(admin, statement(arn, "kms:Encrypt")))["KeyId"]
    guest.encrypt(KeyId=key_id, Plaintext=b"x")
    other = kms.key(key_policy(admin))["KeyId"]
    with refused("AccessDeniedException"):
        guest.encrypt(KeyId=other, Plaintext=b"x")


def test_a_roles_sessions_are_the_roles(kms: Kms) -> None:
    name = f"named-{next(_numbers)}"
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}],
    }
    role = iam(kms).create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    key_id = kms.key(key_policy(DELEGATION, statement(role["Arn"], "kms:Encrypt")))["KeyId"]

    def session() -> Any:
        sts = kms.server.client("sts", access_key("admin"))
        made = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]
        of: Any = boto3.session.Session(
            made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"], REGION
        )
        return of.client("kms", endpoint_url=kms.server.endpoint)

    session().encrypt(KeyId=key_id, Plaintext=b"x")
    iam(kms).delete_role(RoleName=name)
    iam(kms).create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    with refused("AccessDeniedException"):
        session().encrypt(KeyId=key_id, Plaintext=b"x")


# --- grants mean them in the same way


def grants(kms: Kms, key_id: str) -> Any:
    return kms.of().list_grants(KeyId=key_id)["Grants"]


def test_a_grant_means_who_had_the_name_then(kms: Kms) -> None:
    name, arn, client = new_user(kms)
    key_id = kms.key()["KeyId"]
    wanted = {"KeyId": key_id, "GranteePrincipal": arn, "RetiringPrincipal": arn, "Operations": ["Encrypt"]}
    grant_id = kms.of().create_grant(**wanted, Name="n")["GrantId"]
    client.encrypt(KeyId=key_id, Plaintext=b"x")
    assert kms.of().create_grant(**wanted, Name="n")["GrantId"] == grant_id
    (found,) = grants(kms, key_id)
    assert found["GranteePrincipal"] == found["RetiringPrincipal"] == arn
    assert len(kms.of().list_grants(KeyId=key_id, GranteePrincipal=arn)["Grants"]) == 1
    assert len(kms.of().list_retirable_grants(RetiringPrincipal=arn)["Grants"]) == 1

    user_id = iam(kms).get_user(UserName=name)["User"]["UserId"]
    delete(kms, name)
    (found,) = grants(kms, key_id)
    assert found["GranteePrincipal"] == found["RetiringPrincipal"] == user_id
    with refused("InvalidArnException", f"ARN does not refer to a valid principal: {arn}"):
        kms.of().list_grants(KeyId=key_id, GranteePrincipal=arn)
    _, again, other = new_user(kms, name)
    assert again == arn
    with refused("AccessDeniedException"):
        other.encrypt(KeyId=key_id, Plaintext=b"x")
    key_arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key_id}"
    with refused("AccessDeniedException"):
        other.retire_grant(KeyId=key_arn, GrantId=grant_id)
    assert kms.of().list_grants(KeyId=key_id, GranteePrincipal=arn)["Grants"] == []
    assert kms.of().list_retirable_grants(RetiringPrincipal=arn)["Grants"] == []
    assert kms.of().create_grant(**wanted, Name="n")["GrantId"] != grant_id, "that is no retry"
    other.encrypt(KeyId=key_id, Plaintext=b"x")
    delete(kms, name)


def test_a_grant_stays_with_who_is_renamed(kms: Kms) -> None:
    name, arn, client = new_user(kms)
    key_id = kms.key()["KeyId"]
    kms.of().create_grant(KeyId=key_id, GranteePrincipal=arn, Operations=["Encrypt"])
    iam(kms).update_user(UserName=name, NewUserName=f"{name}-renamed")
    assert grants(kms, key_id)[0]["GranteePrincipal"] == f"{arn}-renamed"
    client.encrypt(KeyId=key_id, Plaintext=b"x")
