"""Expressions of a query, by recursive descent.

Source: "Supported operations and functions that you can use with CloudWatch Logs Insights".
"""

from __future__ import annotations

from typing import Final

from casemate.engine.logs.insights.errors import QueryError
from casemate.engine.logs.insights.functions import MAKERS
from casemate.engine.logs.insights.syntax import (
    Binary,
    Call,
    Expression,
    Field,
    In,
    Like,
    Minus,
    Not,
    Number,
    Period,
    Regex,
    Star,
    Text,
)
from casemate.engine.logs.insights.tokens import Token, Tokens, unquoted

_MAX_DEPTH: Final = 40
_MAX_OPERATORS: Final = 200
_MAX_MAKERS: Final = 50
_COMPARISONS: Final = ("=", "!=", "<", "<=", ">", ">=")


class ExpressionParser:
    """Reads expressions from tokens."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self._depth = 0
        self._operators = 0
        self._makers = 0

    def expression(self) -> Expression:
        """Raises QueryError."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise QueryError("the query is nested too deeply", self.tokens.last, self.tokens.last + 1)
        found = self._any_of()
        self._depth -= 1
        return found

    def _binary(self, operator: str, left: Expression, right: Expression) -> Expression:
        self._operators += 1
        if self._operators > _MAX_OPERATORS:
            raise QueryError("the query has too many operators", self.tokens.last, self.tokens.last + 1)
        return Binary(operator, left, right)

    def _any_of(self) -> Expression:
        left = self._all_of()
        while self.tokens.taken("or"):
            left = self._binary("or", left, self._all_of())
        return left

    def _all_of(self) -> Expression:
        left = self._negation()
        while self.tokens.taken("and"):
            left = self._binary("and", left, self._negation())
        return left

    def _negation(self) -> Expression:
        negated = False
        while self.tokens.taken("not"):
            negated = not negated
        found = self._comparison()
        return Not(found) if negated else found

    def _comparison(self) -> Expression:
        left = self._sum()
        operator = self.tokens.taken(*_COMPARISONS)
        if operator is not None:
            return self._binary(operator, left, self._sum())
        if self.tokens.taken("=~"):
            return Like(left, self._pattern())
        negated = self.tokens.taken("not") is not None
        word = self.tokens.taken("like", "in")
        if word is None:
            if negated:
                raise self.tokens.surprise()
            return left
        found: Expression = Like(left, self._pattern()) if word == "like" else In(left, self._options())
        return Not(found) if negated else found

    def _pattern(self) -> Text | Regex:
        regex = self.tokens.regex()
        if regex is not None:
            return Regex(regex.text, (regex.start, regex.end))
        if self.tokens.peek().kind != "text":
            raise self.tokens.surprise()
        return Text(unquoted(self.tokens.take().text))

    def _options(self) -> tuple[Expression, ...]:
        self.tokens.expect("[")
        options = [self.expression()]
        while self.tokens.taken(","):
            options.append(self.expression())
        self.tokens.expect("]")
        return tuple(options)

    def _sum(self) -> Expression:
        left = self._product()
        while (operator := self.tokens.taken("+", "-")) is not None:
            left = self._binary(operator, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._power()
        while (operator := self.tokens.taken("*", "/", "%")) is not None:
            left = self._binary(operator, left, self._power())
        return left

    def _power(self) -> Expression:
        left = self._signed()
        # To the left, as the others: AWS says nothing of it.
        while self.tokens.taken("^"):
            left = self._binary("^", left, self._signed())
        return left

    def _signed(self) -> Expression:
        negative = False
        while self.tokens.taken("-"):
            negative = not negative
        found = self._primary()
        return Minus(found) if negative else found

    def _primary(self) -> Expression:
        tokens = self.tokens
        token = tokens.peek()
        match token.kind:
            case "number":
                return Number(float(tokens.take().text))
            case "text":
                return Text(unquoted(tokens.take().text))
            case "period":
                return _period(tokens.take())
            case "quoted":
                tokens.take()
                return Field(token.text[1:-1], (token.start, token.end))
            case "name":
                tokens.take()
                if tokens.taken("("):
                    return self._call(token)
                return Field(token.text, (token.start, token.end))
            case _:
                if tokens.taken("("):
                    inner = self.expression()
                    tokens.expect(")")
                    return inner
                raise tokens.surprise()

    def _call(self, name: Token) -> Call:
        arguments: list[Expression] = []
        if not self.tokens.taken(")"):
            while True:
                arguments.append(Star() if self.tokens.taken("*") else self.expression())
                if self.tokens.expect(",", ")") == ")":
                    break
        if name.text.lower() in MAKERS:
            self._makers += 1
            if self._makers > _MAX_MAKERS:
                raise QueryError("the query makes too many texts", name.start, name.end)
        return Call(name.text.lower(), tuple(arguments), (name.start, self.tokens.last))


def _period(token: Token) -> Period:
    digits = token.text.rstrip("mshdwoqy")
    number = int(digits)
    if not 0 < number <= 1_000_000:
        raise QueryError(f"{token.text} is no period", token.start, token.end)
    return Period(number, token.text[len(digits) :])
