"""One call of one operation: who, what, when, where from. Made by the gate, handed to resolvers and handlers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from casemate import wire
from casemate.gate.body import Body, Signed, held_body
from casemate.gate.http import Exchange, Tls
from casemate.gate.identity import UNKNOWN, Identity
from casemate.gate.quotas import Quota
from casemate.gate.resource import Resource
from casemate.gate.streams import Arriving, Outgoing
from casemate.store.cache import Cache, Miss
from casemate.store.database import Tx
from casemate.wire import Reply

if TYPE_CHECKING:
    from casemate.gate.gate import Gate
    from casemate.gate.router import Route

K = TypeVar("K")
V = TypeVar("V")
P = TypeVar("P")
T = TypeVar("T")


class Before(Miss):
    """Something must be done before the request can go on (``Call.before``). The gate does it, and starts the request
    again. waits: it waits for another machine, more than that it works; client: for the one that sent the request,
    which may take its time."""

    def __init__(
        self,
        name: str,
        do: Callable[[], Any],
        done: dict[str, Any],
        waits: bool = False,
        client: bool = False,
    ) -> None:
        super().__init__(name)
        self.waits = waits
        self.client = client
        self._name = name
        self._do = do
        self._done = done

    def fulfil(self) -> None:
        """Do it, and keep what it gave for the request's next start. Raises what it raises."""
        self._done[self._name] = self._do()


class Transfer(Before):
    """Before that is bytes to be moved (``Call.transfer``): the request then goes on in its transaction."""


class Transferred(Miss):
    """The bytes were moved at once: the request goes on in its transaction."""


_TRANSFER, _UNDO, _RECORDS = "transfer", "undo", "records"


