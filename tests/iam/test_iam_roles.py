"""Roles with their trust policies, instance profiles, service-linked roles."""

from __future__ import annotations

import json
from typing import Any

import pytest
from iam_support import ACCOUNT, OTHER_ACCOUNT, TRUST, Iam, arn, denied, name, pages, policy, tags, trust
from server_support import refused

from casemate.services.iam.identities import AccessKey


def assumed(iam: Iam, key: AccessKey, role: str, service: str) -> Any:
    """A client of a service by a session of the role."""
    import boto3

    sts = iam.client("sts", key)
    given = sts.assume_role(RoleArn=arn("role", role), RoleSessionName="test")["Credentials"]
    session: Any = boto3.session.Session(
        given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name="us-east-1"
    )
    return session.client(service, endpoint_url=iam.server.endpoint)


def test_a_role_is_made_shown_changed_and_deleted(iam: Iam) -> None:
    role = name("Role")
    made = iam.admin.create_role(
        RoleName=role,
        Path="/team/",
        AssumeRolePolicyDocument=TRUST,
        Description="for tests",
        MaxSessionDuration=7200,
        Tags=tags(a="1"),
    )["Role"]
    assert made["Arn"] == arn("role", f"team/{role}")
    assert made["RoleId"].startswith("AROA")
    assert made["AssumeRolePolicyDocument"] == json.loads(TRUST)
    assert (made["Description"], made["MaxSessionDuration"]) == ("for tests", 7200)
    assert (made["Tags"], made["RoleLastUsed"]) == (tags(a="1"), {})
    assert iam.admin.get_role(RoleName=role.lower())["Role"] == made
    iam.admin.update_role(RoleName=role, MaxSessionDuration=3600)
    shown = iam.admin.get_role(RoleName=role)["Role"]
    assert (shown["Description"], shown["MaxSessionDuration"]) == ("for tests", 3600)
    assert iam.admin.update_role_description(RoleName=role, Description="new")["Role"]["Description"] == "new"
    other = trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    iam.admin.update_assume_role_policy(RoleName=role, PolicyDocument=other)
    assert iam.admin.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"] == json.loads(other)
    iam.admin.delete_role(RoleName=role)
    with refused("NoSuchEntity", f"The role with name {role} cannot be found.", 404):
        iam.admin.get_role(RoleName=role)


def test_a_roles_name_is_taken_whatever_its_case(iam: Iam) -> None:
    role = iam.role()
    with refused("EntityAlreadyExists", f"Role with name {role.upper()} already exists.", 409):
        iam.admin.create_role(RoleName=role.upper(), AssumeRolePolicyDocument=TRUST)


def test_roles_are_listed_by_path_in_pages(iam: Iam) -> None:
    path = f"/{name('list')}/"
    roles = sorted(iam.role(Path=path, Tags=tags(a="1")) for _ in range(3))
    found = pages(iam.admin.list_roles, "Roles", PathPrefix=path)
    assert [[role["RoleName"] for role in page] for page in found] == [roles[:2], roles[2:]]
    assert all("Tags" not in role and "RoleLastUsed" not in role for page in found for role in page)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "This policy contains invalid Json"),
        (policy("sts:AssumeRole"), "Has prohibited field Resource"),
        (trust({"AWS": "nobody"}), 'Invalid principal in policy: "AWS":"nobody"'),
        (
            trust({"AWS": arn("user", "nobody")}),
            f'Invalid principal in policy: "AWS":"{arn("user", "nobody")}"',
        ),
        (
            trust({"AWS": arn("user", "x/admin")}),
            f'Invalid principal in policy: "AWS":"{arn("user", "x/admin")}"',
        ),
        (
            TRUST.replace("sts:AssumeRole", "kms:Encrypt"),
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
    ],
)
def test_a_trust_policy_that_is_none_is_refused(iam: Iam, document: str, message: str) -> None:
    with refused("MalformedPolicyDocument", message):
        iam.role(AssumeRolePolicyDocument=document)
    role = iam.role()
    with refused("MalformedPolicyDocument", message):
        iam.admin.update_assume_role_policy(RoleName=role, PolicyDocument=document)
    assert iam.admin.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"] == json.loads(TRUST)


