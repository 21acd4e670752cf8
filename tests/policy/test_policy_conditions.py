"""Condition operators, after AWS's "IAM JSON policy elements: Condition operators", "Conditions with multiple
context keys or values", "Multivalued context keys", and "IAM policy elements: Variables and tags"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from policy_support import ALICE, BUCKET, HOME, SESSION, allow, ask, deny, identity, policy

from casemate.engine.policy import PolicyError, Value


def holds(operator: str, values: Any, request: Value, more: Mapping[str, Value] | None = None) -> bool:
    """Whether ``{operator: {key: values}}`` holds, shown by an Allow, then by a Deny that must say the
    same."""
    block = {operator: {"x:K": values}}
    more = more or {}
    keys = {**more} if request is None else {**more, "x:k": request}
    allowed = ask(ALICE, allows=identity(allow(Condition=block)), keys=keys).allowed
    refused = ask(ALICE, allows=identity(allow(), deny(Condition=block)), keys=keys).explicit
    assert allowed is refused, "a condition holds or not, whatever the effect"
    known = ask(ALICE, allows=identity(allow(Condition=block)), keys=more, known={"x:k": request})
    assert known.allowed is allowed, "a key that is known beforehand is worth the same"
    return allowed


MISSING = None


@pytest.mark.parametrize(
    ("operator", "values", "request_value", "expected"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", "a", MISSING, False),
        ("StringEquals", "", "", True),
        ("StringEquals", True, "true", True),
        ("StringEquals", 5, "5", True),
        ("StringEquals", 5.0, "5.0", True),
        ("StringEquals", [], "a", False),
        ("StringNotEquals", "a", "b", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", ["a", "b"], "c", True),
        ("StringNotEquals", "a", MISSING, True),
        ("StringEqualsIgnoreCase", "AbC", "aBc", True),
        ("StringNotEqualsIgnoreCase", "AbC", "aBc", False),
        ("StringLike", "a*c?", "abbbcd", True),
        ("StringLike", "a*c?", "abbbc", False),
        ("StringLike", "A*", "abc", False),
        ("StringLike", ["x*", "y*"], "yes", True),
        ("StringLike", "*", "", True),
        ("StringLike", "*", MISSING, False),
        ("StringNotLike", ["x*", "y*"], "yes", False),
        ("StringNotLike", "x*", MISSING, True),
        ("NumericEquals", "10", "10.0", True),
        ("NumericEquals", 10, "10", True),
        ("NumericEquals", "10", "ten", False),
        ("NumericNotEquals", "10", "11", True),
        ("NumericNotEquals", "10", "10", False),
        ("NumericLessThan", "10", "9.99", True),
        ("NumericLessThan", "10", "10", False),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericLessThanEquals", ["1", "10"], "5", True),
        ("NumericGreaterThan", "-1.5", "-1", True),
        ("NumericGreaterThanEquals", "1e3", "1000", True),
        ("NumericLessThan", "10", MISSING, False),
        ("NumericEquals", "0.1", "0.1000000000000000000001", False),
        ("DateEquals", "2020-01-01T00:00:00Z", "2020-01-01T01:00:00+01:00", True),
        ("DateEquals", "2020", "2020-01-01", True),
        ("DateEquals", "1577836800", "2020-01-01T00:00:00Z", True),
        ("DateNotEquals", "2020-01-01", "2020-01-02", True),
        ("DateLessThan", "2020-06-30T23:59:59Z", "2020-06-30T23:59:58.999Z", True),
        ("DateLessThan", "2020-06-30T23:59:59Z", "2020-06-30T23:59:59Z", False),
        ("DateLessThanEquals", "2020-06-30T23:59:59Z", "2020-06-30T23:59:59Z", True),
        ("DateGreaterThan", "2020-04-01T00:00:00Z", "1585699201", True),
        ("DateGreaterThan", "2020-04-01T00:00:00Z", "soon", False),
        ("DateGreaterThanEquals", "2024-02-29", "2024-02-29T00:00:00Z", True),
        ("DateGreaterThan", "2020-04-01T00:00:00Z", MISSING, False),
        ("Bool", "true", "true", True),
        ("Bool", "TRUE", "True", True),
        ("Bool", True, "true", True),
        ("Bool", "false", "true", False),
        ("Bool", "false", MISSING, False),
        ("BoolIfExists", "false", MISSING, True),
        ("BinaryEquals", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", True),
        ("BinaryEquals", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", "AAAA", False),
        ("BinaryEquals", "AAAA", "not base64!", False),
        ("IpAddress", "203.0.113.0/24", "203.0.113.7", True),
        ("IpAddress", "203.0.113.0/24", "203.0.114.7", False),
        ("IpAddress", "203.0.113.7", "203.0.113.7", True),
        ("IpAddress", "203.0.113.99/24", "203.0.113.7", True),
        ("IpAddress", ["203.0.113.0/24", "2001:DB8:1234:5678::/64"], "2001:db8:1234:5678::1", True),
        ("IpAddress", ["203.0.113.0/24", "2001:DB8:1234:5678::/64"], "2001:db8:1234:5679::1", False),
        ("IpAddress", "203.0.113.0/24", "::ffff:203.0.113.7", True),
        ("IpAddress", "::/0", "203.0.113.7", False),
        ("IpAddress", "0.0.0.0/0", "nowhere", False),
        ("IpAddress", "0.0.0.0/0", MISSING, False),
        ("NotIpAddress", "203.0.113.0/24", "203.0.113.7", False),
        ("NotIpAddress", "203.0.113.0/24", "198.51.100.1", True),
        ("NotIpAddress", "203.0.113.0/24", MISSING, True),
        ("ArnEquals", "arn:aws:sns:*:111122223333:t*", "arn:aws:sns:us-east-1:111122223333:topic", True),
        ("ArnLike", "arn:aws:sns:*:111122223333:t?", "arn:aws:sns:us-east-1:111122223333:topic", False),
        ("ArnLike", "arn:aws:sns:*:111122223333:T*", "arn:aws:sns:us-east-1:111122223333:topic", False),
        ("ArnLike", "*", "arn:aws:sns:us-east-1:111122223333:topic", True),
        ("ArnLike", "*", "no arn", False),
        ("ArnLike", "arn:aws:sns", "arn:aws:sns:us-east-1:111122223333:topic", True),
        ("ArnNotLike", "arn:aws:sns:*:*:*", "arn:aws:sqs:us-east-1:111122223333:queue", True),
        ("ArnNotEquals", "arn:aws:sns:*:*:*", MISSING, True),
        ("ArnEquals", "arn:aws:sns:*:*:*", MISSING, False),
        ("Null", "true", MISSING, True),
        ("Null", "true", "x", False),
        ("Null", "false", "x", True),
        ("Null", "false", MISSING, False),
        ("Null", "true", (), True),
        ("Null", "false", "", True),
        ("Null", True, MISSING, True),
        ("StringEqualsIfExists", "a", MISSING, True),
        ("StringEqualsIfExists", "a", "b", False),
        ("StringNotEqualsIfExists", "a", MISSING, True),
        ("NumericLessThanIfExists", "5", MISSING, True),
        ("IpAddressIfExists", "203.0.113.0/24", MISSING, True),
        ("ArnLikeIfExists", "arn:aws:sns:*:*:*", MISSING, True),
    ],
)
def test_operators(operator: str, values: Any, request_value: Value, expected: bool) -> None:
    assert holds(operator, values, request_value) is expected


def test_a_star_in_an_arn_does_not_reach_over_a_colon_and_a_string_does() -> None:
    pattern = "arn:aws:someservice:*:111122223333:finance/*"
    value = "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt"
    assert holds("StringLike", pattern, value)
    assert not holds("ArnLike", pattern, value)


@pytest.mark.parametrize(
    ("operator", "request_value", "expected"),
    [
        ("ForAllValues:StringEquals", ("a", "b"), True),
        ("ForAllValues:StringEquals", ("a", "c"), False),
        ("ForAllValues:StringEquals", MISSING, True),
        ("ForAllValues:StringEquals", (), True),
        ("ForAllValues:StringEquals", "", True),
        ("ForAllValues:StringEquals", "a", True),
        ("ForAllValues:StringEquals", "c", False),
        ("ForAllValues:StringNotEquals", ("c", "d"), True),
        ("ForAllValues:StringNotEquals", ("a", "d"), False),
        ("ForAllValues:StringNotEquals", MISSING, True),
        ("ForAnyValue:StringEquals", ("c", "b"), True),
        ("ForAnyValue:StringEquals", ("c", "d"), False),
        ("ForAnyValue:StringEquals", MISSING, False),
        ("ForAnyValue:StringEquals", (), False),
        ("ForAnyValue:StringEquals", "", False),
        ("ForAnyValue:StringEquals", "b", True),
        ("ForAnyValue:StringEqualsIfExists", MISSING, True),
        ("ForAnyValue:StringEqualsIfExists", ("c",), False),
        ("ForAnyValue:StringEqualsIfExists", (), True),
        ("ForAnyValue:StringEqualsIfExists", "", True),
        ("ForAnyValue:StringNotEquals", "", False),
        ("ForAnyValue:StringNotEquals", ("a", "c"), True),
        ("ForAnyValue:StringNotEquals", ("a", "b"), False),
        ("ForAnyValue:StringNotEquals", MISSING, False),
        ("ForAllValues:StringEqualsIfExists", MISSING, True),
        ("StringEquals", ("c", "b"), True),
        ("StringEquals", ("c", "d"), False),
        ("StringEquals", (), False),
        ("StringEqualsIfExists", (), True),
        ("StringNotEquals", ("c", "b"), False),
        ("StringNotEquals", ("c", "d"), True),
        ("StringNotEquals", (), True),
    ],
)
def test_several_values(operator: str, request_value: Value, expected: bool) -> None:
    assert holds(operator, ["a", "b"], request_value) is expected


def test_for_all_values_lets_everything_pass_when_the_key_is_missing() -> None:
    """The page's own warning, and its remedy."""
    written = allow(Condition={"ForAllValues:StringEquals": {"aws:TagKeys": ["cost"]}})
    assert ask(ALICE, allows=identity(written)).allowed
    written["Condition"]["Null"] = {"aws:TagKeys": "false"}
    assert not ask(ALICE, allows=identity(written)).allowed
    assert ask(ALICE, allows=identity(written), keys={"aws:tagkeys": ("cost",)}).allowed


