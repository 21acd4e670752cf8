"""Messages from one queue to another of the same account: dead letters, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.services.sqs import messages
from casemate.services.sqs.messages import Kept
from casemate.services.sqs.queues import QueueRow, Queues
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.gate.call import Call


def move(call: Call, origin: QueueRow, kept: Kept, to: QueueRow, now: float, *, source: str) -> None:
    """Move a message to the end of another queue, where it can be received at once. source: the ARN by which it is
    known there as a dead letter. A standard queue's is retained from when it was sent first, as AWS does it."""
    queues = call.part(Queues)
    messages.remove(call.tx, origin, kept.id)
    fifo = to.place.fifo
    moved = kept._replace(
        id=messages.row_id(messages.next_sequence(call.tx, to)) if fifo else new_id(),
        sent=now if fifo else kept.sent,
        visible=now,
        before=kept.receives,
        source=source,
    )
    messages.put(call.tx, queues.keyring, to, moved)
    if kept.data_key:
        # It is retained anew, and its data key with it: what is noted once an hour is enough.
        call.tx.run(
            "UPDATE sqs_data_keys SET moved = ? WHERE id = ? AND moved < ?",
            (call.now, kept.data_key, call.now - 3600.0),
        )
    call.committed(lambda: call.gate.parking.tell(to.id))
