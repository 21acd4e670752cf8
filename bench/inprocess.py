"""What a request costs without sockets: ``python bench/inprocess.py``.

The transport's connections are fed whole requests, as many as there are clients, and their answers are waited for:
the whole way through the gate, the audit record on disk included. Shows µs a request, the time until all are taken in
apart from the time in which the audit is written and the answers leave. Of many rounds the quick ones are shown (the
5th percentile), because a neighbour's work makes rounds slower, never quicker.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import uvloop
from targets import OPERATIONS, kms_client, kms_requests

from casemate.server.composition import open_data, open_worker
from casemate.server.config import Config
from casemate.server.first_start import first_start, prepare_data
from casemate.server.listeners import bind, serve
from casemate.server.transport_limits import Counters, Limits
from casemate.server.transport_worker import Worker

WARM_ROUNDS = 20


class Sink(asyncio.Transport):
    """Takes a connection's answers."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.answers: list[bytes] = []

    def write(self, data: Any) -> None:
        self.answers.append(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered."""

    def is_closing(self) -> bool:
        return False


async def measure(worker: Worker, requests: list[bytes], rounds: int, clients: int) -> tuple[float, float]:
    """µs a request: of taking them in, and of all."""
    sinks = [Sink() for _ in range(clients)]
    connections = [worker.connect() for _ in sinks]
    for connection, sink in zip(connections, sinks, strict=True):
        connection.connection_made(sink)
    following: Iterator[bytes] = cycle(requests)
    taken_in, whole = [], []
    for _ in range(WARM_ROUNDS + rounds):
        begun = time.perf_counter()
        for connection in connections:
            connection.data_received(next(following))
        taken_in.append(time.perf_counter() - begun)
        while not all(sink.answers for sink in sinks):
            await asyncio.sleep(0)
        whole.append(time.perf_counter() - begun)
        for sink in sinks:
            (answer,) = sink.answers
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"refused: {answer!r}")
            sink.answers.clear()
    quick = rounds // 20
    return tuple(sorted(times[WARM_ROUNDS:])[quick] / clients * 1e6 for times in (taken_in, whole))  # type: ignore[return-value]


async def run(config: Config, args: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    prepare_data(config)
    opened = open_data(config)
    administrator = first_start(opened)
    assert administrator is not None
    server = open_worker(config, 0, loop, opened)
    stop = asyncio.Event()
    listener = bind("127.0.0.1", 0)
    port: int = listener.getsockname()[1]
    serving = asyncio.ensure_future(serve(server.gate, [listener], stop=stop, grace=0.0))
    key = administrator.key
    requests = await asyncio.to_thread(lambda: kms_requests(kms_client(port, key.id, key.secret)))
    worker = Worker(server.gate, Limits(), Counters(), loop)
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    for operation in OPERATIONS:
        taken_in, whole = await measure(worker, requests[operation], args.rounds, args.connections)
        print(f"{operation:16} {taken_in:6.1f} µs taken in {whole - taken_in:6.1f} µs audit and answer")
    stop.set()
    await serving
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--connections", type=int, default=32)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="casemate-bench-") as folder:
        uvloop.run(run(Config(data=Path(folder) / "data", tls_port=None, metrics_port=None), args))


if __name__ == "__main__":
    main()
