"""An organisation as its people and its CI use it: the AWS CLI, by profiles that assume roles across three accounts,
and by an ID token, under service control policies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from issuer_support import AUDIENCE, Issuer
from orgs_support import World, access_key, deny, document, organizations_server
from server_support import environment

ISSUER = "https://token.ci.example.com"
ALLOW = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def role(
    world: World, account: str, name: str, principal: Any, action: str = "sts:AssumeRole", **more: Any
) -> str:
    """The ARN of a new role that may do everything, and that somebody may assume."""
    iam = world.of(account, "iam")
    trust = {"Effect": "Allow", "Principal": principal, "Action": action, **more}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=document(ALLOW))
    return f"arn:aws:iam::{world.id(account)}:role/{name}"


def test_profiles_and_a_ci_job_under_service_control_policies(tmp_path: Path) -> None:
    issuer = Issuer(ISSUER)
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(issuer.key_set))
    settings = tmp_path / "casemate.toml"
    settings.write_text(f'oidc_hosts = []\n[oidc_keys]\n"{ISSUER}" = "{keys}"\n')
    with organizations_server(tmp_path / "server", "--config", str(settings)) as server:
        world = World(server, 0)
        world.organize("first", "second")
        admin = f"arn:aws:iam::{world.id('management')}:user/admin"
        middle = role(world, "first", "middle", {"AWS": admin})
        last = role(world, "second", "last", {"AWS": middle})
        provider = world.of("second", "iam").create_open_id_connect_provider(
            Url=ISSUER, ClientIDList=[AUDIENCE]
        )["OpenIDConnectProviderArn"]
        deploy = role(
            world,
            "second",
            "deploy",
            {"Federated": provider},
            "sts:AssumeRoleWithWebIdentity",
            Condition={"StringLike": {"token.ci.example.com:sub": "repo:octo-org/octo-repo:*"}},
        )
        token = tmp_path / "token"
        token.write_text(issuer.token())
        key = access_key(0, "management", "admin")
        config = tmp_path / "config"
        config.write_text(
            f"[profile base]\naws_access_key_id = {key.id}\naws_secret_access_key = {key.secret}\n"
            f"[profile middle]\nsource_profile = base\nrole_arn = {middle}\n"
            f"[profile last]\nsource_profile = middle\nrole_arn = {last}\nrole_session_name = chained\n"
            f"[profile ci]\nrole_arn = {deploy}\nweb_identity_token_file = {token}\nrole_session_name = job-1\n"
        )
        env = {
            "HOME": str(tmp_path),
            "AWS_CONFIG_FILE": str(config),
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

        def aws(profile: str, *args: str) -> subprocess.CompletedProcess[str]:
            command = [
                str(Path(sys.executable).parent / "aws"),
                *args,
                "--profile",
                profile,
                "--output",
                "json",
            ]
            return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(env))

        sessions = {
            "middle": ("first", "assumed-role/middle/"),
            "last": ("second", "assumed-role/last/chained"),
            "ci": ("second", "assumed-role/deploy/job-1"),
        }
        for profile, (account, who) in sessions.items():
            me = aws(profile, "sts", "get-caller-identity")
            assert me.returncode == 0, me.stderr
            assert json.loads(me.stdout)["Arn"].startswith(f"arn:aws:sts::{world.id(account)}:{who}")
            made = aws(profile, "kms", "create-key")
            assert made.returncode == 0, made.stderr

        scp = world.policy(deny("kms:CreateKey"))
        world.of().attach_policy(PolicyId=scp, TargetId=world.id("second"))
        for profile, (account, who) in sessions.items():
            made = aws(profile, "kms", "create-key")
            listed = aws(profile, "kms", "list-keys")
            assert listed.returncode == 0, "what the policy does not name goes on"
            if account == "first":
                assert made.returncode == 0, "another account's policy binds nobody here"
            else:
                arn = f"arn:aws:sts::{world.id('second')}:{who}"
                assert (
                    f"User: {arn} is not authorized to perform: kms:CreateKey on resource: * "
                    "with an explicit deny in a service control policy"
                ) in made.stderr
        world.of().detach_policy(PolicyId=scp, TargetId=world.id("second"))
        assert aws("ci", "kms", "create-key").returncode == 0

        token.write_text(issuer.token(sub="repo:somebody/else:ref:refs/heads/main"))
        refused = aws("ci", "sts", "get-caller-identity")
        assert "Not authorized to perform sts:AssumeRoleWithWebIdentity" in refused.stderr
