"""AWS/Logs' metrics: IncomingBytes and IncomingLogEvents, of each group and of the account.

They are counted out of the batches' rows each minute, so that they cost nothing where events come in. A batch counts
once: how far they are counted is written in the transaction that puts the metrics.

Source: "CloudWatch Logs metrics and dimensions".
"""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.api import cloudwatch
from casemate.gate.acting import Actor, act_as, in_background
from casemate.services.logs.encryption import PRINCIPAL
from casemate.store import jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from casemate.gate.call import Call
    from casemate.gate.gate import Gate
    from casemate.services.logs.groups import GroupRow
    from casemate.store.database import Tx
    from casemate.store.jobs import Job

KIND = "logs.incoming"
EVERY = 60.0
_LATE = 5_000
"""Milliseconds by which a batch's transaction may end later than its id was made."""
_WINDOW = 600_000
"""Of batches that one transaction counts, in milliseconds."""
_MOST = 1_000
_OLDEST = 14 * 24 * 60 - 1
"""Minutes."""
_NAMES = ("IncomingLogEvents", "IncomingBytes")

Place = tuple[str, str]


class _Counted(NamedTuple):
    """Of batches: how many, and of what is counted the sum, the least and the most."""

    number: int
    total: int
    least: int
    most: int


def schedule(tx: Tx, now: float) -> None:
    """Count from now on."""
    jobs.schedule_for_good(tx, KIND, now + EVERY, EVERY)


def counter(gate: Gate, by_id: Callable[[Tx, str], GroupRow | None]) -> Callable[[Job], None]:
    """Counts what came."""

    def count(job: Job) -> None:
        def some(call: Call) -> bool:
            # Ids are of the machine's clock, whatever the server's says.
            until = int(time.time() * 1000) - _LATE
            row = call.tx.one("SELECT batch FROM logs_counted WHERE name = ?", (KIND,))
            since = until if row is None else int(row[0][:12], 16)
            # A clock that was set back leaves nothing to count until it is where it was.
            until = max(since, min(until, since + _WINDOW))
            for place, data in _metrics(call, by_id, f"{since:012x}", f"{until:012x}").items():
                _put(call, place, data)
            call.tx.run(
                "INSERT INTO logs_counted (name, batch) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET batch = excluded.batch",
                (KIND, f"{until:012x}"),
            )
            if until - since < _WINDOW:
                job.finish(call.tx)
                return False
            job.renew(call.tx)
            return True

        while in_background(gate, some):
            pass

    return count


def _metrics(
    call: Call, by_id: Callable[[Tx, str], GroupRow | None], since: str, until: str
) -> dict[Place, list[cloudwatch.MetricDatum]]:
    rows = call.tx.all(
        "SELECT group_id, ingested / 60000, COUNT(*), CAST(SUM(events) AS INTEGER), MIN(events), MAX(events), "
        "CAST(SUM(stored) AS INTEGER), MIN(stored), MAX(stored) FROM logs_batches "
        "WHERE id >= ? AND id < ? GROUP BY group_id, ingested / 60000",
        (since, until),
    )
    # Of what is older CloudWatch takes no data.
    oldest = int(call.now) // 60 - _OLDEST
    of_account: dict[tuple[Place, int, str], list[_Counted]] = defaultdict(list)
    found: dict[Place, list[cloudwatch.MetricDatum]] = defaultdict(list)
    for group_id, minute, number, *sums in rows:
        group = by_id(call.tx, group_id)
        if group is None or minute < oldest:
            continue
        place = group.place[:2]
        for at, name in enumerate(_NAMES):
            counted = _Counted(number, *sums[3 * at : 3 * at + 3])
            found[place].append(_datum(name, minute, counted, group.name))
            of_account[place, minute, name].append(counted)
    for (place, minute, name), parts in of_account.items():
        found[place].append(_datum(name, minute, _together(parts)))
    return found


def _together(parts: Iterable[_Counted]) -> _Counted:
    numbers, totals, leasts, mosts = zip(*parts, strict=True)
    return _Counted(sum(numbers), sum(totals), min(leasts), max(mosts))


def _datum(name: str, minute: int, counted: _Counted, group: str = "") -> cloudwatch.MetricDatum:
    dimensions: Any = [{"Name": "LogGroupName", "Value": group}] if group else []
    return {
        "MetricName": name,
        "Dimensions": dimensions,
        "Timestamp": datetime.fromtimestamp(minute * 60, UTC),
        "StatisticValues": {
            "SampleCount": counted.number,
            "Sum": counted.total,
            "Minimum": counted.least,
            "Maximum": counted.most,
        },
        "Unit": "Bytes" if name == "IncomingBytes" else "None",
    }


def _put(call: Call, place: Place, data: list[cloudwatch.MetricDatum]) -> None:
    by_logs = act_as(call, Actor(PRINCIPAL, *place))
    for at in range(0, len(data), _MOST):
        cloudwatch.PutMetricData.ask(by_logs, {"Namespace": "AWS/Logs", "MetricData": data[at : at + _MOST]})
