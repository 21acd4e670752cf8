"""Moves out of dead-letter queues: StartMessageMoveTask, ListMessageMoveTasks, CancelMessageMoveTask.

A job moves messages in batches, and keeps count in the transactions that move them. Source: "StartMessageMoveTask",
"Learn how to configure a dead-letter queue redrive in Amazon SQS".
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from casemate.api import sqs
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate.acting import in_background
from casemate.gate.authorise import decide, denied
from casemate.gate.operation import Need
from casemate.services.sqs import messages, moving
from casemate.services.sqs.naming import Place, read_arn
from casemate.services.sqs.queues import Queue, Queues, absent
from casemate.services.sqs.refusals import invalid_parameter
from casemate.services.sqs.targets import source_queue
from casemate.store import jobs
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.gate.call import Call
    from casemate.gate.gate import Gate
    from casemate.store.database import Row, Tx
    from casemate.store.jobs import Job

MOVE = "sqs.move"
RUNNING, COMPLETED, CANCELLING, CANCELLED, FAILED = (
    "RUNNING",
    "COMPLETED",
    "CANCELLING",
    "CANCELLED",
    "FAILED",
)
_FASTEST = 500
_BATCH = 50
_PURPOSE = "sqs move task"
_COLUMNS = "id, account, region, source, destination, rate, started, state, to_move, moved, failure"


class Moved(Queue):
    """A dead-letter queue, and where its messages are to go. destination: None for where each came from."""

    __slots__ = ("destination",)
    destination: Queue | None


def _moved(call: Call, request: Mapping[str, Any]) -> Moved:
    source = source_queue(call, request)
    moved = Moved(source.row, source.policy, missing=source.missing)
    moved.destination = None
    arn = request.get("DestinationArn")
    if arn is not None:
        place = read_arn(arn)
        gone = AwsError(
            "ResourceNotFoundException",
            "The resource that you specified for the DestinationArn parameter doesn't exist.",
            404,
        )
        if place is None or place[:2] != (call.account, call.region):
            raise invalid_parameter(
                "DestinationArn", arn, "It must be a queue of the same account and Region."
            )
        moved.destination = call.part(Queues).find(call, place) or absent(place, gone)
    return moved


@sqs.StartMessageMoveTask.writes(
    _moved,
    Need("sqs:StartMessageMoveTask"),
    Need("sqs:ReceiveMessage"),
    Need("sqs:DeleteMessage"),
    Need("sqs:GetQueueAttributes"),
    Need("sqs:SendMessage", lambda moved: moved.destination),
)
def start_message_move_task(
    call: Call, req: sqs.StartMessageMoveTaskRequest, source: Moved
) -> sqs.StartMessageMoveTaskResult:
    """Let a dead-letter queue's messages go to another queue, or back to where they came from."""
    row, queues, tx = source.row, call.part(Queues), call.tx
    rate = req.get("MaxNumberOfMessagesPerSecond") or 0
    if "MaxNumberOfMessagesPerSecond" in req and not 1 <= rate <= _FASTEST:
        raise invalid_parameter("MaxNumberOfMessagesPerSecond", rate, f"Must be between 1 and {_FASTEST}.")
    if not queues.sources(tx, row.place, "", 1):
        raise AwsError("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
    destination = source.destination
    if destination is None:
        _check_sources(call, row.place, req)
    else:
        if destination.place == row.place:
            raise AwsError("InvalidParameterValue", "Source and destination queues must not be the same.")
        if destination.place.fifo != row.place.fifo:
            raise AwsError("InvalidParameterValue", "Source and destination queues must be of the same type.")
    if tx.one(
        "SELECT 1 FROM sqs_move_tasks WHERE account = ? AND region = ? AND source = ? AND state IN (?, ?)",
        (*_owner(row.place), RUNNING, CANCELLING),
    ):
        raise AwsError(
            "UnsupportedOperation",
            "There is already a task running. Only one active task is allowed for a source queue arn at a given "
            "time.",
        )
    task = new_id()
    waiting = messages.counted(tx, row, call.now)["ApproximateNumberOfMessages"]
    tx.run(
        f"INSERT INTO sqs_move_tasks ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '')",
        (
            task,
            *_owner(row.place),
            "" if destination is None else destination.place.name,
            rate,
            call.now,
            RUNNING,
            waiting,
        ),
    )
    jobs.schedule(tx, MOVE, call.now, {"task": task}, id=f"{MOVE} {task}")
    return {"TaskHandle": _handle(call, task, row.place)}


def _check_sources(call: Call, place: Place, request: Mapping[str, Any]) -> None:
    """Refuse whoever may not send to all queues whose dead-letter queue it is: they are the destinations."""
    queues, name = call.part(Queues), ""
    while sources := queues.sources(call.tx, place, name, 100):
        name = sources[-1].name
        for each in sources:
            queue = queues.find(call, each) or absent(each)
            decision = decide(call, "sqs:SendMessage", queue, request)
            if not decision.allowed:
                raise denied(call, "sqs:SendMessage", queue, decision)


def _owner(place: Place) -> tuple[str, str, str]:
    """A task's account, Region and source."""
    return place.account, place.region, place.name


def _handle(call: Call, task: str, place: Place) -> str:
    key = call.part(Queues).keyring.account_key(place.account, call.tx)
    return b64encode(key.wrap(json.dumps([task, place.arn]).encode(), _PURPOSE)).decode()


@sqs.ListMessageMoveTasks.reads(source_queue)
def list_message_move_tasks(
    call: Call, req: sqs.ListMessageMoveTasksRequest, source: Queue
) -> sqs.ListMessageMoveTasksResult:
    """A dead-letter queue's last tasks, the latest first."""
    limit = req.get("MaxResults", 1)
    if not 1 <= limit <= 10:
        raise invalid_parameter("MaxResults", limit, "Must be between 1 and 10, if provided.")
    rows = call.tx.all(
        f"SELECT {_COLUMNS} FROM sqs_move_tasks WHERE account = ? AND region = ? AND source = ? "
        "ORDER BY started DESC, id DESC LIMIT ?",
        (*_owner(source.place), limit),
    )
    found = [_shown(call, source.place, row) for row in rows]
    return cast("sqs.ListMessageMoveTasksResult", {"Results": found} if found else {})


def _shown(call: Call, place: Place, row: Row) -> dict[str, Any]:
    task, _, _, _, destination, rate, started, state, to_move, moved, failure = row
    shown: dict[str, Any] = {
        "Status": state,
        "SourceArn": place.arn,
        "ApproximateNumberOfMessagesMoved": moved,
        "ApproximateNumberOfMessagesToMove": to_move,
        "StartedTimestamp": int(started * 1000),
    }
    if state == RUNNING:
        shown["TaskHandle"] = _handle(call, task, place)
    if destination:
        shown["DestinationArn"] = place._replace(name=destination).arn
    if rate:
        shown["MaxNumberOfMessagesPerSecond"] = rate
    if failure:
        shown["FailureReason"] = failure
    return shown


class _Task(Queue):
    """The source of a task, which a handle names. task: ''  where it names none."""

    __slots__ = ("task",)
    task: str


def _task(call: Call, request: Mapping[str, Any]) -> _Task:
    """TaskHandle. Raises InvalidParameterValue for what is none of the account's."""
    queues = call.part(Queues)
    try:
        sealed = b64decode(request["TaskHandle"], validate=True)
        task, arn = json.loads(queues.keyring.account_key(call.account, call.tx).unwrap(sealed, _PURPOSE))
    except (Base64Error, ValueError, Tampered):
        raise invalid_parameter("TaskHandle", request["TaskHandle"], "It is no task's handle.") from None
    source = source_queue(call, {"SourceArn": arn})
    found = _Task(source.row, source.policy, missing=source.missing)
    found.task = task
    return found


@sqs.CancelMessageMoveTask.writes(_task)
def cancel_message_move_task(
    call: Call, req: sqs.CancelMessageMoveTaskRequest, source: _Task
) -> sqs.CancelMessageMoveTaskResult:
    """End a task; what it has moved stays moved."""
    row = call.tx.one(
        "UPDATE sqs_move_tasks SET state = ? WHERE id = ? AND state = ? RETURNING moved",
        (CANCELLED, source.task, RUNNING),
    )
    if row is None:
        raise AwsError("UnsupportedOperation", "Only active tasks can be cancelled.")
    jobs.cancel(call.tx, f"{MOVE} {source.task}")
    return {"ApproximateNumberOfMessagesMoved": row[0]}


def mover(gate: Gate) -> Callable[[Job], None]:
    """The job that moves, a batch in each transaction; with a rate, so many a second."""

    def move(job: Job) -> None:
        while True:
            moved, rate, state = in_background(gate, lambda base: _batch(base, job.payload["task"]))
            if state != RUNNING:
                return
            if rate and moved:
                gate.store.write(partial(_later, job=job, due=gate.clock.now() + moved / rate))
                return
            gate.store.write(job.renew)

    return move


def _later(tx: Tx, job: Job, due: float) -> None:
    jobs.schedule(tx, MOVE, due, job.payload, id=job.id)


def _batch(base: Call, task: str) -> tuple[int, int, str]:
    """Move some messages: how many, the task's rate, and how the task stands then."""
    tx, queues = base.tx, base.part(Queues)
    row = tx.one(f"SELECT {_COLUMNS} FROM sqs_move_tasks WHERE id = ?", (task,))
    if row is None or row[7] != RUNNING:
        return 0, 0, COMPLETED
    _, account, region, source, destination, rate, *_ = row
    place = Place(account, region, source)
    origin = queues.load(tx, place)
    if origin is None:
        return 0, rate, _end(base, task, FAILED, "AWS.SimpleQueueService.NonExistentQueue")
    found = messages.receivable(
        tx, queues.keyring, origin.row, base.now, min(_BATCH, rate) if rate else _BATCH
    )
    if not found:
        return 0, rate, _end(base, task, COMPLETED, "")
    for kept in found:
        if kept.sent < messages.expired_before(origin.row, base.now):
            messages.remove(tx, origin.row, kept.id)
            continue
        to = place._replace(name=destination) if destination else read_arn(kept.source)
        target = None if to is None else queues.load(tx, to)
        if target is None:
            reason = (
                "CouldNotDetermineMessageSource" if to is None else "AWS.SimpleQueueService.NonExistentQueue"
            )
            return 0, rate, _end(base, task, FAILED, reason)
        # As if it had been sent anew: it may be received as often as any other.
        moving.move(base, origin.row, kept._replace(sent=base.now), target.row, base.now, source="")
    tx.run("UPDATE sqs_move_tasks SET moved = moved + ? WHERE id = ?", (len(found), task))
    return len(found), rate, RUNNING


def _end(base: Call, task: str, state: str, failure: str) -> str:
    base.tx.run("UPDATE sqs_move_tasks SET state = ?, failure = ? WHERE id = ?", (state, failure, task))
    return state
