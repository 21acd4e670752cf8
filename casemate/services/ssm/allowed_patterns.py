"""AllowedPattern: a customer's regular expression that a parameter's value must match as a whole, and each item of a
StringList.

Neither the expression nor the value can be trusted with the server's time: one that backtracks without end is easily
written. RE2 takes time in proportion to the value, and knows nearly all that is written; what it does not know, as
(?=...), is tried by Python's own engine, in a process of its own with little time and memory.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from casemate.errors import AwsError

_SECONDS = 1
_BYTES = 512 * 1024 * 1024
_AT_ONCE = threading.BoundedSemaphore(4)
"""So many are tried at a time, however many are asked for."""
_OF_ONE = 2
"""So many of one account's; it is refused others meanwhile, so that it keeps no other account waiting."""
_trying: Counter[str] = Counter()
_lock = threading.Lock()
_MATCHES, _DIFFERS, _NO_PATTERN = 10, 11, 12

_PROGRAM = f"""
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({_BYTES}, {_BYTES}))
resource.setrlimit(resource.RLIMIT_CPU, ({_SECONDS}, {_SECONDS}))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
pattern, values = json.load(sys.stdin)
try:
    pattern = re.compile(pattern, re.ASCII)
except (re.error, OverflowError, RecursionError):
    sys.exit({_NO_PATTERN})
sys.exit({_MATCHES} if all(map(pattern.fullmatch, values)) else {_DIFFERS})
"""


def check_pattern(account: str, pattern: str, values: Sequence[str]) -> None:
    """Raises InvalidAllowedPatternException for what is no regular expression, or takes too long for the values;
    ParameterPatternMismatchException for a value that does not match; ThrottlingException while the account has
    others tried that RE2 does not know."""
    ended = _by_re2(pattern, values)
    if ended == _NO_PATTERN:
        with _place(account), _AT_ONCE:
            ended = _tried(pattern, values)
    if ended == _MATCHES:
        return
    if ended == _DIFFERS:
        raise AwsError(
            "ParameterPatternMismatchException",
            f"Parameter value, cannot be validated against allowedPattern: {pattern}",
        )
    raise AwsError(
        "InvalidAllowedPatternException", "The request doesn't meet the regular expression requirement."
    )


@contextmanager
def _place(account: str) -> Iterator[None]:
    with _lock:
        if _trying[account] >= _OF_ONE:
            raise AwsError("ThrottlingException", "Rate exceeded")
        _trying[account] += 1
    try:
        yield
    finally:
        with _lock:
            _trying[account] -= 1
            if not _trying[account]:
                del _trying[account]


def _by_re2(pattern: str, values: Sequence[str]) -> int:
    """_MATCHES, _DIFFERS, or _NO_PATTERN for what RE2 does not know."""
    # By its name, because it has no types; and here, because few need it.
    re2: Any = importlib.import_module("re2")
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error:
        return _NO_PATTERN
    return _MATCHES if all(map(compiled.fullmatch, values)) else _DIFFERS


def _tried(pattern: str, values: Sequence[str]) -> int:
    """How it ends: _MATCHES, _DIFFERS, or anything else."""
    try:
        return subprocess.run(  # noqa: S603 - this program, and nothing of the request among its arguments
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            input=json.dumps([pattern, list(values)]).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            timeout=2 * _SECONDS,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return _NO_PATTERN
