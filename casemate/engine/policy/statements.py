"""The statements of some policies that are about one action, found by the resource that is asked for.

Statements are kept by what their resources' patterns begin with, so that of a thousand statements only those few are
looked at whose patterns can match. What a statement still asks of the request, once the keys are known that never
change, is found out when it is first needed, and kept.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from casemate.engine.policy.conditions import Check, Condition
from casemate.engine.policy.decision import Decision, Matched
from casemate.engine.policy.model import Policy, ResourceElement, Statement
from casemate.engine.policy.variables import Lookup, Value


class Reason:
    """The decision that a statement makes when it applies. Most never do, so that it is made on demand."""

    __slots__ = ("_decision", "_kind", "_policy", "_statement")

    def __init__(self, kind: str, policy: Policy, statement: Statement) -> None:
        self._kind = kind
        self._policy = policy
        self._statement = statement
        self._decision: Decision | None = None

    def __call__(self) -> Decision:
        if self._decision is None:
            statement, allow = self._statement, self._statement.allow
            matched = Matched(
                self._kind, self._policy.name, statement.sid, statement.index, "Allow" if allow else "Deny"
            )
            self._decision = Decision(allow, not allow, self._kind, (matched,))
        return self._decision


Alternative = tuple[Check | None, Callable[[], Decision]]
"""What must hold for a statement to apply, None for nothing, and the decision if it decides."""


class _Index(NamedTuple):
    """Which statements' patterns begin with what, by number: those that may begin with anything, the others by what
    they begin with, and how long that may be."""

    everywhere: list[int]
    prefixes: dict[str, list[int]]
    lengths: list[int]


def _index_of(statements: Sequence[Statement]) -> _Index:
    prefixes: dict[str, list[int]] = defaultdict(list)
    for at, statement in enumerate(statements):
        for prefix in statement.prefixes:
            prefixes[prefix].append(at)
    everywhere = prefixes.pop("", [])
    return _Index(everywhere, dict(prefixes), sorted(set(map(len, prefixes))))


class Statements:
    """kind: of the policies, as decisions call it; known: the condition keys that never change; sources: each policy
    with its statements."""

    __slots__ = (
        "_asked",
        "_begins",
        "_indexed",
        "_kind",
        "_known",
        "_policies",
        "_prepared",
        "_statements",
    )

    def __init__(
        self, kind: str, known: Mapping[str, Value], sources: Iterable[tuple[Policy, Sequence[Statement]]]
    ) -> None:
        self._kind: Final = kind
        self._known: Final = known
        self._policies: Final[list[Policy]] = []
        self._begins: Final[list[int]] = []
        self._statements: Final[list[Statement]] = []
        for policy, statements in sources:
            if statements:
                self._policies.append(policy)
                self._begins.append(len(self._statements))
                self._statements.extend(statements)
        self._asked = False
        self._indexed: _Index | None = None
        self._prepared: Final[dict[int, Alternative | None]] = {}

    @property
    def is_empty(self) -> bool:
        return not self._statements

    @property
    def has_certain(self) -> bool:
        """Whether one of them applies in any case."""
        return any(
            (each.resources is None or each.resources.everything) and not each.conditions
            for each in self._statements
        )

    def about(self, resource: str) -> list[Alternative]:
        """Those that apply to the resource, or may, in their order."""
        if not self._statements:
            return []
        alternatives: list[Alternative] = []
        for at in self._candidates(resource):
            alternative = self._alternative(at, resource)
            if alternative is not None:
                alternatives.append(alternative)
        return alternatives

    def _candidates(self, resource: str) -> Sequence[int]:
        """The statements with a pattern that begins as the resource does."""
        if not self._asked:
            # Most callers do a thing to one resource: looking at each statement costs less than an index of them.
            self._asked = True
            begins = resource.startswith
            return [at for at, each in enumerate(self._statements) if begins(each.prefixes)]
        # Threads share this: it is made as a whole, and then put in place at once.
        index = self._indexed
        if index is None:
            index = self._indexed = _index_of(self._statements)
        everywhere, prefixes, lengths = index
        found = everywhere
        for length in lengths:
            hit = prefixes.get(resource[:length])
            if hit is not None:
                found = found + hit
        return found if found is everywhere else sorted(set(found))

    def _alternative(self, at: int, resource: str) -> Alternative | None:
        resources = self._statements[at].resources
        also: Check | None = None
        if resources is not None and not resources.everything:
            settled = resources.settled(resource)
            if settled is None:
                if resources.keys <= self._known.keys():
                    settled = resources.covers(resource, self._known.__getitem__)
                else:
                    also = self._with_known(_about(resources, resource))
            if settled is False:
                return None
        if at in self._prepared:
            prepared = self._prepared[at]
        else:
            prepared = self._prepared[at] = self._prepare(at)
        if also is None or prepared is None:
            return prepared
        check, reason = prepared
        return also if check is None else joined((also, check)), reason

    def _prepare(self, at: int) -> Alternative | None:
        """What the statement asks of the request besides the resource; None if it cannot apply."""
        policy, statement = self._policies[bisect_right(self._begins, at) - 1], self._statements[at]
        known = self._known
        checks: list[Check] = []
        for condition in statement.conditions:
            if condition.keys <= known.keys():
                if not condition.check(known.__getitem__):
                    return None
            else:
                checks.append(self._condition_check(condition))
        check = None if not checks else checks[0] if len(checks) == 1 else joined(checks)
        return check, Reason(self._kind, policy, statement)

    def _condition_check(self, condition: Condition) -> Check:
        known = self._known.keys()
        if condition.bind is not None and condition.variables <= known:
            return condition.bind(self._known.__getitem__)
        return condition.check if known.isdisjoint(condition.keys) else self._with_known(condition.check)

    def _with_known(self, check: Check) -> Check:
        known = self._known

        def checked(lookup: Lookup) -> bool:
            return check(lambda key: known[key] if key in known else lookup(key))

        return checked


def _about(resources: ResourceElement, resource: str) -> Check:
    def check(lookup: Lookup) -> bool:
        return resources.covers(resource, lookup)

    return check


def joined(checks: Iterable[Check]) -> Check:
    """All of them as one."""
    each = tuple(checks)
    if len(each) == 2:
        first, second = each
        return lambda lookup: first(lookup) and second(lookup)
    return lambda lookup: all(check(lookup) for check in each)
