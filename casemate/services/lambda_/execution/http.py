"""As much of HTTP/1.1 as runtimes' clients speak to the Runtime API."""

from __future__ import annotations

import socket
from typing import NamedTuple

MOST_HEAD = 64 * 1024
_MOST_CHUNK_LINE = 4 * 1024


class BadRequest(Exception):
    """What came is no request; the connection is of no more use."""


class Request(NamedTuple):
    """headers: names in lower case; body: None where it is longer than it may be, and was not kept."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None


class Connection:
    """One connection of a runtime's."""

    def __init__(self, sock: socket.socket, most: int) -> None:
        """most: bytes of a body."""
        sock.setblocking(True)
        sock.settimeout(10.0)
        self.sock = sock
        self._buffer = bytearray()
        self._most = most
        self._head: tuple[str, str, dict[str, str]] | None = None
        """Of the request whose body has not come whole."""
        self._chunks = bytearray()
        """What its chunks hold, as far as they have been taken from the buffer."""

    def receive(self) -> bool:
        """Take what has come; False when the peer has ended. Call it when there is something to be read."""
        try:
            data = self.sock.recv(256 * 1024)
        except OSError:
            return False
        self._buffer += data
        return bool(data)

    def request(self) -> Request | None:
        """The next whole request that has come; None when there is none yet. Raises BadRequest."""
        try:
            if self._head is None:
                self._head = self._next_head()
                if self._head is None:
                    return None
            method, path, headers = self._head
            if "chunked" in headers.get("transfer-encoding", "").lower():
                whole, body = self._chunked()
            else:
                whole, body = self._counted(int(headers.get("content-length", "0")))
        except ValueError:
            raise BadRequest from None
        if not whole:
            return None
        self._head = None
        return Request(method, path, headers, body)

    def _next_head(self) -> tuple[str, str, dict[str, str]] | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MOST_HEAD:
                raise BadRequest
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        method, path, version = first.split(" ")
        if not version.startswith("HTTP/1."):
            raise BadRequest
        del self._buffer[: end + 4]
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        return method, path, headers

    def _counted(self, length: int) -> tuple[bool, bytes | None]:
        """Whether the body is whole, and the body."""
        if length < 0:
            raise BadRequest
        if length > self._most:
            self._buffer.clear()
            return True, None
        if len(self._buffer) < length:
            return False, None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return True, body

    def _chunked(self) -> tuple[bool, bytes | None]:
        """As ``_counted``. Whole chunks leave the buffer, so that nothing is looked at twice, and what waits there is
        at most a line, the trailers, or a chunk that the body has room for."""
        while True:
            end = self._buffer.find(b"\r\n", 0, _MOST_CHUNK_LINE + 2)
            if end < 0:
                if len(self._buffer) > _MOST_CHUNK_LINE:
                    raise BadRequest
                return False, None
            size = int(self._buffer[:end].partition(b";")[0], 16)
            if size < 0:
                raise BadRequest
            if size == 0:
                # Trailers end with an empty line, as does a body without any.
                last = self._buffer.find(b"\r\n\r\n", end)
                if last < 0:
                    if len(self._buffer) > MOST_HEAD:
                        raise BadRequest
                    return False, None
                body = bytes(self._chunks)
                self._chunks.clear()
                del self._buffer[: last + 4]
                return True, body
            if len(self._chunks) + size > self._most:
                self._chunks.clear()
                self._buffer.clear()
                return True, None
            start, stop = end + 2, end + 2 + size
            if len(self._buffer) < stop + 2:
                return False, None
            self._chunks += self._buffer[start:stop]
            del self._buffer[: stop + 2]

    def answer(self, status: str, headers: dict[str, str], body: bytes) -> bool:
        """Answer a request; False when the peer has gone."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        try:
            self.sock.sendall(head.encode("latin-1") + body)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self.sock.close()
