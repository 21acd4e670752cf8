"""Slow clients: what has not come, or is not taken, in time."""

from __future__ import annotations

import time

from transport_support import HOST, ask, eventually, read_answer, serving, statuses, until_closed

from casemate.server.transport_limits import Limits

SWEEP = 0.02
GET = b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n"


def test_a_slow_head_is_refused_however_steadily_it_comes() -> None:
    with serving(Limits(sweep=SWEEP, head_time=0.3)) as server:
        with server.connect() as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n")
            sent = 0
            while server.counters.refused["timeout"] == 0:
                connection.sendall(b"X: 1\r\n")
                sent += 1
                assert sent < 90, "each header put the deadline off"
                time.sleep(0.02)
            assert statuses(until_closed(connection)) == [408]
        with server.connect() as connection:
            connection.sendall(GET)
            assert read_answer(connection).status == 200
            connection.sendall(GET[:20])
            assert statuses(until_closed(connection)) == [408], (
                "the second head of a connection has its time too"
            )


def test_a_connection_without_a_request_is_closed() -> None:
    with serving(Limits(sweep=SWEEP, head_time=0.1)) as server:
        assert ask(server.port) == b""
        assert server.counters.refused["timeout"] == 0


def test_an_idle_connection_is_closed() -> None:
    with serving(Limits(sweep=SWEEP, idle_time=0.1)) as server, server.connect() as connection:
        connection.sendall(GET)
        assert read_answer(connection).status == 200
        assert until_closed(connection) == b""


def test_a_request_that_is_being_answered_has_no_deadline() -> None:
    limits = Limits(sweep=SWEEP, idle_time=0.05, head_time=0.05, progress_time=0.05)
    with serving(limits) as server, server.connect() as connection:
        connection.sendall(b"GET /held HTTP/1.1\r\n" + HOST + b"\r\n")
        eventually(lambda: server.app.open, "the request came")
        time.sleep(0.3)
        server.on_loop(lambda: server.app.open[0].reply(200, b"", b"at last"))
        assert read_answer(connection).body == b"at last"


def test_a_body_without_progress_is_refused() -> None:
    with serving(Limits(sweep=SWEEP, progress_time=0.15, progress_bytes=100)) as server:
        for path in (b"/x", b"/stream/count"):
            with server.connect() as connection:
                connection.sendall(
                    b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 50000\r\n\r\n"
                )
                while not server.counters.refused["timeout"]:
                    connection.sendall(b"a")
                    time.sleep(0.01)
                assert statuses(until_closed(connection)) == [408], path
            server.counters.refused.clear()
        assert server.app.asked == []
        eventually(lambda: server.app.stream_ended == ["lost"], "the stream's reader was told")


def test_a_body_with_enough_progress_may_take_long() -> None:
    with (
        serving(Limits(sweep=SWEEP, progress_time=0.1, progress_bytes=10)) as server,
        server.connect() as connection,
    ):
        connection.sendall(b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 2000\r\n\r\n")
        for _ in range(40):
            connection.sendall(b"a" * 50)
            time.sleep(0.01)
        assert read_answer(connection).status == 200


def test_a_client_that_does_not_read_a_stream_is_cut() -> None:
    limits = Limits(sweep=SWEEP, progress_time=0.2, write_ahead_bytes=100_000)
    with serving(limits) as server, server.connect() as connection:
        connection.sendall(b"GET /stream/source?size=1000000000 HTTP/1.1\r\n" + HOST + b"\r\n")
        eventually(lambda: server.counters.refused["slow-reader"] == 1, "it was cut")
        eventually(lambda: server.app.stream_ended == ["lost"], "the stream's writer was told")
        assert server.app.read_bytes < 20_000_000, "little was written that nobody took"


def test_a_client_that_does_not_read_its_replies_is_not_read_either() -> None:
    limits = Limits(sweep=SWEEP, progress_time=0.3, write_ahead_bytes=100_000)
    with serving(limits) as server, server.connect() as connection:
        connection.sendall(b"GET /large?1000000 HTTP/1.1\r\n%b\r\n" % HOST * 1000)
        eventually(lambda: server.counters.refused["slow-reader"] == 1, "it was cut")
        assert server.counters.requests < 50


def test_a_client_that_reads_slowly_gets_everything() -> None:
    # A machine that is busy elsewhere must not look like a client that does not read.
    limits = Limits(sweep=SWEEP, progress_time=2.0, write_ahead_bytes=50_000, idle_time=0.1, linger_time=0.1)
    with serving(limits) as server, server.connect() as connection:
        connection.sendall(
            b"GET /stream/source?size=6000000 HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
        )
        count = 0
        while piece := connection.recv(100_000):
            count += len(piece)
            time.sleep(0.005)
        assert count > 6_000_000


def test_a_client_that_never_closes_is_closed() -> None:
    """After a refusal the connection lingers, but not for ever."""
    with serving(Limits(sweep=SWEEP, linger_time=0.2)) as server, server.connect() as connection:
        connection.sendall(b"bad\r\n\r\n")
        assert statuses(until_closed(connection)) == [400]
        eventually(lambda: server.counters.connections == 0, "it was closed")
