"""Users of databases from before there were groups and roles, moved to where users are now."""

from __future__ import annotations

import logging

from casemate.engine.envelope.errors import Tampered
from casemate.gate.keyring import Keyring
from casemate.services.iam.entities import User
from casemate.services.iam.store import Entities
from casemate.store.database import Store, Tx

log = logging.getLogger("casemate.iam")


def move_users(store: Store, keyring: Keyring) -> None:
    """Make entities of the rows of the first migration's tables, if there are any. A user whose row was altered is
    not moved: nobody can use it there."""
    if store.read(lambda tx: tx.one("SELECT 1 FROM iam_users LIMIT 1")) is not None:
        store.write(lambda tx: _move(tx, keyring))


def _move(tx: Tx, keyring: Keyring) -> None:
    entities = Entities(keyring)
    for account, name, path, unique_id, created, seal in tx.all(
        "SELECT account, name, path, id, created, seal FROM iam_users"
    ):
        place = (account, name)
        attached = sorted(
            arn
            for (arn,) in tx.all(
                "SELECT policy_arn FROM iam_attached_policies WHERE account = ? AND user_name = ?", place
            )
        )
        inline = sorted(
            tx.all(
                "SELECT name, document FROM iam_inline_policies WHERE account = ? AND user_name = ?", place
            )
        )
        texts = [text for policy in inline for text in policy]
        bound = (name, path, unique_id, len(attached), *attached, len(texts), *texts)
        try:
            keyring.account_key(account, tx).unwrap(seal, "iam user", *bound)
        except Tampered as error:
            log.error("user %s of account %s is not used any more: %s", name, account, error)
            continue
        user = User(
            account=account,
            name=name,
            path=path,
            id=unique_id,
            created=created,
            attached=attached,
            inline=dict(inline),
        )
        entities.add(tx, user)
        for table in ("iam_attached_policies", "iam_inline_policies"):
            tx.run(f"DELETE FROM {table} WHERE account = ? AND user_name = ?", place)
        tx.run("DELETE FROM iam_users WHERE account = ? AND name = ?", place)
