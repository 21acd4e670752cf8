"""Requested increases as rows, and what becomes of one: what the API and the operator's command share."""

from __future__ import annotations

from typing import NamedTuple

from casemate.gate.quotas import Quota
from casemate.services.servicequotas.values import Values
from casemate.store.database import Tx
from casemate.store.ids import new_id

OPEN = ("PENDING", "CASE_OPENED")
MOST_OPEN = 20
"""Open requests of an account in a Region. Source: "Service Quotas endpoints and quotas"."""

_COLUMNS = "account, region, id, service, code, desired, status, requester, created, updated"


class Increase(NamedTuple):
    """A requested increase. requester: the ARN of who asked; created, updated: seconds since the epoch."""

    account: str
    region: str
    id: str
    service: str
    code: str
    desired: float
    status: str
    requester: str
    created: float
    updated: float


def add(
    tx: Tx, values: Values, quota: Quota, account: str, region: str, desired: float, requester: str, now: float,
    *, may_wait: bool,
) -> Increase:  # fmt: skip
    """A new request: approved at once where the settings say so, and then it applies; else it waits for the operator,
    or is turned down where it may not wait."""
    approved = values.approval is None or desired <= values.approval * quota.default(region)
    status = "APPROVED" if approved else "PENDING" if may_wait else "NOT_APPROVED"
    increase = Increase(
        account, region, new_id(), quota.service, quota.code, desired, status, requester, now, now
    )
    tx.run(
        f"INSERT INTO service_quotas_requests ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        increase,
    )
    if approved:
        values.put(tx, quota, account, region, desired, now)
    return increase


def decide(tx: Tx, values: Values, increase: Increase, now: float, *, approve: bool) -> Increase:
    """The operator's answer to an open request."""
    assert increase.status in OPEN
    status = "APPROVED" if approve else "DENIED"
    tx.run(
        "UPDATE service_quotas_requests SET status = ?, updated = ? "
        "WHERE account = ? AND region = ? AND id = ?",
        (status, now, increase.account, increase.region, increase.id),
    )
    quota = values.find(increase.service, increase.code)
    if approve and quota is not None:
        values.put(tx, quota, increase.account, increase.region, increase.desired, now)
    return increase._replace(status=status, updated=now)


def find(tx: Tx, account: str, region: str, request_id: str) -> Increase | None:
    row = tx.one(
        f"SELECT {_COLUMNS} FROM service_quotas_requests WHERE account = ? AND region = ? AND id = ?",
        (account, region, request_id),
    )
    return None if row is None else Increase(*row)


def of_id(tx: Tx, request_id: str) -> Increase | None:
    """A request of any account, by its id or what it begins with, if that is enough to tell it."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM service_quotas_requests WHERE id >= ? AND substr(id, 1, ?) = ? "
        "ORDER BY id LIMIT 2",
        (request_id, len(request_id), request_id),
    )
    return Increase(*rows[0]) if len(rows) == 1 else None


def every_open(tx: Tx) -> list[Increase]:
    """All that wait for the operator, the oldest first."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM service_quotas_requests WHERE status IN ('PENDING', 'CASE_OPENED') "
        "ORDER BY created, id"
    )
    return [Increase(*row) for row in rows]


def open_in(tx: Tx, account: str, region: str) -> list[Increase]:
    return [each for each in every_open(tx) if (each.account, each.region) == (account, region)]


def history(
    tx: Tx, account: str, region: str, before: str, count: int, *, service: str, code: str, status: str
) -> list[Increase]:
    """An account's requests in a Region, the newest first. before: the id of the last one seen, '' at first; service,
    code, status: only those of it, '' for any."""
    conditions = {"service = ?": service, "code = ?": code, "status = ?": status, "id < ?": before}
    wanted = {condition: value for condition, value in conditions.items() if value}
    where = "".join(f" AND {condition}" for condition in wanted)
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM service_quotas_requests WHERE account = ? AND region = ?{where} "
        "ORDER BY id DESC LIMIT ?",
        (account, region, *wanted.values(), count),
    )
    return [Increase(*row) for row in rows]
