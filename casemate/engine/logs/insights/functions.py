"""The functions of the language.

Source: "Supported operations and functions that you can use with CloudWatch Logs Insights", "stats".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network
from typing import Final, NamedTuple

from casemate.engine.logs.insights.values import MOST_MADE, Kind, Value, number, text

_LAST: Final = 99
MAKERS: Final = frozenset(("concat", "replace"))
"""Those whose values may be longer than what they are made of."""


class Function(NamedTuple):
    """least, most: how many arguments it takes; sql: of the arguments."""

    least: int
    most: int
    kind: Kind
    sql: Callable[[Sequence[Value]], str]


def _of_numbers(least: int, most: int, template: str) -> Function:
    return Function(least, most, "number", lambda each: template.format(*map(number, each)))


def _of_texts(least: int, most: int, template: str, kind: Kind = "text") -> Function:
    return Function(least, most, kind, lambda each: template.format(*map(text, each)))


def _joined(name: str, as_what: Callable[[Value], str], kind: Kind) -> Function:
    return Function(1, _LAST, kind, lambda each: f"{name}({', '.join(map(as_what, each))})")


def _concatenated(each: Sequence[Value]) -> str:
    texts = [f"coalesce({text(value)}, '')" for value in each]
    size = " + ".join(f"length({one})" for one in texts)
    return f"CASE WHEN {size} <= {MOST_MADE} THEN concat({', '.join(texts)}) END"


def _trimmed(name: str) -> Function:
    return Function(1, 2, "text", lambda each: f"{name}({', '.join(map(text, each))})")


def _substr(each: Sequence[Value]) -> str:
    """From 0 on, as AWS counts."""
    start = f"CAST(greatest({number(each[1])}, 0) AS INTEGER) + 1"
    if len(each) == 2:
        return f"substr({text(each[0])}, {start})"
    return f"substr({text(each[0])}, {start}, CAST(greatest({number(each[2])}, 0) AS INTEGER))"


def _in_subnet(each: Sequence[Value]) -> str:
    """Raises ValueError for a subnet that is none, or not constant."""
    subnet = each[1].sql
    if each[1].kind != "text" or not (subnet[:1] == subnet[-1:] == "'"):
        raise ValueError("a subnet is a text")
    network = IPv4Network(subnet[1:-1], strict=False)
    first, last = int(network.network_address), int(network.broadcast_address)
    return f"coalesce(ipv4_of({text(each[0])}) BETWEEN {first} AND {last}, false)"


FUNCTIONS: Final[Mapping[str, Function]] = {
    "abs": _of_numbers(1, 1, "abs({0})"),
    "ceil": _of_numbers(1, 1, "ceil({0})"),
    "floor": _of_numbers(1, 1, "floor({0})"),
    "greatest": _joined("greatest", number, "number"),
    "least": _joined("least", number, "number"),
    "log": _of_numbers(1, 1, "CASE WHEN {0} > 0 THEN ln({0}) END"),
    "sqrt": _of_numbers(1, 1, "CASE WHEN {0} >= 0 THEN sqrt({0}) END"),
    "concat": Function(1, _LAST, "text", _concatenated),
    "strlen": _of_texts(1, 1, "length({0})", "number"),
    "tolower": _of_texts(1, 1, "lower({0})"),
    "toupper": _of_texts(1, 1, "upper({0})"),
    "trim": _trimmed("trim"),
    "ltrim": _trimmed("ltrim"),
    "rtrim": _trimmed("rtrim"),
    "replace": _of_texts(3, 3, "replaced({0}, {1}, {2})"),
    "substr": Function(2, 3, "text", _substr),
    "strcontains": _of_texts(2, 2, "CAST(contains({0}, {1}) AS INTEGER)", "number"),
    "ispresent": Function(1, 1, "bool", lambda each: f"({each[0].sql} IS NOT NULL)"),
    "isempty": _of_texts(1, 1, "(coalesce({0}, '') = '')", "bool"),
    "isblank": _of_texts(1, 1, "(trim(coalesce({0}, '')) = '')", "bool"),
    "coalesce": _joined("coalesce", text, "any"),
    "isvalidipv4": _of_texts(1, 1, "(ipv4_of({0}) IS NOT NULL)", "bool"),
    "isipv4insubnet": Function(2, 2, "bool", _in_subnet),
    "frommillis": Function(1, 1, "time", lambda each: f"TRY_CAST({number(each[0])} AS BIGINT)"),
    "tomillis": _of_numbers(1, 1, "{0}"),
    "now": Function(0, 0, "number", lambda _each: "getvariable('now')"),
}


def _bound(name: str) -> Callable[[Sequence[Value]], str]:
    """The least or the greatest: of numbers where there are any, else of texts."""

    def sql(each: Sequence[Value]) -> str:
        if each[0].kind in ("number", "time", "bool"):
            return f"text_of({name}({number(each[0])}))"
        return f"coalesce(text_of({name}({number(each[0])})), {name}({text(each[0])}))"

    return sql


def _percentile(each: Sequence[Value]) -> str:
    """Raises ValueError for a percentage that is none, or not constant."""
    wanted = float(each[1].sql) if each[1].kind == "number" else -1.0
    if not 0 <= wanted <= 100:
        raise ValueError("a percentage is a number between 0 and 100")
    return f"quantile_cont({number(each[0])}, {wanted / 100})"


_AT: Final = '"@timestamp"'

AGGREGATES: Final[Mapping[str, Function]] = {
    "count": Function(0, 1, "number", lambda each: f"count({each[0].sql if each else '*'})"),
    "count_distinct": Function(1, 1, "number", lambda each: f"count(DISTINCT {each[0].sql})"),
    "sum": _of_numbers(1, 1, "sum({0})"),
    "avg": _of_numbers(1, 1, "avg({0})"),
    "min": Function(1, 1, "any", _bound("min")),
    "max": Function(1, 1, "any", _bound("max")),
    "median": _of_numbers(1, 1, "median({0})"),
    "stddev": _of_numbers(1, 1, "coalesce(stddev_samp({0}), 0 * count({0}))"),
    "pct": Function(2, 2, "number", _percentile),
    "percentile": Function(2, 2, "number", _percentile),
    "earliest": Function(1, 1, "any", lambda each: f"arg_min({text(each[0])}, {_AT})"),
    "latest": Function(1, 1, "any", lambda each: f"arg_max({text(each[0])}, {_AT})"),
    "sortsfirst": _of_texts(1, 1, "min({0})", "any"),
    "sortslast": _of_texts(1, 1, "max({0})", "any"),
}
