"""Writes exports: of each stream gzipped files, which a transaction each puts into the bucket, as CloudWatch Logs.

A task is a job. One whose server is killed begins again, and its files take the places of those that are there.
"""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from casemate.api import s3
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError, origin
from casemate.gate.acting import Actor, in_background, perform
from casemate.services.logs import streams
from casemate.services.logs.batches import Selection
from casemate.services.logs.encryption import PRINCIPAL, Cipher, DataKeys
from casemate.services.logs.events import Budget, Event, Position, ascending
from casemate.services.logs.export_store import ACTIVE, Export, Exports
from casemate.services.logs.groups import Groups
from casemate.services.logs.naming import group_arn
from casemate.services.logs.retrieving import oldest_shown
from casemate.store import jobs
from casemate.store.errors import StoreError
from casemate.store.jobs import ELSEWHERE

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.gate import Gate
    from casemate.store.database import Tx
    from casemate.store.jobs import Job

log = logging.getLogger("casemate.logs")

RUN = "logs.export"
FILE = 64 * 1_048_576
"""Characters of a file before it is compressed, more or less."""
_READ = 8 * 1_048_576
"""Bytes of events that one transaction reads."""
_STREAMS = 100


class _Over(Exception):
    """The task was cancelled."""


class _Closing(Exception):
    """The server is about to end: the lease runs out, and the task begins again."""


def actor(export: Export) -> Actor:
    """CloudWatch Logs for a task."""
    arn = group_arn(export.account, export.region, export.asked["name"])
    return Actor(PRINCIPAL, export.account, export.region, source_arn=arn)


def put(call: Call, bucket: str, key: str, body: bytes) -> None:
    """Put an object. Raises AwsError."""
    s3.PutObject.ask(call, {"Bucket": bucket, "Key": key, "Body": body, "ACL": "bucket-owner-full-control"})


def schedule(tx: Tx, export: Export, now: float) -> None:
    """Begin a task."""
    jobs.schedule(tx, RUN, now, {"key": list(export.key)}, id=f"{RUN} {export.id}")


def runner(gate: Gate) -> Callable[[Job], object]:
    """Runs a task in a thread of its own."""

    def run(job: Job) -> object:
        gate.apart(lambda: _guarded(gate, job))
        return ELSEWHERE

    return run


def _guarded(gate: Gate, job: Job) -> None:
    account, region, task = job.payload["key"]
    key = (account, region, task)
    status, message = "COMPLETED", "Completed successfully"
    try:
        export = gate.store.write(lambda tx: _begin(gate, tx, key))
        if export is not None:
            _Writing(gate, job, export).run()
    except _Over:
        pass
    except _Closing:
        return
    except (AwsError, Tampered) as error:
        status, message = "FAILED", error.code if isinstance(error, AwsError) else "InternalFailure"
    except StoreError as error:
        # The lease runs out, and it begins again.
        log.warning("an export is not finished: %s", error)
        return
    except Exception as defect:
        log.error("an export failed: %s", origin(defect))
        status, message = "FAILED", "InternalFailure"

    def over(tx: Tx) -> None:
        gate.parts[Exports].change(tx, key, status, int(gate.clock.now() * 1000), message)
        job.finish(tx)

    try:
        gate.store.write(over)
    except StoreError as error:
        log.warning("an export is not finished: %s", error)


def _begin(gate: Gate, tx: Tx, key: tuple[str, str, str]) -> Export | None:
    gate.parts[Exports].change(tx, key, "RUNNING")
    export = gate.parts[Exports].find(tx, key)
    return export if export is not None and export.status in ACTIVE else None


class _Writing:
    """One run of a task."""

    def __init__(self, gate: Gate, job: Job, export: Export) -> None:
        self._gate = gate
        self._job = job
        self._export = export
        self._opened: dict[str, Cipher] = {}

    def run(self) -> None:
        """Raises AwsError, Tampered, _Over."""
        for stream_id, name in self._streams():
            files = 0
            lines: list[str] = []
            size = 0
            for event in self._events(stream_id):
                line = _line(event)
                lines.append(line)
                size += len(line)
                if size >= FILE:
                    self._write(name, files, lines)
                    files, lines, size = files + 1, [], 0
            if lines:
                self._write(name, files, lines)

    def _streams(self) -> Iterator[tuple[str, str]]:
        asked = self._export.asked
        after = ""
        while True:

            def read(call: Call, after: str = after) -> list[tuple[str, str]]:
                return streams.after(call.tx, asked["group"], asked["streams"], after, _STREAMS)

            found = in_background(self._gate, read, reads=True)
            yield from found
            if len(found) < _STREAMS:
                return
            after = found[-1][1]

    def _events(self, stream_id: str) -> Iterator[Event]:
        position: Position | None = None
        more = True
        while more:

            def read(call: Call, position: Position | None = position) -> tuple[list[Event], Position | None]:
                return self._read(call, stream_id, position)

            found, position = in_background(self._gate, read, reads=True)
            yield from found
            more = position is not None

    def _read(
        self, call: Call, stream_id: str, position: Position | None
    ) -> tuple[list[Event], Position | None]:
        """Some events, and where to go on."""
        if self._gate.parking.closing:
            raise _Closing
        export = call.part(Exports).find(call.tx, self._export.key)
        group = call.part(Groups).by_id(call.tx, self._export.asked["group"])
        if export is None or export.status not in ACTIVE:
            raise _Over
        if group is None:
            return [], None
        start = max(export.asked["start"], oldest_shown(group, call.now))
        wanted = Selection(group.id, [stream_id], start, export.asked["end"])
        ciphers = call.part(DataKeys).to_read(call, group, self._opened)
        budget = Budget(_READ)
        events = list(ascending(call.tx, wanted, ciphers, position, None, budget))
        return events, budget.resume

    def _write(self, stream: str, number: int, lines: list[str]) -> None:
        asked = self._export.asked
        key = f"{asked['prefix']}/{self._export.id}/{stream.replace('/', '-')}/{number:06d}.gz"
        body = gzip.compress("".join(lines).encode(), 6, mtime=0)
        perform(self._gate, actor(self._export), lambda call: put(call, asked["bucket"], key, body))
        self._gate.store.write(self._job.renew)


def _line(event: Event) -> str:
    timestamp = event.position.timestamp
    moment = datetime.fromtimestamp(timestamp / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{timestamp % 1000:03d}Z {event.message}\n"
