"""``casemate clock`` and ``casemate reset``: for servers started with ``--dev``."""

from __future__ import annotations

import argparse
import http.client
import json
import re
import time
from typing import Any
from urllib.parse import urlsplit

from casemate.cli.problems import CommandError
from casemate.cli.settings import settings
from casemate.server.config import Config

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_JOBS_SECONDS = 30.0
"""How long what has fallen due is waited for."""


def clock(options: argparse.Namespace) -> int:
    """Show or move the clock. After a move, what is due by then (rotations, deletions) is waited for."""
    config = settings(options)
    move: dict[str, Any] | None = None
    if options.advance is not None:
        move = {"advance_seconds": seconds_in(options.advance)}
    elif options.set is not None:
        move = {"set": options.set}
    elif options.reset:
        move = {"reset": True}
    if move is not None:
        _ask(config, "POST", "/_casemate/clock", move)
    shown = _ask(config, "GET", "/_casemate/clock")
    end = time.monotonic() + _JOBS_SECONDS
    while move is not None and shown["jobs_due"]:
        if time.monotonic() > end:
            raise CommandError(
                f"the clock was moved, but {shown['jobs_due']} jobs that are due have not run yet",
                "The server's log says more.",
            )
        time.sleep(0.05)
        shown = _ask(config, "GET", "/_casemate/clock")
    offset = shown["offset_seconds"]
    print(f"{shown['now']}  ({f'{offset:+.0f} s' if offset else 'the machine’s time'})")
    return 0


def reset(options: argparse.Namespace) -> int:
    """Put the server back to how it was at its start."""
    _ask(settings(options), "POST", "/_casemate/reset", {})
    print("The server is as it was at its start.")
    return 0


def seconds_in(text: str) -> float:
    """'365d' as seconds; also sums, '1d12h'. Raises CommandError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise CommandError(f"{text!r} is not a time as 90s, 45m, 12h, 365d or 1d12h", status=2)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _ask(config: Config, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Ask the running server, signed by the administrator's access key."""
    # Here, because botocore's signers are slow to import and no other command needs them.
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    from casemate.server.credentials_file import read_credentials
    from casemate.server.server_file import running

    server = running(config.data)
    if server is None:
        raise CommandError(
            f"no server runs on {config.data}", "Name the directory of the one you mean by --data DIR."
        )
    if not server.dev:
        raise CommandError(
            "the server that runs was not started with --dev",
            "Only then can its clock be moved and its data be reset.",
        )
    endpoint = server.endpoint
    if endpoint is None:
        raise CommandError("the server has no plain HTTP port", "Start it with a --port.")
    key = read_credentials(config.data).key
    data = b"" if body is None else json.dumps(body).encode()
    request = AWSRequest(method, endpoint + path, data=data)
    SigV4Auth(Credentials(key.id, key.secret), "casemate", server.region).add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=60)
    try:
        connection.request(method, path, data or None, dict(request.headers.items()))
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CommandError(f"the server at {endpoint} does not answer: {type(error).__name__}") from None
    finally:
        connection.close()
    if response.status != 200:
        raise CommandError(f"refused: {answer.get('message') or answer.get('__type')}")
    return answer
