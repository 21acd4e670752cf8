"""From settings to a server that serves: prepare, bind, fork, serve, drain."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import uvloop

from casemate import __version__
from casemate.server import logs
from casemate.server.composition import MIGRATIONS, Opened, Worker, open_data, open_worker
from casemate.server.config import Config
from casemate.server.credentials_file import Administrator
from casemate.server.data_lock import lock_data
from casemate.server.first_start import first_start, is_seeded, prepare_data
from casemate.server.health import Front, Health
from casemate.server.listeners import bind, bind_each, serve
from casemate.server.metrics import Published
from casemate.server.metrics_endpoint import LIMITS as METRICS_LIMITS
from casemate.server.metrics_endpoint import Metrics
from casemate.server.server_file import Running, announce, running, withdraw
from casemate.server.supervisor import supervise
from casemate.server.tls import own_certificate, server_context
from casemate.server.transport_limits import Counters, Limits
from casemate.store.database import StoreError, open_store

RUN_FOLDER = "run"
"""In the data directory: what the workers of the running server tell each other."""

_SAME_SIGNAL = 1.0
"""Seconds in which a second signal is the first one's echo: some send it to the process and to its group."""

log = logging.getLogger("casemate.server")


if TYPE_CHECKING:
    from casemate.server.seed import Seed


class CannotListen(Exception):
    """A port cannot be had. The text says which and why."""


class Started(NamedTuple):
    """What a start has to say. administrator: the one that the first start made; None where there was one, or
    where the seed has one."""

    server: Running
    administrator: Administrator | None


@dataclass(slots=True)
class _Listeners:
    """The bound sockets, by use. What the operator switched off is empty."""

    plain: list[socket.socket]
    """One for each worker, on one port: a burst of connections to a shared one goes to whoever wakes first."""
    secure: list[socket.socket]
    """The same."""
    metrics: list[socket.socket]
    """One for all."""

    def of_worker(self, number: int) -> _Listeners:
        """What one worker listens on; the other workers' are closed here."""
        for mine in (self.plain, self.secure):
            for listener in mine:
                if listener is not mine[number]:
                    listener.close()
        return _Listeners(self.plain[number : number + 1], self.secure[number : number + 1], self.metrics)

    def all(self) -> list[socket.socket]:
        return [*self.plain, *self.secure, *self.metrics]


