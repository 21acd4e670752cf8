"""``casemate cost``: what the same use would cost on AWS."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from casemate.cli.problems import CommandError
from casemate.cli.settings import as_running, initialised
from casemate.engine.billing.bill import HELD

if TYPE_CHECKING:
    from casemate.engine.billing.bill import Line
    from casemate.engine.billing.prices import Prices
    from casemate.server.composition import Opened
    from casemate.server.config import Config
    from casemate.store.database import Tx


class Cost(NamedTuple):
    """One row. quantity: of the unit; None where its lines are of several, and the unit is ''."""

    name: str
    quantity: Decimal | None
    unit: str
    cost: Decimal


def cost(options: argparse.Namespace) -> int:
    """Count what is in the audit journal, reckon a month's costs, and print or draw them."""
    from casemate.engine.billing.bill import month_after
    from casemate.engine.billing.prices import current_prices

    by = options.by.split(",")
    for each in by:
        if each not in _NAMES:
            raise CommandError(
                f"--by takes {', '.join(_NAMES)}, or several of them with commas between", status=2
            )
    config = as_running(initialised(options))
    prices = current_prices()
    lines, month, today = _lines(config, options, prices)
    costs = grouped(lines, by, prices)
    total = sum((line.cost for line in lines), Decimal(0))
    if options.format == "json":
        print(
            json.dumps(
                {
                    "month": f"{month:%Y-%m}",
                    "complete": month_after(month) <= today,
                    "currency": "USD",
                    "prices_as_of": prices.as_of.isoformat(),
                    "by": options.by,
                    "costs": [
                        {
                            "name": each.name,
                            "quantity": None if each.quantity is None else _exact(each.quantity),
                            "unit": each.unit,
                            "cost": _exact(each.cost),
                        }
                        for each in costs
                    ],
                    "total": _exact(total),
                },
                indent=2,
            )
        )
    else:
        so_far = "" if month_after(month) <= today else " so far"
        print(
            f"{month:%B %Y}{so_far}: what this use costs on AWS, by the prices of {prices.as_of}, in US dollars"
        )
        print(table(costs, total))
    if options.plot is not None:
        _plot(options, lines, by, costs, month, prices)
    return 0


def _plot(
    options: argparse.Namespace,
    lines: Sequence[Line],
    by: Sequence[str],
    costs: Sequence[Cost],
    month: date,
    prices: Prices,
) -> None:
    if options.plot == "-":
        # What reads JSON is not to read bars.
        print("\n" + bars(costs), file=sys.stderr if options.format == "json" else sys.stdout)
        return
    from casemate.cli.cost_plot import svg

    path = Path(options.plot)
    if path.suffix.lower() != ".svg":
        raise CommandError(
            "--plot takes a file whose name ends in .svg, or nothing for the terminal", status=2
        )
    by_name: dict[str, dict[date, Decimal]] = {}
    # The days are the drawing's own.
    kinds = [each for each in by if each != "day"] or ["usage"]
    for line in lines:
        of_day = by_name.setdefault(_name(line, kinds, prices), {})
        of_day[line.day] = of_day.get(line.day, Decimal(0)) + line.cost
    try:
        path.write_text(
            svg(by_name, month, f"{month:%B %Y}: costs on AWS, US dollars a day"), encoding="utf-8"
        )
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None
    print(f"{path} is written.", file=sys.stderr)


def _lines(config: Config, options: argparse.Namespace, prices: Prices) -> tuple[list[Line], date, date]:
    """The month's lines, the month, and the day it is."""
    from casemate.engine.billing.bill import month_of
    from casemate.engine.envelope.errors import EnvelopeError
    from casemate.server.composition import meter_of, open_data
    from casemate.services.ce.usage import today
    from casemate.store.errors import StoreError
    from casemate.store.journal_format import JournalTampered

    try:
        opened = open_data(config)
    except (EnvelopeError, StoreError) as error:
        raise CommandError(f"the data cannot be opened: {error}", "`casemate doctor` tells more.") from None
    try:
        try:
            meter_of(opened).catch_up()
        except JournalTampered as error:
            print(f"casemate: the audit journal is not as it was written: {error}", file=sys.stderr)
            print("What comes after that place is not in these costs.", file=sys.stderr)
        now = opened.clock.now()
        month = month_of(today(now)) if options.month is None else _month(options.month)
        found = opened.store.read(lambda tx: _all_lines(tx, opened, options.account, prices, month, now))
    except StoreError as error:
        raise CommandError(f"usage cannot be counted: {error}") from None
    finally:
        opened.close()
    return found, month, today(now)


