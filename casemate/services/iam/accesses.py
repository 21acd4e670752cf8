"""When users, roles and root users last tried each operation, out of the audit: one row for each of them and
operation, which goes with them.

Refusals count, copies for other owners and calls by nobody do not; a federated user's count as those of whom the
credentials are from. Source: "Refine permissions in AWS using last accessed information".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from casemate.gate.observing import Gathered, Observer
from casemate.store.database import Tx

TRACKED = 400 * 86_400.0
"""Seconds for which an access is told."""


class Access(NamedTuple):
    """An entity's last attempt. last: seconds since the epoch; region: where."""

    service: str
    action: str
    last: float
    region: str


def _see(event: Mapping[str, Any], gathered: Gathered) -> None:
    who = event["userIdentity"]
    account = who.get("accountId")
    if account is None or account != event["recipientAccountId"]:
        return
    context = who.get("sessionContext")
    entity = who["principalId"] if context is None else context.get("sessionIssuer", who)["principalId"]
    place = (account, entity, event["eventSource"], event["eventName"])
    gathered[place] = (event["eventTime"], event["awsRegion"])


def _keep(tx: Tx, gathered: Gathered) -> None:
    there: dict[tuple[str, str], bool] = {}
    for (account, entity, source, action), (time, region) in gathered.items():
        holder = (account, entity)
        if holder not in there:
            there[holder] = entity == account or _exists(tx, account, entity)
        if there[holder]:
            tx.run(
                "INSERT INTO iam_accesses (account, entity, service, action, last, region) "
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account, entity, service, action) DO UPDATE SET "
                "last = excluded.last, region = excluded.region WHERE iam_accesses.last <= excluded.last",
                (
                    *(account, entity, source.removesuffix(".amazonaws.com"), action),
                    *(datetime.fromisoformat(time).timestamp(), region),
                ),
            )


def _exists(tx: Tx, account: str, entity: str) -> bool:
    found = tx.one("SELECT 1 FROM iam_entities WHERE account = ? AND id = ?", (account, entity))
    return found is not None


OBSERVER = Observer(_see, _keep)


def accesses_of(tx: Tx, account: str, entity: str, now: float) -> list[Access]:
    """All that an entity, by its id, has tried in the time that is tracked, the latest first."""
    rows = tx.all(
        "SELECT service, action, last, region FROM iam_accesses WHERE account = ? AND entity = ? AND last > ? "
        "ORDER BY last DESC, service, action",
        (account, entity, now - TRACKED),
    )
    return [Access(*row) for row in rows]


def forget(tx: Tx, account: str, entity: str) -> None:
    """With the entity itself."""
    tx.run("DELETE FROM iam_accesses WHERE account = ? AND entity = ?", (account, entity))
