"""ReceiveMessage. Source: "ReceiveMessage", "Amazon SQS short and long polling", "Amazon SQS dead-letter queues"."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from casemate.api import sqs
from casemate.errors import AwsError
from casemate.gate.parking import Parked
from casemate.services.sqs import checksums, handles, memory, messages, moving
from casemate.services.sqs.contents import TRACE, check_id
from casemate.services.sqs.encryption import DataKeys
from casemate.services.sqs.messages import Kept, Message
from casemate.services.sqs.queues import Queue, QueueRow, Queues
from casemate.services.sqs.refusals import invalid_parameter, unknown_attribute
from casemate.services.sqs.targets import busy_queue

if TYPE_CHECKING:
    from casemate.gate.call import Call

MOST_IN_FLIGHT = 120_000
_ATTEMPTS_FOR = 300.0
_ROUNDS = 50
"""How often one receive looks again, after it has put aside messages that nobody is to get: others wait meanwhile."""
_SYSTEM = (
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
    TRACE,
    "DeadLetterQueueSourceArn",
)


class Room:
    """How many more messages may be in flight, by queue, as this worker last counted: ``call.part(Room)``."""

    def __init__(self) -> None:
        self._left: dict[str, int] = {}

    def take(self, call: Call, queue: QueueRow, most: int, now: float) -> int:
        """How many messages may be received, at most that many."""
        left = self._left.get(queue.id, 0)
        if left < most:
            room = max(0, MOST_IN_FLIGHT - messages.in_flight(call.tx, queue, now))
            if len(self._left) > 10_000:
                self._left.clear()
            # Counted again soon: other workers take from it, too.
            left = room if room < 1000 else room // 10
        taken = min(most, left)
        self._left[queue.id] = left - taken
        return taken


@sqs.ReceiveMessage.writes(busy_queue, read_only=True)
def receive_message(call: Call, req: sqs.ReceiveMessageRequest, queue: Queue) -> sqs.ReceiveMessageResult:
    """Up to ten messages that may be received, which are then hidden for a while; where there is none, wait for one
    for as long as is asked for."""
    row = queue.row
    most = _within(req, "MaxNumberOfMessages", 1, 10, 1)
    wait = _within(req, "WaitTimeSeconds", 0, 20, row.number("ReceiveMessageWaitTimeSeconds"))
    hidden = _within(req, "VisibilityTimeout", 0, 43_200, row.number("VisibilityTimeout"))
    wanted = _system_names(req)
    attempt = _attempt(row, req)
    if call.exchange.lost:
        return {}
    seen = call.gate.parking.seen(row.id)
    now = max(call.now, call.gate.clock.now())
    taken = _again(call, row, attempt, now + hidden) or _taken(call, queue, most, now, hidden)
    if not taken:
        left = wait - (time.perf_counter() - call.started)
        parking = call.gate.parking
        waits = left > 0 and not call.exchange.replied and not parking.closing
        if waits and (call.parked or not parking.full(call.account)):
            soonest = messages.next_visible(call.tx, row, now)
            raise Parked(row.id, seen, left if soonest is None else min(left, soonest - now))
        return {}
    if attempt:
        queues = call.part(Queues)
        given = [[kept.id, kept.receipt, kept.first_received] for kept in taken]
        memory.remember(call, queues.keyring, row, attempt, given, now + _ATTEMPTS_FOR)
    if call.parked:
        # There may be more, for whoever waits as well.
        call.committed(lambda: call.gate.parking.tell(row.id))
    names = req.get("MessageAttributeNames", ())
    return {"Messages": [_shown(call, row, kept, now, wanted, names) for kept in taken]}


def _within(request: Mapping[str, Any], name: str, least: int, most: int, default: int) -> int:
    value = request.get(name)
    if value is None:
        return default
    if not least <= value <= most:
        reason = (
            f"Must be between {least} and {most}, if provided."
            if name == "MaxNumberOfMessages"
            else f"Must be >= {least} and <= {most}, if provided."
        )
        raise invalid_parameter(name, value, reason)
    return int(value)


def _system_names(request: Mapping[str, Any]) -> Sequence[str]:
    names = {*request.get("AttributeNames", ()), *request.get("MessageSystemAttributeNames", ())}
    if "All" in names:
        return _SYSTEM
    for name in names:
        if name not in _SYSTEM:
            raise unknown_attribute(name)
    return [name for name in _SYSTEM if name in names]


def _attempt(row: QueueRow, request: Mapping[str, Any]) -> str:
    given = request.get("ReceiveRequestAttemptId")
    if given is None:
        return ""
    if not row.place.fifo:
        raise invalid_parameter(
            "ReceiveRequestAttemptId",
            given,
            "The request includes a parameter that is not valid for this queue type.",
        )
    check_id("ReceiveRequestAttemptId", given)
    return memory.digest_of("attempt", given)


def _again(call: Call, row: QueueRow, attempt: str, visible: float) -> list[Kept]:
    """What an attempt was given that is made again, as long as nothing else has become of it."""
    if not attempt:
        return []
    queues = call.part(Queues)
    given = memory.recalled(call, queues.keyring, row, attempt)
    found = list[Kept]()
    for row_id, receipt, _ in given or ():
        kept = messages.one(call.tx, queues.keyring, row, row_id)
        if kept is None or kept.receipt != receipt or kept.visible <= call.now:
            return []
        found.append(kept._replace(visible=visible))
    for kept in found:
        messages.hide(call.tx, row, kept.id, visible)
    return found


def _taken(call: Call, queue: Queue, most: int, now: float, hidden: int) -> list[Kept]:
    """Messages that are received now. Those that expired, and those that were received too often, are gone after."""
    row = queue.row
    room = call.part(Room).take(call, row, most, now)
    if not room:
        if row.place.fifo:
            return []
        raise AwsError("OverLimit", "The maximum number of in flight messages is reached.", 403)
    found = _settled(call, queue, room, now)
    taken = [
        kept._replace(
            visible=now + hidden,
            receives=kept.receives + 1,
            first_received=kept.first_received or now,
            receipt=kept.receipt + 1,
        )
        for kept in found
    ]
    for kept in taken:
        messages.received(call.tx, row, kept)
    return taken


def _settled(call: Call, queue: Queue, most: int, now: float) -> list[Kept]:
    row, keyring, data_keys = queue.row, call.part(Queues).keyring, call.part(DataKeys)
    expired = messages.expired_before(row, now)
    redrive = queue.redrive
    dead = None if redrive is None else call.part(Queues).known(call, redrive.target)
    ready: list[Kept] = []
    for _ in range(_ROUNDS):
        ready = []
        found = messages.receivable(call.tx, keyring, row, now, most)
        for kept in found:
            if kept.sent < expired:
                messages.remove(call.tx, row, kept.id)
            elif dead is not None and redrive is not None and kept.receives - kept.before >= redrive.most:
                moving.move(call, row, kept, dead.row, now, source=row.place.arn)
            elif not data_keys.is_there(call, row, kept.data_key):
                messages.put_aside(call.tx, row, kept.id, "its data key is not there")
            else:
                ready.append(kept)
        if len(ready) == len(found):
            break
    return ready


def _shown(
    call: Call, row: QueueRow, kept: Kept, now: float, wanted: Sequence[str], names: Sequence[str]
) -> sqs.Message:
    keyring = call.part(Queues).keyring
    message = Message.read(call.part(DataKeys).open(call, row, kept.data_key, kept.content))
    receipt = handles.Receipt(row.contents, kept.id, kept.receipt, now)
    shown: dict[str, Any] = {
        "MessageId": message.id,
        "ReceiptHandle": handles.write(call.tx, keyring, row, receipt),
        "MD5OfBody": checksums.of_body(message.body),
        "Body": message.body,
    }
    if wanted:
        system = _system(message, kept)
        found = {name: system[name] for name in wanted if system[name]}
        if found:
            shown["Attributes"] = found
    attributes = {name: value for name, value in message.attributes.items() if _named(name, names)}
    if attributes:
        shown["MD5OfMessageAttributes"] = checksums.of_attributes(attributes)
        shown["MessageAttributes"] = attributes
    return cast("sqs.Message", shown)


def _system(message: Message, kept: Kept) -> Mapping[str, str]:
    return {
        "SenderId": message.sender,
        "SentTimestamp": str(message.sent),
        "ApproximateReceiveCount": str(kept.receives),
        "ApproximateFirstReceiveTimestamp": str(int((kept.first_received or 0) * 1000)),
        "SequenceNumber": message.sequence,
        "MessageDeduplicationId": message.deduplication,
        "MessageGroupId": message.group,
        TRACE: message.trace,
        "DeadLetterQueueSourceArn": kept.source,
    }


def _named(name: str, names: Sequence[str]) -> bool:
    """Whether an attribute is asked for: by its name, by what it begins with ("app.*"), or as all are."""
    return any(
        each in ("All", ".*", name) or (each.endswith(".*") and name.startswith(each[:-1])) for each in names
    )
