"""GetLogRecord, GetLogGroupFields: what a record of Logs Insights has, and which fields a group's records have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from casemate.api import logs
from casemate.engine.logs.insights.running import shown_value
from casemate.engine.logs.json_pattern import event_of
from casemate.gate.operation import Need
from casemate.services.logs import batches, streams
from casemate.services.logs.batches import Selection
from casemate.services.logs.encryption import DataKeys
from casemate.services.logs.events import descending
from casemate.services.logs.groups import Group
from casemate.services.logs.query_targets import Record, no_record, pointed_record
from casemate.services.logs.retrieving import oldest_shown
from casemate.services.logs.targets import identified_group

if TYPE_CHECKING:
    from casemate.gate.call import Call

MOST_FIELDS = 200
"""Of an event's JSON that are discovered."""
_DEEPEST = 20
_SAMPLE = 1_000
_AROUND, _BEFORE = 8 * 60_000, 15 * 60_000
_SYSTEM = ("@timestamp", "@ingestionTime", "@logStream", "@message", "@log")


def fields_of(message: str) -> dict[str, str]:
    """The fields that are discovered in an event: "a.b", and "a.0" of arrays."""
    event = event_of(message)
    return dict(islice(_flat("", event, 0), MOST_FIELDS)) if isinstance(event, dict) else {}


def _flat(name: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict | list):
        if depth < _DEEPEST:
            members = value.items() if isinstance(value, dict) else enumerate(value)
            for each, inner in members:
                yield from _flat(f"{name}.{each}" if name else str(each), inner, depth + 1)
    elif value is not None:
        text = str(value).lower() if isinstance(value, bool) else shown_value(value, "any")
        if text is not None:
            yield name, text


@logs.GetLogRecord.reads(pointed_record, Need("logs:GetLogRecord", lambda record: record.group))
def get_log_record(call: Call, req: logs.GetLogRecordRequest, record: Record) -> logs.GetLogRecordResponse:
    """All fields of an event, by the pointer that a query's result gave."""
    group = record.group
    assert isinstance(group, Group)
    batch = batches.by_id(call.tx, group.id, record.batch)
    if batch is None:
        raise no_record()
    cipher = call.part(DataKeys).to_read(call, group.row)[batch.data_key]
    events = list(batches.opened(group.id, batch, cipher, None))
    if record.number >= len(events) or events[record.number][0] < oldest_shown(group.row, call.now):
        raise no_record()
    timestamp, _, message = events[record.number]
    stream = streams.by_ids(call.tx, group.id, [batch.stream_id]).get(batch.stream_id, "")
    return {
        "logRecord": {
            **fields_of(message),
            "@timestamp": str(timestamp),
            "@ingestionTime": str(batch.ingested),
            "@message": message,
            "@logStream": stream,
            "@log": f"{group.account}:{group.name}",
            "@ptr": req["logRecordPointer"],
        }
    }


@logs.GetLogGroupFields.reads(identified_group)
def get_log_group_fields(
    call: Call, req: logs.GetLogGroupFieldsRequest, group: Group
) -> logs.GetLogGroupFieldsResponse:
    """Which fields the events around a time, or of the last 15 minutes, have, and how many per cent of them."""
    now = int(call.now * 1000)
    moment = req.get("time")
    if moment is None:
        start, end = now - _BEFORE, now
    else:
        start, end = moment * 1000 - _AROUND, moment * 1000 + _AROUND
    wanted = Selection(group.id, None, max(0, start, oldest_shown(group.row, call.now)), min(end, 1 << 53))
    ciphers = call.part(DataKeys).to_read(call, group.row)
    events = list(islice(descending(call.tx, wanted, ciphers), _SAMPLE))
    if not events:
        return {"logGroupFields": []}
    counted = Counter(name for event in events for name in fields_of(event.message))
    counted.update(dict.fromkeys(_SYSTEM, len(events)))
    found = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return {
        "logGroupFields": [
            {"name": name, "percent": -(-100 * count // len(events))} for name, count in found[:1_000]
        ]
    }
