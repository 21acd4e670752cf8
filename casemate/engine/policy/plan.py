"""Partial evaluation: from a question to its residual, in two steps.

A ``Plan`` is what is left of a question once principal, action and their policies are known, whatever the resource: a
caller who does the same to one object after another needs it made once. ``Plan.residual`` then takes the resource
and its policy. Statements that certainly do not apply are dropped, and conditions that certainly hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from casemate.engine.policy import decision as words
from casemate.engine.policy.decision import Decision
from casemate.engine.policy.model import About, Policy, Statement
from casemate.engine.policy.principals import Grade, names_of
from casemate.engine.policy.question import Question
from casemate.engine.policy.residual import (
    AT_BOUNDARY,
    AT_IDENTITY,
    AT_RESOURCE,
    AT_SESSION,
    REFUSALS,
    Gate,
    Residual,
    open_way,
    residual,
)
from casemate.engine.policy.statements import Alternative, Statements

#: Resource policies that a plan keeps what it found out about: objects share their bucket's, keys share none.
_KEPT_POLICIES: Final = 16

_NOTHING: Final = About((), ())

_BY_GRANT_DECISION: Final = Decision(True, False, words.GRANT)
#: What a grant that allows the request is among the Allows of the resource.
_BY_GRANT: Final[Alternative] = (None, lambda: _BY_GRANT_DECISION)

_ROOT_DECISION: Final = Decision(True, False, words.IDENTITY)
#: The root user needs no Allow of an identity policy.
_ROOT: Final[Sequence[Alternative]] = ((None, lambda: _ROOT_DECISION),)


class _Layer:
    """Policies of one kind, or of one level of an organisation, as far as they are about the action: their statements
    that allow and that deny."""

    __slots__ = ("_allows", "_denies", "kind")

    def __init__(self, question: Question, kind: str, policies: Sequence[tuple[Policy, About]]) -> None:
        self.kind = kind
        self._allows = Statements(
            kind, question.known, [(policy, about.allows) for policy, about in policies]
        )
        self._denies = Statements(
            kind, question.known, [(policy, about.denies) for policy, about in policies]
        )

    @property
    def is_open(self) -> bool:
        """Whether it stands in nobody's way, whatever the resource: as FullAWSAccess, on its own."""
        return self._denies.is_empty and self._allows.has_certain

    def about(self, resource: str, denies: list[Alternative]) -> Sequence[Alternative]:
        """The Allows that may apply to the resource; an unconditional one makes the others superfluous. What may
        deny is added to denies."""
        denies += self._denies.about(resource)
        allows = self._allows.about(resource)
        for alternative in allows:
            if alternative[0] is None:
                return (alternative,)
        return allows


class _Granting:
    """A resource policy as far as it means the principal: its Allows by how far they reach."""

    __slots__ = ("account", "direct", "entity", "kind")

    def __init__(self, question: Question, policy: Policy | None, action: str) -> None:
        principal = question.principal
        names = names_of(principal)
        allows: dict[Grade, list[Statement]] = {grade: [] for grade in Grade}
        about = _NOTHING if policy is None else policy.about(action)
        for statement in about.allows:
            if statement.principals is not None:
                allows[statement.principals.allows(principal, names)].append(statement)
        denies = [
            statement
            for statement in about.denies
            if statement.principals is not None and statement.principals.denies(principal, names)
        ]
        self.kind = question.resource_kind

        def layer(grade: Grade, denies: Sequence[Statement] = ()) -> _Layer:
            mine = About(tuple(allows[grade]), tuple(denies))
            return _Layer(question, self.kind, () if policy is None else ((policy, mine),))

        self.direct = layer(Grade.DIRECT, denies)
        self.entity = layer(Grade.ENTITY)
        self.account = layer(Grade.ACCOUNT)


