"""What a JSON or field pattern compares a value with: a number, a text with wildcards, or a regular expression."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

from casemate.engine.logs.errors import PatternError
from casemate.engine.logs.regex import compile_regex
from casemate.engine.policy.wildcards import STAR, matcher

NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)

Test = Callable[[object], bool]
"""Takes a text, or a number where the event tells numbers from texts."""


def compare(sign: str, literal: str, *, quoted: bool, regex: bool) -> Test:
    """sign: = != < > <= >=; literal: as it is written, without its quotes or percent signs. Raises
    PatternError."""
    if sign not in ("=", "!="):
        if quoted or regex or NUMBER.fullmatch(literal) is None:
            raise PatternError(f"{sign} takes a number")
        return _ordered(sign, float(literal))
    test = _equal(literal, quoted=quoted, regex=regex)
    if sign == "=":
        return test
    return lambda value: not test(value)


def _equal(literal: str, *, quoted: bool, regex: bool) -> Test:
    if regex:
        search = compile_regex(literal)
        return lambda value: search(text_of(value))
    if not quoted and NUMBER.fullmatch(literal) is not None:
        number = float(literal)
        return lambda value: number_of(value) == number
    if "*" in literal:
        parts = [part for piece in literal.split("*") for part in (STAR, piece)][1:]
        wild = matcher(tuple(part for part in parts if part != ""))
        return lambda value: wild(text_of(value))
    return lambda value: text_of(value) == literal


_ORDER: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def _ordered(sign: str, number: float) -> Test:
    holds = _ORDER[sign]

    def test(value: object) -> bool:
        found = number_of(value)
        return found is not None and holds(found, number)

    return test


def number_of(value: object) -> float | None:
    """The value as a number, where it is one or is written as one."""
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str) and NUMBER.fullmatch(value) is not None:
        return float(value)
    return None


def text_of(value: object) -> str:
    """As metric filters show it: 200, not 200.0; true, not True."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
