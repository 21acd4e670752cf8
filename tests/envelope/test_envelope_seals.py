"""How a seal is described and opened: key file and passphrase, and the texts of the refusals."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from casemate.engine.envelope.errors import SealError, WrongSeal
from casemate.engine.envelope.seal_keyfile import KeyFileSeal
from casemate.engine.envelope.seals import Seal, open_seal, secret_from

CHEAP = {"memory_kib": 64, "iterations": 1, "lanes": 1}


def secret_file(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def round_trip(one: Seal, other: Seal) -> None:
    key = os.urandom(32)
    assert other.unwrap(one.wrap(key, b"aad"), b"aad") == key
    assert one.id == other.id
    with pytest.raises(WrongSeal):
        other.unwrap(one.wrap(key, b"aad"), b"another aad")


def test_a_key_file_is_made_for_its_owner_alone_and_opens_again(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    made = KeyFileSeal.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert made.id.startswith("keyfile:")
    round_trip(made, open_seal(f"keyfile:{path}"))
    round_trip(made, open_seal({"kind": "keyfile", "path": str(path)}))


def test_a_key_files_id_gives_none_of_its_key_away(tmp_path: Path) -> None:
    seal = KeyFileSeal.create(tmp_path / "k")
    key = base64.b64decode((tmp_path / "k").read_bytes().split(b":")[1])
    assert seal.id.removeprefix("keyfile:") not in key.hex()


def test_an_existing_key_file_is_never_overwritten(tmp_path: Path) -> None:
    KeyFileSeal.create(tmp_path / "k")
    before = (tmp_path / "k").read_bytes()
    with pytest.raises(SealError, match="cannot be made: File exists"):
        KeyFileSeal.create(tmp_path / "k")
    assert (tmp_path / "k").read_bytes() == before


def test_a_key_file_whose_making_is_cut_short_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", die)
        with pytest.raises(KeyboardInterrupt):
            KeyFileSeal.create(tmp_path / "k")
    assert not (tmp_path / "k").exists(), "half a key file would keep a server from starting"
    KeyFileSeal.create(tmp_path / "k")
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o601, 0o644, 0o777])
def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "k"
    KeyFileSeal.create(path)
    path.chmod(mode)
    with pytest.raises(SealError, match=f"mode {mode:04o}.*chmod 600 {path}"):
        open_seal(f"keyfile:{path}")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"casemate-seal-key-1:",
        b"casemate-seal-key-1:!!!!",
        b"casemate-seal-key-1:" + base64.b64encode(bytes(31)),
        base64.b64encode(bytes(32)),
        bytes(32),
    ],
)
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = secret_file(tmp_path / "k", content)
    with pytest.raises(SealError, match="does not hold a key"):
        open_seal(f"keyfile:{path}")


def test_a_key_file_that_is_missing_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SealError, match="cannot be read: No such file"):
        open_seal(f"keyfile:{tmp_path / 'missing'}")
    with pytest.raises(SealError, match="is not a file"):
        open_seal(f"keyfile:{tmp_path}")
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(SealError, match="is not a file"):
        open_seal(f"keyfile:{tmp_path / 'fifo'}")


def test_another_key_file_does_not_open(tmp_path: Path) -> None:
    one, other = KeyFileSeal.create(tmp_path / "1"), KeyFileSeal.create(tmp_path / "2")
    with pytest.raises(WrongSeal, match=f"the seal {other.id} does not open this"):
        other.unwrap(one.wrap(bytes(32), b""), b"")


def test_a_passphrase_comes_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASEMATE_TEST_PHRASE", "schnürzelputz am see")
    for ending in (b"", b"\n", b"\r\n"):
        path = secret_file(tmp_path / "p", "schnürzelputz am see".encode() + ending)
        by_env = open_seal({"kind": "passphrase", "env": "CASEMATE_TEST_PHRASE", **CHEAP})
        round_trip(by_env, open_seal(f"passphrase:file:{path}"))
        by_file = open_seal({"kind": "passphrase", "file": str(path), **CHEAP})
        round_trip(by_file, open_seal("passphrase:env:CASEMATE_TEST_PHRASE"))


def test_the_cost_is_stored_so_that_another_default_still_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASEMATE_TEST_PHRASE", "correct horse battery")
    cheap = open_seal({"kind": "passphrase", "env": "CASEMATE_TEST_PHRASE", **CHEAP})
    dearer = open_seal({"kind": "passphrase", "env": "CASEMATE_TEST_PHRASE", **CHEAP, "iterations": 2})
    round_trip(cheap, dearer)


def test_the_standard_cost_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASEMATE_TEST_PHRASE", "correct horse battery")
    seal = open_seal("passphrase:env:CASEMATE_TEST_PHRASE")
    wrapped = seal.wrap(bytes(32), b"")
    assert [int.from_bytes(wrapped[at : at + 4], "big") for at in (1, 5, 9)] == [65536, 3, 4]
    assert seal.unwrap(wrapped, b"") == bytes(32)


def test_a_passphrase_others_may_read_is_refused(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "p", b"correct horse battery", 0o640)
    with pytest.raises(SealError, match=r"the passphrase .* can be read by others .* chmod 600"):
        open_seal(f"passphrase:file:{path}")


def test_a_short_or_empty_passphrase_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASEMATE_TEST_PHRASE", "short")
    with pytest.raises(SealError, match="at least 12") as refusal:
        open_seal("passphrase:env:CASEMATE_TEST_PHRASE")
    assert "short" not in str(refusal.value)
    with pytest.raises(SealError, match="the passphrase is empty"):
        open_seal(f"passphrase:file:{secret_file(tmp_path / 'p', b'')}")


def test_something_sealed_otherwise_is_not_opened_by_a_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASEMATE_TEST_PHRASE", "correct horse battery")
    seal = open_seal("passphrase:env:CASEMATE_TEST_PHRASE")
    for wrapped in (b"", b"\x01short", b"G" + bytes(80)):
        with pytest.raises(WrongSeal, match="not sealed by a passphrase"):
            seal.unwrap(wrapped, b"")


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("", "kind is keyfile, passphrase or pkcs11, not ''"),
        ("vault:x", "not 'vault'"),
        ({}, "not None"),
        ("keyfile:", "needs 'path'"),
        ({"kind": "keyfile"}, "needs 'path'"),
        ({"kind": "keyfile", "path": "/x", "paht": "/y"}, "has no 'paht'"),
        ("passphrase:correct horse battery", "passphrase:env:NAME or passphrase:file:/path"),
        ("passphrase:env:CASEMATE_NOT_SET", "expected in CASEMATE_NOT_SET, which is not set"),
        ({"kind": "passphrase"}, "either from a variable of the environment or from a file"),
        ({"kind": "passphrase", "env": "HOME", "file": "/x"}, "either from"),
        ({"kind": "passphrase", "env": "PATH", "memory_kib": "much"}, "'memory_kib' is a whole number"),
        ({"kind": "passphrase", "env": "PATH", "lanes": 0}, "cost"),
        ({"kind": "passphrase", "env": "PATH", "pepper": 0}, "has no 'pepper'"),
        ("pkcs11:token=t;object=k?pin-value=1234", "PIN does not belong into the configuration"),
        ("pkcs11:token=t;object=k?pin-source=/pin", "pin-source is env:NAME or file:/path"),
        ("pkcs11:token=t;manufacturer=m", "not 'manufacturer'"),
        ("pkcs11:token=t;object=k?pin-source=env:PATH", "needs 'module'"),
        ("pkcs11:token=t?pin-source=env:PATH&module-path=/x", "needs 'key'"),
        ("pkcs11:object=t?pin-source=env:PATH&module-path=/x", "needs 'token'"),
        ("pkcs11:token=t;object=k?module-path=/x", "the PIN comes either from"),
        (
            {
                "kind": "pkcs11",
                "module": "/x",
                "token": "t",
                "key": "k",
                "pin_env": "PATH",
                "mechanism": "des",
            },
            "mechanism is gcm or cbc, not 'des'",
        ),
    ],
)
def test_a_wrong_description_is_refused_with_what_to_change(spec: str | dict[str, str], text: str) -> None:
    with pytest.raises(SealError) as refusal:
        open_seal(spec)
    assert text in str(refusal.value)


def test_a_secret_is_read_as_it_is(tmp_path: Path) -> None:
    assert secret_from(None, str(secret_file(tmp_path / "p", b"a\n\n")), "PIN") == b"a\n"
