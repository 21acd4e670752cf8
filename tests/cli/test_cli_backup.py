"""Backups: made while the server writes, opened by the same seal alone, restored wholly or not at all."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_support import Server, casemate, running_server

from casemate.engine.envelope.errors import EnvelopeError
from casemate.engine.envelope.seal_keyfile import KeyFileSeal
from casemate.server import backup as backups
from casemate.server.backup import BackupError, make_backup, read_header, restore_backup
from casemate.server.composition import Opened, open_data
from casemate.server.config import Config
from casemate.server.credentials_file import read_credentials
from casemate.server.first_start import first_start, prepare_data
from casemate.server.journal_cipher import JournalCipher
from casemate.store.journal import Journal
from casemate.store.journal_reader import read_journal

SECRET = "in-the-clear-nowhere"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    config = Config(data=tmp_path / "data")
    prepare_data(config)
    made = open_data(config)
    first_start(made)
    yield made
    made.close()


def seal_of(opened: Opened) -> KeyFileSeal:
    return KeyFileSeal.read(opened.config.key_file)


def journal_of(data: Path, opened: Opened) -> list[bytes]:
    return [record for _, record in read_journal(data / "journal", JournalCipher(opened.root))]


def test_a_backup_while_the_server_works_holds_all_that_was_acknowledged(tmp_path: Path) -> None:
    with running_server(tmp_path, "--workers", "2") as server:
        keys: list[str] = []
        stop = threading.Event()

        def load() -> None:
            kms = server.client("kms")
            while not stop.is_set():
                keys.append(kms.create_key(Description=SECRET)["KeyMetadata"]["KeyId"])

        workers = [threading.Thread(target=load) for _ in range(3)]
        for worker in workers:
            worker.start()
        while len(keys) < 20:
            pass
        before = list(keys)
        done = casemate("backup", str(tmp_path / "b.cmb"), "--data", str(server.data))
        stop.set()
        for worker in workers:
            worker.join()
        assert done.returncode == 0, done.stderr
        assert f"does not hold the seal's key, {server.data / 'seal.key'}," in done.stdout
        administrator = server.administrator
        blob = server.client("kms").encrypt(KeyId=before[0], Plaintext=b"x")["CiphertextBlob"]
    sealed = (tmp_path / "b.cmb").read_bytes()
    assert (tmp_path / "b.cmb").stat().st_mode & 0o777 == 0o600
    for text in (SECRET, administrator.key.id, administrator.key.secret, before[0]):
        assert text.encode() not in sealed
    other = tmp_path / "other"
    done = casemate(
        "restore",
        str(tmp_path / "b.cmb"),
        "--data",
        str(other / "data"),
        "--key",
        str(server.data / "seal.key"),
    )
    assert done.returncode == 0, done.stderr
    assert casemate("doctor", "--data", str(other / "data"), env=FREE_PORTS).returncode == 0
    with running_server(other) as restored:
        assert restored.administrator == administrator
        kms = restored.client("kms")
        for key in before:
            assert kms.describe_key(KeyId=key)["KeyMetadata"]["Enabled"]
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
        tail = casemate("audit", "tail", "-n", "all", "--json", "--data", str(restored.data))
        created = [
            resource["ARN"].rpartition("/")[2]
            for record in map(json.loads, tail.stdout.splitlines())
            if record["eventName"] == "CreateKey"
            for resource in record["resources"] or ()
        ]
        assert tail.returncode == 0, tail.stderr
        assert len(created) <= len(keys)


FREE_PORTS = {"CASEMATE_PORT": "0", "CASEMATE_TLS_PORT": "0", "CASEMATE_METRICS_PORT": "0"}


def test_a_journal_that_rotates_all_the_time_can_be_backed_up(opened: Opened, tmp_path: Path) -> None:
    data = opened.config.data
    stop = threading.Event()

    def write() -> None:
        durable = threading.Semaphore(0)
        journal: Journal[None] = Journal(
            data / "journal",
            JournalCipher(opened.root),
            lambda batch, error: durable.release(),
            worker="w",
            segment_bytes=500,
            ahead_bytes=100,
        )
        number = 0
        while not stop.is_set():
            journal.append(b"record %06d" % number, None)
            durable.acquire()
            number += 1
        journal.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for round_ in range(5):
            before = len(journal_of(data, opened)) if (data / "journal").exists() else 0
            make_backup(opened, tmp_path / f"{round_}.cmb")
            restore_backup(tmp_path / f"{round_}.cmb", tmp_path / f"r{round_}", [seal_of(opened)])
            records = (
                journal_of(tmp_path / f"r{round_}", opened)
                if (tmp_path / f"r{round_}/journal").exists()
                else []
            )
            assert records == [b"record %06d" % number for number in range(len(records))]
            assert len(records) >= before
    finally:
        stop.set()
        writer.join()


def test_what_is_in_a_backup_comes_back(opened: Opened, tmp_path: Path) -> None:
    data = opened.config.data
    (data / "casemate.toml").write_text("workers = 3\n")
    (data / "tls").mkdir(mode=0o700)
    (data / "tls" / "ca.pem").write_text("a certificate")
    make_backup(opened, tmp_path / "b")
    restore_backup(tmp_path / "b", tmp_path / "new", [seal_of(opened)], opened.config.key_file)
    assert read_credentials(tmp_path / "new") == read_credentials(data)
    for name in ("casemate.toml", "tls/ca.pem", "seal.key"):
        assert (tmp_path / "new" / name).read_bytes() == (data / name).read_bytes()
    assert not (tmp_path / "new" / "lock").exists()
    again = open_data(Config(data=tmp_path / "new"))
    assert again.root.same_as(opened.root)
    again.close()
    header = read_header(tmp_path / "b")
    assert header.seal_id == seal_of(opened).id
    assert not list(data.glob(".backup-*")), "nothing is left beside"


def test_links_are_backed_up_as_the_files_that_they_name(opened: Opened, tmp_path: Path) -> None:
    data = opened.config.data
    elsewhere = tmp_path / "elsewhere.toml"
    elsewhere.write_text('log_level = "info"\n')
    (data / "casemate.toml").symlink_to(elsewhere)
    (data / "tls").mkdir()
    (data / "tls" / "ca.pem").write_text("a certificate")
    os.link(data / "tls" / "ca.pem", data / "tls" / "server.pem")
    make_backup(opened, tmp_path / "b.cmb")
    restore_backup(tmp_path / "b.cmb", tmp_path / "restored", [seal_of(opened)])
    assert (tmp_path / "restored" / "casemate.toml").read_text() == elsewhere.read_text()
    for name in ("ca.pem", "server.pem"):
        assert (tmp_path / "restored" / "tls" / name).read_text() == "a certificate"


def test_another_seal_does_not_open_it(opened: Opened, tmp_path: Path) -> None:
    make_backup(opened, tmp_path / "b")
    other = KeyFileSeal.create(tmp_path / "other.key")
    with pytest.raises(EnvelopeError, match="was sealed by"):
        restore_backup(tmp_path / "b", tmp_path / "new", [other])
    assert not (tmp_path / "new").exists()


def test_a_backup_that_was_changed_or_cut_is_refused_wholly(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "_FRAME", 16 * 1024)  # so that there are many frames
    make_backup(opened, tmp_path / "b")
    whole = (tmp_path / "b").read_bytes()
    dice = random.Random(5)
    places = [0, 9, 12, 30, len(whole) - 1, *(dice.randrange(len(whole)) for _ in range(12))]
    wrong = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in places]
    wrong += [whole[:at] for at in (0, 5, 11, 100, len(whole) // 2, len(whole) - 1)]
    frame = 16 * 1024 + 16
    wrong += [whole[: -(len(whole) % frame) or None], whole + b"x", whole + whole[-frame:]]
    for number, content in enumerate(wrong):
        file = tmp_path / f"wrong{number}"
        file.write_bytes(content)
        with pytest.raises((BackupError, EnvelopeError)):
            restore_backup(file, tmp_path / "new", [seal_of(opened)])
        assert not (tmp_path / "new").exists(), "nothing comes to be of a bad backup"
    assert not list(tmp_path.glob(".new-*"))


def test_a_directory_with_something_in_it_is_left_alone(opened: Opened, tmp_path: Path) -> None:
    make_backup(opened, tmp_path / "b")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").write_text("mine")
    with pytest.raises(BackupError, match="is not empty"):
        restore_backup(tmp_path / "b", tmp_path / "new", [seal_of(opened)])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mine"]
    (tmp_path / "new" / "mine").unlink()
    restore_backup(tmp_path / "b", tmp_path / "new", [seal_of(opened)])


def test_a_file_is_not_overwritten(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")
    with pytest.raises(BackupError, match="exists already"):
        make_backup(opened, tmp_path / "b")
    assert (tmp_path / "b").read_text() == "mine"


def test_the_command_says_what_is_missing(opened: Opened, tmp_path: Path) -> None:
    make_backup(opened, tmp_path / "b")
    new = ("--data", str(tmp_path / "new"))
    done = casemate("restore", str(tmp_path / "b"), *new)
    assert done.returncode == 1
    assert f"was sealed by {seal_of(opened).id}" in done.stderr
    assert "--key FILE" in done.stderr
    for file in (tmp_path / "nowhere", opened.config.key_file):
        done = casemate("restore", str(file), *new, "--key", str(opened.config.key_file))
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
    done = casemate("backup", str(tmp_path / "nowhere" / "b"), "--data", str(opened.config.data))
    assert done.returncode == 1
    assert "no backup was made" in done.stderr
    done = casemate("backup", str(tmp_path / "c"), "--data", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert "is not a data directory" in done.stderr


def test_a_backup_cannot_write_elsewhere(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has the seal could make one that tries."""
    import tarfile

    real = tarfile.TarFile.add

    def add(self: tarfile.TarFile, name: object, arcname: str, *rest: object) -> None:
        real(self, str(name), "../escaped" if arcname == "credentials" else arcname)

    monkeypatch.setattr(tarfile.TarFile, "add", add)
    make_backup(opened, tmp_path / "b")
    with pytest.raises(EnvelopeError, match="outside"):
        restore_backup(tmp_path / "b", tmp_path / "new", [seal_of(opened)])
    assert not (tmp_path / "escaped").exists()
    assert os.listdir(tmp_path).count("new") == 0


def test_servers_have_nothing_to_do_with_it(server: Server) -> None:
    done = casemate("backup", "/dev/null", "--data", str(server.data))
    assert done.returncode == 1
    assert "exists already" in done.stderr
