"""PostgreSQL, and what speaks its protocol: RDS, Aurora, Redshift."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

ENGINE = "postgres"
LONGEST_NAME = 63
_SECONDS = 5


def tls_of(secret: dict[str, Any]) -> tuple[ssl.SSLContext | None, ...]:
    """How to connect, one after the other. "ssl" in the secret: true for TLS only, false for none, absent for TLS
    where the server has it. Its certificate is checked against the system's authorities, or those of CA_BUNDLE."""
    wanted = secret.get("ssl")
    if isinstance(wanted, str):
        wanted = {"true": True, "false": False}.get(wanted.lower())
    context = ssl.create_default_context(cafile=os.environ.get("CA_BUNDLE") or None)
    if wanted is None:
        return context, None
    return (context,) if wanted else (None,)


@contextmanager
def login(secret: dict[str, Any]) -> Iterator[Any]:
    """A connection by a secret, None where it does not open the database."""
    connection = _connected(secret)
    if connection is None:
        yield None
        return
    with closing(connection):
        yield connection


def _connected(secret: dict[str, Any]) -> Any:
    import pg8000.dbapi  # type: ignore[import-untyped]

    for context in tls_of(secret):
        try:
            return pg8000.dbapi.connect(
                user=secret["username"],
                password=secret["password"],
                host=secret["host"],
                port=int(secret.get("port") or 5432),
                database=secret.get("dbname") or "postgres",
                timeout=_SECONDS,
                ssl_context=context,
            )
        except (pg8000.dbapi.Error, OSError, EOFError):
            # Not this way; the text may hold what the server said of the user.
            continue
    return None


def set_password(connection: Any, user: str, password: str) -> None:
    """ALTER USER takes no parameters: both are quoted by the rules of SQL."""
    cursor = connection.cursor()
    cursor.execute(f"ALTER USER {_name(user)} WITH PASSWORD {_text(password)}")
    connection.commit()


def set_clone(connection: Any, user: str, clone: str, password: str) -> None:
    """Set the password of a user's clone, which is made with the user's rights where it is not there."""
    cursor = connection.cursor()
    cursor.execute("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s", (clone,))
    if cursor.fetchone() is None:
        cursor.execute(f"CREATE USER {_name(clone)} WITH PASSWORD {_text(password)}")
        cursor.execute(f"GRANT {_name(user)} TO {_name(clone)}")
    else:
        cursor.execute(f"ALTER USER {_name(clone)} WITH PASSWORD {_text(password)}")
    connection.commit()


def ask(connection: Any) -> None:
    """Raises what the driver raises where the user may not even do this."""
    cursor = connection.cursor()
    cursor.execute("SELECT now()")
    cursor.fetchone()


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    # E'...' has the same escapes whatever standard_conforming_strings says.
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
