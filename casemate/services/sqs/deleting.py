"""DeleteMessage, ChangeMessageVisibility and their batches.

Source: "DeleteMessage", "ChangeMessageVisibility".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from casemate.api import sqs
from casemate.errors import AwsError
from casemate.gate.operation import Need
from casemate.services.sqs import batches, handles, messages
from casemate.services.sqs.queues import Queue, QueueRow, Queues
from casemate.services.sqs.refusals import invalid_parameter, missing
from casemate.services.sqs.targets import busy_queue

if TYPE_CHECKING:
    from casemate.gate.call import Call

_LONGEST = 43_200


@sqs.DeleteMessage.writes(busy_queue)
def delete_message(call: Call, req: sqs.DeleteMessageRequest, queue: Queue) -> sqs.DeleteMessageResponse:
    """Remove a message by the handle of its last receive; one that is gone already is no error."""
    _delete(call, queue.row, req["ReceiptHandle"])
    call.committed(lambda: call.gate.parking.tell(queue.row.id))
    return {}


@sqs.DeleteMessageBatch.writes(busy_queue, Need("sqs:DeleteMessage"))
def delete_message_batch(
    call: Call, req: sqs.DeleteMessageBatchRequest, queue: Queue
) -> sqs.DeleteMessageBatchResult:
    """Remove up to ten messages, each by itself."""
    entries = req["Entries"]
    batches.checked(entries, "DeleteMessageBatchRequestEntry")

    def delete(entry: Mapping[str, Any]) -> Mapping[str, Any]:
        _delete(call, queue.row, entry["ReceiptHandle"])
        return {}

    answer = batches.each(call, entries, delete)
    call.committed(lambda: call.gate.parking.tell(queue.row.id))
    return cast("sqs.DeleteMessageBatchResult", answer)


@sqs.ChangeMessageVisibility.writes(busy_queue)
def change_message_visibility(
    call: Call, req: sqs.ChangeMessageVisibilityRequest, queue: Queue
) -> sqs.ChangeMessageVisibilityResponse:
    """Let a message that was received be visible again after so many seconds from now."""
    _change(call, queue.row, req["ReceiptHandle"], req["VisibilityTimeout"])
    call.committed(lambda: call.gate.parking.tell(queue.row.id))
    return {}


@sqs.ChangeMessageVisibilityBatch.writes(busy_queue, Need("sqs:ChangeMessageVisibility"))
def change_message_visibility_batch(
    call: Call, req: sqs.ChangeMessageVisibilityBatchRequest, queue: Queue
) -> sqs.ChangeMessageVisibilityBatchResult:
    """The same of up to ten messages, each by itself."""
    entries = req["Entries"]
    batches.checked(entries, "ChangeMessageVisibilityBatchRequestEntry")

    def change(entry: Mapping[str, Any]) -> Mapping[str, Any]:
        if "VisibilityTimeout" not in entry:
            raise missing("VisibilityTimeout")
        _change(call, queue.row, entry["ReceiptHandle"], entry["VisibilityTimeout"])
        return {}

    answer = batches.each(call, entries, change)
    call.committed(lambda: call.gate.parking.tell(queue.row.id))
    return cast("sqs.ChangeMessageVisibilityBatchResult", answer)


def _row(call: Call, queue: QueueRow, receipt: handles.Receipt) -> tuple[int, float] | None:
    """The receipt of the message's last receive, and until when it is hidden; None for one that is gone."""
    if receipt.contents != queue.contents:
        return None
    row = call.tx.one(
        "SELECT receipt, visible FROM sqs_messages WHERE contents = ? AND id = ?",
        (queue.contents, receipt.id),
    )
    return None if row is None else (row[0], row[1])


def _delete(call: Call, queue: QueueRow, handle: str) -> None:
    receipt = handles.read(call.tx, call.part(Queues).keyring, queue, handle)
    row = _row(call, queue, receipt)
    if row is None:
        return
    last, visible = row
    if queue.place.fifo and (last != receipt.receipt or visible <= call.now):
        raise invalid_parameter("ReceiptHandle", handle, "The receipt handle has expired.")
    if last == receipt.receipt:
        messages.remove(call.tx, queue, receipt.id)


def _change(call: Call, queue: QueueRow, handle: str, seconds: int) -> None:
    if not 0 <= seconds <= _LONGEST:
        raise invalid_parameter(
            "VisibilityTimeout", seconds, f"Must be between 0 and {_LONGEST}, if provided."
        )
    receipt = handles.read(call.tx, call.part(Queues).keyring, queue, handle)
    row = _row(call, queue, receipt)
    if row is None or row[0] != receipt.receipt:
        raise invalid_parameter(
            "ReceiptHandle",
            handle,
            "Message does not exist or is not available for visibility timeout change.",
        )
    if row[1] <= call.now:
        raise AwsError("MessageNotInflight", "The specified message isn't in flight.")
    if call.now + seconds > receipt.received + _LONGEST:
        raise invalid_parameter(
            "VisibilityTimeout",
            seconds,
            f"Total VisibilityTimeout for the message is beyond the limit [{_LONGEST} seconds]",
        )
    messages.hide(call.tx, queue, receipt.id, call.now + seconds)
