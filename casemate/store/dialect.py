"""The SQL that both databases understand, and the few replacements that make it so.

Statements and migrations are written in SQLite's dialect, within these bounds:

- Column types TEXT, INTEGER, BLOB, REAL, in capitals; PostgreSQL gets TEXT COLLATE "C" (bytewise order, as
  SQLite's), BIGINT, BYTEA, DOUBLE PRECISION. Tables end in ``) STRICT`` or ``) STRICT, WITHOUT ROWID``, which
  PostgreSQL does without. No AUTOINCREMENT, no implicit row ids: ids come from casemate.store.ids or from
  AWS's formats. Names in lower case, none of SQL's reserved words (user, grant, order, end, ...).
- ``?`` for parameters: str, int, float, bytes, None (a bool is stored as 0 or 1), of the
  column's type. No text with U+0000, which
  PostgreSQL cannot store. A parameter whose type nothing tells (``? IS NULL``): ``CAST(? AS TEXT)``.
- ``INSERT ... ON CONFLICT (...) DO NOTHING | DO UPDATE SET x = excluded.x``, RETURNING, common table
  expressions, window functions, partial indexes, CHECK and REFERENCES. Not: INSERT OR REPLACE, LIKE (its case
  differs: use ranges or substr), scalar MIN and MAX of several values, GROUP BY that leaves columns open.
- Integers are no conditions: ``WHERE enabled = 1``. Sums are cast: ``CAST(SUM(size) AS INTEGER)``. Where
  NULLs are sorted, say NULLS FIRST or LAST.
- What only PostgreSQL shall see stands in a comment: ``/*pg FOR UPDATE SKIP LOCKED */``.
"""

from __future__ import annotations

import re
from functools import lru_cache

_TYPES = {"INTEGER": "BIGINT", "BLOB": "BYTEA", "REAL": "DOUBLE PRECISION"}

# Literals, quoted names and comments first, so that nothing inside them is taken for something else.
_TOKEN = re.compile(
    r"""(?P<pg>/\*pg\s(?P<only>.*?)\*/)
    | (?P<kept>'(?:[^']|'')*' | "(?:[^"]|"")*" | /\*.*?\*/ | --[^\n]*)
    | (?P<mark>\?)
    | (?P<options>\)\s*(?:STRICT|WITHOUT\s+ROWID)(?:\s*,\s*(?:STRICT|WITHOUT\s+ROWID))?)
    | \b(?P<type>TEXT|INTEGER|BLOB|REAL)\b""",
    re.VERBOSE | re.DOTALL,
)


@lru_cache(maxsize=4096)
def for_psycopg(sql: str) -> bytes:
    """A statement for psycopg's execute with parameters (so that a literal % is doubled)."""
    return _TOKEN.sub(_statement, sql.replace("%", "%%")).encode()


def postgres_script(sql: str) -> bytes:
    """A migration, any number of statements without parameters, for PostgreSQL."""
    return _TOKEN.sub(_definition, sql).encode()


def _statement(match: re.Match[str]) -> str:
    if match["mark"]:
        return "%s"
    return _common(match)


def _definition(match: re.Match[str]) -> str:
    if match["type"] == "TEXT":
        return 'TEXT COLLATE "C"'
    return _common(match)


def _common(match: re.Match[str]) -> str:
    if match["pg"]:
        return match["only"]
    if match["options"]:
        return ")"
    return _TYPES.get(match["type"], match[0])
