"""``casemate audit tail``"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from casemate.cli.journal import altered, archived, opened_data, printable
from casemate.cli.problems import CommandError

if TYPE_CHECKING:
    from casemate.store.journal_format import Position


def tail(options: argparse.Namespace) -> int:
    """Print the journal's last records, and with -f those that follow."""
    from casemate.server.journal_cipher import JournalCipher
    from casemate.store.journal_format import JournalTampered
    from casemate.store.journal_reader import follow, read_journal

    if options.n != "all" and not options.n.isdigit():
        raise CommandError("-n takes a number of records, or all", status=2)
    line = _as_json if options.json else _as_text
    wanted = None if options.n == "all" else int(options.n)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    seen: dict[str, Position] = {}
    try:
        with opened_data(options) as opened:
            config, cipher = opened.config, JournalCipher(opened.root)
            if not config.journal.is_dir():
                return 0
            parts = archived(opened)
            last: deque[bytes] = deque(maxlen=wanted)
            for position, record in read_journal(config.journal, cipher):
                seen[position.run] = position
                last.append(record)
            for record in _before(parts, None if wanted is None else wanted - len(last)):
                print(line(record))
        for record in last:
            print(line(record))
        if options.follow:
            sys.stdout.flush()
            for _, record in follow(config.journal, cipher, stop=stop, after=seen):
                print(line(record), flush=True)
    except JournalTampered as error:
        sys.stdout.flush()
        raise altered(error) from None
    return 0


def _before(parts: list[Callable[[], Iterator[bytes]]], count: int | None) -> Iterator[bytes]:
    """The last so many records of the parts, or all of them."""
    if count is None:
        for part in parts:
            yield from part()
        return
    found: list[bytes] = []
    while parts and len(found) < count:
        found = [*parts.pop()(), *found]
    yield from found[max(0, len(found) - count) :]


def _as_json(record: bytes) -> str:
    return record.decode()


def _as_text(record: bytes) -> str:
    """When, who, what, how it ended, on what, from where."""
    event: Mapping[str, Any] = json.loads(record)
    who = event["userIdentity"]
    service = event["eventSource"].partition(".")[0]
    parts = [
        event["eventTime"],
        who.get("arn") or who.get("accessKeyId") or who["type"].lower(),
        f"{service}:{event['eventName']}" if service else event["eventName"] or "(unknown)",
        event.get("errorCode", "ok"),
        *(resource["ARN"] for resource in event.get("resources") or ()),
        event["awsRegion"],
        event["sourceIPAddress"],
    ]
    text = "  ".join(str(part) for part in parts)
    if event.get("errorMessage"):
        text += f"  ({event['errorMessage']})"
    return printable(text)