def test_a_trust_policys_size_leaves_out_white_space(iam: Iam) -> None:
    document = json.loads(TRUST)
    document["Statement"][0]["Condition"] = {"StringEquals": {"aws:SourceAccount": ["1" * 1800]}}
    iam.role(AssumeRolePolicyDocument=json.dumps(document, indent=50))
    document["Statement"][0]["Condition"] = {"StringEquals": {"aws:SourceAccount": ["1" * 2000]}}
    with refused("LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048", 409):
        iam.role(AssumeRolePolicyDocument=json.dumps(document))


def test_whoever_is_made_again_is_somebody_else(iam: Iam) -> None:
    user = iam.user(policy("sts:AssumeRole"))
    role = iam.role(AssumeRolePolicyDocument=trust({"AWS": [arn("user", user), arn("user", "admin")]}))
    iam.admin.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=policy("kms:ListKeys"))
    key = iam.key(user)
    assumed(iam, key, role, "kms").list_keys()
    renamed = name("renamed")
    iam.admin.update_user(UserName=user, NewUserName=renamed)
    assumed(iam, key, role, "kms").list_keys()
    shown = iam.admin.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    assert shown["Statement"][0]["Principal"]["AWS"] == [arn("user", renamed), arn("user", "admin")]
    iam.admin.update_user(UserName=renamed, NewUserName=user)
    unique_id = iam.admin.get_user(UserName=user)["User"]["UserId"]
    iam.admin.delete_access_key(UserName=user, AccessKeyId=key.id)
    iam.admin.delete_user_policy(UserName=user, PolicyName="p0")
    iam.admin.delete_user(UserName=user)
    shown = iam.admin.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    assert shown["Statement"][0]["Principal"]["AWS"] == [unique_id, arn("user", "admin")]
    iam.admin.create_user(UserName=user)
    iam.admin.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=policy("kms:ListKeys"))
    with refused("AccessDenied", status=403):
        assumed(iam, iam.key(user), role, "kms")


def test_a_trust_policy_may_name_accounts_that_are_elsewhere(iam: Iam) -> None:
    document = trust({"AWS": ["arn:aws:iam::999988887777:user/x", OTHER_ACCOUNT]})
    role = iam.role(AssumeRolePolicyDocument=document)
    assert iam.admin.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"] == json.loads(document)


def test_a_sessions_rights_change_with_its_role_and_its_last_use_is_told(iam: Iam) -> None:
    user = iam.user(policy("sts:AssumeRole"))
    role = iam.role(AssumeRolePolicyDocument=trust({"AWS": arn("user", user)}))
    kms = assumed(iam, iam.key(user), role, "kms")
    who = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/test"
    with refused("AccessDeniedException", denied(who, "kms:ListKeys", "*")):
        kms.list_keys()
    iam.admin.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=policy("kms:*"))
    kms.list_keys()
    iam.admin.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=iam.managed("kms:CreateKey"))
    with refused(
        "AccessDeniedException",
        denied(who, "kms:ListKeys", "*", "because no permissions boundary allows the kms:ListKeys action"),
    ):
        kms.list_keys()
    iam.admin.delete_role_permissions_boundary(RoleName=role)
    iam.admin.delete_role_permissions_boundary(RoleName=role)
    kms.list_keys()
    assert iam.admin.get_role(RoleName=role)["Role"]["RoleLastUsed"]["Region"] == "us-east-1"


@pytest.mark.parametrize("path", ["/aws-service-role/x.amazonaws.com/", "/aws-reserved/"])
def test_awss_own_paths_are_reserved(iam: Iam, path: str) -> None:
    with refused("InvalidInput"):
        iam.role(Path=path)


