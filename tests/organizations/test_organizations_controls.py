"""SCPs and RCPs bind from the next call on, by real clients of three accounts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from orgs_support import World, allow, deny, document, refused

DENIED = "because no service control policy allows the kms:CreateKey action"


def may(client: Any) -> bool:
    """Whether the client may use KMS, as far as organisations are concerned."""
    try:
        client.create_key()
    except client.exceptions.ClientError as error:
        if "control policy" in error.response["Error"]["Message"]:
            return False
        raise
    return True


def test_an_scp_binds_from_the_next_call_on(world: World) -> None:
    world.organize("first", "second")
    client, first = world.of(), world.id("first")
    kms = world.of("first", "kms")
    assert may(kms)
    no_kms = world.policy(deny("kms:*"))
    client.attach_policy(PolicyId=no_kms, TargetId=first)
    with refused(
        "AccessDeniedException",
        f"User: arn:aws:iam::{first}:user/admin is not authorized to perform: kms:CreateKey on resource: * with an "
        "explicit deny in a service control policy",
    ):
        kms.create_key()
    assert not may(world.of("first", "kms", "root")), "it binds the root user of a member account"
    assert may(world.of("second", "kms"))
    assert may(world.of("management", "kms"))
    client.update_policy(PolicyId=no_kms, Content=document(deny("s3:*")))
    assert may(kms)
    client.update_policy(PolicyId=no_kms, Content=document(deny("kms:*")))
    assert not may(kms)
    client.detach_policy(PolicyId=no_kms, TargetId=first)
    assert may(kms)


def test_every_level_must_allow_and_a_move_changes_the_levels_at_once(world: World) -> None:
    world.organize("first")
    client, root, first = world.of(), world.root, world.id("first")
    outer = world.unit("outer")
    inner = world.unit("inner", outer)
    kms = world.of("first", "kms")
    only_s3 = world.policy(allow("s3:*", "organizations:*"))
    client.attach_policy(PolicyId=only_s3, TargetId=outer)
    client.detach_policy(PolicyId="p-FullAWSAccess", TargetId=outer)
    assert may(kms)
    client.move_account(AccountId=first, SourceParentId=root, DestinationParentId=inner)
    with refused(
        "AccessDeniedException",
        f"User: arn:aws:iam::{first}:user/admin is not authorized to perform: kms:CreateKey on resource: * {DENIED}",
    ):
        kms.create_key()
    client.move_account(AccountId=first, SourceParentId=inner, DestinationParentId=root)
    assert may(kms)


def test_an_scp_on_the_root_binds_all_but_the_management_account(world: World) -> None:
    world.organize("first", "second")
    client, root = world.of(), world.root
    client.attach_policy(PolicyId=world.policy(deny("kms:*")), TargetId=root)
    assert not may(world.of("first", "kms"))
    assert not may(world.of("second", "kms"))
    assert may(world.of("management", "kms"))
    assert may(world.of("outsider", "kms"))
    world.join("outsider")
    assert not may(world.of("outsider", "kms")), "it binds who joins"
    world.of("second").leave_organization()
    assert may(world.of("second", "kms")), "and not who left"
    client.disable_policy_type(RootId=root, PolicyType="SERVICE_CONTROL_POLICY")
    assert may(world.of("first", "kms"))
    client.enable_policy_type(RootId=root, PolicyType="SERVICE_CONTROL_POLICY")
    assert may(world.of("first", "kms")), "what was detached stays so"


def test_an_scp_may_deny_leaving(world: World) -> None:
    world.organize("first")
    policy = world.policy(deny("organizations:LeaveOrganization"))
    world.of().attach_policy(PolicyId=policy, TargetId=world.root)
    with refused("AccessDeniedException"):
        world.of("first").leave_organization()
    assert len(world.of().list_accounts()["Accounts"]) == 2


def test_an_rcp_is_over_a_members_resources_whoever_asks(world: World) -> None:
    organization = world.organize("first")
    client, root, first = world.of(), world.root, world.id("first")
    open_to_all = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"},
    }
    key = world.of("first", "kms").create_key(Policy=json.dumps(open_to_all))["KeyMetadata"]["Arn"]
    own = world.of("management", "kms").create_key(Policy=json.dumps(open_to_all))["KeyMetadata"]["Arn"]
    outsider, insider = world.of("outsider", "kms"), world.of("first", "kms")
    outsider.encrypt(KeyId=key, Plaintext=b"x")
    client.enable_policy_type(RootId=root, PolicyType="RESOURCE_CONTROL_POLICY")
    perimeter = world.policy(
        deny(
            "kms:*",
            Principal="*",
            Condition={"StringNotEqualsIfExists": {"aws:PrincipalOrgID": organization["Id"]}},
        ),
        kind="RESOURCE_CONTROL_POLICY",
    )
    outsider.encrypt(KeyId=key, Plaintext=b"x")
    client.attach_policy(PolicyId=perimeter, TargetId=root)
    with refused(
        "AccessDeniedException",
        f"User: arn:aws:iam::{world.id('outsider')}:user/admin is not authorized to perform: kms:Encrypt on "
        f"resource: {key} with an explicit deny in a resource control policy",
    ):
        outsider.encrypt(KeyId=key, Plaintext=b"x")
    insider.encrypt(KeyId=key, Plaintext=b"x")
    world.of("management", "kms").encrypt(KeyId=key, Plaintext=b"x")
    outsider.encrypt(KeyId=own, Plaintext=b"x")
    client.detach_policy(PolicyId=perimeter, TargetId=root)
    outsider.encrypt(KeyId=key, Plaintext=b"x")
    # An RCP of an account's own, and of its own principals.
    nobody = world.policy(deny("kms:Encrypt", Principal="*"), kind="RESOURCE_CONTROL_POLICY", name="nobody")
    client.attach_policy(PolicyId=nobody, TargetId=first)
    with refused("AccessDeniedException"):
        insider.encrypt(KeyId=key, Plaintext=b"x")
    insider.describe_key(KeyId=key)


def test_rcps_are_not_over_awss_own_keys(world: World) -> None:
    world.organize("first")
    kms = world.of("first", "kms")
    own = kms.create_key()["KeyMetadata"]["KeyId"]
    world.of().enable_policy_type(RootId=world.root, PolicyType="RESOURCE_CONTROL_POLICY")
    hidden = world.policy(deny("kms:DescribeKey", Principal="*"), kind="RESOURCE_CONTROL_POLICY")
    world.of().attach_policy(PolicyId=hidden, TargetId=world.id("first"))
    with refused("AccessDeniedException"):
        kms.describe_key(KeyId=own)
    kms.describe_key(KeyId="alias/aws/ssm")


@pytest.mark.parametrize("kind", ["SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"])
def test_grants_give_no_more_than_control_policies_let(world: World, kind: str) -> None:
    world.organize("first", "second")
    client, owner = world.of(), world.of("first", "kms")
    key = owner.create_key()["KeyMetadata"]["Arn"]
    grantee = f"arn:aws:iam::{world.id('second')}:user/admin"
    owner.create_grant(KeyId=key, GranteePrincipal=grantee, Operations=["Encrypt", "DescribeKey"])
    kms = world.of("second", "kms")
    kms.encrypt(KeyId=key, Plaintext=b"x")
    if kind == "SERVICE_CONTROL_POLICY":
        policy, target = world.policy(deny("kms:Encrypt")), world.id("second")
    else:
        client.enable_policy_type(RootId=world.root, PolicyType=kind)
        policy, target = world.policy(deny("kms:Encrypt", Principal="*"), kind=kind), world.id("first")
    client.attach_policy(PolicyId=policy, TargetId=target)
    text = kind.replace("_", " ").lower()
    with refused(
        "AccessDeniedException",
        f"User: {grantee} is not authorized to perform: kms:Encrypt on resource: {key} with an explicit deny in a "
        f"{text}",
    ):
        kms.encrypt(KeyId=key, Plaintext=b"x")
    kms.describe_key(KeyId=key)
    client.detach_policy(PolicyId=policy, TargetId=target)
    kms.encrypt(KeyId=key, Plaintext=b"x")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("aws:PrincipalOrgID", "{organization}"),
        ("aws:ResourceOrgID", "{organization}"),
        ("aws:PrincipalOrgPaths", "{organization}/{root}/{unit}/*"),
        ("aws:ResourceOrgPaths", "{organization}/{root}/"),
    ],
)
def test_policies_may_ask_for_the_organization(world: World, key: str, value: str) -> None:
    organization = world.organize("first", "second")["Id"]
    client, root, unit = world.of(), world.root, world.unit("work")
    client.move_account(AccountId=world.id("first"), SourceParentId=root, DestinationParentId=unit)
    wanted = value.format(organization=organization, root=root, unit=unit)
    operator = "ForAnyValue:StringLike" if key.endswith("Paths") else "StringEquals"
    policy = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": "kms:*",
            "Resource": "*",
            "Condition": {operator: {key: wanted}},
        },
    }
    made = world.of("second", "kms").create_key(
        Policy=json.dumps(policy), BypassPolicyLockoutSafetyCheck=True
    )
    arn, first = made["KeyMetadata"]["Arn"], world.of("first", "kms")
    first.encrypt(KeyId=arn, Plaintext=b"x")
    other = key.startswith("aws:Resource")
    if not other:
        with refused("AccessDeniedException"):
            world.of("outsider", "kms").encrypt(KeyId=arn, Plaintext=b"x")
        world.of("first").leave_organization()
    else:
        world.of("outsider", "kms").encrypt(KeyId=arn, Plaintext=b"x")
        world.of("second").leave_organization()
    with refused("AccessDeniedException"):
        first.encrypt(KeyId=arn, Plaintext=b"x")


def test_what_a_policy_must_be(world: World) -> None:
    world.organize()
    scp, rcp = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
    text = "The provided policy document does not meet the requirements of the specified policy type."
    star = {"Principal": "*"}
    for kind, statement in (
        (scp, deny("s3:*", Principal="*")),
        (scp, {"Effect": "Deny", "Action": "s3:*"}),
        (scp, {"Effect": "Maybe", "Action": "s3:*", "Resource": "*"}),
        (rcp, deny("s3:*")),
        (rcp, deny("*", **star)),
        (rcp, deny("ec2:*", **star)),
        (rcp, deny("s3:*", Principal={"AWS": "111122223333"})),
        (rcp, allow("s3:*", **star)),
        (rcp, allow("*", **star)),
        (rcp, {"Effect": "Deny", "NotAction": "s3:*", "Resource": "*", **star}),
    ):
        with refused("MalformedPolicyDocumentException", text):
            world.policy(statement, kind=kind)
    for content in ("{", "[]", '{"Version":"2008-10-17","Statement":[]}', '{"Statement":[]}'):
        with refused("MalformedPolicyDocumentException", text):
            world.of().create_policy(Type=scp, Name="x", Description="", Content=content)
    # What the language has since 2025.
    world.policy(
        allow("s3:*", Condition={"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}),
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "arn:aws:s3:::x"},
        {"Effect": "Deny", "Action": "s3:*Object", "NotResource": "arn:aws:s3:::x/*"},
    )
    world.policy(deny("s3:GetObject", Resource="arn:aws:s3:::x/*", **star), kind=rcp)
    for kind, size in (
        (scp, 10_240),
        (rcp, 5120),
        ("TAG_POLICY", 10_000),
        ("AISERVICES_OPT_OUT_POLICY", 2500),
    ):
        with refused("ConstraintViolationException", reason="POLICY_CONTENT_LIMIT_EXCEEDED"):
            world.of().create_policy(Type=kind, Name="x", Description="", Content=" " * (size + 1))
    full = json.dumps({"Version": "2012-10-17", "Statement": [deny("s3:*")]})
    world.of().create_policy(Type=scp, Name="long", Description="", Content=full.ljust(10_240))
