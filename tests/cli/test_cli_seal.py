"""Rotating the seal: while a server runs, startable after a crash at every point, and never without a key."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from server_support import casemate, running_server

from casemate.engine.envelope.errors import SealError
from casemate.engine.envelope.seal_keyfile import KeyFileSeal
from casemate.server import rotation
from casemate.server.composition import MIGRATIONS, open_data
from casemate.server.config import Config
from casemate.server.first_start import first_start, prepare_data
from casemate.server.sealing import reseal, status
from casemate.store.database import Store, Tx, open_store


class Crash(BaseException):
    """As a kill: nothing handles it."""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = Config(data=tmp_path / "data")
    prepare_data(made)
    opened = open_data(made)
    first_start(opened)
    opened.close()
    return made


@contextmanager
def store_of(config: Config) -> Iterator[Store]:
    store = open_store(config.database_url, migrations=MIGRATIONS)
    try:
        yield store
    finally:
        store.close()


def sealed_by(config: Config) -> str:
    with store_of(config) as store:
        sealed = status(store)
        assert sealed is not None
        return sealed.seal_id


def opens(config: Config) -> None:
    """As a start would, the administrator's key included."""
    opened = open_data(config)
    try:
        assert opened.store.read(lambda tx: opened.keyring.account_key(_account(tx), tx))
    finally:
        opened.close()


def _account(tx: Tx) -> str:
    row = tx.one("SELECT id FROM accounts")
    assert row is not None
    return str(row[0])


def test_a_key_file_is_replaced_and_kept(config: Config) -> None:
    before, key = sealed_by(config), config.key_file.read_bytes()
    with store_of(config) as store:
        seal, old = rotation.rotate_key_file(config, store)
    assert sealed_by(config) == seal != before
    assert old.read_bytes() == key
    assert config.key_file.read_bytes() != key
    assert config.key_file.stat().st_mode & 0o777 == 0o600
    assert not rotation.next_key_file(config.key_file).exists()
    opens(config)
    with store_of(config) as store:
        rotation.rotate_key_file(config, store)
    assert len(list(config.data.glob("seal.key.old-*"))) == 2, "each old key is kept"
    opens(config)


STEPS = ["create", "reseal before", "reseal after", "old kept", "replaced"]


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_leaves_a_directory_that_starts(
    config: Config, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def crashing(real: Callable[..., object], *, after: bool) -> Callable[..., object]:
        def run(*args: object) -> object:
            if after:
                real(*args)
            raise Crash

        return run

    if step == "create":
        monkeypatch.setattr(KeyFileSeal, "create", crashing(KeyFileSeal.create, after=True))
    elif step.startswith("reseal"):
        crash = crashing(reseal, after=step.endswith("after"))
        monkeypatch.setattr("casemate.server.rotation.reseal", crash)
    else:
        monkeypatch.setattr(os, "replace", crashing(os.replace, after=step == "replaced"))
    with store_of(config) as store, pytest.raises(Crash):
        rotation.rotate_key_file(config, store)
    monkeypatch.undo()
    opens(config)
    opens(config)
    # Whatever was left, the next rotation works and leaves nothing behind.
    with store_of(config) as store:
        seal, _ = rotation.rotate_key_file(config, store)
    assert sealed_by(config) == seal
    assert not rotation.next_key_file(config.key_file).exists()
    opens(config)


def test_a_start_finishes_a_rotation_that_was_killed(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(path: Path) -> None:
        raise Crash

    monkeypatch.setattr(rotation, "_switch", crash)
    with store_of(config) as store, pytest.raises(Crash):
        rotation.rotate_key_file(config, store)
    monkeypatch.undo()
    waiting = rotation.next_key_file(config.key_file)
    key = waiting.read_bytes()
    opens(config)
    assert not waiting.exists()
    assert config.key_file.read_bytes() == key


def test_other_seals_do_not_open(config: Config, tmp_path: Path) -> None:
    with store_of(config) as store:
        with pytest.raises(SealError, match="passphrase"):
            rotation.rotate_to(config, store, "passphrase:env:CASEMATE_TEST_UNSET")
        with pytest.raises(SealError):
            rotation.rotate_to(config, store, "nonsense")
        with pytest.raises(SealError, match="is not a key file"):
            rotation.rotate_key_file(Config(data=config.data, seal="passphrase:env:X"), store)
    opens(config)


def test_rotating_by_command_while_a_server_runs(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        place = ("--data", str(server.data))
        kms = server.client("kms")
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        shown = casemate("seal", "status", *place)
        assert shown.returncode == 0
        before = re.search(r"sealed by {2}(keyfile:\w+)", shown.stdout)
        assert before
        rotated = casemate("seal", "rotate", *place)
        assert rotated.returncode == 0, rotated.stderr
        after = casemate("seal", "status", *place)
        assert before[1] not in after.stdout
        assert "opens      yes" in after.stdout
        blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        # To a key file elsewhere, which is made; the server does not mind.
        first = f"keyfile:{tmp_path / 'first.key'}"
        done = casemate("seal", "rotate", "--to", first, *place)
        assert done.returncode == 0, done.stderr
        assert f"change the settings: seal = '{first}'" in done.stdout
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    wrong = casemate("seal", "status", *place)
    assert wrong.returncode == 1
    assert "opens      no: the root key was sealed by keyfile:" in wrong.stdout
    # To another kind of seal by the settings: both are named, then the old one can go.
    rotating = {
        "CASEMATE_SEAL": "passphrase:env:PASSPHRASE",
        "CASEMATE_PREVIOUS_SEAL": first,
        "PASSPHRASE": "correct horse battery",
    }
    assert "opens      yes, by previous_seal" in casemate("seal", "status", *place, env=rotating).stdout
    done = casemate("seal", "rotate", *place, env=rotating)
    assert done.returncode == 0, done.stderr
    assert "previous_seal is not needed any more" in done.stdout
    del rotating["CASEMATE_PREVIOUS_SEAL"]
    with running_server(tmp_path, env=rotating) as server:
        assert server.client("kms").decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
