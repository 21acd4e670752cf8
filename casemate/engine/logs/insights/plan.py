"""A query as two statements of SQL: one for each piece of the events, as they come, and one for what those leave.

What begins a query up to its first stats, sort, limit or dedup looks at each event by itself. It runs on pieces, so
that no more is held than what is left of them: the columns that are needed further on, of the events that match.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from casemate.engine.logs.insights.commands import MOST_ROWS, read_query
from casemate.engine.logs.insights.compiler import Compiler
from casemate.engine.logs.insights.errors import QueryError
from casemate.engine.logs.insights.syntax import (
    Command,
    Dedup,
    Expression,
    Fields,
    Filter,
    Limit,
    Parse,
    Sort,
    Stats,
    expressions,
    fields_of,
)
from casemate.engine.logs.insights.values import (
    Kind,
    Value,
    column,
    condition,
    literal,
    number,
    pointer,
    text,
)

SYSTEM: Final[dict[str, Kind]] = {
    "@timestamp": "time",
    "@ingestionTime": "time",
    "@message": "text",
    "@logStream": "text",
    "@log": "text",
    "@ptr": "text",
}
_PIECE: Final = "piece"
STAGED: Final = "staged"


class Column(NamedTuple):
    name: str
    kind: Kind


class Plan(NamedTuple):
    """piece: selects from ``piece``, whose columns are SYSTEM's; rest: selects from ``staged``, which has the piece's
    columns; shown: the columns of the rest; keep: selects from ``staged`` all that the rest needs of it, '' where
    it needs everything."""

    piece: str
    rest: str
    shown: tuple[Column, ...]
    keep: str
    fields: tuple[str, ...]
    """Of the events' JSON that are looked at."""


def plan_query(query: str, most: int = MOST_ROWS) -> Plan:
    """most: rows of the result, where the query says nothing. Raises QueryError."""
    commands = read_query(query)
    if not any(isinstance(each, Limit) for each in commands):
        commands = (*commands, Limit(most))
    at = next(
        number for number, each in enumerate(commands) if isinstance(each, Stats | Sort | Limit | Dedup)
    )
    names = {name for each in commands for expression in expressions(each) for name in fields_of(expression)}
    found = tuple(sorted(names - SYSTEM.keys()))
    document = 'CASE WHEN json_valid("@message") AND ltrim("@message")[1] = \'{\' THEN "@message" END'
    extracted = "".join(
        f", json_extract_string(document, {literal(pointer(name))}) AS {column(name)}" for name in found
    )
    plain = ", ".join(column(name) for name in SYSTEM)
    source = f"SELECT {plain}{extracted} FROM (SELECT {plain}, {document} AS document FROM {_PIECE})"
    relation = _Relation(source, {**SYSTEM, **dict.fromkeys(found, "any")})
    for each in commands[:at]:
        relation.apply(each)
    relation.narrow(_needed(commands[at:], relation))
    piece, relation.sql = relation.sql, f"SELECT * FROM {STAGED}"
    keep = _keep(commands[at:], relation)
    for each in commands[at:]:
        relation.apply(each)
    rest, shown = relation.finished()
    return Plan(piece, rest, shown, keep, found)


def _needed(commands: Sequence[Command], relation: _Relation) -> set[str]:
    """The columns that some commands look at, or that are shown in the end."""
    names = {name for each in commands for expression in expressions(each) for name in fields_of(expression)}
    if not any(isinstance(each, Stats) for each in commands):
        names |= {"@timestamp", "@ptr", *relation.shown_names()}
    return names


def _keep(commands: Sequence[Command], relation: _Relation) -> str:
    """Where events are only sorted and counted off: those that may be among the first."""
    wanted = _Relation(relation.sql, relation.columns)
    for each in commands:
        if not isinstance(each, Sort | Limit):
            return ""
        if isinstance(each, Limit):
            return f"SELECT * FROM {STAGED} {wanted.ordered()} LIMIT {each.number}"
        wanted.apply(each)
    return ""


