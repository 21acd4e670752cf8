"""MongoDB, and DocumentDB."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ENGINE = "mongo"
LONGEST_NAME = 63
_MILLISECONDS = 5_000


@contextmanager
def login(secret: dict[str, Any]) -> Iterator[Any]:
    """The user's database, by a secret; None where it does not open it."""
    import pymongo
    import pymongo.errors

    client: Any = pymongo.MongoClient(
        host=secret["host"],
        port=int(secret.get("port") or 27017),
        username=secret["username"],
        password=secret["password"],
        authSource=secret.get("dbname") or "admin",
        tls=str(secret.get("ssl", "false")).lower() == "true",
        tlsCAFile=os.environ.get("CA_BUNDLE") or None,
        retryWrites=False,
        serverSelectionTimeoutMS=_MILLISECONDS,
    )
    with client:
        database = client[secret.get("dbname") or "admin"]
        try:
            database.command("ping")
            # A ping needs no rights, and not even a login.
            database.command("connectionStatus")
        except pymongo.errors.PyMongoError:
            database = None
        yield database


def set_password(connection: Any, user: str, password: str) -> None:
    connection.command("updateUser", user, pwd=password)


def ask(connection: Any) -> None:
    """Raises what the driver raises where nobody has logged in."""
    status = connection.command("connectionStatus")
    if not status["authInfo"]["authenticatedUsers"]:
        raise PermissionError("nobody has logged in")
