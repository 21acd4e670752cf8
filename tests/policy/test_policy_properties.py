"""What holds for any policy and any question. The generators draw from few names, so that things often
match."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, TypeVar, get_args

from hypothesis import given, settings
from hypothesis import strategies as st
from policy_support import (
    ALICE,
    ANONYMOUS,
    AWAY,
    BOB_AWAY,
    FEDERATED,
    HOME,
    LINKED,
    ROOT,
    SERVICE,
    SESSION,
    SESSION_AWAY,
    WEB,
    agreed,
    deny,
)

from casemate.engine.policy import (
    Attached,
    Grade,
    Kind,
    Policy,
    PolicyError,
    Question,
    Value,
    decide,
    explain,
    parse,
    principal_keys,
)

T = TypeVar("T")

ACTIONS = ["kms:Encrypt", "kms:Decrypt", "s3:GetObject"]
RESOURCES = ["arn:aws:kms:us-east-1:111122223333:key/alice", "arn:aws:s3:::b/alice", "*"]
KEYS = ["x:a", "x:b", "aws:username", "aws:PrincipalTag/team"]
WORDS = ["alice", "a", "b", "ab", "1", "2020", "10.0.0.1", "true", "arn:aws:s3:::b/alice", ""]
PRINCIPALS = [ALICE, SESSION, ROOT, FEDERATED, BOB_AWAY, SESSION_AWAY, SERVICE, ANONYMOUS, WEB, LINKED]
NAMES = [
    HOME,
    f"arn:aws:iam::{HOME}:root",
    AWAY,
    ALICE.arn,
    SESSION.arn,
    SESSION.role_arn,
    FEDERATED.arn,
    BOB_AWAY.arn,
    SESSION_AWAY.role_arn,
    "*",
]
STRINGS = ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase"]
TEMPLATES = [*WORDS, "a*", "*", "${aws:username}", "${x:a}", "${x:b, 'a'}", "${*}"]
#: Operators and the values that they take.
COMPARISONS = [
    *((name, TEMPLATES) for name in STRINGS),
    ("ArnLike", ["arn:aws:s3:*:*:b/*", "arn:aws:kms:*:*:*", "arn:aws:s3:::b/${aws:username}"]),
    ("ArnNotEquals", ["arn:aws:s3:*:*:b/*", "arn:aws:kms:*:*:*"]),
    ("NumericEquals", ["1", "2"]),
    ("NumericNotEquals", ["1", "2"]),
    ("NumericLessThan", ["2", "3000"]),
    ("DateLessThan", ["2020", "2021-01-01T00:00:00Z"]),
    ("IpAddress", ["10.0.0.0/8", "::1"]),
    ("NotIpAddress", ["10.0.0.0/8", "::1"]),
    ("Bool", ["true", "false"]),
]


class Maker:
    """Random policies and questions from a seed: hypothesis would draw each part on its own, at a hundred
    times the cost. A failing seed is a failing example."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def one(self, values: Sequence[T]) -> T:
        return self.random.choice(values)

    def often(self) -> bool:
        return self.random.random() < 0.8

    def some(self, values: Sequence[T]) -> T | list[T]:
        count = self.one([0, 1, 2, 3])
        return self.random.choices(values, k=count) if count else self.one(values)

    def condition(self) -> dict[str, Any]:
        block: dict[str, Any] = {}
        for _ in range(self.one([1, 1, 2])):
            if self.random.random() < 0.1:
                block["Null"] = {self.one(KEYS): self.one(["true", "false"])}
                continue
            operator, values = self.one(COMPARISONS)
            name = self.one(["", "", "ForAllValues:", "ForAnyValue:"]) + operator + self.one(["", "IfExists"])
            block[name] = {self.one(KEYS): self.some(values)}
        return block

    def principal(self) -> Any:
        if self.random.random() < 0.2:
            return "*"
        written: dict[str, Any] = {"AWS": self.some(NAMES)}
        if self.random.random() < 0.3:
            written["Service"] = "sns.amazonaws.com"
        if self.random.random() < 0.3:
            written["Federated"] = "accounts.google.com"
        return written

    def statement(self, kind: Kind, effect: str = "") -> dict[str, Any]:
        effect = effect or self.one(["Allow", "Allow", "Allow", "Allow", "Deny"])
        written: dict[str, Any] = {"Effect": effect}
        if kind == "rcp":
            written |= {"Principal": "*", "Action": "*" if effect == "Allow" else "kms:*", "Resource": "*"}
            return written if effect == "Allow" else {**written, "Condition": self.condition()}
        seldom = not self.often()
        actions = [*ACTIONS, "kms:*", "*", "kms:?ncrypt", "KMS:EN*"]
        resources = [
            *RESOURCES,
            "*",
            "arn:aws:kms:*",
            "arn:aws:kms:us-east-1:111122223333:key/${aws:username}",
            "arn:aws:s3:::b/${x:a}",
            "arn:aws:s3:::b/${x:b, 'alice'}",
        ]
        written["NotAction" if seldom else "Action"] = self.some(actions)
        written["NotResource" if not self.often() else "Resource"] = self.some(resources)
        if kind in ("resource", "key"):
            written["NotPrincipal" if seldom else "Principal"] = self.principal()
        if self.one([True, False]) or effect == "Deny":
            written["Condition"] = self.condition()
        # An empty list of actions, resources or principals would be refused.
        return {name: value if value != [] else "*" for name, value in written.items()}

    def policy(self, kind: Kind) -> Policy:
        written = [self.statement(kind) for _ in range(self.one([1, 2, 3, 4]))]
        if kind in ("scp", "rcp", "boundary", "session") and self.often():
            everybody = {"Principal": "*"} if kind == "rcp" else {}
            written.append({"Effect": "Allow", "Action": "*", "Resource": "*", **everybody})
        return parse(json.dumps({"Version": "2012-10-17", "Statement": written}), kind)

    def policies(self, kind: Kind) -> tuple[Policy, ...]:
        return tuple(self.policy(kind) for _ in range(self.one([0, 1, 1, 2])))

    def levels(self, kind: Kind) -> tuple[tuple[Policy, ...], ...]:
        levels = (self.policies(kind) for _ in range(self.one([0, 0, 1, 2])))
        return tuple(level for level in levels if level or not self.often())

    def request(self) -> dict[str, Value]:
        def value() -> Value:
            chosen = self.random.random()
            if chosen < 0.15:
                return None
            return (
                self.one(WORDS) if chosen < 0.8 else tuple(self.random.choices(WORDS, k=self.one([0, 1, 2])))
            )

        return {key.lower(): value() for key in KEYS if self.one([True, True, False])}

    def question(self) -> Question:
        principal = self.one([*PRINCIPALS, ALICE, ALICE, ALICE, SESSION, SESSION, SESSION])
        attached = Attached(
            self.policies("identity"),
            self.one([None, None, self.policy("boundary")]),
            self.one([None, None, self.policies("session")]),
            self.levels("scp"),
        )
        known = self.request() if self.one([True, False]) else {}
        if self.one([True, False]):
            known |= principal_keys(principal)
        resource_kind: Kind = self.one(["resource", "key"])
        return Question(
            principal,
            attached,
            self.one(ACTIONS),
            self.one(RESOURCES),
            self.one([HOME, HOME, HOME, AWAY, ""]),
            self.policy(resource_kind) if self.often() else None,
            self.levels("rcp"),
            self.one([True, False, False]),
            known,
            self.one([*Grade, Grade.NONE, Grade.NONE, Grade.NONE]),
        )


