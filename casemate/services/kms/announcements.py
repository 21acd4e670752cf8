"""What KMS tells EventBridge: rotations, deletions, and imported material that has expired.

Source: "Monitor KMS keys with Amazon EventBridge".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from casemate.gate.announcing import ServiceEvent
from casemate.services.kms.key import Key
from casemate.store.database import Tx

if TYPE_CHECKING:
    from casemate.gate.gate import Gate

ROTATION = "KMS CMK Rotation"
DELETION = "KMS CMK Deletion"
EXPIRATION = "KMS Imported Key Material Expiration"

Tell = Callable[[Tx, str, Key], None]
"""Tells of what the transaction does to a key: a detail type, and the key."""


def silent(tx: Tx, what: str, key: Key) -> None:
    """Tells nobody."""


def teller(gate: Gate) -> Tell:
    """Tells EventBridge, in the transaction."""

    def tell(tx: Tx, what: str, key: Key) -> None:
        detail = {"key-id": key.row.id}
        place = (key.account, key.row.region)
        gate.announcer.announce(
            tx, ServiceEvent("aws.kms", what, detail, (key.arn,), *place, gate.clock.now())
        )

    return tell
