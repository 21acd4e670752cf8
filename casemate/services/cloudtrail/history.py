"""The history of events, as lookups read it: out of the audit journal."""

from __future__ import annotations

import heapq
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from orjson import loads

from casemate.errors import AwsError
from casemate.services.cloudtrail.found_events import values
from casemate.services.cloudtrail.page_tokens import Place
from casemate.store.journal_format import JournalTampered, SegmentCipher
from casemate.store.journal_reader import read_journal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from casemate.gate.call import Call


class Lookup(NamedTuple):
    """What is looked for: events from start to end, both included, seconds since the epoch; before a place, where
    one is given. key: an attribute, '' for whatever there is."""

    account: str
    region: str
    key: str
    value: str
    start: int
    end: int
    after: Place | None = None

    def means(self, record: Mapping[str, Any]) -> bool:
        """Whether a record of this account and Region is meant, whatever its time."""
        return not self.key or self.value in values(record, self.key)


class Found(NamedTuple):
    place: Place
    text: str
    record: Mapping[str, Any]


class History:
    """journal: the audit's; cipher: opens it."""

    def __init__(self, journal: Path, cipher: SegmentCipher) -> None:
        self._journal = journal
        self._cipher = cipher

    def find(self, call: Call, lookup: Lookup, limit: int) -> Sequence[Found]:
        """The latest events that are meant, the latest first. Raises InternalFailure when it cannot be read."""
        found: list[Found] = call.before("history", lambda: self._scan(lookup, limit))
        return found

    def _scan(self, lookup: Lookup, limit: int) -> list[Found]:
        if not self._journal.is_dir():
            return []
        latest: list[tuple[Place, bytes]] = []
        recipient = f'"recipientAccountId":"{lookup.account}"'.encode()
        try:
            for position, text in read_journal(self._journal, self._cipher):
                if recipient not in text:
                    continue
                record = loads(text)
                if not record["managementEvent"] or record["awsRegion"] != lookup.region:
                    continue
                time = int(datetime.fromisoformat(record["eventTime"]).timestamp())
                place = Place(time, position.time_ns + position.record, record["eventID"])
                if not lookup.start <= time <= lookup.end or (lookup.after and place >= lookup.after):
                    continue
                if record["recipientAccountId"] == lookup.account and lookup.means(record):
                    (heapq.heappush if len(latest) < limit else heapq.heappushpop)(latest, (place, text))
        except JournalTampered as error:
            raise AwsError("InternalFailure", "The audit cannot be read.", 500) from error
        return [Found(place, text.decode(), loads(text)) for place, text in sorted(latest, reverse=True)]
