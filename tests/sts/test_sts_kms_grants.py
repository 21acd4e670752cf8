"""KMS grants to roles and sessions, by the temporary credentials that use them; what the audit shows of grants."""

from __future__ import annotations

import json
from typing import Any

import pytest
from server_support import casemate, refused
from sts_support import ACCOUNT, Sts, policy, trust, user_arn

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
OTHERS_ONLY = json.dumps(policy("s3:*"))


@pytest.fixture
def key(sts: Sts) -> str:
    """A new key's ARN."""
    arn: str = sts.of("admin", "kms").create_key()["KeyMetadata"]["Arn"]
    return arn


def grant(sts: Sts, key: str, grantee: str, *operations: str, **more: Any) -> Any:
    return sts.of("admin", "kms").create_grant(
        KeyId=key, GranteePrincipal=grantee, Operations=list(operations) or ["Encrypt"], **more
    )


def encrypt(sts: Sts, key: str, session: Any) -> Any:
    return sts.by(session["Credentials"], "kms").encrypt(KeyId=key, Plaintext=b"x")


def test_a_grant_to_a_role_is_all_its_sessions(sts: Sts, key: str) -> None:
    role, other = sts.role(trust(ROOT), Path="/team/"), sts.role(trust(ROOT))
    grant(sts, key, role)
    for name in ("one", "two"):
        encrypt(sts, key, sts.assume(role, RoleSessionName=name))
    with refused("AccessDeniedException"):
        encrypt(sts, key, sts.assume(other))


def test_a_grant_to_a_session_is_that_sessions(sts: Sts, key: str) -> None:
    role = sts.role(trust(ROOT))
    one = sts.assume(role, RoleSessionName="one")
    grant(sts, key, one["AssumedRoleUser"]["Arn"])
    encrypt(sts, key, one)
    encrypt(sts, key, sts.assume(role, RoleSessionName="one", Policy=OTHERS_ONLY))
    with refused("AccessDeniedException"):
        encrypt(sts, key, sts.assume(role, RoleSessionName="two"))


def test_session_policies_limit_what_the_role_is_granted(sts: Sts, key: str) -> None:
    role = sts.role(trust(ROOT))
    grant(sts, key, role)
    encrypt(sts, key, sts.assume(role, Policy=json.dumps(policy("kms:Encrypt"))))
    with refused("AccessDeniedException"):
        encrypt(sts, key, sts.assume(role, Policy=OTHERS_ONLY))
    with refused("AccessDeniedException"):
        encrypt(sts, key, sts.assume(role, Policy=json.dumps(policy("kms:*", effect="Deny"))))


def test_a_grant_across_accounts_needs_no_identity_policy(sts: Sts, key: str) -> None:
    role = sts.role(trust(f"arn:aws:iam::{ACCOUNT}:root"), user="stranger")
    grant(sts, key, role, "Encrypt", "RetireGrant", Name="across")
    session = sts.assume(role)
    encrypt(sts, key, session)
    (shown,) = sts.of("admin", "kms").list_grants(KeyId=key)["Grants"]
    assert shown["GranteePrincipal"] == role
    sts.by(session["Credentials"], "kms").retire_grant(KeyId=key, GrantId=shown["GrantId"])
    with refused("AccessDeniedException"):
        encrypt(sts, key, session)


def test_a_grant_to_a_federated_user(sts: Sts, key: str) -> None:
    session = sts.of("federator").get_federation_token(Name="bob")
    grant(sts, key, session["FederatedUser"]["Arn"])
    encrypt(sts, key, session)
    with refused("AccessDeniedException"):
        encrypt(sts, key, sts.of("federator").get_federation_token(Name="alice"))


def test_the_root_user_is_the_account(sts: Sts) -> None:
    """As it is in key policies; it retires what its account has granted."""
    kms = sts.of("admin", "kms")
    only_admin = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": user_arn("admin")},
                "Action": "kms:*",
                "Resource": "*",
            }
        ],
    }
    key = kms.create_key(Policy=json.dumps(only_admin))["KeyMetadata"]["Arn"]
    root = sts.of("root", "kms")
    with refused("AccessDeniedException"):
        root.encrypt(KeyId=key, Plaintext=b"x")
    made = grant(sts, key, ROOT)
    root.encrypt(KeyId=key, Plaintext=b"x")
    with refused("AccessDeniedException"):
        sts.of("nobody", "kms").encrypt(KeyId=key, Plaintext=b"x")
    root.retire_grant(KeyId=key, GrantId=made["GrantId"])


def test_the_audit_shows_grants_and_no_tokens(sts: Sts, key: str) -> None:
    kms = sts.of("admin", "kms")
    more = {"RetiringPrincipal": user_arn("admin"), "Constraints": {"EncryptionContextEquals": {"a": "1"}}}
    made = grant(sts, key, user_arn("nobody"), **more)
    kms.describe_key(KeyId=key, GrantTokens=[made["GrantToken"]])
    kms.retire_grant(GrantToken=made["GrantToken"])
    revoked = grant(sts, key, user_arn("nobody"))
    kms.revoke_grant(KeyId=key, GrantId=revoked["GrantId"])

    done = casemate("audit", "tail", "--data", str(sts.server.data), "--json", "-n", "all")
    assert done.returncode == 0, done.stderr
    assert made["GrantToken"] not in done.stdout
    assert revoked["GrantToken"] not in done.stdout
    records = [json.loads(line) for line in done.stdout.splitlines()]

    def only(name: str, grant_id: str) -> Any:
        (found,) = (each for each in records if each["eventName"] == name and grant_id in json.dumps(each))
        return found

    created = only("CreateGrant", made["GrantId"])
    assert created["responseElements"] == {"grantId": made["GrantId"]}
    assert created["readOnly"] is False
    assert created["requestParameters"] == {
        "keyId": key,
        "granteePrincipal": user_arn("nobody"),
        "retiringPrincipal": user_arn("admin"),
        "operations": ["Encrypt"],
        "constraints": {"encryptionContextEquals": {"a": "1"}},
    }
    retired = only("RetireGrant", made["GrantId"])
    assert retired["additionalEventData"] == {"grantId": made["GrantId"]}
    assert retired["resources"] == [{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": key}]
    assert only("RevokeGrant", revoked["GrantId"])["requestParameters"]["grantId"] == revoked["GrantId"]
