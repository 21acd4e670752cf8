"""One request by HTTP or HTTPS, to an endpoint that is not believed to be quick or kind.

No redirect is followed, no proxy asked; all of it has one deadline, and answers are read up to a size. The connection
goes to an address that was looked at: the name is not asked for again.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from casemate.engine.egress.hosts import Hosts

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_NOT_IN_VALUES: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Answer(NamedTuple):
    """headers: by their names in lower case; body: up to what was to be read of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Url(NamedTuple):
    """A URL in its parts. host: as a name or an address, without brackets; target: path and query."""

    secure: bool
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def read_url(text: str) -> Url:
    """A URL of HTTP or HTTPS; who it says to be is left out. Raises ValueError."""
    parts = urlsplit(text)
    host, port = parts.hostname, parts.port
    if parts.scheme not in ("http", "https") or not host or port == 0 or not text.isascii():
        raise ValueError("no URL of HTTP")
    if re.search(r"[\x00-\x20\x7f]", text):
        raise ValueError("a URL has no spaces")
    secure = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(secure, host, port or (443 if secure else 80), target)


def is_header(name: str, value: str) -> bool:
    """Whether it may be sent as a header."""
    return _HEADER_NAME.fullmatch(name) is not None and _NOT_IN_VALUES.search(value) is None


def exchange(
    method: str,
    url: Url,
    headers: Mapping[str, str],
    body: bytes | None,
    *,
    hosts: Hosts,
    seconds: float,
    largest: int = 0,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """What is answered. Waits for the network. seconds: for all of it; largest: bytes of the answer's body that are
    read, what is beyond is left; context: whom to trust, the machine's authorities unless given.

    Raises Unreachable, OSError (of TLS and of time, too) and http.client.HTTPException."""
    end = time.monotonic() + seconds
    addresses = hosts.addresses(url.host, url.port)
    sock = connect(addresses, url.port, end)
    connection = http.client.HTTPConnection(url.host, url.port)
    watch: threading.Timer | None = None
    try:
        if url.secure:
            trusted = context or ssl.create_default_context()
            sock = trusted.wrap_socket(sock, server_hostname=url.host, do_handshake_on_connect=False)
        # However slowly the bytes come: at the end of the time there are none any more.
        watch = threading.Timer(max(0.0, end - time.monotonic()), shut, [sock])
        watch.daemon = True
        watch.start()
        if isinstance(sock, ssl.SSLSocket):
            sock.do_handshake()
        connection.sock = sock
        connection.putrequest(method, url.target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", url.authority)
        for name, value in headers.items():
            connection.putheader(name, value.encode())
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.putheader("Connection", "close")
        connection.endheaders(body)
        answer = connection.getresponse()
        read = answer.read(largest) if largest else b""
        found = {name.lower(): value for name, value in answer.getheaders()}
        if time.monotonic() >= end:
            raise TimeoutError
        return Answer(answer.status, found, read)
    finally:
        if watch is not None:
            watch.cancel()
        connection.close()
        sock.close()


def connect(addresses: Sequence[str], port: int, end: float) -> socket.socket:
    """A connection to the first of the addresses that takes one, its reads and writes up to a moment of the monotonic
    clock. Raises OSError."""
    refused: OSError = OSError("no address")
    for tried, address in enumerate(addresses):
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        # The last one may take all the time; those before leave some of it.
        share = left if tried == len(addresses) - 1 else left / 2
        try:
            sock = socket.create_connection((address, port), share)
        except OSError as error:
            refused = error
            continue
        sock.settimeout(max(0.001, end - time.monotonic()))
        return sock
    raise refused


def shut(sock: socket.socket) -> None:
    """End whatever waits for a connection."""
    with suppress(OSError):
        # The connection's own, for whoever reads from TLS is not to find it gone meanwhile.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
