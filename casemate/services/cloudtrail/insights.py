"""CloudTrail Insights: counting calls by the minute, and telling of minutes that are not as the days before.

Minutes are counted as records are read, and looked at with each of the trail's deliveries, once they are over. What
is found goes the way of all events, into the trail's files, and to EventBridge. Source: "Working with CloudTrail
Insights".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.engine.cloudtrail import files, insights
from casemate.engine.cloudtrail.categories import DATA, is_data_event
from casemate.engine.cloudtrail.insights import Activity, Baseline, Series
from casemate.engine.cloudtrail.selectors import category
from casemate.gate.acting import in_background
from casemate.gate.announcing import announce
from casemate.services.cloudtrail import insight_history, pending
from casemate.services.cloudtrail.pending import TO_LOGS, Packing, Queue
from casemate.services.cloudtrail.trails import Tap, Trail, Trails

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.gate import Gate
    from casemate.gate.observing import Gathered
    from casemate.store.database import Tx

DETAIL_TYPE = "AWS Insight via CloudTrail"
MINUTES = "cloudtrail minutes"
"""What counts gathered by an observer are known by."""

_SERIES = "trail = ? AND account = ? AND region = ? AND source = ? AND name = ? AND error = ?"
_MOST = 10_000
"""Minutes that are looked at in one transaction."""


# --- counting


def count(tap: Tap, record: Mapping[str, Any], seconds: float, gathered: Gathered) -> None:
    """Count a record for a trail that looks for unusual activity."""
    of = category(record)
    error = record.get("errorCode", "")
    wanted = tap.insights
    name = (record["recipientAccountId"], record["awsRegion"], record["eventSource"], record["eventName"])
    if not record["eventSource"] or record["eventType"] != "AwsApiCall":
        # Of what is no operation, whoever calls may name what they like.
        return
    if of in wanted.get(insights.CALL_RATE, ()) and (of == DATA or not record.get("readOnly")):
        _count(tap.trail, Series(*name, ""), record, seconds, gathered)
    if error and of in wanted.get(insights.ERROR_RATE, ()):
        _count(tap.trail, Series(*name, error), record, seconds, gathered)


def _count(
    trail: Trail, series: Series, record: Mapping[str, Any], seconds: float, gathered: Gathered
) -> None:
    key = (MINUTES, trail.id, *series, str(int(seconds) // 60))
    calls, callers = gathered.get(key, (0, {}))
    for attribute, value in insights.callers_of(record).items():
        counts = callers.setdefault(attribute, {})
        counts[value] = counts.get(value, 0) + 1
    gathered[key] = calls + 1, callers


def keep(tx: Tx, key: tuple[str, ...], calls: int, callers: insights.Callers) -> None:
    """Add what was counted to a minute's row. key: as gathered."""
    *of, minute = key[1:]
    row = tx.one(f"SELECT callers FROM cloudtrail_minutes WHERE {_SERIES} AND minute = ?", (*of, int(minute)))
    together = insights.together([callers] if row is None else [json.loads(row[0]), callers])
    tx.run(
        "INSERT INTO cloudtrail_minutes (trail, account, region, source, name, error, minute, calls, unusual, "
        "callers) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?) "
        "ON CONFLICT (trail, account, region, source, name, error, minute) DO UPDATE SET "
        "calls = cloudtrail_minutes.calls + excluded.calls, callers = excluded.callers",
        (*of, int(minute), calls, json.dumps(together)),
    )


def forget(tx: Tx, trail_id: str) -> None:
    """Nothing is looked for any more."""
    for table in ("minutes", "unusual", "looked"):
        tx.run(f"DELETE FROM cloudtrail_{table} WHERE trail = ?", (trail_id,))


# --- looking


def look(gate: Gate, trail: Trail) -> None:
    """Look at the minutes that are over."""
    if trail.get("Insights", ()):
        in_background(gate, lambda base: _look(base, trail.id))


def _look(base: Call, trail_id: str) -> None:
    tx, trails = base.tx, base.part(Trails)
    trail = trails.by_id(tx, trail_id)
    if trail is None or not trail.get("Insights", ()):
        return
    # What ended a moment ago may have records still on their way.
    last = int(base.now) // 60 - 2
    since = int(trail.get("InsightsSince", base.now)) // 60
    row = tx.one("SELECT minute FROM cloudtrail_looked WHERE trail = ?", (trail.id,))
    looked = since if row is None else row[0]
    if last <= looked:
        return
    busy = tx.all(
        "SELECT minute, calls, account, region, source, name, error FROM cloudtrail_minutes "
        "WHERE trail = ? AND minute > ? AND minute <= ? AND calls >= ? ORDER BY minute LIMIT ?",
        (trail.id, looked, last, insights.LEAST, _MOST),
    )
    if len(busy) == _MOST and busy[-1][0] > busy[0][0]:
        # The last minute may have more.
        last = busy[-1][0] - 1
        busy = [row for row in busy if row[0] <= last]
    for minute, calls, *of in busy:
        _look_at(base, trail, Series(*of), minute, calls, since)
    for started, latest, shared, baseline, *of in tx.all(
        "SELECT started, latest, shared, baseline, account, region, source, name, error "
        "FROM cloudtrail_unusual WHERE trail = ?",
        (trail.id,),
    ):
        if last - latest >= insights.QUIET or latest - started >= insights.LONGEST:
            _end(base, trail, Series(*of), started, latest, shared, json.loads(baseline))
    tx.run(
        "INSERT INTO cloudtrail_looked (trail, minute) VALUES (?, ?) "
        "ON CONFLICT (trail) DO UPDATE SET minute = excluded.minute",
        (trail.id, last),
    )
    tx.run(
        "DELETE FROM cloudtrail_minutes WHERE trail = ? AND minute < ?",
        (trail.id, last - insights.BASELINE - insights.LONGEST),
    )


