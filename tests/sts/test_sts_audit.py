"""How the audit journal shows sessions: who gave them, and who acts by them. And how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from server_support import casemate, environment, refused
from sts_support import ACCOUNT, OTHER_ACCOUNT, Sts, policy, sts_server, trust, user_arn

ROOT = f"arn:aws:iam::{ACCOUNT}:root"


def events(sts: Sts, name: str) -> list[dict[str, Any]]:
    done = casemate("audit", "tail", "--data", str(sts.server.data), "--json", "-n", "all")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return [record for record in records if record["eventName"] == name]


def test_who_gave_a_session_and_who_acts_by_it(sts: Sts) -> None:
    arn = sts.role(
        trust(ROOT, "sts:AssumeRole", "sts:SetSourceIdentity"), policy("kms:ListKeys"), user="stranger"
    )
    name = arn.rpartition("/")[2]
    role_id = sts.of("stranger", "iam").get_role(RoleName=name)["Role"]["RoleId"]
    answer = sts.assume(arn, RoleSessionName="audited", SourceIdentity="alice")
    credentials = answer["Credentials"]
    given = [
        record
        for record in events(sts, "AssumeRole")
        if record["requestParameters"]["roleSessionName"] == "audited"
    ]
    # One for the caller's account and one for the role's.
    assert {record["recipientAccountId"] for record in given} == {ACCOUNT, OTHER_ACCOUNT}
    assert len({record["sharedEventID"] for record in given}) == 1
    record = given[0]
    assert record["readOnly"] is True
    assert record["userIdentity"]["arn"] == user_arn("admin")
    assert record["resources"] == [{"accountId": OTHER_ACCOUNT, "type": "AWS::IAM::Role", "ARN": arn}]
    shown = record["responseElements"]
    assert shown["credentials"]["accessKeyId"] == credentials["AccessKeyId"]
    assert shown["assumedRoleUser"]["arn"] == answer["AssumedRoleUser"]["Arn"]
    assert shown["sourceIdentity"] == "alice"
    for secret in (credentials["SecretAccessKey"], credentials["SessionToken"]):
        assert secret not in json.dumps(given)

    sts.by(credentials, "kms").list_keys()
    acting = events(sts, "ListKeys")[-1]["userIdentity"]
    attributes = acting["sessionContext"].pop("attributes")
    assert attributes["mfaAuthenticated"] == "false"
    assert attributes["creationDate"].endswith("Z")
    assert acting == {
        "type": "AssumedRole",
        "principalId": f"{role_id}:audited",
        "arn": f"arn:aws:sts::{OTHER_ACCOUNT}:assumed-role/{name}/audited",
        "accountId": OTHER_ACCOUNT,
        "accessKeyId": credentials["AccessKeyId"],
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": role_id,
                "arn": arn,
                "accountId": OTHER_ACCOUNT,
                "userName": name,
            },
            "sourceIdentity": "alice",
        },
    }


def test_users_sessions_and_federated_users_in_the_audit(sts: Sts) -> None:
    credentials = sts.of("admin").get_session_token()["Credentials"]
    sts.by(credentials, "kms").list_aliases()
    acting = events(sts, "ListAliases")[-1]["userIdentity"]
    assert (acting["type"], acting["arn"]) == ("IAMUser", user_arn("admin"))
    assert acting["accessKeyId"] == credentials["AccessKeyId"]
    assert acting["sessionContext"]["attributes"]["mfaAuthenticated"] == "false"
    everything = json.dumps(policy("*"))
    federated = sts.of("admin").get_federation_token(Name="bob", Policy=everything)["Credentials"]
    sts.by(federated, "kms").list_aliases()
    acting = events(sts, "ListAliases")[-1]["userIdentity"]
    assert (acting["type"], acting["principalId"]) == ("FederatedUser", f"{ACCOUNT}:bob")
    assert acting["arn"] == f"arn:aws:sts::{ACCOUNT}:federated-user/bob"
    issuer = acting["sessionContext"]["sessionIssuer"]
    assert (issuer["type"], issuer["arn"], issuer["userName"]) == ("IAMUser", user_arn("admin"), "admin")


def test_an_expired_session(tmp_path: Path) -> None:
    with sts_server(tmp_path) as sts:
        credentials = sts.assume(sts.role(trust(ROOT), policy("kms:*")), DurationSeconds=900)["Credentials"]
        data = str(sts.server.data)
        assert sts.by(credentials, "kms").list_keys()["Keys"] == []
        casemate("clock", "--data", data, "--advance", "10m")
        assert sts.by(credentials, "kms").list_keys()["Keys"] == []
        casemate("clock", "--data", data, "--advance", "6m")
        expired = "The security token included in the request is expired"
        with refused("ExpiredTokenException", expired):
            sts.by(credentials, "kms").list_keys()
        with refused("ExpiredToken", expired, 403):
            sts.by(credentials).get_caller_identity()


def test_sessions_outlive_the_server_that_gave_them(tmp_path: Path) -> None:
    with sts_server(tmp_path) as sts:
        credentials = sts.assume(sts.role(trust(ROOT)))["Credentials"]
    with sts_server(tmp_path, "--workers", "2") as sts:
        for _ in range(4):
            assert sts.by(credentials).get_caller_identity()["Account"] == ACCOUNT


def test_the_cli_follows_a_chain_of_profiles_over_accounts(sts: Sts, tmp_path: Path) -> None:
    """Source profiles, an external id, and a role of another account at the end."""
    middle = sts.role(
        trust(ROOT, Condition={"StringEquals": {"sts:ExternalId": "chain-42"}}), policy("sts:AssumeRole")
    )
    last = sts.role(trust(middle), policy("kms:CreateKey", "kms:TagResource"), user="stranger")
    config = tmp_path / "config"
    config.write_text(
        "[profile base]\n"
        "aws_access_key_id = AKIATESTASSUMERXXXXX\n"
        "aws_secret_access_key = secret-of-assumer-0123456789\n"
        f"[profile middle]\nsource_profile = base\nrole_arn = {middle}\nexternal_id = chain-42\n"
        f"[profile last]\nsource_profile = middle\nrole_arn = {last}\nrole_session_name = chained\n"
    )
    env = {
        "HOME": str(tmp_path),
        "AWS_CONFIG_FILE": str(config),
        "AWS_ENDPOINT_URL": sts.server.endpoint,
        "AWS_DEFAULT_REGION": "eu-west-1",
    }

    def aws(*args: str, profile: str) -> Any:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "aws"), *args, "--profile", profile, "--output", "json"],
            capture_output=True,
            text=True,
            check=False,
            env=environment(env),
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    me = aws("sts", "get-caller-identity", profile="last")
    assert me["Arn"] == f"arn:aws:sts::{OTHER_ACCOUNT}:assumed-role/{last.rpartition('/')[2]}/chained"
    key = aws("kms", "create-key", profile="last")["KeyMetadata"]
    assert key["Arn"].startswith(f"arn:aws:kms:eu-west-1:{OTHER_ACCOUNT}:key/")


def test_a_presigned_url_by_temporary_credentials(sts: Sts) -> None:
    """The token is a parameter of it, which the signature covers."""
    credentials = sts.of("admin").get_session_token()["Credentials"]
    url = sts.by(credentials).generate_presigned_url("get_caller_identity", HttpMethod="GET")
    with urlopen(url) as answer:
        assert user_arn("admin") in answer.read().decode()
    other = sts.of("admin").get_session_token()["Credentials"]["SessionToken"]
    with pytest.raises(HTTPError, match="403"):
        urlopen(url.replace(quote(credentials["SessionToken"], safe=""), other))
