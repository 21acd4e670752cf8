"""Managed policies with their versions, where they are attached, inline policies and boundaries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from iam_support import (
    ADMINISTRATOR_ACCESS,
    OTHER_ACCOUNT,
    Iam,
    arn,
    denied,
    name,
    pages,
    policy,
    tags,
)
from server_support import refused

from casemate.engine.policy import parse
from casemate.services.iam.documents import accepted, size
from casemate.services.iam.granting import grants
from casemate.services.iam.managed_policies import aws_managed

READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
VIEW_ONLY = "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"
KINDS = ("user", "group", "role")


def holder(iam: Iam, kind: str) -> dict[str, str]:
    """A new user, group or role, as operations name it."""
    return {f"{kind.capitalize()}Name": getattr(iam, kind)()}


def call(iam: Iam, operation: str, kind: str, **request: Any) -> Any:
    """attach_{}_policy of a user, a group or a role."""
    return getattr(iam.admin, operation.format(kind))(**request)


def padded(size: int) -> str:
    """A document of so many characters that are no white space, and many that are."""
    document = json.loads(policy("kms:List*"))
    document["Statement"][0]["Resource"] = ["arn:aws:kms:*:*:key/"]
    missing = size - len(json.dumps(document, separators=(",", ":")))
    document["Statement"][0]["Resource"][0] += "x" * missing
    return json.dumps(document, indent=40)


# --- managed policies


def test_a_policy_is_made_shown_and_deleted(iam: Iam) -> None:
    called = name("Policy")
    made = iam.admin.create_policy(
        PolicyName=called,
        Path="/team/",
        PolicyDocument=policy("kms:List*"),
        Description="for tests",
        Tags=tags(a="1"),
    )["Policy"]
    assert made["Arn"] == arn("policy", f"team/{called}")
    assert made["PolicyId"].startswith("ANPA")
    assert (made["DefaultVersionId"], made["AttachmentCount"], made["IsAttachable"]) == ("v1", 0, True)
    assert (made["Description"], made["Tags"]) == ("for tests", tags(a="1"))
    assert iam.admin.get_policy(PolicyArn=made["Arn"])["Policy"] == made
    version = iam.admin.get_policy_version(PolicyArn=made["Arn"], VersionId="v1")["PolicyVersion"]
    assert version["Document"] == json.loads(policy("kms:List*"))
    with refused(
        "EntityAlreadyExists",
        f"A policy called {called.upper()} already exists. Duplicate names are not allowed.",
        409,
    ):
        iam.admin.create_policy(PolicyName=called.upper(), PolicyDocument=policy("kms:*"))
    iam.admin.delete_policy(PolicyArn=made["Arn"])
    for operation in ("get_policy", "delete_policy", "list_policy_versions", "list_entities_for_policy"):
        with refused("NoSuchEntity", f"Policy {made['Arn']} was not found.", 404):
            getattr(iam.admin, operation)(PolicyArn=made["Arn"])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "Syntax errors in policy."),
        ("{}", "Syntax errors in policy."),
        (policy("kms:*", Principal="*"), "Policy document should not specify a principal."),
        (policy("kms"), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
        (policy("kms:*", resource="x"), 'Resource x must be in ARN format or "*".'),
    ],
)
def test_a_document_that_is_none_is_refused(iam: Iam, document: str, message: str) -> None:
    with refused("MalformedPolicyDocument", message):
        iam.admin.create_policy(PolicyName=name(), PolicyDocument=document)
    with refused("MalformedPolicyDocument", message):
        iam.admin.create_policy_version(PolicyArn=iam.managed(), PolicyDocument=document)
    for kind in KINDS:
        with refused("MalformedPolicyDocument", message):
            call(iam, "put_{}_policy", kind, **holder(iam, kind), PolicyName="p", PolicyDocument=document)


def test_sizes_leave_out_white_space(iam: Iam) -> None:
    made = iam.admin.create_policy(PolicyName=name(), PolicyDocument=padded(6144))["Policy"]["Arn"]
    with refused("LimitExceeded", "Cannot exceed quota for PolicySize: 6144", 409):
        iam.admin.create_policy(PolicyName=name(), PolicyDocument=padded(6145))
    with refused("LimitExceeded", "Cannot exceed quota for PolicySize: 6144", 409):
        iam.admin.create_policy_version(PolicyArn=made, PolicyDocument=padded(6145))


@pytest.mark.parametrize(("kind", "most"), [("user", 2048), ("group", 5120), ("role", 10_240)])
def test_inline_policies_have_a_size_together(iam: Iam, kind: str, most: int) -> None:
    who = holder(iam, kind)
    half = most // 2
    call(iam, "put_{}_policy", kind, **who, PolicyName="a", PolicyDocument=padded(half))
    call(iam, "put_{}_policy", kind, **who, PolicyName="b", PolicyDocument=padded(most - half))
    [called] = who.values()
    text = f"Maximum policy size of {most} bytes exceeded for {kind} {called}"
    with refused("LimitExceeded", text, 409):
        call(iam, "put_{}_policy", kind, **who, PolicyName="b", PolicyDocument=padded(most - half + 1))


def test_versions_come_into_effect_and_go(iam: Iam) -> None:
    user = iam.user()
    client = iam.client("iam", iam.key(user))
    managed = iam.managed("iam:GetUser")
    iam.admin.attach_user_policy(UserName=user, PolicyArn=managed)
    client.get_user()
    made = iam.admin.create_policy_version(PolicyArn=managed, PolicyDocument=policy("kms:*"))["PolicyVersion"]
    assert (made["VersionId"], made["IsDefaultVersion"]) == ("v2", False)
    client.get_user()
    iam.admin.set_default_policy_version(PolicyArn=managed, VersionId="v2")
    with refused("AccessDenied", denied(arn("user", user), "iam:GetUser", arn("user", user)), 403):
        client.get_user()
    iam.admin.create_policy_version(PolicyArn=managed, PolicyDocument=policy("iam:Get*"), SetAsDefault=True)
    client.get_user()
    versions = iam.admin.list_policy_versions(PolicyArn=managed)["Versions"]
    assert [(each["VersionId"], each["IsDefaultVersion"]) for each in versions] == [
        ("v3", True),
        ("v2", False),
        ("v1", False),
    ]
    assert iam.admin.get_policy(PolicyArn=managed)["Policy"]["DefaultVersionId"] == "v3"
    with refused("DeleteConflict", "Cannot delete the default version of a policy.", 409):
        iam.admin.delete_policy_version(PolicyArn=managed, VersionId="v3")
    iam.admin.delete_policy_version(PolicyArn=managed, VersionId="v2")
    for operation in ("get_policy_version", "delete_policy_version", "set_default_policy_version"):
        with refused(
            "NoSuchEntity", f"Policy {managed} version v2 does not exist or is not attachable.", 404
        ):
            getattr(iam.admin, operation)(PolicyArn=managed, VersionId="v2")


def test_a_policy_has_five_versions_whose_numbers_are_given_once(iam: Iam) -> None:
    managed = iam.managed()
    for _ in range(4):
        iam.admin.create_policy_version(PolicyArn=managed, PolicyDocument=policy("kms:*"))
    with refused(
        "LimitExceeded",
        "A managed policy can have up to 5 versions. Before you create a new version, you must delete an "
        "existing version.",
        409,
    ):
        iam.admin.create_policy_version(PolicyArn=managed, PolicyDocument=policy("kms:*"))
    found = pages(iam.admin.list_policy_versions, "Versions", PolicyArn=managed)
    assert [[each["VersionId"] for each in page] for page in found] == [["v5", "v4"], ["v3", "v2"], ["v1"]]
    iam.admin.delete_policy_version(PolicyArn=managed, VersionId="v5")
    made = iam.admin.create_policy_version(PolicyArn=managed, PolicyDocument=policy("kms:*"))
    assert made["PolicyVersion"]["VersionId"] == "v6"
    with refused(
        "DeleteConflict",
        "This policy has more than one version. Before you delete a policy, you must delete the policy's "
        "versions. The default version is deleted with the policy.",
        409,
    ):
        iam.admin.delete_policy(PolicyArn=managed)


def test_policies_are_listed_by_scope_path_and_use(iam: Iam) -> None:
    path = f"/{name('list')}/"
    arns = sorted(iam.managed(Path=path) for _ in range(3))

    def listed(**request: Any) -> list[str]:
        answer = iam.admin.list_policies(PathPrefix=path, MaxItems=1000, **request)
        return [each["Arn"] for each in answer["Policies"]]

    assert listed() == listed(Scope="Local") == arns
    assert listed(Scope="AWS") == []
    assert [len(page) for page in pages(iam.admin.list_policies, "Policies", PathPrefix=path)] == [2, 1]
    iam.admin.attach_group_policy(GroupName=iam.group(), PolicyArn=arns[0])
    iam.admin.put_user_permissions_boundary(UserName=iam.user(), PermissionsBoundary=arns[1])
    assert listed(OnlyAttached=True) == arns[:2]
    assert listed(PolicyUsageFilter="PermissionsPolicy") == arns[:1]
    assert listed(PolicyUsageFilter="PermissionsBoundary") == arns[1:2]
    shown = iam.admin.get_policy(PolicyArn=arns[1])["Policy"]
    assert (shown["AttachmentCount"], shown["PermissionsBoundaryUsageCount"]) == (0, 1)
    of_aws = iam.admin.list_policies(Scope="AWS", MaxItems=1000)["Policies"]
    assert {ADMINISTRATOR_ACCESS, READ_ONLY, VIEW_ONLY} <= {each["Arn"] for each in of_aws}
    assert [each["PolicyName"].lower() for each in of_aws] == sorted(
        each["PolicyName"].lower() for each in of_aws
    )
    assert VIEW_ONLY in {
        each["Arn"] for each in iam.admin.list_policies(PathPrefix="/job-function/")["Policies"]
    }


def test_awss_policies_are_what_iam_accepts() -> None:
    policies = aws_managed()
    assert len(policies) >= 19
    assert len({each.id for each in policies.values()}) == len(policies)
    for each in policies.values():
        accepted(each.document, "identity")
        assert size([each.document]) <= 6144


def test_awss_policies_are_shown_and_not_changed(iam: Iam) -> None:
    shown = iam.admin.get_policy(PolicyArn=READ_ONLY)["Policy"]
    assert shown["PolicyName"] == "ReadOnlyAccess"
    document = iam.admin.get_policy_version(PolicyArn=READ_ONLY, VersionId=shown["DefaultVersionId"])
    assert "kms:List*" in document["PolicyVersion"]["Document"]["Statement"][0]["Action"]
    for change in (
        lambda: iam.admin.delete_policy(PolicyArn=READ_ONLY),
        lambda: iam.admin.create_policy_version(PolicyArn=READ_ONLY, PolicyDocument=policy("kms:*")),
        lambda: iam.admin.tag_policy(PolicyArn=READ_ONLY, Tags=tags(a="1")),
    ):
        with refused("AccessDenied", "Policy is outside your own account.", 403):
            change()  # type: ignore[no-untyped-call]
    with refused("NoSuchEntity", "Policy arn:aws:iam::aws:policy/Nothing was not found.", 404):
        iam.admin.get_policy(PolicyArn="arn:aws:iam::aws:policy/Nothing")


def test_other_accounts_policies_are_theirs(iam: Iam) -> None:
    other = arn("policy", "x", OTHER_ACCOUNT)
    with refused(
        "AccessDenied",
        denied(
            arn("user", "admin"),
            "iam:GetPolicy",
            other,
            "because no resource-based policy allows the iam:GetPolicy action",
        ),
        403,
    ):
        iam.admin.get_policy(PolicyArn=other)
    with refused("NoSuchEntity", f"Policy {other} does not exist or is not attachable.", 404):
        iam.admin.attach_user_policy(UserName=iam.user(), PolicyArn=other)


@pytest.mark.parametrize("bad", ["arn:aws:iam::111122223333:user/x", "not an arn, but of some length"])
def test_an_arn_that_is_none_of_a_policy_is_refused(iam: Iam, bad: str) -> None:
    with refused("InvalidInput", f"ARN {bad} is not valid."):
        iam.admin.get_policy(PolicyArn=bad)
    with refused("InvalidInput", f"ARN {bad} is not valid."):
        iam.admin.attach_user_policy(UserName=iam.user(), PolicyArn=bad)


# --- attached


@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_is_attached_listed_and_detached(iam: Iam, kind: str) -> None:
    who, managed = holder(iam, kind), iam.managed()
    for each in (managed, managed, READ_ONLY, VIEW_ONLY):
        call(iam, "attach_{}_policy", kind, **who, PolicyArn=each)
    listed = call(iam, "list_attached_{}_policies", kind, **who)["AttachedPolicies"]
    assert [each["PolicyArn"] for each in listed] == [managed, READ_ONLY, VIEW_ONLY]
    assert listed[1]["PolicyName"] == "ReadOnlyAccess"
    found = pages(getattr(iam.admin, f"list_attached_{kind}_policies"), "AttachedPolicies", **who)  # type: ignore[arg-type]
    assert [len(page) for page in found] == [2, 1]
    of_path = call(iam, "list_attached_{}_policies", kind, **who, PathPrefix="/job-function/")
    assert [each["PolicyArn"] for each in of_path["AttachedPolicies"]] == [VIEW_ONLY]
    assert iam.admin.get_policy(PolicyArn=managed)["Policy"]["AttachmentCount"] == 1
    answer = iam.admin.list_entities_for_policy(PolicyArn=managed)
    [called] = who.values()
    found_names = {
        each: [x[f"{each}Name"] for x in answer[f"Policy{each}s"]] for each in ("User", "Group", "Role")
    }
    assert found_names[kind.capitalize()] == [called]
    assert [each for names in found_names.values() for each in names] == [called]
    with refused("DeleteConflict", "Cannot delete a policy attached to entities.", 409):
        iam.admin.delete_policy(PolicyArn=managed)
    call(iam, "detach_{}_policy", kind, **who, PolicyArn=managed)
    with refused("NoSuchEntity", f"Policy {managed} was not found.", 404):
        call(iam, "detach_{}_policy", kind, **who, PolicyArn=managed)
    iam.admin.delete_policy(PolicyArn=managed)


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_exist_is_not_attached(iam: Iam, kind: str) -> None:
    absent = arn("policy", "absent")
    with refused("NoSuchEntity", f"Policy {absent} does not exist or is not attachable.", 404):
        call(iam, "attach_{}_policy", kind, **holder(iam, kind), PolicyArn=absent)
    with refused("NoSuchEntity", f"The {kind} with name nobody cannot be found.", 404):
        call(iam, "attach_{}_policy", kind, **{f"{kind.capitalize()}Name": "nobody"}, PolicyArn=absent)


@pytest.mark.parametrize("kind", KINDS)
def test_ten_policies_are_attached_at_most(iam: Iam, kind: str) -> None:
    who = holder(iam, kind)
    for _ in range(10):
        call(iam, "attach_{}_policy", kind, **who, PolicyArn=iam.managed())
    with refused("LimitExceeded", f"Cannot exceed quota for PoliciesPer{kind.capitalize()}: 10", 409):
        call(iam, "attach_{}_policy", kind, **who, PolicyArn=READ_ONLY)


def test_entities_of_a_policy_are_filtered_and_come_in_pages(iam: Iam) -> None:
    managed, path = iam.managed(), f"/{name('of')}/"
    user, group, role = iam.user(Path=path), iam.group(), iam.role()
    bounded = iam.user(PermissionsBoundary=managed)
    iam.admin.attach_user_policy(UserName=user, PolicyArn=managed)
    iam.admin.attach_group_policy(GroupName=group, PolicyArn=managed)
    iam.admin.attach_role_policy(RoleName=role, PolicyArn=managed)

    def found(**request: Any) -> list[str]:
        answer = iam.admin.list_entities_for_policy(PolicyArn=managed, **request)
        return sorted(
            each[f"{kind}Name"] for kind in ("User", "Group", "Role") for each in answer[f"Policy{kind}s"]
        )

    assert found() == sorted([user, group, role, bounded])
    assert found(EntityFilter="User") == sorted([user, bounded])
    assert found(EntityFilter="Group") == [group]
    assert found(PathPrefix=path) == [user]
    assert found(PolicyUsageFilter="PermissionsBoundary") == [bounded]
    assert found(PolicyUsageFilter="PermissionsPolicy", EntityFilter="User") == [user]
    first = iam.admin.list_entities_for_policy(PolicyArn=managed, MaxItems=3)
    assert first["IsTruncated"] is True
    assert found(MaxItems=3, Marker=first["Marker"]) == [max(user, bounded)]


# --- inline


@pytest.mark.parametrize("kind", KINDS)
def test_an_inline_policy_is_put_replaced_listed_and_deleted(iam: Iam, kind: str) -> None:
    who = holder(iam, kind)
    for called in ("b", "a", "c"):
        call(iam, "put_{}_policy", kind, **who, PolicyName=called, PolicyDocument=policy("kms:List*"))
    call(iam, "put_{}_policy", kind, **who, PolicyName="a", PolicyDocument=policy("kms:Get*"))
    shown = call(iam, "get_{}_policy", kind, **who, PolicyName="a")
    assert shown["PolicyDocument"] == json.loads(policy("kms:Get*"))
    assert {key: shown[key] for key in who} == who
    found = pages(getattr(iam.admin, f"list_{kind}_policies"), "PolicyNames", **who)  # type: ignore[arg-type]
    assert found == [["a", "b"], ["c"]]
    call(iam, "delete_{}_policy", kind, **who, PolicyName="a")
    for operation in ("get_{}_policy", "delete_{}_policy"):
        with refused("NoSuchEntity", f"The {kind} policy with name a cannot be found.", 404):
            call(iam, operation, kind, **who, PolicyName="a")


def test_documents_are_percent_encoded_in_answers(iam: Iam) -> None:
    """boto3 decodes them, so this looks at the bytes."""
    import botocore.awsrequest
    import botocore.session
    import urllib3
    from botocore.auth import SigV4Auth
    from iam_support import ADMIN

    user = iam.user(policy("kms:List*"))
    body = f"Action=GetUserPolicy&Version=2010-05-08&UserName={user}&PolicyName=p0"
    request = botocore.awsrequest.AWSRequest(
        "POST",
        iam.server.endpoint + "/",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        data=body,
    )
    session = botocore.session.Session()
    session.set_credentials(ADMIN.id, ADMIN.secret)
    credentials: Any = session.get_credentials()
    SigV4Auth(credentials, "iam", "us-east-1").add_auth(request)
    answer = urllib3.request(
        "POST", iam.server.endpoint + "/", body=body, headers=dict(request.headers.items())
    )
    assert answer.status == 200
    assert b"<PolicyDocument>%7B%22Version%22%3A%20%222012-10-17%22%2C%20%22Statement" in answer.data


# --- boundaries


def test_a_boundary_limits_a_user_and_is_lifted(iam: Iam) -> None:
    bound = iam.managed("kms:*")
    user = iam.user(policy("iam:GetUser", "kms:ListKeys"), PermissionsBoundary=bound)
    shown = iam.admin.get_user(UserName=user)["User"]["PermissionsBoundary"]
    assert shown == {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": bound}
    key = iam.key(user)
    iam.client("kms", key).list_keys()
    refusal = denied(
        arn("user", user),
        "iam:GetUser",
        arn("user", user),
        "because no permissions boundary allows the iam:GetUser action",
    )
    with refused("AccessDenied", refusal, 403):
        iam.client("iam", key).get_user()
    iam.admin.put_user_permissions_boundary(UserName=user, PermissionsBoundary=ADMINISTRATOR_ACCESS)
    iam.client("iam", key).get_user()
    iam.admin.put_user_permissions_boundary(UserName=user, PermissionsBoundary=bound)
    with refused("DeleteConflict", "Cannot delete a policy attached to entities.", 409):
        iam.admin.delete_policy(PolicyArn=bound)
    iam.admin.delete_user_permissions_boundary(UserName=user)
    iam.admin.delete_user_permissions_boundary(UserName=user)
    assert "PermissionsBoundary" not in iam.admin.get_user(UserName=user)["User"]
    iam.client("iam", key).get_user()


def test_a_boundary_must_exist(iam: Iam) -> None:
    absent = arn("policy", "absent")
    text = f"Scope ARN: {absent} does not exist or is not attachable."
    with refused("NoSuchEntity", text, 404):
        iam.admin.create_user(UserName=name(), PermissionsBoundary=absent)
    with refused("NoSuchEntity", text, 404):
        iam.role(PermissionsBoundary=absent)
    with refused("NoSuchEntity", text, 404):
        iam.admin.put_user_permissions_boundary(UserName=iam.user(), PermissionsBoundary=absent)
    with refused("NoSuchEntity", text, 404):
        iam.admin.put_role_permissions_boundary(RoleName=iam.role(), PermissionsBoundary=absent)


# --- by which policies a service may be used


@pytest.mark.parametrize(
    ("statement", "service", "granted"),
    [
        ({"Effect": "Allow", "Action": "kms:List*"}, "kms", True),
        ({"Effect": "Allow", "Action": "KMS:List*"}, "kms", True),
        ({"Effect": "Allow", "Action": "kms:List*"}, "s3", False),
        ({"Effect": "Allow", "Action": ["s3:Get*", "*"]}, "kms", True),
        ({"Effect": "Deny", "Action": "kms:*"}, "kms", False),
        ({"Effect": "Allow", "NotAction": "kms:*"}, "kms", False),
        ({"Effect": "Allow", "NotAction": "kms:*"}, "s3", True),
        ({"Effect": "Allow", "NotAction": "kms:List*"}, "kms", True),
    ],
)
def test_a_policy_grants_a_service_if_it_allows_anything_of_it(
    statement: dict[str, Any], service: str, granted: bool
) -> None:
    document = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": "*"}]}
    assert grants(parse(json.dumps(document), "identity"), service) is granted


def test_the_policies_that_grant_a_service_are_listed_with_those_of_groups(iam: Iam) -> None:
    user, group, managed = iam.user(policy("kms:List*")), iam.group(), iam.managed("kms:*", "s3:*")
    iam.admin.attach_user_policy(UserName=user, PolicyArn=managed)
    iam.admin.attach_group_policy(GroupName=group, PolicyArn=managed)
    iam.admin.put_group_policy(GroupName=group, PolicyName="g", PolicyDocument=policy("s3:*"))
    iam.admin.add_user_to_group(GroupName=group, UserName=user)

    def listed(who: str, *services: str) -> dict[str, list[str]]:
        answer = iam.admin.list_policies_granting_service_access(Arn=who, ServiceNamespaces=list(services))
        assert answer["IsTruncated"] is False
        return {
            each["ServiceNamespace"]: [found["PolicyName"] for found in each["Policies"]]
            for each in answer["PoliciesGrantingServiceAccess"]
        }

    called = managed.rpartition("/")[2]
    assert listed(arn("user", user), "s3", "kms", "sqs") == {
        "s3": ["g", called],
        "kms": ["p0", called],
        "sqs": [],
    }
    assert listed(arn("group", group), "s3") == {"s3": ["g", called]}
    answer = iam.admin.list_policies_granting_service_access(Arn=arn("user", user), ServiceNamespaces=["s3"])
    assert answer["PoliciesGrantingServiceAccess"][0]["Policies"] == [
        {"PolicyName": "g", "PolicyType": "INLINE", "EntityType": "GROUP", "EntityName": group},
        {"PolicyName": called, "PolicyType": "MANAGED", "PolicyArn": managed},
    ]
    first = iam.unchecked.list_policies_granting_service_access(
        Arn=arn("user", user), ServiceNamespaces=[f"svc{number}" for number in range(101)]
    )
    assert (len(first["PoliciesGrantingServiceAccess"]), first["IsTruncated"]) == (100, True)
    with refused("InvalidInput"):
        iam.admin.list_policies_granting_service_access(
            Arn=arn("policy", "some-policy"), ServiceNamespaces=["s3"]
        )
    with refused("NoSuchEntity", "The role with name nobody cannot be found.", 404):
        iam.admin.list_policies_granting_service_access(Arn=arn("role", "nobody"), ServiceNamespaces=["s3"])
