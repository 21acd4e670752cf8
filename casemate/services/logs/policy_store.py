"""The resource policies of all accounts: their rows, and what of them is in memory.

They are the account's, for all its groups in a Region together; each statement says of which groups it is. A row is
bound as a whole under the account's key.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.engine.policy import Policy, parse
from casemate.store.cache import Cache

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.keyring import Keyring
    from casemate.store.database import Row, Store, Tx

DOMAIN = "logs.policies"
_PURPOSE = "logs-policy"
_SELECT = "SELECT name, document, updated, seal FROM logs_policies WHERE account = ? AND region = ?"


class ResourcePolicy(NamedTuple):
    """updated: milliseconds since the epoch."""

    name: str
    document: str
    updated: int


class Policies:
    """The resource policies of all accounts, one per worker: ``call.part(Policies)``."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._keyring = keyring
        self._cache: Cache[tuple[str, str], tuple[Policy | None]] = Cache(store, DOMAIN, self._load)

    def __repr__(self) -> str:
        return "<Policies>"

    def of(self, call: Call, account: str, region: str) -> Policy | None:
        """What they say together; None where there are none. Raises Miss."""
        (found,) = call.fetch(self._cache, (account, region)) or (None,)
        return found

    def all(self, tx: Tx, account: str, region: str) -> list[ResourcePolicy]:
        """By name. Raises Tampered."""
        rows = tx.all(_SELECT + " ORDER BY name", (account, region))
        return [self._opened(tx, account, region, row) for row in rows]

    def put(self, tx: Tx, account: str, region: str, policy: ResourcePolicy) -> None:
        """Store a policy, in place of one of that name."""
        self.remove(tx, account, region, policy.name)
        key = self._keyring.account_key(account, tx)
        seal = key.wrap(b"", _PURPOSE, region, policy.name, policy.document, policy.updated)
        tx.run(
            "INSERT INTO logs_policies (account, region, name, document, updated, seal) VALUES (?, ?, ?, ?, ?, ?)",
            (account, region, *policy, seal),
        )

    def remove(self, tx: Tx, account: str, region: str, name: str) -> bool:
        """False where there was none."""
        tx.bump(DOMAIN)
        gone = tx.run(
            "DELETE FROM logs_policies WHERE account = ? AND region = ? AND name = ?", (account, region, name)
        )
        return gone == 1

    def _load(self, tx: Tx, place: tuple[str, str]) -> tuple[Policy | None]:
        statements: list[Any] = []
        for policy in self.all(tx, *place):
            found = json.loads(policy.document)["Statement"]
            statements += found if isinstance(found, list) else [found]
        if not statements:
            return (None,)
        # Each was parsed before it was stored; several may use one Sid, which means nothing here.
        for statement in statements:
            statement.pop("Sid", None)
        return (parse(json.dumps({"Version": "2012-10-17", "Statement": statements}), "resource"),)

    def _opened(self, tx: Tx, account: str, region: str, row: Row) -> ResourcePolicy:
        name, document, updated, seal = row
        self._keyring.account_key(account, tx).unwrap(seal, _PURPOSE, region, name, document, updated)
        return ResourcePolicy(name, document, updated)
