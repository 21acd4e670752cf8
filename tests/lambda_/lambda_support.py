"""Servers with users and roles for Lambda's tests, clients of them, and functions to try."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any
from uuid import uuid4

from server_support import Server, running_server
from server_support import refused as refused
from users_support import Users, seed_of
from users_support import access_key as access_key

from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/runner"
RUNTIME = f"python3.{sys.version_info.minor}"
NO_ROLE = f"arn:aws:iam::{ACCOUNT}:role/of-nobody"

_USERS: Users = {
    "admin": (ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
    "nobody": (ACCOUNT, (), ""),
    "limited": (ACCOUNT, (), ""),
    "stranger": (OTHER_ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
}


def user_arn(user: str) -> str:
    return f"arn:aws:iam::{_USERS[user][0]}:user/{user}"


def allowing(*actions: str, resource: str = "*", **more: Any) -> str:
    """An identity policy."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trusting(service: str) -> str:
    """A role's trust policy."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def zipped(files: Mapping[str, str]) -> bytes:
    """A deployment package."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, dedent(text))
    return buffer.getvalue()


ECHO = zipped(
    {
        "index.py": """
            def handler(event, context):
                return event
        """
    }
)


class Lambda:
    """A running server's Lambda, as its users see it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._clients: dict[tuple[str, str, str], Any] = {}

    def of(self, user: str = "admin", service: str = "lambda", region: str = REGION) -> Any:
        """A boto3 client by that user's access key."""
        key = (user, service, region)
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = self.server.client(service, access_key(user), region=region)
        return client

    def role(self, name: str, *actions: str, service: str = "lambda.amazonaws.com") -> str:
        """A new role that a service may assume, with permissions: its ARN."""
        iam = self.of(service="iam")
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusting(service))["Role"]["Arn"]
        if actions:
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=allowing(*actions))
        return arn

    def make(self, code: bytes | str = ECHO, **more: Any) -> str:
        """A new function: its name. code: a package, or the text of its index.py."""
        name: str = more.pop("FunctionName", None) or f"f-{uuid4().hex[:12]}"
        package = code if isinstance(code, bytes) else zipped({"index.py": code})
        self.of().create_function(
            **{
                "FunctionName": name,
                "Runtime": RUNTIME,
                "Role": ROLE,
                "Handler": "index.handler",
                "Code": {"ZipFile": package},
                **more,
            }
        )
        return name


def arn(name: str, qualifier: str = "") -> str:
    """A function's."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}" + (f":{qualifier}" if qualifier else "")


@contextmanager
def lambda_server(folder: Path, *args: str, env: Mapping[str, str] | None = None) -> Iterator[Lambda]:
    file = folder / "seed.json"
    file.write_text(json.dumps(seed_of(_USERS, ACCOUNT, OTHER_ACCOUNT)))
    with running_server(folder, "--dev", "--seed", str(file), *args, env=env) as server:
        running = Lambda(server)
        running.role("runner", "kms:*", "ssm:*")
        yield running