def run(config: Config, ready: Callable[[Started], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain. ``ready`` is called once, when requests are answered (with more
    than one worker: in the first worker's process).

    Raises DataInUse, CannotListen, SealError, StoreError, SeedError, OSError: whatever keeps it from starting.
    """
    seed = seed_of(config)
    logs.set_up(config.log_level, config.log_format)
    # Whatever comes to be in the data directory is its owner's alone.
    os.umask(0o077)
    prepare_data(config)
    lock = lock_data(config.data)
    try:
        withdraw(config.data)
        listeners = _bind_all(config)
        try:
            _run(config, seed, listeners, ready)
        finally:
            for listener in listeners.all():
                listener.close()
    finally:
        withdraw(config.data)
        lock.release()


def _run(config: Config, seed: Seed | None, listeners: _Listeners, ready: Callable[[Started], None]) -> None:
    opened: Opened | None = open_data(config, seed)
    assert opened is not None
    try:
        administrator = first_start(opened)
        if administrator is not None and is_seeded(opened, administrator):
            administrator = None
        tls = _tls(config) if listeners.secure else None
    except BaseException:
        opened.close()
        raise
    server = Running(
        pid=os.getpid(),
        host=config.host,
        port=_port(listeners.plain),
        tls_port=_port(listeners.secure),
        metrics_port=_port(listeners.metrics),
        region=config.region,
        dev=config.dev,
        version=__version__,
    )
    published = Published(config.data / RUN_FOLDER)
    if config.workers > 1:
        # A store belongs to the process that opened it, and no thread may live at a fork.
        opened.close()
        opened = None
        published.begin()

    def on_ready() -> None:
        # A worker that takes a dead one's place has nothing to tell.
        if running(config.data) is None:
            announce(config.data, server)
            ready(Started(server, administrator))

    def run_worker(number: int, _: Sequence[socket.socket]) -> None:
        mine = listeners.of_worker(number) if config.workers > 1 else listeners
        _run_worker(config, number, mine, tls, opened, seed, on_ready if number == 0 else None)

    def on_death(number: int, _status: int) -> None:
        _settle(config)
        published.bury(number)

    supervise(
        config.workers,
        run_worker,
        listeners.all(),
        grace=config.drain_seconds,
        on_death=on_death,
    )


def _run_worker(
    config: Config,
    number: int,
    listeners: _Listeners,
    tls: ssl.SSLContext | None,
    opened: Opened | None,
    seed: Seed | None,
    on_ready: Callable[[], None] | None,
) -> None:
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        worker = open_worker(config, number, loop, opened, seed)
        try:
            loop.run_until_complete(_serve(config, number, worker, listeners, tls, on_ready))
        finally:
            worker.close()
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _serve(
    config: Config,
    number: int,
    worker: Worker,
    listeners: _Listeners,
    tls: ssl.SSLContext | None,
    on_ready: Callable[[], None] | None,
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    patient_until = 0.0

    def told() -> None:
        nonlocal patient_until
        if not stop.is_set():
            stop.set()
            worker.gate.parking.close()
            patient_until = loop.time() + _SAME_SIGNAL
        elif config.workers == 1 and loop.time() > patient_until:
            # Told again: whoever asks does not want to wait for clients any longer. What was acknowledged is safe.
            os._exit(1)

    loop.add_signal_handler(signal.SIGTERM, told)
    if config.workers == 1:
        loop.add_signal_handler(signal.SIGINT, told)
    worker.opened.store.join(loop.call_soon_threadsafe)
    worker.jobs.start()
    worker.replicator.start()
    worker.dispatcher.start()
    worker.deliverer.start()
    worker.caller.start()
    worker.invocations.start()
    worker.poller.start()
    counters = Counters()

    def ready() -> None:
        # What is here now stays: out of the collector's sight.
        gc.freeze()
        # A request leaves little for the collector, which would look for it every seven hundred objects.
        gc.set_threshold(50_000, 20, 100)
        gc.enable()
        if on_ready is not None:
            on_ready()

    published = Published(config.data / RUN_FOLDER) if config.workers > 1 else None
    metrics = Metrics(worker, number, counters, published, loop)
    try:
        clean, _ = await asyncio.gather(
            serve(
                Front(worker.gate, Health(loop, worker.opened.store, worker.journal)),
                listeners.plain,
                listeners.secure,
                stop=stop,
                tls=tls,
                limits=Limits(connections=config.max_connections),
                counters=counters,
                grace=config.drain_seconds,
                ready=ready,
                connectable=worker.doors.serve_by,
            ),
            serve(metrics, listeners.metrics, stop=stop, limits=METRICS_LIMITS, grace=0.0),
        )
    finally:
        metrics.close()
    if not clean:
        log.warning("Requests that had not ended after %g s were cut.", config.drain_seconds)


def seed_of(config: Config) -> Seed | None:
    """The seed that the settings name, checked. Raises SeedError."""
    if config.seed is None:
        return None
    from casemate.server.seed import read_seed

    return read_seed(config.seed)


def _bind_all(config: Config) -> _Listeners:
    listeners = _Listeners([], [], [])
    try:
        for name, port, sockets, count in (
            ("port", config.port, listeners.plain, config.workers),
            ("tls-port", config.tls_port, listeners.secure, config.workers),
            ("metrics-port", config.metrics_port, listeners.metrics, 1),
        ):
            if port is not None:
                sockets += _bind(config.host, port, name, count)
    except BaseException:
        for listener in listeners.all():
            listener.close()
        raise
    return listeners


def _bind(host: str, port: int, name: str, count: int) -> list[socket.socket]:
    try:
        return [bind(host, port)] if count == 1 else bind_each(host, port, count)
    except (socket.gaierror, UnicodeError):
        raise CannotListen(f"the host {host} has no address") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(
                f"port {port} of {host} is in use; choose another by --{name} (0: any free one)"
            ) from None
        raise CannotListen(f"port {port} of {host} cannot be had: {error.strerror}") from None


def _port(listeners: Sequence[socket.socket]) -> int | None:
    return int(listeners[0].getsockname()[1]) if listeners else None


def _tls(config: Config) -> ssl.SSLContext:
    if config.tls_cert is not None and config.tls_key is not None:
        certificate, key = config.tls_cert, config.tls_key
    else:
        certificate, key = own_certificate(config.data / "tls", config.tls_names)
    return server_context(certificate, key)


def _settle(config: Config) -> None:
    """Put right what a worker that died may have left: a commit under way that caches still wait for."""
    try:
        store = open_store(config.database_url, migrations=MIGRATIONS)
        try:
            store.bump_all()
        finally:
            store.close()
    except StoreError as error:
        # The next worker needs the database too, and opening it makes the caches start afresh as well.
        log.error("After a worker's death the store could not be opened: %s", error)
