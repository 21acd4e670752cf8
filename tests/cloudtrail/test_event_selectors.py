"""Event selectors: what they may say, and which events they select."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.engine.cloudtrail import selectors
from casemate.engine.cloudtrail.selector_rules import InvalidSelectors, check_advanced, complete_basic
from casemate.engine.cloudtrail.selectors import compile_advanced, compile_basic, management_kinds

_OBJECT, _FUNCTION = "arn:aws:s3:::bucket/a/b", "arn:aws:lambda:us-east-1:111122223333:function:f"


def record(source: str, name: str, *, read_only: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "eventSource": f"{source}.amazonaws.com",
        "eventName": name,
        "readOnly": read_only,
        "eventType": "AwsApiCall",
        "userIdentity": {"arn": "arn:aws:iam::111122223333:user/u"},
        **more,
    }


PUT = record("s3", "PutObject", resources=[{"type": "AWS::S3::Object", "ARN": _OBJECT}])
GET = record("s3", "GetObject", read_only=True, resources=[{"type": "AWS::S3::Object", "ARN": _OBJECT}])
LIST = record(
    "s3",
    "ListObjectsV2",
    read_only=True,
    resources=[{"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::bucket"}],
)
INVOKE = record("lambda", "Invoke", resources=[{"type": "AWS::Lambda::Function", "ARN": f"{_FUNCTION}:live"}])
CREATE = record("kms", "CreateKey")
DESCRIBE = record("kms", "DescribeKey", read_only=True)
CREATE_USER = record("iam", "CreateUser")
ALL = (PUT, GET, LIST, INVOKE, CREATE, DESCRIBE, CREATE_USER)


def selected(wants: selectors.Wants) -> list[Mapping[str, Any]]:
    return [each for each in ALL if wants(each)]


def basic(*given: Mapping[str, Any]) -> selectors.Wants:
    return compile_basic(complete_basic(given))


def _s3(*values: str) -> Mapping[str, Any]:
    return {"Type": "AWS::S3::Object", "Values": list(values)}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([{}], [CREATE, DESCRIBE, CREATE_USER]),
        ([{"ReadWriteType": "ReadOnly"}], [DESCRIBE]),
        ([{"ReadWriteType": "WriteOnly"}], [CREATE, CREATE_USER]),
        ([{"ExcludeManagementEventSources": ["kms.amazonaws.com"]}], [CREATE_USER]),
        ([{"IncludeManagementEvents": False, "DataResources": [_s3("arn:aws:s3")]}], [PUT, GET, LIST]),
        (
            [{"IncludeManagementEvents": False, "DataResources": [_s3("arn:aws:s3:::bucket/")]}],
            [PUT, GET, LIST],
        ),
        ([{"IncludeManagementEvents": False, "DataResources": [_s3("arn:aws:s3:::bucket/a/")]}], [PUT, GET]),
        ([{"IncludeManagementEvents": False, "DataResources": [_s3("arn:aws:s3:::bucket/x")]}], []),
        (
            [
                {
                    "ReadWriteType": "WriteOnly",
                    "IncludeManagementEvents": False,
                    "DataResources": [_s3("arn:aws:s3:::bucket/")],
                },
                {"ReadWriteType": "ReadOnly"},
            ],
            [PUT, DESCRIBE],
        ),
        (
            [
                {
                    "IncludeManagementEvents": False,
                    "DataResources": [{"Type": "AWS::Lambda::Function", "Values": [_FUNCTION]}],
                }
            ],
            [INVOKE],
        ),
        (
            [
                {
                    "IncludeManagementEvents": False,
                    "DataResources": [{"Type": "AWS::Lambda::Function", "Values": [f"{_FUNCTION}2"]}],
                }
            ],
            [],
        ),
    ],
)
def test_basic_selectors(given: Sequence[Mapping[str, Any]], expected: list[Any]) -> None:
    assert selected(basic(*given)) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "A trail has 1 to 5 event selectors, not 0."),
        ([{}] * 6, "A trail has 1 to 5 event selectors, not 6."),
        (
            [{"IncludeManagementEvents": False}],
            "An event selector must include management events or at least one data resource.",
        ),
        (
            [{"DataResources": [_s3("arn:aws:s3"), _s3("arn:aws:s3:::b1b/")]}],
            "An event selector can have one DataResource of each Type.",
        ),
        ([{"DataResources": [_s3()]}], "The DataResource of type AWS::S3::Object has no Values."),
        (
            [{"DataResources": [_s3("arn:aws:s3:::bucket")]}],
            "Value arn:aws:s3:::bucket for DataResource.Values is invalid.",
        ),
        (
            [{"DataResources": [{"Type": "AWS::Lambda::Function", "Values": ["arn:aws:lambda:f"]}]}],
            "Value arn:aws:lambda:f for DataResource.Values is invalid.",
        ),
        (
            [{"ExcludeManagementEventSources": ["iam.amazonaws.com"]}],
            "Value iam.amazonaws.com for ExcludeManagementEventSources is invalid. Valid values are: "
            "kms.amazonaws.com, rdsdata.amazonaws.com.",
        ),
        (
            [
                {
                    "IncludeManagementEvents": False,
                    "DataResources": [_s3("arn:aws:s3")],
                    "ExcludeManagementEventSources": ["kms.amazonaws.com"],
                }
            ],
            "ExcludeManagementEventSources needs IncludeManagementEvents to be true.",
        ),
        (
            [{"DataResources": [_s3(*(f"arn:aws:s3:::bucket/{number}" for number in range(126)))]}] * 2,
            "The total number of data resources cannot exceed 250 across all event selectors in a trail.",
        ),
    ],
)
def test_basic_selectors_that_are_refused(given: Sequence[Mapping[str, Any]], message: str) -> None:
    with pytest.raises(InvalidSelectors) as caught:
        complete_basic(given)
    assert str(caught.value) == message


def _advanced(*conditions: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"FieldSelectors": list(conditions)}]


_MANAGEMENT = {"Field": "eventCategory", "Equals": ["Management"]}
_DATA = {"Field": "eventCategory", "Equals": ["Data"]}
_OBJECTS = {"Field": "resources.type", "Equals": ["AWS::S3::Object"]}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([_MANAGEMENT], [CREATE, DESCRIBE, CREATE_USER]),
        ([_MANAGEMENT, {"Field": "readOnly", "Equals": ["true"]}], [DESCRIBE]),
        ([_MANAGEMENT, {"Field": "eventSource", "NotEquals": ["kms.amazonaws.com"]}], [CREATE_USER]),
        ([_DATA, _OBJECTS], [PUT, GET, LIST]),
        ([_DATA, _OBJECTS, {"Field": "eventName", "StartsWith": ["Put", "Get"]}], [PUT, GET]),
        (
            [_DATA, _OBJECTS, {"Field": "eventName", "EndsWith": ["Object"], "NotEquals": ["GetObject"]}],
            [PUT],
        ),
        ([_DATA, _OBJECTS, {"Field": "resources.ARN", "StartsWith": ["arn:aws:s3:::bucket/a"]}], [PUT, GET]),
        ([_DATA, _OBJECTS, {"Field": "resources.ARN", "NotStartsWith": ["arn:aws:s3:::bucket/"]}], []),
        ([_DATA, _OBJECTS, {"Field": "userIdentity.arn", "NotEndsWith": ["/u"]}], []),
        (
            [_DATA, _OBJECTS, {"Field": "sessionCredentialFromConsole", "NotEquals": ["true"]}],
            [PUT, GET, LIST],
        ),
        ([_DATA, _OBJECTS, {"Field": "sessionCredentialFromConsole", "Equals": ["true"]}], []),
        ([_DATA, {"Field": "resources.type", "Equals": ["AWS::Lambda::Function"]}], [INVOKE]),
        (
            [
                {"Field": "eventCategory", "Equals": ["NetworkActivity"]},
                {"Field": "eventSource", "Equals": ["s3.amazonaws.com"]},
            ],
            [],
        ),
    ],
)
def test_advanced_selectors(conditions: Sequence[Mapping[str, Any]], expected: list[Any]) -> None:
    given = _advanced(*conditions)
    check_advanced(given)
    assert selected(compile_advanced(given)) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "A trail has at least one advanced event selector."),
        (_advanced(_OBJECTS), "An advanced event selector must have a condition on eventCategory."),
        (
            _advanced(_MANAGEMENT, _MANAGEMENT),
            "The field eventCategory occurs more than once in an advanced event selector.",
        ),
        (_advanced({"Field": "eventCategory"}), "The condition on the field eventCategory has no operator."),
        (
            _advanced({"Field": "eventCategory", "StartsWith": ["Data"]}),
            "The field eventCategory takes the operator Equals with one value.",
        ),
        (
            _advanced({"Field": "eventCategory", "Equals": ["Insight"]}),
            "Value Insight for eventCategory is invalid. Valid values are: Data, Management, NetworkActivity.",
        ),
        (
            _advanced(_MANAGEMENT, {"Field": "eventName", "Equals": ["CreateKey"]}),
            "The field eventName is not supported for the eventCategory Management.",
        ),
        (
            _advanced(_MANAGEMENT, {"Field": "readOnly", "Equals": ["yes"]}),
            "The field readOnly must be equal to true or false.",
        ),
        (
            _advanced(_MANAGEMENT, {"Field": "eventSource", "NotEquals": ["iam.amazonaws.com"]}),
            "For management events, the field eventSource takes the operator NotEquals with kms.amazonaws.com or "
            "rdsdata.amazonaws.com.",
        ),
        (
            _advanced(_DATA),
            "An advanced event selector for the eventCategory Data must have a condition on resources.type.",
        ),
        (
            _advanced(_DATA, {"Field": "resources.type", "Equals": ["objects"]}),
            "Value objects for resources.type is invalid.",
        ),
        (
            _advanced(_DATA, _OBJECTS, {"Field": "sessionCredentialFromConsole", "Equals": ["false"]}),
            "The field sessionCredentialFromConsole takes Equals or NotEquals with the value true.",
        ),
        (
            _advanced(_DATA, _OBJECTS, {"Field": "eventName", "Equals": [f"e{n}" for n in range(499)]}),
            "A trail has at most 500 values for all conditions of its advanced event selectors, not 501.",
        ),
    ],
)
def test_advanced_selectors_that_are_refused(given: Sequence[Mapping[str, Any]], message: str) -> None:
    with pytest.raises(InvalidSelectors) as caught:
        check_advanced(given)
    assert str(caught.value) == message


_VALUES = st.lists(st.sampled_from(["a", "ab", "abc", "b", "bc", "c"]), min_size=1, max_size=3)
_OPERATORS = ("Equals", "StartsWith", "EndsWith", "NotEquals", "NotStartsWith", "NotEndsWith")


@given(
    st.dictionaries(st.sampled_from(_OPERATORS), _VALUES, min_size=1),
    st.sampled_from(["", "a", "ab", "abc", "bc", "cab"]),
)
def test_a_condition_selects_by_any_and_deselects_by_each(
    operators: dict[str, list[str]], value: str
) -> None:
    holds: dict[str, Callable[[str], bool]] = {
        "Equals": lambda each: value == each,
        "StartsWith": lambda each: value.startswith(each),
        "EndsWith": lambda each: value.endswith(each),
    }
    selects = [holds[name](each) for name in holds for each in operators.get(name, ())]
    deselects = [holds[name](each) for name in holds for each in operators.get(f"Not{name}", ())]
    expected = (any(selects) or not selects) and not any(deselects)
    wants = compile_advanced(_advanced({"Field": "eventName", **operators}))
    assert wants(record("kms", value)) is expected


@given(st.lists(st.sampled_from(["All", "ReadOnly", "WriteOnly"]), min_size=1, max_size=5))
def test_the_kinds_that_selectors_cover_are_those_that_they_select(kinds: list[str]) -> None:
    complete = complete_basic([{"ReadWriteType": kind} for kind in kinds])
    wants = compile_basic(complete)
    covered = {name for name, each in (("read", DESCRIBE), ("write", CREATE)) if wants(each)}
    assert management_kinds(complete, None) == covered


def test_the_kinds_that_advanced_selectors_cover() -> None:
    only_read = _advanced(_MANAGEMENT, {"Field": "readOnly", "Equals": ["true"]})
    assert management_kinds(None, only_read) == {"read"}
    assert management_kinds(None, _advanced(_MANAGEMENT)) == {"read", "write"}
    assert management_kinds(None, _advanced(_DATA, _OBJECTS)) == frozenset()
