"""The models' regular expressions, which are Java's, for Python's ``re``.

AWS requires the whole value to match. What differs between the two and occurs in the models is translated: Unicode
categories (``\\p{L}``), surrogate pairs in classes, a hyphen after a class escape (``[\\w-/]``), the line ends that
``.`` leaves out, and ``\\d \\w \\s``, which are ASCII in Java. What neither can be translated nor compiled raises
``UntranslatablePattern``; tests/wire/test_wire_patterns.py holds that list, and it is empty.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

_DOT = "[^\\n\\r\\x85\\u2028\\u2029]"
_ASCII_CATEGORIES = {
    "L": "a-zA-Z",
    "Lu": "A-Z",
    "Ll": "a-z",
    "M": "",
    "N": "0-9",
    "Nd": "0-9",
    "Z": "\\x20",
    "Zs": "\\x20",
    "P": "!-#%-*,-/:;?@\\[-\\]_{}",
    "S": "$+<-\\>\\^`|~",
    "C": "\\x00-\\x1f\\x7f",
    "Cc": "\\x00-\\x1f\\x7f",
    "ASCII": "\\x00-\\x7f",
    "Alnum": "a-zA-Z0-9",
    "Alpha": "a-zA-Z",
    "Graph": "!-~",
    "Print": "\\x20-~",
}
_POSIX = ("ASCII", "Alnum", "Alpha", "Graph", "Print")
# Beyond these planes Unicode has only private use, tags and unassigned code points: all of category C.
_SCANNED = (range(0x40000), range(0xE0000, 0xE1000))
_UNSCANNED_ARE_C = ("\\U00040000-\\U000dffff", "\\U000e1000-\\U0010ffff")


# Patterns of the models that backtrack without bound (or with the square of an unbounded length), and an equal one
# that does not: possessive repetition, since only the first place where the middle matches can succeed.
_LINEAR = {
    r".*\S.*": r"[^\S\n\r]*+\S.*+",
    r"\/?.+\/.+": r".[^/\n\r\x85\u2028\u2029]*+/.++",
    r".*[0-9]{12}.*": r"(?>.*?[0-9]{12}).*+",
    r"^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$": r"\t*+[\x20-\x7E][\t\x20-\x7E]*+",
    r"^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$": (
        r"\t*+[^\x00-\x1F:\x7F](?:\t|[^\x00-\x1F:\x7F])*+"
    ),
}


# Patterns of the models that no value matches, in Java as little as here: a slip in the model, not a rule.
UNSATISFIABLE = frozenset({r"^arn:aws([a-z-]+)?:ec2:[a-z\d-]+:\d{12}:placement-group/^.{1,255}$"})


class UntranslatablePattern(ValueError):
    """A pattern that cannot be expressed in Python's ``re``."""


@cache
def _category(name: str) -> str:
    """The ranges of a Unicode category, as the inside of a character class."""
    if name in _POSIX:
        return _ASCII_CATEGORIES[name]
    ranges: list[str] = []
    for plane in _SCANNED:
        start = -1
        for point in plane:
            inside = unicodedata.category(chr(point)).startswith(name)
            if inside and start < 0:
                start = point
            elif not inside and start >= 0:
                ranges.append(f"\\U{start:08x}-\\U{point - 1:08x}")
                start = -1
        if start >= 0:
            ranges.append(f"\\U{start:08x}-\\U{plane.stop - 1:08x}")
    if name in ("C", "Cn", "Co"):
        ranges.extend(_UNSCANNED_ARE_C)
    return "".join(ranges)


def _ascii_category(name: str) -> str:
    return _ASCII_CATEGORIES[name]


_TOKEN = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a surrogate pair
    r"|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}"
    r"|\\p\{(?:Is)?[A-Za-z]+\}|\\p[A-Z]"
    r"|\\."
    r"|.",
    re.DOTALL,
)


# A bucket's ARN has no Region, and is among those that S3 Control's operations on tags document.
_WIDER = {"arn:[^:]+:s3(express)?:[^:].*": "arn:[^:]+:s3(express)?:.*"}


def _translate(pattern: str, category: Callable[[str], str]) -> str:
    out: list[str] = []
    in_class = False
    opened = False  # the previous token opened the class (a ']' or '-' is literal there)
    escape_class = False  # the previous token was \w, \d, \s or \p{..}: no range can begin there
    dot_all = "(?s" in pattern
    for part in _TOKEN.findall(pattern):
        was_opened, opened = opened, False
        was_escape_class, escape_class = escape_class, False
        if part[:2] == "\\p":
            name = part[2:].strip("{}").removeprefix("Is")
            if name not in _ASCII_CATEGORIES:
                raise UntranslatablePattern(f"{part} in {pattern!r}")
            out.append(category(name) if in_class else f"[{category(name)}]")
            escape_class = True
        elif len(part) == 12:
            high, low = int(part[2:6], 16), int(part[8:12], 16)
            out.append(f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}")
        elif not in_class:
            if part == "[":
                in_class = opened = True
            out.append(_DOT if part == "." and not dot_all else part)
        elif part == "]":
            in_class = was_opened
            out.append("\\]" if was_opened else "]")
        elif part == "^" and was_opened:
            opened = True
            out.append(part)
        elif part == "[":
            out.append("\\[")
        elif part == "-" and was_escape_class:
            out.append("\\-")
        else:
            escape_class = part in ("\\w", "\\d", "\\s", "\\W", "\\D", "\\S")
            out.append(part)
    return "".join(out)


def _compile(pattern: str, category: Callable[[str], str]) -> re.Pattern[str]:
    try:
        pattern = _WIDER.get(pattern, pattern)
        return re.compile(_translate(_LINEAR.get(pattern, pattern), category), re.ASCII)
    except re.error as error:
        raise UntranslatablePattern(f"{error} in {pattern!r}") from None


@cache
def matcher(pattern: str) -> Callable[[str], object]:
    """A function whose result is truthy when the whole of its argument matches the model's pattern.

    Raises UntranslatablePattern.
    """
    if pattern in UNSATISFIABLE:
        return lambda _value: True
    ascii_match = _compile(pattern, _ascii_category).fullmatch
    if "\\p" not in pattern:
        return ascii_match
    # The tables of a Unicode category take 20 ms to make: only values that are not ASCII ask for them.
    wide: list[Callable[[str], object]] = []

    def match(value: str) -> object:
        if value.isascii():
            return ascii_match(value)
        if not wide:
            wide.append(_compile(pattern, _category).fullmatch)
        return wide[0](value)

    return match
