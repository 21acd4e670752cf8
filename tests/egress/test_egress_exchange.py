"""One request to an endpoint that may be slow, large, or send somebody elsewhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException

import pytest

from casemate.engine.egress.exchange import exchange, is_header, read_url
from casemate.engine.egress.hosts import Hosts, Unreachable

_LOCAL = Hosts(["127.0.0.1"])


@contextmanager
def _answering(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server of one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            connection, _ = listening.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def _read(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    return received


def test_a_request_and_its_answer() -> None:
    heads: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        heads.append(_read(connection))
        connection.sendall(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nX-A: b\r\nContent-Length: 9\r\n\r\n"
        )
        connection.sendall(b"x" * 9)

    with _answering(serve) as port:
        url = read_url(f"http://user:secret@127.0.0.1:{port}/a%20b?c=d#e")
        answer = exchange("PUT", url, {"X-Name": "ä"}, b"", hosts=_LOCAL, seconds=30, largest=4)
    # No redirect is followed, and no more is read than was asked for.
    assert (answer.status, answer.headers["x-a"], answer.body) == (302, "b", b"xxxx")
    lines = heads[0].split(b"\r\n")
    assert lines[:2] == [b"PUT /a%20b?c=d HTTP/1.1", f"Host: 127.0.0.1:{port}".encode()]
    assert "X-Name: ä".encode() in lines
    assert b"secret" not in heads[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_endpoint_that_dribbles(scheme: str) -> None:
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        try:
            while not over.wait(0.05):
                connection.sendall(b"H")
        except OSError:
            pass

    with _answering(serve) as port:
        with pytest.raises((OSError, HTTPException)):
            exchange("GET", read_url(f"{scheme}://127.0.0.1:{port}"), {}, None, hosts=_LOCAL, seconds=0.5)
        over.set()


def test_hosts_that_may_not_be_reached() -> None:
    with pytest.raises(Unreachable):
        exchange("GET", read_url("http://[::1]:1/"), {}, None, hosts=Hosts(["*"]), seconds=1)
    with pytest.raises(OSError):
        exchange("GET", read_url("http://127.0.0.1:1/"), {}, None, hosts=_LOCAL, seconds=5)


@pytest.mark.parametrize(
    "text",
    [
        "ftp://a",
        "http://",
        "//a",
        "http://a:0",
        "http://a:99999",
        "http://a b",
        "http://ä",
        "http://a/\nX: y",
    ],
)
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(ValueError):
        read_url(text)


def test_urls() -> None:
    assert read_url("https://A.example:8443/x?y") == (True, "a.example", 8443, "/x?y")
    assert read_url("http://[::1]").authority == "[::1]"
    assert read_url("http://a:443").authority == "a:443"


def test_headers() -> None:
    assert is_header("X-Name", "a\tb ä")
    for name, value in (("a b", "x"), ("", "x"), ("a:", "x"), ("a", "x\r\ny"), ("a", "\0")):
        assert not is_header(name, value)
