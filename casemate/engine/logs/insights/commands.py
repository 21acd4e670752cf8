"""The commands of a query.

    read_query("fields @timestamp | filter level = 'error' | stats count(*) as errors by bin(5m)")

Source: "CloudWatch Logs Insights language query syntax".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from casemate.engine.logs.insights.errors import QueryError
from casemate.engine.logs.insights.parser import ExpressionParser
from casemate.engine.logs.insights.syntax import (
    Command,
    Dedup,
    Expression,
    Field,
    Fields,
    Filter,
    Limit,
    Named,
    Parse,
    Sort,
    Stats,
)
from casemate.engine.logs.insights.tokens import Tokens, unquoted
from casemate.engine.logs.regex import compiled_regex

MOST_ROWS: Final = 10_000
_MOST_STATS: Final = 2


def read_query(text: str) -> tuple[Command, ...]:
    """The commands, at least one. Raises QueryError."""
    return _Parser(Tokens(text)).query()


class _Parser(ExpressionParser):
    def query(self) -> tuple[Command, ...]:
        commands = [self._command()]
        while self.tokens.taken("|"):
            commands.append(self._command())
        if self.tokens.peek().kind != "end":
            raise self.tokens.surprise()
        stats = sum(isinstance(each, Stats) for each in commands)
        if stats > _MOST_STATS:
            raise QueryError(f"more than {_MOST_STATS} stats commands", 0, len(self.tokens.query))
        return tuple(commands)

    def _command(self) -> Command:
        name = self.tokens.peek()
        read = _COMMANDS.get(name.text.lower()) if name.kind == "name" else None
        if read is None:
            raise self.tokens.surprise()
        self.tokens.take()
        found: Command = read(self)
        return found

    def fields(self) -> Command:
        return Fields(self._columns(), only=False)

    def display(self) -> Command:
        return Fields(self._columns(), only=True)

    def filter(self) -> Command:
        return Filter(self.expression())

    def stats(self) -> Command:
        columns = self._columns()
        return Stats(columns, self._columns() if self.tokens.taken("by") else ())

    def sort(self) -> Command:
        self.tokens.taken("by")
        keys = []
        while True:
            key = self.expression()
            keys.append((key, self.tokens.taken("asc", "desc") == "desc"))
            if not self.tokens.taken(","):
                return Sort(tuple(keys))

    def limit(self) -> Command:
        token = self.tokens.peek()
        if token.kind != "number" or not token.text.isdecimal():
            raise self.tokens.surprise()
        self.tokens.take()
        number = int(token.text)
        if not 0 < number <= MOST_ROWS:
            raise QueryError(f"a limit is between 1 and {MOST_ROWS}", token.start, token.end)
        return Limit(number)

    def dedup(self) -> Command:
        fields = [self.expression()]
        while self.tokens.taken(","):
            fields.append(self.expression())
        return Dedup(tuple(fields))

    def parse(self) -> Command:
        value: Expression = Field("@message", (self.tokens.last, self.tokens.last))
        if self.tokens.peek().kind in ("name", "quoted"):
            value = self._primary()
        regex = self.tokens.regex()
        if regex is not None:
            pattern, names = _named_groups(regex.text, regex.start, regex.end)
            if names and self.tokens.peek().text.lower() != "as":
                return Parse(value, pattern, names)
        else:
            token = self.tokens.peek()
            if token.kind != "text":
                raise self.tokens.surprise()
            self.tokens.take()
            pattern, names = glob_pattern(unquoted(token.text)), ()
            regex = token
        self.tokens.expect("as")
        groups = compiled_regex(pattern).groups
        given = [self._name()]
        while self.tokens.taken(","):
            given.append(self._name())
        if len(given) != groups:
            raise QueryError(
                f"the pattern finds {groups} values, and {len(given)} are named", regex.start, regex.end
            )
        return Parse(value, pattern, tuple(given))

    def _columns(self) -> tuple[Named, ...]:
        columns = []
        while True:
            start = self.tokens.peek().start
            expression = self.expression()
            written = self.tokens.query[start : self.tokens.last]
            if isinstance(expression, Field):
                written = expression.name
            columns.append(Named(expression, self._name() if self.tokens.taken("as") else written))
            if not self.tokens.taken(","):
                return tuple(columns)

    def _name(self) -> str:
        token = self.tokens.peek()
        if token.kind not in ("name", "quoted", "text"):
            raise self.tokens.surprise()
        self.tokens.take()
        return token.text if token.kind == "name" else token.text[1:-1]


_COMMANDS: Final[Mapping[str, Callable[[Any], Command]]] = {
    "fields": _Parser.fields,
    "display": _Parser.display,
    "filter": _Parser.filter,
    "stats": _Parser.stats,
    "sort": _Parser.sort,
    "limit": _Parser.limit,
    "head": _Parser.limit,
    "dedup": _Parser.dedup,
    "parse": _Parser.parse,
}


def glob_pattern(glob: str) -> str:
    """As a regular expression: each star a group of as little as possible, the last one of all that is left where
    it ends the pattern."""
    parts = [re.escape(part) for part in glob.split("*")]
    if len(parts) > 1 and parts[-1] == "":
        return "(?s)" + "(.*?)".join(parts[:-1]) + "(.*)"
    return "(?s)" + "(.*?)".join(parts)


def _named_groups(text: str, start: int, end: int) -> tuple[str, tuple[str, ...]]:
    """As RE2 reads it, and the names of its groups where all have one. Raises QueryError."""
    pattern = re.sub(r"\(\?<(?![=!])", "(?P<", text)
    try:
        compiled = compiled_regex(pattern)
    except ValueError:
        raise QueryError("a regular expression that cannot be read", start, end) from None
    if compiled.groups == 0:
        raise QueryError("the regular expression has no groups", start, end)
    names = sorted(compiled.groupindex.items(), key=lambda item: int(item[1]))
    named = tuple(name for name, _ in names)
    return pattern, named if len(named) == compiled.groups else ()
