"""Expressions as SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from casemate.engine.logs.insights.errors import QueryError
from casemate.engine.logs.insights.functions import AGGREGATES, FUNCTIONS, Function
from casemate.engine.logs.insights.syntax import (
    At,
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
from casemate.engine.logs.insights.values import Kind, Value, column, condition, literal, number, text
from casemate.engine.logs.regex import compiled_regex

Columns = Mapping[str, Kind]
"""The columns that there are, by name."""

_MAX_SQL: Final = 100_000
"""Of one expression: what stands in it twice may hold what stands in it twice."""

_MILLISECONDS: Final = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
_CALENDAR: Final = {"mo": "month", "q": "quarter", "y": "year"}
_ARITHMETIC: Final = {
    "+": "({0} + {1})",
    "-": "({0} - {1})",
    "*": "({0} * {1})",
    "/": "({0} / nullif({1}, 0))",
    "%": "({0} % nullif({1}, 0))",
    "^": "pow({0}, {1})",
}


class Compiler:
    """aggregates: whether those may stand in the expression."""

    def __init__(self, columns: Columns, *, aggregates: bool = False) -> None:
        self._columns = columns
        self._aggregates = aggregates

    def value(self, expression: Expression) -> Value:
        """Raises QueryError."""
        found = self._value(expression)
        if len(found.sql) > _MAX_SQL:
            raise QueryError("the query is too complex", 0, 1)
        return found

    def _value(self, expression: Expression) -> Value:
        match expression:
            case Number(amount):
                return Value(repr(int(amount)) if amount.is_integer() else repr(amount), "number")
            case Text(content):
                return Value(literal(content), "text")
            case Field(name, _):
                return (
                    Value(column(name), self._columns[name])
                    if name in self._columns
                    else Value("NULL", "any")
                )
            case Not(operand):
                return Value(f"(NOT coalesce({condition(self.value(operand))}, false))", "bool")
            case Minus(operand):
                return Value(f"(-{number(self.value(operand))})", "number")
            case Binary(operator, left, right):
                return _binary(operator, self.value(left), self.value(right))
            case Like(value, pattern):
                return self._like(self.value(value), pattern)
            case In(value, options):
                found = self.value(value)
                tests = [_compared("=", found, self.value(each)).sql for each in options]
                return Value(f"({' OR '.join(tests)})", "bool")
            case Call(name, arguments, at):
                return self._call(name, arguments, at)
            case Period():
                raise QueryError("a period stands in bin, datefloor and dateceil only", 0, 1)
            case Regex(_, at):
                raise QueryError("a regular expression stands after like only", *at)
            case Star():
                raise QueryError("* stands in count only", 0, 1)

    def _like(self, value: Value, pattern: Text | Regex) -> Value:
        if isinstance(pattern, Text):
            return Value(f"contains({text(value)}, {literal(pattern.value)})", "bool")
        try:
            compiled_regex(pattern.pattern)
        except ValueError:
            raise QueryError("a regular expression that cannot be read", *pattern.at) from None
        return Value(f"regexp_matches({text(value)}, {literal(pattern.pattern)})", "bool")

    def _call(self, name: str, arguments: tuple[Expression, ...], at: At) -> Value:
        if name in ("bin", "datefloor", "dateceil"):
            return self._rounded(name, arguments, at)
        function = FUNCTIONS.get(name)
        inner = self
        if function is None and self._aggregates:
            function = AGGREGATES.get(name)
            inner = Compiler(self._columns)
        if function is None:
            raise QueryError(
                f"the function {name} stands in stats only"
                if name in AGGREGATES
                else f"unknown function {name}",
                *at,
            )
        if name == "count" and arguments == (Star(),):
            arguments = ()
        return _called(name, function, [inner.value(each) for each in arguments], at)

    def _rounded(self, name: str, arguments: tuple[Expression, ...], at: At) -> Value:
        """bin(period), bin(time, period), datefloor and dateceil of (time, period)."""
        periods = [each for each in arguments if isinstance(each, Period)]
        times = [each for each in arguments if not isinstance(each, Period)]
        if name == "bin" and not times:
            times = [Field("@timestamp", at)]
        if len(periods) != 1 or len(times) != 1:
            raise QueryError(f"{name} takes a period, as 5m", *at)
        (period,), (given,) = periods, times
        moment = number(self.value(given))
        step = _MILLISECONDS.get(period.unit)
        if step is not None:
            step *= period.number
            rounding = "ceil" if name == "dateceil" else "floor"
            return Value(f"CAST({rounding}({moment} / {step}) * {step} AS BIGINT)", "time")
        if period.number != 1:
            raise QueryError("of months, quarters and years there is one in a period", *at)
        unit = _CALENDAR[period.unit]
        floor = f"date_trunc('{unit}', make_timestamp(CAST({moment} AS BIGINT) * 1000))"
        if name == "dateceil":
            last = f"make_timestamp(CAST({moment} AS BIGINT) * 1000 - 1)"
            floor = f"(date_trunc('{unit}', {last}) + INTERVAL 1 {unit})"
        return Value(f"epoch_ms({floor})", "time")


def _called(name: str, function: Function, arguments: list[Value], at: At) -> Value:
    if not function.least <= len(arguments) <= function.most:
        raise QueryError(f"the function {name} does not take {len(arguments)} arguments", *at)
    try:
        return Value(function.sql(arguments), function.kind)
    except ValueError as error:
        raise QueryError(f"{name}: {error}", *at) from None


def _binary(operator: str, left: Value, right: Value) -> Value:
    if operator in ("and", "or"):
        return Value(f"({condition(left)} {operator.upper()} {condition(right)})", "bool")
    if operator in _ARITHMETIC:
        return Value(_ARITHMETIC[operator].format(number(left), number(right)), "number")
    return _compared(operator, left, right)


def _compared(operator: str, left: Value, right: Value) -> Value:
    """As numbers where both are; a text in quotes is none, unless the other side is."""
    sign = "<>" if operator == "!=" else operator
    kinds = {left.kind, right.kind}
    as_numbers = f"({number(left)} {sign} {number(right)})"
    as_texts = f"({text(left)} {sign} {text(right)})"
    if kinds & {"number", "time", "bool"}:
        if sign in ("=", "<>") and kinds & {"text", "any"}:
            return Value(f"coalesce({as_numbers}, {as_texts})", "bool")
        return Value(as_numbers, "bool")
    if "text" in kinds:
        return Value(as_texts, "bool")
    return Value(f"coalesce({as_numbers}, {as_texts})", "bool")
