"""An account as a whole: its alias, its summary, and who may what in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from iam_support import (
    ACCOUNT,
    ADMIN,
    ADMINISTRATOR_ACCESS,
    STRANGER,
    TRUST,
    Iam,
    arn,
    iam_server,
    name,
    policy,
    tags,
)
from server_support import refused


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Iam]:
    """A server of two workers that no other test changes."""
    with iam_server(tmp_path, "--workers", "2") as running:
        yield running


def test_an_account_has_one_alias_that_nobody_else_has(iam: Iam) -> None:
    first, second = name("alias"), name("alias")
    iam.admin.create_account_alias(AccountAlias=first)
    iam.admin.create_account_alias(AccountAlias=first)
    stranger = iam.client("iam", STRANGER)
    with refused("EntityAlreadyExists", f"The account alias {first} already exists.", 409):
        stranger.create_account_alias(AccountAlias=first)
    iam.admin.create_account_alias(AccountAlias=second)
    assert iam.admin.list_account_aliases()["AccountAliases"] == [second]
    stranger.create_account_alias(AccountAlias=first)
    with refused("NoSuchEntity", f"The account alias {first} cannot be found.", 404):
        iam.admin.delete_account_alias(AccountAlias=first)
    iam.admin.delete_account_alias(AccountAlias=second)
    assert iam.admin.list_account_aliases()["AccountAliases"] == []
    with refused("ValidationError"):
        iam.admin.create_account_alias(AccountAlias="no--where")


def test_all_of_an_account(alone: Iam) -> None:
    """GetAccountAuthorizationDetails and GetAccountSummary, of an account of which all is known."""
    admin = alone.admin
    inline = policy("kms:List*")
    managed = alone.managed("kms:Get*", Description="d")
    admin.create_policy_version(PolicyArn=managed, PolicyDocument=policy("kms:*"), SetAsDefault=True)
    user = alone.user(inline, Path="/u/", Tags=tags(a="1"), PermissionsBoundary=managed)
    group, role, profile = alone.group(), alone.role(Tags=tags(b="2")), name("profile")
    admin.add_user_to_group(UserName=user, GroupName=group)
    admin.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=inline)
    admin.attach_role_policy(RoleName=role, PolicyArn=managed)
    admin.create_instance_profile(InstanceProfileName=profile)
    admin.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)

    details = admin.get_account_authorization_details()
    assert details["IsTruncated"] is False
    by_name = {each["UserName"]: each for each in details["UserDetailList"]}
    assert set(by_name) == {"admin", user}
    shown = by_name[user]
    assert shown["Arn"] == arn("user", f"u/{user}")
    assert shown["UserPolicyList"] == [{"PolicyName": "p0", "PolicyDocument": json.loads(inline)}]
    assert (shown["GroupList"], shown["Tags"]) == ([group], tags(a="1"))
    assert shown["PermissionsBoundary"]["PermissionsBoundaryArn"] == managed
    assert by_name["admin"]["AttachedManagedPolicies"] == [
        {"PolicyName": "AdministratorAccess", "PolicyArn": ADMINISTRATOR_ACCESS}
    ]
    [of_group] = details["GroupDetailList"]
    assert (of_group["GroupName"], of_group["GroupPolicyList"][0]["PolicyName"]) == (group, "p")
    [of_role] = details["RoleDetailList"]
    assert of_role["AssumeRolePolicyDocument"] == json.loads(TRUST)
    assert [each["InstanceProfileName"] for each in of_role["InstanceProfileList"]] == [profile]
    assert (of_role["Tags"], of_role["RoleLastUsed"]) == (tags(b="2"), {})
    own, of_aws = sorted(details["Policies"], key=lambda each: each["Arn"])
    assert of_aws["Arn"] == ADMINISTRATOR_ACCESS
    assert (own["Arn"], own["AttachmentCount"], own["PermissionsBoundaryUsageCount"]) == (managed, 1, 1)
    assert [each["VersionId"] for each in own["PolicyVersionList"]] == ["v2", "v1"]
    assert own["PolicyVersionList"][0]["Document"] == json.loads(policy("kms:*"))

    lists = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
    for wanted, member in zip(("User", "Group", "Role", "LocalManagedPolicy"), lists, strict=True):
        found = admin.get_account_authorization_details(Filter=[wanted])
        assert [bool(found[each]) for each in lists] == [each == member for each in lists]
    found = admin.get_account_authorization_details(Filter=["AWSManagedPolicy"])
    assert [each["Arn"] for each in found["Policies"]] == [ADMINISTRATOR_ACCESS]

    gathered: dict[str, list[Any]] = {each: [] for each in lists}
    paginator = admin.get_paginator("get_account_authorization_details")
    for page in paginator.paginate(PaginationConfig={"PageSize": 2}):
        assert sum(len(page[each]) for each in lists) <= 2
        for each in lists:
            gathered[each] += page[each]
    assert gathered == {each: details[each] for each in lists}

    admin.create_open_id_connect_provider(Url="https://issuer.example", ThumbprintList=["a" * 40])
    summary = admin.get_account_summary()["SummaryMap"]
    expected = {
        "Users": 2,
        "UsersQuota": 5000,
        "Groups": 1,
        "Roles": 1,
        "Policies": 1,
        "PolicyVersionsInUse": 2,
        "InstanceProfiles": 1,
        "AccountAccessKeysPresent": 1,
        "AccountPasswordPresent": 0,
        "Providers": 1,
        "AttachedPoliciesPerRoleQuota": 10,
        "RolePolicySizeQuota": 10_240,
        "AccessKeysPerUserQuota": 2,
    }
    assert {key: summary[key] for key in expected} == expected


def test_a_change_is_seen_by_every_worker_at_once(alone: Iam) -> None:
    user = alone.user(policy("iam:GetUser"))
    key = alone.key(user)
    # Connections are spread over the workers, whose caches these fill.
    clients = [alone.client("iam", key) for _ in range(12)]
    for _ in range(3):
        for client in clients:
            client.get_user()
        alone.admin.put_user_policy(UserName=user, PolicyName="p0", PolicyDocument=policy("kms:*"))
        for client in clients:
            with refused("AccessDenied", status=403):
                client.get_user()
        alone.admin.put_user_policy(UserName=user, PolicyName="p0", PolicyDocument=policy("iam:*"))


def test_awss_managed_policies_grant_what_they_are_for(iam: Iam) -> None:
    def caller(attached: str, service: str) -> Any:
        user = iam.user()
        iam.admin.attach_user_policy(UserName=user, PolicyArn=f"arn:aws:iam::aws:policy/{attached}")
        return iam.client(service, iam.key(user))

    def refusal(service: str) -> Any:
        if service == "kms":
            return refused("AccessDeniedException")
        return refused("AccessDenied", status=403)

    kms: dict[str, Callable[[Any], Any]] = {
        "list": lambda client: client.list_keys(),
        "make": lambda client: client.create_key(),
    }
    own: dict[str, Callable[[Any], Any]] = {
        "list": lambda client: client.list_users(),
        "make": lambda client: client.create_user(UserName=name()),
    }
    for attached, service, allowed in (
        ("ReadOnlyAccess", "kms", {"list"}),
        ("ReadOnlyAccess", "iam", {"list"}),
        ("SecurityAudit", "kms", {"list"}),
        ("job-function/ViewOnlyAccess", "iam", {"list"}),
        ("PowerUserAccess", "kms", {"list", "make"}),
        ("PowerUserAccess", "iam", set[str]()),
        ("IAMFullAccess", "iam", {"list", "make"}),
        ("IAMFullAccess", "kms", set[str]()),
        ("IAMReadOnlyAccess", "iam", {"list"}),
        ("AWSKeyManagementServicePowerUser", "kms", {"list", "make"}),
        ("AWSDenyAll", "kms", set[str]()),
    ):
        client = caller(attached, service)
        for what, act in (kms if service == "kms" else own).items():
            if what in allowed:
                act(client)
            else:
                with refusal(service):
                    act(client)


def test_the_last_use_of_a_key_outlives_a_restart(tmp_path: Path) -> None:
    with iam_server(tmp_path) as before:
        user = before.user()
        key = before.key(user)
        before.client("sts", key, "eu-north-1").get_caller_identity()
        assert before.server.stop() == 0
    with iam_server(tmp_path) as after:
        used = after.admin.get_access_key_last_used(AccessKeyId=key.id)
        assert used["UserName"] == user
        assert used["AccessKeyLastUsed"]["Region"] == "eu-north-1"


def test_service_quotas_raises_what_an_account_may_have(alone: Iam) -> None:
    quotas = alone.client("service-quotas", ADMIN)

    def raised(code: str, value: float) -> None:
        asked = quotas.request_service_quota_increase(ServiceCode="iam", QuotaCode=code, DesiredValue=value)
        assert asked["RequestedQuota"]["Status"] == "APPROVED"

    role = alone.role()
    for _ in range(10):
        alone.admin.attach_role_policy(RoleName=role, PolicyArn=alone.managed())
    eleventh = alone.managed()
    with refused("LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10", 409):
        alone.admin.attach_role_policy(RoleName=role, PolicyArn=eleventh)
    raised("L-0DA4ABF3", 11)
    alone.admin.attach_role_policy(RoleName=role, PolicyArn=eleventh)
    with refused("LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 11", 409):
        alone.admin.attach_role_policy(RoleName=role, PolicyArn=alone.managed())
    raised("L-FE177D64", 1001)
    summary = alone.admin.get_account_summary()["SummaryMap"]
    assert (summary["RolesQuota"], summary["AttachedPoliciesPerRoleQuota"]) == (1001, 11)


def test_an_account_has_as_many_as_its_quota_lets_it(alone: Iam) -> None:
    from server_support import casemate

    for code in ("L-FE177D64", "L-F4A5425F", "L-E95E4862", "L-6E65F664", "L-F55AF5E4"):
        done = casemate(
            *("quota", "set", "--data", str(alone.server.data), "--account", ACCOUNT, "iam", code, "1")
        )
        assert done.returncode == 0, done.stderr
    admin = alone.admin
    makes: dict[str, Callable[[], Any]] = {
        "Roles": alone.role,
        "Groups": alone.group,
        "Policies": alone.managed,
        "InstanceProfiles": lambda: admin.create_instance_profile(InstanceProfileName=name()),
        "Users": alone.user,
    }
    for what, make in makes.items():
        if what != "Users":
            make()
        with refused("LimitExceeded", f"Cannot exceed quota for {what}PerAccount: 1", 409):
            make()
