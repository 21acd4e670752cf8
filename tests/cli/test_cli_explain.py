"""``casemate whoami``, ``explain`` and ``policy generate``, against servers whose calls they tell about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError
from server_support import Server, casemate, running_server


class People:
    """A server, and clients of it by new users and sessions."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.iam = server.client("iam")
        self.kms = server.client("kms")
        self.account = server.administrator.account
        self.admin: str = server.client("sts").get_caller_identity()["Arn"]

    def run(self, *args: str) -> str:
        done = casemate(*args, "--data", str(self.server.data))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def by(self, credentials: Any, service: str = "kms") -> Any:
        session: Any = boto3.session.Session(
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials.get("SessionToken"),
            region_name="us-east-1",
        )
        config = ClientConfig(retries={"total_max_attempts": 1})
        return session.client(service, endpoint_url=self.server.endpoint, config=config)

    def user(self, name: str, policy: Any = None) -> Any:
        """A new user's client."""
        self.iam.create_user(UserName=name)
        if policy is not None:
            self.iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        return self.by(self.iam.create_access_key(UserName=name)["AccessKey"])

    def role(self, name: str, policy: Any) -> str:
        root = {"AWS": f"arn:aws:iam::{self.account}:root"}
        trust = document(
            {"Effect": "Allow", "Principal": root, "Action": ["sts:AssumeRole", "sts:TagSession"]}
        )
        arn: str = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"][
            "Arn"
        ]
        self.iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        return arn

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.run("audit", "tail", "--json", "-n", "all").splitlines()
        return [record for line in lines if (record := json.loads(line))["eventName"] == name]

    def explain(self, name: str) -> str:
        """What is said of the last event of that name."""
        return self.run("explain", self.events(name)[-1]["eventID"])


def document(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    with running_server(tmp_path_factory.mktemp("people"), "--dev") as server:
        yield People(server)


def test_a_refusal_for_want_of_a_statement(people: People) -> None:
    by_tls = {"Bool": {"aws:SecureTransport": "true"}}
    alice = people.user("alice", document(allow("kms:Encrypt"), allow("kms:CreateKey", Condition=by_tls)))
    with pytest.raises(ClientError):
        alice.create_key()
    told = people.explain("CreateKey")
    arn = f"arn:aws:iam::{people.account}:user/alice"
    assert "call     kms:CreateKey at " in told
    assert f"by       {arn}" in told
    assert f"then     refused: AccessDeniedException: User: {arn} is not authorized" in told
    assert "now      refused because no identity-based policy allows the kms:CreateKey action" in told
    assert "  identity-based policy own\n" in told
    assert "statement 1: Allow, does not apply: the action is not covered" in told
    assert "statement 2: Allow, does not apply: the condition Bool on aws:securetransport is not met" in told
    assert "refused: no identity-based policy allows it" in told
    assert "changed" not in told


def test_an_explicit_deny_decides(people: People) -> None:
    deny = {"Sid": "NoKeys", "Effect": "Deny", "Action": "kms:ListKeys", "Resource": "*"}
    bob = people.user("bob", document(allow("kms:*"), deny))
    with pytest.raises(ClientError):
        bob.list_keys()
    told = people.explain("ListKeys")
    assert "→   statement 2 'NoKeys': Deny, applies" in told
    assert "decided by the Deny in the identity-based policy own" in told


def test_an_allowed_call_with_its_key_policy_and_encryption_context(people: People) -> None:
    key = people.kms.create_key()["KeyMetadata"]
    condition = {"StringEquals": {"kms:EncryptionContext:stage": "test"}}
    carol = people.user("carol", document(allow("kms:Encrypt", "kms:Decrypt", Condition=condition)))
    context = {"stage": "test"}
    blob = carol.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext=context)["CiphertextBlob"]
    told = people.explain("Encrypt")
    assert "then     allowed\nnow      allowed\n" in told
    assert f"kms:Encrypt on {key['Arn']}" in told
    assert (
        "statement 1 'Enable IAM User Permissions': Allow, applies to the account, whose identity policies"
        in told
    )
    assert "→   statement 1: Allow, applies" in told
    # The ciphertext is not in the audit, but the key is that it was made with.
    carol.decrypt(CiphertextBlob=blob, EncryptionContext=context)
    assert "then     allowed\nnow      allowed\n" in people.explain("Decrypt")
    with pytest.raises(ClientError):
        carol.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    told = people.explain("Encrypt")
    assert "the condition StringEquals on kms:encryptioncontext:stage is not met" in told


