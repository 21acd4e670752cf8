"""What usage costs: a line for each day, operation and resource.

Held things pay for each hour that they are there in, or in part, of the month's hours. Of requests that are free up
to a number a month, the first ones are, over all Regions and over all accounts that are billed together; on the day
on which they run out, each line has its part of what is left.
"""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from casemate.engine.billing.prices import Price, Prices
from casemate.engine.billing.usage import Holding, Requests

HELD = "Unknown"
"""The operation of what is held, as in Cost Explorer."""

_HOUR = 3600


class Line(NamedTuple):
    """cost: US dollars; quantity: of the usage type's unit, of what is held in months."""

    account: str
    region: str
    day: date
    service: str
    operation: str
    usage_type: str
    resource: str
    quantity: Decimal
    cost: Decimal


def month_of(day: date) -> date:
    """The month's first day."""
    return day.replace(day=1)


def month_after(day: date) -> date:
    """The next month's first day."""
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def midnight(day: date) -> float:
    """When the day begins, UTC, in seconds since the epoch."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def held_lines(
    prices: Prices, service: str, holdings: Iterable[Holding], start: date, end: date
) -> Iterator[Line]:
    """Lines of what is held from the day start up to the day end."""
    for each in holdings:
        price = prices.of(service, each.usage_type)
        # Each hour that was begun is paid for.
        begin = max(int(each.begin // _HOUR), int(midnight(start)) // _HOUR)
        until = min(int(-(-each.end // _HOUR)), int(midnight(end)) // _HOUR)
        while begin < until:
            day = datetime.fromtimestamp(begin * _HOUR, UTC).date()
            next_day = begin // 24 * 24 + 24
            hours = min(next_day, until) - begin
            quantity = Decimal(hours) / (24 * monthrange(day.year, day.month)[1])
            yield Line(
                *(each.account, each.region, day, service, HELD, each.usage_type, each.resource),
                *(quantity, price.of(quantity)),
            )
            begin += hours


def request_lines(
    prices: Prices, service: str, requests: Iterable[Requests], start: date, end: date
) -> Iterator[Line]:
    """Lines of requests from the day start up to the day end. requests: those of all accounts that are billed
    together, from the first day of start's month on, which tells how many free ones are left."""
    days: dict[tuple[str, date], list[Requests]] = defaultdict(list)
    for each in requests:
        days[each.usage_type, each.day].append(each)
    left: dict[tuple[str, date], int] = {}
    for (usage_type, day), of_day in sorted(days.items()):
        price = prices.of(service, usage_type)
        month = (usage_type, month_of(day))
        free = left.setdefault(month, price.free)
        calls = sum(each.calls for each in of_day)
        left[month] = max(0, free - calls)
        if start <= day < end:
            yield from _of_day(price, service, of_day, min(free, calls), calls)


def _of_day(price: Price, service: str, of_day: list[Requests], free: int, calls: int) -> Iterator[Line]:
    for each in of_day:
        quantity = Decimal(each.calls)
        paid = quantity * (calls - free) / calls
        yield Line(
            *(each.account, each.region, each.day, service, each.operation, each.usage_type, each.resource),
            *(quantity, price.of(paid)),
        )
