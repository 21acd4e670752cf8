"""What the server listens on inside execution environments: its own API, and the hosts that functions may reach."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

log = logging.getLogger("casemate.lambda")

_PIECE = 64 * 1024

FUNCTIONS = "169.254.100.1"
"""The address from which functions call: a link-local one, which no client over a network has. By their sockets they
would be the server's own machine."""


class Doors:
    """The event loop's end of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._connect: Callable[[str], asyncio.Protocol] | None = None

    def serve_by(self, connect: Callable[[str], asyncio.Protocol]) -> None:
        """The transport serves from now on."""
        self._connect = connect

    def to_api(self, listener: socket.socket) -> Callable[[], object]:
        """Serve the API on a listening socket, from any thread. Returns what ends it."""
        return self._open(listener, lambda: self._serve(listener))

    def to_host(self, listener: socket.socket, host: str, port: int) -> Callable[[], object]:
        """Pass what comes to a listening socket on to a host. Returns what ends it."""
        return self._open(
            listener, lambda: asyncio.start_server(partial(_pass_on, host, port), sock=listener)
        )

    async def _serve(self, listener: socket.socket) -> asyncio.Server:
        connect = self._connect
        if connect is None:
            raise RuntimeError("the transport does not serve yet")
        return await asyncio.get_running_loop().create_server(lambda: connect(FUNCTIONS), sock=listener)

    def _open(self, listener: socket.socket, begin: Callable[[], Any]) -> Callable[[], object]:
        loop = self._loop
        if loop is None:
            raise RuntimeError("nobody serves here")
        listener.setblocking(False)
        server = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)

        def end() -> None:
            try:
                loop.call_soon_threadsafe(server.close)
            except RuntimeError:
                # The loop is closed, and with it the socket.
                listener.close()

        return end


async def _pass_on(host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        there, to_there = await asyncio.wait_for(asyncio.open_connection(host, port), 10)
    except (OSError, TimeoutError) as error:
        log.warning("a function could not reach %s:%d: %s", host, port, type(error).__name__)
        writer.close()
        return
    await asyncio.gather(_pump(reader, to_there), _pump(there, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (OSError, RuntimeError):
        pass
    finally:
        if not writer.can_write_eof() or reader.exception() is not None:
            writer.close()
