"""Access keys as rows: whose they are, found, renamed with their user, switched on and off, deleted."""

from __future__ import annotations

from typing import NamedTuple

from casemate.gate.keyring import Keyring
from casemate.services.iam.identities import AccessKey, unwrap_secret, wrap_secret
from casemate.services.iam.store import DOMAIN
from casemate.services.iam.uses import forget
from casemate.store.database import Tx


class KeyRow(NamedTuple):
    """An access key without its secret. user: '' for the account's root; created: seconds since the epoch."""

    account: str
    user: str
    id: str
    status: str
    created: float


_SELECT = "SELECT account, user_name, id, status, created FROM iam_access_keys "


def of_user(tx: Tx, account: str, user: str) -> list[KeyRow]:
    """A user's keys, by id."""
    rows = tx.all(_SELECT + "WHERE account = ? AND user_name = ? ORDER BY id", (account, user))
    return [KeyRow(*row) for row in rows]


def with_id(tx: Tx, key_id: str) -> KeyRow | None:
    row = tx.one(_SELECT + "WHERE id = ?", (key_id,))
    return None if row is None else KeyRow(*row)


def rename(tx: Tx, keyring: Keyring, account: str, user: str, name: str) -> None:
    """Give a user's keys to the user's new name."""
    for row in of_user(tx, account, user):
        _save(tx, keyring, row, row._replace(user=name))


def switch(tx: Tx, keyring: Keyring, row: KeyRow, status: str) -> None:
    """status: "Active" or "Inactive"."""
    _save(tx, keyring, row, row._replace(status=status))


def delete(tx: Tx, row: KeyRow) -> None:
    tx.run("DELETE FROM iam_access_keys WHERE id = ?", (row.id,))
    forget(tx, row.id)
    tx.bump(DOMAIN)


def _save(tx: Tx, keyring: Keyring, before: KeyRow, after: KeyRow) -> None:
    """The secret is bound to user and status, so it is wrapped anew. Raises Tampered."""
    stored = tx.one("SELECT secret FROM iam_access_keys WHERE id = ?", (before.id,))
    assert stored is not None
    secret = unwrap_secret(tx, keyring, before.account, before.user, before.id, before.status, stored[0])
    wrapped = wrap_secret(tx, keyring, after.account, after.user, AccessKey(after.id, secret), after.status)
    tx.run(
        "UPDATE iam_access_keys SET user_name = ?, status = ?, secret = ? WHERE id = ?",
        (after.user, after.status, wrapped, after.id),
    )
    tx.bump(DOMAIN)
