"""Tags of all that have some, and what policies make of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from iam_support import Iam, arn, denied, name, pages, policy, tags
from server_support import refused


def _profile(iam: Iam) -> dict[str, str]:
    profile = name("profile")
    iam.admin.create_instance_profile(InstanceProfileName=profile)
    return {"InstanceProfileName": profile}


KINDS: dict[str, Callable[[Iam], dict[str, str]]] = {
    "user": lambda iam: {"UserName": iam.user()},
    "role": lambda iam: {"RoleName": iam.role()},
    "policy": lambda iam: {"PolicyArn": iam.managed()},
    "instance_profile": _profile,
}


class Tagged:
    """Something that has tags. kind: as operations name it."""

    def __init__(self, iam: Iam, kind: str) -> None:
        self._iam = iam
        self._kind = kind
        self.place = KINDS[kind](iam)

    def tag(self, added: list[dict[str, str]]) -> None:
        getattr(self._iam.admin, f"tag_{self._kind}")(**self.place, Tags=added)

    def untag(self, *keys: str) -> None:
        getattr(self._iam.admin, f"untag_{self._kind}")(**self.place, TagKeys=list(keys))

    def list(self, size: int = 50) -> list[list[Any]]:
        return pages(getattr(self._iam.admin, f"list_{self._kind}_tags"), "Tags", size, **self.place)


@pytest.fixture(params=list(KINDS))
def tagged(iam: Iam, request: pytest.FixtureRequest) -> Tagged:
    return Tagged(iam, request.param)


def test_tags_are_added_replaced_and_removed(tagged: Tagged) -> None:
    tagged.tag(tags(b="2", a="1", c=""))
    assert tagged.list() == [tags(a="1", b="2", c="")]
    assert tagged.list(2) == [tags(a="1", b="2"), tags(c="")]
    tagged.tag(tags(A="other"))
    assert tagged.list() == [tags(A="other", b="2", c="")], "keys differ by more than case"
    tagged.untag("B", "unknown")
    assert tagged.list() == [tags(A="other", c="")]


def test_tags_that_are_none_are_refused(tagged: Tagged) -> None:
    with refused("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive."):
        tagged.tag(tags(a="1", A="2"))
    with refused("InvalidInput", "aws: prefixed tag key names are not allowed for external use."):
        tagged.tag([{"Key": "AWS:x", "Value": ""}])
    with refused("ValidationError"):
        tagged.tag([{"Key": "what?", "Value": ""}])
    assert tagged.list() == [[]]


def test_fifty_tags_are_the_limit(tagged: Tagged) -> None:
    tagged.tag(tags(**{f"t{number}": "" for number in range(50)}))
    tagged.tag(tags(t0="replaced"))
    with refused("LimitExceeded", "The number of tags has reached the maximum limit.", 409):
        tagged.tag(tags(t50=""))


@pytest.mark.parametrize("kind", ["user", "role"])
def test_what_does_not_exist_has_no_tags(iam: Iam, kind: str) -> None:
    place = {f"{kind.capitalize()}Name": "nobody"}
    with refused("NoSuchEntity", f"The {kind} with name nobody cannot be found.", 404):
        getattr(iam.admin, f"tag_{kind}")(**place, Tags=tags(a="1"))


def test_tags_at_birth_need_the_permission_to_tag(iam: Iam) -> None:
    caller = iam.user(policy("iam:CreateUser"))
    client = iam.client("iam", iam.key(caller))
    client.create_user(UserName=name())
    made = name()
    with refused("AccessDenied", denied(arn("user", caller), "iam:TagUser", arn("user", made)), 403):
        client.create_user(UserName=made, Tags=tags(a="1"))
    iam.admin.put_user_policy(UserName=caller, PolicyName="tag", PolicyDocument=policy("iam:TagUser"))
    client.create_user(UserName=made, Tags=tags(a="1"))


def test_a_policy_may_ask_for_a_callers_tags(iam: Iam) -> None:
    """AWS's way of attribute-based access control: the caller's team is the target's."""
    same_team = {"StringEquals": {"iam:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    caller = iam.user(policy("iam:GetUser", Condition=same_team), Tags=tags(Team="red"))
    red, blue = iam.user(Tags=tags(team="red")), iam.user(Tags=tags(team="blue"))
    client = iam.client("iam", iam.key(caller))
    client.get_user(UserName=red)
    with refused("AccessDenied", denied(arn("user", caller), "iam:GetUser", arn("user", blue)), 403):
        client.get_user(UserName=blue)
    iam.admin.tag_user(UserName=caller, Tags=tags(team="blue"))
    client.get_user(UserName=blue)
    iam.admin.untag_user(UserName=caller, TagKeys=["team"])
    with refused("AccessDenied", denied(arn("user", caller), "iam:GetUser", arn("user", blue)), 403):
        client.get_user(UserName=blue)


@pytest.mark.parametrize(
    ("condition", "given", "allowed"),
    [
        ({"StringEquals": {"aws:RequestTag/cost": "7"}}, tags(Cost="7"), True),
        ({"StringEquals": {"aws:RequestTag/cost": "7"}}, tags(cost="8"), False),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["cost"]}}, tags(cost="1"), True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["cost"]}}, tags(cost="1", team="x"), False),
        ({"StringEquals": {"aws:ResourceTag/stage": "test"}}, tags(a="1"), True),
        ({"StringEquals": {"aws:ResourceTag/stage": "live"}}, tags(a="1"), False),
    ],
)
def test_a_policy_may_ask_for_the_tags_of_request_and_resource(
    iam: Iam, condition: Any, given: list[dict[str, str]], allowed: bool
) -> None:
    client = iam.caller(policy("iam:TagRole", Condition=condition))
    role = iam.role(Tags=tags(stage="test"))
    if allowed:
        client.tag_role(RoleName=role, Tags=given)
    else:
        with refused("AccessDenied", status=403):
            client.tag_role(RoleName=role, Tags=given)