class _Relation:
    """What there is after some commands. sql: selects it; columns: of it; shown: those that fields commands named."""

    def __init__(self, sql: str, columns: dict[str, Kind]) -> None:
        self.sql = sql
        self.columns: dict[str, Kind] = columns
        self._events = True
        self._shown: list[str] | None = None
        self._order: list[str] = ['"@timestamp" DESC', '"@ptr" DESC']

    def apply(self, command: Command) -> None:
        """Raises QueryError."""
        match command:
            case Fields(columns, only):
                self._add([(each.name, self._value(each.expression)) for each in columns])
                kept = [] if only or self._shown is None else self._shown
                self._shown = list(dict.fromkeys([*kept, *(each.name for each in columns)]))
            case Filter(tested):
                self.sql = f"SELECT * FROM ({self.sql}) WHERE {condition(self._value(tested))}"
            case Parse(value, pattern, names):
                self._parse(text(self._value(value)), pattern, names)
            case Stats():
                self._aggregate(command)
            case Sort(keys):
                self._order = [term for key, down in keys for term in self._order_terms(key, down)]
            case Limit(most):
                self.sql = f"SELECT * FROM ({self.sql}) {self.ordered()} LIMIT {most}"
            case Dedup(fields):
                by = ", ".join(self._value(each).sql for each in fields)
                number_of_row = f"row_number() OVER (PARTITION BY {by} {self.ordered()})"
                self.sql = f"SELECT * FROM ({self.sql}) QUALIFY {number_of_row} = 1"

    def ordered(self) -> str:
        return f"ORDER BY {', '.join(self._order)}" if self._order else ""

    def narrow(self, names: Iterable[str]) -> None:
        """Keep these columns only; at least one."""
        wanted = set(names)
        self.columns = {name: kind for name, kind in self.columns.items() if name in wanted}
        if not self.columns:
            self.columns["@timestamp"] = "time"
        self.sql = f"SELECT {', '.join(map(column, self.columns))} FROM ({self.sql})"

    def shown_names(self) -> list[str]:
        if self._shown is not None:
            return self._shown
        return ["@timestamp", "@message"] if self._events else list(self.columns)

    def finished(self) -> tuple[str, tuple[Column, ...]]:
        """The last statement, and its columns."""
        names = [name for name in self.shown_names() if name in self.columns]
        if self._events and "@ptr" not in names:
            names.append("@ptr")
        selected = ", ".join(map(column, names))
        shown = tuple(Column(name, self.columns[name]) for name in names)
        return f"SELECT {selected} FROM ({self.sql}) {self.ordered()}", shown

    def _value(self, expression: Expression) -> Value:
        return Compiler(self.columns).value(expression)

    def _order_terms(self, key: Expression, down: bool) -> list[str]:
        value, way = self._value(key), "DESC NULLS LAST" if down else "ASC NULLS LAST"
        if value.kind in ("number", "time", "bool"):
            return [f"{value.sql} {way}"]
        return [f"{number(value)} {way}", f"{text(value)} {way}"]

    def _add(self, added: Sequence[tuple[str, Value]]) -> None:
        """Columns, in place of those of the same names."""
        made = dict(added)
        if all(value.sql == column(name) for name, value in made.items()):
            return
        old = [column(name) for name in self.columns if name not in made]
        new = [f"{value.sql} AS {column(name)}" for name, value in made.items()]
        self.sql = f"SELECT {', '.join([*old, *new])} FROM ({self.sql})"
        self.columns = {**self.columns, **{name: value.kind for name, value in made.items()}}

    def _parse(self, value: str, pattern: str, names: tuple[str, ...]) -> None:
        found = f"regexp_matches({value}, {literal(pattern)})"
        groups = [
            (
                name,
                Value(f"CASE WHEN {found} THEN regexp_extract({value}, {literal(pattern)}, {at}) END", "any"),
            )
            for at, name in enumerate(names, 1)
        ]
        self._add(groups)

    def _aggregate(self, stats: Stats) -> None:
        by = [(each.name, self._value(each.expression)) for each in stats.by]
        compiler = Compiler(self.columns, aggregates=True)
        made = [(each.name, compiler.value(each.expression)) for each in stats.columns]
        names = [name for name, _ in (*by, *made)]
        if len(set(names)) < len(names):
            raise QueryError("stats gives two columns the same name", 0, 1)
        selected = ", ".join(f"{value.sql} AS {column(name)}" for name, value in (*by, *made))
        grouped = f" GROUP BY {', '.join(str(at) for at in range(1, len(by) + 1))}" if by else ""
        self.sql = f"SELECT {selected} FROM ({self.sql}){grouped}"
        self.columns = {name: value.kind for name, value in (*by, *made)}
        self._events, self._shown = False, None
        self._order = [f"{at} ASC NULLS LAST" for at in map(column, [name for name, _ in by])]
