"""Users and access keys as they are stored: what was altered in the database is refused, not believed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from casemate.engine.envelope.errors import Tampered
from casemate.engine.policy import PolicyError
from casemate.server.composition import Opened, open_data
from casemate.server.config import Config
from casemate.server.first_start import prepare_data
from casemate.services.iam.directory import IamDirectory
from casemate.services.iam.identities import AccessKey, create_access_key, create_user, load_user
from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS
from casemate.store.database import Tx

ACCOUNT = "111122223333"
KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
DENY = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"kms:*","Resource":"*"}]}'


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    config = Config(data=tmp_path / "data")
    prepare_data(config)
    opened = open_data(config)

    def make(tx: Tx) -> None:
        create_user(tx, opened.keyring, ACCOUNT, "alice", 1.0, inline={"no-kms": DENY})
        create_user(tx, opened.keyring, ACCOUNT, "bob", 1.0, attached=[ADMINISTRATOR_ACCESS])
        create_access_key(tx, opened.keyring, ACCOUNT, "alice", 1.0, KEY)

    opened.store.write(make)
    yield opened
    opened.close()


def test_a_key_is_found_with_its_user(opened: Opened) -> None:
    directory = IamDirectory(opened.store, opened.keyring)
    credential = opened.store.read(lambda tx: directory.credential(KEY.id, tx))
    assert credential is not None
    assert (credential.secret, credential.active) == (KEY.secret, True)
    assert credential.identity.principal.arn == f"arn:aws:iam::{ACCOUNT}:user/alice"
    assert credential.identity.known["aws:username"] == "alice"
    assert KEY.secret not in repr(credential) + repr(KEY)
    assert opened.store.read(lambda tx: directory.credential("AKIAUNKNOWN000000000", tx)) is None


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM iam_inline_policies",
        "UPDATE iam_inline_policies SET document = replace(document, 'Deny', 'Allow')",
        "UPDATE iam_inline_policies SET name = 'other'",
        f"INSERT INTO iam_attached_policies VALUES ('{ACCOUNT}', 'alice', '{ADMINISTRATOR_ACCESS}')",
        "UPDATE iam_users SET id = 'AIDAOTHER' WHERE name = 'alice'",
        "UPDATE iam_users SET path = '/admins/' WHERE name = 'alice'",
        "UPDATE iam_users SET seal = (SELECT seal FROM iam_users WHERE name = 'bob') WHERE name = 'alice'",
        "UPDATE iam_access_keys SET user_name = 'bob'",
        "UPDATE iam_access_keys SET user_name = ''",
        "UPDATE iam_access_keys SET status = 'Inactive'",
        "UPDATE iam_access_keys SET id = 'AKIAIOSFODNN7EXAMPLF'",
    ],
)
def test_what_was_altered_is_refused(opened: Opened, statement: str) -> None:
    opened.store.write(lambda tx: tx.run(statement))
    directory = IamDirectory(opened.store, opened.keyring)
    row = opened.store.read(lambda tx: tx.one("SELECT id FROM iam_access_keys"))
    assert row is not None
    with pytest.raises(Tampered):
        opened.store.read(lambda tx: directory.credential(row[0], tx))


def test_a_user_is_made_once_and_with_policies_that_are_some(opened: Opened) -> None:
    store, keyring = opened.store, opened.keyring
    assert store.write(lambda tx: create_user(tx, keyring, ACCOUNT, "alice", 2.0)) is False
    user = store.read(lambda tx: load_user(tx, keyring, ACCOUNT, "alice"))
    assert user is not None
    assert user.inline == (("no-kms", DENY),), "the first one stays as it is"
    with pytest.raises(PolicyError):
        store.write(lambda tx: create_user(tx, keyring, ACCOUNT, "carol", 2.0, inline={"bad": "{}"}))
    with pytest.raises(ValueError, match="no managed policy"):
        store.write(lambda tx: create_user(tx, keyring, ACCOUNT, "carol", 2.0, attached=["arn:x"]))
    assert store.read(lambda tx: load_user(tx, keyring, ACCOUNT, "carol")) is None
