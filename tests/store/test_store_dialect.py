"""What PostgreSQL gets for the common subset."""

from __future__ import annotations

import pytest

from casemate.store.dialect import for_psycopg, postgres_script


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a FROM t WHERE b = ? AND c = ?", "SELECT a FROM t WHERE b = %s AND c = %s"),
        ("SELECT '?' || \"?\" || ? -- ?\n/* ? */", "SELECT '?' || \"?\" || %s -- ?\n/* ? */"),
        ("SELECT 'it''s ?', ?", "SELECT 'it''s ?', %s"),
        ("SELECT n % 10, '50%' FROM t", "SELECT n %% 10, '50%%' FROM t"),
        ("SELECT CAST(? AS INTEGER), CAST(? AS TEXT)", "SELECT CAST(%s AS BIGINT), CAST(%s AS TEXT)"),
        ("SELECT 1 /*pg FOR UPDATE SKIP LOCKED */", "SELECT 1 FOR UPDATE SKIP LOCKED "),
        ("SELECT 'TEXT' FROM t", "SELECT 'TEXT' FROM t"),
    ],
)
def test_statements(sql: str, expected: str) -> None:
    assert for_psycopg(sql).decode() == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("CREATE TABLE t (a TEXT) STRICT;", 'CREATE TABLE t (a TEXT COLLATE "C");'),
        ("CREATE TABLE t (a INTEGER, b BLOB, c REAL) STRICT, WITHOUT ROWID",
         "CREATE TABLE t (a BIGINT, b BYTEA, c DOUBLE PRECISION)"),
        ("CREATE TABLE t (a REAL)\nWITHOUT  ROWID,\nSTRICT ;", "CREATE TABLE t (a DOUBLE PRECISION) ;"),
        ("CREATE TABLE texts (text_a BLOB CHECK (a <> 'TEXT, BLOB'))",
         "CREATE TABLE texts (text_a BYTEA CHECK (a <> 'TEXT, BLOB'))"),
        ("-- TEXT? 50%\nDELETE FROM t WHERE a = '?'", "-- TEXT? 50%\nDELETE FROM t WHERE a = '?'"),
    ],
)  # fmt: skip
def test_migrations(sql: str, expected: str) -> None:
    assert postgres_script(sql).decode() == expected
