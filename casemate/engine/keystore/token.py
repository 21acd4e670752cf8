"""An HSM's token, by PKCS#11: AES-256 keys that are made in it, used in it, and cannot leave it.

A session stays open and logged in, because logging in takes an HSM longer than a message does. One that fails is
given up, and the next use opens another. Each process has its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.engine.envelope.derivation import KeyHolder
from casemate.engine.envelope.errors import BadCiphertext, SealError
from casemate.engine.keystore.errors import Failure, KeyStoreError
from casemate.engine.pkcs11_module import (
    KeyUnusable,
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


class Cluster(NamedTuple):
    """A token that the operator lets custom key stores use, in the part of a CloudHSM cluster.

    module: path of the PKCS#11 library; token: the token's label; certificate: the cluster's trust anchor (DER);
    account: whose it is, '' for anybody who knows the certificate and the password.
    """

    module: str
    token: str
    certificate: bytes
    account: str = ""


class Token(KeyHolder):
    """The user's session with a token. All methods raise KeyStoreError, and may wait for the HSM."""

    __slots__ = ("_cluster", "_keys", "_login", "_password", "_process")

    def __init__(self, cluster: Cluster, password: str) -> None:
        self._cluster = cluster
        self._password = password
        self._keys: dict[str, Any] = {}
        self._login: Session | None = None
        self._process = os.getpid()

    def __repr__(self) -> str:
        return f"<Token {self._cluster.token}>"

    def look_for(self) -> None:
        """The token is there, whether or not it takes the password."""
        with self._named_failures(), using(self._cluster.module):
            self._opened()

    def check(self) -> None:
        """The token is there and takes the password."""
        self.close()
        with self._session():
            pass

    def create_key(self, label: str) -> None:
        """Make an AES-256 key that cannot be taken out."""
        with self._session(), self._opened().open(rw=True) as session:
            generate_key(session, self._cluster.token, label)

    def destroy_key(self, label: str) -> bool:
        """Remove a key for good; whether there was one."""
        with self._session(), self._opened().open(rw=True) as session:
            self._keys.pop(label, None)
            found = list(session.get_objects({binding().Attribute.LABEL: label}))
            for key in found:
                key.destroy()
            return bool(found)

    def seal(self, label: str, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Ciphertext and tag, by AES-GCM under the key. The nonce must be new to the key."""
        with self._session() as session:
            return gcm_seal(self._key(session, label), nonce, plaintext, aad)

    def open(self, label: str, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
        """The plaintext. Raises BadCiphertext for what the key did not seal."""
        with self._session() as session:
            key = self._key(session, label)
            try:
                return gcm_open(key, nonce, sealed, aad)
            except refusals():
                # It may also be the token that failed: if so, the next use finds out.
                self._keys.clear()
                raise BadCiphertext from None

    def random(self, count: int) -> bytes:
        """Random bytes of the HSM's own."""
        with self._session() as session:
            return bytes(session.generate_random(count * 8))

    def close(self) -> None:
        """Log out. The next use logs in again."""
        with using(self._cluster.module):
            self._log_out()

    def _key(self, session: Session, label: str) -> Any:
        key = self._keys.get(label)
        if key is None:
            key = self._keys[label] = find_key(session, self._cluster.token, label)
        return key

    def _opened(self) -> Any:
        return library(self._cluster.module).get_token(token_label=self._cluster.token)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """The session, logged in, and nobody else's meanwhile. It is given up where anything goes wrong with it."""
        with self._named_failures(), using(self._cluster.module):
            if self._process != os.getpid():
                self._process = os.getpid()
                self._login = None
                self._keys.clear()
            session = self._login
            if session is None:
                session = self._login = self._opened().open(user_pin=self._password)
            try:
                yield session
            except (BadCiphertext, KeyUnusable):
                raise
            except BaseException:
                self._log_out()
                raise

    def _log_out(self) -> None:
        login, self._login = self._login, None
        self._keys.clear()
        if login is not None and self._process == os.getpid():
            with suppress(Exception):
                login.close()

    @contextmanager
    def _named_failures(self) -> Iterator[None]:
        """What goes wrong with the token becomes a KeyStoreError."""
        name = self._cluster.token
        try:
            pkcs11 = binding()
        except SealError as error:
            raise KeyStoreError(Failure.NO_TOKEN, str(error)) from None
        try:
            yield
        except (pkcs11.NoSuchToken, pkcs11.TokenNotPresent, pkcs11.TokenNotRecognised):
            raise KeyStoreError(Failure.NO_TOKEN, f"no token labelled {name!r}") from None
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
            raise KeyStoreError(Failure.CREDENTIALS, f"the token {name!r} refuses the password") from None
        except pkcs11.PinLocked:
            raise KeyStoreError(Failure.LOCKED_OUT, f"the token {name!r} has locked the user out") from None
        except pkcs11.UserAlreadyLoggedIn:
            raise KeyStoreError(Failure.LOGGED_IN, f"the user of {name!r} is logged in already") from None
        except pkcs11.UserPinNotInitialized:
            raise KeyStoreError(Failure.NO_USER, f"the token {name!r} has no user yet") from None
        except KeyUnusable as error:
            raise KeyStoreError(Failure.KEY_NOT_FOUND, str(error)) from None
        except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
            # The binding raises a RuntimeError for a library that it cannot load.
            detail = f"{type(error).__name__} {error}".strip()
            raise KeyStoreError(Failure.TOKEN, f"the token {name!r} failed: {detail}") from None
