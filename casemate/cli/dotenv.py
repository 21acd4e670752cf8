"""The files that are called .env: NAME=value, one variable a line.

A value stands as it is, or in single quotes, in which everything is meant literally, or in double quotes, in
which \\n, \\r, \\t, \\", \\$ and \\\\ stand for characters. Quoted values may have several lines. Nothing is
substituted: $NAME is these five characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_ASSIGNMENT = re.compile(
    r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*"
    r"(?:'(?P<literal>[^']*)'|\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<plain>(?:[^'\"\n\r\#]|(?<==)\#)[^\n\r]*?|))"
    r"[ \t]*(?:(?<=[ \t'\"])\#[^\n\r]*)?(?:\r?\n|\Z)",
    re.DOTALL | re.ASCII,
)
_BLANK = re.compile(r"[ \t]*(?:\#[^\n\r]*)?(?:\r?\n|\Z)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+", re.ASCII)


class NotDotenv(ValueError):
    """A text that is none. It tells the line, not what stands there."""


def parse(text: str) -> dict[str, str]:
    """Values by name, of a name that is given twice the last. Raises NotDotenv."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        if (blank := _BLANK.match(text, at)) is not None:
            at = blank.end()
            continue
        line = _ASSIGNMENT.match(text, at)
        if line is None:
            raise NotDotenv(f"line {text.count(chr(10), 0, at) + 1} is no NAME=value")
        if line["quoted"] is not None:
            value = re.sub(
                r"\\(.)", lambda each: _ESCAPES.get(each[1], each[1]), line["quoted"], flags=re.DOTALL
            )
        else:
            value = line["plain"] if line["literal"] is None else line["literal"]
        found[line["name"]] = value
        at = line.end()
    return found


def render(values: Mapping[str, str]) -> str:
    """A text that parses to these."""
    return "".join(f"{name}={_rendered(value)}\n" for name, value in values.items())


def _rendered(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = re.sub(r'(["\\$`])', r"\\\1", value).replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'
