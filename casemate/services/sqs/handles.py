"""Receipt handles: which receive of which message, sealed, so that nobody makes one."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import NamedTuple

from casemate.engine.envelope.errors import Tampered
from casemate.gate.keyring import Keyring
from casemate.services.sqs.queues import QueueRow
from casemate.services.sqs.refusals import invalid_handle
from casemate.store.database import Tx

_PURPOSE = "sqs receipt handle"


class Receipt(NamedTuple):
    """contents, id: of the message's row; receipt: of the receive, at which time it was."""

    contents: str
    id: str
    receipt: int
    received: float


def write(tx: Tx, keyring: Keyring, queue: QueueRow, receipt: Receipt) -> str:
    sealed = keyring.account_key(queue.place.account, tx).wrap(
        json.dumps(receipt).encode(), _PURPOSE, queue.id
    )
    return b64encode(sealed).decode()


def read(tx: Tx, keyring: Keyring, queue: QueueRow, handle: str) -> Receipt:
    """Raises ReceiptHandleIsInvalid for what this queue has not given out."""
    try:
        sealed = b64decode(handle, validate=True)
        found = keyring.account_key(queue.place.account, tx).unwrap(sealed, _PURPOSE, queue.id)
    except (Base64Error, ValueError, Tampered):
        raise invalid_handle(handle) from None
    return Receipt(*json.loads(found))
