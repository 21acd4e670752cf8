"""Services that act by themselves: as their service principal, or by a role that trusts them.

    def invoke(call: Call) -> None:
        lambda_.Invoke.ask(call, {"FunctionName": arn, "InvocationType": "Event"})

    act_as(call, Actor("events.amazonaws.com", account, region, source_arn=rule))     within a handler
    perform(gate, Actor(...), invoke)                                                  in a background job

Both give a call whose caller is the service, and which goes the gate's way from step 5 on like any other: the
target's resource policy must allow the principal (with aws:SourceArn and aws:SourceAccount), or the role's own
policies the session; it is audited, and joins the transaction. There is nothing here that a request could reach: an
``Actor`` is made by a service's code, of what its own sealed rows say.

Source: "AWS JSON policy elements: Principal" (service principals), "The confused deputy problem", "CloudTrail
userIdentity element".
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from casemate.errors import AwsError
from casemate.gate.call import Before, Call
from casemate.gate.http import Exchange
from casemate.gate.identity import Identity
from casemate.gate.random_ids import new_uuid
from casemate.store.database import Tx

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.gate.gate import Gate

T = TypeVar("T")


class Actor(NamedTuple):
    """A service, and on whose behalf it acts.

    service: its principal ("secretsmanager.amazonaws.com"); account, region: where the call acts (by a role, in the
    role's account); source_arn: the
    resource for which it acts, for aws:SourceArn; source_account: for aws:SourceAccount, the account unless given;
    role: the ARN of the role to act by, '' to act as the service principal; session: the name of the role's session.
    """

    service: str
    account: str
    region: str
    source_arn: str = ""
    source_account: str = ""
    role: str = ""
    session: str = ""


def act_as(call: Call, actor: Actor) -> Call:
    """A call by the service itself, for ``ask``, in the transaction of the call whose handler lets it act. Nothing of
    that call's caller goes with it.

    Raises AccessDenied when the role does not trust the service, or does not exist.
    """
    child = _by_principal(call, actor)
    if not actor.role:
        return child
    session = _session(child, actor)
    child.identity = session
    # A session acts in its role's account, as any caller in its own.
    child.account = session.account
    child.source_arn = child.source_account = ""
    return child


def in_background(gate: Gate, work: Callable[[Call], T], *, reads: bool = False) -> T:
    """What work returns. It is given a call by nobody, who may nothing, and lets services act for it
    (``act_as``), all in one transaction, which may run more than once and is durable on return.

    Runs in a thread that may wait, never in the event loop. What must be done before a transaction (``Call.before``)
    is done, and work runs again. reads: work changes nothing. An exception of work undoes everything and is raised
    here; what was refused is audited all the same. Raises AwsError(ServiceUnavailable) while the audit takes no
    records.
    """
    if not gate.audits:
        raise AwsError("ServiceUnavailable", "The audit journal cannot be written.", 503)
    request_id, started, done = new_uuid(), time.perf_counter(), dict[str, object]()
    base: Call | None = None

    def run(tx: Tx) -> tuple[T, Sequence[bytes]]:
        nonlocal base
        base = Call(gate, _Inside(""), request_id, started, gate.clock.now())
        base.transaction, base.mutable, base.done_before = tx, not reads, done
        result = work(base)
        return result, [*base.records_before, *base.records]

    while True:
        try:
            result, records = gate.store.read(run) if reads else gate.store.write(run)
        except Before as before:
            before.fulfil()
            continue
        except BaseException:
            if base is not None:
                gate.record([*base.records_before, *base.records])
            raise
        gate.record(records)
        for tell in tuple(base.afterwards) if base is not None else ():
            tell()
        return result


def perform(gate: Gate, actor: Actor, work: Callable[[Call], T], *, reads: bool = False) -> T:
    """``in_background`` for one actor: work is given the actor's call."""
    return in_background(gate, lambda base: work(act_as(base, actor)), reads=reads)


def name_of(service: str) -> str:
    """A service's name in its principal: "events" of "events.amazonaws.com"."""
    return service.partition(".")[0]


def _by_principal(call: Call, actor: Actor) -> Call:
    gate = call.gate
    call.asked += 1
    child = call.again()
    child.exchange = _Inside(actor.service)
    child.identity = gate.acting.service(actor.service, actor.region, call.transaction)
    child.account, child.region = actor.account, actor.region
    child.transaction, child.mutable = call.transaction, call.mutable
    child.counted, child.counted_before = call.counted, call.counted_before
    child.afterwards = call.afterwards
    child.scope = f"{call.scope}{call.asked}/"
    child.source_arn = actor.source_arn
    child.source_account = actor.source_account or actor.account
    child.service = actor.service
    child.acts_for = call.acts_for or call
    return child


def _session(principal: Call, actor: Actor) -> Identity:
    """A session of the actor's role, by STS's own AssumeRole: the role's trust policy must let the service."""
    gate, name = principal.gate, actor.session or name_of(actor.service)
    key = (actor.service, actor.role, name, principal.source_arn, principal.source_account, actor.region)
    kept = gate.acting.session(key, principal.now)
    if kept is not None:
        return kept
    assume_role = gate.operation("sts", "AssumeRole")
    # On a call of its own, for whether a session was kept must not change how what follows is called (Call.scope).
    by_service = _by_principal(principal, actor)
    by_service.scope = f"{principal.scope}role/"
    principal.asked = 0
    answer = assume_role.ask(by_service, {"RoleArn": actor.role, "RoleSessionName": name})
    tx = principal.tx
    found = gate.directory.session(answer["Credentials"]["SessionToken"], tx)
    if found is None:
        raise AwsError("AccessDenied", f"The role {actor.role} cannot be used.", 403)
    gate.directory.used(
        found.user, found.identity.account, principal.now, name_of(actor.service), actor.region
    )
    gate.acting.keep_session(key, found.identity, principal.now, tx)
    return found.identity


class _Inside(Exchange):
    """In place of an exchange where no request came in: its client is the service itself."""

    __slots__ = ()

    def __init__(self, service: str) -> None:
        self.method = "POST"
        self.path = b"/"
        self.query = self.body = b""
        self.headers = {b"user-agent": service.encode()}
        self.peer = service
        self.tls = None
        self.replied = True

    def reply(self, status: int, head: bytes, body: bytes) -> None:  # noqa: ARG002
        raise RuntimeError("nobody waits for a reply")

    def read(self) -> AsyncIterator[bytes]:
        raise RuntimeError("no body comes in here")

    async def start(self, status: int, head: bytes, length: int | None) -> None:  # noqa: ARG002
        raise RuntimeError("nobody waits for a reply")

    async def write(self, data: bytes | memoryview) -> None:  # noqa: ARG002
        raise RuntimeError("nobody waits for a reply")

    async def finish(self) -> None:
        raise RuntimeError("nobody waits for a reply")
