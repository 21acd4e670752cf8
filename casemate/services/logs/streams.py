"""Log streams: their rows, and CreateLogStream, DeleteLogStream, DescribeLogStreams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.api import logs
from casemate.errors import AwsError
from casemate.gate.markers import read_marker, write_marker
from casemate.services.logs import incoming
from casemate.services.logs.groups import Group
from casemate.services.logs.naming import stream_arn
from casemate.services.logs.refusals import bad_token, invalid, no_stream
from casemate.services.logs.targets import identified_group, named_group, named_stream
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.store.database import Tx

_COLUMNS = "name, id, created, first_event, last_event, last_ingestion, stored"
_SELECT = f"SELECT {_COLUMNS} FROM logs_streams WHERE group_id = ?"


class Stream(NamedTuple):
    """Times are milliseconds since the epoch, None before the first event; stored: bytes of all that ever came."""

    name: str
    id: str
    created: int
    first_event: int | None
    last_event: int | None
    last_ingestion: int | None
    stored: int


def find(tx: Tx, group_id: str, name: str) -> Stream | None:
    row = tx.one(_SELECT + " AND name = ?", (group_id, name))
    return None if row is None else Stream(*row)


def named(tx: Tx, group: Group) -> Stream:
    """The stream that the request names. Raises ResourceNotFoundException."""
    found = find(tx, group.id, group.stream)
    if found is None:
        raise no_stream()
    return found


def beginning_with(tx: Tx, group_id: str, prefix: str, limit: int) -> list[Stream]:
    rows = tx.all(
        _SELECT + " AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?", (group_id, len(prefix), prefix, limit)
    )
    return [Stream(*row) for row in rows]


def after(tx: Tx, group_id: str, prefix: str, name: str, limit: int) -> list[tuple[str, str]]:
    """Ids and names of the streams that begin with a prefix and come after a name, by name."""
    rows = tx.all(
        "SELECT id, name FROM logs_streams WHERE group_id = ? AND substr(name, 1, ?) = ? AND name > ? "
        "ORDER BY name LIMIT ?",
        (group_id, len(prefix), prefix, name, limit),
    )
    return [(row[0], row[1]) for row in rows]


def by_ids(tx: Tx, group_id: str, ids: list[str]) -> dict[str, str]:
    """The names of streams by id; without those that are no more."""
    marks = ", ".join("?" * len(ids))
    rows = tx.all(
        f"SELECT id, name FROM logs_streams WHERE group_id = ? AND id IN ({marks})", (group_id, *ids)
    )
    return dict(rows)


def received(tx: Tx, stream: Stream, first: int, last: int, ingested: int, stored: int) -> None:
    """Events came: from first to last."""
    tx.run(
        "UPDATE logs_streams SET first_event = ?, last_event = ?, last_ingestion = ?, stored = stored + ? "
        "WHERE id = ?",
        (
            first if stream.first_event is None else min(first, stream.first_event),
            last if stream.last_event is None else max(last, stream.last_event),
            ingested,
            stored,
            stream.id,
        ),
    )


@logs.CreateLogStream.writes(named_group)
def create_log_stream(
    call: Call, req: logs.CreateLogStreamRequest, group: Group
) -> logs.CreateLogStreamResponse:
    """Make a stream."""
    made = call.tx.run(
        "INSERT INTO logs_streams (group_id, name, id, created, stored) VALUES (?, ?, ?, ?, 0) "
        "ON CONFLICT DO NOTHING",
        (group.id, req["logStreamName"], new_id(), int(call.now * 1000)),
    )
    if not made:
        raise AwsError("ResourceAlreadyExistsException", "The specified log stream already exists")
    incoming.schedule(call.tx, call.now)
    return {}


@logs.DeleteLogStream.writes(named_stream)
def delete_log_stream(
    call: Call, req: logs.DeleteLogStreamRequest, group: Group
) -> logs.DeleteLogStreamResponse:
    """Remove a stream and its events."""
    stream = named(call.tx, group)
    call.tx.run("DELETE FROM logs_batches WHERE stream_id = ?", (stream.id,))
    call.tx.run("DELETE FROM logs_streams WHERE id = ?", (stream.id,))
    return {}


@logs.DescribeLogStreams.reads(identified_group)
def describe_log_streams(
    call: Call, req: logs.DescribeLogStreamsRequest, group: Group
) -> logs.DescribeLogStreamsResponse:
    """Streams of a group by name, or by their last event; those without events come as if theirs were the oldest."""
    order, prefix = req.get("orderBy", "LogStreamName"), req.get("logStreamNamePrefix", "")
    limit, down = req.get("limit", 50), req.get("descending", False)
    if order == "LastEventTime" and prefix:
        raise invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
    by_time = order == "LastEventTime"
    where, values = " AND substr(name, 1, ?) = ?", [len(prefix), prefix]
    token = req.get("nextToken")
    if token is not None:
        last_event, name = _after(token, order, down)
        beyond = "<" if down else ">"
        if by_time:
            where += f" AND (coalesce(last_event, 0), name) {beyond} (?, ?)"
            values += [last_event, name]
        else:
            where += f" AND name {beyond} ?"
            values.append(name)
    way = "DESC" if down else "ASC"
    columns = f"coalesce(last_event, 0) {way}, name {way}" if by_time else f"name {way}"
    rows = call.tx.all(f"{_SELECT}{where} ORDER BY {columns} LIMIT ?", (group.id, *values, limit + 1))
    found = [Stream(*row) for row in rows]
    shown = found[:limit]
    more: Any = {}
    if len(found) > limit:
        more = {
            "nextToken": write_marker(_scope(order, down), f"{shown[-1].last_event or 0} {shown[-1].name}")
        }
    return {"logStreams": [_described(group, stream) for stream in shown], **more}  # type: ignore[typeddict-item]


def _scope(order: str, down: bool) -> str:
    return f"DescribeLogStreams {order} {down}"


def _after(token: str, order: str, down: bool) -> tuple[int, str]:
    marker = read_marker(_scope(order, down), token)
    last_event, _, name = (marker or "").partition(" ")
    if not last_event.isdecimal() or not name:
        raise bad_token()
    return int(last_event), name


def _described(group: Group, stream: Stream) -> logs.LogStream:
    account, region, name = group.row.place
    shown: logs.LogStream = {
        "logStreamName": stream.name,
        "creationTime": stream.created,
        "arn": stream_arn(account, region, name, stream.name),
        # No longer told of streams; of groups it is.
        "storedBytes": 0,
        "uploadSequenceToken": "0" * 56,
    }
    if stream.first_event is not None and stream.last_event is not None and stream.last_ingestion is not None:
        shown["firstEventTimestamp"] = stream.first_event
        shown["lastEventTimestamp"] = stream.last_event
        shown["lastIngestionTime"] = stream.last_ingestion
    return shown
