"""One call of one operation: who, what, when, where from. Made by the gate, handed to resolvers and handlers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from casemate.gate.http import Exchange, Tls
from casemate.gate.identity import Identity
from casemate.gate.resource import Resource
from casemate.store.cache import Cache, Miss
from casemate.store.database import Tx

if TYPE_CHECKING:
    from casemate.gate.gate import Gate
    from casemate.gate.router import Route

K = TypeVar("K")
V = TypeVar("V")
P = TypeVar("P")


class Call:
    """What a handler may know of the request besides its parameters.

    account, region: where the call acts (the caller's account, the signature's Region); via: the services that
    pass the caller's call on, first to last ("ssm"); now: seconds since the epoch by the injected clock.
    """

    __slots__ = (
        "account",
        "exchange",
        "gate",
        "host",
        "identity",
        "mutable",
        "now",
        "records",
        "region",
        "request",
        "request_id",
        "resources",
        "route",
        "source_ip",
        "started",
        "tls",
        "transaction",
        "user_agent",
        "via",
    )

    gate: Gate
    exchange: Exchange
    started: float
    request_id: str
    now: float
    source_ip: str
    user_agent: str
    host: str
    tls: Tls | None
    identity: Identity
    account: str
    region: str
    route: Route | None
    request: Mapping[str, Any]
    """The parameters, once they are parsed."""
    via: tuple[str, ...]
    transaction: Tx | None
    """The transaction of a write or of a read that may wait; None in the event loop."""
    mutable: bool
    """True inside a write's transaction."""
    resources: list[Resource]
    """What the call was authorised on, for the audit."""
    records: list[bytes]
    """Audit records of the calls that this call asked of other services."""

    @property
    def tx(self) -> Tx:
        """The transaction. A read that needs one and runs in the event loop is run again in a thread."""
        if self.transaction is None:
            raise Miss
        return self.transaction

    def fetch(self, cache: Cache[K, V], key: K) -> V | None:
        """A cached value in a read; the row as the transaction sees it in a write."""
        if self.mutable:
            return cache.fresh(key, self.tx)
        return cache.get(key, self.transaction)

    def part(self, kind: type[P]) -> P:
        """The one instance of a service's state that the composition root gave the gate."""
        part: P = self.gate.parts[kind]
        return part

    def passed_on(self, request: Mapping[str, Any], via: str, route: Route) -> Call:
        """The call that a service makes of another on this caller's behalf (``Gate.ask``)."""
        child = Call()
        for name in Call.__slots__:
            setattr(child, name, getattr(self, name))
        child.route = route
        child.request = request
        child.resources = []
        child.records = []
        if via:
            child.via = (*self.via, via)
        return child
