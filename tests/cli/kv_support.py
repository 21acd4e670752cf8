"""A server that answers as Vault's and OpenBao's KV secrets engines do, as far as their HTTP API documents it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "s.token"


class Kv:
    """data: what each path of ``secret/`` (version 2) holds, with its version; old: of ``kv/`` (version 1)."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.data: dict[str, tuple[dict[str, Any], int]] = {}
        self.old: dict[str, dict[str, Any]] = {}
        self.tokens: set[str] = set()

    @property
    def env(self) -> dict[str, str]:
        return {"VAULT_ADDR": self.address, "VAULT_TOKEN": TOKEN}

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path.startswith("sys/internal/ui/mounts/"):
            mount = path.split("/")[4]
            if mount not in ("secret", "kv"):
                return 403, {"errors": ["preflight capability check returned 403"]}
            options = {"version": "2"} if mount == "secret" else None
            return 200, {"data": {"type": "kv", "path": f"{mount}/", "options": options}}
        mount, _, rest = path.partition("/")
        if mount == "kv":
            if method == "POST":
                self.old[rest] = body
                return 204, None
            return (200, {"data": self.old[rest]}) if rest in self.old else (404, {"errors": []})
        kind, _, name = rest.partition("/")
        held = self.data.get(name)
        if kind == "metadata":
            return (200, {"data": {"current_version": held[1]}}) if held else (404, {"errors": []})
        if method == "GET":
            if held is None:
                return 404, {"errors": []}
            return 200, {"data": {"data": held[0], "metadata": {"version": held[1]}}}
        if body["options"]["cas"] != (held[1] if held else 0):
            return 400, {"errors": ["check-and-set parameter did not match the current version"]}
        self.data[name] = (body["data"], body["options"]["cas"] + 1)
        return 200, {"data": {"version": body["options"]["cas"] + 1}}


@contextmanager
def kv_server() -> Iterator[Kv]:
    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            token = self.headers.get("X-Vault-Token", "")
            kv.tokens.add(token)
            path = self.path.removeprefix("/v1/")
            if path.startswith("elsewhere") or "elsewhere" in path:
                self.send_response(307)
                self.send_header("Location", "http://127.0.0.1:9/")
                self.end_headers()
                return
            status, answer = kv.answer(self.command, path, body) if token == TOKEN else (403, {"errors": []})
            text = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = respond  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kv = Kv(f"http://127.0.0.1:{served.server_address[1]}")
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield kv
    finally:
        served.shutdown()
        thread.join()
        served.server_close()
