"""Partial evaluation: what is left of a question once principal, action, resource and their policies are
known.

``prepare`` looks at the statements that can matter, drops those that certainly do not apply, and drops the
conditions that certainly hold. What remains asks for the request's own condition keys only, or for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from casemate.engine.policy import decision as words
from casemate.engine.policy.conditions import Check, Condition
from casemate.engine.policy.decision import Decision, Matched
from casemate.engine.policy.model import Policy, ResourceElement, Statement
from casemate.engine.policy.principals import Grade
from casemate.engine.policy.question import Question
from casemate.engine.policy.variables import Lookup, Value

#: What must hold for a statement to apply, one check or none, and the decision if it decides.
_Alternative = tuple[tuple[Check, ...], Decision]

#: How far a way to an Allow got before it failed; of several failed ways the furthest gives the reason.
_AT_RESOURCE, _AT_IDENTITY, _AT_BOUNDARY, _AT_SESSION = range(4)


class _Gate(NamedTuple):
    """One policy type's part in a way to an Allow: any alternative opens it. decides: an alternative's
    decision is that of the whole way."""

    alternatives: tuple[_Alternative, ...]
    rank: int
    refusal: Decision
    decides: bool = False

    @property
    def is_open(self) -> bool:
        return any(not checks for checks, _ in self.alternatives)


_Way = tuple[tuple[_Gate, ...], Decision]
Decide = Callable[[Lookup], Decision]


class Residual:
    """constant: the decision, if no key of the request can change it. decide: the decision for a request with
    these keys; a function rather than a method, made to measure, as every request goes through it."""

    __slots__ = ("constant", "decide")

    def __init__(self, constant: Decision | None, decide: Decide) -> None:
        self.constant: Final = constant
        self.decide: Final = decide


#: What a grant that allows the request is among the Allows of the resource.
_BY_GRANT: Final[_Alternative] = ((), Decision(True, False, words.GRANT))

#: Refuses where a residual has no way at all. prepare always makes one.
_NOTHING_ALLOWS: Final = Decision(False, False, words.IDENTITY)


def _rank(gate: _Gate) -> int:
    return gate.rank


def _residual(denies: tuple[_Alternative, ...], limits: tuple[_Gate, ...], ways: list[_Way]) -> Residual:
    """The Deny statements that may apply, the organisation's gates that are not open, and the ways to an
    Allow."""
    certain = [way for way in ways if not way[0]]
    # Of ways that are shut from the start only the refusal is kept.
    shut = [gates[0] for gates, _ in ways if gates and not gates[0].alternatives]
    best = max(shut, key=_rank, default=None)
    hopeless = (-1, _NOTHING_ALLOWS) if best is None else (best.rank, best.refusal)
    left = tuple(certain[:1] or [(gates, decision) for gates, decision in ways if gates[0].alternatives])
    constant = _constant(denies, limits, left, hopeless[1])
    if constant is not None:
        return Residual(constant, _always(constant))
    conditional = tuple((checks[0], decision) for checks, decision in denies if checks)
    if len(conditional) < len(denies):
        # _until_certain ended the list with a Deny that applies in any case.
        return Residual(None, _unless_denied(conditional, denies[-1][1]))
    if not limits and left and not left[0][0]:
        return Residual(None, _unless_denied(conditional, left[0][1]))
    if not denies and not limits and len(left) == 1:
        ((gates, decision),) = left
        if len(gates) == 1 and len(gates[0].alternatives) == 1:
            ((checks, chosen),) = gates[0].alternatives
            rank, refusal = hopeless
            return Residual(
                None,
                _hanging_on_one(
                    checks[0],
                    chosen if gates[0].decides else decision,
                    gates[0].refusal if gates[0].rank > rank else refusal,
                ),
            )
    return Residual(None, _hanging_on_many(conditional, limits, left, hopeless))


def _constant(
    denies: tuple[_Alternative, ...], limits: tuple[_Gate, ...], ways: tuple[_Way, ...], refusal: Decision
) -> Decision | None:
    if denies:
        checks, decision = denies[0]
        return None if checks else decision
    if limits:
        # Open gates are not kept, so that this one is shut or hangs on the request.
        return None if limits[0].alternatives else limits[0].refusal
    if not ways:
        return refusal
    gates, decision = ways[0]
    return None if gates else decision


def _always(decision: Decision) -> Decide:
    def decide(_lookup: Lookup) -> Decision:
        return decision

    return decide


def _hanging_on_one(check: Check, allowed: Decision, refused: Decision) -> Decide:
    def decide(lookup: Lookup) -> Decision:
        return allowed if check(lookup) else refused

    return decide


def _unless_denied(denies: tuple[tuple[Check, Decision], ...], otherwise: Decision) -> Decide:
    def decide(lookup: Lookup) -> Decision:
        for check, decision in denies:
            if check(lookup):
                return decision
        return otherwise

    return decide


def _hanging_on_many(
    denies: tuple[tuple[Check, Decision], ...],
    limits: tuple[_Gate, ...],
    ways: tuple[_Way, ...],
    hopeless: tuple[int, Decision],
) -> Decide:
    def decide(lookup: Lookup) -> Decision:
        for check, decision in denies:
            if check(lookup):
                return decision
        for alternatives, _, refusal, _ in limits:
            if not any(all(check(lookup) for check in checks) for checks, _ in alternatives):
                return refusal
        furthest, refusal = hopeless
        for gates, decision in ways:
            for alternatives, rank, otherwise, decides in gates:
                for checks, chosen in alternatives:
                    for check in checks:
                        if not check(lookup):
                            break
                    else:
                        if decides:
                            decision = chosen
                        break
                else:
                    if rank > furthest:
                        furthest, refusal = rank, otherwise
                    break
            else:
                return decision
        return refusal

    return decide


class _Preparation:
    """What prepare gathers: the Deny statements that may apply, in AWS's order, and Allows by policy type."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.action = question.action.lower()
        self.known = question.known
        self.denies: list[_Alternative] = []

    def fixed(self, key: str) -> Value:
        return self.known[key]

    def layer(self, policies: Iterable[Policy], kind: str) -> tuple[_Alternative, ...]:
        """The Allows that may apply; an unconditional one makes the others superfluous."""
        allows: list[_Alternative] = []
        for policy in policies:
            for statement in policy.about(self.action):
                if statement.allow and allows and not allows[-1][0]:
                    continue
                self._sort(policy, statement, kind, allows)
        return (allows[-1],) if allows and not allows[-1][0] else tuple(allows)

    def grants(self, policy: Policy | None, kind: str) -> dict[Grade, tuple[_Alternative, ...]]:
        """The same for a resource policy, by how far its Allows reach."""
        found: dict[Grade, list[_Alternative]] = {grade: [] for grade in Grade}
        principal = self.question.principal
        if policy is None:
            return dict.fromkeys(Grade, ())
        for statement in policy.about(self.action):
            element = statement.principals
            if element is None:
                continue
            if statement.allow:
                grade = element.allows(principal)
                if grade is not Grade.NONE:
                    self._sort(policy, statement, kind, found[grade])
            elif element.denies(principal):
                self._sort(policy, statement, kind, [])
        return {grade: tuple(alternatives) for grade, alternatives in found.items()}

    def _sort(self, policy: Policy, statement: Statement, kind: str, allows: list[_Alternative]) -> None:
        checks = self._checks(statement)
        if checks is None:
            return
        allow = statement.allow
        effect = "Allow" if allow else "Deny"
        matched = Matched(kind, policy.name, statement.sid, statement.index, effect)
        alternative = (checks, Decision(allow, not allow, kind, (matched,)))
        (allows if allow else self.denies).append(alternative)

    def _checks(self, statement: Statement) -> tuple[Check, ...] | None:
        """What the request must still meet for the statement to apply; None if it cannot."""
        checks: list[Check] = []
        resources = statement.resources
        if resources is not None:
            settled = resources.settled(self.question.resource)
            if settled is False:
                return None
            if settled is None:
                if resources.keys <= self.known.keys():
                    if not resources.covers(self.question.resource, self.fixed):
                        return None
                else:
                    checks.append(self._resource_check(resources))
        for condition in statement.conditions:
            if condition.keys <= self.known.keys():
                if not condition.check(self.fixed):
                    return None
            else:
                checks.append(self._condition_check(condition))
        return _joined(checks)

    def _condition_check(self, condition: Condition) -> Check:
        known = self.known
        if condition.bind is not None and condition.variables <= known.keys():
            return condition.bind(self.fixed)
        return (
            condition.check if known.keys().isdisjoint(condition.keys) else self._with_known(condition.check)
        )

    def _resource_check(self, resources: ResourceElement) -> Check:
        resource = self.question.resource

        def check(lookup: Lookup) -> bool:
            return resources.covers(resource, lookup)

        return self._with_known(check)

    def _with_known(self, check: Check) -> Check:
        known = self.known

        def checked(lookup: Lookup) -> bool:
            return check(lambda key: known[key] if key in known else lookup(key))

        return checked