def test_a_role_that_still_has_something_is_not_deleted(iam: Iam) -> None:
    role, profile, managed = iam.role(), name("profile"), iam.managed()
    iam.admin.create_instance_profile(InstanceProfileName=profile)
    iam.admin.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)
    iam.admin.attach_role_policy(RoleName=role, PolicyArn=managed)
    iam.admin.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=policy("kms:*"))
    with refused(
        "DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.", 409
    ):
        iam.admin.delete_role(RoleName=role)
    iam.admin.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=role)
    with refused("DeleteConflict", "Cannot delete entity, must detach all policies first.", 409):
        iam.admin.delete_role(RoleName=role)
    iam.admin.detach_role_policy(RoleName=role, PolicyArn=managed)
    with refused("DeleteConflict", "Cannot delete entity, must delete policies first.", 409):
        iam.admin.delete_role(RoleName=role)
    iam.admin.delete_role_policy(RoleName=role, PolicyName="p")
    iam.admin.delete_role(RoleName=role)


# --- instance profiles


def test_a_profile_is_made_filled_emptied_and_deleted(iam: Iam) -> None:
    profile, role = name("Profile"), iam.role()
    made = iam.admin.create_instance_profile(InstanceProfileName=profile, Path="/x/", Tags=tags(a="1"))
    assert made["InstanceProfile"]["Arn"] == arn("instance-profile", f"x/{profile}")
    assert made["InstanceProfile"]["InstanceProfileId"].startswith("AIPA")
    assert (made["InstanceProfile"]["Roles"], made["InstanceProfile"]["Tags"]) == ([], tags(a="1"))
    with refused("EntityAlreadyExists", f"Instance Profile {profile.lower()} already exists.", 409):
        iam.admin.create_instance_profile(InstanceProfileName=profile.lower())
    iam.admin.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)
    shown = iam.admin.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]
    assert [each["RoleName"] for each in shown["Roles"]] == [role]
    listed = iam.admin.list_instance_profiles_for_role(RoleName=role)["InstanceProfiles"]
    assert [each["InstanceProfileName"] for each in listed] == [profile]
    with refused("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1", 409):
        iam.admin.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=iam.role())
    with refused(
        "DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.", 409
    ):
        iam.admin.delete_instance_profile(InstanceProfileName=profile)
    with refused("NoSuchEntity", status=404):
        iam.admin.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=iam.role())
    with refused("NoSuchEntity", "The role with name none cannot be found.", 404):
        iam.admin.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName="none")
    iam.admin.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=role)
    iam.admin.delete_instance_profile(InstanceProfileName=profile)
    with refused("NoSuchEntity", f"Instance Profile {profile} cannot be found.", 404):
        iam.admin.get_instance_profile(InstanceProfileName=profile)


def test_profiles_are_listed_by_path_in_pages(iam: Iam) -> None:
    path = f"/{name('list')}/"
    profiles = sorted(name("p") for _ in range(3))
    for profile in profiles:
        iam.admin.create_instance_profile(InstanceProfileName=profile, Path=path)
    found = pages(iam.admin.list_instance_profiles, "InstanceProfiles", PathPrefix=path)
    assert [[each["InstanceProfileName"] for each in page] for page in found] == [profiles[:2], profiles[2:]]


def test_to_hand_a_role_to_an_instance_it_must_be_allowed_to_pass_it(iam: Iam) -> None:
    profile, role, other = name("profile"), iam.role(), iam.role()
    iam.admin.create_instance_profile(InstanceProfileName=profile)
    adding = policy("iam:AddRoleToInstanceProfile")

    def to(service: str) -> Any:
        return {"StringEquals": {"iam:PassedToService": service}}

    for documents in ([adding], [adding, policy("iam:PassRole", Condition=to("lambda.amazonaws.com"))]):
        user = iam.user(*documents)
        client = iam.client("iam", iam.key(user))
        with refused("AccessDenied", denied(arn("user", user), "iam:PassRole", arn("role", role)), 403):
            client.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)
    user = iam.user(
        adding, policy("iam:PassRole", resource=arn("role", role), Condition=to("ec2.amazonaws.com"))
    )
    client = iam.client("iam", iam.key(user))
    with refused("AccessDenied", denied(arn("user", user), "iam:PassRole", arn("role", other)), 403):
        client.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=other)
    client.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)


