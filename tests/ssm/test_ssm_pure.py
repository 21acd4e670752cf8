"""Parameter Store's parsers with any text, and AWS's own parameters as a whole."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ssm_support import ACCOUNT, REGION

from casemate.errors import AwsError
from casemate.gate.regions import regions
from casemate.services.ssm import allowed_patterns
from casemate.services.ssm.data_types import DATA_TYPES, check_value
from casemate.services.ssm.filters import of_list, of_path
from casemate.services.ssm.naming import any_name, hierarchy, own_name
from casemate.services.ssm.policies import after_change, next_due, parsed
from casemate.services.ssm.public import page_of_public, published, zones

_ARN = re.compile(r"arn:aws:ssm:us-east-1:(\d{12})?:parameter/[A-Za-z0-9_./+=@!-]+", re.ASCII)
_NAMES = st.one_of(
    st.text(max_size=30),
    st.from_regex(r"/?[a-z.]{1,3}(/[a-z_-]{1,3}){0,4}(:[a-z0-9]{0,2})?", fullmatch=True),
    st.from_regex(
        r"arn:aws:ssm:us-east-1:[0-9]{12}:parameter(/[a-z*]{0,3}){0,3}(:[a-z0-9]{0,2})?", fullmatch=True
    ),
    st.from_regex(r"/aws/(service|reference/secretsmanager)/[a-z*@/:]{0,6}", fullmatch=True),
)


@given(_NAMES)
def test_a_name_makes_an_arn_or_is_refused(text: str) -> None:
    """So that no name widens what a policy says."""
    for parse in (any_name, own_name):
        try:
            named = parse(text, ACCOUNT, REGION)
        except AwsError:
            continue
        assert _ARN.fullmatch(named.place.arn), named
        assert named.place.path.startswith("/")
        assert ":" not in named.selector


@given(_NAMES)
def test_a_path_is_one_or_is_refused(text: str) -> None:
    try:
        path = hierarchy(text)
    except AwsError:
        return
    assert path == "/" or (path.startswith("/") and not path.endswith("/"))


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["Type", "Version", "Attributes", "After", "Before", "Unit", "x"]), inner
        ),
    ),
    max_leaves=12,
)
_POLICY = st.fixed_dictionaries(
    {
        "Type": st.sampled_from(["Expiration", "ExpirationNotification", "NoChangeNotification", "Other"]),
        "Version": st.sampled_from(["1.0", "1.0", "2"]),
        "Attributes": st.one_of(
            st.fixed_dictionaries(
                {"Timestamp": st.sampled_from(["2090-01-01T00:00:00Z", "x", "2090-01-01"])}
            ),
            st.fixed_dictionaries(
                {"Before": st.sampled_from(["1", "x"]), "Unit": st.sampled_from(["Days", "x"])}
            ),
            st.fixed_dictionaries({"After": st.sampled_from(["1", "00"]), "Unit": st.just("Hours")}),
        ),
    }
)


@given(st.one_of(st.text(max_size=20), _JSON.map(json.dumps), st.lists(_POLICY, max_size=4).map(json.dumps)))
def test_policies_are_read_or_refused(text: str) -> None:
    try:
        policies = parsed(text, 1e9)
    except AwsError:
        return
    assert all(json.loads(each.text)["Type"] == each.type for each in policies)
    due = next_due(policies)
    assert (due is None) == (not policies)
    assert [each.type for each in after_change(policies, 2e9)] == [each.type for each in policies]


@given(st.sampled_from(sorted(DATA_TYPES)), st.text(max_size=30))
def test_values_are_of_a_data_type_or_refused(data_type: str, value: str) -> None:
    with suppress(AwsError):
        check_value(data_type, "String", value)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "Key": st.sampled_from(
                    ["Name", "Path", "Type", "Tier", "KeyId", "Label", "DataType", "tag:x", "y"]
                )
            },
            optional={
                "Option": st.sampled_from(["Equals", "BeginsWith", "Contains", "Recursive", "OneLevel"]),
                "Values": st.lists(st.sampled_from(["/a", "x", "String", "/", "\0"]), max_size=2),
            },
        ),
        max_size=3,
    )
)
def test_filters_select_or_are_refused(filters: list[dict[str, Any]]) -> None:
    for select in (of_list, lambda request: of_path(request, "/a")):
        with suppress(AwsError):
            selection = select({"ParameterFilters": filters})
            assert "\0" not in selection.under.prefix + selection.under.parent


@pytest.mark.parametrize("region", ["us-east-1", "eu-isoe-west-1"])
def test_pages_of_public_parameters_are_all_of_them(region: str) -> None:
    found: list[str] = []
    while page := page_of_public(region, "/aws/service", found[-1] if found else "", 500, recursive=True):
        found += [each.get("Name", "") for each in page]
        assert all("longName" in each.get("Name", "") or each.get("Value") for each in page)
    assert found == published(region)[1]
    assert len(found) > 300


def test_availability_zones_of_two_regions_differ() -> None:
    every = [zone for region in sorted(regions()) for zone in zones(region)]
    assert len(set(every)) == len(every)


def test_an_account_has_few_patterns_tried_at_a_time() -> None:
    slow = "(?=a)a+"
    with allowed_patterns._place(ACCOUNT), allowed_patterns._place(ACCOUNT):
        with pytest.raises(AwsError, match="ThrottlingException: Rate exceeded"):
            allowed_patterns.check_pattern(ACCOUNT, slow, ["aaa"])
        # What RE2 knows takes no place, and another account has its own.
        allowed_patterns.check_pattern(ACCOUNT, "a+", ["aaa"])
        allowed_patterns.check_pattern("444455556666", slow, ["aaa"])
    allowed_patterns.check_pattern(ACCOUNT, slow, ["aaa"])
