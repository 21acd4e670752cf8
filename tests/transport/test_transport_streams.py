"""Streamed bodies, both ways: order, back-pressure, ends."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator

import pytest
from transport_support import (
    HOST,
    Running,
    ask,
    eventually,
    read_answer,
    reset,
    serving,
    statuses,
    until_closed,
)

from casemate.server.transport_limits import Limits

CLOSE = b"Connection: close\r\n"


@pytest.fixture
def server() -> Iterator[Running]:
    with serving(Limits(sweep=0.05, read_ahead_bytes=200_000, write_ahead_bytes=200_000)) as running:
        yield running


def request(path: bytes, more: bytes = b"", method: bytes = b"POST") -> bytes:
    return method + b" " + path + b" HTTP/1.1\r\n" + HOST + more + b"\r\n"


def test_a_streamed_body(server: Running) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for _ in range(2):
        server.app.read_bytes = 0
        client.request("PUT", "/stream/count", body=b"a" * 3_000_000)
        assert client.getresponse().read() == b"3000000"
    client.request("PUT", "/stream/count", body=iter([b"a" * 100_000, b"b", b"c" * 5]), encode_chunked=True)
    assert client.getresponse().read() == b"3100006"
    client.request("GET", "/stream/count")
    assert client.getresponse().read() == b"3100006", "no body is an empty stream"
    client.close()
    assert server.counters.accepted == 1


def test_echo_while_it_comes(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(request(b"/stream/echo", b"Content-Length: 10\r\n") + b"hello")
        assert read_answer(connection, head_only=True).headers[b"transfer-encoding"] == b"chunked"
        assert connection.recv(100) == b"5\r\nhello\r\n"
        connection.sendall(b"world" + request(b"/x", CLOSE))
        rest = until_closed(connection)
    assert rest.startswith(b"5\r\nworld\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_streamed_answer(server: Running, chunked: bool) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    client.request("GET", f"/stream/source?size=3000000{'&chunked=1' if chunked else ''}")
    answer = client.getresponse()
    assert (answer.getheader("Content-Length") is None) == chunked
    body = answer.read()
    assert len(body) == 3_000_000
    assert body[:262_144] == bytes(range(256)) * 1024
    client.request("GET", "/x")
    assert client.getresponse().status == 200
    client.close()
    assert server.counters.accepted == 1


def test_reading_waits_for_the_application(server: Running) -> None:
    with server.connect(timeout=0.5) as connection:
        connection.sendall(request(b"/stream/count?pause=1", b"Content-Length: 100000000\r\n"))
        with pytest.raises(TimeoutError):
            connection.sendall(bytes(100_000_000))
        held = server.counters.received_bytes - server.app.read_bytes
        assert held < 1_000_000, "read-ahead is bounded"
        reset(connection)
    server.on_loop(server.app.release.set)
    eventually(lambda: server.app.stream_ended == ["lost"], "the reader was told")


def test_writing_waits_for_the_client(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(request(b"/stream/source?size=100000000"))
        eventually(lambda: server.app.read_bytes, "it began")
        time.sleep(0.3)
        assert server.app.read_bytes < 20_000_000, "write-ahead is bounded (and the kernel's buffers are)"
        reset(connection)
    eventually(lambda: server.app.stream_ended == ["lost"], "the writer was told")


def test_pipelined_streams_keep_their_order(server: Running) -> None:
    raw = (
        request(b"/later")
        + request(b"/stream/echo", b"Content-Length: 3\r\n")
        + b"one"
        + request(b"/stream/count", b"Content-Length: 5\r\n")
        + b"three"
        + request(b"/stream/source?size=10")
        + request(b"/x", CLOSE)
    )
    answers = ask(server.port, raw)
    assert statuses(answers) == [200] * 5
    assert [answers.find(text) for text in (b"later", b"one", b"\r\n\r\n5HTTP", b"/x?")] == sorted(
        answers.find(text) for text in (b"later", b"one", b"\r\n\r\n5HTTP", b"/x?")
    )
    assert -1 not in (answers.find(text) for text in (b"later", b"one", b"\r\n\r\n5HTTP", b"/x?"))


def test_an_early_reply_to_a_stream(server: Running) -> None:
    answers = ask(
        server.port,
        request(b"/stream/early", b"Content-Length: 40000\r\n"),
        bytes(40_000) + request(b"/x", CLOSE),
        pause=0.05,
    )
    assert statuses(answers) == [409, 200], "a small rest is dropped"
    answers = ask(
        server.port, request(b"/stream/early", b"Content-Length: 400000\r\n"), bytes(400_000), pause=0.05
    )
    assert statuses(answers) == [409]
    assert b"Connection: close" in answers
    answers = ask(
        server.port,
        request(b"/stream/early", b"Content-Length: 40000000\r\n"),
        bytes(400_000),
        pause=0.05,
    )
    assert statuses(answers) == [409]


def test_an_answer_shorter_than_announced_is_cut(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(request(b"/stream/short"))
        client_saw = _rest(connection)
    assert client_saw.count(b"Content-Length: 10") <= 1
    assert not client_saw.endswith(b"0\r\n\r\n")
    eventually(lambda: server.counters.connections == 0, "the connection was cut")


def test_an_answer_longer_than_announced_is_cut(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    with server.connect() as connection:
        connection.sendall(request(b"/stream/long"))
        assert b"12345" not in _rest(connection)
    eventually(lambda: server.counters.connections == 0, "the connection was cut")
    eventually(lambda: "RuntimeError" in caplog.text, "it was logged")


def test_a_stream_that_fails_in_the_middle_is_cut(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    with server.connect() as connection:
        connection.sendall(request(b"/stream/fails-later"))
        assert not _rest(connection).endswith(b"0\r\n\r\n"), "the client can tell that it is not whole"
    eventually(lambda: "failed with KeyError" in caplog.text, "it was logged")
    assert "hunter2" not in caplog.text


def test_a_malformed_chunk_in_a_stream_is_refused(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    raw = request(b"/stream/count", b"Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n"
    assert statuses(ask(server.port, raw, b"zz\r\n", pause=0.05)) == [400]
    eventually(lambda: server.app.stream_ended == ["lost"], "the reader was told")
    raw = request(b"/stream/echo", b"Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n"
    with server.connect() as connection:
        connection.sendall(raw)
        read_answer(connection, head_only=True)
        connection.sendall(b"zz\r\n")
        assert b"0\r\n\r\n" not in _rest(connection), "half an answer is not ended as if it were whole"
    eventually(lambda: server.app.stream_ended == ["lost", "lost"], "the reader was told")
    assert "failed" not in caplog.text, "a client's fault is not the application's"


def test_a_client_that_leaves_in_the_middle(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    connection = server.connect()
    connection.sendall(request(b"/stream/count", b"Content-Length: 100\r\n") + b"part")
    eventually(lambda: server.app.read_bytes == 4, "the part came")
    connection.close()
    eventually(lambda: server.app.stream_ended == ["lost"], "the reader was told")
    assert server.counters.lost == 1
    assert caplog.text == ""


def _rest(connection: socket.socket) -> bytes:
    """What comes until the connection is closed or reset."""
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data
