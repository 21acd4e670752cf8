"""Entities as rows: found, listed, made, changed and removed, in a transaction of the caller's.

A row is bound as a whole, with its place, under the account's key. What was altered or moved in the database is not
used: whoever loads it gets Tampered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from casemate.engine.envelope.errors import Tampered
from casemate.gate.identity import DOMAIN
from casemate.gate.keyring import Keyring
from casemate.services.iam.accesses import forget
from casemate.services.iam.entities import Entity, Link, ManagedPolicy, of_content
from casemate.store.database import Tx

__all__ = ["DOMAIN", "Entities"]

E = TypeVar("E", bound=Entity)

_PURPOSE = "iam entity"
_ROW = "e.account, e.kind, e.handle, e.id, e.name, e.path, e.created, e.content, e.seal"
_SELECT = f"SELECT {_ROW} FROM iam_entities e WHERE e.account = ? "


class Entities:
    """The rows of all accounts, opened by the keyring's keys: ``call.part(Entities)``."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring
        self._known: dict[bytes, Entity] = {}
        """What was opened lately, by its seal, which no other row and no other state of the row has. It saves most of
        the cost of loading again what another change than its own has made the caches forget."""
        self._known_size = 0

    def __repr__(self) -> str:
        return "<Entities>"

    # --- finding

    def find(self, tx: Tx, kind: type[E], account: str, name: str) -> E | None:
        """By name, whose case does not matter."""
        row = tx.one(_SELECT + "AND e.kind = ? AND e.handle = ?", (account, kind.KIND, name.lower()))
        return None if row is None else cast(E, self._opened(tx, row))

    def with_id(self, tx: Tx, kind: type[E], account: str, unique_id: str) -> E:
        """By the id that another entity refers to. Raises Tampered when it is not there."""
        row = tx.one(_SELECT + "AND e.kind = ? AND e.id = ?", (account, kind.KIND, unique_id))
        if row is None:
            raise Tampered(f"the stored {kind.KIND} {unique_id} is missing")
        return cast(E, self._opened(tx, row))

    def arn_of(self, tx: Tx, kind: type[Entity], account: str, unique_id: str) -> str | None:
        """The ARN that an id has now; None when there is none of it any more."""
        row = tx.one(_SELECT + "AND e.kind = ? AND e.id = ?", (account, kind.KIND, unique_id))
        return None if row is None else self._opened(tx, row).arn

    def policy(self, tx: Tx, account: str, arn: str) -> ManagedPolicy | None:
        """A customer managed policy of the account by its ARN."""
        found = self.find(tx, ManagedPolicy, account, arn.rpartition("/")[2])
        return found if found is not None and found.arn == arn else None

    def page(
        self, tx: Tx, kind: type[E], account: str, after: str = "", limit: int = -1, prefix: str = "/"
    ) -> list[E]:
        """By name, those after a handle whose path begins with the prefix. limit: -1 for all."""
        rows = tx.all(
            _SELECT
            + "AND e.kind = ? AND e.handle > ? AND substr(e.path, 1, ?) = ? ORDER BY e.handle LIMIT ?",
            (account, kind.KIND, after, len(prefix), prefix, _ALL if limit < 0 else limit),
        )
        return [cast(E, self._opened(tx, row)) for row in rows]

    def referring(
        self, tx: Tx, kind: type[E], account: str, link: Link, after: str = "", limit: int = -1
    ) -> list[E]:
        """Those of a kind that refer to something, by name, after a handle."""
        rows = tx.all(
            f"SELECT {_ROW} FROM iam_links l JOIN iam_entities e ON e.account = l.account AND e.id = l.source "
            "WHERE l.account = ? AND l.relation = ? AND l.target = ? AND e.kind = ? AND e.handle > ? "
            "ORDER BY e.handle LIMIT ?",
            (account, *link, kind.KIND, after, _ALL if limit < 0 else limit),
        )
        return [cast(E, self._opened(tx, row)) for row in rows]

    def count(self, tx: Tx, kind: type[Entity], account: str) -> int:
        row = tx.one("SELECT COUNT(*) FROM iam_entities WHERE account = ? AND kind = ?", (account, kind.KIND))
        assert row is not None
        return int(row[0])

    def count_referring(self, tx: Tx, account: str, link: Link) -> int:
        """How many entities refer to something."""
        row = tx.one(
            "SELECT COUNT(*) FROM iam_links WHERE account = ? AND relation = ? AND target = ?",
            (account, *link),
        )
        assert row is not None
        return int(row[0])

    def targets(self, tx: Tx, account: str, relations: Sequence[str]) -> set[str]:
        """All that entities of the account refer to in one of these ways."""
        rows = [
            row
            for relation in relations
            for row in tx.all(
                "SELECT DISTINCT target FROM iam_links WHERE account = ? AND relation = ?",
                (account, relation),
            )
        ]
        return {target for (target,) in rows}

    # --- changing

    def add(self, tx: Tx, entity: Entity) -> bool:
        """Make a row. False when the account has one of this kind and name already, which stays as it is."""
        made = tx.run(
            "INSERT INTO iam_entities (account, kind, handle, id, name, path, created, content, seal) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            self._sealed(tx, entity),
        )
        if made == 1:
            self._link(tx, entity)
            _tell(tx, entity)
        return made == 1

    def save(self, tx: Tx, entity: Entity) -> None:
        """Store what changed of it, its name and path too. That the name is free is the caller's to know."""
        account, kind, handle, unique_id, name, path, _, content, seal = self._sealed(tx, entity)
        tx.run(
            "UPDATE iam_entities SET handle = ?, name = ?, path = ?, content = ?, seal = ? "
            "WHERE account = ? AND kind = ? AND id = ?",
            (handle, name, path, content, seal, account, kind, unique_id),
        )
        self._link(tx, entity)
        _tell(tx, entity)

    def remove(self, tx: Tx, entity: Entity) -> None:
        """Delete it, with its links and what is known of its accesses but nothing that refers to it."""
        tx.run("DELETE FROM iam_entities WHERE account = ? AND id = ?", (entity.account, entity.id))
        tx.run("DELETE FROM iam_links WHERE account = ? AND source = ?", (entity.account, entity.id))
        forget(tx, entity.account, entity.id)
        _tell(tx, entity)

    def _link(self, tx: Tx, entity: Entity) -> None:
        place = (entity.account, entity.id)
        stored = {
            Link(*row)
            for row in tx.all(
                "SELECT relation, target FROM iam_links WHERE account = ? AND source = ?", place
            )
        }
        wanted = set(entity.links())
        for link in sorted(stored - wanted):
            tx.run(
                "DELETE FROM iam_links WHERE account = ? AND relation = ? AND target = ? AND source = ?",
                (entity.account, *link, entity.id),
            )
        for link in sorted(wanted - stored):
            tx.run(
                "INSERT INTO iam_links (account, relation, target, source) VALUES (?, ?, ?, ?)",
                (entity.account, *link, entity.id),
            )

    # --- what rows are bound to

    def _sealed(self, tx: Tx, entity: Entity) -> tuple[Any, ...]:
        """The row of an entity, sealed."""
        columns = (
            *(entity.account, entity.KIND, entity.handle, entity.id, entity.name, entity.path),
            *(float(entity.created), entity.content()),
        )
        return (*columns, self.keyring.account_key(entity.account, tx).wrap(b"", _PURPOSE, *_bound(columns)))

    def _opened(self, tx: Tx, row: tuple[Any, ...]) -> Entity:
        account, kind, _, unique_id, name, path, created, content, seal = row
        known = self._known.get(seal)
        if known is not None and row[:6] == (
            *(known.account, known.KIND, known.handle, known.id, known.name, known.path),
        ):
            # It is where it was; its content is not used, but what it was when it was opened.
            return known
        self.keyring.account_key(account, tx).unwrap(seal, _PURPOSE, *_bound(row))
        entity = of_content(
            kind, content, account=account, id=unique_id, name=name, path=path, created=created
        )
        self._known_size += len(content)
        if self._known_size > _KNOWN_SIZE:
            self._known = {}
            self._known_size = len(content)
        self._known[seal] = entity
        return entity


def _tell(tx: Tx, entity: Entity) -> None:
    """A wrong MFA code, which changes its device, is not to make every worker load all identities again."""
    if entity.CACHED:
        tx.bump(DOMAIN)


_ALL = 1_000_000
_KNOWN_SIZE = 16_000_000
"""Characters of the contents that are kept opened."""


def _bound(columns: tuple[Any, ...]) -> tuple[str, ...]:
    _, kind, handle, unique_id, name, path, created, content = columns[:8]
    return (kind, handle, unique_id, name, path, repr(float(created)), content)
