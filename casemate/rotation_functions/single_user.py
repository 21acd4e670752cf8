"""One user, who changes their own password: the old one stops working as soon as the new one works.

Source: "Rotation strategy: single user".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .steps import PREVIOUS, Refused, Rotation, Secret, handler


def handler_for(database: Any) -> Callable[[Mapping[str, str], Any], None]:
    """The handler for a kind of database: postgres, mysql, mongodb."""

    def create(current: Secret, rotation: Rotation) -> Secret:
        return current | {"password": rotation.new_password()}

    def set_secret(rotation: Rotation) -> None:
        pending, current = rotation.pending(), rotation.current()
        same_database(pending, current)
        if pending["username"] != current["username"]:
            raise Refused("the pending version is of another user")
        with database.login(pending) as connection:
            if connection is not None:
                return
        # The previous password, where the current one was set by hand or not at all.
        for secret in (current, rotation.value(PREVIOUS)):
            if secret is None or secret["username"] != pending["username"]:
                continue
            same_database(pending, secret)
            with database.login(secret) as connection:
                if connection is not None:
                    database.set_password(connection, pending["username"], pending["password"])
                    return
        raise Refused("no version of the secret opens the database")

    def test(rotation: Rotation) -> None:
        try_out(database, rotation)

    return handler(database.ENGINE, create, set_secret, test)


def same_database(secret: Secret, other: Secret) -> None:
    """A password is only ever shown to the host that the secret was for before. Raises Refused."""
    if secret["host"] != other["host"]:
        raise Refused("the versions are of different hosts")


def try_out(database: Any, rotation: Rotation) -> None:
    """testSecret: log in by the pending version, and ask for something."""
    with database.login(rotation.pending()) as connection:
        if connection is None:
            raise Refused("the pending version does not open the database")
        database.ask(connection)
