"""LookupEvents: the management events of an account in a Region, of the last 90 days. Source: "LookupEvents"."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from casemate.api import cloudtrail
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate.resource import Resource
from casemate.services.cloudtrail import found_events, insight_history, page_tokens
from casemate.services.cloudtrail.history import Found, History, HistoryReader, Lookup
from casemate.services.cloudtrail.refusals import bad_attributes, bad_times, bad_token
from casemate.store.journal_format import JournalTampered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from casemate.gate.call import Call

log = logging.getLogger("casemate.cloudtrail")

DAYS: Final = 90
_LONGEST: Final = 2000
_DOUBLED: Final = "_ ,\n"
"""Characters that count as two."""
_OF_INSIGHTS: Final = frozenset({"EventId", "EventName", "EventSource"})


def account_wide(call: Call, request: Mapping[str, Any]) -> Resource:
    """All of the caller's account."""
    return Resource("*", call.account)


@cloudtrail.LookupEvents.reads(account_wide)
def lookup_events(
    call: Call, req: cloudtrail.LookupEventsRequest, target: Resource
) -> cloudtrail.LookupEventsResponse:
    """Management events of the last 90 days, the latest first."""
    insights = req.get("EventCategory") == "insight"
    key, value = _attribute(req, _OF_INSIGHTS if insights else None)
    start, end = _seconds(req.get("StartTime")), _seconds(req.get("EndTime"))
    oldest = int(call.now) - DAYS * 86400
    if start is not None and end is not None and start > end:
        raise bad_times("The start time must be before the end time.")
    if end is not None and end < oldest:
        raise bad_times(f"The time range must be within the last {DAYS} days.")
    asked = page_tokens.digest([call.account, call.region, insights, key, value, start, end])
    token = None
    if "NextToken" in req:
        token = page_tokens.read(req["NextToken"], asked, call.now)
        if token is None:
            raise bad_token()
    lookup = Lookup(
        call.account,
        call.region,
        key,
        value,
        max(start or 0, oldest),
        # What came since the first page belongs to none.
        end if end is not None else token.until if token is not None else int(call.now) + 1,
        None if token is None else token.after,
    )
    limit = req.get("MaxResults", 50)
    find, shown = (insight_history.find, insight_history.shown) if insights else (_find, found_events.shown)
    found = find(call, lookup, limit + 1)
    answer: cloudtrail.LookupEventsResponse = {
        "Events": [shown(each.record, each.text) for each in found[:limit]]
    }
    if len(found) > limit:
        following = page_tokens.Token(found[limit - 1].place, lookup.end)
        answer["NextToken"] = page_tokens.write(following, asked, call.now)
    return answer


def _find(call: Call, lookup: Lookup, limit: int) -> Sequence[Found]:
    history, reader = call.part(History), call.part(HistoryReader)

    def look() -> Sequence[Found]:
        _catch_up(reader)
        return call.gate.store.read(lambda tx: history.find(tx, lookup, limit))

    try:
        # The archive may be another machine's, and slow.
        return call.before("history", look, waits=True)
    except Tampered as error:
        log.error("the history cannot be read: %s", error)
        raise AwsError("InternalFailure", "The history of events cannot be read.", 500) from error


def _catch_up(reader: HistoryReader) -> None:
    # Where the journal is not as it was written, what was read of it can be looked up all the same.
    with contextlib.suppress(JournalTampered):
        reader.catch_up()


def _attribute(req: cloudtrail.LookupEventsRequest, known: frozenset[str] | None) -> tuple[str, str]:
    """What is looked up, two times '' where nothing is named. Raises InvalidLookupAttributesException."""
    attributes = req.get("LookupAttributes") or []
    if not attributes:
        return "", ""
    if len(attributes) > 1:
        raise bad_attributes("You can specify only one lookup attribute.")
    key, value = attributes[0]["AttributeKey"], attributes[0]["AttributeValue"]
    if known is not None and key not in known:
        raise bad_attributes(f"The lookup attribute {key} is not supported for Insights events.")
    if len(value) + sum(map(value.count, _DOUBLED)) > _LONGEST:
        raise bad_attributes(f"An attribute value can have {_LONGEST} characters at most.")
    if key == "ReadOnly" and value not in ("true", "false"):
        raise bad_attributes("The value of the lookup attribute ReadOnly is true or false.")
    return key, value


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
