"""The policy simulator: what the engine decides for policies, a caller and a context that need not exist.

Source: "IAM policy testing with the IAM policy simulator".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from casemate.engine.policy import Attached, Decision, Policy, Principal, Question, Value, decide, parse
from casemate.engine.policy.decision import IDENTITY, RESOURCE
from casemate.services.iam.document_parts import Span, context_keys, spans

ALLOWED, EXPLICIT, IMPLICIT = "allowed", "explicitDeny", "implicitDeny"
_STRICTEST = (EXPLICIT, IMPLICIT, ALLOWED)

IAM_POLICY, RESOURCE_POLICY, BOUNDARY_POLICY = "IAM Policy", "Resource Policy", "Permissions Boundary"

_EVERYTHING = parse(
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}', "identity"
)


class Source(NamedTuple):
    """A policy of a simulation. id: as results name it; document: its text."""

    id: str
    policy: Policy
    document: str

    @property
    def key(self) -> str:
        """What tells it from the others of its simulation."""
        return self.policy.name


class Match(NamedTuple):
    """A statement that decided: of which policy, which kind of policy that is, and where it stands."""

    source: str
    kind: str
    span: Span


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes of one action on one resource, or on several together. organizations, boundary: whether these allow
    it, None without any; details: for calls across accounts, what each kind of policy decides; missing: the context
    keys that matter and have no value."""

    decision: str
    matched: tuple[Match, ...]
    missing: tuple[str, ...]
    organizations: bool | None = None
    boundary: bool | None = None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Simulation:
    """owner: the account that owns resources whose ARN names none; context: values by key, in lower case."""

    principal: Principal
    identity: Sequence[Source]
    boundary: Source | None
    resource_policy: Source | None
    scps: tuple[tuple[Policy, ...], ...]
    owner: str
    context: Mapping[str, Value]

    def outcome(self, action: str, resource: str) -> Outcome:
        asked = self._question(action, resource)
        decision = decide(asked, _nothing)
        organizations = boundary = None
        if self.scps:
            organizations = _within(asked, Attached(identity=(_EVERYTHING,), scps=self.scps))
        if self.boundary is not None:
            boundary = _within(asked, Attached(identity=(_EVERYTHING,), boundary=self.boundary.policy))
        details: Mapping[str, str] = {}
        if asked.is_cross_account and (organizations is None or organizations.allowed):
            details = self._details(asked, boundary)
        return Outcome(
            _named(decision),
            tuple(self._matches(decision)),
            tuple(self._missing(asked)),
            None if organizations is None else organizations.allowed,
            None if boundary is None else boundary.allowed,
            details,
        )

    def _question(self, action: str, resource: str) -> Question:
        owner = self.principal.account
        if self.resource_policy is not None:
            # Without a resource's policy there is nothing that another account could have said.
            owner = _account_of(resource) or self.owner
        return Question(
            self.principal,
            Attached(
                identity=tuple(source.policy for source in self.identity),
                boundary=None if self.boundary is None else self.boundary.policy,
                scps=self.scps,
            ),
            action,
            resource,
            owner,
            None if self.resource_policy is None else self.resource_policy.policy,
            known=self.context,
        )

    def _details(self, asked: Question, boundary: Decision | None) -> dict[str, str]:
        identity = Attached(identity=asked.attached.identity)
        theirs = replace(asked, attached=Attached(identity=(_EVERYTHING,)))
        found = {
            IAM_POLICY: _named(_within(asked, identity)),
            RESOURCE_POLICY: _named(decide(theirs, _nothing)),
        }
        if boundary is not None:
            found[BOUNDARY_POLICY] = _named(boundary)
        return found

    def _matches(self, decision: Decision) -> Iterable[Match]:
        """Statements of identity-based and resource-based policies alone."""
        sources = {source.key: source for source in self._sources()}
        for statement in decision.statements:
            if statement.policy_kind in (IDENTITY, RESOURCE):
                source = sources[statement.policy]
                kind = RESOURCE_POLICY if statement.policy_kind == RESOURCE else IAM_POLICY
                yield Match(source.id, kind, spans(source.document)[statement.index])

    def _sources(self) -> list[Source]:
        return [*self.identity, *(each for each in (self.boundary, self.resource_policy) if each is not None)]

    def _missing(self, asked: Question) -> Iterable[str]:
        names: dict[str, str] = {}
        for source in self._sources():
            written = context_keys(source.document)
            about = source.policy.about(asked.action.lower())
            for statement in (*about.allows, *about.denies):
                resources = statement.resources
                wanted: set[str] = set()
                if resources is not None:
                    if resources.settled(asked.resource) is False:
                        continue
                    wanted |= resources.keys
                for condition in statement.conditions:
                    wanted |= condition.keys
                names.update({key: written.get(key, key) for key in wanted if self.context.get(key) is None})
        return sorted(names.values())


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """What holds for all resources: the strictest decision, and the statements that made it."""
    strictest = min((each.decision for each in outcomes), key=_STRICTEST.index)
    decided = [each for each in outcomes if each.decision == strictest]
    details: dict[str, str] = {}
    for each in outcomes:
        for kind, decision in each.details.items():
            details[kind] = min(decision, details.get(kind, decision), key=_STRICTEST.index)
    return Outcome(
        strictest,
        tuple(dict.fromkeys(match for each in decided for match in each.matched)),
        tuple(sorted({key for each in outcomes for key in each.missing})),
        _all(each.organizations for each in outcomes),
        _all(each.boundary for each in outcomes),
        details,
    )


def _within(asked: Question, attached: Attached) -> Decision:
    """What these policies of the principal decide by themselves, as if the resource were its own account's."""
    return decide(replace(asked, attached=attached, resource_policy=None, resource_account=""), _nothing)


def _all(values: Iterable[bool | None]) -> bool | None:
    known = [value for value in values if value is not None]
    return all(known) if known else None


def _named(decision: Decision) -> str:
    return ALLOWED if decision.allowed else EXPLICIT if decision.explicit else IMPLICIT


def _nothing(_: str) -> Value:
    return None


def _account_of(arn: str) -> str:
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[4].isdigit() else ""
