"""HTTPS to an external key store proxy: connections that stay open, one deadline for each exchange, no redirects.

The peer is the operator's choice (``Endpoint``), never the client's: a name that is not configured is not looked up.
"""

from __future__ import annotations

import http.client
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

from casemate.engine.keystore.errors import Failure, KeyStoreError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

LONGEST_ANSWER = 64 * 1024
_IDLE_MOST = 16
"""So many connections are kept open to one proxy."""
_IDLE_SECONDS = 55.0
"""Proxies commonly close after a minute what is not used."""


class Endpoint(NamedTuple):
    """A proxy that the operator lets external key stores use.

    name: its host name, which its certificate must have; host, port: where it is reached; authorities: PEM file of
    the certificate authorities to trust, '' for those of the system; service: the name of the VPC endpoint service
    that it takes the part of, '' for a public endpoint; client_certificate, client_key: PEM files of what is shown to
    a proxy that asks for a certificate, '' for nothing.
    """

    name: str
    host: str
    port: int = 443
    authorities: str = ""
    service: str = ""
    client_certificate: str = ""
    client_key: str = ""


class Sender(Protocol):
    """Sends a POST and gives the answer's status and body. Raises KeyStoreError."""

    def __call__(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]: ...


class _Socket(ssl.SSLSocket):
    """A socket whose every wait ends at one deadline, however slowly the bytes come."""

    deadline = 0.0

    def _left(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        self._left()
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        self._left()
        super().sendall(data, flags)


class _Connection(http.client.HTTPConnection):
    """To the endpoint's address, TLS with its name."""

    sock: _Socket

    def __init__(self, endpoint: Endpoint, context: ssl.SSLContext, deadline: float) -> None:
        super().__init__(endpoint.name, endpoint.port)
        self.used = time.monotonic()
        raw = _reach(endpoint, deadline)
        try:
            raw.settimeout(max(deadline - time.monotonic(), 0.001))
            wrapped = context.wrap_socket(raw, server_hostname=endpoint.name)
            assert isinstance(wrapped, _Socket)
            self.sock = wrapped
        except BaseException:
            raw.close()
            raise

    @property
    def idle(self) -> bool:
        """The peer has neither closed it nor sent anything that was not asked for."""
        return time.monotonic() - self.used < _IDLE_SECONDS and not select.select([self.sock], [], [], 0)[0]


def _reach(endpoint: Endpoint, deadline: float) -> socket.socket:
    try:
        raw = socket.create_connection(
            (endpoint.host, endpoint.port), max(deadline - time.monotonic(), 0.001)
        )
    except OSError as error:
        # A connection that does not come about in time is one that does not come about.
        raise KeyStoreError(Failure.UNREACHABLE, type(error).__name__) from None
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return raw


class Connections:
    """Connections to one endpoint, each used by one thread at a time. A ``Sender``. timeout: seconds for an exchange
    from its beginning to the answer's last byte, a new connection included."""

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        self.endpoint = endpoint
        self._timeout = timeout
        self._lock = threading.Lock()
        self._idle: list[_Connection] = []
        self._process = os.getpid()
        self._context: ssl.SSLContext | None = None

    def __call__(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._timeout
        try:
            kept = self._kept()
            if kept is not None:
                with suppress(ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError):
                    return self._exchange(kept, path, headers, body, deadline)
                # The proxy was just closing it: once more, by a new one.
            fresh = _Connection(self.endpoint, self._tls(), deadline)
            return self._exchange(fresh, path, headers, body, deadline)
        except TimeoutError:
            raise KeyStoreError(Failure.TIMEOUT) from None
        except ssl.SSLError as error:
            raise KeyStoreError(Failure.TLS, error.reason or type(error).__name__) from None
        except http.client.HTTPException as error:
            raise KeyStoreError(Failure.MALFORMED, type(error).__name__) from None
        except OSError as error:
            raise KeyStoreError(Failure.UNREACHABLE, type(error).__name__) from None

    def close(self) -> None:
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def _tls(self) -> ssl.SSLContext:
        context = self._context
        if context is None:
            context = ssl.create_default_context(cafile=self.endpoint.authorities or None)
            if self.endpoint.client_certificate:
                context.load_cert_chain(self.endpoint.client_certificate, self.endpoint.client_key)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.sslsocket_class = _Socket
            self._context = context
        return context

    def _kept(self) -> _Connection | None:
        with self._lock:
            if self._process != os.getpid():
                # A parent's connections are not a child's.
                self._process = os.getpid()
                self._idle.clear()
            while self._idle:
                connection = self._idle.pop()
                if connection.idle:
                    return connection
                connection.close()
        return None

    def _exchange(
        self, connection: _Connection, path: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> tuple[int, bytes]:
        try:
            connection.sock.deadline = deadline
            connection.request("POST", path, body, dict(headers))
            response = connection.getresponse()
            answer = response.read(LONGEST_ANSWER + 1)
            if len(answer) > LONGEST_ANSWER:
                raise KeyStoreError(Failure.MALFORMED, "the answer is too long")
        except BaseException:
            connection.close()
            raise
        connection.used = time.monotonic()
        with self._lock:
            if response.will_close or not response.isclosed() or len(self._idle) >= _IDLE_MOST:
                connection.close()
            else:
                self._idle.append(connection)
        return response.status, answer
