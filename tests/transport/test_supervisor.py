"""Worker processes: start, stop, drain under load, death and replacement. And bodies too large for memory."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from transport_support import HOST, eventually, read_answer

from casemate.server.listeners import bind, bind_each
from casemate.server.supervisor import supervise

SCRIPT = Path(__file__).with_name("transport_server.py")


class Process:
    def __init__(self, workers: int, mode: str = "") -> None:
        paths = [str(SCRIPT.parent), str(SCRIPT.parents[2])]
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(workers), mode],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        self.lines: list[str] = []
        self.errors = ""
        assert self.process.stdout is not None
        first = self.process.stdout.readline().strip()
        self.port = int(first) if first else 0
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def wait_ready(self, workers: int) -> None:
        eventually(
            lambda: sum(line.startswith("ready") for line in self.lines) >= workers, "the workers are ready"
        )

    def end(self) -> int:
        """Wait for its end. Returns the exit status."""
        _, self.errors = self.process.communicate(timeout=20) if not self.reader.is_alive() else ("", "")
        status = self.process.wait(20)
        self.reader.join(5)
        if not self.errors and self.process.stderr is not None and not self.process.stderr.closed:
            self.errors = self.process.stderr.read()
        return status

    def get(self, path: str, timeout: float = 10) -> tuple[int, bytes]:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            client.request("GET", path)
            answer = client.getresponse()
            return answer.status, answer.read()
        finally:
            client.close()


@contextlib.contextmanager
def started(workers: int, mode: str = "") -> Iterator[Process]:
    process = Process(workers, mode)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.process.kill()
        process.process.wait(10)
        process.reader.join(5)
        for stream in (process.process.stdout, process.process.stderr):
            if stream is not None:
                stream.close()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(workers: int, number: signal.Signals) -> None:
    with started(workers) as server:
        server.wait_ready(workers)
        assert server.get("/x") == (200, b"/x?\n")
        server.process.send_signal(number)
        assert server.end() == 0
        assert sorted(line for line in server.lines if "clean" in line) == [
            f"clean {i}" for i in range(workers)
        ]
        with pytest.raises(ConnectionError):
            server.get("/x")


@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_is_lost_when_it_is_stopped_under_load(workers: int) -> None:
    """Each client goes on until it is refused a connection, or told Connection: close and then refused."""
    with started(workers) as server:
        server.wait_ready(workers)
        outcomes: Counter[str] = Counter()
        stopping = threading.Event()

        def load(path: str) -> None:
            while True:
                client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
                try:
                    client.connect()
                except ConnectionError:
                    outcomes["refused"] += 1
                    return
                first = True
                while True:
                    try:
                        client.request("POST", path, body=b"x" * 100)
                        answer = client.getresponse()
                        answer.read()
                    except (ConnectionError, http.client.HTTPException) as error:
                        # A connection that waited in the kernel's queue is reset when the listener closes:
                        # it was never ours. One that had an answer before must get this one too.
                        if not (first and stopping.is_set()):
                            outcomes[f"lost: {error!r}"] += 1
                        break
                    outcomes["answered"] += answer.status == 200
                    first = False
                    if answer.getheader("Connection") == "close":
                        outcomes["told"] += 1
                        break
                client.close()

        threads = [threading.Thread(target=load, args=(path,)) for path in ("/slow", "/x", "/later") * 3]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        stopping.set()
        server.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(15)
        assert server.end() == 0
        assert outcomes["refused"] == 9
        assert outcomes["told"] >= 3, outcomes
        assert outcomes["answered"] > 50, outcomes
        assert not [name for name in outcomes if name.startswith("lost")], outcomes


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_it_at_once(workers: int) -> None:
    with started(workers) as server:
        server.wait_ready(workers)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(b"GET /held HTTP/1.1\r\n" + HOST + b"\r\n")
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            # A supervisor takes what comes within a second for the same signal.
            time.sleep(0.2 if workers == 1 else 1.2)
            assert server.process.poll() is None, "it waits for the request"
            begun = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert server.end() == (-signal.SIGTERM if workers == 1 else 0)
            assert time.monotonic() - begun < 1.8, "it did not wait for the grace time"


def test_an_interrupt_of_the_whole_group_ends_it_cleanly() -> None:
    """Ctrl-C reaches the workers too."""
    with started(2) as server:
        server.wait_ready(2)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(b"GET /very-slow HTTP/1.1\r\n" + HOST + b"\r\n")
            time.sleep(0.2)
            os.killpg(server.process.pid, signal.SIGINT)
            assert read_answer(connection).body == b"very slow"
        assert server.end() == 0
        assert not [line for line in server.lines if line.startswith("died")]


def test_what_runs_beyond_the_grace_is_cut() -> None:
    with started(1) as server:
        server.wait_ready(1)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(b"GET /very-slow HTTP/1.1\r\n" + HOST + b"\r\n")
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as other:
                other.sendall(b"GET /held HTTP/1.1\r\n" + HOST + b"\r\n")
                time.sleep(0.2)
                server.process.send_signal(signal.SIGTERM)
                answer = read_answer(connection)
                assert answer.body == b"very slow"
                assert answer.headers[b"connection"] == b"close"
                with contextlib.suppress(ConnectionResetError):
                    assert other.recv(10) == b""
        assert server.end() == 0
        assert "cut 0" in server.lines


def test_all_workers_serve_and_a_dead_one_is_replaced() -> None:
    with started(2) as server:
        server.wait_ready(2)
        held = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=10) for _ in range(40)]
        pids: Counter[int] = Counter()
        for client in held:
            client.request("GET", "/pid")
        for client in held:
            pids[int(client.getresponse().read())] += 1
            client.close()
        assert len(pids) == 2, f"both workers take connections: {pids}"
        assert min(pids.values()) >= 5, f"connections are spread: {pids}"
        victim = min(pids)
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: any(line.startswith("died") for line in server.lines), "the hook was called")
        assert [line.split()[2] for line in server.lines if line.startswith("died")] == ["-9"]
        server.wait_ready(3)
        assert server.get("/x")[0] == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.end() == 0


def test_workers_that_keep_dying_end_the_server() -> None:
    with started(2, "dies") as server:
        assert server.end() == 1
        assert "5 workers in a row died within 5 s of their start, the last with status 3." in server.errors
        assert len([line for line in server.lines if line.startswith("died")]) == 5


def test_workers_end_when_their_supervisor_is_killed() -> None:
    with started(2) as server:
        server.wait_ready(2)
        pids: set[int] = set()
        while len(pids) < 2:
            pids.add(int(server.get("/pid")[1]))
        server.process.kill()
        eventually(lambda: all(_has_ended(pid) for pid in pids), "the workers ended")


def _has_ended(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def test_a_port_that_is_taken_is_an_error() -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        for again in (lambda: bind("127.0.0.1", port), lambda: bind_each("127.0.0.1", port, 2)):
            with pytest.raises(OSError, match="in use"):
                again()
    listeners = bind_each("127.0.0.1", port, 2)
    assert [listener.getsockname()[1] for listener in listeners] == [port, port]
    with pytest.raises(OSError, match="in use"):
        bind_each("127.0.0.1", port, 2)
    for listener in listeners:
        listener.close()


def test_there_must_be_a_worker() -> None:
    with pytest.raises(ValueError, match="at least one"):
        supervise(0, lambda index, sockets: None, [])


def _peak(pid: int) -> int:
    """The process's largest resident size so far, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_gibibyte_passes_in_constant_memory(direction: str) -> None:
    size = 1 << 30
    with started(1) as server:
        server.wait_ready(1)
        assert server.get("/x")[0] == 200
        before = _peak(server.process.pid)
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        if direction == "up":
            block = memoryview(bytes(1 << 20))
            client.putrequest("PUT", "/stream/count")
            client.putheader("Content-Length", str(size))
            client.endheaders()
            for _ in range(size >> 20):
                client.send(block)
            assert client.getresponse().read() == b"%d" % size
        else:
            client.request("GET", f"/stream/source?size={size}")
            answer = client.getresponse()
            buffer = bytearray(1 << 20)
            count = 0
            while got := answer.readinto(buffer):
                count += got
            assert count == size
        client.close()
        growth = _peak(server.process.pid) - before
        assert growth < 40 << 20, f"grew by {growth >> 20} MiB"
