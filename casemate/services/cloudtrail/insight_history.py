"""Insights events of the last 90 days, as lookups find them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from casemate.api import cloudtrail
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.services.cloudtrail.history import Found, Lookup
from casemate.services.cloudtrail.page_tokens import Place
from casemate.services.cloudtrail.trails import Trails

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.store.database import Tx

DAYS = 90
_PURPOSE = "cloudtrail insight event"
_COLUMNS: Mapping[str, str] = {"": "", "EventId": "id", "EventName": "name", "EventSource": "source"}


def put(tx: Tx, trails: Trails, event: Mapping[str, Any]) -> bool:
    """Keep an event; False where another trail has told of it."""
    account, region, name = event["recipientAccountId"], event["awsRegion"], event["eventID"]
    details = event["insightDetails"]
    sealed = trails.key(tx, account).wrap(json.dumps(event).encode(), _PURPOSE, region, name)
    seconds = int(datetime.fromisoformat(event["eventTime"]).timestamp())
    made = tx.run(
        "INSERT INTO cloudtrail_insight_events (account, region, id, time, source, name, sealed) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (account, region, name, seconds, details["eventSource"], details["eventName"], sealed),
    )
    tx.run(
        "DELETE FROM cloudtrail_insight_events WHERE account = ? AND region = ? AND time < ?",
        (account, region, seconds - DAYS * 86_400),
    )
    return made == 1


def find(call: Call, lookup: Lookup, limit: int) -> Sequence[Found]:
    """The latest events that are meant, the latest first. Raises InternalFailure for one that was altered."""
    where, values = "", list[str | int]()
    if lookup.key:
        where = f"AND {_COLUMNS[lookup.key]} = ? "
        values.append(lookup.value)
    if lookup.after is not None:
        where += "AND (time < ? OR (time = ? AND id < ?)) "
        values += [lookup.after.time, lookup.after.time, lookup.after.id]
    rows = call.tx.all(
        "SELECT time, id, sealed FROM cloudtrail_insight_events "
        f"WHERE account = ? AND region = ? AND time >= ? AND time <= ? {where}"
        "ORDER BY time DESC, id DESC LIMIT ?",
        (lookup.account, lookup.region, lookup.start, lookup.end, *values, limit),
    )
    key = call.part(Trails).key(call.tx, lookup.account) if rows else None
    found = []
    for seconds, name, sealed in rows:
        assert key is not None
        try:
            text = key.unwrap(bytes(sealed), _PURPOSE, lookup.region, name).decode()
        except Tampered as error:
            raise AwsError("InternalFailure", "The stored event cannot be used.", 500) from error
        found.append(Found(Place(seconds, 0, name), text))
    return found


def shown(record: Mapping[str, Any], text: str) -> cloudtrail.Event:
    """An event as LookupEvents answers it."""
    details = record["insightDetails"]
    return {
        "EventId": record["eventID"],
        "EventName": details["eventName"],
        "EventTime": datetime.fromisoformat(record["eventTime"]),
        "EventSource": details["eventSource"],
        "Resources": [],
        "CloudTrailEvent": text,
    }