def _joined(checks: list[Check]) -> tuple[Check, ...]:
    """The checks as one."""
    if len(checks) < 2:
        return tuple(checks)
    if len(checks) == 2:
        first, second = checks
        return (lambda lookup: first(lookup) and second(lookup),)
    return (lambda lookup: all(check(lookup) for check in checks),)


def prepare(question: Question) -> Residual:
    """The residual of a question: the same decisions as evaluate.decide, for any request."""
    preparation = _Preparation(question)
    layer = preparation.layer
    # The order of these is the order in which a Deny is reported.
    limits = [
        _Gate(layer(policies, kind), _AT_RESOURCE, Decision(False, False, kind))
        for kind, levels in ((words.RCP, question.limiting_rcps), (words.SCP, question.limiting_scps))
        for policies in levels
    ]
    kind = question.resource_kind
    policy = question.resource_policy
    grants = preparation.grants(policy, kind)
    if question.granted is not Grade.NONE:
        grants[question.granted] = (_BY_GRANT, *grants[question.granted])
    identity = layer(question.identity_policies, words.IDENTITY)
    if question.principal.is_root:
        identity = (((), Decision(True, False, words.IDENTITY)),)
    gates: list[_Gate] = []
    if question.boundary is not None:
        refusal = Decision(False, False, words.BOUNDARY)
        gates.append(_Gate(layer((question.boundary,), words.BOUNDARY), _AT_BOUNDARY, refusal))
    if question.session_policies is not None:
        refusal = Decision(False, False, words.SESSION)
        gates.append(_Gate(layer(question.session_policies, words.SESSION), _AT_SESSION, refusal))
    ways = [_way(way) for way in _ways(question, grants, identity, kind, gates)]
    return _residual(
        _until_certain(preparation.denies),
        tuple(gate for gate in limits if not gate.is_open),
        ways,
    )


