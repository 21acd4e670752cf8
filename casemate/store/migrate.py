"""Numbered SQL files beside their owner, and the check of a database's ledger against them.

``casemate/services/kms/migrations/0001_keys.sql``, ``0002_grants.sql``, ...: consecutive from 1, never
changed once released, forward only. In the common subset of casemate/store/dialect.py, and of
statements that can run in a transaction. The ledger (``store_migrations``) keeps a checksum of what ran.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from casemate.store.errors import Incompatible, StoreError

LEDGER = """
CREATE TABLE IF NOT EXISTS store_migrations (
    owner TEXT NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    PRIMARY KEY (owner, number)
) STRICT, WITHOUT ROWID
"""
APPLIED = "SELECT owner, number, name, checksum FROM store_migrations ORDER BY owner, number"
RECORD = "INSERT INTO store_migrations (owner, number, name, checksum) VALUES (?, ?, ?, ?)"

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


class Migration(NamedTuple):
    """One file. number: from 1; sql: its text."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


class Migrations(NamedTuple):
    """All of one owner's, in order. owner: a service's name, or "store"."""

    owner: str
    files: tuple[Migration, ...]


def discover(package: str, owner: str = "", folder: str = "migrations") -> Migrations:
    """The files in a folder of a package ("casemate.services.kms"), without importing it.

    owner: the last part of the package's name unless given. Raises StoreError for a gap in the numbers or a
    file with another kind of name.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise StoreError(f"{package} is not a package")
    files = []
    for path in sorted((Path(next(iter(spec.submodule_search_locations))) / folder).glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise StoreError(f"{path.name} of {package} is not named as 0001_name.sql")
        files.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    numbers = [migration.number for migration in files]
    if numbers != list(range(1, len(files) + 1)):
        raise StoreError(f"the migrations of {package} are not numbered consecutively from 1: {numbers}")
    return Migrations(owner or package.rpartition(".")[2], tuple(files))


def outstanding(
    applied: Iterable[tuple[str, int, str, str]], wanted: Sequence[Migrations]
) -> list[tuple[str, Migration]]:
    """What is still to run, in the order of owners and numbers. applied: the ledger's rows.

    Raises Incompatible when the ledger holds what this version does not know, or knows differently.
    """
    known = {(owner, migration.number): migration for owner, files in wanted for migration in files}
    done = set()
    for owner, number, name, checksum in applied:
        migration = known.get((owner, number))
        if migration is None:
            raise Incompatible(
                f"the database was made by a newer version: it has migration {number:04} ({name}) of {owner}"
                ", which this version does not know"
            )
        if migration.checksum != checksum:
            raise Incompatible(
                f"migration {number:04} ({name}) of {owner} was changed after it ran on this database"
            )
        done.add((owner, number))
    return [
        (owner, migration)
        for owner, files in wanted
        for migration in files
        if (owner, migration.number) not in done
    ]


def with_own(migrations: Sequence[Migrations]) -> list[Migrations]:
    """The store's own first, then the others. Raises StoreError when an owner is named twice."""
    wanted = [discover("casemate.store"), *migrations]
    owners = [each.owner for each in wanted]
    if len(set(owners)) != len(owners):
        raise StoreError(f"an owner of migrations is named twice: {owners}")
    return wanted
