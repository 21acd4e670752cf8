"""DATA/server.json: where the server that runs can be reached, for the commands beside it and for tests.

It holds no secret. It is written once the server answers and removed when it ends; what a killed server left is
told by its lock, which is free.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from casemate.server.data_lock import holder

FILE_NAME = "server.json"
_NOT_REACHABLE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound


class Running(NamedTuple):
    """A server. pid: of the process to signal; host: as configured; ports: None where it does not listen;
    region: where clients that do not care should act."""

    pid: int
    host: str
    port: int | None
    tls_port: int | None
    metrics_port: int | None
    region: str
    dev: bool
    version: str

    @property
    def endpoint(self) -> str | None:
        """The plain endpoint's URL."""
        return None if self.port is None else f"http://{reachable(self.host)}:{self.port}"

    @property
    def tls_endpoint(self) -> str | None:
        """The TLS endpoint's URL."""
        return None if self.tls_port is None else f"https://{reachable(self.host)}:{self.tls_port}"

    @property
    def metrics_endpoint(self) -> str | None:
        """Where Prometheus reads."""
        return (
            None
            if self.metrics_port is None
            else f"http://{reachable(self.host)}:{self.metrics_port}/metrics"
        )


def reachable(host: str) -> str:
    """The host as a client on this machine writes it in a URL."""
    host = _NOT_REACHABLE.get(host, host)
    return f"[{host}]" if ":" in host else host


def announce(data: Path, server: Running) -> None:
    """Write the file as a whole."""
    path = data / FILE_NAME
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(server._asdict(), file)
    temporary.replace(path)


def withdraw(data: Path) -> None:
    """The server ends."""
    (data / FILE_NAME).unlink(missing_ok=True)


def running(data: Path) -> Running | None:
    """The server that runs on this data directory and answers; None when there is none (yet)."""
    try:
        if holder(data) is None:
            return None
        return Running(**json.loads((data / FILE_NAME).read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
