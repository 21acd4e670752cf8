"""A server with accounts and users for STS's tests, and clients by long-term and temporary credentials."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig
from server_support import Server, running_server

from casemate.services.iam.identities import AccessKey
from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
REGION = "us-east-1"


def policy(*actions: str, resource: str = "*", effect: str = "Allow", **more: Any) -> dict[str, Any]:
    """An identity policy of one statement."""
    statement = {"Effect": effect, "Action": list(actions), "Resource": resource, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


# user: (account, attached policies, inline policy)
_USERS: dict[str, tuple[str, tuple[str, ...], dict[str, Any] | None]] = {
    "admin": (ACCOUNT, (ADMINISTRATOR_ACCESS,), None),
    "nobody": (ACCOUNT, (), None),
    "federator": (ACCOUNT, (), policy("kms:*", "sts:GetFederationToken")),
    "assumer": (ACCOUNT, (), policy("sts:AssumeRole")),
    "stranger": (OTHER_ACCOUNT, (ADMINISTRATOR_ACCESS,), None),
}


def access_key(user: str) -> AccessKey:
    name = user.upper().ljust(12, "X")
    return AccessKey(f"AKIATEST{name}", f"secret-of-{user}-0123456789")


ROOT_KEY = AccessKey("AKIATESTROOTXXXXXXXX", "secret-of-the-root-0123456789")


def user_arn(user: str) -> str:
    return f"arn:aws:iam::{_USERS[user][0]}:user/{user}"


def seed() -> dict[str, Any]:
    accounts: dict[str, dict[str, Any]] = {
        account: {"id": account, "name": f"account {account}", "users": []}
        for account in (ACCOUNT, OTHER_ACCOUNT)
    }
    accounts[ACCOUNT]["root_access_keys"] = [ROOT_KEY._asdict()]
    for user, (account, attached, inline) in _USERS.items():
        accounts[account]["users"].append(
            {
                "name": user,
                "attached_policies": list(attached),
                "inline_policies": {} if inline is None else {"own": inline},
                "access_keys": [access_key(user)._asdict()],
            }
        )
    return {"accounts": list(accounts.values())}


_numbers = count(1)


def trust(principal: Any, *actions: str, **more: Any) -> dict[str, Any]:
    """A trust policy of one statement."""
    statement = {
        "Effect": "Allow",
        "Principal": principal if isinstance(principal, dict) else {"AWS": principal},
        "Action": list(actions or ("sts:AssumeRole",)),
        **more,
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


class Sts:
    """A running server's STS, as its users see it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._clients: dict[tuple[str, str], Any] = {}

    def of(self, user: str = "admin", service: str = "sts") -> Any:
        """A client by a user's access key."""
        client = self._clients.get((user, service))
        if client is None:
            key = ROOT_KEY if user == "root" else access_key(user)
            client = self._clients[user, service] = self.server.client(service, key)
        return client

    def role(
        self,
        trusts: Mapping[str, Any],
        may: Mapping[str, Any] | None = None,
        user: str = "admin",
        **more: Any,
    ) -> str:
        """The ARN of a new role. may: its permissions; user: who makes it, in whose account it is."""
        iam = self.of(user, "iam")
        name = f"role-{next(_numbers)}"
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trusts), **more)[
            "Role"
        ]["Arn"]
        if may is not None:
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(may))
        return arn

    def assume(self, arn: str, user: str = "admin", **more: Any) -> Any:
        """AssumeRole's answer."""
        return self.of(user).assume_role(RoleArn=arn, **{"RoleSessionName": "test", **more})

    def by(self, credentials: Mapping[str, Any], service: str = "sts", region: str = REGION) -> Any:
        """A client by temporary credentials, as STS's answers hold them. It checks no parameters."""
        session: Any = boto3.session.Session(
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials.get("SessionToken"),
            region_name=region,
        )
        return session.client(
            service,
            endpoint_url=self.server.endpoint,
            config=ClientConfig(retries={"total_max_attempts": 1}, parameter_validation=False),
        )


@contextmanager
def sts_server(folder: Path, *args: str) -> Iterator[Sts]:
    file = folder / "seed.json"
    file.write_text(json.dumps(seed()))
    with running_server(folder, "--dev", "--seed", str(file), *args) as server:
        yield Sts(server)