class Plan:
    """What a question's principal, attached policies, action, known keys, owner and RCPs make of it. It holds for all
    questions that share those, whatever their resource, its policy, whether that guards it, and grants."""

    __slots__ = (
        "_action",
        "_alone",
        "_boundary",
        "_cross",
        "_granting",
        "_identity",
        "_limits",
        "_root",
        "_session",
    )

    def __init__(self, question: Question) -> None:
        self._action: Final = question.action.lower()
        self._alone: Final = question.by_resource_policy_alone
        self._cross: Final = question.is_cross_account
        self._root: Final = question.principal.is_root
        self._granting: Final[dict[Policy | None, _Granting]] = {}

        def layer(kind: str, policies: Iterable[Policy]) -> _Layer:
            return _Layer(question, kind, [(policy, policy.about(self._action)) for policy in policies])

        levels = [
            *(layer(words.RCP, policies) for policies in question.limiting_rcps),
            *(layer(words.SCP, policies) for policies in question.limiting_scps),
        ]
        self._limits: Final = [level for level in levels if not level.is_open]
        self._identity: Final = layer(words.IDENTITY, question.identity_policies)
        boundary, session = question.boundary, question.session_policies
        self._boundary: Final = None if boundary is None else layer(words.BOUNDARY, (boundary,))
        self._session: Final = None if session is None else layer(words.SESSION, session)

    def residual(self, question: Question) -> Residual:
        """The residual of a question that this is a plan of: the same decisions as evaluate.decide, for any
        request."""
        resource = question.resource
        denies: list[Alternative] = []
        # The order of these is the order in which a Deny is reported.
        limits: list[Gate] = []
        for level in self._limits:
            allows = level.about(resource, denies)
            if not allows or allows[0][0] is not None:
                limits.append(Gate(allows, AT_RESOURCE, REFUSALS[level.kind]))
        granting = self._granting_of(question)
        direct = granting.direct.about(resource, denies)
        entity = granting.entity.about(resource, denies)
        account = granting.account.about(resource, denies)
        if question.granted is Grade.DIRECT:
            direct = (_BY_GRANT, *direct)
        elif question.granted is Grade.ENTITY:
            entity = (_BY_GRANT, *entity)
        elif question.granted is Grade.ACCOUNT:
            account = (_BY_GRANT, *account)
        identity = self._identity.about(resource, denies)
        if self._root:
            identity = _ROOT
        after: list[Gate] = []
        if self._boundary is not None:
            allows = self._boundary.about(resource, denies)
            after.append(Gate(allows, AT_BOUNDARY, REFUSALS[words.BOUNDARY]))
        if self._session is not None:
            allows = self._session.about(resource, denies)
            after.append(Gate(allows, AT_SESSION, REFUSALS[words.SESSION]))
        ways = self._ways(question, direct, entity, account, identity, after)
        return residual(denies, limits, [open_way(way) for way in ways])

    def _granting_of(self, question: Question) -> _Granting:
        policy = question.resource_policy
        granting = self._granting.get(policy)
        if granting is None:
            if len(self._granting) >= _KEPT_POLICIES:
                self._granting.clear()
            granting = self._granting[policy] = _Granting(question, policy, self._action)
        return granting

    def _ways(
        self,
        question: Question,
        direct: Sequence[Alternative],
        entity: Sequence[Alternative],
        account: Sequence[Alternative],
        identity: Sequence[Alternative],
        limits: list[Gate],
    ) -> list[list[Gate]]:
        """The ways to an Allow, each a list of policy types that must all allow. See evaluate for the rules."""
        no_resource, no_identity = REFUSALS[question.resource_kind], REFUSALS[words.IDENTITY]
        if self._alone:
            return [[Gate(direct, AT_RESOURCE, no_resource, True)]]
        if self._cross:
            if question.granted >= Grade.ENTITY:
                return [[Gate((_BY_GRANT,), AT_RESOURCE, no_resource, True), *limits]]
            anyhow = Gate((*direct, *entity, *account), AT_RESOURCE, no_resource, True)
            return [[anyhow, Gate(identity, AT_IDENTITY, no_identity), *limits]]
        to_principal = [Gate(direct, AT_RESOURCE, no_resource, True)]
        to_entity = [Gate(entity, AT_RESOURCE, no_resource, True), *limits]
        by_identity = [Gate(identity, AT_IDENTITY, no_identity, True), *limits]
        if question.guarded:
            return [to_principal, to_entity, [Gate(account, AT_RESOURCE, no_resource), *by_identity]]
        return [to_principal, to_entity, by_identity]


def prepare(question: Question) -> Residual:
    """The residual of a question that is asked once."""
    return Plan(question).residual(question)
