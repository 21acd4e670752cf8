"""What an account's use would cost on AWS, out of what was counted and what it holds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime

from casemate.engine.billing.bill import Line, held_lines, month_of, request_lines
from casemate.engine.billing.prices import Prices
from casemate.engine.billing.usage import Requests
from casemate.gate.billing import Billed
from casemate.store.database import Tx


def lines(
    tx: Tx, billed: Iterable[Billed], prices: Prices, account: str, start: date, end: date, now: float
) -> list[Line]:
    """Lines from the day start up to the day end, of what was used up to now."""
    found: list[Line] = []
    for each in billed:
        found += held_lines(prices, each.service, each.holdings(tx, account, now), start, end)
        requests = [
            Requests(account, region, date.fromisoformat(day), operation, usage_type, resource, calls)
            for region, day, operation, usage_type, resource, calls in tx.all(
                "SELECT region, day, operation, usage_type, resource, calls FROM ce_requests "
                "WHERE account = ? AND service = ? AND day >= ? AND day < ?",
                (account, each.service, month_of(start).isoformat(), end.isoformat()),
            )
        ]
        found += request_lines(prices, each.service, requests, start, end)
    return found


def accounts(tx: Tx) -> list[str]:
    """The accounts of which calls were counted."""
    return [account for (account,) in tx.all("SELECT DISTINCT account FROM ce_requests ORDER BY account")]


def today(now: float) -> date:
    return datetime.fromtimestamp(now, UTC).date()
