"""The first start: an account, its administrator and an access key; and at every start what a seed asks for."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from casemate.engine.envelope.seal_keyfile import KeyFileSeal
from casemate.server.config import Config
from casemate.server.credentials_file import Administrator, credentials_path, write_credentials
from casemate.services.iam.entities import User
from casemate.services.iam.identities import (
    AccessKey,
    create_access_key,
    create_account,
    create_group,
    create_policy,
    create_role,
    create_user,
    new_access_key,
)
from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS
from casemate.services.iam.store import Entities
from casemate.services.kms.rows import Alias
from casemate.store.database import Tx

if TYPE_CHECKING:
    from casemate.server.composition import Opened
    from casemate.server.seed import Seed, SeedAccount

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
    """Make the account and its administrator, and what the seed asks for. None when there was an account already;
    then only what the seed has and the database has not is made.

    The access key is on disk (DATA/credentials) before the database has it, so that it cannot be lost between. Where
    the seed has an administrator for the account, that one is it, and none is made.
    """
    config, seed = opened.config, opened.seed
    if opened.store.read(_has_account):
        if seed is not None:
            opened.store.write(lambda tx: _plant(tx, opened, seed))
        return None
    account = config.account or _seeded_account(seed) or (DEV_ACCOUNT if config.dev else _random_account())
    administrator = Administrator(account, _seeded_key(seed, account) or new_access_key())
    write_credentials(config.data, administrator)

    def make(tx: Tx) -> bool:
        if _has_account(tx):
            return False
        begin(tx, opened, administrator)
        return True

    if not opened.store.write(make):
        # Another machine was first; the administrator is the one that it made, and its credentials are there.
        credentials_path(config.data).unlink()
        return None
    return administrator


def is_seeded(opened: Opened, administrator: Administrator) -> bool:
    """Whether the administrator is the seed's, whose secret its owner knows."""
    return _seeded_key(opened.seed, administrator.account) == administrator.key


def begin(tx: Tx, opened: Opened, administrator: Administrator) -> None:
    """Make what a new server has: the administrator's account, what the seed asks for, the administrator."""
    now = opened.clock.now()
    account, key = administrator
    create_account(tx, account, "default", now)
    if opened.seed is not None:
        _plant(tx, opened, opened.seed)
    if not is_seeded(opened, administrator):
        name = _free_name(tx, Entities(opened.keyring), account)
        create_user(tx, opened.keyring, account, name, now, attached=[ADMINISTRATOR_ACCESS])
        create_access_key(tx, opened.keyring, account, name, now, key)


def _plant(tx: Tx, opened: Opened, seed: Seed) -> None:
    for account in seed.accounts:
        _plant_account(tx, opened, account)
    # At last, so that they can trust all others.
    for account in seed.accounts:
        for role in account.roles:
            create_role(
                tx,
                opened.keyring,
                account.id,
                role.name,
                opened.clock.now(),
                trust=role.trust,
                attached=role.attached,
                inline=role.inline,
            )


def _plant_account(tx: Tx, opened: Opened, account: SeedAccount) -> None:
    now = opened.clock.now()
    create_account(tx, account.id, account.name, now)
    for key in account.root_keys:
        create_access_key(tx, opened.keyring, account.id, "", now, key)
    for policy in account.policies:
        create_policy(tx, opened.keyring, account.id, policy.name, now, policy.document)
    for group in account.groups:
        create_group(
            tx, opened.keyring, account.id, group.name, now, attached=group.attached, inline=group.inline
        )
    for user in account.users:
        create_user(
            tx,
            opened.keyring,
            account.id,
            user.name,
            now,
            attached=user.attached,
            inline=user.inline,
            groups=user.groups,
        )
        for key in user.keys:
            create_access_key(tx, opened.keyring, account.id, user.name, now, key)
    for each in account.kms_keys:
        opened.keys.create(
            tx,
            account.id,
            each.region,
            now,
            key_id=each.id,
            material=each.material,
            policy=each.policy,
            description=each.description,
            tags=each.tags,
        )
        for name in each.aliases:
            opened.keys.put_alias(tx, Alias(account.id, each.region, name, each.id, now, now))


def _has_account(tx: Tx) -> bool:
    return tx.one("SELECT 1 FROM accounts LIMIT 1") is not None


def _seeded_account(seed: Seed | None) -> str:
    return seed.accounts[0].id if seed is not None and seed.accounts else ""


def _seeded_key(seed: Seed | None, account: str) -> AccessKey | None:
    return None if seed is None else seed.administrator(account)


def _free_name(tx: Tx, entities: Entities, account: str) -> str:
    """The administrator's name; another one where the seed has a user of that name."""
    name = ADMINISTRATOR
    while entities.find(tx, User, account, name) is not None:
        name = f"casemate-{name}"
    return name


def _random_account() -> str:
    return str(100_000_000_000 + secrets.randbelow(900_000_000_000))