def test_all_keys_and_operators_must_hold() -> None:
    written = allow(
        Condition={"StringEquals": {"x:a": "1", "x:b": "2"}, "Bool": {"aws:SecureTransport": "true"}}
    )
    keys: dict[str, Value] = {"x:a": "1", "x:b": "2", "aws:securetransport": "true"}
    assert ask(ALICE, allows=identity(written), keys=keys).allowed
    for key in keys:
        assert not ask(ALICE, allows=identity(written), keys={**keys, key: "other"}).allowed
        assert not ask(ALICE, allows=identity(written), keys={**keys, key: None}).allowed


def test_a_great_many_conditions() -> None:
    block = {"StringEquals": {f"x:{number}": "a" for number in range(3000)}}
    keys: dict[str, Value] = {f"x:{number}": "a" for number in range(3000)}
    assert ask(ALICE, allows=identity(allow(Condition=block)), keys=keys).allowed
    assert not ask(ALICE, allows=identity(allow(Condition=block)), keys={**keys, "x:2999": "b"}).allowed


def test_a_certain_deny_after_one_that_hangs_on_the_request() -> None:
    hanging = policy("scp", allow(), deny(Condition={"Bool": {"x:k": "true"}}))
    for keys, kind in (({"x:k": "true"}, "service control policy"), ({}, "identity-based policy")):
        assert ask(ALICE, allows=identity(allow(), deny()), scps=[[hanging]], keys=keys).policy_kind == kind


