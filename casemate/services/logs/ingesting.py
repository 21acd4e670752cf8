"""PutLogEvents."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from casemate.api import logs
from casemate.services.logs import batches, metric_filters, streams, subscriptions
from casemate.services.logs.encryption import DataKeys
from casemate.services.logs.groups import Group
from casemate.services.logs.refusals import invalid
from casemate.services.logs.targets import named_stream

if TYPE_CHECKING:
    from casemate.gate.call import Call

MOST_BYTES = 1_048_576
OF_EACH = 26
"""Bytes that an event counts for besides its message."""
_DAY = 86_400_000
TOO_NEW = 2 * 3_600_000
TOO_OLD = 14 * _DAY
"""Milliseconds ahead of the clock and behind it."""


@logs.PutLogEvents.writes(named_stream)
def put_log_events(call: Call, req: logs.PutLogEventsRequest, group: Group) -> logs.PutLogEventsResponse:
    """Store events; those too old or too new are left out, and the answer says which."""
    events = [(event["timestamp"], event["message"]) for event in req["logEvents"]]
    stream = streams.named(call.tx, group)
    stored = _checked_size(events)
    now = int(call.now * 1000)
    answer: logs.PutLogEventsResponse = {"nextSequenceToken": "0" * 56}
    oldest = now - TOO_OLD
    retention = group.setting("retention")
    expired = now - retention * _DAY if retention is not None else 0
    accepted = [event for event in events if max(oldest, expired) <= event[0] <= now + TOO_NEW]
    if len(accepted) != len(events):
        rejected: logs.RejectedLogEventsInfo = {}
        too_new = next((at for at, event in enumerate(events) if event[0] > now + TOO_NEW), None)
        too_old = sum(event[0] < oldest for event in events)
        gone = sum(event[0] < expired for event in events)
        if too_new is not None:
            rejected["tooNewLogEventStartIndex"] = too_new
        if too_old:
            rejected["tooOldLogEventEndIndex"] = too_old
        if gone:
            rejected["expiredLogEventEndIndex"] = gone
        answer["rejectedLogEventsInfo"] = rejected
        stored = sum(map(_size, accepted))
    if accepted:
        data_key, cipher = call.part(DataKeys).to_write(call, group.row)
        batch_id = batches.put(call.tx, group.id, stream.id, accepted, now, stored, data_key, cipher)
        streams.received(call.tx, stream, accepted[0][0], accepted[-1][0], now, stored)
        metric_filters.measure(call, group, accepted)
        subscriptions.deliver(call, group, batch_id, accepted)
    return answer


def _size(event: tuple[int, str]) -> int:
    message = event[1]
    return (len(message) if message.isascii() else len(message.encode())) + OF_EACH


def _checked_size(events: list[tuple[int, str]]) -> int:
    """What the events count for, in bytes. Raises InvalidParameterException for what AWS takes no batch of."""
    stored = sum(map(_size, events))
    if stored > MOST_BYTES:
        raise invalid(f"Upload too large: {stored} bytes exceeds limit of {MOST_BYTES}")
    timestamps = [timestamp for timestamp, _ in events]
    if any(one > other for one, other in pairwise(timestamps)):
        raise invalid("Log events in a single PutLogEvents request must be in chronological order.")
    if timestamps[-1] - timestamps[0] > batches.LONGEST:
        raise invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        )
    return stored
