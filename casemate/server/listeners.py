"""Listening sockets, and serving on them until told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Sequence

from casemate.gate.http import Application
from casemate.server.transport_limits import Counters, Limits
from casemate.server.transport_worker import Worker

_BACKLOG = 1024


def bind(host: str, port: int) -> socket.socket:
    """A listening TCP socket, to be shared by all workers. port 0: any free one (``getsockname()[1]`` tells).

    One socket for all and not SO_REUSEPORT: the kernel gives a connection to a worker that is free, a worker
    that died loses nobody's connection, and a second server on the same port is an error instead of a surprise.
    Raises OSError.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host in ("", "::") else 1)
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
) -> bool:
    """Serve ``app`` on the sockets (plain HTTP, and HTTPS by ``tls``) until ``stop`` is set; then drain for at
    most ``grace`` seconds. Returns True when no request had to be cut. Closes the sockets."""
    if secure and tls is None:
        raise ValueError("HTTPS needs a TLS context.")
    loop = asyncio.get_running_loop()
    limits = limits or Limits()
    worker = Worker(app, limits, counters or Counters(), loop)
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
    """Set ``stop`` on SIGTERM and SIGINT. Unsupervised, a second signal ends the process at once; a supervised
    worker leaves that to its supervisor, as a terminal or a service manager signals the whole group."""
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set() and not supervised:
            sys.stderr.flush()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
