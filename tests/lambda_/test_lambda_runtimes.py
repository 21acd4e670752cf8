"""Clients of the Runtime API: Casemate's own for Python and Node.js, and the server's end of it."""

from __future__ import annotations

import gc
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_support import zipped

from casemate.errors import AwsError
from casemate.server.config import Config
from casemate.services.lambda_ import log_lines, packages, runtimes
from casemate.services.lambda_.destinations import record
from casemate.services.lambda_.dispatching import EventDispatcher
from casemate.services.lambda_.event_queue import Event as Waiting
from casemate.services.lambda_.event_queue import EventQueue, Taken
from casemate.services.lambda_.execution.doors import Doors
from casemate.services.lambda_.execution.environment import Plan, Settings
from casemate.services.lambda_.execution.environments import Environments, Exhausted, Key
from casemate.services.lambda_.execution.http import BadRequest, Connection
from casemate.services.lambda_.execution.isolation import isolated
from casemate.services.lambda_.execution.runtime_api import Event, Outcome, RuntimeApi
from casemate.services.lambda_.naming import Place
from casemate.services.lambda_.running import Result
from casemate.services.lambda_.runtimes import architecture, find_runtime
from casemate.services.lambda_.sharing import share_of_one

CLIENTS = Path(packages.__file__).parent / "clients"

PYTHON = (sys.executable, "-I", str(CLIENTS / "python_client.py"))
NODE = (shutil.which("node") or "", str(CLIENTS / "node_client.mjs"))

PYTHON_CODE = """
    import os

    def handler(event, context):
        print("sees", event)
        if event == "fail":
            raise LookupError("as told")
        return [event, context.function_name, context.aws_request_id, context.get_remaining_time_in_millis() > 0]
"""
NODE_CODE = """
    exports.handler = async (event, context) => {
      console.log("sees", event);
      if (event === "fail") {
        const error = new RangeError("as told");
        throw error;
      }
      return [event, context.functionName, context.awsRequestId, context.getRemainingTimeInMillis() > 0];
    };
    exports.older = (event, context, callback) => callback(null, { older: event });
"""


@contextmanager
def runtime(
    tmp_path: Path, command: tuple[str, ...], files: dict[str, str], handler: str
) -> Iterator[RuntimeApi]:
    """A client that runs, and the server's end."""
    folder = tmp_path / "task"
    with zipfile.ZipFile(io.BytesIO(zipped(files))) as archive:
        archive.extractall(folder)
    listener = socket.create_server(("127.0.0.1", 0))
    reading, writing = os.pipe()
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=writing,
        env={
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{listener.getsockname()[1]}",
            "AWS_LAMBDA_FUNCTION_NAME": "tried",
            "LAMBDA_TASK_ROOT": str(folder),
            "_HANDLER": handler,
        },
    )
    os.close(writing)
    api = RuntimeApi(listener, reading, os.pidfd_open(process.pid))
    try:
        yield api
    finally:
        process.kill()
        process.wait()
        api.close()


def invoke(api: RuntimeApi, event: Any, request_id: str = "id-1") -> Outcome:
    sent = Event(request_id, "arn", json.dumps(event).encode(), time.time() + 30, "Root=1-2-3")
    outcome = api.invoke(sent, time.monotonic() + 30)
    assert outcome is not None
    return outcome


@pytest.mark.parametrize(
    ("command", "files", "kind"),
    [(PYTHON, {"index.py": PYTHON_CODE}, "LookupError"), (NODE, {"index.js": NODE_CODE}, "RangeError")],
    ids=["python", "node"],
)
def test_a_client_runs_handlers(
    tmp_path: Path, command: tuple[str, ...], files: dict[str, str], kind: str
) -> None:
    with runtime(tmp_path, command, files, "index.handler") as api:
        assert api.ready(time.monotonic() + 30) is None
        for number in range(3):
            outcome = invoke(api, {"n": number}, f"id-{number}")
            assert (outcome.failed, outcome.usable) == (False, True)
            assert json.loads(outcome.payload) == [{"n": number}, "tried", f"id-{number}", True]
        failed = invoke(api, "fail", "id-fail")
        assert (failed.failed, failed.usable) == (True, True)
        told = json.loads(failed.payload)
        assert (told["errorType"], told["errorMessage"]) == (kind, "as told")
        assert b"sees" in api.printed()
        assert json.loads(invoke(api, None, "id-last").payload)[0] is None


