"""Effective management policies: how they are merged, and by a real client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orgs_support import World, refused

from casemate.services.organizations.inheritance import effective

NONE: dict[str, Any] = {"@@operators_allowed_for_child_policies": ["@@none"]}


def setting(**operators: Any) -> dict[str, Any]:
    """setting(append=["x"]) is {"@@append": ["x"]}."""
    return {f"@@{name}": value for name, value in operators.items()}


def values(*levels: list[Any]) -> Any:
    """What comes of one setting. levels: what each policy of each says of it."""
    merged = effective([[{"a": {"b": each}} for each in level] for level in levels])
    return merged.get("a", {}).get("b")


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([[setting(assign=["x"])]], ["x"]),
        ([["x"]], "x"),
        ([[setting(assign="x")], [setting(assign="y")]], "y"),
        ([[setting(assign=["x"])], [setting(append=["y", "x"])]], ["x", "y"]),
        ([[setting(append=["x"])]], ["x"]),
        ([[setting(assign=["x", "y"])], [setting(remove=["x", "z"])]], ["y"]),
        ([[setting(remove=["x"])]], None),
        ([[setting(assign=["x"])], [], [setting(append=["y"])], [setting(remove=["x"])]], ["y"]),
        ([[setting(assign=["x"]) | NONE], [setting(assign=["y"])], [setting(append=["y"])]], ["x"]),
        (
            [
                [setting(assign=["x"], operators_allowed_for_child_policies=["@@append"])],
                [setting(assign=["y"]), setting(append=["z"])],
                [setting(remove=["x"])],
            ],
            ["x", "z"],
        ),
        (
            # What is forbidden is not allowed again further down.
            [
                [setting(assign=["x"]) | NONE],
                [setting(operators_allowed_for_child_policies=["@@all"], assign=["y"])],
                [setting(assign=["z"])],
            ],
            ["x"],
        ),
        # On one level nothing forbids anything to another.
        ([[setting(assign=["x"]) | NONE, setting(append=["y"])]], ["x", "y"]),
    ],
)
def test_operators(levels: list[list[Any]], expected: Any) -> None:
    assert values(*levels) == expected


def test_a_group_that_is_closed_takes_nothing_new() -> None:
    closed = {"services": {**NONE, "default": {"opt_out_policy": {"@@assign": "optOut", **NONE}}}}
    below = {"services": {"default": {"opt_out_policy": "optIn"}, "lex": {"opt_out_policy": "optIn"}}}
    assert effective([[closed], [below]]) == {"services": {"default": {"opt_out_policy": "optOut"}}}
    assert effective([[below], [closed]])["services"]["lex"] == {"opt_out_policy": "optIn"}


_settings = st.one_of(
    st.builds(lambda value: setting(assign=value), st.lists(st.sampled_from("xyz"), min_size=1)),
    st.builds(lambda value: setting(append=value), st.lists(st.sampled_from("xyz"), min_size=1)),
    st.builds(lambda value: setting(remove=value), st.lists(st.sampled_from("xyz"), min_size=1)),
)


@given(
    st.lists(st.lists(_settings, max_size=2), max_size=3),
    st.lists(st.lists(_settings, max_size=2), max_size=3),
)
def test_what_is_closed_stays_as_it_is(above: list[list[Any]], below: list[list[Any]]) -> None:
    closed = [*above, [setting(assign=["fixed"]) | NONE]]
    assert values(*closed, *below) == ["fixed"]


def test_by_a_client(world: World) -> None:
    world.organize("first", "second")
    client, root, first = world.of(), world.root, world.id("first")
    client.enable_policy_type(RootId=root, PolicyType="TAG_POLICY")
    with refused("EffectivePolicyNotFoundException"):
        client.describe_effective_policy(PolicyType="TAG_POLICY", TargetId=first)
    for target, tag_value in ((root, {"@@assign": ["a"]}), (first, {"@@append": ["b"]})):
        key = "CostCenter" if target == root else "costcenter"
        content = {"tags": {key: {"tag_key": {"@@assign": "CostCenter"}, "tag_value": tag_value}}}
        made = client.create_policy(
            Type="TAG_POLICY", Name=target, Description="", Content=json.dumps(content)
        )
        client.attach_policy(PolicyId=made["Policy"]["PolicySummary"]["Id"], TargetId=target)
    found = client.describe_effective_policy(PolicyType="TAG_POLICY", TargetId=first)["EffectivePolicy"]
    assert (found["TargetId"], found["PolicyType"]) == (first, "TAG_POLICY")
    expected = {"tags": {"costcenter": {"tag_key": "CostCenter", "tag_value": ["a", "b"]}}}
    assert json.loads(found["PolicyContent"]) == expected
    own = world.of("first").describe_effective_policy(PolicyType="TAG_POLICY")["EffectivePolicy"]
    assert own == found
    other = client.describe_effective_policy(PolicyType="TAG_POLICY", TargetId=world.id("second"))
    assert json.loads(other["EffectivePolicy"]["PolicyContent"])["tags"]["costcenter"]["tag_value"] == ["a"]
    with refused("AccessDeniedException", "You don't have permissions to access this resource."):
        world.of("first").describe_effective_policy(PolicyType="TAG_POLICY", TargetId=world.id("second"))
    with refused("InvalidInputException", reason="TARGET_NOT_SUPPORTED"):
        client.describe_effective_policy(PolicyType="TAG_POLICY", TargetId=root)
    with refused("TargetNotFoundException"):
        client.describe_effective_policy(PolicyType="TAG_POLICY", TargetId=world.id("outsider"))
    client.disable_policy_type(RootId=root, PolicyType="TAG_POLICY")
    with refused("EffectivePolicyNotFoundException"):
        world.of("first").describe_effective_policy(PolicyType="TAG_POLICY")
