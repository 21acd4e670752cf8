"""Deliveries: what waits in a trail's queues becomes log files in its bucket, and log events in its log group.

A file is written by S3's own PutObject, asked as CloudTrail, in the transaction that takes its events out of the
queue: whatever ends a delivery, an event is in one file, once. A file is named by the rows that it is of. Events of
CloudTrail's own deliveries wait until there are others, or they would cause deliveries for ever. Source: "How
CloudTrail works", "Getting and viewing your CloudTrail log files".
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from orjson import loads

from casemate.api import logs, sns
from casemate.engine.cloudtrail import files
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError, origin
from casemate.gate.acting import perform
from casemate.gate.billing import UsageReader
from casemate.services.cloudtrail import checks, digesting, insights, pending, status
from casemate.services.cloudtrail.bucket import Taken, in_bucket, place_of, write
from casemate.services.cloudtrail.pending import TO_LOGS, Queue, Waiting
from casemate.services.cloudtrail.reading import catch_up
from casemate.services.cloudtrail.scheduling import NOTIFY, deliver_at
from casemate.services.cloudtrail.trails import Trail, Trails
from casemate.store.errors import StoreError
from casemate.store.ids import new_id
from casemate.store.jobs import ELSEWHERE, LeaseLost, schedule

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.gate import Gate
    from casemate.store.database import Tx
    from casemate.store.jobs import Job

log = logging.getLogger("casemate.cloudtrail")

TRIED_FOR = 30 * 86_400.0
"""Seconds after which events are given up that cannot be delivered."""
_MOST_BYTES = 4 * 1024 * 1024
_MOST_ROWS = 100
"""What is in a file, before it is compressed."""
_MOST_FILES = 50
"""Files of a queue in one run; there is another run at once."""
_LINGERS = 3600.0
"""Seconds for which a trail that was stopped is looked after: records of calls that ended later."""
_TOLD_FOR = 3600.0


class _File(NamedTuple):
    key: str
    content: bytes
    log: digesting.LogFile


def deliverer(gate: Gate) -> Callable[[Job], object]:
    """The job's handler. Deliveries take a while, and other jobs need not wait for them."""

    def run(job: Job) -> object:
        gate.apart(partial(_deliver_all, gate, job))
        return ELSEWHERE

    return run


def _deliver_all(gate: Gate, job: Job) -> None:
    trail_id = job.payload["trail"]
    again = gate.parts[Trails].every
    try:
        catch_up(gate.parts[UsageReader])
        trail = gate.store.read(lambda tx: gate.parts[Trails].by_id(tx, trail_id))
        if trail is None:
            gate.store.write(job.finish)
            return
        insights.look(gate, trail)
        if _deliver(gate, job, trail):
            again = 0.0
        digesting.digest(gate, trail)
        if gate.store.write(partial(_over, gate=gate, trail_id=trail_id)):
            gate.store.write(job.finish)
            return
    except LeaseLost:
        return
    except Exception as defect:
        log.error("the deliveries of a trail failed: %s", origin(defect))
    try:
        gate.store.write(lambda tx: _later(tx, gate, job, again))
    except StoreError as error:
        # The lease runs out, and somebody else takes the job.
        log.error("the next delivery is not scheduled: %s", error)


def _later(tx: Tx, gate: Gate, job: Job, again: float) -> None:
    if tx.one("SELECT 1 FROM store_jobs WHERE id = ? AND epoch = ?", (job.id, job.epoch)) is not None:
        deliver_at(tx, job.payload["trail"], gate.clock.now() + again)


def _over(tx: Tx, gate: Gate, trail_id: str) -> bool:
    """Whether nothing is to be delivered any more; what was deleted is then removed for good."""
    trails = gate.parts[Trails]
    trail = trails.by_id(tx, trail_id)
    if trail is None:
        return True
    if trail.logging or not pending.none(tx, trail.id) or digesting.has_chains(tx, trail.id):
        return False
    stopped = trail.settings["Spans"][-1][1]
    if 0 <= gate.clock.now() - stopped < _LINGERS:
        return False
    if trail.deleted:
        trails.remove(tx, trail)
    return True


def _deliver(gate: Gate, job: Job, trail: Trail) -> bool:
    """Deliver what waits; whether there is more."""
    now = gate.clock.now()
    if gate.store.write(lambda tx: pending.expire(tx, trail.id, now - TRIED_FOR)):
        log.error("events of trail %s are given up: they could not be delivered for 30 days", trail.arn)
    more = False
    for queue, others in gate.store.read(lambda tx: pending.queues(tx, trail.id)):
        if not others and trail.logging:
            continue
        send = _to_logs if queue.kind == TO_LOGS else _to_bucket
        what = "CloudWatchLogsDelivery" if queue.kind == TO_LOGS else "Delivery"
        try:
            for _ in range(_MOST_FILES):
                if not send(gate, trail, queue):
                    break
                gate.store.write(job.renew)
            else:
                more = True
        except Taken:
            continue
        except AwsError as error:
            if error.status >= 500:
                raise
            code = error.code
            log.warning("trail %s cannot deliver: %s", trail.arn, code)
            gate.store.write(partial(_failed, trail=trail, region=queue.region, what=what, code=code))
        except Tampered as error:
            log.error("events of trail %s cannot be read: %s", trail.arn, error)
    return more


def _failed(tx: Tx, trail: Trail, region: str, what: str, code: str) -> None:
    status.failed(tx, trail.id, region, what, code)


