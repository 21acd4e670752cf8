"""What services tell of themselves: events of AWS's own kind, on the default bus of the account that they concern.

    announce(call, "aws.ssm", "Parameter Store Change", {"operation": "Create", "name": name}, resources=[arn])

It is part of the transaction of the change: kept with it, undone with it, delivered at least once. Where no rule and
no archive of the account looks for such an event, nothing is written. Source: "Events from AWS services".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from casemate.store.database import Tx

if TYPE_CHECKING:
    from casemate.gate.call import Call


class ServiceEvent(NamedTuple):
    """source: "aws.ssm"; detail: JSON's types; resources: the ARNs that it is about; account, region: on whose
    default bus it goes; time: when it happened, seconds since the epoch."""

    source: str
    detail_type: str
    detail: Mapping[str, Any]
    resources: Sequence[str]
    account: str
    region: str
    time: float


class Announcer(Protocol):
    """Who takes them. EventBridge is one; the gate knows no more of it than this."""

    def announce(self, tx: Tx, event: ServiceEvent) -> None:
        """Keep the event for whoever looks for it, in the transaction of a write."""
        ...


class Silence:
    """For a gate without EventBridge."""

    def announce(self, tx: Tx, event: ServiceEvent) -> None:
        """Nobody listens."""


def announce(
    call: Call,
    source: str,
    detail_type: str,
    detail: Mapping[str, Any],
    *,
    resources: Sequence[str] = (),
    account: str = "",
    region: str = "",
) -> None:
    """Tell of a change that the call makes. account, region: the call's own unless given. Only a write changes
    something: of a read it raises RuntimeError."""
    if not call.mutable:
        raise RuntimeError("what is announced is part of a write's transaction")
    event = ServiceEvent(
        source, detail_type, detail, resources, account or call.account, region or call.region, call.now
    )
    call.gate.announcer.announce(call.tx, event)
