"""An operation of AWS's API as a value: ``kms.Encrypt``. Handlers are attached to it, other services ask it.

    @kms.Encrypt.reads(named_key)
    def encrypt(call: Call, req: kms.EncryptRequest, key: Key) -> kms.EncryptResponse: ...

``reads``, ``writes`` and ``streams`` say what the operation needs of the store; the resolver finds the resource
that the operation acts on, so that the gate can authorise before the handler runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from casemate.errors import AwsError
    from casemate.gate.call import Call
    from casemate.gate.identity import Identity
    from casemate.gate.resource import Resource

Req = TypeVar("Req", bound=Mapping[str, Any])
Res = TypeVar("Res", bound=Mapping[str, Any])
T = TypeVar("T")

Resolver = Callable[["Call", Mapping[str, Any]], T]

Charges = Iterable[tuple[str, str]]
"""What a request counts for: the name of a request quota of its service, and the Region; once for each time."""

QuotaOf = Callable[["Call", Mapping[str, Any], Any], Charges]
"""Which request quotas a request counts against, once it is known what it acts on."""


class Mode(Enum):
    READ = "read"
    """Runs at once against cached state or a snapshot, changes nothing."""
    WRITE = "write"
    """Runs inside a transaction, possibly more than once: no effect outside it."""
    STREAM = "stream"
    """Moves bytes that are not held in memory (``Call.transfer``): it runs as a read up to there, and once they have
    been moved again, from its start, inside a transaction."""


@dataclass(frozen=True, slots=True)
class Need:
    """One permission that an operation needs: ``action`` on the resource that ``of`` picks from what the
    resolver found. Without ``of``, what the resolver found is the resource. ``of`` may answer None: not needed
    for this request."""

    action: str
    of: Callable[[Any], Resource | None] | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """How an operation is served: one handler, one resolver, the permissions it needs (none: always allowed,
    as sts:GetCallerIdentity is). quota: the request quota it counts against, with its service ("kms:CreateKey"), ''
    where quota_of tells it; recorded: whether the audit shows the answer; proof: of an operation that takes no
    signature, what finds out who calls by what the request itself brings: it raises AwsError where that proves
    nothing; near: it takes a few rows, which a database on this machine gives at once."""

    mode: Mode
    resolver: Resolver[Any]
    needs: tuple[Need, ...]
    handler: Callable[[Call, Any, Any], Any]
    read_only: bool
    quota: str
    recorded: bool
    quota_of: QuotaOf | None = None
    proof: Callable[[Call, Any], Identity] | None = None
    near: bool = False


class Operation(Generic[Req, Res]):
    """One operation of a service. ``served`` is None until a handler is attached: it then answers 501."""

    __slots__ = ("action", "name", "served", "service")

    def __init__(self, service: str, name: str, prefix: str = "") -> None:
        """service: botocore's name; prefix: of its IAM action, where that is another one."""
        self.service = service
        self.name = name
        self.action = f"{prefix or service}:{name}"
        self.served: Served | None = None

    def __repr__(self) -> str:
        return self.action

    def reads(
        self,
        resolver: Resolver[T],
        *needs: Need,
        quota: str | QuotaOf = "",
        always_allowed: bool = False,
        recorded: bool = False,
        proof: Callable[[Call, Req], Identity] | None = None,
        near: bool = False,
    ) -> Callable[[Callable[[Call, Req, T], Res]], Callable[[Call, Req, T], Res]]:
        """Serve it by a handler that changes nothing. needs: the permissions, the operation's own name on what
        the resolver found unless given; always_allowed: to whoever signs, whatever the policies say; quota:
        the name of the request quota it counts against, its own name where AWS has no shared one, or what tells it
        once the resolver has found what the request acts on; recorded: the audit shows its answer, as CloudTrail
        does of those that give credentials; proof: it takes no signature, and this finds the caller; near: it always
        reads rows, but few (see Served)."""
        wanted = () if always_allowed else needs or (Need(self.action),)
        return self._serve(Mode.READ, resolver, wanted, True, quota, recorded, proof, near)

    def writes(
        self,
        resolver: Resolver[T],
        *needs: Need,
        quota: str | QuotaOf = "",
        read_only: bool = False,
        always_allowed: bool = False,
        proof: Callable[[Call, Req], Identity] | None = None,
        near: bool = False,
    ) -> Callable[[Callable[[Call, Req, T], Res]], Callable[[Call, Req, T], Res]]:
        """Serve it by a handler that runs in a transaction. read_only: what CloudTrail says of it; always_allowed,
        proof: as of ``reads``, for what the request itself entitles to; near: it reads and changes a few rows and no
        more, whatever the request (see Served)."""
        wanted = () if always_allowed else needs or (Need(self.action),)
        return self._serve(Mode.WRITE, resolver, wanted, read_only, quota, not read_only, proof, near)

    def streams(
        self,
        resolver: Resolver[T],
        *needs: Need,
        quota: str | QuotaOf = "",
        read_only: bool = False,
        proof: Callable[[Call, Req], Identity] | None = None,
        near: bool = False,
    ) -> Callable[[Callable[[Call, Req, T], Res]], Callable[[Call, Req, T], Res]]:
        """Serve it by a handler that calls ``call.transfer`` and then changes rows. The caller is authorised before a
        byte of the body is read, and again by the state in which the rows change. near: as of ``writes``."""
        wanted = needs or (Need(self.action),)
        return self._serve(Mode.STREAM, resolver, wanted, read_only, quota, not read_only, proof, near)

    def _serve(
        self,
        mode: Mode,
        resolver: Resolver[T],
        needs: tuple[Need, ...],
        read_only: bool,
        quota: str | QuotaOf,
        recorded: bool,
        proof: Callable[[Call, Req], Identity] | None = None,
        near: bool = False,
    ) -> Callable[[Callable[[Call, Req, T], Res]], Callable[[Call, Req, T], Res]]:
        def attach(handler: Callable[[Call, Req, T], Res]) -> Callable[[Call, Req, T], Res]:
            if self.served is not None:
                raise RuntimeError(f"{self} has two handlers: {self.served.handler!r} and {handler!r}")
            fixed, quota_of = (quota, None) if isinstance(quota, str) else ("", quota)
            name = "" if quota_of is not None else f"{self.service}:{fixed or self.name}"
            self.served = Served(
                mode, resolver, needs, handler, read_only, name, recorded, quota_of, proof, near
            )
            return handler

        return attach

    def ask(self, call: Call, request: Req, *, via: str = "", source_arn: str = "", region: str = "") -> Res:
        """Call this operation from a handler of another service, through the gate from its step 5 on.

        Keeps the caller's principal, is authorised and audited, and joins the caller's transaction. via: the
        asking service's name ("ssm"), which becomes kms:ViaService and aws:CalledVia; source_arn: the resource
        on whose behalf it asks, for aws:SourceArn and aws:SourceAccount; region: where, the call's unless given."""
        result: Res = call.gate.ask(call, self, request, via, source_arn, region)
        return result

    def weigh(
        self, call: Call, request: Req, *, via: str = "", region: str = ""
    ) -> tuple[Any, AwsError | None]:
        """What asking would act on, and the refusal that it would get, None where it is let; nothing is done."""
        return call.gate.weigh(call, self, request, via, region)


class Repeated(dict[str, Any]):
    """A request that a handler asks of another service again and again, and never changes. shown: how the audit shows
    it, as JSON; b"" until it was first shown; read: what the asked service's resolver reads out of the request
    whoever asks, None until it did."""

    __slots__ = ("read", "shown")

    def __init__(self, request: Mapping[str, Any]) -> None:
        super().__init__(request)
        self.shown = b""
        self.read: Any = None


class Api(NamedTuple):
    """A served service as routing needs it; the generated modules of casemate.api each have one.

    service: botocore's name; signing_name: the service in a signature's scope, and the prefix of IAM actions;
    target_prefix: what X-Amz-Target begins with ('' for protocols without it); version: the API version that
    query requests name; protocols: in the model's order of preference; region: where all calls act, of a global
    service; '' of a regional one.
    """

    service: str
    signing_name: str
    target_prefix: str
    version: str
    protocols: tuple[str, ...]
    operations: tuple[Operation[Any, Any], ...]
    region: str = ""
