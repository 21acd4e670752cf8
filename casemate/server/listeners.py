"""Listening sockets, and serving on them until told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from typing import Any

from casemate.gate.http import Application
from casemate.server.transport_limits import Counters, Limits
from casemate.server.transport_worker import Worker

_BACKLOG = 1024


def bind(host: str, port: int) -> socket.socket:
    """A listening TCP socket. port 0: any free one (``getsockname()[1]`` tells). Raises OSError.

    Workers may share it, but then the first to wake takes a whole burst of connections, and keeps them. Where
    load must be spread, use ``bind_each``.
    """
    return _listen(*_resolve(host, port), shared=False)


def bind_each(host: str, port: int, workers: int) -> list[socket.socket]:
    """As many listening sockets on one port, one for each worker; the kernel spreads connections over them
    evenly (SO_REUSEPORT). Raises OSError, also when another server listens there already.

    The supervisor holds them all, so that connections that wait for a worker that died are taken by its
    successor. A worker should close those of the others.
    """
    family, address = _resolve(host, port)
    # Without SO_REUSEPORT first: two servers that share a port by mistake would each get half of the requests.
    with _listen(family, address, shared=False) as probe:
        address = probe.getsockname()
    listeners: list[socket.socket] = []
    try:
        listeners.extend(_listen(family, address, shared=True) for _ in range(workers))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _resolve(host: str, port: int) -> tuple[int, Any]:
    """The address family, and the address as its sockets want it."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return found[0][0], found[0][4]


def _listen(family: int, address: Any, *, shared: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address[0] == "::" else 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


async def serve(
    app: Application,
    plain: Sequence[socket.socket],
    secure: Sequence[socket.socket] = (),
    *,
    stop: asyncio.Event,
    tls: ssl.SSLContext | None = None,
    limits: Limits | None = None,
    counters: Counters | None = None,
    grace: float = 30.0,
    ready: Callable[[], None] | None = None,
    connectable: Callable[[Callable[[str], asyncio.Protocol]], None] | None = None,
) -> bool:
    """Serve ``app`` on the sockets (plain HTTP, and HTTPS by ``tls``) until ``stop`` is set; then drain for at
    most ``grace`` seconds. Returns True when no request had to be cut. Closes the sockets.

    connectable: is given what makes the protocol of a connection from an address, for those who listen elsewhere."""
    if secure and tls is None:
        raise ValueError("HTTPS needs a TLS context.")
    loop = asyncio.get_running_loop()
    limits = limits or Limits()
    worker = Worker(app, limits, counters or Counters(), loop)
    if connectable is not None:
        connectable(worker.connect)
    servers = [await loop.create_server(worker.connect, sock=one, backlog=_BACKLOG) for one in plain]
    servers += [
        await loop.create_server(
            worker.connect,
            sock=one,
            backlog=_BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=limits.handshake_time,
            ssl_shutdown_timeout=limits.linger_time,
        )
        for one in secure
    ]
    if ready is not None:
        ready()
    await stop.wait()
    for server in servers:
        server.close()
    return await worker.drain(grace)


def stop_on_signals(stop: asyncio.Event, *, supervised: bool) -> None:
    """Set ``stop`` on SIGTERM and SIGINT; a second signal ends the process at once.

    A supervised worker takes SIGTERM only, as often as it comes: a terminal or a service manager signals the
    whole group, so the rest is its supervisor's business.
    """
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set() and not supervised:
            sys.stderr.flush()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    for number in (signal.SIGTERM,) if supervised else (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
