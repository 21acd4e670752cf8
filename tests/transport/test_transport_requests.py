"""Raw requests against a real server: framing, order, paths, refusals."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from transport_support import (
    BOUND,
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
    with serving(Limits(sweep=0.05)) as running:
        yield running


def get(path: bytes, more: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET " + path + b" " + version + b"\r\n" + HOST + more + b"\r\n"


def post(path: bytes, body: bytes, more: bytes = b"") -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_an_answer(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(post(b"/a?b=c", b"body", b"X-One: 1\r\nx-one:  2 \r\n"))
        answer = read_answer(connection)
    assert answer.status == 200
    assert answer.body == b"/a?b=c\nbody"
    assert answer.headers[b"server"] == b"Casemate"
    assert time.strptime(answer.headers[b"date"].decode(), "%a, %d %b %Y %H:%M:%S GMT")
    assert answer.headers[b"content-type"] == b"text/plain"
    assert b"connection" not in answer.headers
    assert server.app.headers[0][b"x-one"] == b"1,2"
    assert server.counters.requests == 1
    assert server.counters.accepted == 1
    assert server.counters.sent_bytes > 100
    assert server.counters.received_bytes > 80


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"//",
        b"//a//b/",
        b"/a/../b/./c",
        b"/%2F%2f%2E%00",
        b"/%E4%B8%AD",
        b"/\xe4\xb8\xad\xff",
        b"/a+b;c,d=e&f@g:h!$'()*~",
        b'/a"<>\\^`{|}',
    ],
)
def test_paths_come_byte_for_byte(server: Running, path: bytes) -> None:
    assert statuses(ask(server.port, get(path + b"?" + path, CLOSE))) == [200]
    assert server.app.asked == [("GET", path, path, b"")]


SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

SMUGGLING = [
    ("CL.TE", b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n" + SMUGGLED, 400),
    ("TE.CL", CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n" + SMUGGLED, 400),
    ("two lengths", b"Content-Length: 0\r\nContent-Length: 44\r\n", SMUGGLED, 400),
    ("two equal lengths", b"Content-Length: 0\r\nContent-Length: 0\r\n", SMUGGLED, 400),
    ("list of lengths", b"Content-Length: 0, 44\r\n", SMUGGLED, 400),
    ("length with a sign", b"Content-Length: +0\r\n", SMUGGLED, 400),
    ("length with a blank", b"Content-Length : 0\r\n", SMUGGLED, 400),
    ("unknown coding", b"Transfer-Encoding: x\r\n", b"0\r\n\r\n" + SMUGGLED, 400),
    ("coding with a blank", b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + SMUGGLED, 400),
    ("coding after a vertical tab", b"Transfer-Encoding:\x0bchunked\r\n", b"0\r\n\r\n" + SMUGGLED, 400),
    ("folded coding", b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n" + SMUGGLED, 400),
    ("coding behind a bare LF", b"X: 1\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED, 400),
    ("coding behind a bare CR", b"X: 1\rTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED, 400),
    ("two codings", CHUNKED + b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n" + SMUGGLED, 400),
    ("chunk size with 0x", CHUNKED, b"0x0\r\n\r\n" + SMUGGLED, 400),
    ("chunk size with a bare LF", CHUNKED, b"0\n\r\n" + SMUGGLED, 400),
    ("chunk longer than its size", CHUNKED, b"1\r\nab\r\n0\r\n\r\n" + SMUGGLED, 400),
    ("bare LF in a chunk extension", CHUNKED, b"1;\nx\r\na\r\n0\r\n\r\n" + SMUGGLED, 400),
    ("length as a trailer", CHUNKED, b"0\r\nContent-Length: 1\r\n\r\n" + SMUGGLED, 400),
    ("two hosts", b"Host: other\r\n", SMUGGLED, 400),
    ("nul in a header", b"X: \x00\r\n", SMUGGLED, 400),
]


@pytest.mark.parametrize(
    ("headers", "body", "status"), [c[1:] for c in SMUGGLING], ids=[c[0] for c in SMUGGLING]
)
def test_smuggling_is_refused_and_the_connection_closed(
    server: Running, headers: bytes, body: bytes, status: int
) -> None:
    answers = ask(server.port, b"POST /a HTTP/1.1\r\n" + HOST + headers + b"\r\n" + body)
    assert statuses(answers) == [status]
    assert b"\r\nConnection: close\r\n" in answers
    assert server.app.asked == [], "nothing of it may reach the application"
    assert sum(server.counters.refused.values()) == 1


def test_a_body_of_an_upgrade_is_not_taken_for_a_request(server: Running) -> None:
    """llhttp would end the message at its head."""
    more = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    answers = ask(server.port, post(b"/a", SMUGGLED, more) + get(b"/b", CLOSE))
    assert statuses(answers) == [200, 200]
    assert [asked[1:] for asked in server.app.asked] == [(b"/a", b"", SMUGGLED), (b"/b", b"", b"")]


OTHER_PROTOCOLS = [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"GET /\r\n", 400),
    (b"GET /\n", 400),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    (b"SSH-2.0-OpenSSH_9.2\r\n", 400),
    (b"\x00\x00\x00\x00", 400),
    (b"\xff\xf4\xff\xfd\x06", 400),
    (b"*1\r\n$4\r\nPING\r\n", 400),
    (b"GET / HTTP/3.0\r\n", 505),
]


@pytest.mark.parametrize(("data", "status"), OTHER_PROTOCOLS)
def test_other_protocols_are_told_at_once(server: Running, data: bytes, status: int) -> None:
    assert statuses(ask(server.port, data)) == [status]


def test_limits(server: Running) -> None:
    assert statuses(ask(server.port, get(b"/" + b"a" * 16384))) == [414]
    assert statuses(ask(server.port, b"GET /" + b"a" * 20000)) == [414]
    assert statuses(ask(server.port, get(b"/", b"X: " + b"a" * 17000 + b"\r\n"))) == [431]
    assert statuses(ask(server.port, get(b"/", b"X: 1\r\n" * 100))) == [431]
    assert statuses(ask(server.port, b"GET / HTTP/1.1\r\n" + b"X: 123456789\r\n" * 3000)) == [431]
    assert statuses(ask(server.port, get(b"/", b"X: 1\r\n" * 98 + CLOSE))) == [200]
    assert statuses(ask(server.port, get(b"/" + b"a" * 16000, CLOSE))) == [200]


def test_a_body_over_the_bound_is_refused_before_it_is_read(server: Running) -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n"
    assert statuses(ask(server.port, head % (BOUND + 1))) == [413]
    assert statuses(ask(server.port, head % 10**17)) == [413]
    assert statuses(ask(server.port, head % (BOUND + 1) + b"a" * BOUND)) == [413], "sent along, and not reset"
    chunks = b"ffff\r\n" + b"a" * 0xFFFF + b"\r\n"
    answers = ask(server.port, b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n" + chunks * 2)
    assert statuses(answers) == [413]
    assert server.app.asked == []
    assert server.counters.refused["body-size"] == 4


def test_a_chunked_body_is_held(server: Running) -> None:
    body = b"3;x=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n"
    raw = b"POST /c HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n" + body
    assert statuses(ask(server.port, raw + get(b"/d", CLOSE))) == [200, 200]
    assert [asked[3] for asked in server.app.asked] == [b"abcde", b""]


@pytest.mark.parametrize("step", [1, 2, 7, 64])
def test_pieces_do_not_matter(server: Running, step: int) -> None:
    raw = (
        post(b"/a", b"hello")
        + b"\r\n"
        + b"POST /b HTTP/1.1\r\n"
        + HOST
        + CHUNKED
        + b"\r\n2\r\nhi\r\n0\r\n\r\n"
    )
    raw += get(b"/c", CLOSE)
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(raw), step):
            connection.sendall(raw[start : start + step])
            if start % 16 == 0:
                time.sleep(0.001)
        answers = until_closed(connection)
    assert statuses(answers) == [200, 200, 200]
    assert [asked[1:] for asked in server.app.asked] == [
        (b"/a", b"", b"hello"),
        (b"/b", b"", b"hi"),
        (b"/c", b"", b""),
    ]


def test_pipelined_replies_keep_their_order(server: Running) -> None:
    paths = [b"/1", b"/later", b"/soon", b"/2", b"/later", b"/empty", b"/refuse", b"/stream/count", b"/3"]
    raw = b"".join(get(path) for path in paths) + get(b"/end", CLOSE)
    answers = ask(server.port, raw)
    assert statuses(answers) == [200, 200, 200, 200, 200, 204, 403, 200, 200, 200]
    places = [answers.find(text) for text in (b"/1?", b"later", b"soon", b"/2?", b"no", b"/3?", b"/end?")]
    assert places == sorted(places)
    assert -1 not in places


def test_many_pipelined_requests_are_all_answered(server: Running) -> None:
    """More than may wait: reading pauses in between."""
    raw = (get(b"/later") + get(b"/soon") + get(b"/x")) * 100 + get(b"/end", CLOSE)
    answers = ask(server.port, raw)
    assert statuses(answers) == [200] * 301


def test_requests_beyond_the_bound_wait_unread(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(get(b"/held") * 100)
        eventually(lambda: len(server.app.open) == 32, "as many as may wait were handed on")
        time.sleep(0.05)
        assert len(server.app.open) == 32
        server.on_loop(lambda: server.app.open.pop(0).reply(200, b"", b"1"))
        assert read_answer(connection).body == b"1"
        eventually(lambda: len(server.app.open) == 32, "one more was handed on")
        reset(connection)


def test_a_late_reply_to_a_gone_client_does_nothing(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(get(b"/held"))
        eventually(lambda: server.app.open, "the request came")
        reset(connection)
    eventually(lambda: server.counters.connections == 0, "the client went")
    server.on_loop(lambda: server.app.open[0].reply(200, b"", b"x"))
    assert server.app.open[0].replied
    assert server.counters.lost == 1


def test_a_second_reply_is_an_error(server: Running) -> None:
    assert statuses(ask(server.port, get(b"/", CLOSE))) == [200]
    assert server.app.last is not None
    with pytest.raises(RuntimeError):
        server.app.last.reply(200, b"", b"")


def test_keep_alive_and_close(server: Running) -> None:
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(get(b"/x"))
            assert read_answer(connection).status == 200
        connection.sendall(get(b"/x", CLOSE))
        answer = read_answer(connection)
        assert answer.headers[b"connection"] == b"close"
        assert until_closed(connection) == b""
    assert server.counters.accepted == 1


def test_http_1_0(server: Running) -> None:
    answers = ask(server.port, b"GET /x HTTP/1.0\r\n\r\n")
    assert statuses(answers) == [200]
    assert b"\r\nConnection: close\r\n" in answers
    with server.connect() as connection:
        for _ in range(2):
            connection.sendall(b"GET /x HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            answer = read_answer(connection)
            assert answer.headers[b"connection"] == b"keep-alive"
    raw = ask(
        server.port, b"GET /stream/source?size=300000&chunked=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    )
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head, "HTTP/1.0 has no chunks"
    assert b"Connection: close" in head
    assert len(body) == 300_000


def test_head_and_bodyless_statuses(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(b"HEAD /x HTTP/1.1\r\n" + HOST + b"\r\n")
        answer = read_answer(connection, head_only=True)
        assert answer.headers[b"content-length"] == b"4"
        connection.sendall(b"HEAD /stream/head HTTP/1.1\r\n" + HOST + b"\r\n")
        answer = read_answer(connection, head_only=True)
        assert answer.headers[b"content-length"] == b"12345"
        assert answer.headers[b"etag"] == b"x"
        connection.sendall(get(b"/empty"))
        answer = read_answer(connection)
        assert answer.status == 204
        assert b"content-length" not in answer.headers
        connection.sendall(get(b"/unchanged"))
        answer = read_answer(connection)
        assert answer.status == 304
        assert b"content-length" not in answer.headers
        connection.sendall(get(b"/x", CLOSE))
        assert read_answer(connection).body == b"/x?\n", "nothing of the bodies was left on the connection"


def test_continue_is_sent_when_the_body_is_wanted(server: Running) -> None:
    head = b"POST %b HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    for path in (b"/x", b"/stream/count"):
        with server.connect() as connection:
            connection.sendall(head % path)
            assert read_answer(connection).status == 100
            connection.sendall(b"body" + get(b"/y", CLOSE))
            assert read_answer(connection).status == 200
            assert read_answer(connection).status == 200


def test_continue_is_not_sent_when_the_body_came_along(server: Running) -> None:
    head = b"POST %b HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    assert statuses(ask(server.port, head % b"/x" + b"body" + get(b"/y", CLOSE))) == [200, 200]
    assert statuses(ask(server.port, head % b"/x" + b"bo", b"dy" + get(b"/y", CLOSE), pause=0.05)) == [
        200,
        200,
    ]
    assert statuses(ask(server.port, head % b"/stream/count" + b"body" + get(b"/y", CLOSE))) == [200, 200]


def test_a_refusal_comes_instead_of_continue(server: Running) -> None:
    head = b"POST %b HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    for path, length, status in (
        (b"/refuse", 4, 403),
        (b"/x", BOUND + 1, 413),
        (b"/stream/early", 4, 409),
        (b"/accept-fails", 4, 500),
    ):
        answers = ask(server.port, head % (path, length))
        assert statuses(answers) == [status], path
        assert b"Connection: close" in answers, "it is not known whether the body follows"


def test_continue_waits_for_its_turn(server: Running) -> None:
    head = b"POST /x HTTP/1.1\r\n" + HOST + CLOSE + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    assert statuses(ask(server.port, get(b"/later") + head, b"body", pause=0.02)) == [200, 100, 200]


def test_http_1_0_expectations_are_ignored(server: Running) -> None:
    raw = b"POST /x HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    assert statuses(ask(server.port, raw, b"body", pause=0.02)) == [200]


def test_a_refused_small_body_is_dropped_and_the_connection_kept(server: Running) -> None:
    head = b"POST /refuse HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n"
    answers = ask(server.port, head % 60000, b"a" * 60000 + get(b"/x", CLOSE), pause=0.02)
    assert statuses(answers) == [403, 200]
    answers = ask(server.port, head % 300_000, b"a" * 300_000 + get(b"/x"), pause=0.02)
    assert statuses(answers) == [403]
    assert b"Connection: close" in answers
    chunked = b"POST /refuse HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n"
    assert statuses(ask(server.port, chunked, b"1\r\na\r\n0\r\n\r\n", pause=0.02)) == [403]
    assert [asked[1] for asked in server.app.asked] == [b"/x"]


def test_half_close(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(get(b"/later") * 2)
        connection.shutdown(socket.SHUT_WR)
        assert statuses(until_closed(connection)) == [200, 200]
    with server.connect() as connection:
        connection.shutdown(socket.SHUT_WR)
        assert until_closed(connection) == b""
    with server.connect() as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nab")
        connection.shutdown(socket.SHUT_WR)
        assert until_closed(connection) == b"", "half a body is not handed on"
    assert len(server.app.asked) == 2


def test_a_failing_application_is_answered_500(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    for path in (b"/fails", b"/accept-fails", b"/stream/fails", b"/stream/silent"):
        answers = ask(server.port, get(path) + get(b"/x"))
        assert statuses(answers) == [500], path
        assert b"Connection: close" in answers
        assert b"Content-Length: 0" in answers
    assert caplog.text.count("failed with KeyError") == 3
    assert "transport_support.py" in caplog.text, "the traceback is logged"
    assert "hunter2" not in caplog.text, "its text is not: it may quote a secret"


def test_peer(server: Running) -> None:
    assert ask(server.port, get(b"/peer", CLOSE)).endswith(b"127.0.0.1")


def test_too_many_connections() -> None:
    with serving(Limits(connections=2, sweep=0.05, linger_time=0.2)) as server:
        first, second = server.connect(), server.connect()
        for connection in (first, second):
            connection.sendall(get(b"/x"))
            assert read_answer(connection).status == 200
        answers = ask(server.port, b"")
        assert statuses(answers) == [503]
        assert b"Connection: close" in answers
        assert server.counters.refused["connections"] == 1
        first.sendall(get(b"/x"))
        assert read_answer(first).status == 200, "those within the bound are not disturbed"
        second.close()
        eventually(lambda: server.counters.connections == 1, "the others left")
        assert statuses(ask(server.port, get(b"/x", CLOSE))) == [200]
        first.close()
