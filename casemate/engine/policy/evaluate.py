"""Full evaluation of a question, statement by statement and in AWS's order.

The order is that of AWS's "Policy evaluation logic", "Cross-account policy evaluation logic" and, for guarded
resources, "Key policies in AWS KMS", "Allowing users in other accounts to use a KMS key" and, for grants,
"Troubleshooting key access": a grant is worth what an Allow for its grantee in the resource's policy is, except
that the grantee's account need not allow as well. This module
favours being read next to those pages; ``residual`` gives the same answers fast, and a property test holds
them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from casemate.engine.policy import decision as words
from casemate.engine.policy.decision import Decision, Matched
from casemate.engine.policy.model import Policy, Statement
from casemate.engine.policy.principals import Grade
from casemate.engine.policy.question import Question
from casemate.engine.policy.variables import Lookup, Value


class Considered(NamedTuple):
    """A statement that was looked at. why: what kept it from applying, or "" when it applies; grade: how far
    a resource policy's Allow reaches the principal."""

    statement: Matched
    applies: bool
    why: str
    grade: Grade


def decide(question: Question, lookup: Lookup) -> Decision:
    """The decision for a request with these condition keys. ``question.known`` comes before ``lookup``."""
    return _Evaluation(question, lookup).decision()


def explain(question: Question, lookup: Lookup) -> list[Considered]:
    """Every statement of every policy that counts, with whether it applied and why not."""
    evaluation = _Evaluation(question, lookup)
    return [each for kind, policies in evaluation.sources() for each in evaluation.consider(policies, kind)]


class _Evaluation:
    def __init__(self, question: Question, lookup: Lookup) -> None:
        self.question = question
        self.request = lookup
        self.action = question.action.lower()

    def lookup(self, key: str) -> Value:
        known = self.question.known
        return known[key] if key in known else self.request(key)

    def sources(self) -> Iterator[tuple[str, tuple[Policy, ...]]]:
        """The policies that count, in the order in which a Deny in them is reported; each level on its
        own."""
        asked = self.question
        for policies in asked.limiting_rcps:
            yield words.RCP, policies
        for policies in asked.limiting_scps:
            yield words.SCP, policies
        if asked.resource_policy is not None:
            yield asked.resource_kind, (asked.resource_policy,)
        yield words.IDENTITY, asked.identity_policies
        if asked.boundary is not None:
            yield words.BOUNDARY, (asked.boundary,)
        if asked.session_policies is not None:
            yield words.SESSION, asked.session_policies

    def consider(self, policies: Iterable[Policy], kind: str) -> Iterator[Considered]:
        for policy in policies:
            for statement in policy.statements:
                effect = "Allow" if statement.allow else "Deny"
                grade, why = self._applies(statement, kind)
                matched = Matched(kind, policy.name, statement.sid, statement.index, effect)
                yield Considered(matched, not why, why, grade)

    def _applies(self, statement: Statement, kind: str) -> tuple[Grade, str]:
        """How far the statement reaches, and what keeps it from applying."""
        asked, grade = self.question, Grade.DIRECT
        if statement.ineffective:
            return Grade.NONE, "the statement has no Resource"
        if kind in (words.RESOURCE, words.TRUST):
            if statement.principals is None:
                return Grade.NONE, "the statement has no Principal"
            if statement.allow:
                grade = statement.principals.allows(asked.principal)
            elif not statement.principals.denies(asked.principal):
                grade = Grade.NONE
            if grade is Grade.NONE:
                return grade, "the principal is not meant"
        if not statement.actions.covers(self.action):
            return grade, "the action is not covered"
        if statement.resources is not None and not statement.resources.covers(asked.resource, self.lookup):
            return grade, "the resource is not covered"
        for condition in statement.conditions:
            if not condition.check(self.lookup):
                return grade, f"the condition {condition.operator} on {condition.key} is not met"
        return grade, ""

    def _applying(self, policies: Iterable[Policy], kind: str, effect: str) -> list[Considered]:
        found = self.consider(policies, kind)
        return [each for each in found if each.applies and each.statement.effect == effect]

    def decision(self) -> Decision:
        return self._explicit_deny() or self._missing_in_organisation() or self._granted()

    def _explicit_deny(self) -> Decision | None:
        """One Deny that applies, wherever it stands, is the end of it."""
        denies: dict[str, list[Matched]] = {}
        for kind, policies in self.sources():
            for each in self._applying(policies, kind, "Deny"):
                denies.setdefault(kind, []).append(each.statement)
        for kind, statements in denies.items():
            return Decision(False, True, kind, tuple(statements))
        return None

    def _missing_in_organisation(self) -> Decision | None:
        """Each level of the organisation, from the root down to the account, must allow."""
        for kind, policies in self.sources():
            if kind in (words.RCP, words.SCP) and not self._applying(policies, kind, "Allow"):
                return Decision(False, False, kind)
        return None

    def _granted(self) -> Decision:
        asked = self.question
        kind = asked.resource_kind
        policies = () if asked.resource_policy is None else (asked.resource_policy,)
        grants = self._applying(policies, kind, "Allow")
        by_resource = tuple(each.statement for each in grants)
        by_policy = max((each.grade for each in grants), default=Grade.NONE)
        reach = max(by_policy, asked.granted)
        source = kind if by_policy > asked.granted or reach is Grade.NONE else words.GRANT
        by_identity = tuple(
            each.statement for each in self._applying(asked.identity_policies, words.IDENTITY, "Allow")
        )
        identity_allows = asked.principal.is_root or bool(by_identity)
        if asked.by_resource_policy_alone:
            # Services, anonymous and federated callers: nothing else could speak for them.
            if reach is Grade.DIRECT:
                return Decision(True, False, source, by_resource)
            return Decision(False, False, kind)
        if asked.is_cross_account:
            # Both accounts must allow: the resource's by its policy, the principal's by its identity
            # policies. Who is a grantee needs no more than the grant.
            if reach is Grade.NONE:
                return Decision(False, False, kind)
            if not identity_allows and asked.granted < Grade.ENTITY:
                return Decision(False, False, words.IDENTITY)
        elif reach is Grade.DIRECT:
            # No implicit deny elsewhere counts against what is given to the very principal.
            return Decision(True, False, source, by_resource)
        elif reach is not Grade.ENTITY:
            if asked.guarded and reach is Grade.NONE:
                return Decision(False, False, kind)
            if not identity_allows:
                return Decision(False, False, words.IDENTITY)
        if asked.boundary is not None and not self._applying((asked.boundary,), words.BOUNDARY, "Allow"):
            return Decision(False, False, words.BOUNDARY)
        if asked.session_policies is not None and not self._applying(
            asked.session_policies, words.SESSION, "Allow"
        ):
            return Decision(False, False, words.SESSION)
        by_itself = asked.is_cross_account or reach is Grade.ENTITY
        return Decision(True, False, source if by_itself else words.IDENTITY, by_resource + by_identity)
