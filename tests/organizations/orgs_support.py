"""A server with many small worlds of accounts: each test takes one that no other has touched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from botocore.exceptions import ClientError
from server_support import Server, casemate, running_server

from casemate.services.iam.identities import AccessKey
from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS

WORLDS = 90
ACCOUNTS = ("management", "first", "second", "outsider")


def account_id(world: int, name: str) -> str:
    return f"{world + 1:04}{ACCOUNTS.index(name):08}"


def access_key(world: int, name: str, user: str) -> AccessKey:
    return AccessKey(
        f"AKIA{world:04}{name.upper():X<10}{user.upper():X<8}", f"secret-of-{world}-{name}-{user}"
    )


def _seed() -> dict[str, Any]:
    # The server calls its first account as it likes.
    first = {"id": "999900000000", "root_access_keys": [access_key(WORLDS, "management", "root")._asdict()]}
    return {
        "accounts": [
            first,
            *(
                {
                    "id": account_id(world, name),
                    "name": f"the {name}",
                    "users": [
                        {
                            "name": user,
                            "attached_policies": policies,
                            "access_keys": [access_key(world, name, user)._asdict()],
                        }
                        for user, policies in (("admin", [ADMINISTRATOR_ACCESS]), ("nobody", []))
                    ],
                    "root_access_keys": [access_key(world, name, "root")._asdict()],
                }
                for world in range(WORLDS)
                for name in ACCOUNTS
            ),
        ]
    }


class World:
    """Four accounts, one by one standing alone: "management", "first", "second", "outsider"."""

    def __init__(self, server: Server, number: int) -> None:
        self.server = server
        self.number = number
        self._clients: dict[tuple[str, str, str], Any] = {}

    def id(self, name: str) -> str:
        return account_id(self.number, name)

    def of(self, name: str = "management", service: str = "organizations", user: str = "admin") -> Any:
        """A boto3 client of an account's user."""
        place = (name, service, user)
        if place not in self._clients:
            key = access_key(self.number, name, user)
            self._clients[place] = self.server.client(service, key)
        return self._clients[place]

    def organize(self, *members: str, **more: Any) -> Any:
        """Make the organisation, and have the accounts join it."""
        organization = self.of().create_organization(**more)["Organization"]
        for member in members:
            self.join(member)
        return organization

    def join(self, member: str) -> Any:
        invited = self.of().invite_account_to_organization(Target={"Type": "ACCOUNT", "Id": self.id(member)})
        return self.of(member).accept_handshake(HandshakeId=invited["Handshake"]["Id"])["Handshake"]

    @property
    def root(self) -> str:
        root: str = self.of().list_roots()["Roots"][0]["Id"]
        return root

    def unit(self, name: str, parent: str | None = None) -> str:
        made = self.of().create_organizational_unit(ParentId=parent or self.root, Name=name)
        unit: str = made["OrganizationalUnit"]["Id"]
        return unit

    def policy(
        self, *statements: Mapping[str, Any], kind: str = "SERVICE_CONTROL_POLICY", name: str = "p"
    ) -> str:
        """A new policy's id."""
        made = self.of().create_policy(Type=kind, Name=name, Description="", Content=document(*statements))
        policy: str = made["Policy"]["PolicySummary"]["Id"]
        return policy

    def new_account(self, name: str = "made") -> str:
        """The id of an account that Organizations makes."""
        email = f"{name}-{self.number}@example.com"
        asked = self.of().create_account(Email=email, AccountName=name)["CreateAccountStatus"]
        made = self.of().describe_create_account_status(CreateAccountRequestId=asked["Id"])
        account: str = made["CreateAccountStatus"]["AccountId"]
        return account


def events(world: World, *names: str) -> list[dict[str, Any]]:
    """The service events of the world's management account in the audit, once all of these are there."""
    for _ in range(1200):
        listed = casemate("audit", "tail", "--data", str(world.server.data), "-n", "all", "--json")
        found = [
            record
            for record in map(json.loads, listed.stdout.splitlines())
            if record["eventType"] == "AwsServiceEvent"
            and record["recipientAccountId"] == world.id("management")
        ]
        if sorted(record["eventName"] for record in found) == sorted(names):
            return found
        Event().wait(0.05)
    raise AssertionError(f"the audit has {[record['eventName'] for record in found]}")


def document(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def deny(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": list(actions), "Resource": "*", **more}


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


@contextmanager
def refused(
    code: str, message: str | None = None, *, reason: str | None = None, status: int = 400
) -> Iterator[None]:
    """Expect AWS's error: its code, its whole message, its Reason, its HTTP status."""
    with pytest.raises(ClientError) as caught:
        yield
    response: Any = caught.value.response
    assert response["Error"]["Code"] == code, response
    if message is not None:
        assert response["Error"]["Message"] == message
    assert response.get("Reason") == reason, response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status


@contextmanager
def organizations_server(folder: Path, *args: str, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "seed.json"
    file.write_text(json.dumps(_seed()))
    with running_server(folder, "--dev", "--seed", str(file), *args, env=env) as server:
        yield server
