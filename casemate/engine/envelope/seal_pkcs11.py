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
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from casemate.engine.envelope.derivation import KEY_BYTES, NONCE_BYTES, KeyHolder
from casemate.engine.envelope.errors import SealError, Tampered, WrongSeal
from casemate.engine.envelope.hierarchy import WrappingKey
from casemate.engine.pkcs11_module import (
    binding,
    find_key,
    gcm_open,
    gcm_seal,
    generate_key,
    library,
    refusals,
    using,
)

if TYPE_CHECKING:
    from pkcs11 import Session

_GCM = b"G"
_CBC = b"C"
_MECHANISMS = {"gcm": _GCM, "cbc": _CBC}


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
        pkcs11 = binding()
        with using(self._module):
            try:
                token = library(self._module).get_token(token_label=self._token)
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

    def create_key(self) -> None:
        """Make the AES-256 key in the token, not extractable. Raises SealError when there is one already."""
        with self._session(rw=True) as session:
            generate_key(session, self._token, self._key)

    def wrap(self, key: bytes, aad: bytes) -> bytes:
        with self._session() as session:
            token_key = find_key(session, self._token, self._key)
            mechanism = self._mechanism
            if mechanism is None:
                mechanism = _GCM if binding().Mechanism.AES_GCM in _mechanisms(session) else _CBC
            if mechanism == _GCM:
                nonce = os.urandom(NONCE_BYTES)
                return _GCM + nonce + gcm_seal(token_key, nonce, key, aad)
            salt = os.urandom(KEY_BYTES)
            return _CBC + salt + _enciphered(token_key, salt).wrap(key, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        mechanism, rest = wrapped[:1], wrapped[1:]
        wrong: tuple[type[Exception], ...] = (*refusals(), Tampered)
        with self._session() as session:
            token_key = find_key(session, self._token, self._key)
            try:
                if mechanism == _GCM:
                    return gcm_open(token_key, rest[:NONCE_BYTES], rest[NONCE_BYTES:], aad)
                if mechanism == _CBC and len(rest) > KEY_BYTES:
                    return _enciphered(token_key, rest[:KEY_BYTES]).unwrap(rest[KEY_BYTES:], aad)
            except wrong:
                pass
        raise WrongSeal(f"the seal {self.id} does not open this: another key sealed it, or it was altered")


def _mechanisms(session: Session) -> Collection[object]:
    """What the session's token can do."""
    return session.token.slot.get_mechanisms()


def _enciphered(token_key: Any, salt: bytes) -> WrappingKey:
    pkcs11 = binding()
    key = token_key.encrypt(salt, mechanism=pkcs11.Mechanism.AES_CBC, mechanism_param=bytes(16))
    return WrappingKey(key, b"casemate pkcs11 wrap 1")
