"""The tokens of a query, one after the other."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from casemate.engine.logs.insights.errors import QueryError

_SPACE: Final = re.compile(r"(?:\s+|#[^\n]*)+")
_TOKEN: Final = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<quoted>`[^`]+`)
    | (?P<period>\d+(?:ms|mo|[smhdwqy])(?![\w.]))
    | (?P<number>(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?(?!\w))
    | (?P<name>[@A-Za-z_][\w@]*(?:\.[\w@]+)*)
    | (?P<sign><=|>=|!=|=~|[=<>+\-*/%^()\[\],|])""",
    re.VERBOSE | re.DOTALL,
)
_REGEX: Final = re.compile(r"/((?:[^/\\\n]|\\.)*)/")
_END: Final = "end"


class Token(NamedTuple):
    """kind: text, quoted, period, number, name, sign, or end."""

    kind: str
    text: str
    start: int
    end: int


class Tokens:
    """A place in a query."""

    def __init__(self, query: str) -> None:
        self.query = query
        self.last = 0
        """Where the token before ends."""
        self._at = self._skip(0)
        self._next: Token | None = None

    def peek(self) -> Token:
        """The next token, which stays. Raises QueryError for what is none."""
        if self._next is None:
            at = self._at
            found = _TOKEN.match(self.query, at)
            if found is not None:
                self._next = Token(found.lastgroup or "", found[0], at, found.end())
            elif at == len(self.query):
                self._next = Token(_END, "", at, at)
            else:
                raise QueryError(self.unexpected(self.query[at]), at, at + 1)
        return self._next

    def take(self) -> Token:
        """The next token."""
        token = self.peek()
        self.last = token.end
        self._at = self._skip(token.end)
        self._next = None
        return token

    def taken(self, *words: str) -> str | None:
        """The next token in lower case, taken, where it is one of these words or signs."""
        token = self.peek()
        word = token.text.lower()
        if token.kind in ("name", "sign") and word in words:
            self.take()
            return word
        return None

    def regex(self) -> Token | None:
        """The regular expression between slashes that is next, if any."""
        found = _REGEX.match(self.query, self._at)
        if found is None:
            return None
        token = Token("regex", found[1], self._at, found.end())
        self.last = token.end
        self._at = self._skip(token.end)
        self._next = None
        return token

    def expect(self, *words: str) -> str:
        """Take one of these. Raises QueryError."""
        found = self.taken(*words)
        if found is None:
            raise self.surprise()
        return found

    def surprise(self) -> QueryError:
        """The error of the next token being what it is."""
        token = self.peek()
        return QueryError(self.unexpected(token.text), token.start, max(token.end, token.start + 1))

    def unexpected(self, what: str) -> str:
        before = self.query[: self._at]
        line, column = before.count("\n") + 1, self._at - (before.rfind("\n") + 1) + 1
        shown = f"unexpected symbol found {what}" if what else "unexpected end of the query"
        return f"{shown} at line {line} and position {column}"

    def _skip(self, at: int) -> int:
        space = _SPACE.match(self.query, at)
        return at if space is None else space.end()


def unquoted(text: str) -> str:
    """A text without its quotes: a backslash stands before a quote or a backslash, and otherwise for itself."""
    return re.sub(r"\\([\"'\\])", r"\1", text[1:-1])
