"""Servers with accounts and users for KMS's tests, clients of them, and KMS's state without a server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from server_support import Server, casemate, running_server
from server_support import refused as refused
from users_support import Users, seed_of
from users_support import access_key as access_key

from casemate.engine.envelope.hierarchy import RootKey
from casemate.engine.policy import Attached, Policy, Principal, parse, principal_keys
from casemate.gate.call import Call
from casemate.gate.identity import Identity
from casemate.gate.keyring import Keyring
from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS
from casemate.services.kms.keys import Keys
from casemate.store.database import Store, open_store
from casemate.store.migrate import discover

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
REGION = "us-east-1"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"

ABSENT_ID = "00000000-0000-4000-8000-000000000000"
"""A key's id that no key has."""


def _inline(*actions: str, resource: str = "*", condition: Mapping[str, Any] | None = None) -> str:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    if condition is not None:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


# user: (account, attached policies, inline policy)
_USERS: Users = {
    "admin": (ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
    "nobody": (ACCOUNT, (), ""),
    "helper": (ACCOUNT, (), ""),
    "retirer": (ACCOUNT, (), _inline("kms:RetireGrant", "kms:ListRetirableGrants")),
    "forbidden": (
        ACCOUNT,
        (),
        json.dumps(
            {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "kms:*", "Resource": "*"}}
        ),
    ),
    "reader": (ACCOUNT, (), _inline("kms:DescribeKey", "kms:Encrypt")),
    "tagged": (
        ACCOUNT,
        (),
        _inline("kms:Encrypt", condition={"StringEquals": {"aws:ResourceTag/team": "red"}}),
    ),
    "aliased": (
        ACCOUNT,
        (),
        _inline("kms:Encrypt", condition={"StringLike": {"kms:RequestAlias": "alias/app-*"}}),
    ),
    "namer": (ACCOUNT, (), _inline("kms:CreateAlias", resource=f"arn:aws:kms:*:{ACCOUNT}:alias/*")),
    "builder": (ACCOUNT, (), _inline("kms:CreateCustomKeyStore")),
    "maker": (ACCOUNT, (), _inline("kms:CreateKey")),
    "stranger": (OTHER_ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
    "powerless": (OTHER_ACCOUNT, (), ""),
}


def user_arn(user: str) -> str:
    return f"arn:aws:iam::{_USERS[user][0]}:user/{user}"


def seed() -> dict[str, Any]:
    return seed_of(_USERS, ACCOUNT, OTHER_ACCOUNT)


class Kms:
    """A running server's KMS, as its users see it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._clients: dict[tuple[str, str], Any] = {}

    def of(self, user: str = "admin", region: str = REGION) -> Any:
        """A boto3 client by that user's access key."""
        client = self._clients.get((user, region))
        if client is None:
            client = self._clients[user, region] = self.server.client("kms", access_key(user), region=region)
        return client

    def advance(self, by: str) -> None:
        """Move the server's clock ("365d") and wait for what is due by then."""
        moved = casemate("clock", "--data", str(self.server.data), "--advance", by)
        assert moved.returncode == 0, moved.stderr

    def now(self) -> datetime:
        """By the server's clock."""
        shown = casemate("clock", "--data", str(self.server.data)).stdout
        return datetime.fromisoformat(shown.split()[0])

    def events(self, name: str, key_arn: str, count: int) -> list[dict[str, Any]]:
        """The audit's records of that name that a key is among the resources of, once there are so many: a job's
        are written after its transaction."""
        end = time.monotonic() + 20
        while True:
            listed = casemate("audit", "tail", "--data", str(self.server.data), "-n", "all", "--json")
            assert listed.returncode == 0, listed.stderr
            found = [
                record
                for record in map(json.loads, listed.stdout.splitlines())
                if record["eventName"] == name
                and any(resource["ARN"] == key_arn for resource in record.get("resources", ()))
            ]
            if len(found) >= count or time.monotonic() > end:
                assert len(found) == count, found
                return found

    def key(self, policy: Mapping[str, Any] | None = None, **more: Any) -> Any:
        """A new key's metadata. policy: its document, KMS's default unless given."""
        if policy is not None:
            more["Policy"] = json.dumps(policy)
            more["BypassPolicyLockoutSafetyCheck"] = True
        return self.of().create_key(**more)["KeyMetadata"]


def statement(principal: str | Sequence[str], *actions: str, **more: Any) -> dict[str, Any]:
    """A key policy's statement that allows, unless more says otherwise."""
    return {
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": list(actions),
        "Resource": "*",
        **more,
    }


def key_policy(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


DELEGATION = statement(ROOT, "kms:*")


@contextmanager
def kms_server(folder: Path) -> Iterator[Kms]:
    file = folder / "seed.json"
    file.write_text(json.dumps(seed()))
    with running_server(folder, "--dev", "--seed", str(file)) as server:
        yield Kms(server)


# --- without a server


@contextmanager
def opened_store(url: str) -> Iterator[Store]:
    store = open_store(
        url,
        migrations=[discover("casemate.gate"), discover("casemate.services.kms")],
    )
    try:
        yield store
    finally:
        store.close()


def keys_of(store: Store, root: RootKey) -> Keys:
    return Keys(store, Keyring(root))


def policy_of(document: Mapping[str, Any]) -> Policy:
    return parse(json.dumps(document), "key")


def user_identity(account: str = ACCOUNT, name: str = "alice") -> Identity:
    arn = f"arn:aws:iam::{account}:user/{name}"
    principal = Principal(kind="user", arn=arn, account=account, id="AIDAEXAMPLEEXAMPLE22")
    known = {key: value for key, value in principal_keys(principal).items() if value is not None}
    return Identity(principal, Attached(), known, {"type": "IAMUser"})


def call_by(account: str = ACCOUNT, region: str = REGION, *, via: tuple[str, ...] = ()) -> Call:
    """A call as resolvers and conditions see it, of no operation and from no client."""
    call = object.__new__(Call)
    call.identity = user_identity(account)
    call.account = account
    call.region = region
    call.via = via
    call.route = None
    call.transaction = None
    call.mutable = False
    call.now = 1_700_000_000.0
    return call
