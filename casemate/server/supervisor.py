"""Several worker processes on the same listening sockets, and a parent that keeps them alive."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence

log = logging.getLogger("casemate.supervisor")

QUICK = 5.0
"""A worker that dies within so many seconds of its start died quickly."""
PATIENCE = 5
"""So many quick deaths in a row, of all workers together, end the server."""

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
_ECHO = 1.0
"""A signal that comes again so soon is the same one, sent to the process and to its group."""
_GRACE_MARGIN = 5.0
_PR_SET_PDEATHSIG = 1


class WorkersKeepDying(Exception):
    """Starting workers over and over does not help: the cause is in the log."""


def supervise(
    workers: int,
    run_worker: Callable[[int, Sequence[socket.socket]], None],
    sockets: Sequence[socket.socket],
    *,
    grace: float = 30.0,
    on_death: Callable[[int, int], None] | None = None,
) -> None:
    """Run ``run_worker(index, sockets)`` in so many processes until SIGTERM or SIGINT; return when all have ended.

    With one worker there is no fork: it runs here, and its signals are its own business. Else this must be called
    before any thread is started. ``run_worker`` ends on SIGTERM, within ``grace`` seconds, or is killed; SIGINT is
    ignored in workers. A second signal to this process kills them at once. A worker that ends otherwise is
    replaced, after ``on_death(index, status)`` (status: of its exit, or minus the signal) was called here: what the
    dead may have left half-done is put right before the next one starts.

    Raises WorkersKeepDying when PATIENCE workers in a row died within QUICK seconds.
    """
    if workers < 1:
        raise ValueError("There must be at least one worker.")
    if workers == 1:
        run_worker(0, sockets)
        return
    # Signals are blocked and waited for, so that none is lost between two looks.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        _Supervisor(run_worker, sockets, grace, on_death, before).run(workers)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Supervisor:
    def __init__(
        self,
        run_worker: Callable[[int, Sequence[socket.socket]], None],
        sockets: Sequence[socket.socket],
        grace: float,
        on_death: Callable[[int, int], None] | None,
        mask: set[signal.Signals | int] | set[int] | set[signal.Signals],
    ) -> None:
        self.run_worker = run_worker
        self.sockets = sockets
        self.grace = grace
        self.on_death = on_death
        self.mask = mask
        self.running: dict[int, tuple[int, float]] = {}
        """Process id -> index of the worker, and when it was started (monotonic)."""
        self.quick_deaths = 0

    def run(self, workers: int) -> None:
        # What is here now is kept out of the collector's sight, so that workers go on sharing its pages.
        gc.collect()
        gc.freeze()
        try:
            for index in range(workers):
                self._start(index)
            while self._wait(None) is None:
                for index, status, lived in self._reap():
                    self._replace(index, status, lived)
        except BaseException:
            self._signal_all(signal.SIGTERM)
            self._end()
            raise
        self._close_listeners()
        self._signal_all(signal.SIGTERM)
        self._end()

    def _start(self, index: int) -> None:
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child:
            self.running[child] = (index, time.monotonic())
            return
        status = 1
        try:
            _die_with(parent)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)
            self.run_worker(index, self.sockets)
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            # Not sys.exit: what the parent has set up to run at its exit must not run here.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _wait(self, timeout: float | None) -> int | None:
        """The signal that asks us to stop, or None when a worker ended or the time is over."""
        if timeout is None:
            number: int | None = signal.sigwaitinfo(_SIGNALS).si_signo
        else:
            information = signal.sigtimedwait(_SIGNALS, max(0.0, timeout))
            number = information.si_signo if information is not None else None
        return None if number in (signal.SIGCHLD, None) else number

    def _reap(self) -> list[tuple[int, int, float]]:
        """The workers that have ended: index, exit status, seconds lived."""
        ended = []
        for child, (index, started) in tuple(self.running.items()):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                del self.running[child]
                ended.append((index, os.waitstatus_to_exitcode(status), time.monotonic() - started))
        return ended

    def _replace(self, index: int, status: int, lived: float) -> None:
        log.error("Worker %d ended with status %d after %.1f s.", index, status, lived)
        if self.on_death is not None:
            self.on_death(index, status)
        self.quick_deaths = self.quick_deaths + 1 if lived < QUICK else 0
        if self.quick_deaths >= PATIENCE:
            raise WorkersKeepDying(
                f"{PATIENCE} workers in a row died within {QUICK:g} s of their start, the last with status {status}."
            )
        self._start(index)

    def _close_listeners(self) -> None:
        """New connections are refused at once, not left waiting for processes that take none."""
        for listener in self.sockets:
            listener.close()

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self.running:
            os.kill(child, number)

    def _end(self) -> None:
        """Wait until all workers have ended; kill them when it takes too long or a second signal comes."""
        begun = time.monotonic()
        end = begun + self.grace + _GRACE_MARGIN
        while self.running:
            self._reap()
            if not self.running:
                return
            left = end - time.monotonic()
            told = left > 0 and self._wait(left) is not None
            if told and time.monotonic() - begun < _ECHO:
                continue
            if told or left <= 0:
                log.error("Killing %d workers that have not ended.", len(self.running))
                self._signal_all(signal.SIGKILL)
                end = time.monotonic() + _GRACE_MARGIN


def _die_with(parent: int) -> None:
    """Have the kernel end this worker when its supervisor is killed (Linux)."""
    if sys.platform != "linux":
        return
    import ctypes  # here, because a server with one worker has no use for it

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
