"""What is wrong with a query, and where."""

from __future__ import annotations


class QueryError(Exception):
    """start, end: of the part that is meant, in characters from the query's beginning."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end


class QueryFailed(Exception):
    """A query that could not be run to its end: it needs more memory than it may have, or what it calculates
    cannot be."""


class QueryStopped(Exception):
    """A query that was interrupted."""