def test_key_names_ignore_case_also_those_of_tags() -> None:
    written = allow(Condition={"StringEquals": {"AWS:resourceTAG/CostCenter": "12345"}})
    assert ask(ALICE, allows=identity(written), keys={"aws:resourcetag/costcenter": "12345"}).allowed


@pytest.mark.parametrize("block", [{}, {"StringEquals": {}}, {"Nonsense": {}}])
def test_an_empty_condition_holds(block: dict[str, Any]) -> None:
    assert ask(ALICE, allows=identity(allow(Condition=block))).allowed


# Variables.


def test_the_users_own_home() -> None:
    home = identity(allow("s3:*", f"{BUCKET}/home/${{aws:username}}/*"))
    assert ask(ALICE, resource=f"{BUCKET}/home/alice/x", allows=home).allowed
    assert not ask(ALICE, resource=f"{BUCKET}/home/bob/x", allows=home).allowed
    assert not ask(SESSION, resource=f"{BUCKET}/home//x", allows=home).allowed, "a role has no user name"


def test_a_variable_that_only_the_request_knows() -> None:
    by_tag = identity(allow("s3:*", f"{BUCKET}/${{aws:PrincipalTag/team}}/*"))
    for keys, allowed in (({"aws:principaltag/team": "red"}, True), ({}, False)):
        assert ask(ALICE, resource=f"{BUCKET}/red/x", allows=by_tag, keys=keys).allowed is allowed
        assert ask(ALICE, resource=f"{BUCKET}/red/x", allows=by_tag, known=keys).allowed is allowed


