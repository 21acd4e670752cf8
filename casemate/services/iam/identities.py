"""What the first start and seeds make: accounts, users, groups, roles, policies and access keys."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from casemate.engine.policy import parse
from casemate.gate.keyring import Keyring
from casemate.services.iam.entities import Group, ManagedPolicy, Role, User, Version, unique_id
from casemate.services.iam.managed_policies import aws_managed
from casemate.services.iam.store import DOMAIN, Entities
from casemate.services.iam.trust import ids_named
from casemate.store.database import Tx

ACTIVE, INACTIVE = "Active", "Inactive"
"""The statuses of access keys; only an active one may be used."""

_SECRET_PURPOSE = "iam access key"  # noqa: S105 - a label, not a secret
_SECRET_ALPHABET = string.ascii_letters + string.digits + "+/"


class AccessKey(NamedTuple):
    """A new access key; its secret is shown this once."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"<AccessKey {self.id}>"


def create_account(tx: Tx, account: str, name: str, now: float) -> bool:
    """Make an account. False when it exists already."""
    made = tx.run(
        "INSERT INTO accounts (id, name, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (account, name, now),
    )
    return made == 1


def create_user(
    tx: Tx,
    keyring: Keyring,
    account: str,
    name: str,
    now: float,
    *,
    attached: Sequence[str] = (),
    inline: Mapping[str, str] | None = None,
    groups: Sequence[str] = (),
) -> bool:
    """Make a user with its policies; False when it exists already, which leaves it as it is.

    attached: ARNs of managed policies; inline: documents by name; groups: names. Raises PolicyError for a document
    that is not one, and ValueError for a managed policy or a group that does not exist.
    """
    entities = Entities(keyring)
    found = {group: entities.find(tx, Group, account, group) for group in groups}
    for group, each in found.items():
        if each is None:
            raise ValueError(f"there is no group {group}")
    user = User(
        account=account,
        name=name,
        id=unique_id(User.PREFIX),
        created=now,
        groups=tuple(each.id for each in found.values() if each is not None),
        **_held(tx, entities, account, attached, inline),
    )
    return entities.add(tx, user)


def create_group(
    tx: Tx,
    keyring: Keyring,
    account: str,
    name: str,
    now: float,
    *,
    attached: Sequence[str] = (),
    inline: Mapping[str, str] | None = None,
) -> bool:
    """Make a group, as create_user does."""
    entities = Entities(keyring)
    held = _held(tx, entities, account, attached, inline)
    group = Group(account=account, name=name, id=unique_id(Group.PREFIX), created=now, **held)
    return entities.add(tx, group)


def create_role(
    tx: Tx,
    keyring: Keyring,
    account: str,
    name: str,
    now: float,
    *,
    trust: str,
    attached: Sequence[str] = (),
    inline: Mapping[str, str] | None = None,
) -> bool:
    """Make a role, as create_user does. trust: the trust policy's document; whom it names need not exist."""
    entities = Entities(keyring)
    ids = ids_named(tx, entities, parse(trust, "trust"))
    role = Role(
        account=account,
        name=name,
        id=unique_id(Role.PREFIX),
        created=now,
        trust=trust,
        trusted={arn: named for arn, named in ids.items() if named is not None},
        **_held(tx, entities, account, attached, inline),
    )
    return entities.add(tx, role)


def create_policy(tx: Tx, keyring: Keyring, account: str, name: str, now: float, document: str) -> bool:
    """Make a customer managed policy; False when it exists already. Raises PolicyError."""
    parse(document, "identity")
    policy = ManagedPolicy(
        account=account,
        name=name,
        id=unique_id(ManagedPolicy.PREFIX),
        created=now,
        versions={"v1": Version(document, now)},
        updated=now,
    )
    return Entities(keyring).add(tx, policy)


def _held(
    tx: Tx, entities: Entities, account: str, attached: Sequence[str], inline: Mapping[str, str] | None
) -> dict[str, Any]:
    """What is attached to a user, group or role."""
    documents = dict(inline or {})
    for arn in attached:
        if arn not in aws_managed() and entities.policy(tx, account, arn) is None:
            raise ValueError(f"there is no managed policy {arn}")
    for document in documents.values():
        parse(document, "identity")
    return {"attached": tuple(dict.fromkeys(attached)), "inline": documents}


def new_access_key() -> AccessKey:
    """A random access key, as IAM makes them: 20 and 40 characters."""
    return AccessKey(unique_id("AKIA", 16), "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40)))


def create_access_key(tx: Tx, keyring: Keyring, account: str, user: str, now: float, key: AccessKey) -> bool:
    """Give an access key to a user ('' for the account's root); False when its id exists already, which leaves
    that as it is."""
    made = tx.run(
        "INSERT INTO iam_access_keys (id, account, user_name, secret, status, created) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (key.id, account, user, wrap_secret(tx, keyring, account, user, key, ACTIVE), ACTIVE, now),
    )
    tx.bump(DOMAIN)
    return made == 1


def wrap_secret(tx: Tx, keyring: Keyring, account: str, user: str, key: AccessKey, status: str) -> bytes:
    """An access key's secret as it is stored, bound to whose it is and to its status."""
    return keyring.account_key(account, tx).wrap(key.secret.encode(), _SECRET_PURPOSE, key.id, user, status)


def unwrap_secret(
    tx: Tx, keyring: Keyring, account: str, user: str, key_id: str, status: str, wrapped: bytes
) -> str:
    """An access key's secret. Raises Tampered when the row was altered or swapped with another."""
    account_key = keyring.account_key(account, tx)
    return account_key.unwrap(wrapped, _SECRET_PURPOSE, key_id, user, status).decode()