@pytest.mark.parametrize(
    ("command", "files", "handler"),
    [
        (PYTHON, {"index.py": "raise OSError('at the start')"}, "index.handler"),
        (PYTHON, {"index.py": ""}, "index.nothing"),
        (NODE, {"index.mjs": "throw new Error('at the start');"}, "index.handler"),
        (NODE, {"index.js": "exports.x = 1;"}, "index.handler"),
        (NODE, {}, "nowhere.handler"),
    ],
)
def test_a_client_tells_what_cannot_be_loaded(
    tmp_path: Path, command: tuple[str, ...], files: dict[str, str], handler: str
) -> None:
    with runtime(tmp_path, command, {"other": "", **files}, handler) as api:
        outcome = api.ready(time.monotonic() + 30)
        assert outcome is not None
        assert (outcome.failed, outcome.usable) == (True, False)
        assert json.loads(outcome.payload)["errorType"]


def test_handlers_of_older_node_have_a_callback(tmp_path: Path) -> None:
    with runtime(tmp_path, NODE, {"sub/index.js": NODE_CODE}, "sub/index.older") as api:
        assert json.loads(invoke(api, 5).payload) == {"older": 5}


# --- the server's end


class Spoken:
    """A RuntimeApi without a process, to which a test speaks by hand."""

    def __init__(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        reading, self._writing = os.pipe()
        self._process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.api = RuntimeApi(listener, reading, os.pidfd_open(self._process.pid))

    def close(self) -> None:
        self.api.close()
        os.close(self._writing)
        self._process.communicate(b"\n")


@pytest.fixture
def spoken() -> Iterator[Spoken]:
    made = Spoken()
    yield made
    made.close()


def _answers(port: int, *requests: bytes) -> list[bytes]:
    """The first lines of the answers to requests over one connection, in a row; b"" where it is cut."""
    lines = []
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        reader = sock.makefile("rb")
        for request in requests:
            sock.sendall(request)
            line = reader.readline()
            lines.append(line.strip())
            length = 0
            while (header := reader.readline().strip()) and line:
                name, _, value = header.partition(b": ")
                if name == b"Content-Length":
                    length = int(value)
            reader.read(length)
    return lines


NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n"


def _post(path: str, body: bytes = b"{}") -> bytes:
    return b"POST /2018-06-01/runtime%s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (
        path.encode(),
        len(body),
        body,
    )


def test_only_the_invocation_under_way_is_answered(spoken: Spoken) -> None:
    said: list[list[bytes]] = []
    thread = threading.Thread(
        target=lambda: said.append(
            _answers(
                spoken.port,
                NEXT,
                _post("/invocation/another/response"),
                _post("/invocation/id-1/elsewhere"),
                _post("/nowhere"),
                _post("/invocation/id-1/response", b'"done"'),
            )
        )
    )
    thread.start()
    outcome = invoke(spoken.api, {})
    assert outcome == Outcome(b'"done"', False, True)
    thread.join()
    assert said == [
        [
            b"HTTP/1.1 200 OK",
            b"HTTP/1.1 400 Bad Request",
            b"HTTP/1.1 404 Not Found",
            b"HTTP/1.1 404 Not Found",
            b"HTTP/1.1 202 Accepted",
        ]
    ]


def test_a_runtime_that_goes_silent_is_waited_for_only_so_long(spoken: Spoken) -> None:
    sent = Event("id-1", "arn", b"{}", time.time(), "")
    assert spoken.api.invoke(sent, time.monotonic() + 0.05) is None


def _received(data: bytes, most: int = 1000) -> Connection:
    near, far = socket.socketpair()
    connection = Connection(near, most)
    far.sendall(data)
    far.close()
    while connection.receive():
        pass
    return connection


@given(
    st.lists(st.binary(max_size=60), min_size=1, max_size=4),
    st.sampled_from(["counted", "chunked"]),
    st.integers(1, 7),
)
def test_requests_are_read_however_their_bodies_come(bodies: list[bytes], how: str, size: int) -> None:
    data = b""
    for body in bodies:
        if how == "counted":
            data += b"POST /x HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            continue
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        data += b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        data += b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    connection = _received(data)
    got = []
    while (request := connection.request()) is not None:
        got.append(request.body)
    assert got == bodies
    connection.close()


