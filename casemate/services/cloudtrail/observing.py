"""What trails see of the audit: whoever reads it shows every record to an observer, and what a trail wants comes into
its queues in the transaction in which the reading moves on, neither lost nor twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orjson import dumps

from casemate.engine.cloudtrail import files
from casemate.engine.cloudtrail.categories import DATA
from casemate.engine.cloudtrail.selectors import category
from casemate.engine.envelope.errors import Tampered
from casemate.gate.observing import Gathered, Observer
from casemate.services.cloudtrail.insights import MINUTES, count
from casemate.services.cloudtrail.insights import keep as keep_minute
from casemate.services.cloudtrail.naming import SERVICE
from casemate.services.cloudtrail.pending import TO_LOGS, Packing, Queue, put
from casemate.store.cache import Miss

if TYPE_CHECKING:
    from casemate.clock import Clock
    from casemate.gate.organization import Organizations
    from casemate.services.cloudtrail.trails import Tap, Trails
    from casemate.store.database import Store, Tx

log = logging.getLogger("casemate.cloudtrail")


def observer(store: Store, trails: Trails, organizations: Organizations, clock: Clock) -> Observer:
    """Who is told of every record."""

    def taps(account: str, tx: Tx | None) -> Sequence[Tap]:
        return trails.taps(account, organizations.standing(account, tx).organization, tx)

    def see(record: Mapping[str, Any], gathered: Gathered) -> None:
        account = record.get("recipientAccountId")
        if not account or not record.get("awsRegion"):
            return
        try:
            found = _known(taps, account)
            if found is None:
                found = store.read(lambda tx: taps(account, tx))
        except Tampered as error:
            log.error("the trails of account %s are not used: %s", account, error)
            return
        if found:
            _show(record, account, found, gathered)

    def keep(tx: Tx, gathered: Gathered) -> None:
        for name, found in gathered.items():
            if name[0] == MINUTES:
                if trails.is_there(tx, name[1]):
                    keep_minute(tx, name, *found)
                continue
            owner, packing = found
            queue = Queue(*name)
            if trails.is_there(tx, queue.trail):
                put(tx, trails.key(tx, owner), queue, packing, clock.now())

    return Observer(see, keep, all=True)


def _known(taps: Callable[[str, Tx | None], Sequence[Tap]], account: str) -> Sequence[Tap] | None:
    """What is in memory; None where it is not."""
    try:
        return taps(account, None)
    except Miss:
        return None


def _show(record: Mapping[str, Any], account: str, taps: Sequence[Tap], gathered: Gathered) -> None:
    at = datetime.fromisoformat(record["eventTime"]).timestamp()
    own = is_own(record)
    text = b""
    for tap in taps:
        if not tap.logged_at(at) or not tap.wants(record, own):
            continue
        text = text or _text(record)
        trail = tap.trail
        if tap.insights:
            count(tap, record, at, gathered)
        kinds = (files.LOGS, TO_LOGS) if trail.get("LogGroup") else (files.LOGS,)
        for kind in kinds:
            queue = Queue(trail.id, kind, account, record["awsRegion"])
            if queue not in gathered:
                gathered[queue] = trail.place.account, Packing()
            gathered[queue][1].add(text, own)


def is_own(record: Mapping[str, Any]) -> bool:
    """Whether it is of what CloudTrail does to deliver."""
    return bool(record["userIdentity"].get("invokedBy") == SERVICE)


def _text(record: Mapping[str, Any]) -> bytes:
    if record["managementEvent"] and category(record) == DATA:
        # Written before records told data events.
        record = {**record, "managementEvent": False, "eventCategory": DATA}
    return dumps(record)
