"""One execution environment: an isolated process that runs one version of one function, one invocation at a time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from casemate.services.lambda_.execution.doors import Doors
from casemate.services.lambda_.execution.isolation import LAUNCHER, isolated, limits
from casemate.services.lambda_.execution.runtime_api import Event, Outcome, RuntimeApi, error
from casemate.services.lambda_.runtimes import CUSTOM, NODE, Runtime

_INIT_SECONDS = 10.0
_RUNTIME_PORT, _API_PORT = 9001, 9000
_SPAWN_SECONDS = 20.0


class Settings(NamedTuple):
    """What the operator has configured. isolation: "bubblewrap" or "none"; network: what functions may reach besides
    the API, as (host, port); hidden: folders of the server's own."""

    isolation: str
    network: tuple[tuple[str, int], ...]
    hidden: tuple[str, ...]


class Plan(NamedTuple):
    """What an environment is made of. code: the folder with the unpacked package; variables: its environment,
    credentials included; timeout: seconds; memory, temporary: megabytes."""

    runtime: Runtime
    code: Path
    variables: Mapping[str, str]
    timeout: float
    memory: int
    temporary: int

    def __repr__(self) -> str:
        return f"<Plan for {self.code}>"


class Failure(Exception):
    """The environment could not be started. reason: in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Environment:
    """made: of the monotonic clock; init: milliseconds that its start took, until the first invocation has told
    them."""

    def __init__(
        self, plan: Plan, settings: Settings, doors: Doors, spawn: Callable[..., subprocess.Popen[bytes]]
    ) -> None:
        """spawn: ``subprocess.Popen``, run in a thread that lives as long as the server: with the thread that starts
        a process, the kernel ends those that are to die with their parent. Raises Failure."""
        if settings.isolation == "none":
            # What may be reached, functions reach by themselves.
            settings = settings._replace(network=())
        self.plan = plan
        self.made = self.used = time.monotonic()
        self.init: float | None = None
        self._closing = threading.Lock()
        self._closed = False
        self._isolated = settings.isolation != "none"
        self._failed: Outcome | None = None
        self._ends: list[Callable[[], object]] = []
        channel, theirs = socket.socketpair()
        reading, writing = os.pipe()
        try:
            with channel, theirs:
                self._process = self._spawn(settings, spawn, theirs.fileno(), writing)
                theirs.close()
                listeners = self._sockets(channel, settings)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        runtime, api, *hosts = listeners
        try:
            self._api = RuntimeApi(runtime, reading, os.pidfd_open(self._process.pid))
        except BaseException:
            os.close(reading)
            self._kill()
            raise
        try:
            self._ends.append(doors.to_api(api))
            for listener, (host, port) in zip(hosts, settings.network, strict=True):
                self._ends.append(doors.to_host(listener, host, port))
        except BaseException:
            self.close()
            for listener in (api, *hosts):
                listener.close()
            raise

    def __repr__(self) -> str:
        return f"<Environment of process {self._process.pid}>"

    def start(self) -> None:
        """Let the runtime initialise itself. What goes wrong is the first invocation's outcome."""
        begun = time.monotonic()
        self._failed = self._api.ready(begun + _INIT_SECONDS + self.plan.timeout)
        self.init = (time.monotonic() - begun) * 1000

    def invoke(self, event: Event) -> Outcome:
        """Run the function. Of an outcome that says so, the environment is not to be used again."""
        if self._failed is not None:
            return self._explained(event, self._failed)
        self.used = time.monotonic()
        outcome = self._api.invoke(event, self.used + self.plan.timeout)
        if outcome is None:
            text = (
                f"RequestId: {event.request_id} Error: Task timed out after {self.plan.timeout:.2f} seconds"
            )
            return Outcome(error("Sandbox.Timedout", text), True, False)
        self.used = time.monotonic()
        return self._explained(event, outcome)

    def _explained(self, event: Event, outcome: Outcome) -> Outcome:
        """An outcome without a payload is that of a process that has ended, or never got ready."""
        if outcome.payload:
            return outcome
        if not self._api.over:
            text = (
                f"RequestId: {event.request_id} Error: Task timed out after {self.plan.timeout:.2f} seconds"
            )
            return outcome._replace(payload=error("Sandbox.Timedout", text))
        status = self._process.wait()
        # What isolates it tells of a signal so; above are statuses of the function's own.
        if 128 < status < 128 + signal.NSIG:
            status = 128 - status
        if status < 0:
            names: dict[int, str] = {
                signal.SIGKILL: "killed",
                signal.SIGSEGV: "segmentation fault",
                signal.SIGTERM: "terminated",
            }
            what = f"Runtime exited with error: signal: {names.get(-status, str(-status))}"
        elif status:
            what = f"Runtime exited with error: exit status {status}"
        else:
            what = "Runtime exited without providing a reason"
        return outcome._replace(
            payload=error("Runtime.ExitError", f"RequestId: {event.request_id} Error: {what}")
        )

    def printed(self) -> bytes:
        """What the function printed since the last look."""
        return self._api.printed()

    def memory_used(self) -> int:
        """The most megabytes that the runtime's process has had in memory."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            process = str(self._process.pid)
            # Isolated, it is the child of what isolates it.
            children = Path("/proc", process, "task", process, "children").read_text().split()
            if self._isolated and children:
                process = children[0]
            for line in Path("/proc", process, "status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) // 1024
        return 0

    def kill(self) -> None:
        """End all its processes, from whatever thread: whoever uses it finds that it has ended."""
        with self._closing:
            if not self._closed:
                self._signal()

    def close(self) -> None:
        """End all its processes, and leave nothing of it. For whoever uses it, or nobody does."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        for end in self._ends:
            end()
        self._kill()
        self._api.close()

    def _kill(self) -> None:
        self._signal()
        self._process.wait()

    def _signal(self) -> None:
        # Isolated, the processes end with the first of their namespace; otherwise they are of one group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def _spawn(
        self, settings: Settings, spawn: Callable[..., subprocess.Popen[bytes]], channel: int, output: int
    ) -> subprocess.Popen[bytes]:
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(channel)]
        handed = [channel]
        hosts = -1
        if settings.isolation != "none":
            hosts = os.memfd_create("hosts")
            os.write(hosts, _hosts(settings.network).encode())
            os.lseek(hosts, 0, os.SEEK_SET)
            handed.append(hosts)
            plan = self.plan
            launcher = [
                *isolated(str(plan.code), plan.runtime.folders, settings.hidden, hosts, plan.temporary),
                *launcher,
            ]
        try:
            return spawn(
                launcher,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=handed,
                env={},
                start_new_session=True,
            )
        except OSError as failure:
            raise Failure(f"it cannot be started: {failure.strerror}") from failure
        finally:
            if hosts >= 0:
                os.close(hosts)

    def _sockets(self, channel: socket.socket, settings: Settings) -> list[socket.socket]:
        """Tell the launcher what to do, and take the sockets that it makes."""
        isolated_here = settings.isolation != "none"
        if isolated_here:
            addresses = [("127.0.0.1", _RUNTIME_PORT), ("127.0.0.1", _API_PORT)]
            addresses += [
                (address, port)
                for address, (_, port) in zip(_addresses(settings.network), settings.network, strict=True)
            ]
        else:
            addresses = [("127.0.0.1", 0), ("127.0.0.1", 0)]
        plan = self.plan
        folder = "/var/task" if isolated_here else str(plan.code)
        command = [part.replace("/var/task", folder, 1) for part in plan.runtime.command]
        if plan.runtime.kind == NODE:
            command[1:1] = [f"--max-old-space-size={max(32, plan.memory * 3 // 4)}"]
        elif plan.runtime.kind != CUSTOM and command[1] == "-m":
            command.append(plan.variables["_HANDLER"])
        told = {
            "listen": addresses,
            "command": command,
            "environment": {
                "AWS_ENDPOINT_URL": "http://127.0.0.1:{1}",
                **plan.variables,
                "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:{0}",
                "LAMBDA_TASK_ROOT": folder,
            },
            "ports": ["AWS_LAMBDA_RUNTIME_API"],
            "folder": folder,
            "limits": limits(plan.memory, isolated=isolated_here),
            "parent": 0 if isolated_here else os.getpid(),
        }
        if "AWS_ENDPOINT_URL" not in plan.variables:
            told["ports"] = ["AWS_LAMBDA_RUNTIME_API", "AWS_ENDPOINT_URL"]
        channel.settimeout(_SPAWN_SECONDS)
        try:
            channel.sendall(json.dumps(told).encode() + b"\n")
            answer, descriptors, _, _ = socket.recv_fds(channel, 1, len(addresses))
        except OSError as failure:
            self._kill()
            raise Failure("it did not start in time") from failure
        if answer != b"+" or len(descriptors) != len(addresses):
            for descriptor in descriptors:
                os.close(descriptor)
            self._kill()
            raise Failure("it ended while it started")
        return [socket.socket(fileno=descriptor) for descriptor in descriptors]


def _addresses(network: tuple[tuple[str, int], ...]) -> list[str]:
    """The loopback addresses that stand for hosts inside: one for each, so that two may have the same port."""
    hosts = list(dict.fromkeys(host for host, _ in network))
    return [
        "127.0.0.1" if host in ("127.0.0.1", "localhost") else f"127.0.1.{hosts.index(host) + 1}"
        for host, _ in network
    ]


def _hosts(network: tuple[tuple[str, int], ...]) -> str:
    """/etc/hosts inside."""
    lines = {"127.0.0.1 localhost": None}
    for address, (host, _) in zip(_addresses(network), network, strict=True):
        if host != "127.0.0.1":
            lines[f"{address} {host}"] = None
    return "".join(f"{line}\n" for line in lines)