def _first(gate: Gate, trail: Trail, queue: Queue, rows: int) -> Sequence[Waiting]:
    trails = gate.parts[Trails]

    def read(tx: Tx) -> Sequence[Waiting]:
        return pending.first(tx, trails.key(tx, trail.place.account), queue, _MOST_BYTES, rows)

    return gate.store.read(read)


# --- to the bucket


def _to_bucket(gate: Gate, trail: Trail, queue: Queue) -> bool:
    """Deliver one file; False when there was nothing."""
    waiting = _first(gate, trail, queue, _MOST_ROWS)
    if not waiting:
        return False
    now = gate.clock.now()
    file = _file(trail, queue, waiting, now)

    def work(call: Call) -> None:
        # First, so that nothing was asked of S3 that is undone.
        if not pending.remove(call.tx, waiting):
            raise Taken
        write(call, trail, file.key, files.packed(file.content), {})
        status.went_well(call.tx, trail.id, queue.region, "Delivery", now)
        if trail.get("Validation") and queue.kind == files.LOGS:
            digesting.note(call, trail, queue.account, queue.region, file.log)
        if trail.get("Topic"):
            payload = {
                "trail": trail.id,
                "bucket": trail.get("Bucket"),
                "key": file.key,
                "region": queue.region,
            }
            schedule(call.tx, NOTIFY, now, payload, id=f"{NOTIFY} {new_id()}")

    in_bucket(gate, trail, work)
    return True


def _file(trail: Trail, queue: Queue, waiting: Sequence[Waiting], now: float) -> _File:
    texts = [text for each in waiting for text in each.texts]
    content = files.log_content(texts)
    unique = files.unique_name(trail.id, queue.kind, waiting[0].id, waiting[-1].id)
    key = files.file_key(place_of(trail, queue.account, queue.region), queue.kind, now, unique)
    times = [loads(text)["eventTime"] for text in texts]
    bucket = trail.get("Bucket")
    return _File(
        key,
        content,
        digesting.LogFile(bucket, key, sha256(content).hexdigest(), min(times), max(times)),
    )


# --- to CloudWatch Logs


def _to_logs(gate: Gate, trail: Trail, queue: Queue) -> bool:
    """Deliver what one request takes; False when there was nothing."""
    waiting = _first(gate, trail, queue, 1)
    if not waiting:
        return False
    group = trail.get("LogGroup")
    if not group:
        # The trail has none any more.
        gate.store.write(lambda tx: pending.remove(tx, waiting))
        return True
    now = gate.clock.now()
    where = {
        "logGroupName": checks.group_name(group),
        "logStreamName": checks.stream_name(place_of(trail, queue.account, queue.region)),
    }
    batches = _batches(waiting)
    actor = checks.actor(trail.place)._replace(role=trail.get("Role"))

    def work(call: Call) -> None:
        if not pending.remove(call.tx, waiting):
            raise Taken
        for batch in batches:
            logs.PutLogEvents.ask(call, {**where, "logEvents": batch})  # type: ignore[typeddict-item]  # as above
        status.went_well(call.tx, trail.id, queue.region, "CloudWatchLogsDelivery", now)

    try:
        perform(gate, actor, work)
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise
        perform(gate, actor, lambda call: _make_stream(call, where))
        perform(gate, actor, work)
    return True


def _make_stream(call: Call, where: Mapping[str, str]) -> None:
    logs.CreateLogStream.ask(call, where)  # type: ignore[arg-type]  # as above


_MOST_EVENT = 256 * 1024
_DAY = 86_400_000


def _batches(waiting: Sequence[Waiting]) -> list[list[logs.InputLogEvent]]:
    """Log events in order, no request's over more than a day. CloudWatch Logs takes none that is too large."""
    events = sorted(
        (int(datetime.fromisoformat(loads(text)["eventTime"]).timestamp() * 1000), text.decode())
        for each in waiting
        for text in each.texts
        if len(text) <= _MOST_EVENT
    )
    batches: list[list[logs.InputLogEvent]] = []
    for timestamp, message in events:
        if not batches or timestamp - batches[-1][0]["timestamp"] > _DAY:
            batches.append([])
        batches[-1].append({"timestamp": timestamp, "message": message})
    return batches


# --- to the topic


def notifier(gate: Gate) -> Callable[[Job], None]:
    """The job that tells a trail's topic of a file. Source: "Configuring Amazon SNS notifications for CloudTrail"."""

    def run(job: Job) -> None:
        payload = job.payload
        trail = gate.store.read(lambda tx: gate.parts[Trails].by_id(tx, payload["trail"]))
        topic = "" if trail is None else trail.get("Topic")
        if trail is None or not topic:
            return
        message = {"s3Bucket": payload["bucket"], "s3ObjectKey": [payload["key"]]}

        def work(call: Call) -> None:
            sns.Publish.ask(call, {"TopicArn": topic, "Message": json.dumps(message)})
            status.went_well(call.tx, trail.id, payload["region"], "Notification", gate.clock.now())
            job.finish(call.tx)

        actor = checks.actor(trail.place)._replace(region=topic.split(":")[3])
        try:
            perform(gate, actor, work)
        except AwsError as error:
            code = error.code
            gate.store.write(
                partial(_failed, trail=trail, region=payload["region"], what="Notification", code=code)
            )
            if error.status >= 500 and gate.clock.now() - job.due < _TOLD_FOR:
                raise

    return run