def test_what_changed_since_is_said(people: People) -> None:
    dave = people.user("dave", document(allow("kms:ListAliases")))
    dave.list_aliases()
    event = people.events("ListAliases")[-1]
    people.iam.delete_user_policy(UserName="dave", PolicyName="own")
    told = people.run("explain", event["requestID"])
    assert "then     allowed\nnow      refused because no identity-based policy allows" in told
    assert "changed  what stands now decides otherwise than what stood then" in told
    assert f"iam:DeleteUserPolicy by {people.admin}" in told
    people.iam.put_user_policy(
        UserName="dave", PolicyName="own", PolicyDocument=json.dumps(document(allow("kms:*")))
    )
    told = people.run("explain", event["eventID"])
    assert "changed  it is decided as then, but policies may have changed since" in told


def test_a_sessions_policies_and_tags_count(people: People) -> None:
    tagged = allow(
        "kms:ListKeys", "kms:ListAliases", Condition={"StringEquals": {"aws:PrincipalTag/team": "red"}}
    )
    arn = people.role("deployer", document(tagged))
    sts = people.server.client("sts")
    session = people.by(
        sts.assume_role(
            RoleArn=arn,
            RoleSessionName="explained",
            Policy=json.dumps(document(allow("kms:ListKeys"))),
            Tags=[{"Key": "team", "Value": "red"}],
        )["Credentials"]
    )
    session.list_keys()
    told = people.explain("ListKeys")
    assert f"by       arn:aws:sts::{people.account}:assumed-role/deployer/explained" in told
    assert "then     allowed\nnow      allowed\n" in told
    assert "  session policy session policy\n" in told
    with pytest.raises(ClientError):
        session.list_aliases()
    told = people.explain("ListAliases")
    assert "now      refused because no session policy allows the kms:ListAliases action" in told


def test_what_was_refused_before_policies(people: People) -> None:
    wrong = people.by({"AccessKeyId": people.server.administrator.key.id, "SecretAccessKey": "x" * 40})
    with pytest.raises(ClientError):
        wrong.list_retirable_grants(RetiringPrincipal="arn:aws:iam::111122223333:root")
    told = people.explain("ListRetirableGrants")
    assert "then     failed, not for want of permission: InvalidSignatureException" in told
    assert "now      not looked at: " in told
    people.server.client("sts").get_caller_identity()
    assert "now      allowed: it needs no permission" in people.explain("GetCallerIdentity")


def test_an_event_that_is_not_there(people: People) -> None:
    done = casemate("explain", "absent", "--data", str(people.server.data))
    assert (done.returncode, done.stdout) == (1, "")
    assert "the journal has no event absent" in done.stderr


# --- the least policy