makers = st.integers(0, 2**64).map(Maker)


@settings(max_examples=600, deadline=None)
@given(makers)
def test_the_residual_equals_the_full_evaluation(make: Maker) -> None:
    question = make.question()
    for _ in range(3):
        agreed(question, make.request())


@settings(max_examples=300, deadline=None)
@given(makers)
def test_a_known_key_is_worth_the_same_as_the_requests(make: Maker) -> None:
    question, request = make.question(), make.request()
    merged = {**request, **question.known}
    plain = _with(question, known={})
    ours, theirs = agreed(question, request), agreed(plain, merged)
    assert (ours.allowed, ours.explicit, ours.policy_kind) == (
        theirs.allowed,
        theirs.explicit,
        theirs.policy_kind,
    )


PLACES: list[Kind] = ["identity", "boundary", "session", "scp", "rcp", "resource"]


@settings(max_examples=500, deadline=None)
@given(makers, st.sampled_from(PLACES))
def test_adding_a_deny_never_allows_more(make: Maker, kind: Kind) -> None:
    question, request = make.question(), make.request()
    written = make.statement(kind, "Deny")
    if agreed(_also(question, kind, written), request).allowed:
        assert agreed(question, request).allowed


@settings(max_examples=300, deadline=None)
@given(makers)
def test_a_grant_that_reaches_further_never_allows_less(make: Maker) -> None:
    question, request = make.question(), make.request()
    before = None
    for granted in Grade:
        decision = agreed(_with(question, granted=granted), request)
        assert before is None or decision.allowed or not before.allowed
        assert before is None or decision.explicit == before.explicit
        before = decision


