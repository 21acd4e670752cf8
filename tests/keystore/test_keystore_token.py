"""Keys in an HSM's token, by a real PKCS#11 module."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from softhsm_support import PIN, SoftHsm, softhsm

from casemate.engine.envelope.errors import BadCiphertext
from casemate.engine.envelope.message import read_header
from casemate.engine.keystore import blobs
from casemate.engine.keystore.errors import Failure, KeyStoreError
from casemate.engine.keystore.token import Cluster, Token

ARN = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    with softhsm(tmp_path_factory.mktemp("softhsm"), "cluster", "locked") as running:
        yield running


@pytest.fixture
def token(hsm: SoftHsm) -> Iterator[Token]:
    made = token_of(hsm)
    yield made
    made.close()


def token_of(hsm: SoftHsm, name: str = "cluster", pin: str = PIN) -> Token:
    return Token(Cluster(hsm.module, name, b""), pin)


def failure(wanted: Failure) -> Any:
    return pytest.raises(KeyStoreError, match=f"^{wanted.name}")


def test_a_message_is_sealed_and_opened_in_the_token(token: Token) -> None:
    token.create_key("k1")
    context = {"a": "b"}

    def seal(nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        return token.seal("k1", nonce, plaintext, aad)

    def unseal(nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
        return token.open("k1", nonce, sealed, aad)

    blob = blobs.seal_in_hsm(ARN, "material", b"p" * 4096, context, seal)
    header = read_header(blob)
    assert (header.key_arn, header.backing_id) == (ARN, "material")
    assert blobs.open_in_hsm(blob, context, unseal) == b"p" * 4096
    assert blobs.seal_in_hsm(ARN, "material", b"p" * 4096, context, seal) != blob
    with pytest.raises(BadCiphertext):
        blobs.open_in_hsm(blob, {"a": "c"}, unseal)
    for at in (4, 21, 40, 60, header.length, len(blob) - 1):
        with pytest.raises(BadCiphertext):
            blobs.open_in_hsm(blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :], context, unseal)
    with pytest.raises(BadCiphertext):
        blobs.open_in_hsm(b"CMK\x01" + blob[4:], context, unseal)


def test_the_material_cannot_be_had(hsm: SoftHsm, token: Token) -> None:
    token.create_key("k2")
    token.close()
    pkcs11 = importlib.import_module("pkcs11")
    with pkcs11.lib(hsm.module).get_token(token_label="cluster").open(user_pin=PIN) as session:
        key = session.get_key(label="k2")
        assert key[pkcs11.Attribute.VALUE_LEN] == 32
        assert not key[pkcs11.Attribute.EXTRACTABLE]
        with pytest.raises(pkcs11.AttributeSensitive):
            key[pkcs11.Attribute.VALUE]
    with pkcs11.lib(hsm.module).get_token(token_label="cluster").open() as session:
        assert not list(session.get_objects({pkcs11.Attribute.LABEL: "k2"})), "nor seen without a login"


def test_a_key_is_made_once_and_is_gone_once_destroyed(token: Token) -> None:
    token.create_key("k3")
    with failure(Failure.KEY_NOT_FOUND):
        token.create_key("k3")
    sealed = token.seal("k3", bytes(12), b"x", b"")
    assert token.destroy_key("k3")
    assert not token.destroy_key("k3")
    with pytest.raises((KeyStoreError, BadCiphertext)):
        token.open("k3", bytes(12), sealed, b"")
    token.close()
    with failure(Failure.KEY_NOT_FOUND):
        token.open("k3", bytes(12), sealed, b"")


def test_a_module_leaves_no_errors_behind_for_tls(hsm: SoftHsm) -> None:
    """SoftHSM2 would, when it is initialised: Python's ssl raised them in the thread's next connection."""
    program = (
        "import _ssl, ctypes, sys\n"
        "from casemate.engine.keystore.token import Cluster, Token\n"
        "openssl = ctypes.CDLL(_ssl.__file__)\n"
        "openssl.ERR_peek_error.restype = ctypes.c_ulong\n"
        "Token(Cluster(sys.argv[1], 'cluster', b''), sys.argv[2]).check()\n"
        "assert openssl.ERR_peek_error() == 0, 'an error is left'\n"
    )
    subprocess.run([sys.executable, "-c", program, hsm.module, PIN], check=True, timeout=60)


def test_randomness_is_the_tokens(token: Token) -> None:
    assert len(token.random(1024)) == 1024
    assert token.random(32) != token.random(32)


def test_sessions_serve_threads_at_once_and_come_back_after_a_failure(token: Token) -> None:
    token.create_key("k4")

    def trip(number: int) -> bytes:
        nonce = number.to_bytes(12, "big")
        return token.open("k4", nonce, token.seal("k4", nonce, b"%d" % number, b""), b"")

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(trip, range(200))) == [b"%d" % number for number in range(200)]
    # Somebody else in the process logs the user out.
    assert token._login is not None
    token._login.close()
    with pytest.raises(KeyStoreError):
        trip(1000)
    assert trip(1001) == b"1001"


def test_what_is_wrong_is_told_apart(hsm: SoftHsm) -> None:
    with failure(Failure.NO_TOKEN):
        token_of(hsm, "nowhere").check()
    with failure(Failure.TOKEN):
        Token(Cluster("/nonexistent/library.so", "cluster", b""), PIN).check()
    wrong = token_of(hsm, "locked", "not-the-password")
    with failure(Failure.CREDENTIALS) as caught:
        wrong.check()
    assert "not-the-password" not in str(caught.value)
    assert "not-the-password" not in repr(wrong)
    right = token_of(hsm)
    right.check()
    with failure(Failure.LOGGED_IN):
        token_of(hsm).check()
    right.close()


def test_a_child_that_was_forked_has_sessions_of_its_own(hsm: SoftHsm) -> None:
    program = (
        "import os, sys\n"
        "from casemate.engine.keystore.token import Cluster, Token\n"
        "token = Token(Cluster(sys.argv[1], 'cluster', b''), sys.argv[2])\n"
        "token.create_key('forked')\n"
        "sealed = token.seal('forked', bytes(12), b'message', b'')\n"
        "for _ in range(2):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        os._exit(0 if token.open('forked', bytes(12), sealed, b'') == b'message' else 1)\n"
        "    assert os.waitpid(child, 0)[1] == 0, 'the child could not open it'\n"
        "assert token.open('forked', bytes(12), sealed, b'') == b'message'\n"
    )
    subprocess.run([sys.executable, "-c", program, hsm.module, PIN], check=True, timeout=60)


def test_nonces_do_not_come_twice_not_after_a_fork_and_not_when_they_run_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = [blobs._nonce() for _ in range(100)]
    before = seen[-1]
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, blobs._nonce())
        os._exit(0)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        of_child = pipe.read(12)
    os.close(writing)
    assert len(set(seen)) == 100
    assert of_child[:8] != before[:8]
    assert of_child[8:] == bytes(4)
    monkeypatch.setattr(blobs, "_MESSAGES", 5)
    blobs._renew()
    many = [blobs._nonce() for _ in range(15)]
    assert len(set(many)) == 15
    assert [len({nonce[:8] for nonce in many[at : at + 5]}) for at in (0, 5, 10)] == [1, 1, 1]
    assert len({nonce[:8] for nonce in many}) == 3, "another prefix once one is used up"
