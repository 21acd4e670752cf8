"""The way of a request, top to bottom. There is no other way to a handler.

    1 receive        an exchange comes from the transport          handle
    2 route          which operation it means                      _enter
    3 authenticate   the signature proves who calls                _enter
    4 parse          members, checked against AWS's model          _enter
    5 throttle       request quotas                                _enter, some in _act
    6 resolve        the resource that the operation acts on       _act
    7 authorise      the policies decide                           _act
    8 handle         the operation itself                          _act
    9 audit          the record, durable before the reply leaves   _leave
   10 serialise      the answer or error, in the service's way     _leave

A read on cached state runs through all of it in the event loop, and so does one of a few rows where the database is
a file of this machine. Where something is not in memory (``Miss``) the request starts again in a thread that may
wait for the database: from step 6 on, if it came so far. A write takes steps 6 to 8 in the store's transaction,
which may run them more than once. What must be done outside of the transaction first (``Before``) is done in such a
thread as well. Bodies that are not held in memory are moved between steps 7 and 8, after which the transaction
takes these steps again (``Call.transfer``). Whatever goes wrong is a refusal, and is audited too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import get_ident
from typing import Any, NamedTuple, Protocol, TypeVar

from orjson import dumps

from casemate import wire
from casemate.clock import Clock
from casemate.errors import AwsError, origin
from casemate.gate import audit
from casemate.gate.actors import Actors
from casemate.gate.announcing import Announcer, Silence
from casemate.gate.authenticate import admit_anonymous, authenticate
from casemate.gate.authorise import authorise
from casemate.gate.body_limits import SMALL, largest_body
from casemate.gate.call import Before, Call, Transfer, Transferred
from casemate.gate.cors import Cors, ResourceCors
from casemate.gate.http import STREAM, Exchange
from casemate.gate.identity import ANONYMOUS, Directory
from casemate.gate.operation import Api, Mode, Operation, Repeated, Served
from casemate.gate.organization import Organizations
from casemate.gate.parking import Parked, Parking
from casemate.gate.quotas import AppliedQuotas, DefaultQuotas
from casemate.gate.random_ids import new_uuid
from casemate.gate.resource import Resource
from casemate.gate.router import Route, Router, Unroutable
from casemate.gate.s3_address import S3Address
from casemate.gate.streams import Arriving, send, send_events
from casemate.gate.tally import Tallies
from casemate.gate.throttle import Throttle
from casemate.store.cache import Miss
from casemate.store.database import Store, StoreError, Tx, Unavailable
from casemate.store.journal import JournalUnavailable
from casemate.wire import Reply

log = logging.getLogger("casemate.gate")

T = TypeVar("T")

_PATIENCE = 10.0
"""Seconds after which a request that still waits for a thread is refused: with the database gone, each that gets one
holds it for as long as the store's patience lasts, and those behind would wait for ever."""

# An enumeration's members are slow to get at.
_READ, _WRITE, _STREAM = Mode.READ, Mode.WRITE, Mode.STREAM

_BATCH = 256
"""So many calls are not kept waiting for others."""


class Journal(Protocol):
    """Where audit records go. Each token comes back by ``Gate.release`` once its record is durable."""

    @property
    def healthy(self) -> bool: ...

    def append(self, record: bytes, token: Call | None, wake: bool = True) -> None: ...

    def flush(self, on_durable: Callable[[list[Call | None], BaseException | None], None]) -> None: ...


class _Acted(NamedTuple):
    """What one run of a write's transaction did. The store may run it again, and may find only afterwards that an
    earlier run was the one that was committed."""

    result: Mapping[str, Any]
    reply: Reply
    resources: Sequence[Resource]
    records: Sequence[bytes]
    afterwards: Sequence[Callable[[], object]] = ()


