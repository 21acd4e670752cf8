"""The seal by a key in a PKCS#11 token (an HSM, a smart card, SoftHSM2): an AES-256 key that cannot leave it.

Two mechanisms, of which the first byte of what was wrapped tells:

- ``gcm``: the token itself seals the root key by AES-GCM (CKM_AES_GCM), with our nonce and ``aad``.
- ``cbc``, for tokens without GCM or that insist on choosing the nonce: the token enciphers 32 fresh random
  bytes by AES-CBC with a zero IV, and the result, which nobody gets without the token, is the key for
  wrapping here. (AES is a pseudorandom function of those blocks, and they are never used again.)

The token is used at start and when the seal is rotated, so every use opens a session and logs out again. A
child that was forked after its parent used the module initialises it anew, as PKCS#11 asks for.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

from casemate.engine.envelope.derivation import KEY_BYTES, NONCE_BYTES, KeyHolder
from casemate.engine.envelope.errors import SealError, Tampered, WrongSeal
from casemate.engine.envelope.hierarchy import WrappingKey

if TYPE_CHECKING:
    from pkcs11 import Session

_GCM = b"G"
_CBC = b"C"
_MECHANISMS = {"gcm": _GCM, "cbc": _CBC}
_TAG_BITS = 128

_module_lock = threading.Lock()
"""One use of a module at a time: a token's login state belongs to the whole process."""


_users: dict[str, int] = {}
"""Module → the process that initialised it."""


def _pkcs11() -> ModuleType:
    """python-pkcs11, which only this kind of seal needs."""
    try:
        import pkcs11
    except ImportError:
        raise SealError("a PKCS#11 seal needs python-pkcs11: pip install 'casemate[pkcs11]'") from None
    return pkcs11


