"""The pattern language: what matches, what does not, and what is wrong with a pattern."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.engine.events.pattern import PatternError, compile_pattern

EVENT: dict[str, Any] = {
    "source": "com.shop",
    "detail-type": "Order Placed",
    "resources": ["arn:aws:s3:::a", "arn:aws:s3:::b"],
    "detail": {
        "state": "running",
        "count": 5,
        "price": 12.5,
        "paid": True,
        "note": None,
        "ip": "10.0.0.7",
        "file": "photos/cat.PNG",
        "tags": [],
        "items": [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 7}],
    },
}


def matches(pattern: Any, event: Any = EVENT) -> bool:
    return compile_pattern(json.dumps(pattern)).matches(event)


def detail(**fields: Any) -> dict[str, Any]:
    return {"detail": {name.replace("_", "-"): value for name, value in fields.items()}}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": ["com.shop"]}, True),
        ({"source": ["com.other", "com.shop"]}, True),
        ({"source": ["com.other"]}, False),
        ({"source": ["com.shop"], "detail": {"state": ["stopped"]}}, False),
        ({"missing": ["x"]}, False),
        ({"resources": ["arn:aws:s3:::b"]}, True),
        (detail(count=[5]), True),
        (detail(count=[5.0]), True),
        (detail(count=["5"]), False),
        (detail(paid=[True]), True),
        (detail(paid=[1]), False),
        (detail(count=[True]), False),
        (detail(note=[None]), True),
        (detail(state=[None]), False),
        (detail(state=[{"exactly": "running"}]), True),
        (detail(state=[{"prefix": "run"}]), True),
        (detail(state=[{"prefix": "Run"}]), False),
        (detail(state=[{"prefix": {"equals-ignore-case": "RUN"}}]), True),
        (detail(file=[{"suffix": ".PNG"}]), True),
        (detail(file=[{"suffix": ".png"}]), False),
        (detail(file=[{"suffix": {"equals-ignore-case": ".png"}}]), True),
        (detail(count=[{"prefix": "5"}]), False),
        (detail(state=[{"equals-ignore-case": "RUNNING"}]), True),
        (detail(state=[{"anything-but": "stopped"}]), True),
        (detail(state=[{"anything-but": "running"}]), False),
        (detail(state=[{"anything-but": ["running", "stopped"]}]), False),
        (detail(count=[{"anything-but": [5, 6]}]), False),
        (detail(count=[{"anything-but": 6}]), True),
        (detail(count=[{"anything-but": ["x"]}]), True),
        (detail(absent=[{"anything-but": "x"}]), False),
        (detail(state=[{"anything-but": {"prefix": "run"}}]), False),
        (detail(state=[{"anything-but": {"prefix": ["stop", "run"]}}]), False),
        (detail(state=[{"anything-but": {"suffix": "ing"}}]), False),
        (detail(state=[{"anything-but": {"suffix": ["ed"]}}]), True),
        (detail(state=[{"anything-but": {"equals-ignore-case": "RUNNING"}}]), False),
        (detail(state=[{"anything-but": {"equals-ignore-case": ["A", "B"]}}]), True),
        (detail(file=[{"anything-but": {"wildcard": "*/cat*"}}]), False),
        (detail(file=[{"anything-but": {"wildcard": ["*/dog*", "x"]}}]), True),
        (detail(count=[{"numeric": ["=", 5]}]), True),
        (detail(count=[{"numeric": [">", 0, "<=", 5]}]), True),
        (detail(count=[{"numeric": [">", 5]}]), False),
        (detail(price=[{"numeric": [">=", 12.5, "<", 13]}]), True),
        (detail(state=[{"numeric": ["<", 100]}]), False),
        (detail(paid=[{"numeric": ["=", 1]}]), False),
        (detail(ip=[{"cidr": "10.0.0.0/24"}]), True),
        (detail(ip=[{"cidr": "10.0.1.0/24"}]), False),
        (detail(state=[{"cidr": "10.0.0.0/24"}]), False),
        (detail(state=[{"exists": True}]), True),
        (detail(note=[{"exists": True}]), True),
        (detail(nothing=[{"exists": True}]), False),
        (detail(nothing=[{"exists": False}]), True),
        (detail(state=[{"exists": False}]), False),
        (detail(tags=[{"exists": True}]), False),
        ({"nowhere": {"inside": [{"exists": False}]}}, True),
        ({"nowhere": {"inside": [{"exists": False}, "x"], "other": ["y"]}}, False),
        ({"detail": {"items": {"extra": [{"exists": False}]}}}, True),
        ({"detail": {"items": {"sku": [{"exists": False}]}}}, False),
        (detail(file=[{"wildcard": "photos/*.PNG"}]), True),
        (detail(file=[{"wildcard": "*a*"}]), True),
        (detail(file=[{"wildcard": "p*/c*.P*G"}]), True),
        (detail(file=[{"wildcard": "photos/cat.PNG"}]), True),
        (detail(file=[{"wildcard": "photos/cat.PNG*G"}]), False),
        (detail(file=[{"wildcard": "photos\\*"}]), False),
        # The fields of an object in an array are all of the same element.
        ({"detail": {"items": {"sku": ["a"], "qty": [1]}}}, True),
        ({"detail": {"items": {"sku": ["a"], "qty": [7]}}}, False),
        ({"$or": [{"source": ["x"]}, {"detail": {"count": [5]}}]}, True),
        ({"$or": [{"source": ["x"]}, {"detail": {"count": [6]}}]}, False),
        ({"source": ["x"], "$or": [{"detail": {"count": [5]}}, {"detail": {"count": [6]}}]}, False),
        (
            {"detail": {"$or": [{"state": ["x"]}, {"count": [5], "$or": [{"paid": [True]}, {"ip": ["x"]}]}]}},
            True,
        ),
    ],
)
def test_a_pattern_matches_or_does_not(pattern: Any, expected: bool) -> None:
    assert matches(pattern) is expected


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (
            '{"source": ["aws.health"], "detail": {}}',
            'Empty objects are not allowed\n at [Source: (String)"{"source": ["aws.health"], "detail": {}}"; '
            "line: 1, column: 40]",
        ),
        (
            '{"source":["test.event-pattern"],"detail":{"lenderId":"LenderA"}}',
            '"lenderId" must be an object or an array\n at [Source: (String)"{"source":["test.event-pattern"],'
            '"detail":{"lenderId":"LenderA"}}"; line: 1, column: 56]',
        ),
        ("[]", 'Filter is not an object\n at [Source: (String)"[]"; line: 1, column: 2]'),
        (
            "this is",
            "Unrecognized token 'this': was expecting (JSON String, Number, Array, Object or token 'null', 'true' "
            "or 'false')\n at [Source: (String)\"this is\"; line: 1, column: 6]",
        ),
        ("{", 'Unexpected end-of-input\n at [Source: (String)"{"; line: 1, column: 2]'),
    ],
)
def test_an_error_says_where(pattern: str, reason: str) -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern(pattern)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("matcher", "reason"),
    [
        ([], "Empty arrays are not allowed"),
        ([[]], "Match value must be String, number, true, false, or null"),
        ([{}], "Match expression name not found"),
        ([{"like": "x"}], "Unrecognized match type like"),
        ([{"prefix": 1}], "prefix match pattern must be a string"),
        ([{"suffix": ["x"]}], "suffix match pattern must be a string"),
        ([{"prefix": {"x": "y"}}], "Unsupported prefix match pattern: x"),
        ([{"prefix": "x", "suffix": "y"}], "Only one key allowed in match expression"),
        ([{"exactly": 1}], "exact match pattern must be a string"),
        ([{"equals-ignore-case": 1}], "equals-ignore-case match pattern must be a string"),
        ([{"wildcard": 1}], "wildcard match pattern must be a string"),
        ([{"wildcard": "a**b"}], "Consecutive wildcard characters at pos 2"),
        ([{"wildcard": "a\\b"}], "Invalid escape character at pos 2"),
        ([{"exists": "yes"}], "exists match pattern must be either true or false."),
        ([{"cidr": 1}], "prefix match pattern must be a string"),
        ([{"cidr": "10.0.0.0"}], "Malformed CIDR, one '/' required"),
        ([{"cidr": "10.0.0.0/x"}], "Malformed CIDR, mask bits must be an integer"),
        ([{"cidr": "10.0.0/8"}], "Nonstandard IP address: 10.0.0"),
        ([{"cidr": "10.0.0.0/33"}], "IPv4 mask bits must be < 32"),
        ([{"numeric": 5}], "Value of numeric must be an array."),
        ([{"numeric": [5]}], "Invalid member in numeric match: 5"),
        ([{"numeric": ["~", 5]}], "Unrecognized numeric range operator: ~"),
        ([{"numeric": ["=", "5"]}], "Value of equals must be numeric"),
        ([{"numeric": [">", "5"]}], "Value of > must be numeric"),
        ([{"numeric": ["=", 5, "<", 6]}], "Too many elements in numeric expression"),
        ([{"numeric": [">", 5, 6]}], "Bad value in numeric range: 6"),
        ([{"numeric": [">", 5, ">", 6]}], "Bad numeric range operator: >"),
        ([{"numeric": [">", 5, "<", 6, 7]}], "Too many terms in numeric range expression"),
        ([{"numeric": [">", 6, "<", 5]}], "Bottom must be less than top"),
        ([{"numeric": ["=", 5000000001]}], "Value must be between -5.0E9 and 5.0E9, inclusive"),
        ([{"anything-but": None}], "Value of anything-but must be an array or single string/number value."),
        ([{"anything-but": [None]}], "Inside anything but list, start|null|boolean is not supported."),
        (
            [{"anything-but": ["a", 1]}],
            "Inside anything but list, either all values are number or string, mixed type is not supported",
        ),
        ([{"anything-but": {"exists": True}}], "Unsupported anything-but pattern: exists"),
        ([{"anything-but": {"prefix": ""}}], "Null prefix/suffix not allowed"),
        ([{"anything-but": {"prefix": 1}}], "prefix/suffix match pattern must be a string"),
        (
            [{"anything-but": {"suffix": [1]}}],
            "Inside anything-but/suffix list, number|start|null|boolean is not supported.",
        ),
    ],
)
def test_what_is_wrong_is_named(matcher: Any, reason: str) -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern(json.dumps({"detail": {"x": matcher}}))
    assert str(caught.value).split("\n")[0] == reason


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ({"$or": {}}, "It must be an Array followed with $or."),
        ({"$or": ["x", "y"]}, "Only JSON object is allowed in array of $or relationship."),
        ({"$or": [{"a": ["x"]}]}, "There must have at least 2 Objects in $or relationship."),
        (
            {"$or": [{"prefix": ["x"]}, {"a": ["x"]}]},
            "prefix is Ruler reserved fieldName which cannot be used inside $or.",
        ),
    ],
)
def test_or_has_rules_of_its_own(pattern: Any, reason: str) -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern(json.dumps(pattern))
    assert str(caught.value).split("\n")[0] == reason


_leaves = st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=8)
_events = st.dictionaries(
    st.text(min_size=1, max_size=4),
    _leaves | st.lists(_leaves, min_size=1, max_size=3),
    min_size=1,
    max_size=5,
)


@given(_events)
def test_an_event_matches_what_it_holds(event: dict[str, Any]) -> None:
    pattern = {
        name: value if isinstance(value, list) else [value] for name, value in event.items() if name != "$or"
    }
    if pattern:
        assert matches(pattern, event)
        assert matches({"detail": pattern}, {"detail": [{}, event]})


@given(st.text(), st.text(), st.text())
def test_affixes_and_wildcards_agree(first: str, middle: str, last: str) -> None:
    event = {"x": first + middle + last}
    assert matches({"x": [{"prefix": first}]}, event)
    assert matches({"x": [{"suffix": last}]}, event)
    quoted = [part.replace("\\", "\\\\").replace("*", "\\*") for part in (first, last)]
    assert matches({"x": [{"wildcard": "*".join(quoted)}]}, event)
    if first:
        assert not matches({"x": [{"anything-but": {"prefix": first}}]}, event)


@given(st.text(max_size=40))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    try:
        compiled = compile_pattern(text)
    except PatternError as error:
        wrong = str(error)
    else:
        assert compiled.text == text
        return
    assert "[Source: (String)" in wrong


@given(st.integers(-10, 10), st.integers(-10, 10), st.integers(-10, 10))
def test_numeric_ranges_are_those_of_numbers(value: int, low: int, high: int) -> None:
    if low < high:
        for lower, upper in ((">", "<"), (">=", "<="), (">", "<="), (">=", "<")):
            expected = (value > low or (lower == ">=" and value == low)) and (
                value < high or (upper == "<=" and value == high)
            )
            assert matches({"x": [{"numeric": [lower, low, upper, high]}]}, {"x": value}) is expected


class Counted(dict[str, Any]):
    """An object of an event that counts how often its fields are looked at."""

    looks = 0

    def get(self, name: str, default: Any = None) -> Any:
        Counted.looks += 1
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        Counted.looks += 1
        return super().__contains__(name)


def test_arrays_in_arrays_cost_no_more_than_their_size() -> None:
    def looks(size: int) -> int:
        Counted.looks = 0
        inner = [Counted(c=[Counted(e=1)]) for _ in range(size)]
        event = Counted(a=[Counted(b=inner) for _ in range(size)])
        assert not matches({"a": {"b": {"c": {"d": ["x", {"exists": False}], "e": [2]}}}}, event)
        return Counted.looks

    assert looks(20) < 5 * looks(10), "four times the objects are some four times the work"


def test_absence_is_all_the_objects_own() -> None:
    absent = {"a": {"b": {"c": [{"exists": False}]}}}
    assert matches(absent, {"a": [{"b": [{"d": 1}, {"d": 2}]}, {"b": {"d": 3}}]})
    assert not matches(absent, {"a": [{"b": [{"d": 1}]}, {"b": [{"d": 2}, {"c": 3}]}]})


_VALUES = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 0.5, "", "0", "true", "null"])
)


@given(_VALUES, st.lists(_VALUES, min_size=2))
def test_one_of_many_values_is_equal_as_one_is(value: Any, values: list[Any]) -> None:
    event = {"a": value}
    assert matches({"a": values}, event) == any(matches({"a": [each]}, event) for each in values)


_TEXTS = st.text(alphabet="abA\\.\ud800", max_size=4)
_BOUNDS = st.integers(-4, 4) | st.sampled_from([0.5, -0.5])
_ADDRESSES = st.sampled_from(["10.0.0.1", "10.1.0.0", "::1", "fe80::1", "x"])


def _texts_of(kind: str) -> st.SearchStrategy[Any]:
    return _TEXTS.map(lambda text: {kind: text})


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\")


_EXPRESSIONS = st.one_of(
    _texts_of("prefix"),
    _texts_of("suffix"),
    _texts_of("equals-ignore-case"),
    _TEXTS.map(lambda text: {"prefix": {"equals-ignore-case": text}}),
    _TEXTS.map(lambda text: {"suffix": {"equals-ignore-case": text}}),
    st.lists(_TEXTS.filter(bool), min_size=1, max_size=3).map(
        lambda parts: {"wildcard": "*".join(map(_quoted, parts))}
    ),
    st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), _BOUNDS).map(lambda each: {"numeric": [*each]}),
    st.tuples(st.sampled_from([">", ">="]), _BOUNDS, st.sampled_from(["<", "<="]), _BOUNDS)
    .filter(lambda each: each[1] < each[3])
    .map(lambda each: {"numeric": [*each]}),
    st.one_of(_TEXTS, _BOUNDS).map(lambda value: {"anything-but": value}),
    st.lists(_TEXTS, min_size=1, max_size=3).map(lambda values: {"anything-but": values}),
    st.tuples(
        st.sampled_from(["prefix", "suffix"]), st.lists(_TEXTS.filter(bool), min_size=1, max_size=3)
    ).map(lambda each: {"anything-but": {each[0]: each[1]}}),
    st.sampled_from(["10.0.0.0/8", "10.0.0.0/16", "10.0.0.1/32", "0.0.0.0/0", "::/0", "fe80::/10"]).map(
        lambda network: {"cidr": network}
    ),
)


@given(
    _TEXTS | _BOUNDS | _ADDRESSES | st.none() | st.booleans(), st.lists(_EXPRESSIONS, min_size=2, max_size=6)
)
def test_many_expressions_match_as_one_does(value: Any, expressions: list[Any]) -> None:
    event = {"a": value}
    assert matches({"a": expressions}, event) == any(matches({"a": [each]}, event) for each in expressions)


@given(_TEXTS, st.lists(_TEXTS.filter(bool), min_size=1, max_size=5))
def test_none_of_many_prefixes(value: str, texts: list[str]) -> None:
    for kind, test in (("prefix", str.startswith), ("suffix", str.endswith)):
        expected = not any(test(value, text) for text in texts)
        assert matches({"a": [{"anything-but": {kind: texts}}]}, {"a": value}) is expected