class Gate:
    """What stands between the transport and the services (an ``http.Application``).

    Made and run in the event loop's thread. soon: runs a function in the loop's next round; in_loop: the same,
    called from any thread; in_thread: runs one in a thread that may wait; apart: runs one in a thread that may
    wait for other machines, in_thread unless given; moving: one that may wait for a client for as long as its body
    takes, apart unless given; parts: the services' own state, by type, for ``Call.part``; quotas: those that
    apply, for ``Call.limit``; region: where unsigned requests act; paths: the server's own operations by method
    and path; relaxed: replies may leave before their audit record is durable, for those who choose so; address:
    how S3's requests name buckets; bucket_cors: what they answer to preflights; announcer: who takes the services'
    own events.
    """

    def __init__(
        self,
        apis: Sequence[Api],
        *,
        directory: Directory,
        organizations: Organizations,
        store: Store,
        journal: Journal,
        clock: Clock,
        throttle: Throttle,
        in_thread: Callable[..., object],
        in_loop: Callable[..., object],
        soon: Callable[..., object],
        parts: Mapping[type, Any],
        quotas: AppliedQuotas | None = None,
        region: str = "us-east-1",
        paths: Mapping[tuple[str, bytes], Route] | None = None,
        prefixes: Mapping[bytes, Route] | None = None,
        cors: Cors | None = None,
        bucket_cors: ResourceCors | None = None,
        relaxed: bool = False,
        apart: Callable[..., object] | None = None,
        moving: Callable[..., object] | None = None,
        address: S3Address | None = None,
        form: Route | None = None,
        announcer: Announcer | None = None,
    ) -> None:
        self.clock = clock
        self.directory = directory
        self.organizations = organizations
        self.parts = parts
        self.quotas = quotas or DefaultQuotas()
        self.store = store
        self.tallies = Tallies()
        self.parking = Parking(store, in_loop, self._resume)
        self.acting = Actors(store)
        self.announcer = announcer or Silence()
        self._cors = cors or Cors()
        self._bucket_cors = bucket_cors
        self._in_loop = in_loop
        self._in_thread = in_thread
        self._apart = apart or in_thread
        self._moving = moving or self._apart
        self._soon = soon
        self._sending: set[asyncio.Task[None]] = set()
        self._gathered = 0
        self._gathered_before = 0
        self._home = get_ident()
        self._journal = journal
        self._region = region
        self._relaxed = relaxed
        self._router = Router(apis, paths, address, form, prefixes)
        self._throttle = throttle

    # --- what the transport calls, in the event loop

    unasked = SMALL
    """Bodies up to this size are held whatever they are for."""

    def accept(self, exchange: Exchange) -> int:
        """The head has come: how much of a body may be held."""
        length = exchange.headers.get(b"content-length", b"0")
        if len(length) < 6 and int(length) <= SMALL:
            if length != b"0" or b"transfer-encoding" not in exchange.headers:
                return SMALL
            if self._router.is_s3(exchange):
                return STREAM
            return SMALL
        if self._router.is_s3(exchange):
            return STREAM
        return largest_body(exchange, partial(self._is_access_key, exchange))

    def _is_access_key(self, exchange: Exchange, access_key_id: str) -> bool:
        """Whether there is such an access key, or such a session, proven or not. Where that takes another machine to
        tell, it is left to step 3."""
        token = exchange.headers.get(b"x-amz-security-token")

        def find(tx: Tx | None) -> bool:
            if token is not None:
                return self.directory.session(token.decode("latin-1"), tx) is not None
            return self.directory.credential(access_key_id, tx) is not None

        try:
            return find(None)
        except Miss:
            return self.store.read(find) if self.store.near else True
        except StoreError:
            return False

    def handle(self, exchange: Exchange) -> None:
        """Step 1: the whole request is here; go as far as the event loop can."""
        if exchange.method == "OPTIONS" and self._preflight(exchange):
            return
        self._begin(self._receive(exchange))

    def _preflight(self, exchange: Exchange) -> bool:
        """Answer a browser's preflight, which is no call. False when the request is not one."""
        of_buckets = self._bucket_cors
        if of_buckets is None or not self._router.is_s3(exchange):
            return self._cors.preflight(exchange)
        path = self._router.s3_path(exchange)

        def answer(reply: Reply | None) -> None:
            if reply is None and self._cors.preflight(exchange):
                return
            status, head, body = (404, b"", b"") if reply is None else reply
            exchange.reply(status, head, body)

        def wait() -> None:
            try:
                reply = self.store.read(partial(of_buckets.preflight, exchange, path))
            except Exception as error:
                log.error("a preflight could not be answered: %s", type(error).__qualname__)
                reply = Reply(503, b"", b"")
            self._in_loop(answer, reply)

        try:
            answer(of_buckets.preflight(exchange, path, None))
        except Miss:
            self._in_thread(wait)
        return True

    def _cors_head(self, call: Call) -> bytes:
        """The header lines for a cross-origin request's answer: the server's own or, of S3, the bucket's."""
        if call.route is None or call.route.family != "s3":
            return self._cors.head(call.exchange)
        return next((head for each in call.resources if (head := each.cors(call.exchange))), b"")

    async def stream(self, exchange: Exchange) -> None:
        """Step 1, where the body has not come: it is read once the caller turns out to be allowed. Ends with the
        request's answer."""
        call = self._receive(exchange)
        call.arriving = Arriving(exchange, asyncio.get_running_loop())
        self._begin(call)
        await call.arriving.over()

    def _begin(self, call: Call) -> None:
        try:
            self._run(call)
        except Transfer as transfer:
            self._moving(self._submit_after, call, transfer)
        except Miss as miss:
            wanted = miss if isinstance(miss, Before) else None
            apart = wanted is not None and wanted.waits
            self._thread_for(wanted)(self._run_waiting, call, apart, wanted)

    def _thread_for(self, wanted: Before | None) -> Callable[..., object]:
        """What runs a function in a thread where it holds up none but its like."""
        if wanted is None or not wanted.waits:
            return self._in_thread
        return self._moving if wanted.client else self._apart

    def release(self, batch: Sequence[Call | None], error: BaseException | None) -> None:
        """The journal is done with a batch: its replies leave or, where it failed, are replaced by an error."""
        now = time.perf_counter()
        for call in batch:
            if call is None:
                continue
            route = call.route
            if error is not None:
                call.unaudited = True
            call.records_due -= 1
            if call.records_due > 0:
                continue
            try:
                if call.unaudited:
                    self._forget_outgoing(call)
                    refusal = _unaudited()
                    call.reply = _error_reply(call, None, refusal)
                    call.outcome = refusal.code
                status, head, body = call.reply
                if call.outgoing is None:
                    call.exchange.reply(status, head, body)
                else:
                    self._stream_reply(call)
            except Exception as defect:
                # The others of the batch are not to wait for ever.
                log.error("a reply could not be sent: %s", type(defect).__qualname__)
            if call.arriving is not None and call.outgoing is None:
                call.arriving.end()
            name = "unknown" if route is None else route.operation.action
            self.tallies.count(name, call.outcome, now - call.started)

    def _forget_outgoing(self, call: Call) -> None:
        outgoing, call.outgoing = call.outgoing, None
        if outgoing is not None and outgoing.close is not None:
            self._apart(outgoing.close)

    def _stream_reply(self, call: Call) -> None:
        """The answer leaves in pieces, some of which are not there yet."""
        outgoing = call.outgoing
        assert outgoing is not None
        status, head, body = call.reply

        def over(task: asyncio.Task[None]) -> None:
            self._sending.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("the answer to %s broke off: %s", call.request_id, origin(error))
            if call.arriving is not None:
                call.arriving.end()

        if outgoing.events is not None:
            sending = send_events(call.exchange, status, head, body, outgoing.events)
        else:
            sending = send(call.exchange, status, head, outgoing, self._apart)
        task = asyncio.ensure_future(sending)
        self._sending.add(task)
        task.add_done_callback(over)

    # --- what services call

    def ask(
        self,
        call: Call,
        operation: Operation[Any, Any],
        request: Mapping[str, Any],
        via: str,
        source_arn: str = "",
        region: str = "",
    ) -> Any:
        """A call that a handler makes of another service: steps 5 to 9, as the same caller, in its transaction."""
        child = call.passed_on(request, via, self._router.route_to(operation), source_arn)
        if region:
            child.region = region
        try:
            if operation.served is None:
                raise _not_served(operation)
            if self._throttle.limits and operation.served.quota:
                self._count(child, operation.served.quota, child.region)
            result = self._act(child, operation.served)
            if child.outgoing is not None and child.outgoing.pieces is not None:
                result = {**result, "Body": child.outgoing.held()}
        except Miss:
            raise
        except Exception as error:
            refusal = _as_aws_error(error, child)
            if child.noting is not None:
                child.additional = child.noting(child, refusal.status, 0)
            keeper = call.acts_for or call
            keeper.records = [*keeper.records, *child.records, *self._records(child, None, refusal)]
            raise
        if child.noting is not None:
            child.additional = child.noting(child, 200, 0)
        keeper = call.acts_for or call
        keeper.records = [*keeper.records, *child.records, *self._records(child, result, None)]
        return result

    def weigh(
        self, call: Call, operation: Operation[Any, Any], request: Mapping[str, Any], via: str, region: str
    ) -> tuple[Any, AwsError | None]:
        """What ``ask`` would act on, and how it would be refused: steps 6 and 7, and nothing is done. Raises what the
        resolver raises."""
        child = call.passed_on(request, via, self._router.route_to(operation))
        child.region = region or call.region
        served = operation.served
        if served is None:
            raise _not_served(operation)
        target = served.resolver(child, request)
        try:
            authorise(child, served, target, request)
        except AwsError as refusal:
            return target, refusal
        return target, None

    def operation(self, service: str, name: str) -> Operation[Any, Any]:
        """An operation by name, for what may not import its service. Raises KeyError."""
        return self._router.operation(service, name)

    def apart(self, work: Callable[[], object]) -> None:
        """Do something in a thread that may wait for other machines."""
        self._apart(work)

    @property
    def in_its_loop(self) -> bool:
        """Whether this is the event loop's thread, which nothing may hold up."""
        return get_ident() == self._home

    async def awaited(self, work: Callable[[], T]) -> T:
        """What work gives, which such a thread does, for what waits in the event loop."""
        future: Any = self._apart(work)
        result: T = await asyncio.wrap_future(future)
        return result

    @property
    def audits(self) -> bool:
        """Whether the journal takes records: background jobs wait until it does."""
        return self._journal.healthy

    def record_event(
        self,
        source: str,
        name: str,
        account: str,
        region: str,
        resource: Resource,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Audit what a service does by itself: a background job's effect. details: serviceEventDetails. Raises
        JournalUnavailable."""
        event = audit.service_event(source, name, account, region, self.clock.now(), resource, details)
        self._journal.append(event, None)

    def record(self, records: Sequence[bytes]) -> None:
        """Put the audit records of what was done in the background (``acting.in_background``) into the journal.
        Raises JournalUnavailable."""
        for each in records:
            self._journal.append(each, None)

    # --- the steps

    def _receive(self, exchange: Exchange) -> Call:
        call = Call(self, exchange, new_uuid(), time.perf_counter(), self.clock.now())
        call.region = self._region
        return call

    def _run(self, call: Call) -> None:
        """All steps of a read; of a write those up to the transaction, which does the rest."""
        result: Mapping[str, Any] | None = None
        refusal: Exception | None = None
        try:
            served = self._enter(call)
            if served.mode is _WRITE:
                self._submit(call)
                return
            if served.near and served.mode is _READ and self.store.near:
                result = self.store.read(partial(self._act_near, call, served))
            else:
                result = self._act(call, served)
            if served.mode is _STREAM:
                # There was nothing to be moved.
                self._submit(call)
                return
        except Transferred:
            self._submit_after(call, None)
            return
        except Miss:
            raise
        except Exception as error:
            refusal = error
        self._leave(call, result, refusal)

    def _run_waiting(self, missed: Call, apart: bool, wanted: Before | None) -> None:
        """The same again, in a thread that may wait for the database. apart: also for other machines; wanted: what is
        to be done before."""
        call = missed

        def run(tx: Tx) -> Mapping[str, Any] | None:
            # The store may run this again (a lost connection): nothing leaves from here, each run has its own call.
            nonlocal call
            if call.entered < 0:
                call = call.again()
                call.region = self._region
                call.transaction = tx
                served = self._enter(call)
            else:
                # Who calls, and for what, is known: it goes on at step 6.
                call = call.resumed()
                call.transaction = tx
                served = _served(call)
            if served.mode is _WRITE:
                return None
            acted = self._act(call, served)
            return None if served.mode is _STREAM else acted

        result: Mapping[str, Any] | None = None
        refusal: Exception | None = None
        try:
            if time.perf_counter() - missed.started > _PATIENCE:
                raise Unavailable("too many requests wait for the database")
            result = self._read(run, apart, wanted)
            if result is None:
                self._submit(call)
                return
        except Transferred:
            self._submit_after(call, None)
            return
        except Transfer as transfer:
            self._moving(self._submit_after, call, transfer)
            return
        except Before as before:
            self._thread_for(before)(self._run_waiting, call, True, before)
            return
        except Exception as error:
            refusal = error
        self._leave(call, result, refusal)

    def _read(self, run: Callable[[Tx], T], apart: bool, wanted: Before | None) -> T:
        """A read, and before it whatever it finds to be wanted first. Raises Before for what is to be done apart."""
        while True:
            if wanted is not None:
                wanted.fulfil()
            try:
                return self.store.read(run)
            except Before as before:
                if isinstance(before, Transfer) or (before.waits and not apart):
                    raise
                wanted = before

    def _submit(self, call: Call) -> None:
        """A write's transaction, which does the rest."""
        if not self._journal.healthy:
            # A read's reply would be held back; a write is not even begun.
            raise _unaudited()
        # What is counted from here on, the transaction may run again.
        call.counted.clear()
        near = _served(call).near
        self.store.submit(
            partial(self._act_in, call), partial(self._leave_write, call), call.request_id, near=near
        )

    def _submit_after(self, call: Call, wanted: Before | None) -> None:
        """A write whose transaction found that something must be done first: do it, then begin again; or bytes that
        are moved (None: were moved) before a transaction."""
        try:
            if wanted is not None:
                wanted.fulfil()
            call.counted_before += call.counted
            self._submit(call)
        except Exception as error:
            self._leave(call, None, error)

    def _resume(self, call: Call) -> None:
        """Run a write again that has waited (``Parked``)."""
        call.now = self.clock.now()
        self._submit_after(call, None)

    def _enter(self, call: Call) -> Served:
        exchange = call.exchange
        # 2. route
        route = call.route = self._router.route(exchange)
        served = route.operation.served
        proof = None if served is None else served.proof
        # 3. authenticate
        if proof is None and not authenticate(call, route, self.directory):
            admit_anonymous(call, route)
        if served is None:
            raise _not_served(route.operation)
        arriving = call.arriving
        if arriving is not None and not arriving.held and served.mode is not _STREAM:
            # It takes no more than a document, which is read now that its sender is known.
            if call.identity is ANONYMOUS:
                raise AwsError("AccessDenied", "Access Denied", 403)
            raise Before("document", arriving.hold, call.done_before, True, client=True)
        # 4. parse
        body = exchange.body
        if call.signed is not None and call.signed.framed:
            # Of an operation that streams its body, the codec does not read it.
            body = b"" if served.mode is _STREAM else call.body().whole()
        call.request = route.codec.parse(exchange.method, exchange.path, exchange.query, call.headers, body)
        if proof is not None:
            # 3., for operations that take no signature: the proof is among the parameters.
            call.identity = proof(call, call.request)
            call.account = call.identity.account
        # 5. throttle
        if self._throttle.limits and served.quota:
            self._count(call, served.quota, call.region)
        call.entered = len(call.counted)
        return served

    def _count(self, call: Call, quota: str, region: str) -> None:
        """Once for each request, however often it has to start again."""
        charge = (quota, region)
        if charge in call.counted_before:
            call.counted_before.remove(charge)
        else:
            assert call.route is not None
            self._throttle.take(quota, call.account, region, call.route.family, call.transaction)
        call.counted.append(charge)

    def _act(self, call: Call, served: Served) -> Mapping[str, Any]:
        request = call.request
        # 6. resolve
        target = served.resolver(call, request)
        # 5. throttle, where it takes the resource to know what the request counts for
        if served.quota_of is not None and self._throttle.limits:
            assert call.route is not None
            service = call.route.operation.service
            for quota, region in served.quota_of(call, request, target):
                self._count(call, f"{service}:{quota}", region)
        # 7. authorise
        authorise(call, served, target, request)
        # 8. handle
        result: Mapping[str, Any] = served.handler(call, request, target)
        return result

    def _act_near(self, call: Call, served: Served, tx: Tx) -> Mapping[str, Any]:
        """The same in the event loop, where a few rows are read at once. What takes longer raises Miss, as ever."""
        call.transaction = tx
        try:
            return self._act(call, served)
        finally:
            call.transaction = None

    def _act_in(self, call: Call, tx: Tx) -> _Acted:
        """Steps 6 to 8 in a write's transaction; each run starts with nothing of the one before."""
        assert call.route is not None
        served = _served(call)
        call.transaction = tx
        call.mutable = True
        call.resources = call.records = ()
        call.afterwards.clear()
        call.asked = 0
        call.counted_before += call.counted
        call.counted.clear()
        result = self._act(call, served)
        # Here, so that an answer that cannot be written undoes what it would have told.
        reply = call.route.codec.reply(result, call.request_id)
        return _Acted(result, reply, call.resources, call.records, tuple(call.afterwards))

    def _leave_write(self, call: Call, acted: _Acted | None, refusal: BaseException | None) -> None:
        """A write's transaction is over. What leaves is of the run that was committed, which need not be the last."""
        if isinstance(refusal, Parked):
            call.parked = True
            self._in_loop(self.parking.park, call, refusal)
            return
        if isinstance(refusal, Before):
            self._thread_for(refusal)(self._submit_after, call, refusal)
            return
        if acted is None:
            self._leave(call, None, refusal)
            return
        call.reply, call.resources, call.records = acted.reply, acted.resources, acted.records
        for tell in acted.afterwards:
            tell()
        self._leave(call, acted.result, refusal)

    def _leave(self, call: Call, result: Mapping[str, Any] | None, refusal: BaseException | None) -> None:
        """Steps 9 and 10; in the event loop or in any thread of the store's. Raises nothing, and always replies."""
        error = None if refusal is None else _as_aws_error(refusal, call)
        route = call.route
        reply: Reply | None = None
        try:
            # 10. serialise: before the audit, so that an answer that cannot be written is audited as an error
            if error is None and result is not None and route is not None:
                reply = call.reply if call.mutable else route.codec.reply(result, call.request_id)
            if call.noting is not None:
                self._note(call, reply, error, refusal)
            records = self._records(call, result, error, refusal)
        except Exception as defect:
            error = _as_aws_error(defect, call)
            reply = None
            records = audit.records(
                call,
                "" if route is None else route.source,
                "" if route is None else route.operation.name,
                read_only=False,
                parameters=None,
                response=None,
                error=error,
            )
        if reply is None:
            error = error or _as_aws_error(RuntimeError("no answer"), call)
            reply = _error_reply(call, refusal, error)
            if call.outgoing is not None:
                self._forget_outgoing(call)
            if refusal is not None and not isinstance(refusal, StoreError):
                # What was committed, or what the store is not sure of, may be there.
                undo = call.undoing()
                if undo is not None:
                    self._apart(undo)
        if call.head and error is None:
            reply = reply._replace(head=reply.head + call.head)
        if b"origin" in call.exchange.headers:
            reply = reply._replace(head=reply.head + self._cors_head(call))
        # 9. audit
        call.reply = reply
        if error is not None:
            call.outcome = error.code
        asked = [*call.records_before, *call.records] if call.done_before else call.records
        self._keep([*asked, *records] if asked else records, call)

    def _note(
        self, call: Call, reply: Reply | None, error: AwsError | None, refusal: BaseException | None
    ) -> None:
        """Have it noted what the answer is."""
        if error is not None:
            reply = _error_reply(call, refusal, error)
        assert call.noting is not None
        assert reply is not None
        outgoing = call.outgoing if error is None else None
        status, sent = reply.status, len(reply.body)
        if outgoing is not None:
            status, sent = outgoing.status or status, outgoing.length
        call.additional = call.noting(call, status, sent)

    def _keep(self, records: Sequence[bytes], call: Call) -> None:
        """Put a call's records into the journal; its reply leaves when all of them are durable."""
        journal = self._journal
        due = call.records_due = len(records) if not self._relaxed else 1
        token = None if self._relaxed else call
        # In the loop, what is ready is served first; then one write serves all of it.
        here = get_ident() == self._home
        try:
            for record in records:
                journal.append(record, token, not here)
                due -= 1
        except JournalUnavailable as unavailable:
            left = 1 if self._relaxed else due
            self._in_loop(self.release, [call] * left, unavailable)
            return
        if here:
            self._gathered += 1
            if self._gathered == 1:
                self._soon(self._flush)
        if token is None:
            self._in_loop(self.release, [call], None)

    def _flush(self) -> None:
        """Write what has gathered, once a round of the loop has brought nothing more: one sync for all clients
        that were about to ask costs less than one for each handful of them."""
        if self._gathered_before < self._gathered < _BATCH:
            self._gathered_before = self._gathered
            self._soon(self._flush)
            return
        self._gathered = self._gathered_before = 0
        self._journal.flush(self.release)

    def _records(
        self,
        call: Call,
        result: Mapping[str, Any] | None,
        error: AwsError | None,
        refusal: BaseException | None = None,
    ) -> list[bytes]:
        route = call.route
        if route is None:
            name = refusal.name if isinstance(refusal, Unroutable) else ""
            return audit.records(call, "", name, read_only=False, parameters=None, response=None, error=error)
        served = route.operation.served
        read_only = served is not None and served.read_only
        recorded = served is not None and served.recorded
        return audit.records(
            call,
            route.source,
            route.operation.name,
            read_only=read_only,
            parameters=_shown(route, call.request) if call.request else None,
            response=route.codec.redact_result(result) if result and recorded and not error else None,
            error=error,
        )


def _shown(route: Route, request: Mapping[str, Any]) -> Mapping[str, Any] | bytes:
    """What the audit shows of a request."""
    if type(request) is not Repeated:
        return route.codec.redact(request)
    if not request.shown:
        request.shown = dumps(route.codec.redact(request), str)
    return request.shown


def _served(call: Call) -> Served:
    """How the call's operation is served, once it was entered."""
    assert call.route is not None
    served = call.route.operation.served
    assert served is not None
    return served


def _error_reply(call: Call, refusal: BaseException | None, error: AwsError) -> Reply:
    if call.route is not None:
        return call.route.codec.error(error, call.request_id)
    if isinstance(refusal, Unroutable):
        return wire.error_reply(refusal.service, refusal.protocol, error, call.request_id)
    return wire.error_reply(None, "json", error, call.request_id)


def _as_aws_error(error: BaseException, call: Call) -> AwsError:
    if isinstance(error, AwsError):
        return error
    if isinstance(error, Unroutable):
        return error.error
    if isinstance(error, Unavailable):
        return AwsError("ServiceUnavailable", "The store cannot be reached. Try again shortly.", 503)
    log.error("request %s failed: %s", call.request_id, origin(error))
    return AwsError("InternalFailure", f"An internal error occurred (request {call.request_id}).", 500)


def _not_served(operation: Operation[Any, Any]) -> AwsError:
    return AwsError("NotImplemented", f"The operation {operation} is not served by Casemate.", 501)


def _unaudited() -> AwsError:
    text = "The audit journal cannot be written, so no call is answered. A change may have been made."
    return AwsError("ServiceUnavailable", text, 503)