def test_a_value_in_a_variables_place_is_no_pattern() -> None:
    by_tag = identity(allow("s3:*", f"{BUCKET}/${{aws:PrincipalTag/team}}/*"))
    assert not ask(
        ALICE, resource=f"{BUCKET}/red/x", allows=by_tag, keys={"aws:principaltag/team": "*"}
    ).allowed
    assert ask(ALICE, resource=f"{BUCKET}/*/x", allows=by_tag, keys={"aws:principaltag/team": "*"}).allowed
    like = {"StringLike": {"x:k": "${x:v}"}}
    assert not ask(ALICE, allows=identity(allow(Condition=like)), keys={"x:k": "ab", "x:v": "a*"}).allowed


@pytest.mark.parametrize(
    ("values", "request_value", "more", "expected"),
    [
        ("${aws:username}", "alice", {}, True),
        ("${AWS:UserName}-${x:v}", "alice-1", {"x:v": "1"}, True),
        ("${x:v}", "1", {}, False),
        ("${x:v, 'none'}", "none", {}, True),
        ("${x:v,'none'}", "none", {}, True),
        ("${x:v, 'none'}", "1", {"x:v": "1"}, True),
        ("${x:v, 'none'}", "none", {"x:v": "1"}, False),
        ("${x:v, 'a}b'}", "a}b", {}, True),
        ("${x:v}", "1", {"x:v": ("1", "2")}, False),
        ("a${x:v}", "a", {"x:v": ("1", "2")}, False),
        ("${x:v, 'none'}", "none", {"x:v": ("1", "2")}, True),
        ("${*}${?}${$}", "*?$", {}, True),
        ("${unclosed", "${unclosed", {}, True),
        ("${}", "${}", {}, True),
        ("${x:v, none}", "${x:v, none}", {}, True),
        ("$${x:v}$", "$1$", {"x:v": "1"}, True),
        (["${x:missing}", "b"], "b", {}, True),
    ],
)
def test_variables_in_values(values: Any, request_value: str, more: dict[str, Value], expected: bool) -> None:
    assert holds("StringEquals", values, request_value, more) is expected
    if not isinstance(values, list) and "missing" not in values:
        assert holds("StringLike", values, request_value, more) is expected


