"""A server with accounts and users for Parameter Store's tests, and clients of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from server_support import Server, casemate, running_server
from server_support import refused as refused
from users_support import Users, seed_of
from users_support import access_key as access_key

from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
REGION = "us-east-1"


def statement(*actions: str, resource: Any = "*", effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": list(actions), "Resource": resource, **more}


def policy(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def arn(name: str, account: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:ssm:{region}:{account}:parameter/{name.removeprefix('/')}"


# user: (account, attached policies, inline policy)
_USERS: Users = {
    "admin": (ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
    "nobody": (ACCOUNT, (), ""),
    "stranger": (OTHER_ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
    "powerless": (OTHER_ACCOUNT, (), ""),
    # May read what is below /team/, and decrypt nothing.
    "reader": (
        ACCOUNT,
        (),
        policy(
            statement("ssm:GetParameter", "ssm:GetParameters", resource=arn("team/*")),
            statement("ssm:GetParametersByPath", resource=arn("team")),
        ),
    ),
    "full": (ACCOUNT, ("arn:aws:iam::aws:policy/AmazonSSMFullAccess",), ""),
    "read-only": (ACCOUNT, ("arn:aws:iam::aws:policy/AmazonSSMReadOnlyAccess",), ""),
    "getter": (ACCOUNT, (), policy(statement("ssm:GetParameter"))),
    "flat": (
        ACCOUNT,
        (),
        policy(
            statement("ssm:GetParametersByPath"),
            statement(
                "ssm:GetParametersByPath",
                effect="Deny",
                Condition={"StringEquals": {"ssm:Recursive": "true"}},
            ),
        ),
    ),
    "maker": (
        ACCOUNT,
        (),
        policy(
            statement("ssm:PutParameter"),
            statement(
                "ssm:PutParameter", effect="Deny", Condition={"StringEquals": {"ssm:Overwrite": "true"}}
            ),
            statement(
                "ssm:PutParameter", effect="Deny", Condition={"StringEquals": {"ssm:Policies": "true"}}
            ),
        ),
    ),
    "tagged": (
        ACCOUNT,
        (),
        policy(
            statement("ssm:GetParameter", Condition={"StringEquals": {"aws:ResourceTag/team": "red"}}),
            statement("ssm:GetParameterHistory", Condition={"StringEquals": {"ssm:resourceTag/team": "red"}}),
            statement("ssm:PutParameter"),
            statement(
                "ssm:AddTagsToResource",
                Condition={
                    "StringEquals": {"aws:RequestTag/team": "red"},
                    "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]},
                },
            ),
        ),
    ),
}


def user_arn(user: str) -> str:
    return f"arn:aws:iam::{_USERS[user][0]}:user/{user}"


def seed() -> dict[str, Any]:
    return seed_of(_USERS, ACCOUNT, OTHER_ACCOUNT)


class Ssm:
    """A running server's Parameter Store, as its users see it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._clients: dict[tuple[str, str, str], Any] = {}

    def of(self, user: str = "admin", region: str = REGION, service: str = "ssm") -> Any:
        """A boto3 client by that user's access key."""
        place = (service, user, region)
        if place not in self._clients:
            self._clients[place] = self.server.client(service, access_key(user), region=region)
        return self._clients[place]

    @property
    def kms(self) -> Any:
        """The administrator's client of KMS."""
        return self.of(service="kms")

    def put(self, name: str, value: str = "value", user: str = "admin", **more: Any) -> Any:
        """PutParameter, of a String unless more says otherwise."""
        return self.of(user).put_parameter(Name=name, Value=value, **{"Type": "String", **more})

    def value(self, name: str, user: str = "admin", **more: Any) -> str:
        """A parameter's value, decrypted."""
        answer = self.of(user).get_parameter(Name=name, WithDecryption=True, **more)
        value: str = answer["Parameter"]["Value"]
        return value

    def advance(self, by: str) -> None:
        """Move the server's clock ("365d") and wait for what is due by then."""
        moved = casemate("clock", "--data", str(self.server.data), "--advance", by)
        assert moved.returncode == 0, moved.stderr

    def now(self) -> float:
        """By the server's clock."""
        shown = casemate("clock", "--data", str(self.server.data)).stdout
        return datetime.fromisoformat(shown.split()[0]).timestamp()

    def all_events(self, name: str) -> list[dict[str, Any]]:
        """The audit's records of that name."""
        listed = casemate("audit", "tail", "--data", str(self.server.data), "-n", "all", "--json")
        assert listed.returncode == 0, listed.stderr
        return [
            record for record in map(json.loads, listed.stdout.splitlines()) if record["eventName"] == name
        ]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Those of requests that could be read."""
        return [record for record in self.all_events(name) if record.get("requestParameters")]


@contextmanager
def ssm_server(folder: Path, **env: str) -> Iterator[Ssm]:
    """env: further variables of the server."""
    file = folder / "seed.json"
    file.write_text(json.dumps(seed()))
    with running_server(folder, "--dev", "--seed", str(file), env=env) as server:
        yield Ssm(server)
