"""Patterns with ``*`` (any run of characters, colons and slashes included) and ``?`` (one character).

A match takes at most time proportional to pattern length times text length, whatever the pattern: the parts
between the stars are looked for from left to right, and nothing is tried twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

Matcher = Callable[[str], bool]

STAR: Final = 0
ANY: Final = 1
#: A pattern is a sequence of literal strings, STAR and ANY.
Token = str | int

_WILD: Final = re.compile(r"([*?])")
_TOKENS: Final = {"*": STAR, "?": ANY}


def tokenize(text: str) -> tuple[Token, ...]:
    """``"a*b?"`` is ``("a", STAR, "b", ANY)``."""
    return tuple(_TOKENS.get(part, part) for part in _WILD.split(text) if part)


def glob(pattern: str) -> Matcher:
    """A function that tells whether a text matches ``pattern``, case-sensitively and as a whole."""
    return matcher(tokenize(pattern))


@lru_cache(maxsize=4096)
def matcher(tokens: tuple[Token, ...]) -> Matcher:
    """The same for a pattern whose wildcards have been told apart from literal stars and question marks."""
    if ANY not in tokens:
        if STAR not in tokens:
            return _exactly("".join(token for token in tokens if isinstance(token, str)))
        if all(token == STAR for token in tokens):
            return _always
        if tokens[-1] == STAR and STAR not in tokens[:-1]:
            return _begins("".join(token for token in tokens[:-1] if isinstance(token, str)))
    return _general(tokens)


def _always(_text: str) -> bool:
    return True


def _exactly(literal: str) -> Matcher:
    def match(text: str) -> bool:
        return text == literal

    return match


def _begins(prefix: str) -> Matcher:
    def match(text: str) -> bool:
        return text.startswith(prefix)

    return match


def _general(tokens: tuple[Token, ...]) -> Matcher:
    pieces: list[list[Token]] = [[]]
    for token in tokens:
        if token == STAR:
            pieces.append([])
        else:
            pieces[-1].append(token)
    if ANY not in tokens:
        return _pieces(["".join(token for token in piece if isinstance(token, str)) for piece in pieces])
    if len(pieces) == 1:
        return _fixed(_piece(pieces[0]))
    first, last = _piece(pieces[0]), _piece(pieces[-1])
    middle = tuple(_piece(piece) for piece in pieces[1:-1] if piece)
    before, after = _length(pieces[0]), _length(pieces[-1])

    def match(text: str) -> bool:
        end = len(text) - after
        if end < before or first.match(text) is None or last.match(text, end) is None:
            return False
        at = before
        for piece in middle:
            found = piece.search(text, at, end)
            if found is None:
                return False
            at = found.end()
        return True

    return match


def _pieces(texts: list[str]) -> Matcher:
    """Literals with stars between them."""
    first, last = texts[0], texts[-1]
    middle = tuple(text for text in texts[1:-1] if text)
    before, after = len(first), len(last)
    least = sum(map(len, texts))

    def match(text: str) -> bool:
        if len(text) < least or not text.startswith(first) or not text.endswith(last):
            return False
        at, end = before, len(text) - after
        for piece in middle:
            at = text.find(piece, at, end)
            if at < 0:
                return False
            at += len(piece)
        return True

    return match


def _fixed(piece: re.Pattern[str]) -> Matcher:
    def match(text: str) -> bool:
        return piece.fullmatch(text) is not None

    return match


def _piece(tokens: list[Token]) -> re.Pattern[str]:
    # Only literals and single dots: such an expression has nothing to backtrack into.
    return re.compile("".join(re.escape(t) if isinstance(t, str) else "." for t in tokens), re.DOTALL)


def _length(tokens: list[Token]) -> int:
    return sum(len(token) if isinstance(token, str) else 1 for token in tokens)