# --- service-linked roles


def test_a_service_linked_role_is_its_services_own(iam: Iam) -> None:
    service, suffix = "autoscaling.amazonaws.com", name("s")
    made = iam.admin.create_service_linked_role(AWSServiceName=service, CustomSuffix=suffix, Description="x")
    role = f"AWSServiceRoleForAutoScaling_{suffix}"
    assert made["Role"]["Arn"] == arn("role", f"aws-service-role/{service}/{role}")
    statement = made["Role"]["AssumeRolePolicyDocument"]["Statement"][0]
    assert statement["Principal"] == {"Service": service}
    attached = iam.admin.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    [own] = [each["PolicyArn"] for each in attached]
    assert own == "arn:aws:iam::aws:policy/aws-service-role/AutoScalingServiceRolePolicy"
    text = (
        f"Cannot perform the operation on the protected role '{role}' - this role is only modifiable by AWS"
    )
    for change in (
        lambda: iam.admin.delete_role(RoleName=role),
        lambda: iam.admin.attach_role_policy(RoleName=role, PolicyArn=iam.managed()),
        lambda: iam.admin.detach_role_policy(RoleName=role, PolicyArn=own),
        lambda: iam.admin.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=policy("kms:*")),
        lambda: iam.admin.update_assume_role_policy(RoleName=role, PolicyDocument=TRUST),
        lambda: iam.admin.update_role(RoleName=role, MaxSessionDuration=7200),
        lambda: iam.admin.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=iam.managed()),
    ):
        with refused("UnmodifiableEntity", text):
            change()  # type: ignore[no-untyped-call]
    iam.admin.update_role(RoleName=role, Description="may be described")
    with refused(
        "InvalidInput",
        f"Service role name {role} has been taken in this account, please try a different suffix.",
    ):
        iam.admin.create_service_linked_role(AWSServiceName=service, CustomSuffix=suffix)
    task = iam.admin.delete_service_linked_role(RoleName=role)["DeletionTaskId"]
    assert iam.admin.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    with refused("NoSuchEntity", status=404):
        iam.admin.get_role(RoleName=role)
    with refused("NoSuchEntity", status=404):
        iam.admin.get_service_linked_role_deletion_status(DeletionTaskId=task[:-4] + "0000")
    with refused("InvalidInput"):
        iam.admin.get_service_linked_role_deletion_status(DeletionTaskId="nonsense")


def test_what_service_linked_roles_cannot_be(iam: Iam) -> None:
    with refused("InvalidInput", "Custom suffix is not allowed for organizations.amazonaws.com"):
        iam.admin.create_service_linked_role(AWSServiceName="organizations.amazonaws.com", CustomSuffix="x")
    with refused("NotImplemented", "The role of x.amazonaws.com is not served by Casemate.", 501):
        iam.admin.create_service_linked_role(AWSServiceName="x.amazonaws.com")
    role = iam.role()
    with refused("NoSuchEntity", f"The role with name {role} cannot be found.", 404):
        iam.admin.delete_service_linked_role(RoleName=role)
    with refused("PolicyNotAttachable", "Cannot attach a Service Role Policy to a Customer Role."):
        iam.admin.attach_role_policy(
            RoleName=role,
            PolicyArn="arn:aws:iam::aws:policy/aws-service-role/AutoScalingServiceRolePolicy",
        )


def test_a_service_linked_role_may_be_allowed_for_one_service(iam: Iam) -> None:
    condition = {"StringEquals": {"iam:AWSServiceName": "autoscaling.amazonaws.com"}}
    user = iam.user(policy("iam:CreateServiceLinkedRole", Condition=condition))
    client = iam.client("iam", iam.key(user))
    client.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix=name("s"))
    role = arn("role", "aws-service-role/servicequotas.amazonaws.com/AWSServiceRoleForServiceQuotas")
    with refused("AccessDenied", denied(arn("user", user), "iam:CreateServiceLinkedRole", role), 403):
        client.create_service_linked_role(AWSServiceName="servicequotas.amazonaws.com")
