"""A server for IAM's tests: its account's administrator, and users that tests make as they need them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from server_support import Server, running_server

from casemate.services.iam.identities import AccessKey

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
ADMIN = AccessKey("AKIAIAMTESTADMIN0000", "the-secret-of-the-admin-0123456789")
ROOT = AccessKey("AKIAIAMTESTROOT00000", "the-secret-of-the-root-0123456789")
STRANGER = AccessKey("AKIAIAMTESTOTHER0000", "the-secret-of-the-stranger-01234567")
ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"

_numbers = count(1)


def name(prefix: str = "x") -> str:
    """One that no other test uses."""
    return f"{prefix}-{next(_numbers)}"


def policy(*actions: str, resource: Any = "*", effect: str = "Allow", **more: Any) -> str:
    """A document of one statement."""
    statement = {"Effect": effect, "Action": list(actions), "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trust(principal: Any) -> str:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


TRUST = trust({"Service": "ec2.amazonaws.com"})


def tags(**values: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in values.items()]


def arn(kind: str, path_and_name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:{kind}/{path_and_name}"


class Iam:
    """A running server's IAM. admin: a boto3 client by an administrator; unchecked: one that sends what it is given,
    whatever the model says."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.admin = server.client("iam", ADMIN)
        session: Any = boto3.session.Session(ADMIN.id, ADMIN.secret, region_name="us-east-1")
        self.unchecked = session.client(
            "iam", endpoint_url=server.endpoint, config=Config(parameter_validation=False)
        )

    def client(self, service: str, key: AccessKey, region: str = "us-east-1") -> Any:
        return self.server.client(service, key, region=region)

    def key(self, user: str) -> AccessKey:
        """A new access key of a user."""
        made = self.admin.create_access_key(UserName=user)["AccessKey"]
        return AccessKey(made["AccessKeyId"], made["SecretAccessKey"])

    def user(self, *documents: str, **more: Any) -> str:
        """A new user's name, with inline policies."""
        user = name("user")
        self.admin.create_user(UserName=user, **more)
        for number, document in enumerate(documents):
            self.admin.put_user_policy(UserName=user, PolicyName=f"p{number}", PolicyDocument=document)
        return user

    def caller(self, *documents: str, service: str = "iam", **more: Any) -> Any:
        """A client by a new user with inline policies."""
        return self.client(service, self.key(self.user(*documents, **more)))

    def role(self, **more: Any) -> str:
        role = name("role")
        self.admin.create_role(RoleName=role, **{"AssumeRolePolicyDocument": TRUST, **more})
        return role

    def group(self, **more: Any) -> str:
        group = name("group")
        self.admin.create_group(GroupName=group, **more)
        return group

    def managed(self, *actions: str, **more: Any) -> str:
        """A new managed policy's ARN."""
        made = self.admin.create_policy(
            PolicyName=name("policy"), PolicyDocument=policy(*(actions or ("kms:List*",))), **more
        )
        return str(made["Policy"]["Arn"])


def denied(who: str, action: str, resource: str, why: str = "") -> str:
    """AWS's text of a refusal. why: unless no identity policy allows it."""
    reason = why or f"because no identity-based policy allows the {action} action"
    return f"User: {who} is not authorized to perform: {action} on resource: {resource} {reason}"


def pages(operation: Any, result: str, size: int = 2, **request: Any) -> list[list[Any]]:
    """All pages of a list."""
    found: list[list[Any]] = []
    marker: dict[str, str] = {}
    while True:
        answer: Mapping[str, Any] = operation(MaxItems=size, **request, **marker)
        found.append(answer[result])
        if not answer["IsTruncated"]:
            assert "Marker" not in answer
            return found
        marker = {"Marker": answer["Marker"]}


@contextmanager
def iam_server(folder: Path, *args: str) -> Iterator[Iam]:
    seed = {
        "accounts": [
            {
                "id": ACCOUNT,
                "root_access_keys": [ROOT._asdict()],
                "users": [
                    {
                        "name": "admin",
                        "attached_policies": [ADMINISTRATOR_ACCESS],
                        "access_keys": [ADMIN._asdict()],
                    }
                ],
            },
            {
                "id": OTHER_ACCOUNT,
                "users": [
                    {
                        "name": "stranger",
                        "attached_policies": [ADMINISTRATOR_ACCESS],
                        "access_keys": [STRANGER._asdict()],
                    }
                ],
            },
        ]
    }
    file = folder / "seed.json"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(seed))
    with running_server(folder, "--dev", "--seed", str(file), *args) as server:
        yield Iam(server)
