"""JSON by tokens that know where they stand, for errors that say where a pattern is wrong, as AWS's do."""

from __future__ import annotations

import json
import re
from typing import Any, Literal, NamedTuple

Kind = Literal["{", "}", "[", "]", "name", "string", "number", "null", "true", "false"]

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_WORD = re.compile(r"[^\s{}\[\]:,\"]+")
_SPACE = re.compile(r"[ \t\r\n]*")
_SHOWN = 500
_DEEPEST = 100


class PatternError(ValueError):
    """What is wrong with a pattern, and where."""


class Token(NamedTuple):
    """kind: what it is; value: of names, strings and numbers; begun: the offset behind its first character, behind a
    number's last one, and for a name where the value behind it has begun; end: the offset behind it."""

    kind: Kind
    value: Any
    begun: int
    end: int


def error(text: str, reason: str, at: int) -> PatternError:
    """The error in AWS's form, for an offset in the pattern's text."""
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    shown = f'"{text[:_SHOWN]}"'
    if len(text) > _SHOWN:
        shown += f"[truncated {len(text) - _SHOWN} chars]"
    return PatternError(f"{reason}\n at [Source: (String){shown}; line: {line}, column: {column}]")


class Tokens:
    """The tokens of a JSON text, one after the other. Raises PatternError for what is not JSON."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = _tokens(text)
        self._at = 0
        self.current = Token("null", None, 0, 0)

    def next(self) -> Token:
        """The next token. Raises PatternError at the text's end."""
        if self._at >= len(self._tokens):
            raise error(self.text, "Unexpected end-of-input", len(self.text))
        self.current = self._tokens[self._at]
        self._at += 1
        return self.current

    def fail(self, reason: str, *, read: bool = False) -> PatternError:
        """An error at the current token. read: its text was looked at."""
        return error(self.text, reason, self.current.end if read else self.current.begun)


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    at = _value(text, 0, found, 0)
    names = [index for index, token in enumerate(found) if token.kind == "name"]
    for index in names:
        # By the time that a name is known, the value behind it has begun.
        found[index] = found[index]._replace(begun=found[index + 1].begun)
    rest = _SPACE.match(text, at)
    at = at if rest is None else rest.end()
    if at < len(text):
        raise _unexpected(text, at, "expected end of input")
    return found


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    at = at if found is None else found.end()
    if at >= len(text):
        raise error(text, "Unexpected end-of-input", len(text))
    return at


def _unexpected(text: str, at: int, wanted: str) -> PatternError:
    return error(text, f"Unexpected character ('{text[at]}' (code {ord(text[at])})): {wanted}", at + 1)


def _string(text: str, at: int) -> tuple[str, int]:
    found = _STRING.match(text, at)
    if found is None:
        raise error(text, "Unexpected end-of-input in VALUE_STRING", len(text))
    try:
        value: str = json.loads(found[0])
    except ValueError:
        raise error(text, "Illegal character or escape in a string", found.end()) from None
    return value, found.end()


def _value(text: str, at: int, found: list[Token], depth: int) -> int:
    at = _skip(text, at)
    if depth > _DEEPEST:
        raise error(text, "Too deeply nested", at)
    first = text[at]
    if first == '"':
        value, end = _string(text, at)
        found.append(Token("string", value, at + 1, end))
        return end
    if first == "{":
        return _object(text, at, found, depth)
    if first == "[":
        return _array(text, at, found, depth)
    number = _NUMBER.match(text, at)
    if number is not None:
        digits = number[0]
        exact = float(digits) if set(digits) & set(".eE") else int(digits)
        found.append(Token("number", exact, number.end(), number.end()))
        return number.end()
    word = _WORD.match(text, at)
    if word is not None and word[0] in ("null", "true", "false"):
        kind: Kind = word[0]  # type: ignore[assignment]
        found.append(Token(kind, None, word.end(), word.end()))
        return word.end()
    if word is None or not (first.isalpha() or first in "_$"):
        wanted = (
            "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
        )
        raise _unexpected(text, at, wanted)
    wanted = "was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
    raise error(text, f"Unrecognized token '{word[0]}': {wanted}", word.end() + 1)


def _object(text: str, at: int, found: list[Token], depth: int) -> int:
    found.append(Token("{", None, at + 1, at + 1))
    at = _skip(text, at + 1)
    seen: set[str] = set()
    while text[at] != "}":
        if text[at] != '"':
            raise _unexpected(text, at, "was expecting double-quote to start field name")
        name, end = _string(text, at)
        if name in seen:
            raise error(text, f"Path `{name}` is repeated", end)
        seen.add(name)
        found.append(Token("name", name, end, end))
        at = _skip(text, end)
        if text[at] != ":":
            raise _unexpected(text, at, "was expecting a colon to separate field name and value")
        at = _skip(text, _value(text, at + 1, found, depth + 1))
        if text[at] == ",":
            at = _skip(text, at + 1)
            if text[at] == "}":
                raise _unexpected(text, at, "was expecting double-quote to start field name")
        elif text[at] != "}":
            raise _unexpected(text, at, "was expecting comma to separate Object entries")
    found.append(Token("}", None, at + 1, at + 1))
    return at + 1


def _array(text: str, at: int, found: list[Token], depth: int) -> int:
    found.append(Token("[", None, at + 1, at + 1))
    at = _skip(text, at + 1)
    while text[at] != "]":
        at = _skip(text, _value(text, at, found, depth + 1))
        if text[at] == ",":
            at = _skip(text, at + 1)
            if text[at] == "]":
                wanted = "expected a value"
                raise _unexpected(text, at, wanted)
        elif text[at] != "]":
            raise _unexpected(text, at, "was expecting comma to separate Array entries")
    found.append(Token("]", None, at + 1, at + 1))
    return at + 1
