"""What targets are given: paths into events, and templates."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.engine.events.transform import (
    LARGEST,
    PathError,
    TooLarge,
    by_path,
    check_template,
    path_steps,
    transform,
)

EVENT: dict[str, Any] = {
    "detail": {"name": 'a "quoted" one', "list": [{"n": 1}, {"n": 2}, {}], "odd.key": True, "none": None}
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", json.dumps(EVENT, separators=(",", ":"))),
        ("$.detail.list[0].n", "1"),
        ("$.detail.list[*].n", "[1,2]"),
        ("$.detail['odd.key']", "true"),
        ('$.detail["odd.key"]', "true"),
        ("$.detail.none", "null"),
        ("$.detail.list[7]", None),
        ("$.detail.name.deeper", None),
        ("$.absent", None),
    ],
)
def test_a_path_finds(path: str, expected: str | None) -> None:
    assert by_path(EVENT, path) == expected


@pytest.mark.parametrize("path", ["", "detail", "$detail", "$.", "$.a[", "$.a[x]", "$.a b", "$..a"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(PathError):
        path_steps(path)


@pytest.mark.parametrize(
    ("template", "wrong"),
    [
        ('{"a": <x>}', ""),
        ('{"a": "<x> and <aws.events.rule-arn>"}', ""),
        ('"one <x>"\n"two"', ""),
        ("<x>", ""),
        ('{"a": <y>}', "contains invalid placeholder y"),
        ('{"a": }', "is not valid JSON"),
        ("one <x>", "is not valid JSON"),
    ],
)
def test_templates_are_checked(template: str, wrong: str) -> None:
    found = check_template(template, {"x": "$.x"})
    assert found.startswith(wrong)
    assert bool(found) == bool(wrong)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=5
    )
)
def test_whatever_is_filled_in_the_template_stays_json(value: Any) -> None:
    template = '{"plain": <x>, "text": "it is <x>.", "other": "\\"<x>\\""}'
    filled = json.loads(transform({"x": value}, template, {"x": "$.x"}, {}))
    assert filled["plain"] == value
    assert filled["text"].startswith("it is ")
    if isinstance(value, str):
        assert filled["text"] == f"it is {value}."
        assert filled["other"] == f'"{value}"'


@pytest.mark.parametrize("placeholder", ["<x>", '"<x>"'])
def test_a_template_becomes_so_large_at_most(placeholder: str) -> None:
    event = {"x": "y" * (LARGEST // 10)}
    fits = transform(event, f"[{','.join([placeholder] * 9)}]", {"x": "$.x"}, {})
    assert json.loads(fits) == [event["x"]] * 9
    with pytest.raises(TooLarge):
        transform(event, f"[{','.join([placeholder] * 2000)}]", {"x": "$.x"}, {})
