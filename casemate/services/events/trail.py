"""Events out of the audit: 'AWS API Call via CloudTrail', for the rules that look for them.

Whoever reads the audit shows every call to an observer, and what is wanted comes into the outbox in the transaction
in which the reading moves on: neither lost nor twice. Calls of data planes are no such events, or a rule whose target
is a queue would be its own cause. Source: "AWS service events delivered via AWS CloudTrail".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from casemate.engine.cloudtrail.categories import is_management
from casemate.gate.observing import Gathered, Observer
from casemate.services.events.buses import Bus, Buses
from casemate.services.events.outbox import Outbox, Waiting
from casemate.services.events.store import DEFAULT
from casemate.store.cache import Miss
from casemate.store.database import Store, Tx

DETAIL_TYPE: Final = "AWS API Call via CloudTrail"

_BY_DELIVERY: Final = ("logs.amazonaws.com", "CreateLogStream")
"""What delivering an event to a log group may itself call."""


def event_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The event of a record, for the account that receives it."""
    return {
        "version": "0",
        # The same each time that it is read.
        "id": record["eventID"],
        "detail-type": DETAIL_TYPE,
        "source": "aws." + record["eventSource"].partition(".")[0],
        "account": record["recipientAccountId"],
        "time": record["eventTime"],
        "region": record["awsRegion"],
        "resources": [],
        "detail": record,
    }


def observer(store: Store, buses: Buses, outbox: Outbox) -> Observer:
    """Who is told of every call."""

    def bus_of(account: str, region: str) -> Bus:
        return store.read(lambda tx: buses.get(tx, account, region, DEFAULT))

    def see(record: Mapping[str, Any], gathered: Gathered) -> None:
        account, region = record.get("recipientAccountId"), record.get("awsRegion")
        if not account or not region or not is_management(record):
            return
        if (record["eventSource"], record["eventName"]) == _BY_DELIVERY:
            return
        bus = _known(buses, account, region) or bus_of(account, region)
        if (bus.rules or bus.archives) and bus.wants(event := event_of(record)):
            gathered[event["id"],] = (account, region, json.dumps(event))

    def keep(tx: Tx, gathered: Gathered) -> None:
        for account, region, text in gathered.values():
            bus = buses.get(tx, account, region, DEFAULT)
            outbox.put(tx, bus, Waiting(account, region, DEFAULT, json.loads(text)))

    return Observer(see, keep)


def _known(buses: Buses, account: str, region: str) -> Bus | None:
    """The default bus, if it is in memory."""
    try:
        return buses.get(None, account, region, DEFAULT)
    except Miss:
        return None