@given(st.binary(max_size=200))
def test_what_is_no_request_is_refused(data: bytes) -> None:
    connection = _received(data + b"\r\n\r\n")
    try:
        request = connection.request()
        assert request is None or request.path
    except BadRequest:
        pass
    finally:
        connection.close()


def test_a_body_that_is_too_long_is_not_kept() -> None:
    connection = _received(b"POST /x HTTP/1.1\r\nContent-Length: 2000\r\n\r\n")
    request = connection.request()
    assert request is not None
    assert request.body is None
    connection.close()
    for length in (b"-1", b"x"):
        connection = _received(b"POST /x HTTP/1.1\r\nContent-Length: %s\r\n\r\n" % length)
        with pytest.raises(BadRequest):
            connection.request()
        connection.close()


@pytest.mark.parametrize(
    "data", [b"1;" + b"x" * 5000, b"1;" + b"x" * 5000 + b"\r\nx\r\n", b"0\r\n" + b"x: y\r\n" * 12_000]
)
def test_what_is_around_chunks_is_bounded(data: bytes) -> None:
    connection = _received(b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    with pytest.raises(BadRequest):
        connection.request()
    connection.close()


def test_chunks_are_taken_as_they_come() -> None:
    near, far = socket.socketpair()
    connection = Connection(near, 1000)
    pieces = (
        b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nab",
        b"c\r",
        b"\n2\r\nde\r\n0\r\n",
        b"t: u\r\n\r\nGET /y HTTP/1.1\r\n\r\n",
    )
    for piece in pieces:
        assert connection.request() is None
        far.sendall(piece)
        assert connection.receive()
    requests = [connection.request(), connection.request(), connection.request()]
    assert [each and (each.path, each.body) for each in requests] == [("/x", b"abcde"), ("/y", b""), None]
    far.sendall(pieces[0] + b"c\r\n3e8\r\n")
    assert connection.receive()
    long = connection.request()
    assert long is not None
    assert long.body is None
    connection.close()
    far.close()


def test_an_environment_has_few_connections(spoken: Spoken) -> None:
    socks = [socket.create_connection(("127.0.0.1", spoken.port), 10) for _ in range(9)]
    socks[8].sendall(NEXT)
    assert spoken.api.ready(time.monotonic() + 0.2) is not None
    socks[0].close()
    assert spoken.api.ready(time.monotonic() + 10) is None
    for sock in socks:
        sock.close()


# --- runtimes and packages


def test_runtimes_that_are_there() -> None:
    own = find_runtime(f"python3.{sys.version_info.minor}")
    assert own is not None
    assert own.command[0] == sys.executable
    assert find_runtime("provided.al2023") is not None
    for absent in ("python3.99", "nodejs1.x", "java21", "python3", "python3.11/../.."):
        assert find_runtime(absent) is None
    assert architecture() in ("x86_64", "arm64")


@given(st.binary(max_size=300))
def test_what_is_no_package_is_refused(data: bytes) -> None:
    with pytest.raises(AwsError) as caught:
        packages.checked(data)
    assert caught.value.code == "InvalidParameterValueException"


def _archive(*names: str, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name in names:
            archive.writestr(name, "" if name.endswith("/") else "text of it")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "zipped",
    [
        _archive("a", how=zipfile.ZIP_STORED).replace(b"text of it", b"text of at"),
        _archive("a", how=zipfile.ZIP_LZMA),
        _archive("a", "a-b", "a/b"),
        _archive("a/b", "./a"),
        _archive("a", "a/"),
        _archive("x", "."),
        _archive("n" * 256),
        _archive("n/" * 512 + "n"),
    ],
    ids=["crc", "compression", "file-folder", "dotted", "both", "nameless", "long-name", "long-path"],
)
def test_packages_that_cannot_be_unpacked_are_refused(zipped: bytes) -> None:
    with pytest.raises(AwsError) as caught:
        packages.checked(zipped)
    text = "Could not unzip uploaded file. Please check your file, then try to upload again."
    assert (caught.value.code, caught.value.message) == ("InvalidParameterValueException", text)


def test_packages_that_can_be_unpacked_are_taken() -> None:
    zipped = _archive("a", "a-b", "ab/", "ab/c", "d/e/f", "n" * 255)
    assert packages.checked(zipped).zipped == zipped


# --- events


@pytest.mark.parametrize(
    ("payload", "shown"), [(b'{"a": 1}', {"a": 1}), (b"\xffno", "\ufffdno"), (b"[" * 9999, "[" * 9999)]
)
def test_records_show_what_is_no_json_as_text(payload: bytes, shown: Any) -> None:
    event = Waiting("id", Place("1" * 12, "us-east-1", "f"), "", b"{}", "", "", 0.0)
    made = record(event, 1.0, "Success", 1, Result(payload, False, "1", b""))
    assert made["responsePayload"] == shown


def test_what_can_never_be_handled_is_not_run_for_ever() -> None:
    queue, gate = mock.Mock(), mock.Mock()
    gate.parts = {EventQueue: queue}
    gate.clock.now.return_value = 100.0
    gate.store.write = lambda do: do("tx")
    dispatcher = EventDispatcher(gate)
    place = Place("1" * 12, "us-east-1", "f")
    for attempts in range(3):
        event = Waiting("id", place, "", b"{}", "", "", 0.0, attempts)
        dispatcher._running["id"] = Taken(event, 1)
        with mock.patch.object(dispatcher, "_handle", side_effect=KeyError):
            dispatcher._run(Taken(event, 1))
    assert [(call.args[2].attempts, call.args[3]) for call in queue.put_back.call_args_list] == [
        (1, 160.0),
        (2, 220.0),
    ]
    assert queue.finish.call_count == 1


# --- logs


def _logged(text: bytes) -> log_lines.Logged:
    return log_lines.Logged(Place("1" * 12, "us-east-1", "f"), "role", "stream", 1.0, text)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        (b"", []),
        (b"a\n\nb\n", [2]),
        (b"\xff" * 100_000 + b"\n" + (b"x" * 300_000 + b"\n") * 4, [3, 2]),
        (b"x\n" * 25_000, [10_000, 10_000, 5_000]),
    ],
)
def test_lines_are_written_in_as_many_requests_as_they_need(text: bytes, counts: list[int]) -> None:
    batches = list(log_lines._batches(_logged(text)))
    assert [len(events) for events in batches] == counts
    for events in batches:
        sizes = [len(event["message"].encode()) for event in events]
        assert sum(sizes) + 26 * len(sizes) <= 1_048_576
        assert max(sizes) <= 256 * 1024


