"""As much of HTTP/1.1 as runtimes' clients speak to the Runtime API."""

from __future__ import annotations

import socket
from typing import NamedTuple

MOST_HEAD = 64 * 1024


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
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MOST_HEAD:
                raise BadRequest
            return None
        try:
            first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
            method, path, version = first.split(" ")
            headers = {
                name.strip().lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines)
            }
            if not version.startswith("HTTP/1."):
                raise BadRequest
            if "chunked" in headers.get("transfer-encoding", "").lower():
                whole = self._chunked(end + 4)
            else:
                whole = self._counted(end + 4, int(headers.get("content-length", "0")))
        except ValueError:
            raise BadRequest from None
        if whole is None:
            return None
        body, used = whole
        del self._buffer[:used]
        return Request(method, path, headers, body)

    def _counted(self, start: int, length: int) -> tuple[bytes | None, int] | None:
        if length < 0:
            raise BadRequest
        if length > self._most:
            return None, len(self._buffer)
        if len(self._buffer) < start + length:
            return None
        return bytes(self._buffer[start : start + length]), start + length

    def _chunked(self, start: int) -> tuple[bytes | None, int] | None:
        body = bytearray()
        while True:
            end = self._buffer.find(b"\r\n", start)
            if end < 0:
                return None
            size = int(self._buffer[start:end].partition(b";")[0], 16)
            if size < 0:
                raise BadRequest
            if size == 0:
                # Trailers end with an empty line.
                last = (
                    end if self._buffer[end : end + 4] == b"\r\n\r\n" else self._buffer.find(b"\r\n\r\n", end)
                )
                return None if last < 0 else (bytes(body), last + 4)
            if len(body) + size > self._most:
                return None, len(self._buffer)
            if len(self._buffer) < end + 2 + size + 2:
                return None
            body += self._buffer[end + 2 : end + 2 + size]
            start = end + 2 + size + 2

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
