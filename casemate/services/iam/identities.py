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

DOMAIN = "iam"
"""The generation domain of everything that decides who a caller is and what is attached to them."""

_SECRET_PURPOSE = "iam access key"  # noqa: S105 - a label, not a secret
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


def create_user(
    tx: Tx,
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
    for arn in attached:
        if arn not in AWS_MANAGED:
            raise ValueError(f"there is no managed policy {arn}")
    for document in (inline or {}).values():
        parse(document, "identity")
    made = tx.run(
        "INSERT INTO iam_users (account, name, path, id, created) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (account, name, "/", unique_id("AIDA"), now),
    )
    if made != 1:
        return False
    for arn in attached:
        tx.run(
            "INSERT INTO iam_attached_policies (account, user_name, policy_arn) VALUES (?, ?, ?)",
            (account, name, arn),
        )
    for policy, document in (inline or {}).items():
        tx.run(
            "INSERT INTO iam_inline_policies (account, user_name, name, document) VALUES (?, ?, ?, ?)",
            (account, name, policy, document),
        )
    tx.bump(DOMAIN)
    return True


def new_access_key() -> AccessKey:
    """A random access key, as IAM makes them: 20 and 40 characters."""
    return AccessKey(unique_id("AKIA"), "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40)))


def create_access_key(tx: Tx, keyring: Keyring, account: str, user: str, now: float, key: AccessKey) -> bool:
    """Give an access key to a user ('' for the account's root); False when its id exists already, which leaves
    that as it is."""
    wrapped = keyring.account_key(account, tx).wrap(key.secret.encode(), _SECRET_PURPOSE, key.id, user)
    made = tx.run(
        "INSERT INTO iam_access_keys (id, account, user_name, secret, status, created) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (key.id, account, user, wrapped, "Active", now),
    )
    tx.bump(DOMAIN)
    return made == 1


def unwrap_secret(tx: Tx, keyring: Keyring, account: str, user: str, key_id: str, wrapped: bytes) -> str:
    """An access key's secret. Raises Tampered when the row was altered or swapped with another."""
    return keyring.account_key(account, tx).unwrap(wrapped, _SECRET_PURPOSE, key_id, user).decode()
