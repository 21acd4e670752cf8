"""MySQL and MariaDB, on RDS and Aurora too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from .postgres import tls_of

ENGINE = "mysql"
LONGEST_NAME = 32
_SECONDS = 5


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
    import pymysql  # type: ignore[import-untyped]

    for context in tls_of(secret):
        try:
            return pymysql.connect(
                user=secret["username"],
                password=secret["password"],
                host=secret["host"],
                port=int(secret.get("port") or 3306),
                database=secret.get("dbname") or None,
                connect_timeout=_SECONDS,
                ssl=context,
                ssl_disabled=context is None,
            )
        except (pymysql.Error, OSError, RuntimeError):
            # Not this way; a RuntimeError tells that a password would go over the net as it is.
            continue
    return None


def set_password(connection: Any, user: str, password: str) -> None:
    """Of the user that has logged in, whatever hosts they may come from."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT CURRENT_USER(), VERSION()")
        account, version = cursor.fetchone()
        if account.rpartition("@")[0] != user:
            raise PermissionError("another user has logged in")
        # What everybody may do of themselves.
        own = "SET PASSWORD = PASSWORD(%s)" if "MariaDB" in version else "ALTER USER USER() IDENTIFIED BY %s"
        cursor.execute(own, (password,))
    connection.commit()


def set_clone(connection: Any, user: str, clone: str, password: str) -> None:
    """Set the password of a user's clone, which is made with the user's rights where it is not there: from each of
    the hosts that the user may come from."""
    with connection.cursor() as cursor:
        for host in _hosts(cursor, user):
            if host in _hosts(cursor, clone):
                cursor.execute("ALTER USER %s@%s IDENTIFIED BY %s", (clone, host, password))
                continue
            cursor.execute("CREATE USER %s@%s IDENTIFIED BY %s", (clone, host, password))
            cursor.execute("SHOW GRANTS FOR %s@%s", (user, host))
            for (statement,) in cursor.fetchall():
                granted = _for_clone(statement)
                if granted:
                    # A literal % in a name of a database is doubled, because there are parameters.
                    cursor.execute(granted.replace("%", "%%") + " TO %s@%s", (clone, host))
    connection.commit()


def _hosts(cursor: Any, user: str) -> list[str]:
    cursor.execute("SELECT host FROM mysql.user WHERE user = %s", (user,))
    return [str(host) for (host,) in cursor.fetchall()]


def _for_clone(statement: str) -> str:
    """A line of SHOW GRANTS up to whom it is for; '' for one that is about logging in, which the clone has its own
    way of. Nobody gets the right to grant by it."""
    granted, separator, _ = statement.rpartition(" TO ")
    if not separator or granted.startswith(("GRANT USAGE ON *.*", "GRANT PROXY")):
        return ""
    return granted


def ask(connection: Any) -> None:
    """Raises what the driver raises where the user may not even do this."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT NOW()")
        cursor.fetchone()