class Call:
    """What a handler may know of the request besides its parameters.

    account, region: where the call acts (the caller's account, the signature's Region); via: the services that
    pass the caller's call on, first to last ("ssm"); now: seconds since the epoch by the injected clock.
    """

    gate: Gate
    exchange: Exchange
    started: float
    request_id: str
    now: float

    # What stands here is what is known of a call at first, and costs nothing to set.
    identity: Identity = UNKNOWN
    account: str = ""
    region: str = ""
    route: Route | None = None
    request: Mapping[str, Any] = MappingProxyType({})
    """The parameters, once they are parsed."""
    via: tuple[str, ...] = ()
    source_arn: str = ""
    """The resource on whose behalf a service calls; '' when it does not say, and of all other callers."""
    source_account: str = ""
    """The account on whose behalf a service principal calls; '' where the ARN tells it, and of all other callers."""
    service: str = ""
    """The service that acts by itself, as its principal or by a role ("events.amazonaws.com"); '' where somebody
    calls. Set by casemate/gate/acting.py only."""
    acts_for: Call | None = None
    """The call whose handler lets the service act, which keeps the audit records."""
    transaction: Tx | None = None
    """The transaction of a write or of a read that may wait; None in the event loop."""
    mutable: bool = False
    """True inside a write's transaction."""
    resources: Sequence[Resource] = ()
    """What the call was authorised on, for the audit."""
    additional: bytes = b""
    """What the audit shows of the call besides, as a JSON object: CloudTrail's additionalEventData."""
    head: bytes = b""
    """Header lines that the answer has besides, unless it is a refusal; each ended by CRLF."""
    noting: Callable[[Call, int, int], bytes] | None = None
    """Makes ``additional`` once the answer is known, of its status and its body's size: of calls that somebody wants
    to know more of."""
    records: Sequence[bytes] = ()
    """Audit records of the calls that this call asked of other services."""
    reply: Reply
    """The answer, which waits until the call's audit record is durable."""
    records_due: int = 1
    """How many of its records are not durable yet."""
    unaudited: bool = False
    """One of its records could not be written."""
    second_factor: bool = False
    """The request itself proves that the caller has a second factor, beyond what the credentials tell."""
    outcome: str = ""
    """The error's code; '' when there is none."""
    parked: bool = False
    """It has waited for something to happen (``gate/parking.py``)."""
    asked: int = 0
    """How many calls of other services this one has asked so far, in this run."""
    signed: Signed | None = None
    """What the signature says of the body, of S3's requests."""
    hoisted: Mapping[bytes, bytes] | None = None
    """``headers``, of a presigned request."""
    arriving: Arriving | None = None
    """The body that is not held in memory, while it comes; None where all of it is in ``exchange.body``."""
    outgoing: Outgoing | None = None
    """The answer's body, where it is not in the reply."""
    entered: int = -1
    """How many request quotas were taken from when steps 2 to 5 were done; -1 until they are."""
    scope: str = ""
    """What tells this call's ``before`` from that of other calls that the same request asks."""

    def __init__(self, gate: Gate, exchange: Exchange, request_id: str, started: float, now: float) -> None:
        self.gate = gate
        self.exchange = exchange
        self.request_id = request_id
        self.started = started
        self.now = now
        self.counted: list[tuple[str, str]] = []
        """The request quotas that were taken from, each with its Region, by this call and those that it asked."""
        self.counted_before: list[tuple[str, str]] = []
        """The same, when it was run before and had to start again."""
        self.done_before: dict[str, Any] = {}
        """What ``before`` has had done, by name."""
        self.afterwards: list[Callable[[], object]] = []
        """What is done once the transaction is durable (``committed``)."""

    def committed(self, then: Callable[[], object]) -> None:
        """Do something quick once the transaction is durable, to tell of it: not what must be done, for a crash may
        come between. Any thread may do it."""
        self.afterwards.append(then)

    @property
    def source_ip(self) -> str:
        """The client's address."""
        return self.exchange.peer

    @property
    def tls(self) -> Tls | None:
        """The TLS connection that the call came over, if it did."""
        return self.exchange.tls

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """What the request's headers say, also where a presigned URL has them in its query."""
        claim = None if self.signed is None else self.signed.claim
        if claim is None or claim.presigned is None:
            return self.exchange.headers
        if self.hoisted is None:
            from casemate.gate.presigned import with_hoisted

            self.hoisted = with_hoisted(self.exchange.query, self.exchange.headers)
        return self.hoisted

    @property
    def user_agent(self) -> str:
        """What the client says it is; '' when it does not."""
        return self.exchange.headers.get(b"user-agent", b"").decode("latin-1")

    @property
    def host(self) -> str:
        """The Host header."""
        return self.exchange.headers.get(b"host", b"").decode("latin-1")

    @property
    def tx(self) -> Tx:
        """The transaction. A read that needs one and runs in the event loop is run again in a thread."""
        if self.transaction is None:
            raise Miss
        return self.transaction

    def leave_loop(self) -> None:
        """What follows reads many rows: a read that is in the event loop starts again in a thread that may wait."""
        if self.transaction is None or self.gate.in_its_loop:
            raise Miss

    def fetch(self, cache: Cache[K, V], key: K) -> V | None:
        """A cached value in a read; the row as the transaction sees it in a write."""
        if self.mutable:
            return cache.fresh(key, self.tx)
        return cache.get(key, self.transaction)

    def before(self, name: str, do: Callable[[], T], *, waits: bool = False, client: bool = False) -> T:
        """What ``do`` gives. It is run once, before the request's transaction, in a thread that may wait: for what is
        slow, or waits for others, or needs a transaction of its own. The request then starts again from its first
        step and comes here again. name: what tells it from the request's other ones; waits: it waits for another
        machine, so that it had better not take one of the few threads that use the database; client: for the one that
        sent the request, which may be slow on purpose, so that it holds up none but such.

        What it has done stays done, whatever becomes of the request."""
        name = self.scope + name
        if name not in self.done_before:
            raise Before(name, do, self.done_before, waits or client, client)
        result: T = self.done_before[name]
        return result

    def once(self, name: str, ask: Callable[[], T]) -> T:
        """What ``ask`` gives: what another service answers, that is not to be asked again when the request starts
        again. name: as of ``before``."""
        name = self.scope + name
        if name not in self.done_before:
            scope, asked, records = self.scope, self.asked, len(self.records)
            self.scope, self.asked = f"{name}/", 0
            try:
                value = ask()
            finally:
                self.scope, self.asked = scope, asked
            self.done_before[name] = value
            self.done_before.setdefault(_RECORDS, []).extend(self.records[records:])
            self.records = self.records[:records]
        result: T = self.done_before[name]
        return result

    @property
    def records_before(self) -> Sequence[bytes]:
        """Audit records of what was asked ``once``, by whichever run."""
        records: Sequence[bytes] = self.done_before.get(_RECORDS, ())
        return records

    @property
    def moved(self) -> Any:
        """What ``transfer`` gave; None until it did."""
        return self.done_before.get(_TRANSFER)

    def transfer(
        self, do: Callable[[], T], *, quick: bool = False, undo: Callable[[T], object] | None = None
    ) -> T:
        """What ``do`` gives, which moves bytes, outside of any transaction, in a thread that may wait.

        It is run once, after the caller was authorised; then the request starts again, in its transaction. For
        operations that are served by ``streams``. quick: it neither waits nor takes long, and is done here; undo: for
        what it gave, when the request is refused after all."""
        if _TRANSFER not in self.done_before:
            self.done_before[_UNDO] = undo
            if not quick:
                raise Transfer(_TRANSFER, do, self.done_before, True)
            self.done_before[_TRANSFER] = do()
            if not self.mutable:
                raise Transferred
        result: T = self.done_before[_TRANSFER]
        return result

    def undoing(self) -> Callable[[], object] | None:
        """What undoes the transfer; None where there was none, or nothing is to be done."""
        undo = self.done_before.get(_UNDO)
        return (
            None
            if undo is None or _TRANSFER not in self.done_before
            else partial(undo, self.done_before[_TRANSFER])
        )

    def body(self) -> Body:
        """The request's body. Raises AwsError when its head does not say how long it is."""
        if self._asked_with is not None:
            return held_body(self._asked_with)
        assert self.signed is not None
        arriving = self.arriving
        if arriving is None or arriving.held:
            held = self.exchange.body
            return Body(lambda: (held,), self.exchange.headers, self.signed, hashed=True)
        return Body(arriving.pieces, self.exchange.headers, self.signed, hashed=False)

    @property
    def body_is_held(self) -> bool:
        """Whether the body is in memory, small."""
        return self.arriving is None or self.arriving.held or self._asked_with is not None

    @property
    def _asked_with(self) -> bytes | None:
        """The body that a service gave which asks an operation that streams it: of a client's request, the codec
        leaves that member out."""
        given: bytes | None = self.request.get("Body")
        return given

    def send(
        self,
        length: int,
        pieces: Iterator[bytes | memoryview] | None = None,
        close: Callable[[], object] | None = None,
        *,
        status: int = 0,
    ) -> None:
        """Let the answer have a body of ``length`` bytes that is not in the result; see Outgoing."""
        self.outgoing = Outgoing(length, pieces, close, status)

    def stream(self, events: AsyncGenerator[bytes, None]) -> None:
        """Let the answer go on with a stream of events (``event``) after the result."""
        self.outgoing = Outgoing(0, events=events)

    def event(self, name: str, members: Mapping[str, Any]) -> bytes:
        """An event of the operation's stream, as it is sent."""
        assert self.route is not None
        operation = self.route.operation
        return wire.codec(operation.service, operation.name, "json").event(name, members)

    def limit(self, quota: Quota, region: str = "") -> float:
        """What the quota allows the call's account, in the call's Region unless another is given."""
        return self.gate.quotas.value(quota, self.account, region or self.region, self.transaction)

    def part(self, kind: type[P]) -> P:
        """The one instance of a service's state that the composition root gave the gate."""
        part: P = self.gate.parts[kind]
        return part

    def again(self) -> Call:
        """The same request, of which nothing is known yet but what it was counted for and what was done before it."""
        call = Call(self.gate, self.exchange, self.request_id, self.started, self.now)
        call.counted_before = [*self.counted_before, *self.counted]
        call.done_before = self.done_before
        call.arriving = self.arriving
        return call

    def resumed(self) -> Call:
        """The same request, of which is known who calls and for what: steps 2 to 5 are not done again."""
        call = Call(self.gate, self.exchange, self.request_id, self.started, self.now)
        call.entered = self.entered
        call.counted = self.counted[: self.entered]
        call.counted_before = [*self.counted_before, *self.counted[self.entered :]]
        call.done_before = self.done_before
        call.arriving = self.arriving
        call.identity = self.identity
        call.account = self.account
        call.region = self.region
        call.route = self.route
        call.request = self.request
        call.signed = self.signed
        return call

    def passed_on(self, request: Mapping[str, Any], via: str, route: Route, source_arn: str = "") -> Call:
        """The call that a service makes of another on this caller's behalf (``Gate.ask``)."""
        child = Call(self.gate, self.exchange, self.request_id, self.started, self.now)
        child.done_before = self.done_before
        child.arriving = self.arriving
        child.counted = self.counted
        child.counted_before = self.counted_before
        child.afterwards = self.afterwards
        child.identity = self.identity
        child.account = self.account
        child.region = self.region
        child.transaction = self.transaction
        child.mutable = self.mutable
        child.route = route
        child.request = request
        child.via = (*self.via, via) if via else self.via
        self.asked += 1
        child.scope = f"{self.scope}{self.asked}/"
        child.source_arn = source_arn
        child.service = self.service
        if self.identity.principal.kind == "service":
            # However far it is passed on, it is the principal's call, and on behalf of the same.
            child.source_arn, child.source_account = self.source_arn, self.source_account
        return child
