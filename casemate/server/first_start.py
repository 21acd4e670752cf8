"""The first start: an account, its administrator and an access key; and at every start what a seed asks for."""

from __future__ import annotations

import secrets

from casemate.engine.envelope.seal_keyfile import KeyFileSeal
from casemate.server.composition import Opened
from casemate.server.config import Config
from casemate.server.credentials_file import Administrator, write_credentials
from casemate.services.iam.identities import (
    create_access_key,
    create_account,
    create_user,
    new_access_key,
)
from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS
from casemate.store.database import Tx

ADMINISTRATOR = "admin"
"""The name of the first account's administrator."""

DEV_ACCOUNT = "000000000000"
"""The account of ``--dev``, as other local AWS servers have it."""


def prepare_data(config: Config) -> None:
    """Make the data directory (mode 0700) and, for the default seal, its key file, where there is none.

    A key file is only made for a directory without a database: a new key would not open the old root key.
    """
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if config.seal or config.key_file.exists() or (config.data / "casemate.db").exists():
        return
    # With the database elsewhere, only unsealing can tell whether it is new; it then names the seal it needs.
    KeyFileSeal.create(config.key_file)


def first_start(opened: Opened) -> Administrator | None:
    """Make the account and its administrator; None when there is an account already.

    The access key is on disk (DATA/credentials) before the database has it, so that it cannot be lost between.
    """
    config = opened.config
    if opened.store.read(_has_account):
        return None
    account = config.account or (DEV_ACCOUNT if config.dev else _random_account())
    administrator = Administrator(account, new_access_key())
    write_credentials(config.data, administrator)
    now = opened.clock.now()

    def make(tx: Tx) -> bool:
        if _has_account(tx):
            return False
        create_account(tx, account, "default", now)
        create_user(tx, account, ADMINISTRATOR, now, attached=[ADMINISTRATOR_ACCESS])
        create_access_key(tx, opened.keyring, account, ADMINISTRATOR, now, administrator.key)
        return True

    return administrator if opened.store.write(make) else None


def _has_account(tx: Tx) -> bool:
    return tx.one("SELECT 1 FROM accounts LIMIT 1") is not None


def _random_account() -> str:
    return str(100_000_000_000 + secrets.randbelow(900_000_000_000))
