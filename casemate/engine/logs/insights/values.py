"""Values of expressions as DuckDB's SQL: the text of the SQL, and of which kind its value is.

What a query brings gets into SQL by ``literal`` and ``column`` only.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["any", "text", "number", "time", "bool"]
"""any: a field of an event, a text that may be written as a number; time: milliseconds since the epoch."""


class Value(NamedTuple):
    sql: str
    kind: Kind


MOST_MADE: Final = 16_384

MACROS: Final = (
    # What is written as a number, else NULL.
    "CREATE MACRO number_of(x) AS CASE WHEN isfinite(TRY_CAST(x AS DOUBLE)) THEN TRY_CAST(x AS DOUBLE) END",
    # Whole numbers without a point.
    "CREATE MACRO text_of(x) AS CASE WHEN x = trunc(x) AND abs(x) < 1e15 THEN CAST(CAST(x AS BIGINT) AS VARCHAR) "
    "ELSE CAST(x AS VARCHAR) END",
    # What makes texts longer makes none of more characters than MOST_MADE. DuckDB does not count them to its memory.
    "CREATE MACRO replaced(x, a, b) AS CASE WHEN length(b) <= length(a) OR length(x) * length(b) "
    f"<= {MOST_MADE} * greatest(length(a), 1) THEN replace(x, a, b) END",
    # An IPv4 address as a number.
    r"CREATE MACRO ipv4_of(x) AS CASE WHEN regexp_full_match(x, "
    r"'((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)') THEN "
    "CAST(split_part(x, '.', 1) AS BIGINT) * 16777216 + CAST(split_part(x, '.', 2) AS BIGINT) * 65536 + "
    "CAST(split_part(x, '.', 3) AS BIGINT) * 256 + CAST(split_part(x, '.', 4) AS BIGINT) END",
)


def literal(text: str) -> str:
    """A text as a literal. DuckDB's have no escapes but the doubled quote."""
    return "'" + text.replace("\0", "").replace("'", "''") + "'"


def column(name: str) -> str:
    """A column's name."""
    return '"' + name.replace("\0", "").replace('"', '""') + '"'


def number(value: Value) -> str:
    """The value as a number, NULL where it is none."""
    if value.kind in ("number", "time"):
        return value.sql
    return f"CAST({value.sql} AS INTEGER)" if value.kind == "bool" else f"number_of({value.sql})"


def text(value: Value) -> str:
    """The value as a text."""
    if value.kind in ("any", "text"):
        return value.sql
    return f"text_of({number(value)})"


def condition(value: Value) -> str:
    """The value as a condition: a number that is not 0, a text that is not empty."""
    if value.kind == "bool":
        return value.sql
    if value.kind in ("number", "time"):
        return f"({value.sql} <> 0)"
    return f"({value.sql} NOT IN ('', '0', 'false'))"


def pointer(name: str) -> str:
    """A field's name as a JSON pointer: "a.b.0" means the first element of b in a."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in name.split("."))
