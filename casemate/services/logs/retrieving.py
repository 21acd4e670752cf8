"""GetLogEvents and FilterLogEvents."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from casemate.api import logs
from casemate.gate.markers import read_marker, write_marker
from casemate.services.logs import streams
from casemate.services.logs.batches import Selection
from casemate.services.logs.encryption import DataKeys
from casemate.services.logs.events import Budget, Event, Position, ascending, descending, read_position
from casemate.services.logs.groups import Group, GroupRow
from casemate.services.logs.patterns import checked_pattern
from casemate.services.logs.refusals import bad_token, invalid, no_stream
from casemate.services.logs.targets import identified_group, identified_stream

if TYPE_CHECKING:
    from casemate.gate.call import Call

MOST_EVENTS = 10_000
MOST_BYTES = 1_048_576
"""Of one answer."""
SCANNED = 64 * 1_048_576
"""Bytes of events that one FilterLogEvents looks at, at most: it answers with what it found, and where to go on."""
_FOREVER = 1 << 43
_DAY = 86_400_000
_FILTER = "FilterLogEvents"
_MOST_STREAMS = 100


def oldest_shown(group: GroupRow, now: float) -> int:
    """What is older is expired, whether it is deleted yet or not; milliseconds since the epoch."""
    retention = group.settings.get("retention")
    return 0 if retention is None else int(now * 1000) - retention * _DAY


@logs.GetLogEvents.reads(identified_stream)
def get_log_events(call: Call, req: logs.GetLogEventsRequest, group: Group) -> logs.GetLogEventsResponse:
    """A stream's events, the latest ones unless startFromHead or a token says otherwise, in the order of time."""
    stream = streams.named(call.tx, group)
    start = max(req.get("startTime", 0), oldest_shown(group.row, call.now))
    # The end is not included.
    wanted = Selection(group.id, [stream.id], start, min(req.get("endTime", _FOREVER), _FOREVER) - 1)
    limit = req.get("limit", MOST_EVENTS)
    ciphers = call.part(DataKeys).to_read(call, group.row)
    token = req.get("nextToken")
    position: Position | None = None
    onwards = req.get("startFromHead", False)
    if token is not None:
        onwards, position = _read_token(token)
    if onwards:
        found = _fitting(islice(ascending(call.tx, wanted, ciphers, position), limit))
    else:
        found = _fitting(islice(descending(call.tx, wanted, ciphers, position), limit))[::-1]
    if found:
        first, last = found[0].position, found[-1].position
    else:
        # Nothing more to that side: the same tokens again.
        first = last = position or (
            Position(start, 0, 0) if onwards else Position(min(wanted.end, _FOREVER), 0, 0)
        )
    return {
        "events": [
            {"timestamp": event.position.timestamp, "message": event.message, "ingestionTime": event.ingested}
            for event in found
        ],
        "nextForwardToken": f"f/{last}/s",
        "nextBackwardToken": f"b/{first}/s",
    }


def _read_token(token: str) -> tuple[bool, Position]:
    """Whether it leads forwards, and from where. Raises InvalidParameterException."""
    way, _, rest = token.partition("/")
    digits, _, end = rest.partition("/")
    position = read_position(digits)
    if way not in ("f", "b") or end != "s" or position is None:
        raise bad_token()
    return way == "f", position


def _fitting(events: Iterable[Event]) -> list[Event]:
    """As many as one answer holds; at least one."""
    found: list[Event] = []
    left = MOST_BYTES
    for event in events:
        left -= len(event.message) if event.message.isascii() else len(event.message.encode())
        if left < 0 and found:
            break
        found.append(event)
    return found


@logs.FilterLogEvents.reads(identified_group)
def filter_log_events(
    call: Call, req: logs.FilterLogEventsRequest, group: Group
) -> logs.FilterLogEventsResponse:
    """The events of a group, or of some of its streams, that a pattern means, in the order of time."""
    if not req.get("startFromHead", True):
        raise invalid("Only startFromHead is supported.")
    pattern = checked_pattern(req.get("filterPattern", ""))
    names: dict[str, str] = {}
    ids = _streams(call, req, group, names)
    start = max(req.get("startTime", 0), oldest_shown(group.row, call.now))
    wanted = Selection(group.id, ids, start, min(req.get("endTime", _FOREVER), _FOREVER))
    token = req.get("nextToken")
    position = None
    if token is not None:
        position = read_position(read_marker(_FILTER, token) or "")
        if position is None:
            raise bad_token()
    limit = req.get("limit", MOST_EVENTS)
    budget = Budget(SCANNED)
    ciphers = call.part(DataKeys).to_read(call, group.row)
    matching = ascending(call.tx, wanted, ciphers, position, pattern, budget)
    # One more than is shown tells whether there are more.
    found = list(islice(matching, limit + 1)) if ids != [] else []
    shown = _fitting(found[:limit])
    more: Any = {}
    if len(shown) < len(found):
        more = {"nextToken": write_marker(_FILTER, str(shown[-1].position))}
    elif budget.resume is not None:
        more = {"nextToken": write_marker(_FILTER, str(budget.resume))}
    unnamed = list({event.stream_id for event in shown} - names.keys())
    for at in range(0, len(unnamed), _MOST_STREAMS):
        names.update(streams.by_ids(call.tx, group.id, unnamed[at : at + _MOST_STREAMS]))
    return {
        "events": [
            {
                "logStreamName": names.get(event.stream_id, ""),
                "timestamp": event.position.timestamp,
                "message": event.message,
                "ingestionTime": event.ingested,
                "eventId": str(event.position),
            }
            for event in shown
        ],
        "searchedLogStreams": [],
        **more,  # type: ignore[typeddict-item]
    }


def _streams(
    call: Call, req: logs.FilterLogEventsRequest, group: Group, names: dict[str, str]
) -> list[str] | None:
    """The ids of the streams that are asked for, None for all; their names are put into names."""
    asked, prefix = req.get("logStreamNames"), req.get("logStreamNamePrefix")
    if asked is not None and prefix is not None:
        raise invalid("Cannot specify both logStreamNames and logStreamNamePrefix.")
    if asked is not None:
        found = [streams.find(call.tx, group.id, name) for name in dict.fromkeys(asked)]
        if None in found:
            raise no_stream()
        chosen = [stream for stream in found if stream is not None]
    elif prefix is not None:
        chosen = streams.beginning_with(call.tx, group.id, prefix, _MOST_STREAMS)
    else:
        return None
    names.update({stream.id: stream.name for stream in chosen})
    return [stream.id for stream in chosen]
