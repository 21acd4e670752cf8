"""When a trail's events are delivered: a job of each trail that logs or has something left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.store import jobs

if TYPE_CHECKING:
    from casemate.store.database import Tx

DELIVER, NOTIFY = "cloudtrail.deliver", "cloudtrail.notify"


def deliver_at(tx: Tx, trail: str, due: float) -> None:
    """Have a trail's events delivered then, and again and again from there. trail: its id."""
    jobs.schedule(tx, DELIVER, due, {"trail": trail}, id=f"{DELIVER} {trail}")