def test_lines_that_wait_are_bounded_by_their_bytes(caplog: pytest.LogCaptureFixture) -> None:
    lines, go, written = log_lines.LogLines(), threading.Event(), list[int]()

    def write(logged: log_lines.Logged) -> None:
        go.wait(10)
        written.append(len(logged.text))

    with mock.patch.object(lines, "_write", write):
        for _ in range(20):
            lines.put(_logged(b"x" * 1024 * 1024))
        go.set()
        lines.close()
    assert len(written) == 16
    assert caplog.text.count("is lost: too much waits") == 4
    assert lines._bytes == 0


# --- isolation


def test_what_is_hidden_is_hidden_in_all_that_is_seen(tmp_path: Path) -> None:
    real = tmp_path / "real"
    (real / "data").mkdir(parents=True)
    (real / "tls.key").touch()
    (real / "other").mkdir()
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "key").symlink_to(real / "tls.key")
    seen = str(tmp_path / "link")
    hidden = (str(real / "data"), str(tmp_path / "key"), str(real / "absent"), str(tmp_path / "real-too"))
    with mock.patch("shutil.which", return_value="/usr/bin/bwrap"):
        line = " ".join(isolated("/code", (seen,), hidden, 3, 512))
    assert f"--ro-bind {seen} {seen}" in line
    assert line.index(f"--ro-bind {seen} ") < line.index(f"--tmpfs {seen}/data --remount-ro {seen}/data")
    assert f"--ro-bind /dev/null {seen}/tls.key" in line
    assert "absent" not in line
    assert "real-too" not in line
    assert "/etc/ssl /etc/ssl" not in line
    assert f"--size {16 * 1024 * 1024} --tmpfs /dev/shm --remount-ro /dev" in line


def test_what_the_configuration_keeps_from_functions(tmp_path: Path) -> None:
    key, conf = tmp_path / "tls" / "key.pem", tmp_path / "casemate.toml"
    config = Config(
        data=tmp_path / "data",
        seal=f"keyfile:{tmp_path}/seal/key",
        previous_seal=f"passphrase:file:{tmp_path}/old/phrase",
        tls_key=key,
        file=conf,
    )
    assert config.secret_places == (tmp_path / "data", tmp_path / "seal", tmp_path / "old", key, conf)


