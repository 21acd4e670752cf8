"""The keys under the root key that rows are wrapped with: one per account, made on first use."""

from __future__ import annotations

from casemate.engine.envelope.hierarchy import AccountKey, RootKey, WrappingKey
from casemate.store.database import Tx


class Keyring:
    """The account keys of one server, unwrapped as they are needed and then kept in memory.

    An account key never changes once it is made (its successor would be another version), so what is kept
    needs no generation.
    """

    def __init__(self, root: RootKey) -> None:
        self._root = root
        self._keys: dict[str, AccountKey] = {}

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._keys)} accounts>"

    def service_key(self, purpose: str) -> WrappingKey:
        """A key for what belongs to a service and to no account."""
        return self._root.wrapping_key(purpose)

    def account_key(self, account: str, tx: Tx) -> AccountKey:
        """The account's key. In a write, made where there is none; a read raises ReadOnly then. Raises
        Tampered when the stored one was altered."""
        key = self._keys.get(account)
        if key is not None:
            return key
        row = tx.one(
            "SELECT version, wrapped FROM account_keys WHERE account = ? ORDER BY version DESC LIMIT 1",
            (account,),
        )
        if row is not None:
            key = self._root.unwrap_account_key(account, row[0], row[1])
            # Only what was read, hence committed, is kept: a new key's transaction may yet be rolled back.
            if tx.is_current():
                self._keys[account] = key
            return key
        key = AccountKey.generate(account, 1)
        tx.run(
            "INSERT INTO account_keys (account, version, wrapped) VALUES (?, ?, ?)",
            (account, key.version, self._root.wrap_account_key(key)),
        )
        return key
