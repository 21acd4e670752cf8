"""What all that use a PKCS#11 token share: the binding, a module's life in this process, and AES keys by their label.

A token's login state belongs to the whole process. A child that was forked after its parent used a module initialises
it anew, as PKCS#11 asks for. The binding initialises modules for one thread: whoever calls one does so ``using`` it.
"""

from __future__ import annotations

import _ssl
import ctypes
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

from casemate.engine.envelope.derivation import KEY_BYTES
from casemate.engine.envelope.errors import SealError

if TYPE_CHECKING:
    from pkcs11 import Session

TAG_BITS = 128

_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
_users: dict[str, int] = {}
"""Module → the process that initialised it."""


class KeyUnusable(SealError):
    """The token has no such key, or one that is not to be used."""


def binding() -> ModuleType:
    """python-pkcs11, which only those with a token need."""
    try:
        import pkcs11
    except ImportError:
        raise SealError("a PKCS#11 token needs python-pkcs11: pip install 'casemate[pkcs11]'") from None
    return pkcs11


@contextmanager
def using(module: str) -> Iterator[None]:
    """In this, and for one thread at a time, the module at this path may be called.

    A module that is built on the OpenSSL of this process (SoftHSM2 is) leaves errors of its own in the thread's
    queue, which Python's ssl would take for those of the thread's next TLS connection."""
    with _locks[module]:
        try:
            yield
        finally:
            _clear_openssl_errors()


def _clearer() -> Callable[[], object]:
    try:
        clear = ctypes.CDLL(getattr(_ssl, "__file__", None)).ERR_clear_error
    except (OSError, AttributeError):
        # Python has an OpenSSL of its own, with which no module shares anything.
        return lambda: None
    clear.restype = None
    return clear


_clear_openssl_errors = _clearer()


def library(module: str) -> Any:
    """The module at this path, initialised in this process. What a parent's initialisation left behind in a forked
    child may not be used; some modules know that, and refuse to finalise it."""
    pkcs11 = binding()
    loaded = pkcs11.lib(module)
    if _users.setdefault(module, os.getpid()) != os.getpid():
        with suppress(pkcs11.PKCS11Error):
            loaded.finalize()
        loaded.initialize()
        _users[module] = os.getpid()
    return loaded


def find_key(session: Session, token: str, label: str) -> Any:
    """The token's AES-256 key, which can ``encrypt`` and ``decrypt`` at run time though pkcs11's types do not say so.
    Raises KeyUnusable when there is none, several, or one that can be taken out of the token."""
    pkcs11 = binding()
    keys = list(
        session.get_objects(
            {
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.AES,
                pkcs11.Attribute.LABEL: label,
            }
        )
    )
    if not keys:
        raise KeyUnusable(f"the token {token!r} has no AES key labelled {label!r}")
    if len(keys) > 1:
        raise KeyUnusable(f"the token {token!r} has several keys labelled {label!r}")
    key: Any = keys[0]
    if key[pkcs11.Attribute.VALUE_LEN] != KEY_BYTES:
        raise KeyUnusable(f"the token's key {label!r} is not an AES-256 key")
    if key[pkcs11.Attribute.EXTRACTABLE] or not key[pkcs11.Attribute.SENSITIVE]:
        raise KeyUnusable(f"the token's key {label!r} can be taken out of the token; make one that cannot")
    return key


def generate_key(session: Session, token: str, label: str) -> None:
    """Make an AES-256 key in the token, not extractable; the session is read-write. Raises KeyUnusable when there is
    one already."""
    pkcs11 = binding()
    if list(session.get_objects({pkcs11.Attribute.LABEL: label})):
        raise KeyUnusable(f"the token {token!r} already has a key labelled {label!r}")
    session.generate_key(
        pkcs11.KeyType.AES,
        KEY_BYTES * 8,
        label=label,
        store=True,
        capabilities=pkcs11.MechanismFlag.ENCRYPT | pkcs11.MechanismFlag.DECRYPT,
        template={
            pkcs11.Attribute.SENSITIVE: True,
            pkcs11.Attribute.EXTRACTABLE: False,
            pkcs11.Attribute.PRIVATE: True,
        },
    )


def gcm_seal(key: Any, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """The ciphertext and its tag, by AES-GCM in the token."""
    pkcs11 = binding()
    parameter = pkcs11.GCMParams(nonce, aad, TAG_BITS)
    sealed = key.encrypt(plaintext, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=parameter)
    return bytes(sealed)


def gcm_open(key: Any, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
    """The plaintext. Raises what ``refusals`` lists for bytes that this key did not seal."""
    pkcs11 = binding()
    parameter = pkcs11.GCMParams(nonce, aad, TAG_BITS)
    return bytes(key.decrypt(sealed, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=parameter))


def refusals() -> tuple[type[Exception], ...]:
    """How tokens answer a wrong tag. SoftHSM2's way is CKR_GENERAL_ERROR."""
    pkcs11 = binding()
    return (pkcs11.EncryptedDataInvalid, pkcs11.EncryptedDataLenRange, pkcs11.GeneralError)
