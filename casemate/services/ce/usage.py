"""What use would cost on AWS, out of what was counted and what is held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple

from casemate.engine.billing.bill import Line, held_lines, month_of, request_lines
from casemate.engine.billing.prices import Prices
from casemate.engine.billing.usage import Requests
from casemate.gate.billing import Billed
from casemate.store.database import Tx


class Bill(NamedTuple):
    """Accounts that are billed together, by id, with their names; an account of no organisation is billed alone.
    payer: the one that sees the use of all of them."""

    payer: str
    accounts: Mapping[str, str]


class Bills:
    """Which accounts are billed together: ``call.part(Bills)``. of: by a transaction and an account."""

    def __init__(self, of: Callable[[Tx, str], Bill]) -> None:
        self.of = of


def lines(
    tx: Tx, billed: Iterable[Billed], prices: Prices, bill: Bill, start: date, end: date, now: float
) -> list[Line]:
    """Lines from the day start up to the day end, of what the bill's accounts used up to now."""
    found: list[Line] = []
    for each in billed:
        requests: list[Requests] = []
        for account in bill.accounts:
            found += held_lines(prices, each.service, each.holdings(tx, account, now), start, end)
            rows = tx.all(
                "SELECT region, day, operation, usage_type, resource, calls FROM ce_requests "
                "WHERE account = ? AND service = ? AND day >= ? AND day < ?",
                (account, each.service, month_of(start).isoformat(), end.isoformat()),
            )
            requests += [
                Requests(account, region, date.fromisoformat(day), operation, usage_type, resource, calls)
                for region, day, operation, usage_type, resource, calls in rows
            ]
        found += request_lines(prices, each.service, requests, start, end)
    return found


def today(now: float) -> date:
    return datetime.fromtimestamp(now, UTC).date()
