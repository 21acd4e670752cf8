"""A server with accounts and users for CloudTrail's tests, and clients of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from server_support import Server, casemate, running_server
from server_support import refused as refused
from users_support import Users, seed_of
from users_support import access_key as access_key

from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
REGION = "us-east-1"
PATIENCE = 30.0
"""Seconds in which an event must be found."""

_READER = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "cloudtrail:LookupEvents", "Resource": "*"}],
    }
)
USERS: Users = {
    "admin": (ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
    "nobody": (ACCOUNT, (), ""),
    "reader": (ACCOUNT, (), _READER),
    "stranger": (OTHER_ACCOUNT, (ADMINISTRATOR_ACCESS,), ""),
}

_numbers = count(1)


class Trail:
    """A running server's CloudTrail, as its users see it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._clients: dict[tuple[str, str, str], Any] = {}

    def of(self, user: str = "admin", service: str = "cloudtrail", region: str = REGION) -> Any:
        """A boto3 client by that user's access key."""
        place = user, service, region
        if place not in self._clients:
            self._clients[place] = self.server.client(service, access_key(user), region=region)
        return self._clients[place]

    def look_up(
        self,
        key: str = "",
        value: str = "",
        *,
        user: str = "admin",
        region: str = REGION,
        least: int = 0,
        **more: Any,
    ) -> list[Any]:
        """What is found, over all pages; once there are ``least`` events, for they come a little later."""
        if key:
            more["LookupAttributes"] = [{"AttributeKey": key, "AttributeValue": value}]
        deadline = time.monotonic() + PATIENCE
        while True:
            found: list[Any] = []
            for page in self.of(user, region=region).get_paginator("lookup_events").paginate(**more):
                found += page["Events"]
            if len(found) >= least:
                return found
            assert time.monotonic() < deadline, f"{len(found)} events instead of {least}"

    def advance(self, by: str) -> None:
        """Move the server's clock ("365d") and wait for what is due by then."""
        moved = casemate("clock", "--data", str(self.server.data), "--advance", by)
        assert moved.returncode == 0, moved.stderr


def fresh(prefix: str = "thing") -> str:
    """A name that no other test uses."""
    return f"{prefix}-{next(_numbers)}"


@contextmanager
def trail_server(folder: Path, *args: str, env: Mapping[str, str] | None = None) -> Iterator[Trail]:
    file = folder / "seed.json"
    file.write_text(json.dumps(seed_of(USERS, ACCOUNT, OTHER_ACCOUNT)))
    with running_server(folder, "--dev", "--seed", str(file), *args, env=env) as server:
        yield Trail(server)
