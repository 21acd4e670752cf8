"""An HTTP endpoint that is also an authorization server, for the tests of API destinations."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Called(NamedTuple):
    """headers: by their names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str


class Endpoint:
    """answers: of what is asked next, each a status and headers; 200 once they are used up. tokens: those that are
    given one after another at /token, 403 once they are used up."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Mapping[str, str]]] = []
        self.tokens: list[str] = []
        self.called: queue.Queue[Called] = queue.Queue()
        self.asked: queue.Queue[Called] = queue.Queue()
        self.url = ""

    def next(self) -> Called:
        return self.called.get(timeout=30)

    def answer(self, called: Called) -> tuple[int, Mapping[str, str], bytes]:
        if called.path.startswith("/token"):
            self.asked.put(called)
            if not self.tokens:
                return 403, {}, b""
            return 200, {}, json.dumps({"access_token": self.tokens.pop(0), "expires_in": 3600}).encode()
        self.called.put(called)
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        return status, headers, b"an answer that nobody reads"


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    found = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, text = found.answer(Called(self.command, self.path, headers, body))
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_one  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