def _look_at(base: Call, trail: Trail, series: Series, minute: int, calls: int, since: int) -> None:
    """A minute with so many calls."""
    tx, key = base.tx, (trail.id, *series)
    row = tx.one(
        f"SELECT started, latest, least, shared, baseline FROM cloudtrail_unusual WHERE {_SERIES}", key
    )
    if row is not None:
        started, latest, least, shared, baseline = row
        if minute - latest < insights.QUIET and minute - started <= insights.LONGEST:
            if calls >= least:
                tx.run(f"UPDATE cloudtrail_unusual SET latest = ? WHERE {_SERIES}", (minute, *key))
                _mark(tx, key, minute, minute, 1)
            return
        _end(base, trail, series, started, latest, shared, json.loads(baseline))
    watched = min(insights.BASELINE, minute - since)
    if watched < insights.LEARNING:
        return
    known = tx.all(
        f"SELECT calls FROM cloudtrail_minutes WHERE {_SERIES} AND minute >= ? AND minute < ? AND unusual = 0",
        (*key, minute - watched, minute),
    )
    usual = insights.usual(watched, [row[0] for row in known])
    if calls < usual.least:
        return
    shared = insights.shared_id(series, minute)
    usual_callers = _callers(tx, key, minute - watched, minute - 1, unusual=0)
    tx.run(
        "INSERT INTO cloudtrail_unusual (trail, account, region, source, name, error, started, latest, least, "
        "shared, baseline) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*key, minute, minute, usual.least, shared, json.dumps([usual, usual_callers])),
    )
    _mark(tx, key, minute, minute, 1)
    callers = _callers(tx, key, minute, minute, unusual=1)
    activity = Activity(series, minute, shared, 1, calls, callers, usual, usual_callers)
    _tell(base, trail, activity, insights.START)


def _end(
    base: Call, trail: Trail, series: Series, started: int, latest: int, shared: str, before: Any
) -> None:
    """Unusual activity is over, with its last unusual minute."""
    tx, key = base.tx, (trail.id, *series)
    tx.run(f"DELETE FROM cloudtrail_unusual WHERE {_SERIES}", key)
    row = tx.one(
        f"SELECT SUM(calls) FROM cloudtrail_minutes WHERE {_SERIES} AND minute >= ? AND minute <= ?",
        (*key, started, latest),
    )
    calls = 0 if row is None else int(row[0] or 0)
    minutes = latest - started + 1
    callers = _callers(tx, key, started, latest)
    if minutes > insights.LONGEST:
        _mark(tx, key, started, latest, 0)
    usual, usual_callers = before
    activity = Activity(series, latest + 1, shared, minutes, calls, callers, Baseline(*usual), usual_callers)
    _tell(base, trail, activity, insights.END)


def _mark(tx: Tx, key: tuple[str, ...], first: int, last: int, unusual: int) -> None:
    tx.run(
        f"UPDATE cloudtrail_minutes SET unusual = ? WHERE {_SERIES} AND minute >= ? AND minute <= ?",
        (unusual, *key, first, last),
    )


def _callers(
    tx: Tx, key: tuple[str, ...], first: int, last: int, unusual: int | None = None
) -> dict[str, dict[str, int]]:
    rows = tx.all(
        f"SELECT callers, unusual FROM cloudtrail_minutes WHERE {_SERIES} AND minute >= ? AND minute <= ?",
        (*key, first, last),
    )
    return insights.together(json.loads(row[0]) for row in rows if unusual is None or row[1] == unusual)


def _tell(base: Call, trail: Trail, activity: Activity, state: str) -> None:
    """Into the trail's files, its log group, and to EventBridge."""
    series = activity.series
    of = DATA if is_data_event(series.source, series.name) else "Management"
    event = insights.event(activity, state, of)
    key = base.part(Trails).key(base.tx, trail.place.account)
    for kind in (files.INSIGHTS, TO_LOGS) if trail.get("LogGroup") else (files.INSIGHTS,):
        packing = Packing()
        packing.add(json.dumps(event).encode(), own=False)
        pending.put(base.tx, key, Queue(trail.id, kind, series.account, series.region), packing, base.now)
    if insight_history.put(base.tx, base.part(Trails), event):
        announce(base, "aws.cloudtrail", DETAIL_TYPE, event, account=series.account, region=series.region)