def test_the_policy_for_what_a_user_did(people: People) -> None:
    key, other = (people.kms.create_key()["KeyMetadata"] for _ in range(2))
    erin = people.user("erin", document(allow("kms:*")))
    blob = erin.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    erin.decrypt(CiphertextBlob=blob)
    erin.encrypt(KeyId=other["KeyId"], Plaintext=b"x")
    erin.re_encrypt(CiphertextBlob=blob, DestinationKeyId=other["KeyId"])
    erin.create_alias(AliasName="alias/erin", TargetKeyId=key["KeyId"])
    erin.list_keys()
    with pytest.raises(ClientError):
        people.by(people.iam.create_access_key(UserName="erin")["AccessKey"], "iam").list_users()
    done = casemate("policy", "generate", "--from-audit", "erin", "--data", str(people.server.data))
    assert done.returncode == 0, done.stderr
    policy = json.loads(done.stdout)
    alias = f"arn:aws:kms:us-east-1:{people.account}:alias/erin"
    granted = {
        (action, resource)
        for statement in policy["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }
    assert granted == {
        ("kms:CreateAlias", alias),
        ("kms:CreateAlias", key["Arn"]),
        ("kms:Decrypt", key["Arn"]),
        ("kms:Encrypt", key["Arn"]),
        ("kms:Encrypt", other["Arn"]),
        ("kms:ReEncryptFrom", key["Arn"]),
        ("kms:ReEncryptTo", other["Arn"]),
        ("kms:ListKeys", "*"),
    }
    assert policy["Version"] == "2012-10-17"
    assert "from 6 calls between " in done.stderr
    assert "left out: 1 calls that were refused" in done.stderr
    # With it in place of the other, everything that was done can be done again.
    people.iam.put_user_policy(UserName="erin", PolicyName="own", PolicyDocument=done.stdout)
    erin.decrypt(CiphertextBlob=erin.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"])
    erin.re_encrypt(CiphertextBlob=blob, DestinationKeyId=other["KeyId"])
    with pytest.raises(ClientError):
        erin.describe_key(KeyId=key["KeyId"])


def test_the_policy_for_what_a_roles_sessions_did(people: People) -> None:
    arn = people.role("builder", document(allow("kms:*")))
    sts = people.server.client("sts")
    for name in ("one", "two"):
        session = people.by(sts.assume_role(RoleArn=arn, RoleSessionName=name)["Credentials"])
        (session.list_keys if name == "one" else session.list_aliases)()
    expected = document({"Effect": "Allow", "Action": ["kms:ListAliases", "kms:ListKeys"], "Resource": ["*"]})
    for principal in (arn, "builder"):
        assert json.loads(people.run("policy", "generate", "--from-audit", principal)) == expected
    only = json.loads(
        people.run(
            "policy", "generate", "--from-audit", f"arn:aws:sts::{people.account}:assumed-role/builder/one"
        )
    )
    assert only == document({"Effect": "Allow", "Action": ["kms:ListKeys"], "Resource": ["*"]})


def test_the_policy_of_somebody_who_did_nothing(people: People) -> None:
    done = casemate("policy", "generate", "--from-audit", "nobody", "--data", str(people.server.data))
    assert (done.returncode, done.stdout) == (1, "")
    assert "the journal has no call of nobody" in done.stderr


# --- who am I


def test_who_the_administrator_is(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    told = json.loads(people.run("whoami", "--json"))
    assert told == {
        "arn": people.admin,
        "account": people.account,
        "user_id": told["user_id"],
        "kind": "user",
        "access_key": people.server.administrator.key.id,
        "from": "the administrator's credentials",
        "endpoint": people.server.endpoint,
    }
    assert told["user_id"].startswith("AIDA")
    assert f"arn         {told['arn']}\n" in people.run("whoami")


def test_who_the_shells_credentials_are(people: People, tmp_path: Path) -> None:
    arn = people.role("shell", document(allow("kms:*")))
    credentials = people.server.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    env = {
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
        "AWS_ENDPOINT_URL": people.server.endpoint,
    }
    done = casemate("whoami", "--json", env=env)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["arn"] == f"arn:aws:sts::{people.account}:assumed-role/shell/me"
    assert (told["kind"], told["from"]) == ("session of a role", "the shell's AWS settings")
    done = casemate("whoami", env={**env, "AWS_SECRET_ACCESS_KEY": "x" * 40})
    assert done.returncode == 1
    assert "refuses: The request signature we calculated does not match" in done.stderr
    done = casemate("whoami", env={**env, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert done.returncode == 1
    assert "http://127.0.0.1:1 cannot be asked" in done.stderr
