"""The execution environments of one worker: started when an invocation finds none that is free, kept warm, used
again, ended when they have been idle for long or their credentials grow old.

Each worker has its own. They are ended when the worker ends and, should it be killed, by the kernel.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import subprocess
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any, NamedTuple

from casemate.services.lambda_.execution.doors import Doors
from casemate.services.lambda_.execution.environment import Environment, Failure, Plan, Settings
from casemate.services.lambda_.execution.isolation import obstacle
from casemate.services.lambda_.sharing import may_have_one_more, share_of_one

log = logging.getLogger("casemate.lambda")

_OLDEST = 45 * 60.0
"""Seconds for which an environment is used: its credentials are good for an hour."""
_SWEEP = 5.0


class Key(NamedTuple):
    """What an environment is of. account: the function's; function: its id; number, revision: of the version."""

    account: str
    function: str
    number: int
    revision: str


class Exhausted(Exception):
    """As many environments as there may be are at work."""


class NotIsolated(Exception):
    """Functions cannot be isolated here, and are not to run otherwise. reason: in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Environments:
    """``call.part(Environments)``.

    most: how many there may be at a time; idle: seconds for which one is kept; folder: for what the workers of this
    machine share.
    """

    def __init__(self, settings: Settings, doors: Doors, folder: Path, *, most: int, idle: float) -> None:
        self._settings, self._doors, self._most, self._idle_seconds = settings, doors, most, idle
        self._folder = folder
        self._lock = threading.Lock()
        self._idle: dict[Key, list[Environment]] = {}
        self._busy: set[Environment] = set()
        self._starting = 0
        self._used: Counter[str] = Counter()
        """How many are at work, by account."""
        self._closed = False
        self._code: Path | None = None
        self._unpacking = threading.Lock()
        self._spawner: ThreadPoolExecutor | None = None
        self._sweeper: threading.Thread | None = None
        self._stop = threading.Event()

    def __repr__(self) -> str:
        return f"<Environments, {len(self._busy)} at work>"

    @contextmanager
    def of(self, key: Key, plan: Callable[[], Plan], alone: Callable[[], bool]) -> Iterator[Environment]:
        """An environment for one invocation. plan: what one is made of, asked for when a new one is needed; alone:
        tells whether no other account has functions. The caller takes ``discard`` for one that is not to be used
        again. Raises Exhausted, NotIsolated, Failure."""
        with self._place(key.account, alone):
            environment = self._take(key)
            if environment is None:
                environment = self._make(plan)
            try:
                yield environment
            except BaseException:
                self.discard(environment)
                raise
            self._give_back(key, environment)

    @contextmanager
    def _place(self, account: str, alone: Callable[[], bool]) -> Iterator[None]:
        """One of those that an account may have. Raises Exhausted."""
        # Only where it has many is it asked whether others could want some.
        shares = share_of_one(self._most) <= self._used[account] and not alone()
        with self._lock:
            if not may_have_one_more(self._used[account], 0, self._most, alone=not shares):
                raise Exhausted
            self._used[account] += 1
        try:
            yield
        finally:
            with self._lock:
                self._used[account] -= 1
                if not self._used[account]:
                    del self._used[account]

    def discard(self, environment: Environment) -> None:
        """End an environment that is in use."""
        with self._lock:
            self._busy.discard(environment)
        environment.close()

    def close(self) -> None:
        """End all of them."""
        self._stop.set()
        with self._lock:
            self._closed = True
            used = list(self._busy)
            ended = [each for idle in self._idle.values() for each in idle]
            self._idle.clear()
        for environment in used:
            environment.kill()
        for environment in ended:
            with contextlib.suppress(OSError):
                environment.close()
        if self._spawner is not None:
            self._spawner.shutdown(wait=True)
        if self._sweeper is not None:
            self._sweeper.join()
        if self._code is not None:
            shutil.rmtree(self._code, ignore_errors=True)

    @contextmanager
    def reserved(self, function: str, most: int) -> Iterator[bool]:
        """Whether one more invocation of a function may run, of which at most so many may on this machine, and its
        place among them. A worker that dies loses its places."""
        folder = self._folder / "reserved" / function
        _private(folder)
        for number in range(most):
            descriptor = os.open(folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                try:
                    flock(descriptor, LOCK_EX | LOCK_NB)
                except BlockingIOError:
                    continue
                yield True
                return
            finally:
                os.close(descriptor)
        yield False

    def unpacked(self, code: str, load: Callable[[], bytes]) -> Path:
        """The folder with a deployment package's files. It is in memory where the system has a file system for that,
        and goes with the server. code: the package's id."""
        with self._unpacking:
            if self._code is None:
                self._code = _code_folder(self._folder)
            folder = self._code / code
            if not folder.exists():
                partial = self._code / f"{code}.partial"
                shutil.rmtree(partial, ignore_errors=True)
                _unpack(load(), partial)
                partial.rename(folder)
            return folder

    # --- in whatever thread invokes

    def _take(self, key: Key) -> Environment | None:
        """A warm environment; None when there is none."""
        old: list[Environment] = []
        with self._lock:
            if self._closed:
                raise Exhausted
            found: Environment | None = None
            for other in [each for each in self._idle if each[:3] == key[:3] and each != key]:
                old += self._idle.pop(other)
            idle = self._idle.get(key, [])
            while idle and found is None:
                candidate = idle.pop()
                if time.monotonic() - candidate.made < _OLDEST:
                    found = candidate
                else:
                    old.append(candidate)
            if found is not None:
                self._busy.add(found)
        for environment in old:
            environment.close()
        return found

    def _make(self, plan: Callable[[], Plan]) -> Environment:
        if self._settings.isolation != "none":
            reason = obstacle().reason
            if reason:
                raise NotIsolated(reason)
        given_up: Environment | None = None
        with self._lock:
            idle = [(each.used, key, each) for key, found in self._idle.items() for each in found]
            if len(self._busy) + self._starting + len(idle) >= self._most:
                if not idle:
                    raise Exhausted
                _, key, given_up = min(idle, key=lambda entry: entry[0])
                self._idle[key].remove(given_up)
            self._starting += 1
            self._begin()
        try:
            if given_up is not None:
                given_up.close()
            environment = Environment(plan(), self._settings, self._doors, self._spawn)
        except BaseException:
            with self._lock:
                self._starting -= 1
            raise
        with self._lock:
            self._starting -= 1
            closed = self._closed
            if not closed:
                self._busy.add(environment)
        if closed:
            environment.close()
            raise Failure("the server is stopping")
        environment.start()
        return environment

    def _give_back(self, key: Key, environment: Environment) -> None:
        with self._lock:
            if environment not in self._busy:
                return
            self._busy.discard(environment)
            closed = self._closed
            if not closed:
                self._idle.setdefault(key, []).append(environment)
        if closed:
            environment.close()

    def _begin(self) -> None:
        """Start what the first environment needs, under the lock."""
        if self._spawner is None:
            self._spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="casemate-lambda")
            self._sweeper = threading.Thread(target=self._sweep, name="casemate-lambda-sweep", daemon=True)
            self._sweeper.start()

    def _spawn(self, *arguments: Any, **more: Any) -> subprocess.Popen[bytes]:
        assert self._spawner is not None

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen[bytes](*arguments, **more)

        return self._spawner.submit(start).result()

    def _sweep(self) -> None:
        while not self._stop.wait(_SWEEP):
            now = time.monotonic()
            ended: list[Environment] = []
            with self._lock:
                for key in list(self._idle):
                    kept: list[Environment] = []
                    for each in self._idle[key]:
                        stale = now - each.used > self._idle_seconds or now - each.made > _OLDEST
                        (ended if stale else kept).append(each)
                    if kept:
                        self._idle[key] = kept
                    else:
                        del self._idle[key]
            for environment in ended:
                with contextlib.suppress(OSError):
                    environment.close()
            self._forget_code()

    def _forget_code(self) -> None:
        """Remove the files of packages that no environment uses."""
        with self._unpacking:
            if self._code is None:
                return
            with self._lock:
                if self._starting:
                    return
                used = {each.plan.code for each in self._busy}
                used |= {each.plan.code for idle in self._idle.values() for each in idle}
            for folder in self._code.iterdir():
                if folder not in used:
                    shutil.rmtree(folder, ignore_errors=True)


_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of this process's own is made in it
_PREFIX = "casemate-lambda-"


def _private(folder: Path) -> None:
    """Make a folder that nobody else can look into, and those above it."""
    for each in (*reversed(folder.parents), folder):
        with contextlib.suppress(FileExistsError):
            each.mkdir(mode=0o700)


def _code_folder(otherwise: Path) -> Path:
    """A new folder for unpacked code, which only this user can read. Those of servers that were killed go."""
    parent = otherwise / "code"
    if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC:
        parent = _MEMORY
    if parent != _MEMORY:
        _private(parent)
    for left in parent.glob(f"{_PREFIX}*"):
        process = left.name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdecimal() and not Path("/proc", process).exists() and left.stat().st_uid == os.getuid():
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))


def _unpack(zipped: bytes, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        folder.mkdir()
        for entry in archive.infolist():
            path = Path(archive.extract(entry, folder))
            if not path.is_dir():
                path.chmod(0o755 if (entry.external_attr >> 16) & 0o111 else 0o644)
