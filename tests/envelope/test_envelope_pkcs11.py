"""The PKCS#11 seal against a real token of SoftHSM2, in a directory of its own."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator

import pytest
from softhsm_support import PIN, softhsm

from casemate.engine.envelope.errors import SealError, WrongSeal
from casemate.engine.envelope.hierarchy import RootKey
from casemate.engine.envelope.seal_pkcs11 import Pkcs11Seal
from casemate.engine.envelope.seals import open_seal


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The library, with the tokens "casemate" and "other"; their keys are made by the tests."""
    with (
        softhsm(tmp_path_factory.mktemp("softhsm"), "casemate", "other") as hsm,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("CASEMATE_TEST_PIN", PIN)
        yield hsm.module


def seal(module: str, key: str, token: str = "casemate", mechanism: str | None = None) -> Pkcs11Seal:
    return Pkcs11Seal(module=module, token=token, key=key, pin=PIN.encode(), mechanism=mechanism)


@pytest.mark.parametrize(("mechanism", "mark"), [(None, b"G"), ("gcm", b"G"), ("cbc", b"C")])
def test_a_root_key_comes_back_through_the_token(module: str, mechanism: str | None, mark: bytes) -> None:
    one = seal(module, f"root {mechanism}", mechanism=mechanism)
    one.create_key()
    root = RootKey.generate()
    record = root.sealed_by(one)
    again = open_seal(
        f"pkcs11:token=casemate;object=root%20{mechanism}?module-path={module}&pin-source=env:CASEMATE_TEST_PIN"
    )
    assert again.id == f"pkcs11:token=casemate;object=root {mechanism}" == one.id
    assert RootKey.unsealed(record, [again]).same_as(root)
    wrapped = one.wrap(bytes(32), b"aad")
    assert wrapped[:1] == mark, "the token's best mechanism, or the one that was asked for"
    for at in range(len(wrapped)):
        with pytest.raises(WrongSeal, match="does not open this"):
            again.unwrap(wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :], b"aad")
    for changed in (b"", wrapped[:1], wrapped[:14], wrapped[:40], wrapped + b"\0"):
        with pytest.raises(WrongSeal):
            again.unwrap(changed, b"aad")
    with pytest.raises(WrongSeal):
        again.unwrap(wrapped, b"another aad")


def test_a_token_without_gcm_is_used_through_cbc(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SoftHSM2 has GCM, so its list of mechanisms is shortened."""
    one = seal(module, "no gcm")
    one.create_key()
    without = {importlib.import_module("pkcs11").Mechanism.AES_CBC}
    monkeypatch.setattr("casemate.engine.envelope.seal_pkcs11._mechanisms", lambda session: without)
    wrapped = one.wrap(bytes(32), b"aad")
    assert wrapped[:1] == b"C"
    assert one.unwrap(wrapped, b"aad") == bytes(32)


@pytest.mark.parametrize("mechanism", ["gcm", "cbc"])
def test_another_key_of_the_same_name_does_not_open(module: str, mechanism: str) -> None:
    here, there = (seal(module, f"twin {mechanism}", token, mechanism) for token in ("casemate", "other"))
    here.create_key()
    there.create_key()
    with pytest.raises(WrongSeal, match="token=other;object=twin"):
        there.unwrap(here.wrap(bytes(32), b""), b"")


def test_the_key_cannot_be_taken_out_and_is_not_made_twice(module: str) -> None:
    one = seal(module, "once")
    one.create_key()
    with pytest.raises(SealError, match="already has a key labelled 'once'"):
        one.create_key()
    pkcs11 = importlib.import_module("pkcs11")
    token = pkcs11.lib(module).get_token(token_label="casemate")
    with token.open(user_pin=PIN) as session:
        key = session.get_key(label="once")
        with pytest.raises(pkcs11.AttributeSensitive):
            key[pkcs11.Attribute.VALUE]


@pytest.mark.parametrize(
    ("size", "extractable", "sensitive", "text"),
    [
        (128, False, True, "is not an AES-256 key"),
        (256, True, True, "can be taken out"),
        (256, False, False, "can be taken out"),
    ],
)
def test_a_key_that_protects_less_is_refused(
    module: str, size: int, extractable: bool, sensitive: bool, text: str
) -> None:
    pkcs11 = importlib.import_module("pkcs11")
    label = f"weak {size} {extractable} {sensitive}"
    token = pkcs11.lib(module).get_token(token_label="casemate")
    with token.open(rw=True, user_pin=PIN) as session:
        session.generate_key(
            pkcs11.KeyType.AES,
            size,
            label=label,
            store=True,
            template={pkcs11.Attribute.EXTRACTABLE: extractable, pkcs11.Attribute.SENSITIVE: sensitive},
        )
    with pytest.raises(SealError, match=text):
        seal(module, label).wrap(bytes(32), b"")


def test_what_is_missing_is_named(module: str) -> None:
    with pytest.raises(SealError, match="has no AES key labelled 'absent'"):
        seal(module, "absent").wrap(bytes(32), b"")
    with pytest.raises(SealError, match="no token labelled 'nowhere'"):
        seal(module, "absent", token="nowhere").wrap(bytes(32), b"")
    with pytest.raises(SealError, match="PKCS#11 token 'casemate' failed"):
        seal("/nonexistent/library.so", "k").wrap(bytes(32), b"")


def test_two_keys_of_one_name_are_refused(module: str) -> None:
    pkcs11 = importlib.import_module("pkcs11")
    token = pkcs11.lib(module).get_token(token_label="casemate")
    with token.open(rw=True, user_pin=PIN) as session:
        for _ in range(2):
            session.generate_key(pkcs11.KeyType.AES, 256, label="double", store=True)
    with pytest.raises(SealError, match="several keys labelled 'double'"):
        seal(module, "double").wrap(bytes(32), b"")


def test_a_wrong_pin_is_refused_and_not_repeated_in_the_text(module: str) -> None:
    wrong = Pkcs11Seal(module=module, token="other", key="k", pin=b"424242")
    with pytest.raises(SealError, match="token 'other' refuses the PIN") as refusal:
        wrong.wrap(bytes(32), b"")
    assert "424242" not in str(refusal.value)
    assert "424242" not in repr(wrong)


def test_a_child_forked_after_the_first_use_can_use_the_token_too(module: str) -> None:
    """As workers do. In a fresh interpreter, because this one may have threads."""
    program = (
        "import os, sys\n"
        "from casemate.engine.envelope.seal_pkcs11 import Pkcs11Seal\n"
        "seal = Pkcs11Seal(module=sys.argv[1], token='casemate', key='forked', pin=sys.argv[2].encode())\n"
        "seal.create_key()\n"
        "wrapped = seal.wrap(bytes(32), b'')\n"
        "for _ in range(2):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        os._exit(0 if [seal.unwrap(wrapped, b'') for _ in range(2)] == [bytes(32)] * 2 else 1)\n"
        "    assert os.waitpid(child, 0)[1] == 0, 'the child could not unwrap'\n"
        "assert seal.unwrap(wrapped, b'') == bytes(32)\n"
    )
    subprocess.run([sys.executable, "-c", program, module, PIN], check=True, timeout=60)


def test_a_pin_that_is_no_text_is_refused() -> None:
    with pytest.raises(SealError, match="not text in UTF-8"):
        Pkcs11Seal(module="/x.so", token="t", key="k", pin=b"\xff")


def test_a_missing_binding_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(SealError, match=r"pip install 'casemate\[pkcs11\]'"):
        seal("/x.so", "k").wrap(bytes(32), b"")
