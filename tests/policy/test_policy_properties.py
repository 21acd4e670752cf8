"""What holds for any policy and any question. The generators draw from few names, so that things often
match."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args

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
    Kind,
    Policy,
    PolicyError,
    Principal,
    Question,
    Value,
    decide,
    explain,
    parse,
    prepare,
    principal_keys,
)

ACTIONS = ["kms:Encrypt", "kms:Decrypt", "s3:GetObject"]
RESOURCES = ["arn:aws:kms:us-east-1:111122223333:key/alice", "arn:aws:s3:::b/alice", "*"]
KEYS = ["x:a", "x:b", "aws:username", "aws:PrincipalTag/team"]
WORDS = ["alice", "a", "b", "ab", "1", "2020", "10.0.0.1", "true", "arn:aws:s3:::b/alice", ""]

PRINCIPALS = [ALICE, SESSION, ROOT, FEDERATED, BOB_AWAY, SESSION_AWAY, SERVICE, ANONYMOUS, WEB, LINKED]


def one_or_more(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from(values) | st.lists(st.sampled_from(values), min_size=1, max_size=3)


actions = one_or_more([*ACTIONS, "kms:*", "*", "kms:?ncrypt", "KMS:EN*"])
resources = one_or_more(
    [
        *RESOURCES,
        "arn:aws:kms:*",
        "arn:aws:kms:us-east-1:111122223333:key/${aws:username}",
        "arn:aws:s3:::b/${x:a}",
        "arn:aws:s3:::b/${x:b, 'alice'}",
    ]
)
comparisons = st.one_of(
    st.tuples(
        st.sampled_from(["", "ForAllValues:", "ForAnyValue:"]),
        st.sampled_from(
            [
                "StringEquals",
                "StringNotEquals",
                "StringLike",
                "StringNotLike",
                "StringEqualsIgnoreCase",
                "ArnLike",
                "ArnNotEquals",
            ]
        ),
        st.sampled_from(["", "IfExists"]),
        one_or_more([*WORDS, "a*", "${aws:username}", "${x:a}", "${x:b, 'a'}", "${*}"]),
    ),
    st.tuples(
        st.just(""),
        st.sampled_from(["NumericEquals", "NumericNotEquals", "NumericLessThan"]),
        st.sampled_from(["", "IfExists"]),
        one_or_more(["1", "2"]),
    ),
    st.tuples(
        st.just(""), st.just("DateLessThan"), st.just(""), one_or_more(["2020", "2021-01-01T00:00:00Z"])
    ),
    st.tuples(
        st.just(""),
        st.sampled_from(["IpAddress", "NotIpAddress"]),
        st.sampled_from(["", "IfExists"]),
        one_or_more(["10.0.0.0/8", "::1"]),
    ),
    st.tuples(
        st.just(""), st.sampled_from(["Bool", "Null"]), st.just(""), st.sampled_from(["true", "false"])
    ),
)
conditions = st.lists(st.tuples(comparisons, st.sampled_from(KEYS)), max_size=2).map(
    lambda chosen: {
        f"{quantifier}{operator}{suffix}": {key: values}
        for (quantifier, operator, suffix, values), key in chosen
    }
)
principals = st.one_of(
    st.just("*"),
    st.just({"AWS": "*"}),
    st.fixed_dictionaries(
        {
            "AWS": one_or_more(
                [
                    HOME,
                    f"arn:aws:iam::{HOME}:root",
                    AWAY,
                    ALICE.arn,
                    SESSION.arn,
                    SESSION.role_arn,
                    FEDERATED.arn,
                    BOB_AWAY.arn,
                    SESSION_AWAY.role_arn,
                ]
            )
        },
        optional={
            "Service": st.just("sns.amazonaws.com"),
            "Federated": st.just("accounts.google.com"),
        },
    ),
)


@st.composite
def statements(draw: st.DrawFn, kind: Kind) -> dict[str, Any]:
    effect = draw(st.sampled_from(["Allow", "Allow", "Allow", "Deny"]))
    written: dict[str, Any] = {"Effect": effect}
    seldom = st.integers(0, 5).map(lambda number: number == 0)
    if kind == "rcp":
        written |= {"Principal": "*", "Action": "*" if effect == "Allow" else "kms:*", "Resource": "*"}
        return written if effect == "Allow" else {**written, "Condition": draw(conditions)}
    written["NotAction" if draw(seldom) else "Action"] = draw(actions)
    written["NotResource" if draw(seldom) else "Resource"] = draw(resources)
    if kind in ("resource", "key"):
        written["NotPrincipal" if draw(seldom) else "Principal"] = draw(principals)
    if draw(st.booleans()):
        written["Condition"] = draw(conditions)
    return written


def policies(kind: Kind, name: str = "") -> st.SearchStrategy[Policy]:
    written = st.lists(statements(kind), min_size=1, max_size=4)
    return written.map(
        lambda chosen: parse(json.dumps({"Version": "2012-10-17", "Statement": chosen}), kind).named(name)
    )


def several(kind: Kind, most: int = 2) -> st.SearchStrategy[tuple[Policy, ...]]:
    return st.lists(policies(kind), max_size=most).map(tuple)


values: st.SearchStrategy[Value] = st.one_of(
    st.none(), st.sampled_from(WORDS), st.lists(st.sampled_from(WORDS), max_size=2).map(tuple)
)
requests = st.dictionaries(st.sampled_from([key.lower() for key in KEYS]), values)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    principal: Principal = draw(st.sampled_from(PRINCIPALS))
    attached = Attached(
        draw(several("identity")),
        draw(st.none() | policies("boundary")),
        draw(st.none() | several("session")),
        draw(st.lists(several("scp"), max_size=2).map(tuple)),
    )
    known = dict(draw(requests))
    if draw(st.booleans()):
        known |= principal_keys(principal)
    return Question(
        principal,
        attached,
        draw(st.sampled_from(ACTIONS)),
        draw(st.sampled_from(RESOURCES)),
        draw(st.sampled_from([HOME, HOME, AWAY, ""])),
        draw(st.none() | policies("resource") | policies("key")),
        draw(st.lists(several("rcp", 3), max_size=1).map(tuple)),
        draw(st.booleans()),
        known,
    )


@settings(max_examples=200, deadline=None)
@given(questions(), requests)
def test_the_residual_equals_the_full_evaluation(question: Question, request: dict[str, Value]) -> None:
    agreed(question, request)


@settings(max_examples=60, deadline=None)
@given(questions(), requests)
def test_a_known_key_is_worth_the_same_as_the_requests(question: Question, request: dict[str, Value]) -> None:
    merged = {**request, **question.known}
    plain = _with(question, known={})
    ours, theirs = agreed(question, request), agreed(plain, merged)
    assert (ours.allowed, ours.explicit, ours.policy_kind) == (
        theirs.allowed,
        theirs.explicit,
        theirs.policy_kind,
    )


PLACES = ["identity", "boundary", "session", "scp", "rcp", "resource"]


@settings(max_examples=150, deadline=None)
@given(questions(), requests, st.sampled_from(PLACES), st.data())
def test_adding_a_deny_never_allows_more(
    question: Question, request: dict[str, Value], place: str, data: st.DataObject
) -> None:
    kind: Kind = next(each for each in get_args(Kind) if each == place)
    written = data.draw(statements(kind))
    written["Effect"] = "Deny"
    if kind == "rcp":
        written["Action"] = "kms:*"
    if agreed(_also(question, kind, written), request).allowed:
        assert agreed(question, request).allowed


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


@settings(max_examples=100, deadline=None)
@given(questions(), requests, st.randoms(use_true_random=False))
def test_order_does_not_matter(question: Question, request: dict[str, Value], random: Any) -> None:
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


@settings(max_examples=60, deadline=None)
@given(questions(), requests)
def test_an_explanation_holds_every_deciding_statement(question: Question, request: dict[str, Value]) -> None:
    considered = explain(question, request.get)
    applied = {each.statement for each in considered if each.applies}
    assert set(decide(question, request.get).statements) <= applied
    assert all(bool(each.why) is not each.applies for each in considered)


@settings(max_examples=60, deadline=None)
@given(questions(), requests)
def test_a_constant_asks_the_request_for_nothing(question: Question, request: dict[str, Value]) -> None:
    residual = prepare(question)
    if residual.constant is not None:
        assert decide(question, request.get).allowed is residual.constant.allowed


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


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(get_args(Kind)), st.data())
def test_a_damaged_statement_is_a_policy_or_an_error(kind: Kind, data: st.DataObject) -> None:
    written = data.draw(statements(kind if kind in ("rcp", "key", "resource") else "identity"))
    for name in data.draw(st.lists(st.sampled_from(FIELDS[3:]), max_size=2)):
        written[name] = data.draw(near_policies)
    parsed = _parsed(json.dumps({"Version": "2012-10-17", "Statement": [written]}), kind)
    if parsed is not None:
        question = Question(
            ALICE, Attached((parsed,)), "kms:Encrypt", RESOURCES[0], HOME, parsed, guarded=True
        )
        for request in ({}, {"x:a": "a", "x:b": ("a", "b"), "aws:username": "alice"}):
            agreed(question, request)


def _parsed(text: str, kind: Kind) -> Policy | None:
    try:
        return parse(text, kind)
    except PolicyError as error:
        assert error.message
        return None


def test_the_deny_property_can_fail() -> None:
    """The helper that adds a Deny does add it."""
    question = Question(ROOT, Attached((), None, (), ((),)), "kms:Encrypt", "*", HOME)
    assert len(_also(question, "identity", deny()).attached.identity) == 1
    assert len(_also(question, "scp", deny()).attached.scps[0]) == 1
