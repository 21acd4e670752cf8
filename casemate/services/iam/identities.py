"""Accounts, users, access keys and their policies, as rows: what makes them and what the directory reads."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from casemate.engine.policy import parse
from casemate.gate.keyring import Keyring
from casemate.services.iam.managed_policies import AWS_MANAGED
from casemate.store.database import Tx

ACTIVE = "Active"
"""The status of an access key that may be used."""

DOMAIN = "iam"
"""The generation domain of everything that decides who a caller is and what is attached to them."""

_SECRET_PURPOSE = "iam access key"  # noqa: S105 - a label, not a secret
_USER_PURPOSE = "iam user"
_ID_ALPHABET = string.ascii_uppercase + "234567"
_SECRET_ALPHABET = string.ascii_letters + string.digits + "+/"


class AccessKey(NamedTuple):
    """A new access key; its secret is shown this once."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"<AccessKey {self.id}>"


def unique_id(prefix: str) -> str:
    """An IAM unique id: a prefix that tells the kind (AIDA a user, AKIA an access key) and 16 characters."""
    return prefix + "".join(secrets.choice(_ID_ALPHABET) for _ in range(16))


def create_account(tx: Tx, account: str, name: str, now: float) -> bool:
    """Make an account. False when it exists already."""
    made = tx.run(
        "INSERT INTO accounts (id, name, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (account, name, now),
    )
    return made == 1


class User(NamedTuple):
    """A user as it is stored, with what is attached to it. attached: ARNs of managed policies, sorted; inline:
    names and documents, sorted by name."""

    account: str
    name: str
    path: str
    id: str
    attached: tuple[str, ...]
    inline: tuple[tuple[str, str], ...]

    def _bound(self) -> tuple[str | int, ...]:
        texts = [text for policy in self.inline for text in policy]
        return (self.name, self.path, self.id, len(self.attached), *self.attached, len(texts), *texts)


def create_user(
    tx: Tx,
    keyring: Keyring,
    account: str,
    name: str,
    now: float,
    *,
    attached: Sequence[str] = (),
    inline: Mapping[str, str] | None = None,
) -> bool:
    """Make a user with its policies; False when it exists already, which leaves it as it is.

    attached: ARNs of managed policies; inline: documents by name. Raises PolicyError for a document that is
    not one, and ValueError for a managed policy that does not exist.
    """
    documents = sorted((inline or {}).items())
    for arn in attached:
        if arn not in AWS_MANAGED:
            raise ValueError(f"there is no managed policy {arn}")
    for _, document in documents:
        parse(document, "identity")
    user = User(account, name, "/", unique_id("AIDA"), tuple(sorted(set(attached))), tuple(documents))
    seal = keyring.account_key(account, tx).wrap(b"", _USER_PURPOSE, *user._bound())
    made = tx.run(
        "INSERT INTO iam_users (account, name, path, id, created, seal) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (account, name, user.path, user.id, now, seal),
    )
    if made != 1:
        return False
    for arn in user.attached:
        tx.run(
            "INSERT INTO iam_attached_policies (account, user_name, policy_arn) VALUES (?, ?, ?)",
            (account, name, arn),
        )
    for policy, document in user.inline:
        tx.run(
            "INSERT INTO iam_inline_policies (account, user_name, name, document) VALUES (?, ?, ?, ?)",
            (account, name, policy, document),
        )
    tx.bump(DOMAIN)
    return True


def load_user(tx: Tx, keyring: Keyring, account: str, name: str) -> User | None:
    """The user, None when there is none. Raises Tampered when its row or a policy of it was altered, added or
    taken away."""
    row = tx.one("SELECT path, id, seal FROM iam_users WHERE account = ? AND name = ?", (account, name))
    if row is None:
        return None
    path, user_id, seal = row
    attached = tx.all(
        "SELECT policy_arn FROM iam_attached_policies WHERE account = ? AND user_name = ?", (account, name)
    )
    inline = tx.all(
        "SELECT name, document FROM iam_inline_policies WHERE account = ? AND user_name = ?", (account, name)
    )
    user = User(
        account, name, path, user_id, tuple(sorted(arn for (arn,) in attached)), tuple(sorted(inline))
    )
    keyring.account_key(account, tx).unwrap(seal, _USER_PURPOSE, *user._bound())
    return user


def new_access_key() -> AccessKey:
    """A random access key, as IAM makes them: 20 and 40 characters."""
    return AccessKey(unique_id("AKIA"), "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40)))


def create_access_key(tx: Tx, keyring: Keyring, account: str, user: str, now: float, key: AccessKey) -> bool:
    """Give an access key to a user ('' for the account's root); False when its id exists already, which leaves
    that as it is."""
    wrapped = keyring.account_key(account, tx).wrap(
        key.secret.encode(), _SECRET_PURPOSE, key.id, user, ACTIVE
    )
    made = tx.run(
        "INSERT INTO iam_access_keys (id, account, user_name, secret, status, created) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (key.id, account, user, wrapped, ACTIVE, now),
    )
    tx.bump(DOMAIN)
    return made == 1


def unwrap_secret(
    tx: Tx, keyring: Keyring, account: str, user: str, key_id: str, status: str, wrapped: bytes
) -> str:
    """An access key's secret. Raises Tampered when the row was altered or swapped with another."""
    account_key = keyring.account_key(account, tx)
    return account_key.unwrap(wrapped, _SECRET_PURPOSE, key_id, user, status).decode()
