"""When access keys and roles were last used: remembered by each worker, written in batches.

What a request adds to it is one entry of a dict. Each worker writes what it has gathered once a minute, so that a key
costs at most one write a minute and worker, however busy it is. A crash loses the last minute's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from casemate.store.database import Store, Tx

EVERY = 60.0
"""Seconds between two writes."""


class Use(NamedTuple):
    """last: seconds since the epoch; service: its signing name; region: the signature's."""

    account: str
    last: float
    service: str
    region: str


class Uses:
    """What one worker has seen since it last wrote."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float, str, str]] = {}
        """By access key or role, what a Use holds: to make one for each request would cost as much again."""

    def note(self, user: str, account: str, now: float, service: str, region: str) -> None:
        """An access key (by its id) or a session of a role (by the role's) has signed a request."""
        self._seen[user] = (account, now, service, region)

    def last(self, tx: Tx, unique_id: str) -> Use | None:
        """The last use that is known to this worker; None when there is none."""
        row = tx.one("SELECT account, last, service, region FROM iam_uses WHERE id = ?", (unique_id,))
        stored = None if row is None else Use(*row)
        seen = self._seen.get(unique_id)
        if seen is None or (stored is not None and stored.last > seen[1]):
            return stored
        return Use(*seen)

    def write(self, store: Store) -> None:
        """Write what was gathered, without waiting. What cannot be written is gathered again."""
        seen, self._seen = self._seen, {}
        if not seen:
            return

        def done(_: None, error: BaseException | None) -> None:
            if error is not None:
                self._seen = {**seen, **self._seen}

        store.submit(lambda tx: _write(tx, seen), done)

    def flush(self, store: Store) -> None:
        """The same at the end, waiting for it."""
        seen, self._seen = self._seen, {}
        if seen:
            store.write(lambda tx: _write(tx, seen))


def _write(tx: Tx, seen: Mapping[str, tuple[str, float, str, str]]) -> None:
    for unique_id, (account, last, service, region) in list(seen.items()):
        tx.run(
            "INSERT INTO iam_uses (id, account, last, service, region) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET last = excluded.last, service = excluded.service, "
            "region = excluded.region WHERE excluded.last > iam_uses.last",
            (unique_id, account, float(last), service, region),
        )


def forget(tx: Tx, unique_id: str) -> None:
    """With the key or role itself."""
    tx.run("DELETE FROM iam_uses WHERE id = ?", (unique_id,))
