"""What the patterns of JSON events and of fields are read with: one token after the other, by their kinds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

from casemate.engine.logs.comparison import Test, compare
from casemate.engine.logs.errors import PatternError

MAX_DEPTH: Final = 20
"""Parentheses within parentheses."""

C = TypeVar("C", bound=Callable[..., object])


class Cursor:
    """A place in a text. tokens: an expression whose named groups are the kinds of tokens."""

    def __init__(self, text: str, tokens: re.Pattern[str]) -> None:
        self.text = text
        self.at = 0
        self.regexes = 0
        self._tokens = tokens
        self._depth = 0

    def take(self, kind: str) -> str | None:
        """The next token, where it is of that kind."""
        token = self._tokens.match(self.text, self.at)
        if token is None or token.lastgroup != kind:
            return None
        self.at = token.end()
        return token[kind]

    @property
    def rest(self) -> str:
        """What is not read yet, without the space around it."""
        return self.text[self.at :].strip()

    def must_be_over(self) -> None:
        """Raises PatternError."""
        if self.rest:
            raise PatternError(f"what begins with {self.rest[:20]!r} is not understood")

    def any_of(
        self, one: Callable[[], C], all_of: Callable[[list[C]], C], any_of: Callable[[list[C]], C]
    ) -> C:
        """Conditions with && and ||, && the stronger, and parentheses. one: reads a condition; all_of, any_of: join
        several. Raises PatternError."""

        def joined() -> C:
            if self._take_open():
                condition = self.any_of(one, all_of, any_of)
                self._depth -= 1
                if self.take("close") is None:
                    raise PatternError("a parenthesis that is not closed")
                return condition
            return one()

        def conjunction() -> C:
            conditions = [joined()]
            while self.take("and"):
                conditions.append(joined())
            return all_of(conditions)

        conditions = [conjunction()]
        while self.take("or"):
            conditions.append(conjunction())
        return any_of(conditions)

    def _take_open(self) -> bool:
        if self.take("open") is None:
            return False
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise PatternError("parentheses within too many parentheses")
        return True

    def test(self, operator: str) -> Test:
        """The comparison with the literal that is next. Raises PatternError."""
        for kind in ("quoted", "regex", "word"):
            literal = self.take(kind)
            if literal is not None:
                self.regexes += kind == "regex"
                if kind == "quoted":
                    literal = re.sub(r"\\(.)", r"\1", literal)
                return compare(operator, literal, quoted=kind == "quoted", regex=kind == "regex")
        raise PatternError(f"{operator} without a value")
