"""What a policy's text tells beside what it means: where its statements stand, and which context keys it names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_SPACE = re.compile(r"[ \t\r\n]*")
_VARIABLE = re.compile(r"\$\{\s*([^},]+?)\s*(?:,[^}]*)?\}")
_DECODER = json.JSONDecoder()


class Span(NamedTuple):
    """From where to where a statement reaches: lines and columns, from 1. end: behind its last character."""

    start: tuple[int, int]
    end: tuple[int, int]


def spans(document: str) -> list[Span]:
    """Of the statements of a document that is a policy, in their order."""
    at = _after(document, 0)
    while True:
        # At the brace, or at the comma before a member.
        at = _after(document, at + 1)
        name, at = _DECODER.raw_decode(document, at)
        at = _after(document, _after(document, at) + 1)
        if name == "Statement":
            return [_span(document, *ends) for ends in _elements(document, at)]
        _, at = _DECODER.raw_decode(document, at)
        at = _after(document, at)


def _elements(document: str, at: int) -> Iterator[tuple[int, int]]:
    if document[at] != "[":
        yield at, _DECODER.raw_decode(document, at)[1]
        return
    while document[at] != "]":
        start = _after(document, at + 1)
        _, end = _DECODER.raw_decode(document, start)
        yield start, end
        at = _after(document, end)


def _after(document: str, at: int) -> int:
    """Behind white space."""
    found = _SPACE.match(document, at)
    return at if found is None else found.end()


def _span(document: str, start: int, end: int) -> Span:
    return Span(_place(document, start), _place(document, end))


def _place(document: str, at: int) -> tuple[int, int]:
    return document.count("\n", 0, at) + 1, at - document.rfind("\n", 0, at)


def context_keys(document: str) -> dict[str, str]:
    """The context keys that a policy's conditions and variables name: by their names in lower case, as they are
    written first."""
    found: dict[str, str] = {}
    statements = json.loads(document).get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        for tests in statement.get("Condition", {}).values():
            for key in tests:
                found.setdefault(key.lower(), key)
        for text in _texts(
            [statement.get("Condition"), statement.get("Resource"), statement.get("NotResource")]
        ):
            for name in _VARIABLE.findall(text):
                if name not in ("*", "?", "$"):
                    found.setdefault(name.lower(), name)
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