def test_escapes_and_wildcards_side_by_side() -> None:
    assert holds("StringLike", "${*}*", "*abc")
    assert not holds("StringLike", "${*}*", "abc")
    assert holds("StringLike", "a${?}?", "a?b")
    assert not holds("StringLike", "a${?}?", "abb")


def test_a_variable_without_value_fails_closed_in_negated_tests() -> None:
    block = {"StringNotEquals": {"x:k": "${x:missing}"}}
    assert not ask(ALICE, allows=identity(allow(Condition=block)), keys={"x:k": "a"}).allowed
    assert ask(ALICE, allows=identity(allow(), deny(Condition=block)), keys={"x:k": "a"}).explicit


def test_a_variable_without_value_fails_closed_in_not_resource() -> None:
    but = {"Action": "s3:*", "NotResource": f"{BUCKET}/${{x:missing}}"}
    assert not ask(ALICE, allows=identity({"Effect": "Allow", **but})).allowed
    assert ask(ALICE, allows=identity(allow(), {"Effect": "Deny", **but})).explicit
    assert ask(ALICE, allows=identity({"Effect": "Allow", **but}), keys={"x:missing": "y"}).allowed


def test_variables_need_the_newer_version() -> None:
    def named(version: str) -> Any:
        return policy(
            "resource",
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": f"{BUCKET}/${{aws:username}}",
            },
            version=version,
        )

    assert ask(ALICE, resource=f"{BUCKET}/alice", resource_policy=named("2012-10-17")).allowed
    assert not ask(ALICE, resource=f"{BUCKET}/alice", resource_policy=named("2008-10-17")).allowed
    assert ask(ALICE, resource=f"{BUCKET}/${{aws:username}}", resource_policy=named("2008-10-17")).allowed


def test_a_variable_does_not_stand_before_the_fifth_colon() -> None:
    early = identity(allow("sqs:*", "arn:aws:sqs:${aws:RequestedRegion}:111122223333:q"))
    queue = f"arn:aws:sqs:us-east-1:{HOME}:q"
    assert not ask(
        ALICE, "sqs:SendMessage", queue, allows=early, keys={"aws:requestedregion": "us-east-1"}
    ).allowed


def test_variables_do_not_work_in_numbers_dates_and_addresses() -> None:
    for operator in ("NumericEquals", "DateEquals", "IpAddress", "BinaryEquals", "Null"):
        with pytest.raises(PolicyError):
            identity(allow(Condition={operator: {"x:k": "${x:v}"}}))
    assert holds("Bool", "${x:v}", "true", {"x:v": "true"})


@pytest.mark.parametrize(
    ("pattern", "resource", "expected"),
    [
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/x/y:z", True),
        ("arn:aws:s3:::b/?", "arn:aws:s3:::b/xy", False),
        ("arn:aws:sqs:*:111122223333:q", "arn:aws:sqs:us-east-1:111122223333:q", True),
        ("arn:aws:sqs", "arn:aws:sqs:us-east-1:111122223333:q", True),
        ("arn:aws:sqs:us-*", "arn:aws:sqs:us-east-1:111122223333:q", True),
        ("arn:aws:sqs:eu-*", "arn:aws:sqs:us-east-1:111122223333:q", False),
        ("arn:*:s3:::b", "arn:aws-cn:s3:::b", True),
        ("arn:aws:s3:::B", "arn:aws:s3:::b", False),
    ],
)
def test_resource_patterns(pattern: str, resource: str, expected: bool) -> None:
    assert ask(ALICE, "x:Y", resource, allows=identity(allow("*", pattern))).allowed is expected
    but = {"Effect": "Deny", "Action": "*", "NotResource": pattern}
    assert ask(ALICE, "x:Y", resource, allows=identity(allow(), but)).explicit is not expected
