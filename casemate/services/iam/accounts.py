"""What other services need of the accounts themselves; the composition root hands it to them."""

from __future__ import annotations

import json

from casemate.gate.keyring import Keyring
from casemate.services.iam.entities import Role, unique_id
from casemate.services.iam.identities import create_account
from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS
from casemate.services.iam.service_linked import linked_role
from casemate.services.iam.store import Entities
from casemate.store.database import Tx


class IamAccounts:
    """Accounts by the tables of IAM."""

    def __init__(self, keyring: Keyring) -> None:
        self._entities = Entities(keyring)

    def name(self, tx: Tx, account: str) -> str | None:
        """The account's name, None when there is no such account."""
        row = tx.one("SELECT name FROM accounts WHERE id = ?", (account,))
        return None if row is None else str(row[0])

    def make(self, tx: Tx, account: str, name: str, now: float) -> bool:
        """Make an account. False when it exists already."""
        return create_account(tx, account, name, now)

    def let_administer(self, tx: Tx, account: str, role: str, trusted: str, now: float) -> None:
        """Make a role in a new account, by which another account's principals administer it."""
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{trusted}:root"},
            "Action": "sts:AssumeRole",
        }
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        made = Role(
            account=account,
            name=role,
            id=unique_id(Role.PREFIX),
            created=now,
            attached=[ADMINISTRATOR_ACCESS],
            trust=trust,
        )
        self._entities.add(tx, made)

    def let_serve(self, tx: Tx, account: str, service: str, now: float) -> None:
        """Make the service's role in the account, if it is not there."""
        self._entities.add(tx, linked_role(account, service, now))
