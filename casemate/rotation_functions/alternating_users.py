"""Two users with the same rights, who take turns: whoever still uses the one of before is not locked out.

The secret names, in ``masterarn``, another secret, of a user who may make users and set passwords; the second user is
made at the first rotation, as the first one's name with ``_clone``. Source: "Rotation strategy: alternating users".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .single_user import same_database, try_out
from .steps import CURRENT, Refused, Rotation, Secret, handler

SUFFIX = "_clone"


def other_user(name: str) -> str:
    """The one whose turn is next."""
    return name.removesuffix(SUFFIX) if name.endswith(SUFFIX) else name + SUFFIX


def handler_for(database: Any) -> Callable[[Mapping[str, str], Any], None]:
    """The handler for a kind of database: postgres, mysql."""

    def create(current: Secret, rotation: Rotation) -> Secret:
        name = other_user(current["username"])
        if len(name) > database.LONGEST_NAME:
            raise Refused(f"the second user's name has more than {database.LONGEST_NAME} characters")
        return current | {"username": name, "password": rotation.new_password()}

    def set_secret(rotation: Rotation) -> None:
        pending, current = rotation.pending(), rotation.current()
        same_database(pending, current)
        if pending["username"] != other_user(current["username"]):
            raise Refused("the pending version is of a user whose turn it is not")
        with database.login(pending) as connection:
            if connection is not None:
                return
        with database.login(current) as connection:
            if connection is None:
                raise Refused("the current version does not open the database")
        master = _master(rotation, current)
        with database.login(master) as connection:
            if connection is None:
                raise Refused("the master secret does not open the database")
            database.set_clone(connection, current["username"], pending["username"], pending["password"])

    def test(rotation: Rotation) -> None:
        try_out(database, rotation)

    return handler(database.ENGINE, create, set_secret, test)


def _master(rotation: Rotation, current: Secret) -> Secret:
    arn = current.get("masterarn")
    if not arn:
        raise Refused("the secret lacks masterarn")
    master = rotation.value(CURRENT, arn)
    if master is None:
        raise Refused("the master secret has no current value")
    same_database(current, master)
    return {**current, "username": master["username"], "password": master["password"]}
