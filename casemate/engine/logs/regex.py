"""Regular expressions between percent signs: the part of the language that CloudWatch Logs takes.

RE2 runs them, whose time is proportional to the text's length, whatever the expression.

Source: "Supported regular expressions (regex) syntax".
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from casemate.engine.logs.errors import PatternError

_SUPPORTED: Final = re.compile(r"[A-Za-z0-9:_#=@/;,\- ^$?\[\]{}|\\*+.]+")


@cache
def _engine() -> tuple[Any, Any]:
    """RE2, which takes a while to load and has no types, and its options."""
    engine: Any = importlib.import_module("re2")
    options = engine.Options()
    options.log_errors = False
    options.never_capture = True
    return engine, options


def compiled_regex(text: str) -> Any:
    """An expression with its groups, as RE2 has it. Raises ValueError."""
    engine, _ = _engine()
    options = engine.Options()
    options.log_errors = False
    try:
        return engine.compile(text, options=options)
    except engine.error:
        raise ValueError("not a regular expression") from None


def compile_regex(text: str) -> Callable[[str], bool]:
    """Whether a text has a part that the expression describes. Raises PatternError."""
    if _SUPPORTED.fullmatch(text) is None:
        raise PatternError("a regular expression with characters that are not supported")
    engine, options = _engine()
    try:
        compiled = engine.compile(text, options=options)
    except engine.error:
        raise PatternError("a regular expression that cannot be read") from None
    return lambda message: compiled.search(message) is not None