def _ways(
    question: Question,
    grants: dict[Grade, tuple[_Alternative, ...]],
    identity: tuple[_Alternative, ...],
    kind: str,
    limits: list[_Gate],
) -> list[list[_Gate]]:
    """The ways to an Allow, each a list of policy types that must all allow. See evaluate for the rules."""
    direct, entity, account = grants[Grade.DIRECT], grants[Grade.ENTITY], grants[Grade.ACCOUNT]
    no_resource = Decision(False, False, kind)
    no_identity = Decision(False, False, words.IDENTITY)
    if question.by_resource_policy_alone:
        return [[_Gate(direct, _AT_RESOURCE, no_resource, True)]]
    by_identity = _Gate(identity, _AT_IDENTITY, no_identity, True)
    if question.is_cross_account:
        if question.granted >= Grade.ENTITY:
            return [[_Gate((_BY_GRANT,), _AT_RESOURCE, no_resource, True), *limits]]
        anyhow = _Gate(direct + entity + account, _AT_RESOURCE, no_resource, True)
        return [[anyhow, by_identity._replace(decides=False), *limits]]
    to_principal = [_Gate(direct, _AT_RESOURCE, no_resource, True)]
    to_entity = [_Gate(entity, _AT_RESOURCE, no_resource, True), *limits]
    if question.guarded:
        return [to_principal, to_entity, [_Gate(account, _AT_RESOURCE, no_resource), by_identity, *limits]]
    return [to_principal, to_entity, [by_identity, *limits]]


def _way(gates: list[_Gate]) -> _Way:
    """Without its open gates, and without what comes after a shut one."""
    decision = _NOTHING_ALLOWS
    kept: list[_Gate] = []
    for gate in gates:
        certain = next((chosen for checks, chosen in gate.alternatives if not checks), None)
        if certain is None:
            kept.append(gate)
            if not gate.alternatives:
                break
        elif gate.decides:
            decision = certain
    return tuple(kept), decision


def _until_certain(denies: list[_Alternative]) -> tuple[_Alternative, ...]:
    """A Deny that applies in any case ends the list."""
    for at, (checks, _) in enumerate(denies):
        if not checks:
            return tuple(denies[: at + 1])
    return tuple(denies)
