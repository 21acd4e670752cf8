"""Whatever a user's policies say, SimulatePrincipalPolicy says what the server then does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from iam_support import Iam, arn, name, tags

ACTIONS = ("iam:GetUser", "iam:ListUserTags", "iam:ListGroupsForUser")
TEAM = "red"


@pytest.fixture(scope="module")
def subject(iam: Iam) -> tuple[Any, str]:
    """A client by a user whose policies the test makes, and the user's name."""
    user = name("simulated")
    iam.admin.create_user(UserName=user, Path="/team/", Tags=tags(team=TEAM))
    return iam.client("iam", iam.key(user)), user


def _conditions(user: str) -> st.SearchStrategy[dict[str, Any]]:
    one_of = st.sampled_from
    return one_of(
        [
            {},
            {"StringEquals": {"aws:username": user}},
            {"StringNotEquals": {"aws:username": user}},
            {"StringEquals": {"aws:PrincipalTag/team": TEAM}},
            {"StringEquals": {"aws:PrincipalTag/team": "blue"}},
            {"StringEquals": {"aws:ResourceTag/team": TEAM}},
            {"StringNotEqualsIfExists": {"aws:ResourceTag/team": TEAM}},
            {"Null": {"aws:ResourceTag/team": "true"}},
            {"ArnLike": {"aws:PrincipalArn": arn("user", "team/*")}},
            {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}},
        ]
    )


def _statements(user: str) -> st.SearchStrategy[dict[str, Any]]:
    resources = [
        "*",
        arn("user", "*"),
        arn("user", f"team/{user}"),
        arn("user", "team/${aws:username}"),
        arn("user", "o*"),
    ]
    actions = ["*", "iam:*", "iam:Get*", "iam:List*", *ACTIONS]
    return st.builds(
        lambda effect, action, names, resource, arns, condition: {
            "Effect": effect,
            action: names,
            resource: arns,
            **({"Condition": condition} if condition else {}),
        },
        st.sampled_from(["Allow", "Allow", "Deny"]),
        st.sampled_from(["Action", "Action", "NotAction"]),
        st.lists(st.sampled_from(actions), min_size=1, max_size=2),
        st.sampled_from(["Resource", "Resource", "NotResource"]),
        st.lists(st.sampled_from(resources), min_size=1, max_size=2),
        _conditions(user),
    )


def _document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@given(data=st.data())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
def test_it_says_what_the_server_does(iam: Iam, subject: tuple[Any, str], data: st.DataObject) -> None:
    client, user = subject
    other = "admin"
    documents = data.draw(
        st.lists(st.lists(_statements(user), min_size=1, max_size=3), min_size=1, max_size=2)
    )
    boundary = data.draw(st.none() | st.lists(_statements(user), min_size=1, max_size=3))
    target = data.draw(st.sampled_from([user, other]))
    for number, statements in enumerate(documents):
        iam.admin.put_user_policy(UserName=user, PolicyName=str(number), PolicyDocument=_document(statements))
    managed = ""
    if boundary is not None:
        made = iam.admin.create_policy(PolicyName=name("boundary"), PolicyDocument=_document(boundary))
        managed = made["Policy"]["Arn"]
        iam.admin.put_user_permissions_boundary(UserName=user, PermissionsBoundary=managed)
    try:
        described = iam.admin.get_user(UserName=target)["User"]
        # Tags are not looked up: whoever simulates says what they are.
        context = [_entry("aws:PrincipalTag/team", TEAM)]
        context += [
            _entry(f"aws:ResourceTag/{tag['Key']}", tag["Value"]) for tag in described.get("Tags", ())
        ]
        results = iam.admin.simulate_principal_policy(
            PolicySourceArn=arn("user", f"team/{user}"),
            ActionNames=list(ACTIONS),
            ResourceArns=[described["Arn"]],
            ContextEntries=context,
        )["EvaluationResults"]
        said = {each["EvalActionName"]: each["EvalDecision"] == "allowed" for each in results}
        done = {
            "iam:GetUser": _allowed(lambda: client.get_user(UserName=target)),
            "iam:ListUserTags": _allowed(lambda: client.list_user_tags(UserName=target)),
            "iam:ListGroupsForUser": _allowed(lambda: client.list_groups_for_user(UserName=target)),
        }
        assert said == done
    finally:
        for number in range(len(documents)):
            iam.admin.delete_user_policy(UserName=user, PolicyName=str(number))
        if managed:
            iam.admin.delete_user_permissions_boundary(UserName=user)
            iam.admin.delete_policy(PolicyArn=managed)


def _entry(key: str, value: str) -> dict[str, Any]:
    return {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [value]}


def _allowed(call: Callable[[], object]) -> bool:
    try:
        call()
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        return False
    return True
