"""What SQS remembers for five minutes: what was sent under a deduplication id, what a receive's attempt was given."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from casemate.gate.call import Call
from casemate.gate.keyring import Keyring
from casemate.services.sqs.queues import QueueRow

_PURPOSE = "sqs memory"


def digest_of(*parts: str) -> str:
    """What it is found by."""
    return sha256("\0".join(parts).encode()).hexdigest()[:40]


def recalled(call: Call, keyring: Keyring, queue: QueueRow, digest: str) -> list[Any] | None:
    """What was remembered, unless its time is over."""
    row = call.tx.one(
        "SELECT says FROM sqs_remembered WHERE queue = ? AND digest = ? AND until > ?",
        (queue.id, digest, call.now),
    )
    if row is None:
        return None
    found: list[Any] = json.loads(
        keyring.account_key(queue.place.account, call.tx).unwrap(row[0], _PURPOSE, queue.id, digest)
    )
    return found


def remember(
    call: Call, keyring: Keyring, queue: QueueRow, digest: str, says: list[Any], until: float
) -> None:
    """Remember it until then."""
    sealed = keyring.account_key(queue.place.account, call.tx).wrap(
        json.dumps(says).encode(), _PURPOSE, queue.id, digest
    )
    call.tx.run(
        "INSERT INTO sqs_remembered (queue, digest, until, says) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (queue, digest) DO UPDATE SET until = excluded.until, says = excluded.says",
        (queue.id, digest, until, sealed),
    )
