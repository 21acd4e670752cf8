"""Servers with accounts and users for Secrets Manager's tests, and clients of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from server_support import Server, casemate, running_server
from server_support import refused as refused
from users_support import Users, seed_of
from users_support import access_key as access_key

from casemate.gate.call import Call
from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
REGION, REPLICA_REGION = "us-east-1", "eu-west-1"
NO_SECRET = "Secrets Manager can't find the specified secret."
MARKED = "You can't perform this operation on the secret because it was marked for deletion."
ON_REPLICA = "Operation not permitted on a replica secret. Call must be made in primary secret's region."


def inline(
    *actions: str, resource: str = "*", condition: Mapping[str, Any] | None = None, effect: str = "Allow"
) -> str:
    """An identity policy of one statement."""
    statement: dict[str, Any] = {"Effect": effect, "Action": list(actions), "Resource": resource}
    if condition is not None:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


_USERS: Users = {
    "admin": (ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
    "nobody": (ACCOUNT, (), ""),
    "limited": (ACCOUNT, (), ""),
    "stranger": (OTHER_ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
}


def user_arn(user: str) -> str:
    return f"arn:aws:iam::{_USERS[user][0]}:user/{user}"


def seed() -> dict[str, Any]:
    return seed_of(_USERS, ACCOUNT, OTHER_ACCOUNT)


class SecretsServer:
    """A running server's Secrets Manager, as its users see it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._clients: dict[tuple[str, str, str], Any] = {}

    def of(self, user: str = "admin", region: str = REGION, service: str = "secretsmanager") -> Any:
        """A boto3 client by that user's access key."""
        place = (user, region, service)
        if place not in self._clients:
            self._clients[place] = self.server.client(service, access_key(user), region=region)
        return self._clients[place]

    def limit(self, policy: str) -> Any:
        """The client of a user who may do what this policy says, and nothing else."""
        self.of(service="iam").put_user_policy(UserName="limited", PolicyName="own", PolicyDocument=policy)
        return self.of("limited")

    def secret(self, value: str | None = "first", **more: Any) -> Any:
        """A new secret, as CreateSecret answers it."""
        more.setdefault("Name", f"test/{uuid4()}")
        if value is not None:
            more["SecretString"] = value
        return self.of().create_secret(**more)

    def key(self, region: str = REGION, **more: Any) -> str:
        """A new KMS key's ARN."""
        arn: str = self.of(region=region, service="kms").create_key(**more)["KeyMetadata"]["Arn"]
        return arn

    def advance(self, by: str) -> None:
        """Move the server's clock ("365d") and wait for what is due by then."""
        moved = casemate("clock", "--data", str(self.server.data), "--advance", by)
        assert moved.returncode == 0, moved.stderr

    def events(self, name: str) -> list[dict[str, Any]]:
        """The audit's records of that name."""
        listed = casemate("audit", "tail", "--data", str(self.server.data), "-n", "all", "--json")
        assert listed.returncode == 0, listed.stderr
        return [
            record for record in map(json.loads, listed.stdout.splitlines()) if record["eventName"] == name
        ]


def policy(*statements: Mapping[str, Any]) -> str:
    """A resource policy."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(principal: Any, *actions: str, **more: Any) -> dict[str, Any]:
    """A resource policy's statement that allows, unless more says otherwise."""
    return {"Effect": "Allow", "Principal": principal, "Action": list(actions), "Resource": "*", **more}


def call_by(account: str = ACCOUNT) -> Call:
    """A call as resolvers see it, of no operation and from no client."""
    call = object.__new__(Call)
    call.account, call.region = account, REGION
    call.transaction, call.mutable = None, False
    return call


@contextmanager
def secrets_server(folder: Path, env: Mapping[str, str] | None = None) -> Iterator[SecretsServer]:
    file = folder / "seed.json"
    file.write_text(json.dumps(seed()))
    with running_server(folder, "--dev", "--seed", str(file), env=env) as server:
        yield SecretsServer(server)
