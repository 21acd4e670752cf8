"""The sample application as a process: ``transport_server.py WORKERS [MODE]``. Prints its port.

MODE: "dies" - each worker ends at once with status 3.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Sequence

import uvloop
from transport_support import SampleApplication

from casemate.gate.http import Exchange
from casemate.server.listeners import bind_each, serve, stop_on_signals
from casemate.server.supervisor import WorkersKeepDying, supervise
from casemate.server.transport_limits import Limits


class ProcessApplication(SampleApplication):
    """With paths for what concerns a process."""

    def handle(self, exchange: Exchange) -> None:
        if exchange.path == b"/pid":
            exchange.reply(200, b"", b"%d" % os.getpid())
        elif exchange.path == b"/slow":
            asyncio.get_running_loop().call_later(0.02, exchange.reply, 200, b"", b"slow")
        elif exchange.path == b"/very-slow":
            asyncio.get_running_loop().call_later(0.7, exchange.reply, 200, b"", b"very slow")
        else:
            super().handle(exchange)


def say(line: str) -> None:
    """In one write: the processes share the pipe."""
    os.write(1, line.encode() + b"\n")


def main() -> None:
    workers, mode = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    listeners = bind_each("127.0.0.1", 0, workers)
    say(str(listeners[0].getsockname()[1]))

    def run_worker(index: int, sockets: Sequence[socket.socket]) -> None:
        if mode == "dies":
            sys.exit(3)

        for other in sockets:
            if other is not sockets[index]:
                other.close()

        async def run() -> bool:
            stop = asyncio.Event()
            stop_on_signals(stop, supervised=workers > 1)

            def ready() -> None:
                say(f"ready {index}")

            return await serve(
                ProcessApplication(), [sockets[index]], stop=stop, limits=Limits(), grace=3.0, ready=ready
            )

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            clean = runner.run(run())
        say(f"clean {index}" if clean else f"cut {index}")

    def on_death(index: int, status: int) -> None:
        say(f"died {index} {status}")

    try:
        supervise(workers, run_worker, listeners, grace=3.0, on_death=on_death)
    except WorkersKeepDying as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
