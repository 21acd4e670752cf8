"""StartLiveTail: events as they come, in a stream that the client keeps open.

Each second what came since the last look is read, in one transaction in a thread; a session's KMS keys are asked for
again each minute.

Source: "StartLiveTail", "Troubleshoot with CloudWatch Logs Live Tail".
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from casemate.api import logs
from casemate.errors import AwsError
from casemate.gate.acting import in_background
from casemate.gate.operation import Need
from casemate.services.logs import batches, streams
from casemate.services.logs.encryption import TRUSTED_FOR, Cipher, DataKeys
from casemate.services.logs.groups import Groups
from casemate.services.logs.naming import group_arn
from casemate.services.logs.patterns import checked_pattern
from casemate.services.logs.query_targets import AskedGroups, tailed_groups
from casemate.services.logs.refusals import invalid

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.services.logs.groups import GroupRow

MOST_SESSIONS = 15
MOST_EVENTS = 500
"""Of one update; of more, these are shown."""
LASTS = 3 * 3600.0
_EVERY = 1.0
_LATE = 5_000
"""Milliseconds by which a batch's transaction may end later than its id was made."""
_BYTES = 4 * 1_048_576


class LiveTails:
    """How many sessions each account has in this worker: ``call.part(LiveTails)``. Used in the event loop."""

    def __init__(self) -> None:
        self.sessions: Counter[tuple[str, str]] = Counter()

    def __repr__(self) -> str:
        return f"<LiveTails of {self.sessions.total()}>"


@logs.StartLiveTail.reads(tailed_groups, Need("logs:StartLiveTail", lambda asked: asked.first))
def start_live_tail(
    call: Call, req: logs.StartLiveTailRequest, asked: AskedGroups
) -> logs.StartLiveTailResponse:
    """Send the events that come to groups from now on, for up to three hours."""
    if "logStreamNames" in req and "logStreamNamePrefixes" in req:
        raise invalid("Cannot specify both logStreamNames and logStreamNamePrefixes.")
    if ("logStreamNames" in req or "logStreamNamePrefixes" in req) and len(asked.groups) > 1:
        raise invalid("Log streams can be specified for a single log group only.")
    if call.part(LiveTails).sessions[call.account, call.region] >= MOST_SESSIONS:
        raise AwsError("LimitExceededException", "Resource limit exceeded.")
    call.stream(_events(_Session(call, req, [each.row for each in asked.groups])))
    return {}


async def _events(session: _Session) -> AsyncGenerator[bytes, None]:
    sessions, place, gate = session.sessions, session.place, session.gate
    sessions[place] += 1
    try:
        begun = time.monotonic()
        yield session.started()
        while not gate.parking.closing:
            await asyncio.sleep(_EVERY)
            if time.monotonic() - begun > LASTS:
                yield session.event("SessionTimeoutException", {"message": "The session has timed out."})
                return
            try:
                update = await gate.awaited(session.update)
            except AwsError as refusal:
                yield session.event("SessionStreamingException", {"message": refusal.message})
                return
            yield update
    finally:
        sessions[place] -= 1
        if not sessions[place]:
            del sessions[place]


class _Session:
    def __init__(self, call: Call, req: logs.StartLiveTailRequest, groups: Sequence[GroupRow]) -> None:
        self.gate = call.gate
        self.sessions = call.part(LiveTails).sessions
        self.place = (call.account, call.region)
        self.event = call.event
        self._request_id = call.request_id
        self._req = req
        self._groups = {row.id: row for row in groups}
        self._pattern = checked_pattern(req.get("logEventFilterPattern", ""))
        self._named = frozenset(req.get("logStreamNames", ()))
        self._prefixes = tuple(req.get("logStreamNamePrefixes", ()))
        self._names: dict[str, str] = {}
        self._since = time.time()
        # What came before is not shown, nor what was shown.
        self._seen: set[str] = set(batches.ids_since(call.tx, list(self._groups), _floor(self._since)))
        self._opened: dict[str, dict[str, Cipher]] = {}
        self._opened_at = 0.0

    def started(self) -> bytes:
        members: dict[str, Any] = {
            "requestId": self._request_id,
            "sessionId": self._request_id,
            "logGroupIdentifiers": [group_arn(*row.place) for row in self._groups.values()],
            "logEventFilterPattern": self._req.get("logEventFilterPattern", ""),
            "logStreamNames": list(self._named),
            "logStreamNamePrefixes": list(self._prefixes),
        }
        return self.event("sessionStart", members)

    def update(self) -> bytes:
        """What came since the last one; in a thread. Raises AwsError."""
        found = in_background(self.gate, self._look, reads=True)
        sampled = len(found) > MOST_EVENTS
        members = {"sessionMetadata": {"sampled": sampled}, "sessionResults": found[:MOST_EVENTS]}
        return self.event("sessionUpdate", members)

    def _look(self, call: Call) -> list[Mapping[str, Any]]:
        now, moment = time.time(), time.monotonic()
        if moment - self._opened_at > TRUSTED_FOR:
            self._opened, self._opened_at = {}, moment
        found: list[Mapping[str, Any]] = []
        seen: set[str] = set()
        left = _BYTES
        for group_id, row in self._groups.items():
            if call.part(Groups).by_id(call.tx, group_id) is None:
                continue
            ciphers = call.part(DataKeys).to_read(call, row, self._opened.setdefault(group_id, {}))
            for batch_id in batches.ids_since(call.tx, [group_id], _floor(self._since)):
                seen.add(batch_id)
                batch = (
                    None if batch_id in self._seen or left < 0 else batches.by_id(call.tx, group_id, batch_id)
                )
                if batch is None:
                    continue
                stream = self._name(call, group_id, batch.stream_id)
                if not self._wants(stream):
                    continue
                identifier = f"{row.account}:{row.name}"
                for timestamp, _, message in batches.opened(
                    group_id, batch, ciphers[batch.data_key], self._pattern
                ):
                    left -= len(message)
                    found.append(
                        {
                            "logStreamName": stream,
                            "logGroupIdentifier": identifier,
                            "message": message,
                            "timestamp": timestamp,
                            "ingestionTime": batch.ingested,
                        }
                    )
                    if len(found) > MOST_EVENTS or left < 0:
                        break
        self._seen, self._since = seen, now
        return found

    def _name(self, call: Call, group_id: str, stream_id: str) -> str:
        if stream_id not in self._names:
            self._names.update(streams.by_ids(call.tx, group_id, [stream_id]))
        return self._names.get(stream_id, "")

    def _wants(self, stream: str) -> bool:
        if self._named:
            return stream in self._named
        return not self._prefixes or stream.startswith(self._prefixes)


def _floor(moment: float) -> str:
    """No id of a batch that was made later is less."""
    return f"{max(0, int(moment * 1000) - _LATE):012x}"
