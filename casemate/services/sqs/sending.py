"""SendMessage and SendMessageBatch."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from casemate.api import sqs
from casemate.errors import AwsError
from casemate.gate.operation import Need
from casemate.gate.random_ids import new_uuid
from casemate.services.sqs import batches, checksums, memory, messages
from casemate.services.sqs.contents import check_attributes, check_body, check_id, size_of, trace_of
from casemate.services.sqs.encryption import DataKeys
from casemate.services.sqs.messages import Kept, Message
from casemate.services.sqs.queues import Queue, QueueRow, Queues
from casemate.services.sqs.refusals import invalid_parameter, missing
from casemate.services.sqs.targets import busy_queue
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.gate.call import Call

MOST_BYTES = 1_048_576
DEDUPLICATED_FOR = 300.0


@sqs.SendMessage.writes(busy_queue)
def send_message(call: Call, req: sqs.SendMessageRequest, queue: Queue) -> sqs.SendMessageResult:
    """Put a message into the queue."""
    answer = _sent(call, queue, req)
    call.committed(lambda: call.gate.parking.tell(queue.row.id))
    return cast("sqs.SendMessageResult", answer)


@sqs.SendMessageBatch.writes(busy_queue, Need("sqs:SendMessage"))
def send_message_batch(
    call: Call, req: sqs.SendMessageBatchRequest, queue: Queue
) -> sqs.SendMessageBatchResult:
    """Put up to ten messages into the queue, each by itself."""
    entries = req["Entries"]
    batches.checked(entries, "SendMessageBatchRequestEntry")
    total = sum(size_of(entry["MessageBody"], entry.get("MessageAttributes", {})) for entry in entries)
    if total > MOST_BYTES:
        raise AwsError(
            "BatchRequestTooLong",
            f"Batch requests cannot be longer than {MOST_BYTES} bytes. You have sent {total} bytes.",
        )
    answer = batches.each(call, entries, lambda entry: _sent(call, queue, entry))
    call.committed(lambda: call.gate.parking.tell(queue.row.id))
    return cast("sqs.SendMessageBatchResult", answer)


def _sent(call: Call, queue: Queue, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What is answered for a message that was put into the queue."""
    row, body = queue.row, entry["MessageBody"]
    attributes = entry.get("MessageAttributes") or {}
    check_body(body)
    if attributes:
        check_attributes(attributes)
    size, most = size_of(body, attributes), row.number("MaximumMessageSize")
    if size > most:
        raise AwsError(
            "InvalidParameterValue",
            f"One or more parameters are invalid. Reason: Message must be shorter than {most} bytes.",
        )
    system = entry.get("MessageSystemAttributes") or {}
    trace = trace_of(system)
    answer = {"MD5OfMessageBody": checksums.of_body(body)}
    if attributes:
        answer["MD5OfMessageAttributes"] = checksums.of_attributes(attributes)
    if trace:
        answer["MD5OfMessageSystemAttributes"] = checksums.of_attributes(system)
    group, deduplication = _ids(row, entry)
    delay = _delay(row, entry)
    queues = call.part(Queues)
    message = Message(
        new_uuid(),
        body,
        attributes,
        call.identity.principal.id or call.account,
        int(call.now * 1000),
        trace,
        group,
        deduplication,
    )
    # First, for it may be refused.
    data_key, seal = call.part(DataKeys).to_write(call, row)

    def put(message: Message, row_id: str, line: str) -> None:
        content = seal(message.written())
        kept = Kept(row_id, call.now, call.now + delay, 0, 0, None, 0, line, data_key, "", content)
        messages.put(call.tx, queues.keyring, row, kept)

    if not row.place.fifo:
        put(message, new_id(), "")
        return {**answer, "MessageId": message.id}
    scope = group if row.attributes.get("DeduplicationScope") == "messageGroup" else ""
    digest = memory.digest_of("deduplication", scope, deduplication)
    first = memory.recalled(call, queues.keyring, row, digest)
    if first is not None:
        return {**answer, "MessageId": first[0], "SequenceNumber": first[1]}
    sequence = messages.next_sequence(call.tx, row)
    message = message._replace(sequence=messages.shown_sequence(sequence))
    memory.remember(
        call, queues.keyring, row, digest, [message.id, message.sequence], call.now + DEDUPLICATED_FOR
    )
    put(message, messages.row_id(sequence), memory.digest_of("group", group))
    return {**answer, "MessageId": message.id, "SequenceNumber": message.sequence}


def _delay(row: QueueRow, entry: Mapping[str, Any]) -> int:
    delay = entry.get("DelaySeconds")
    if delay is None:
        return row.number("DelaySeconds")
    if row.place.fifo:
        if delay == 0:
            return row.number("DelaySeconds")
        raise invalid_parameter(
            "DelaySeconds", delay, "The request include parameter that is not valid for this queue type."
        )
    if not 0 <= delay <= 900:
        raise invalid_parameter("DelaySeconds", delay, "DelaySeconds must be >= 0 and <= 900.")
    return int(delay)


def _ids(row: QueueRow, entry: Mapping[str, Any]) -> tuple[str, str]:
    """The message group's id and the deduplication's."""
    group, deduplication = entry.get("MessageGroupId"), entry.get("MessageDeduplicationId")
    if group is not None:
        check_id("MessageGroupId", group)
    if not row.place.fifo:
        if deduplication is not None:
            raise invalid_parameter(
                "MessageDeduplicationId",
                deduplication,
                "The request includes a parameter that is not valid for this queue type.",
            )
        return group or "", ""
    if group is None:
        raise missing("MessageGroupId")
    if deduplication is None:
        if row.attributes.get("ContentBasedDeduplication") != "true":
            raise AwsError(
                "InvalidParameterValue",
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
                "explicitly",
            )
        return group, sha256(entry["MessageBody"].encode()).hexdigest()
    check_id("MessageDeduplicationId", deduplication)
    return group, deduplication
