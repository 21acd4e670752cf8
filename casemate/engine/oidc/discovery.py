"""An issuer's keys, fetched from where its discovery document says they are.

Whoever may make an identity provider chooses what is fetched here, so it is bounded: HTTPS, no redirects, small
answers, one deadline for all of it, public addresses unless the operator named the host. A server is trusted by the
machine's authorities or, as with AWS, by the thumbprint of a certificate in its chain.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from hashlib import sha1
from typing import Any, Final
from urllib.parse import urlsplit

from casemate.engine.egress.exchange import connect, shut
from casemate.engine.egress.hosts import Hosts, Unreachable
from casemate.engine.oidc.errors import OidcError, Refusal
from casemate.engine.oidc.key_set import KeySet

SECONDS: Final = 8.0
"""For all of it."""

_LARGEST: Final = 256 * 1024
_DOCUMENT: Final = "/.well-known/openid-configuration"


def fetch_keys(issuer: str, thumbprints: Sequence[str], hosts: Hosts) -> KeySet:
    """The keys that an issuer publishes now. Waits for the network. Raises OidcError."""
    fetching = _Fetching(thumbprints, hosts)
    try:
        document = json.loads(fetching.get(issuer + _DOCUMENT))
        told, keys = document["issuer"], document["jwks_uri"]
        if not isinstance(told, str) or not isinstance(keys, str):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _unreachable("its discovery document names no keys") from None
    if told.rstrip("/") != issuer:
        raise _unreachable("its discovery document is of another issuer")
    return KeySet(fetching.get(keys))


class _Fetching:
    def __init__(self, thumbprints: Sequence[str], hosts: Hosts) -> None:
        self._thumbprints = frozenset(thumbprints)
        self._hosts = hosts
        self._end = time.monotonic() + SECONDS

    def get(self, url: str) -> bytes:
        """The body of what is at a URL. Raises OidcError."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or 443
        except ValueError:
            raise _unreachable("an address of it is malformed") from None
        if host is None or not url.startswith("https://") or parts.username is not None:
            raise _unreachable("an address of it is not HTTPS")
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            addresses = self._hosts.addresses(host, port)
        except Unreachable as error:
            raise _unreachable(str(error)) from None
        try:
            try:
                return self._exchange(host, port, addresses, path, ssl.create_default_context())
            except ssl.SSLCertVerificationError:
                context = self._pinned(host, port, addresses)
                return self._exchange(host, port, addresses, path, context)
        except ssl.SSLError:
            raise _unreachable("its certificate is not trusted") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _unreachable(type(error).__name__) from None

    def _pinned(self, host: str, port: int, addresses: Sequence[str]) -> ssl.SSLContext:
        """A context that trusts the certificates of the server's chain that have one of the thumbprints, and no
        other: the chain is then verified up to one of those. Raises OidcError where there is none."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with closing(self._connect(host, port, addresses, context)) as connection:
            chain = _chain(connection)
        trusted = [
            each for each in chain if sha1(each, usedforsecurity=False).hexdigest() in self._thumbprints
        ]
        if not trusted:
            raise OidcError(
                Refusal.INVALID,
                "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint",
            )
        pinned = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        pinned.minimum_version = ssl.TLSVersion.TLSv1_2
        pinned.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        pinned.load_verify_locations(cadata=b"".join(trusted))
        return pinned

    def _exchange(
        self, host: str, port: int, addresses: Sequence[str], path: str, context: ssl.SSLContext
    ) -> bytes:
        connection = http.client.HTTPSConnection(host, port, timeout=self._left(), context=context)
        connection.sock = self._connect(host, port, addresses, context)
        # However slowly the bytes come: at the end of the time there are none any more.
        watch = threading.Timer(self._left(), shut, [connection.sock])
        watch.daemon = True
        watch.start()
        try:
            connection.request("GET", path, headers={"Accept": "application/json", "User-Agent": "casemate"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise _unreachable(f"it answers {answer.status}")
            body = answer.read(_LARGEST + 1)
        finally:
            watch.cancel()
            connection.close()
        if len(body) > _LARGEST:
            raise _unreachable("its answer is too large")
        return body

    def _connect(
        self, host: str, port: int, addresses: Sequence[str], context: ssl.SSLContext
    ) -> ssl.SSLSocket:
        """To an address that was looked at: the name is not asked for again."""
        raw = connect(addresses, port, self._end)
        try:
            return context.wrap_socket(raw, server_hostname=host)
        except BaseException:
            raw.close()
            raise

    def _left(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _chain(connection: ssl.SSLSocket) -> list[bytes]:
    """The certificates that a server shows, DER, its own first."""
    # Public since Python 3.13, there before.
    shown: Any = getattr(connection, "get_unverified_chain", None)
    if shown is not None:
        return list(shown())
    inner: Any = connection._sslobj  # type: ignore[attr-defined]
    from _ssl import ENCODING_DER

    return [each.public_bytes(ENCODING_DER) for each in inner.get_unverified_chain() or ()]


def _unreachable(why: str) -> OidcError:
    return OidcError(Refusal.UNREACHABLE, f"The identity provider's keys cannot be fetched: {why}.")