def _all_lines(
    tx: Tx, opened: Opened, only: str | None, prices: Prices, month: date, now: float
) -> list[Line]:
    """Of all accounts, or of one alone, each as it is billed."""
    from casemate.engine.billing.bill import month_after
    from casemate.server.composition import BILLED, bills_of
    from casemate.services.ce.usage import lines

    bills = bills_of(opened)
    every = {account: bills.of(tx, account) for (account,) in tx.all("SELECT id FROM accounts ORDER BY id")}
    if only is not None and only not in every:
        raise CommandError(f"there is no account {only}", status=2)
    wanted = {bill.payer: bill for account, bill in every.items() if only in (None, account)}
    return [
        line
        for bill in wanted.values()
        for line in lines(tx, BILLED, prices, bill, month, month_after(month), now)
        if only in (None, line.account)
    ]


def _month(text: str) -> date:
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text) or text.startswith("0000"):
        raise CommandError("--month takes a month, as 2026-11", status=2)
    return date.fromisoformat(f"{text}-01")


_NAMES: dict[str, Callable[[Line, Prices], str]] = {
    "usage": lambda line, _: line.usage_type,
    "key": lambda line, prices: line.resource or f"({prices.services[line.service].name}, no key)",
    "operation": lambda line, _: (
        line.usage_type if line.operation == HELD else f"{line.service}:{line.operation}"
    ),
    "account": lambda line, _: line.account,
    "region": lambda line, _: line.region,
    "day": lambda line, _: line.day.isoformat(),
}


def _name(line: Line, by: Sequence[str], prices: Prices) -> str:
    return "  ".join(_NAMES[each](line, prices) for each in by)


def grouped(lines: Sequence[Line], by: Sequence[str], prices: Prices) -> list[Cost]:
    """A row for each name, the dearest first; days in their order."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(_name(line, by, prices), []).append(line)
    rows = []
    for name, of_name in groups.items():
        units = {prices.of(line.service, line.usage_type).unit for line in of_name}
        unit = units.pop() if len(units) == 1 else ""
        quantity = sum((line.quantity for line in of_name), Decimal(0))
        cost_of = sum((line.cost for line in of_name), Decimal(0))
        rows.append(Cost(name, quantity if unit else None, unit, cost_of))
    if by[0] == "day":
        return sorted(rows, key=lambda row: row.name)
    return sorted(rows, key=lambda row: (-row.cost, row.name))


def table(costs: Sequence[Cost], total: Decimal) -> str:
    """Columns: the name, how much, what of, dollars."""
    rows = [(each.name, _amount(each), each.unit, _dollars(each.cost)) for each in costs]
    rows.append(("total", "", "", _dollars(total)))
    widths = [max(len(row[index]) for row in rows) for index in range(4)]
    return "\n".join(
        f"  {name:<{widths[0]}}  {quantity:>{widths[1]}} {unit:<{widths[2]}}  {dollars:>{widths[3]}}"
        for name, quantity, unit, dollars in rows
    )


def bars(costs: Sequence[Cost], width: int = 50) -> str:
    """A bar for each row, in eighths of a character."""
    most = max((each.cost for each in costs), default=Decimal(0))
    longest = max((len(each.name) for each in costs), default=0)
    drawn = []
    for each in costs:
        eighths = int(each.cost / most * width * 8) if most else 0
        bar = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
        drawn.append(f"  {each.name:<{longest}}  {bar}{' ' if bar else ''}{_dollars(each.cost)}")
    return "\n".join(drawn)


def _amount(of: Cost) -> str:
    if of.quantity is None:
        return ""
    return f"{of.quantity:,.0f}" if of.quantity == int(of.quantity) else f"{of.quantity:,.3f}"


def _dollars(amount: Decimal) -> str:
    return f"{amount:,.2f}" if amount == 0 or amount >= Decimal("0.01") else f"{amount:.6f}"


def _exact(amount: Decimal) -> str:
    return f"{amount:.10f}".rstrip("0").rstrip(".") or "0"