class Pkcs11Seal(KeyHolder):
    """Wraps by the AES key labelled ``key`` in the token labelled ``token``.

    module: path of the PKCS#11 library; mechanism: "gcm" or "cbc", or None for the best that the token has.
    """

    __slots__ = ("_key", "_mechanism", "_module", "_pin", "_token", "id")

    def __init__(
        self, *, module: str, token: str, key: str, pin: bytes, mechanism: str | None = None
    ) -> None:
        if mechanism is not None and mechanism not in _MECHANISMS:
            raise SealError(f"a PKCS#11 seal's mechanism is gcm or cbc, not {mechanism!r}")
        self.id = f"pkcs11:token={token};object={key}"
        self._module = module
        self._token = token
        self._key = key
        try:
            self._pin = pin.decode()
        except UnicodeDecodeError:
            raise SealError("the PIN is not text in UTF-8") from None
        self._mechanism = None if mechanism is None else _MECHANISMS[mechanism]

    def __repr__(self) -> str:
        return f"<Pkcs11Seal {self.id}>"

    @contextmanager
    def _session(self, rw: bool = False) -> Iterator[Session]:
        """A session of a user that has logged in; what goes wrong with the token becomes a SealError."""
        pkcs11 = _pkcs11()
        with _module_lock:
            try:
                token = self._library().get_token(token_label=self._token)
                with token.open(rw=rw, user_pin=self._pin) as session:
                    yield session
            except pkcs11.NoSuchToken:
                raise SealError(f"{self._module} has no token labelled {self._token!r}") from None
            except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
                raise SealError(f"the token {self._token!r} refuses the PIN") from None
            except pkcs11.PinLocked:
                raise SealError(f"the token {self._token!r} has locked its PIN") from None
            except pkcs11.PKCS11Error as error:
                detail = f"{type(error).__name__} {error}".strip()
                raise SealError(f"the PKCS#11 token {self._token!r} failed: {detail}") from None

    def _library(self) -> Any:
        """The module, initialised in this process. What a parent's initialisation left behind in a forked
        child may not be used; some modules know that, and refuse to finalise it."""
        pkcs11 = _pkcs11()
        library = pkcs11.lib(self._module)
        if _users.setdefault(self._module, os.getpid()) != os.getpid():
            with suppress(pkcs11.PKCS11Error):
                library.finalize()
            library.initialize()
            _users[self._module] = os.getpid()
        return library

    def _find(self, session: Session) -> Any:
        """The key, which has ``encrypt`` and ``decrypt`` at run time though pkcs11's types do not say so."""
        pkcs11 = _pkcs11()
        keys = list(
            session.get_objects(
                {
                    pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                    pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.AES,
                    pkcs11.Attribute.LABEL: self._key,
                }
            )
        )
        if not keys:
            raise SealError(f"the token {self._token!r} has no AES key labelled {self._key!r}")
        if len(keys) > 1:
            raise SealError(f"the token {self._token!r} has several keys labelled {self._key!r}")
        key: Any = keys[0]
        if key[pkcs11.Attribute.VALUE_LEN] != KEY_BYTES:
            raise SealError(f"the token's key {self._key!r} is not an AES-256 key")
        if key[pkcs11.Attribute.EXTRACTABLE] or not key[pkcs11.Attribute.SENSITIVE]:
            raise SealError(
                f"the token's key {self._key!r} can be taken out of the token; make one that cannot"
            )
        return key

    def create_key(self) -> None:
        """Make the AES-256 key in the token, not extractable. Raises SealError when there is one already."""
        pkcs11 = _pkcs11()
        with self._session(rw=True) as session:
            if list(session.get_objects({pkcs11.Attribute.LABEL: self._key})):
                raise SealError(f"the token {self._token!r} already has a key labelled {self._key!r}")
            session.generate_key(
                pkcs11.KeyType.AES,
                KEY_BYTES * 8,
                label=self._key,
                store=True,
                capabilities=pkcs11.MechanismFlag.ENCRYPT | pkcs11.MechanismFlag.DECRYPT,
                template={
                    pkcs11.Attribute.SENSITIVE: True,
                    pkcs11.Attribute.EXTRACTABLE: False,
                    pkcs11.Attribute.PRIVATE: True,
                },
            )

    def wrap(self, key: bytes, aad: bytes) -> bytes:
        pkcs11 = _pkcs11()
        with self._session() as session:
            token_key = self._find(session)
            mechanism = self._mechanism
            if mechanism is None:
                mechanism = _GCM if pkcs11.Mechanism.AES_GCM in _mechanisms(session) else _CBC
            if mechanism == _GCM:
                nonce = os.urandom(NONCE_BYTES)
                parameter = pkcs11.GCMParams(nonce, aad, _TAG_BITS)
                sealed = token_key.encrypt(key, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=parameter)
                return _GCM + nonce + bytes(sealed)
            salt = os.urandom(KEY_BYTES)
            return _CBC + salt + _enciphered(token_key, salt).wrap(key, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        pkcs11 = _pkcs11()
        mechanism, rest = wrapped[:1], wrapped[1:]
        with self._session() as session:
            token_key = self._find(session)
            try:
                if mechanism == _GCM:
                    parameter = pkcs11.GCMParams(rest[:NONCE_BYTES], aad, _TAG_BITS)
                    return bytes(
                        token_key.decrypt(
                            rest[NONCE_BYTES:], mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=parameter
                        )
                    )
                if mechanism == _CBC and len(rest) > KEY_BYTES:
                    return _enciphered(token_key, rest[:KEY_BYTES]).unwrap(rest[KEY_BYTES:], aad)
            except (pkcs11.EncryptedDataInvalid, pkcs11.EncryptedDataLenRange, pkcs11.GeneralError, Tampered):
                # SoftHSM2 answers a wrong tag with CKR_GENERAL_ERROR.
                pass
        raise WrongSeal(f"the seal {self.id} does not open this: another key sealed it, or it was altered")


def _mechanisms(session: Session) -> Collection[object]:
    """What the session's token can do."""
    return session.token.slot.get_mechanisms()


def _enciphered(token_key: Any, salt: bytes) -> WrappingKey:
    pkcs11 = _pkcs11()
    key = token_key.encrypt(salt, mechanism=pkcs11.Mechanism.AES_CBC, mechanism_param=bytes(16))
    return WrappingKey(key, b"casemate pkcs11 wrap 1")
