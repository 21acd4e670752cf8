"""The server's logs on stderr: one line of text or one JSON object for each record, and never a secret.

An exception is shown by its type and its frames. Its text is left out, because an exception that a request
caused may quote what the request held; only the operating system's errors, which speak of files and sockets, are
shown with their text.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import traceback
from types import TracebackType
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def set_up(level: str, form: str) -> None:
    """Send all logs of this process to stderr. level: debug, info, warning, error; form: text or json."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    # A record whose arguments do not fit its text must not print them.
    logging.raiseExceptions = False


def shown(error: BaseException) -> str:
    """An exception as a log may show it: its type, and the operating system's own words where it has them."""
    name = type(error).__qualname__
    if isinstance(error, OSError) and error.errno is not None:
        return f"{name}: {os.strerror(error.errno)}"
    return name


def frames(error: BaseException) -> str:
    """Type and frames of an exception and of what led to it, the first cause first."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n".join(
        f"{''.join(traceback.format_tb(each.__traceback__))}{shown(each)}" for each in reversed(chain)
    )


def _message(record: logging.LogRecord) -> str:
    """The record's text, with exceptions among its arguments shown as they may be."""
    args = record.args
    if isinstance(args, tuple):
        args = tuple(shown(each) if isinstance(each, BaseException) else each for each in args)
    try:
        text = str(record.msg) if not isinstance(record.msg, BaseException) else shown(record.msg)
        return text % args if args else text
    except (TypeError, ValueError, KeyError):
        return f"a log record of {record.name} that cannot be written ({record.filename}:{record.lineno})"


def _trace(record: logging.LogRecord) -> str:
    if record.exc_info and record.exc_info[1] is not None:
        return frames(record.exc_info[1])
    return ""


class TextFormatter(logging.Formatter):
    """``2026-11-23T21:13:05.120Z ERROR casemate.gate: text``, and frames indented below."""

    def format(self, record: logging.LogRecord) -> str:
        parts = [f"{_when(record)} {record.levelname} {record.name}: {_plain(_message(record))}"]
        trace = _trace(record)
        if trace:
            parts.append(trace)
        return "\n    ".join("\n".join(parts).splitlines())


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, pid and, for exceptions, trace."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": _when(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            "pid": record.process,
        }
        trace = _trace(record)
        if trace:
            entry["trace"] = trace
        return json.dumps(entry)


def _when(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


def _plain(text: str) -> str:
    """Without what could pass for another line or steer a terminal."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