def _also(question: Question, kind: Kind, written: dict[str, Any]) -> Question:
    """The question with one more statement in a policy of that kind."""
    more = parse(json.dumps({"Version": "2012-10-17", "Statement": written}), kind)
    attached = question.attached

    def joined(policy: Policy | None) -> Policy | None:
        return None if policy is None else Policy(policy.kind, "", policy.statements + more.statements)

    def onto(policies: tuple[Policy, ...]) -> tuple[Policy, ...]:
        return (*policies, more)

    match kind:
        case "identity":
            changed = _attached(attached, identity=onto(attached.identity))
        case "boundary":
            changed = _attached(attached, boundary=joined(attached.boundary))
        case "session":
            session = attached.session
            changed = _attached(attached, session=None if session is None else onto(session))
        case "scp":
            changed = _attached(attached, scps=tuple(map(onto, attached.scps)))
        case "rcp":
            return _with(question, rcps=tuple(map(onto, question.rcps)))
        case _:
            return _with(question, resource_policy=joined(question.resource_policy))
    return _with(question, attached=changed)


def _with(question: Question, **changes: Any) -> Question:
    return replace(question, **changes)


def _attached(attached: Attached, **changes: Any) -> Attached:
    return replace(attached, **changes)


@settings(max_examples=300, deadline=None)
@given(makers)
def test_order_does_not_matter(make: Maker) -> None:
    question, request, random = make.question(), make.request(), make.random

    def mixed(policy: Policy | None) -> Policy | None:
        if policy is None:
            return None
        shuffled = list(policy.statements)
        random.shuffle(shuffled)
        return Policy(policy.kind, policy.version, tuple(shuffled))

    def several(policies: tuple[Policy, ...]) -> tuple[Policy, ...]:
        shuffled = [each for each in map(mixed, policies) if each is not None]
        random.shuffle(shuffled)
        return tuple(shuffled)

    attached = question.attached
    levels = [several(level) for level in attached.scps]
    random.shuffle(levels)
    changed = _with(
        question,
        attached=Attached(
            several(attached.identity),
            mixed(attached.boundary),
            None if attached.session is None else several(attached.session),
            tuple(levels),
        ),
        resource_policy=mixed(question.resource_policy),
        rcps=tuple(several(level) for level in question.rcps),
    )
    before, after = agreed(question, request), agreed(changed, request)
    assert (before.allowed, before.explicit) == (after.allowed, after.explicit)
    assert before.allowed or before.policy_kind == after.policy_kind


@settings(max_examples=300, deadline=None)
@given(makers)
def test_an_explanation_holds_every_deciding_statement(make: Maker) -> None:
    question, request = make.question(), make.request()
    considered = explain(question, request.get)
    applied = {each.statement for each in considered if each.applies}
    assert set(decide(question, request.get).statements) <= applied
    assert all(bool(each.why) is not each.applies for each in considered)


# Fuzz: a document gives a policy or a PolicyError.

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "Version",
    "Id",
    "Statement",
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
    "StringLike",
    "IpAddress",
    "DateLessThan",
    "NumericEquals",
    "AWS",
    "Service",
]
near_policies = st.recursive(
    json_values
    | st.sampled_from(["2012-10-17", "Allow", "Deny", "*", "arn:aws:s3:::b", "s3:*", "${", "${a, '"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, min_size=1, max_size=6)
    ),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=60)
    | st.binary(max_size=60).map(lambda data: data.decode("latin-1"))
    | near_policies.map(json.dumps),
    st.sampled_from(get_args(Kind)),
)
def test_any_text_is_a_policy_or_an_error(text: str, kind: Kind) -> None:
    _parsed(text, kind)


@settings(max_examples=100, deadline=None)
@given(makers, st.sampled_from(get_args(Kind)), st.sampled_from(FIELDS[3:]), near_policies)
def test_a_damaged_statement_is_a_policy_or_an_error(make: Maker, kind: Kind, name: str, value: Any) -> None:
    written = {**make.statement(kind), name: value}
    parsed = _parsed(json.dumps({"Version": "2012-10-17", "Statement": [written]}), kind)
    if parsed is not None:
        question = Question(
            ALICE, Attached((parsed,)), "kms:Encrypt", RESOURCES[0], HOME, parsed, guarded=True
        )
        for _ in range(3):
            agreed(question, make.request())


def _parsed(text: str, kind: Kind) -> Policy | None:
    try:
        return parse(text, kind)
    except PolicyError:
        return None


def test_the_deny_property_can_fail() -> None:
    """The helper that adds a Deny does add it."""
    question = Question(ROOT, Attached((), None, (), ((),)), "kms:Encrypt", "*", HOME)
    assert len(_also(question, "identity", deny()).attached.identity) == 1
    assert len(_also(question, "scp", deny()).attached.scps[0]) == 1
