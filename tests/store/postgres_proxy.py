"""Between a store and PostgreSQL, to lose a connection at the worst moment."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote


class Proxy:
    """Forwards a Unix socket. Each name in ``plan`` is what to do with the next COMMIT:

    "unsent": drop the connection before the server gets it; "unanswered": drop it when the server has
    answered; "late": drop it, and let the server have the COMMIT half a second later; "pass": forward it.
    """

    def __init__(self, folder: Path, target: str) -> None:
        self.plan: list[str] = []
        self.cut: list[str] = []
        self.refusing = False
        self._target = target
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen(50)
        self._threads: list[threading.Thread] = []
        self._ends: list[socket.socket] = []
        self._start(self._accept)

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            self._ends += [client, server]
            doomed = threading.Event()
            self._start(self._forward, client, server, doomed)
            self._start(self._answer, server, client, doomed)

    def _forward(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if b"COMMIT" in data:
                    with self._lock:
                        what = self.plan.pop(0) if self.plan else "pass"
                        if what != "pass":
                            self.cut.append(what)
                    if what == "unsent":
                        break
                    if what == "unanswered":
                        doomed.set()
                    if what == "late":
                        _shut(client)
                        time.sleep(0.5)
                        server.sendall(data)
                        time.sleep(0.5)
                        break
                server.sendall(data)
        _shut(client)
        _shut(server)

    def _answer(self, server: socket.socket, client: socket.socket, doomed: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if doomed.is_set():
                    break
                client.sendall(data)
        _shut(client)
        _shut(server)

    def close(self) -> None:
        _shut(self._listener)
        for end in self._ends:
            _shut(end)
        for thread in self._threads:
            thread.join()
        for end in [self._listener, *self._ends]:
            end.close()


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxied(url: str, server_folder: Path) -> Iterator[tuple[Proxy, str]]:
    """A proxy for the server in that folder, and the URL that leads through it."""
    folder = Path(tempfile.mkdtemp(prefix="casemate-proxy-", dir="/tmp"))
    proxy = Proxy(folder, str(server_folder / ".s.PGSQL.5432"))
    try:
        yield proxy, url.replace(quote(str(server_folder), safe=""), quote(str(folder), safe=""))
    finally:
        proxy.close()
        shutil.rmtree(folder)
