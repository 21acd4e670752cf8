"""A query as it was written: commands, and the expressions in them. at: from where to where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

At = tuple[int, int]


class Number(NamedTuple):
    value: float


class Text(NamedTuple):
    value: str


class Regex(NamedTuple):
    pattern: str
    at: At


class Period(NamedTuple):
    """unit: ms, s, m, h, d, w, mo, q, y."""

    number: int
    unit: str


class Field(NamedTuple):
    name: str
    at: At


class Star(NamedTuple):
    """What ``count(*)`` counts."""


class Call(NamedTuple):
    """name: in lower case."""

    name: str
    arguments: tuple[Expression, ...]
    at: At


class Not(NamedTuple):
    operand: Expression


class Minus(NamedTuple):
    operand: Expression


class Binary(NamedTuple):
    """operator: and, or, a comparison, or one of arithmetic."""

    operator: str
    left: Expression
    right: Expression


class Like(NamedTuple):
    value: Expression
    pattern: Text | Regex


class In(NamedTuple):
    value: Expression
    options: tuple[Expression, ...]


Expression = Number | Text | Regex | Period | Field | Star | Call | Not | Minus | Binary | Like | In


class Named(NamedTuple):
    """name: the one that ``as`` gives or, without it, the expression as it is written."""

    expression: Expression
    name: str


class Fields(NamedTuple):
    """only: the command is ``display``."""

    columns: tuple[Named, ...]
    only: bool


class Filter(NamedTuple):
    condition: Expression


class Stats(NamedTuple):
    columns: tuple[Named, ...]
    by: tuple[Named, ...]


class Sort(NamedTuple):
    keys: tuple[tuple[Expression, bool], ...]
    """Each with whether it is descending."""


class Limit(NamedTuple):
    number: int


class Dedup(NamedTuple):
    fields: tuple[Expression, ...]


class Parse(NamedTuple):
    """pattern: a regular expression with a group for each name."""

    value: Expression
    pattern: str
    names: tuple[str, ...]


Command = Fields | Filter | Stats | Sort | Limit | Dedup | Parse


def expressions(command: Command) -> tuple[Expression, ...]:
    """Those that stand in a command."""
    match command:
        case Fields(columns, _):
            return tuple(each.expression for each in columns)
        case Filter(condition):
            return (condition,)
        case Stats(columns, by):
            return tuple(each.expression for each in (*columns, *by))
        case Sort(keys):
            return tuple(key for key, _ in keys)
        case Dedup(fields):
            return fields
        case Parse(value, _, _):
            return (value,)
        case Limit():
            return ()


def fields_of(expression: Expression) -> Iterator[str]:
    """The names of the fields in an expression."""
    match expression:
        case Field(name, _):
            yield name
        case Call(name, arguments, _):
            if name in ("bin", "earliest", "latest"):
                yield "@timestamp"
            for each in arguments:
                yield from fields_of(each)
        case Not(operand) | Minus(operand):
            yield from fields_of(operand)
        case Binary(_, left, right):
            yield from fields_of(left)
            yield from fields_of(right)
        case Like(value, _):
            yield from fields_of(value)
        case In(value, options):
            yield from fields_of(value)
            for each in options:
                yield from fields_of(each)
        case _:
            return
