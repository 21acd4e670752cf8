"""Groups, who is in them, and what that lets them do."""

from __future__ import annotations

import pytest
from iam_support import Iam, arn, denied, name, pages, policy
from server_support import refused


def test_a_group_is_made_shown_renamed_and_deleted(iam: Iam) -> None:
    group, other = name("Crew"), name("crew")
    made = iam.admin.create_group(GroupName=group, Path="/team/")["Group"]
    assert made["Arn"] == arn("group", f"team/{group}")
    assert made["GroupId"].startswith("AGPA")
    assert iam.admin.get_group(GroupName=group.lower())["Group"] == made
    iam.admin.update_group(GroupName=group, NewGroupName=other, NewPath="/")
    shown = iam.admin.get_group(GroupName=other)["Group"]
    assert (shown["GroupId"], shown["Arn"]) == (made["GroupId"], arn("group", other))
    iam.admin.delete_group(GroupName=other)
    for missing in (group, other):
        with refused("NoSuchEntity", f"The group with name {missing} cannot be found.", 404):
            iam.admin.get_group(GroupName=missing)


def test_a_groups_name_is_taken_whatever_its_case(iam: Iam) -> None:
    group, other = iam.group(), iam.group()
    with refused("EntityAlreadyExists", f"Group with name {group.upper()} already exists.", 409):
        iam.admin.create_group(GroupName=group.upper())
    with refused("EntityAlreadyExists", f"Group with name {group} already exists.", 409):
        iam.admin.update_group(GroupName=other, NewGroupName=group)


def test_groups_are_listed_by_path_in_pages(iam: Iam) -> None:
    path = f"/{name('list')}/"
    groups = sorted(iam.group(Path=path) for _ in range(3))
    found = pages(iam.admin.list_groups, "Groups", PathPrefix=path)
    assert [[group["GroupName"] for group in page] for page in found] == [groups[:2], groups[2:]]


def test_who_is_in_a_group_may_what_it_allows_from_the_next_request_on(iam: Iam) -> None:
    group, user = iam.group(), iam.user()
    client = iam.client("iam", iam.key(user))
    iam.admin.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=policy("iam:GetUser"))
    refusal = denied(arn("user", user), "iam:GetUser", arn("user", user))
    with refused("AccessDenied", refusal, 403):
        client.get_user()
    iam.admin.add_user_to_group(GroupName=group, UserName=user)
    iam.admin.add_user_to_group(GroupName=group, UserName=user)
    client.get_user()
    assert [each["UserName"] for each in iam.admin.get_group(GroupName=group)["Users"]] == [user]
    listed = iam.admin.list_groups_for_user(UserName=user)
    assert [each["GroupName"] for each in listed["Groups"]] == [group]
    iam.admin.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=policy("iam:ListUsers"))
    with refused("AccessDenied", refusal, 403):
        client.get_user()
    managed = iam.managed("iam:GetUser")
    iam.admin.attach_group_policy(GroupName=group, PolicyArn=managed)
    client.get_user()
    iam.admin.remove_user_from_group(GroupName=group, UserName=user)
    iam.admin.remove_user_from_group(GroupName=group, UserName=user)
    with refused("AccessDenied", refusal, 403):
        client.get_user()


def test_a_renamed_group_keeps_its_users(iam: Iam) -> None:
    group, other, user = iam.group(), name("renamed"), iam.user()
    iam.admin.add_user_to_group(GroupName=group, UserName=user)
    iam.admin.update_group(GroupName=group, NewGroupName=other)
    listed = iam.admin.list_groups_for_user(UserName=user)
    assert [each["GroupName"] for each in listed["Groups"]] == [other]


def test_users_of_a_group_come_in_pages(iam: Iam) -> None:
    group = iam.group()
    users = sorted(iam.user() for _ in range(3))
    for user in users:
        iam.admin.add_user_to_group(GroupName=group, UserName=user)
    found = pages(iam.admin.get_group, "Users", GroupName=group)
    assert [[user["UserName"] for user in page] for page in found] == [users[:2], users[2:]]


def test_a_user_is_in_ten_groups_at_most(iam: Iam) -> None:
    user = iam.user()
    for _ in range(10):
        iam.admin.add_user_to_group(GroupName=iam.group(), UserName=user)
    with refused("LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10", 409):
        iam.admin.add_user_to_group(GroupName=iam.group(), UserName=user)
    assert [len(page) for page in pages(iam.admin.list_groups_for_user, "Groups", 6, UserName=user)] == [6, 4]


@pytest.mark.parametrize("operation", ["add_user_to_group", "remove_user_from_group"])
def test_who_does_not_exist_is_in_no_group(iam: Iam, operation: str) -> None:
    with refused("NoSuchEntity", "The user with name nobody cannot be found.", 404):
        getattr(iam.admin, operation)(GroupName=iam.group(), UserName="nobody")
    with refused("NoSuchEntity", "The group with name nothing cannot be found.", 404):
        getattr(iam.admin, operation)(GroupName="nothing", UserName=iam.user())


def test_a_group_that_still_has_something_is_not_deleted(iam: Iam) -> None:
    group, user = iam.group(), iam.user()
    managed = iam.managed()
    iam.admin.add_user_to_group(GroupName=group, UserName=user)
    iam.admin.attach_group_policy(GroupName=group, PolicyArn=managed)
    iam.admin.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=policy("kms:*"))
    with refused("DeleteConflict", "Cannot delete entity, must remove users from group first.", 409):
        iam.admin.delete_group(GroupName=group)
    iam.admin.remove_user_from_group(GroupName=group, UserName=user)
    with refused("DeleteConflict", "Cannot delete entity, must detach all policies first.", 409):
        iam.admin.delete_group(GroupName=group)
    iam.admin.detach_group_policy(GroupName=group, PolicyArn=managed)
    with refused("DeleteConflict", "Cannot delete entity, must delete policies first.", 409):
        iam.admin.delete_group(GroupName=group)
    iam.admin.delete_group_policy(GroupName=group, PolicyName="p")
    iam.admin.delete_group(GroupName=group)
