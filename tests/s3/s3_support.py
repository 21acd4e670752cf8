"""Servers with accounts and users for S3's tests, and clients of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from server_support import Server, running_server
from server_support import refused as refused
from users_support import Users, seed_of
from users_support import access_key as access_key

from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
REGION = "us-east-1"

_USERS: Users = {
    "admin": (ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
    "nobody": (ACCOUNT, (), ""),
    "stranger": (OTHER_ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
    "powerless": (OTHER_ACCOUNT, (), ""),
}


def user_arn(user: str) -> str:
    return f"arn:aws:iam::{_USERS[user][0]}:user/{user}"


def seed() -> dict[str, Any]:
    seeded = seed_of(_USERS, ACCOUNT, OTHER_ACCOUNT)
    key = access_key("root")
    own = next(account for account in seeded["accounts"] if account["id"] == ACCOUNT)
    own["root_access_keys"] = [{"id": key.id, "secret": key.secret}]
    return seeded


class S3:
    """A running server's S3, as its users see it. env: the server's, beyond what all servers have."""

    def __init__(self, server: Server, env: Mapping[str, str] | None = None) -> None:
        self.server = server
        self.env = env or {}
        self._clients: dict[tuple[str, str, str, bool], Any] = {}
        self._given: set[str] = set()

    def of(self, user: str = "admin", region: str = REGION, *, service: str = "s3", tls: bool = False) -> Any:
        """A boto3 client by that user's access key; "root": the account's root user."""
        key = (user, region, service, tls)
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = self.server.client(
                service, access_key(user), region=region, tls=tls
            )
        return client

    def control(self, user: str = "admin", region: str = REGION) -> Any:
        """A client of S3 Control. Clients put the account's number before the endpoint's name, which no name server
        knows of: they connect to the endpoint all the same."""
        client = self.of(user, region, service="s3control")
        client.meta.events.register("before-send.s3-control", _without_account, unique_id="endpoint")
        return client

    def may(self, user: str, *statements: Mapping[str, Any]) -> None:
        """Let a user of IAM's what the statements say, and nothing else."""
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        self._given.add(user)
        self._iam_of(user).put_user_policy(
            UserName=user, PolicyName="own", PolicyDocument=json.dumps(document)
        )

    def take_back(self) -> None:
        """Undo every ``may``, for the next test."""
        for user in self._given:
            self._iam_of(user).delete_user_policy(UserName=user, PolicyName="own")
        self._given.clear()

    def _iam_of(self, user: str) -> Any:
        return self.of("admin" if _USERS[user][0] == ACCOUNT else "stranger", service="iam")

    def bucket(self, region: str = REGION, **more: Any) -> str:
        """A new bucket's name."""
        name = new_name()
        if region != "us-east-1":
            more["CreateBucketConfiguration"] = {"LocationConstraint": region}
        self.of(region=region).create_bucket(Bucket=name, **more)
        return name


def owned(s3: S3, bucket: str, ownership: str) -> None:
    """Let the bucket's objects be owned so."""
    rules = {"Rules": [{"ObjectOwnership": ownership}]}
    s3.of().put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)


def _without_account(request: Any, **_: Any) -> None:
    request.url = re.sub(r"//[0-9]{12}\.", "//", request.url)


def new_name() -> str:
    return f"b-{uuid4().hex}"


def allow(*actions: str, resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    """An identity policy's statement."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


@contextmanager
def s3_server(folder: Path, env: Mapping[str, str] | None = None) -> Iterator[S3]:
    file = folder / "seed.json"
    file.write_text(json.dumps(seed()))
    with running_server(folder, "--dev", "--seed", str(file), env=env) as server:
        yield S3(server, env)