# --- IAM's own condition keys


def test_a_policy_may_ask_which_policy_is_attached(iam: Iam) -> None:
    managed, other, role = iam.managed(), iam.managed(), iam.role()
    condition = {"ArnEquals": {"iam:PolicyARN": managed}}
    caller = iam.user(policy("iam:AttachRolePolicy", "iam:DetachRolePolicy", Condition=condition))
    client = iam.client("iam", iam.key(caller))
    client.attach_role_policy(RoleName=role, PolicyArn=managed)
    refusal = denied(arn("user", caller), "iam:AttachRolePolicy", arn("role", role))
    with refused("AccessDenied", refusal, 403):
        client.attach_role_policy(RoleName=role, PolicyArn=other)
    client.detach_role_policy(RoleName=role, PolicyArn=managed)


def test_a_policy_may_ask_for_a_boundary(iam: Iam) -> None:
    """AWS's way to delegate: whoever makes users must bound them, and changes only those who are."""
    bound = iam.managed("kms:*")
    condition = {"StringEquals": {"iam:PermissionsBoundary": bound}}
    caller = iam.user(
        policy(
            "iam:CreateUser",
            "iam:PutUserPolicy",
            "iam:PutUserPermissionsBoundary",
            "iam:DeleteUserPermissionsBoundary",
            Condition=condition,
        )
    )
    client = iam.client("iam", iam.key(caller))
    made, free = name(), iam.user()
    who = arn("user", caller)
    with refused("AccessDenied", denied(who, "iam:CreateUser", arn("user", made)), 403):
        client.create_user(UserName=made)
    client.create_user(UserName=made, PermissionsBoundary=bound)
    client.put_user_policy(UserName=made, PolicyName="p", PolicyDocument=policy("*"))
    with refused("AccessDenied", denied(who, "iam:PutUserPolicy", arn("user", free)), 403):
        client.put_user_policy(UserName=free, PolicyName="p", PolicyDocument=policy("*"))
    refusal = denied(who, "iam:PutUserPermissionsBoundary", arn("user", made))
    with refused("AccessDenied", refusal, 403):
        client.put_user_permissions_boundary(UserName=made, PermissionsBoundary=iam.managed())
    client.delete_user_permissions_boundary(UserName=made)


def test_requests_to_iam_act_in_one_region(iam: Iam) -> None:
    caller = iam.user(policy("iam:GetUser", Condition={"StringEquals": {"aws:RequestedRegion": "us-east-1"}}))
    iam.client("iam", iam.key(caller), "eu-central-1").get_user()
