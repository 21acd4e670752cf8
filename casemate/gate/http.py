"""What the gate sees of HTTP: an exchange (one request and the place for its one reply).

The transport (casemate/server/transport.py) makes exchanges and hands them to an ``Application``; the gate is
one. Neither side knows more of the other than what stands here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any, NamedTuple, Protocol

STREAM = -1
"""What ``Application.accept`` returns for a request whose body is not to be held in memory."""


class Tls(NamedTuple):
    """The TLS connection that a request came over. version: 'TLSv1.3'; cipher: OpenSSL's name, as CloudTrail has."""

    version: str
    cipher: str


class Exchange(ABC):
    """One HTTP request and its reply. All methods are called in the event loop's thread."""

    __slots__ = ("body", "headers", "method", "path", "peer", "query", "replied", "tls")

    method: str
    path: bytes
    """The raw path, byte for byte as it came (percent-encoding, ``//``, ``..`` and all)."""
    query: bytes
    """The raw query string after the first ``?``, or b''."""
    headers: dict[bytes, bytes]
    """Names in lower case, values trimmed; a repeated header's values are joined by b','."""
    body: bytes
    """The whole body when ``handle`` is called; b'' before, and for streams."""
    peer: str
    """The client's IP address."""
    tls: Tls | None
    memo: dict[bytes, Any] | None = None
    """For what the application makes of a beginning that recurs: the same dict for requests that are the same, byte
    for byte, before their Authorization header; None where nothing is kept. The transport drops it in the end."""
    replied: bool
    """True once ``reply`` or ``start`` was called; a second call is a RuntimeError."""

    @property
    def lost(self) -> bool:
        """Whether the client is known to have gone, so that nobody waits for the reply."""
        return False

    @abstractmethod
    def reply(self, status: int, head: bytes, body: bytes) -> None:
        """Send the whole answer. head: header lines, each ended by CRLF, without Content-Length, Date, Server
        and Connection, which the transport adds. Does nothing when the client has gone."""

    @abstractmethod
    def read(self) -> AsyncIterator[bytes]:
        """The request's body in pieces, with back-pressure (streams only). Raises ConnectionError when the
        client goes away before its end."""

    @abstractmethod
    async def start(self, status: int, head: bytes, length: int | None) -> None:
        """Begin a streamed answer of ``length`` bytes (None: chunked)."""

    @abstractmethod
    async def write(self, data: bytes | memoryview) -> None:
        """Send a piece of a streamed answer; waits while the client is slow. The data must not change afterwards.
        Raises ConnectionError when the client has gone."""

    @abstractmethod
    async def finish(self) -> None:
        """End a streamed answer. With fewer bytes than ``length`` the connection is cut, so that the client
        can tell."""


class Application(Protocol):
    """What the transport calls, in the event loop's thread."""

    @property
    def unasked(self) -> int:
        """Bodies of a known length up to this are held without a call of ``accept``, where they come with their
        head; -1: it is asked of each."""
        ...

    def accept(self, exchange: Exchange) -> int:
        """The head has come, the body has not been read. Returns how many bytes of body to hold at most
        (more is answered 413), or STREAM. May also reply at once (a refusal): then nothing else is called."""
        ...

    def handle(self, exchange: Exchange) -> None:
        """The whole body is in ``exchange.body``. Replies now or later."""
        ...

    async def stream(self, exchange: Exchange) -> None:
        """A body that ``accept`` called STREAM: read it from ``exchange.read()``, then reply."""
        ...