@pytest.mark.parametrize(
    ("program", "there"), [("/bin/node", False), ("~/bin/node", False), ("/opt/n/bin/node", True)]
)
def test_a_node_that_is_installed_among_other_files_is_not_used(program: str, there: bool) -> None:
    path = os.path.expanduser(program)
    with (
        mock.patch.object(runtimes, "_told", return_value=["v99.1.0"]),
        mock.patch("shutil.which", return_value=path),
        mock.patch.object(Path, "resolve", lambda self: self),
    ):
        assert (find_runtime.__wrapped__("nodejs99.x") is not None) == there


# --- environments


_KEY = Key("111122223333", "f", 0, "r")


def _environments(folder: Path) -> Environments:
    return Environments(Settings("none", (), ()), Doors(None), folder / "run" / "lambda", most=2, idle=10.0)


def test_code_is_unpacked_once_for_its_owner_alone_and_goes_at_the_end(tmp_path: Path) -> None:
    environments = _environments(tmp_path)
    loaded: list[int] = []

    def load() -> bytes:
        loaded.append(1)
        return zipped({"index.py": "x = 1", "bin/tool": "#!/bin/sh"})

    folder = environments.unpacked("code-1", load)
    assert environments.unpacked("code-1", load) == folder
    assert loaded == [1]
    assert (folder / "index.py").read_text() == "x = 1"
    assert os.access(folder / "bin" / "tool", os.X_OK)
    assert folder.parent.stat().st_mode & 0o077 == 0
    environments.close()
    assert not folder.parent.exists()


def test_what_a_killed_server_left_is_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    first = _environments(tmp_path)
    kept = first.unpacked("code-1", lambda: zipped({"index.py": "x = 1"})).parent
    left = kept.with_name(f"casemate-lambda-{gone.pid}-left")
    left.mkdir()
    (left / "index.py").write_text("old")
    second = _environments(tmp_path)
    second.unpacked("code-1", lambda: zipped({"index.py": "x = 1"}))
    assert not left.exists()
    assert kept.exists(), "a server that runs keeps its own"
    first.close()
    second.close()


def test_places_of_reserved_concurrency(tmp_path: Path) -> None:
    one, other = _environments(tmp_path), _environments(tmp_path)
    with one.reserved("f", 2) as first, other.reserved("f", 2) as second:
        assert (first, second) == (True, True)
        with one.reserved("f", 2) as third, one.reserved("g", 1) as another:
            assert (third, another) == (False, True)
    with other.reserved("f", 1) as again, other.reserved("f", 0) as never:
        assert (again, never) == (True, False)
    assert (tmp_path / "run" / "lambda").stat().st_mode & 0o077 == 0


def test_an_environment_that_nobody_serves_leaves_nothing(tmp_path: Path) -> None:
    """Without an event loop its API cannot be served: neither its process nor its descriptors stay."""
    environments = _environments(tmp_path)
    own = find_runtime(f"python3.{sys.version_info.minor}")
    assert own is not None

    def plan() -> Plan:
        folder = environments.unpacked("code-1", lambda: zipped({"index.py": "x = 1"}))
        return Plan(own, folder, {"_HANDLER": "index.x"}, 3.0, 128, 512)

    def attempt() -> None:
        with pytest.raises(RuntimeError, match="nobody"), environments.of(_KEY, plan, lambda: True):
            raise AssertionError("it was started")

    attempt()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    for _ in range(3):
        attempt()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    assert not [pid for pid in children.read_text().split() if "python_client" in _command(pid)]
    environments.close()


def _command(pid: str) -> str:
    try:
        return Path("/proc", pid, "cmdline").read_text()
    except OSError:
        return ""


def test_doors_are_served_by_nobody_without_a_loop() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(RuntimeError, match="nobody"):
        Doors(None).to_api(listener)


def test_one_account_does_not_have_all_environments(tmp_path: Path) -> None:
    environments = _environments(tmp_path)
    other = _KEY.account.replace("1", "4")
    with ExitStack() as taken:
        for _ in range(share_of_one(environments._most)):
            taken.enter_context(environments._place(_KEY.account, lambda: False))
        with pytest.raises(Exhausted), environments._place(_KEY.account, lambda: False):
            pass
        with environments._place(other, lambda: False):
            pass
        # Where nobody else has functions, none is kept for them.
        with environments._place(_KEY.account, lambda: True):
            pass
    assert not environments._used
    environments.close()
