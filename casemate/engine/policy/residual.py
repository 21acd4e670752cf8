"""What is left of a question once principal, action, resource and their policies are known: it asks for the
request's own condition keys only, or for nothing.

Here it is put together from what each policy type has to say (``plan`` finds that out) and made into one function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from casemate.engine.policy import decision as words
from casemate.engine.policy.conditions import Check
from casemate.engine.policy.decision import Decision
from casemate.engine.policy.statements import Alternative
from casemate.engine.policy.variables import Lookup

#: How far a way to an Allow got before it failed; of several failed ways the furthest gives the reason.
AT_RESOURCE, AT_IDENTITY, AT_BOUNDARY, AT_SESSION = range(4)

#: The decision where nothing of a kind of policies allows.
REFUSALS: Final = {
    kind: Decision(False, False, kind)
    for kind in (
        words.RCP,
        words.SCP,
        words.RESOURCE,
        words.TRUST,
        words.IDENTITY,
        words.BOUNDARY,
        words.SESSION,
    )
}


class Gate(NamedTuple):
    """One policy type's part in a way to an Allow: any alternative opens it. rank: how far a way got that fails here;
    decides: an alternative's decision is that of the whole way."""

    alternatives: Sequence[Alternative]
    rank: int
    refusal: Decision
    decides: bool = False


class Way(NamedTuple):
    """A way to an Allow: every gate must open. The decision is that of an open gate which decides, and was left
    out."""

    gates: Sequence[Gate]
    decision: Decision


Decide = Callable[[Lookup], Decision]


class Residual:
    """constant: the decision, if no key of the request can change it. decide: the decision for a request with
    these keys; a function rather than a method, made to measure, as every request goes through it."""

    __slots__ = ("constant", "decide")

    def __init__(self, constant: Decision | None, decide: Decide) -> None:
        self.constant: Final = constant
        self.decide: Final = decide


def constant(decision: Decision) -> Residual:
    """The residual of a question that needs nothing more of any request."""

    def decide(_lookup: Lookup) -> Decision:
        return decision

    return Residual(decision, decide)


#: Refuses where a residual has no way at all. There always is one.
_NOTHING_ALLOWS: Final = REFUSALS[words.IDENTITY]


def open_way(gates: Sequence[Gate]) -> Way:
    """The way through these gates, without those that are open, and without what comes after a shut one."""
    decision = _NOTHING_ALLOWS
    kept: list[Gate] = []
    for gate in gates:
        alternatives = gate.alternatives
        certain = next((reason for check, reason in alternatives if check is None), None)
        if certain is None:
            kept.append(gate)
            if not alternatives:
                break
        elif gate.decides:
            decision = certain()
    return Way(kept, decision)


def residual(denies: Sequence[Alternative], limits: Sequence[Gate], ways: Sequence[Way]) -> Residual:
    """denies: the Deny statements that may apply, in the order in which they are reported; limits: the organisation's
    gates that are not open; ways: those to an Allow."""
    conditional: list[tuple[Check, Callable[[], Decision]]] = []
    for check, reason in denies:
        if check is None:
            # It applies in any case; what comes after it is never reached.
            return _unless_denied(conditional, reason) if conditional else constant(reason())
        conditional.append((check, reason))
    for way in ways:
        if not way.gates:
            ways = (way,)
            break
    # Of ways that are shut from the start only the refusal is kept.
    furthest, refusal = -1, _NOTHING_ALLOWS
    left: list[Way] = []
    for way in ways:
        if not way.gates or way.gates[0].alternatives:
            left.append(way)
        elif way.gates[0].rank > furthest:
            _, furthest, refusal, _ = way.gates[0]
    if not conditional:
        if limits and not limits[0].alternatives:
            return constant(limits[0].refusal)
        if not limits and not left:
            return constant(refusal)
    if not limits and left and not left[0].gates:
        decision = left[0].decision
        return _unless_denied(conditional, lambda: decision) if conditional else constant(decision)
    if not conditional and not limits and len(left) == 1 and len(left[0].gates) == 1:
        (gate,) = left[0].gates
        if len(gate.alternatives) == 1:
            ((check, reason),) = gate.alternatives
            assert check is not None
            allowed = reason() if gate.decides else left[0].decision
            return _hanging_on_one(check, allowed, gate.refusal if gate.rank > furthest else refusal)
    return _hanging_on_many(conditional, limits, left, furthest, refusal)


def _hanging_on_one(check: Check, allowed: Decision, refused: Decision) -> Residual:
    def decide(lookup: Lookup) -> Decision:
        return allowed if check(lookup) else refused

    return Residual(None, decide)


def _unless_denied(
    denies: Sequence[tuple[Check, Callable[[], Decision]]], otherwise: Callable[[], Decision]
) -> Residual:
    def decide(lookup: Lookup) -> Decision:
        for check, reason in denies:
            if check(lookup):
                return reason()
        return otherwise()

    return Residual(None, decide)


def _hanging_on_many(
    denies: Sequence[tuple[Check, Callable[[], Decision]]],
    limits: Sequence[Gate],
    ways: Sequence[Way],
    hopeless: int,
    refused: Decision,
) -> Residual:
    """hopeless, refused: the furthest that a way got which is shut from the start, and its refusal."""

    def decide(lookup: Lookup) -> Decision:
        for check, reason in denies:
            if check(lookup):
                return reason()
        for alternatives, _, refusal, _ in limits:
            for wanted, _ in alternatives:
                if wanted is None or wanted(lookup):
                    break
            else:
                return refusal
        furthest, refusal = hopeless, refused
        for gates, decision in ways:
            for alternatives, rank, otherwise, decides in gates:
                for wanted, reason in alternatives:
                    if wanted is None or wanted(lookup):
                        if decides:
                            decision = reason()
                        break
                else:
                    if rank > furthest:
                        furthest, refusal = rank, otherwise
                    break
            else:
                return decision
        return refusal

    return Residual(None, decide)
