"""Users and their access keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from iam_support import ACCOUNT, ROOT, STRANGER, Iam, arn, denied, name, pages, policy, tags
from server_support import refused

from casemate.services.iam.identities import AccessKey


def test_a_user_is_made_shown_and_deleted(iam: Iam) -> None:
    user = name("Alice")
    made = iam.admin.create_user(UserName=user, Path="/team/", Tags=tags(b="2", a="1"))["User"]
    assert made["Arn"] == arn("user", f"team/{user}")
    assert made["UserId"].startswith("AIDA")
    assert len(made["UserId"]) == 21
    assert made["Tags"] == tags(a="1", b="2")
    assert abs((made["CreateDate"] - datetime.now(UTC)).total_seconds()) < 60
    assert iam.admin.get_user(UserName=user.lower())["User"] == made, "names differ by more than case"
    iam.admin.delete_user(UserName=user)
    with refused("NoSuchEntity", f"The user with name {user} cannot be found.", 404):
        iam.admin.get_user(UserName=user)
    with refused("NoSuchEntity", f"The user with name {user} cannot be found.", 404):
        iam.admin.delete_user(UserName=user)


def test_a_name_is_taken_whatever_its_case(iam: Iam) -> None:
    user = name("bob")
    iam.admin.create_user(UserName=user)
    with refused("EntityAlreadyExists", f"User with name {user.upper()} already exists.", 409):
        iam.admin.create_user(UserName=user.upper(), Path="/x/")


@pytest.mark.parametrize("bad", ["", "no space", "é", "a/b", "x" * 65])
def test_a_name_that_is_none_is_refused(iam: Iam, bad: str) -> None:
    with refused("ValidationError"):
        iam.unchecked.create_user(UserName=bad)


@pytest.mark.parametrize("path", ["x", "/x", "/x y/"])
def test_a_path_that_is_none_is_refused(iam: Iam, path: str) -> None:
    with refused("ValidationError"):
        iam.admin.create_user(UserName=name(), Path=path)


def test_users_are_listed_by_path_in_pages(iam: Iam) -> None:
    path = f"/{name('list')}/"
    users = sorted(name("u") for _ in range(5))
    for user in users:
        iam.admin.create_user(UserName=user, Path=path, Tags=tags(a="1"))
    found = pages(iam.admin.list_users, "Users", PathPrefix=path)
    assert [len(page) for page in found] == [2, 2, 1]
    shown = [user for page in found for user in page]
    assert [user["UserName"] for user in shown] == sorted(users)
    assert all("Tags" not in user for user in shown), "lists show none"
    assert iam.admin.list_users(PathPrefix=path)["IsTruncated"] is False


def test_a_marker_of_another_list_is_refused(iam: Iam) -> None:
    for _ in range(2):
        iam.user()
        iam.role()
    marker = iam.admin.list_users(MaxItems=1)["Marker"]
    with refused("ValidationError", "Invalid Marker."):
        iam.admin.list_roles(Marker=marker)
    with refused("ValidationError", "Invalid Marker."):
        iam.admin.list_users(Marker="nonsense")
    with refused("ValidationError"):
        iam.admin.list_users(MaxItems=1001)


def test_a_renamed_user_keeps_id_policies_and_keys(iam: Iam) -> None:
    user, other = iam.user(policy("iam:GetUser")), name("renamed")
    key = iam.key(user)
    before = iam.admin.get_user(UserName=user)["User"]
    iam.admin.update_user(UserName=user, NewUserName=other, NewPath="/new/")
    after = iam.client("iam", key).get_user()["User"]
    assert after["UserId"] == before["UserId"]
    assert after["Arn"] == arn("user", f"new/{other}")
    with refused("NoSuchEntity", status=404):
        iam.admin.get_user(UserName=user)
    taken = iam.user()
    with refused("EntityAlreadyExists", f"User with name {taken} already exists.", 409):
        iam.admin.update_user(UserName=other, NewUserName=taken)
    iam.admin.update_user(UserName=other, NewUserName=other.upper())
    assert iam.client("iam", key).get_user()["User"]["UserName"] == other.upper()


def test_a_rename_needs_permission_on_both_names(iam: Iam) -> None:
    user = iam.user()
    mine = iam.user(policy("iam:UpdateUser", resource=arn("user", user)))
    client = iam.client("iam", iam.key(mine))
    client.update_user(UserName=user)
    who = arn("user", mine)
    with refused("AccessDenied", denied(who, "iam:UpdateUser", arn("user", "other")), 403):
        client.update_user(UserName=user, NewUserName="other")


def test_the_caller_is_meant_where_no_name_is_given(iam: Iam) -> None:
    user = iam.user(policy("iam:GetUser", "iam:ListAccessKeys", resource=arn("user", "${aws:username}")))
    key = iam.key(user)
    client = iam.client("iam", key)
    assert client.get_user()["User"]["UserName"] == user
    assert [each["AccessKeyId"] for each in client.list_access_keys()["AccessKeyMetadata"]] == [key.id]
    with refused("AccessDenied", denied(arn("user", user), "iam:GetUser", arn("user", "admin")), 403):
        client.get_user(UserName="admin")


def test_the_root_user_is_shown_to_itself(iam: Iam) -> None:
    root = iam.client("iam", ROOT)
    shown = root.get_user()["User"]
    assert (shown["UserId"], shown["Arn"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")
    assert [key["AccessKeyId"] for key in root.list_access_keys()["AccessKeyMetadata"]] == [ROOT.id]


def test_whether_a_user_exists_is_not_told_to_those_who_may_not_know(iam: Iam) -> None:
    caller = iam.user()
    client = iam.client("iam", iam.key(caller))
    for user in ("admin", "nobody-of-that-name"):
        with refused("AccessDenied", denied(arn("user", caller), "iam:GetUser", arn("user", user)), 403):
            client.get_user(UserName=user)
    with refused("NoSuchEntity", status=404):
        iam.client("iam", STRANGER).get_user(UserName="admin")


def test_a_user_that_still_has_something_is_not_deleted(iam: Iam) -> None:
    user = iam.user(policy("iam:GetUser"))
    key = iam.key(user)
    managed, group = iam.managed(), iam.group()
    iam.admin.attach_user_policy(UserName=user, PolicyArn=managed)
    iam.admin.add_user_to_group(UserName=user, GroupName=group)
    undone: list[tuple[str, Callable[[], Any]]] = [
        (
            "must delete access keys first.",
            lambda: iam.admin.delete_access_key(UserName=user, AccessKeyId=key.id),
        ),
        (
            "must detach all policies first.",
            lambda: iam.admin.detach_user_policy(UserName=user, PolicyArn=managed),
        ),
        ("must delete policies first.", lambda: iam.admin.delete_user_policy(UserName=user, PolicyName="p0")),
        (
            "must remove users from group first.",
            lambda: iam.admin.remove_user_from_group(UserName=user, GroupName=group),
        ),
    ]
    for text, undo in undone:
        with refused("DeleteConflict", f"Cannot delete entity, {text}", 409):
            iam.admin.delete_user(UserName=user)
        undo()
    iam.admin.delete_user(UserName=user)


# --- access keys


def test_a_key_works_until_it_is_switched_off_or_deleted(iam: Iam) -> None:
    user = iam.user(policy("iam:GetUser"))
    key = iam.key(user)
    client = iam.client("iam", key)
    client.get_user()
    iam.admin.update_access_key(UserName=user, AccessKeyId=key.id, Status="Inactive")
    with refused("InvalidClientTokenId", status=403):
        client.get_user()
    iam.admin.update_access_key(UserName=user, AccessKeyId=key.id, Status="Active")
    client.get_user()
    iam.admin.delete_access_key(UserName=user, AccessKeyId=key.id)
    with refused("InvalidClientTokenId", status=403):
        client.get_user()
    with refused("NoSuchEntity", f"The Access Key with id {key.id} cannot be found.", 404):
        iam.admin.delete_access_key(UserName=user, AccessKeyId=key.id)


def test_a_user_has_two_keys_at_most(iam: Iam) -> None:
    user = iam.user()
    keys = [iam.key(user), iam.key(user)]
    with refused("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2", 409):
        iam.key(user)
    found = pages(iam.admin.list_access_keys, "AccessKeyMetadata", 1, UserName=user)
    assert [[key["AccessKeyId"] for key in page] for page in found] == [
        [each] for each in sorted(key.id for key in keys)
    ]
    assert all(key["Status"] == "Active" and "SecretAccessKey" not in key for page in found for key in page)


def test_another_users_key_is_not_found(iam: Iam) -> None:
    user, other = iam.user(), iam.user()
    key = iam.key(other)
    with refused("NoSuchEntity", f"The Access Key with id {key.id} cannot be found.", 404):
        iam.admin.update_access_key(UserName=user, AccessKeyId=key.id, Status="Inactive")
    with refused("InvalidInput"):
        iam.admin.update_access_key(UserName=other, AccessKeyId=key.id, Status="Expired")


def test_the_last_use_of_a_key_is_told(iam: Iam) -> None:
    user = iam.user(policy("iam:GetUser"))
    key = iam.key(user)
    before = iam.admin.get_access_key_last_used(AccessKeyId=key.id)
    assert before["UserName"] == user
    assert before["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}
    iam.client("sts", key, "eu-west-1").get_caller_identity()
    used = iam.admin.get_access_key_last_used(AccessKeyId=key.id)["AccessKeyLastUsed"]
    assert (used["ServiceName"], used["Region"]) == ("sts", "eu-west-1")
    assert abs((used["LastUsedDate"] - datetime.now(UTC)).total_seconds()) < 60
    iam.client("iam", key, "eu-west-1").get_user()
    used = iam.admin.get_access_key_last_used(AccessKeyId=key.id)["AccessKeyLastUsed"]
    assert (used["ServiceName"], used["Region"]) == ("iam", "us-east-1"), "IAM acts in one Region"


def test_the_last_use_of_a_strangers_key_is_not_told(iam: Iam) -> None:
    unknown = AccessKey("AKIAUNKNOWN000000000", "")
    for key in (STRANGER, unknown):
        with refused("NoSuchEntity", f"The Access Key with id {key.id} cannot be found.", 404):
            iam.admin.get_access_key_last_used(AccessKeyId=key.id)


def test_the_audit_holds_no_secret(iam: Iam) -> None:
    from server_support import casemate

    user = iam.user()
    key = iam.key(user)
    tail = casemate("audit", "tail", "--data", str(iam.server.data), "-n", "50", "--json").stdout
    assert key.id in tail
    assert key.secret not in tail
