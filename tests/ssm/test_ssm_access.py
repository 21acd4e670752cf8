"""Who may do what: identity policies with Parameter Store's condition keys, tags, and parameters that are shared."""

from __future__ import annotations

from typing import Any

import pytest
from ssm_support import ACCOUNT, OTHER_ACCOUNT, REGION, Ssm, arn, policy, refused, statement, user_arn

RED = [{"Key": "team", "Value": "red"}]


def denied(user: str, action: str, resource: str) -> str:
    return (
        f"User: {user_arn(user)} is not authorized to perform: {action} on resource: {resource} because no "
        f"identity-based policy allows the {action} action"
    )


def test_nothing_is_told_to_those_who_may_not(ssm: Ssm) -> None:
    ssm.put("/hidden/here")
    client = ssm.of("nobody")
    for name in ("/hidden/here", "/hidden/not-here"):
        with refused("AccessDeniedException", denied("nobody", "ssm:GetParameter", arn(name))):
            client.get_parameter(Name=name)
        with refused("AccessDeniedException", denied("nobody", "ssm:GetParameterHistory", arn(name))):
            client.get_parameter_history(Name=name)
        with refused("AccessDeniedException", denied("nobody", "ssm:PutParameter", arn(name))):
            client.put_parameter(Name=name, Value="x", Type="String")
        with refused("AccessDeniedException", denied("nobody", "ssm:DeleteParameter", arn(name))):
            client.delete_parameter(Name=name)
        with refused("AccessDeniedException", denied("nobody", "ssm:DeleteParameters", arn(name))):
            client.delete_parameters(Names=[name])
        with refused("AccessDeniedException", denied("nobody", "ssm:GetParameters", arn(name))):
            client.get_parameters(Names=[name])
        with refused("AccessDeniedException", denied("nobody", "ssm:GetParametersByPath", arn(name))):
            client.get_parameters_by_path(Path=name)
        with refused("AccessDeniedException", denied("nobody", "ssm:LabelParameterVersion", arn(name))):
            client.label_parameter_version(Name=name, Labels=["x"])
        with refused("AccessDeniedException", denied("nobody", "ssm:UnlabelParameterVersion", arn(name))):
            client.unlabel_parameter_version(Name=name, ParameterVersion=1, Labels=["x"])
        with refused("AccessDeniedException", denied("nobody", "ssm:ListTagsForResource", arn(name))):
            client.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)
        with refused("AccessDeniedException", denied("nobody", "ssm:GetResourcePolicies", arn(name))):
            client.get_resource_policies(ResourceArn=arn(name))
    with refused("AccessDeniedException", denied("nobody", "ssm:DescribeParameters", "*")):
        client.describe_parameters()
    assert ssm.value("/hidden/here") == "value"


def test_policies_name_parameters_and_paths(ssm: Ssm) -> None:
    ssm.put("/team/shown", "shown")
    ssm.put("/other", "hidden")
    assert ssm.value("/team/shown", "reader") == "shown"
    for names in (["/other"], ["/team/shown", "/other"]):
        with refused("AccessDeniedException", denied("reader", "ssm:GetParameters", arn("/other"))):
            ssm.of("reader").get_parameters(Names=names)
    found = ssm.of("reader").get_parameters_by_path(Path="/team")["Parameters"]
    assert "/team/shown" in [each["Name"] for each in found]
    for path in ("/", "/team/below", "/other"):
        with refused("AccessDeniedException"):
            ssm.of("reader").get_parameters_by_path(Path=path)


def test_levels_below_may_be_denied(ssm: Ssm) -> None:
    assert ssm.of("flat").get_parameters_by_path(Path="/team")["ResponseMetadata"]["HTTPStatusCode"] == 200
    with refused("AccessDeniedException"):
        ssm.of("flat").get_parameters_by_path(Path="/team", Recursive=True)


def test_overwriting_and_policies_may_be_denied(ssm: Ssm) -> None:
    ssm.put("/made/once", user="maker")
    with refused("AccessDeniedException"):
        ssm.put("/made/once", user="maker", Overwrite=True)
    with refused("AccessDeniedException"):
        ssm.put("/made/with", user="maker", Policies="[]")


def test_tags_decide(ssm: Ssm) -> None:
    ssm.put("/red", "red", Tags=RED)
    ssm.put("/blue", "blue", Tags=[{"Key": "team", "Value": "blue"}])
    client = ssm.of("tagged")
    assert client.get_parameter(Name="/red")["Parameter"]["Value"] == "red"
    assert client.get_parameter_history(Name="/red")["Parameters"]
    for operation in (client.get_parameter, client.get_parameter_history):
        with refused("AccessDeniedException"):
            operation(Name="/blue")
    ssm.of().add_tags_to_resource(ResourceType="Parameter", ResourceId="/blue", Tags=RED)
    assert client.get_parameter(Name="/blue")["Parameter"]["Value"] == "blue"


def test_tags_at_the_making_are_a_permission_of_their_own(ssm: Ssm) -> None:
    ssm.put("/tagging/none", user="tagged")
    ssm.put("/tagging/red", user="tagged", Tags=RED)
    for tags in ([{"Key": "team", "Value": "blue"}], [*RED, {"Key": "more", "Value": "x"}]):
        with refused("AccessDeniedException"):
            ssm.put("/tagging/other", user="tagged", Tags=tags)
    with refused("AccessDeniedException", denied("maker", "ssm:AddTagsToResource", arn("/tagging/maker"))):
        ssm.put("/tagging/maker", user="maker", Tags=RED)


def test_tags_are_added_removed_and_listed(ssm: Ssm) -> None:
    client, named = ssm.of(), {"ResourceType": "Parameter", "ResourceId": "/tags"}
    ssm.put("/tags", Tags=RED)
    client.add_tags_to_resource(
        **named, Tags=[{"Key": "team", "Value": "blue"}, {"Key": "größe", "Value": ""}]
    )
    client.remove_tags_from_resource(**named, TagKeys=["none"])
    listed = client.list_tags_for_resource(**named)["TagList"]
    assert listed == [{"Key": "größe", "Value": ""}, {"Key": "team", "Value": "blue"}]
    client.remove_tags_from_resource(**named, TagKeys=["team"])
    assert [each["Key"] for each in client.list_tags_for_resource(**named)["TagList"]] == ["größe"]
    with refused(
        "ValidationException",
        "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove "
        "overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or "
        "RemoveTagsFromResource.",
    ):
        ssm.put("/tags", Tags=RED, Overwrite=True)


def test_what_tags_may_be(ssm: Ssm) -> None:
    client, named = ssm.of(), {"ResourceType": "Parameter", "ResourceId": "/tags/rules"}
    ssm.put("/tags/rules")
    with refused("ValidationException"):
        client.add_tags_to_resource(**named, Tags=[{"Key": "aws:x", "Value": ""}])
    with refused("ValidationException"):
        client.remove_tags_from_resource(**named, TagKeys=["AWS:x"])
    with refused("ValidationException", "Duplicate tag keys are not allowed."):
        client.add_tags_to_resource(**named, Tags=RED * 2)
    with refused("TooManyTagsError"):
        client.add_tags_to_resource(
            **named, Tags=[{"Key": f"k{number}", "Value": ""} for number in range(51)]
        )
    for tag in (
        {"Key": "k" * 129, "Value": ""},
        {"Key": "k", "Value": "v" * 257},
        {"Key": "k;", "Value": ""},
    ):
        with refused("ValidationException"):
            client.add_tags_to_resource(**named, Tags=[tag])
    assert client.list_tags_for_resource(**named)["TagList"] == []
    with refused("TooManyTagsError"):
        ssm.put("/tags/many", Tags=[{"Key": f"k{number}", "Value": ""} for number in range(51)])


def test_what_cannot_be_tagged(ssm: Ssm) -> None:
    client = ssm.of()
    for name in ("/tags/none", "not a name"):
        for operation, more in (
            (client.add_tags_to_resource, {"Tags": RED}),
            (client.remove_tags_from_resource, {"TagKeys": ["x"]}),
            (client.list_tags_for_resource, {}),
        ):
            with refused("InvalidResourceId"):
                operation(ResourceType="Parameter", ResourceId=name, **more)
    with refused("InvalidResourceType", "The resource type isn't valid."):
        client.list_tags_for_resource(ResourceType="Document", ResourceId="x")
    with refused("ValidationException"):
        client.list_tags_for_resource(ResourceType="Teapot", ResourceId="x")


# --- sharing

OTHERS = f"arn:aws:iam::{OTHER_ACCOUNT}:root"
READ = ("ssm:GetParameter", "ssm:GetParameters", "ssm:GetParameterHistory")


def shared(name: str, *actions: str, principal: Any = OTHERS, **more: Any) -> str:
    return policy(statement(*(actions or READ), resource=arn(name), Principal={"AWS": principal}, **more))


def test_a_shared_parameter_is_read_by_its_arn(ssm: Ssm) -> None:
    ssm.put("/shared/one", "shared", Tier="Advanced")
    stranger = ssm.of("stranger")
    for name in (arn("/shared/one"), arn("/shared/none")):
        with refused("AccessDeniedException"):
            stranger.get_parameter(Name=name)
    made = ssm.of().put_resource_policy(ResourceArn=arn("/shared/one"), Policy=shared("/shared/one"))
    found = stranger.get_parameter(Name=arn("/shared/one"))["Parameter"]
    assert (found["Value"], found["ARN"]) == ("shared", arn("/shared/one"))
    assert stranger.get_parameters(Names=[arn("/shared/one")])["Parameters"] == [found]
    assert stranger.get_parameter_history(Name=arn("/shared/one"))["Parameters"]
    with refused("ParameterNotFound"):
        stranger.get_parameter(Name="/shared/one")
    with refused("AccessDeniedException"):
        ssm.of("powerless").get_parameter(Name=arn("/shared/one"))
    with refused("ValidationException"):
        stranger.put_parameter(Name=arn("/shared/one"), Value="x", Overwrite=True)
    for operation, more in (
        (stranger.put_resource_policy, {"Policy": shared("/shared/one")}),
        (stranger.get_resource_policies, {}),
    ):
        with refused("ResourcePolicyInvalidParameterException"):
            operation(ResourceArn=arn("/shared/one"), **more)
    ssm.of().delete_resource_policy(
        ResourceArn=arn("/shared/one"), PolicyId=made["PolicyId"], PolicyHash=made["PolicyHash"]
    )
    with refused("AccessDeniedException"):
        stranger.get_parameter(Name=arn("/shared/one"))


def test_a_shared_secure_string_takes_its_key_as_well(ssm: Ssm) -> None:
    name = "/shared/secure"
    ssm.put(name, "hunter2", Type="SecureString", Tier="Advanced")
    with refused("ResourcePolicyInvalidParameterException"):
        ssm.of().put_resource_policy(ResourceArn=arn(name), Policy=shared(name))
    root = f"arn:aws:iam::{ACCOUNT}:root"
    key_id = ssm.kms.create_key(Policy=policy(statement("kms:*", Principal={"AWS": root})))["KeyMetadata"][
        "KeyId"
    ]
    ssm.put(name, "hunter2", Type="SecureString", KeyId=key_id, Overwrite=True)
    ssm.of().put_resource_policy(ResourceArn=arn(name), Policy=shared(name))
    with refused("AccessDeniedException"):
        ssm.value(arn(name), "stranger")
    both = policy(
        statement("kms:*", Principal={"AWS": root}), statement("kms:Decrypt", Principal={"AWS": OTHERS})
    )
    ssm.kms.put_key_policy(KeyId=key_id, Policy=both)
    assert ssm.value(arn(name), "stranger") == "hunter2"


def test_policies_are_changed_by_id_and_hash(ssm: Ssm) -> None:
    name, client = "/shared/changed", ssm.of()
    ssm.put(name, Tier="Advanced")
    first = client.put_resource_policy(ResourceArn=arn(name), Policy=shared(name))
    second = client.put_resource_policy(
        ResourceArn=arn(name), Policy=shared(name, principal=user_arn("powerless"))
    )
    listed = client.get_resource_policies(ResourceArn=arn(name), MaxResults=1)
    rest = client.get_resource_policies(ResourceArn=arn(name), NextToken=listed["NextToken"])
    found = {each["PolicyId"]: each for each in [*listed["Policies"], *rest["Policies"]]}
    assert set(found) == {first["PolicyId"], second["PolicyId"]}
    assert found[first["PolicyId"]]["Policy"] == shared(name)
    narrower = shared(name, "ssm:GetParameter")
    for policy_id, policy_hash, code in (
        ("none", first["PolicyHash"], "ResourcePolicyNotFoundException"),
        (first["PolicyId"], "stale", "ResourcePolicyConflictException"),
    ):
        with refused(code):
            client.put_resource_policy(
                ResourceArn=arn(name), Policy=narrower, PolicyId=policy_id, PolicyHash=policy_hash
            )
        with refused(code):
            client.delete_resource_policy(ResourceArn=arn(name), PolicyId=policy_id, PolicyHash=policy_hash)
    with refused("ResourcePolicyConflictException"):
        client.put_resource_policy(ResourceArn=arn(name), Policy=narrower, PolicyId=first["PolicyId"])
    changed = client.put_resource_policy(
        ResourceArn=arn(name), Policy=narrower, PolicyId=first["PolicyId"], PolicyHash=first["PolicyHash"]
    )
    assert changed["PolicyId"] == first["PolicyId"]
    assert changed["PolicyHash"] != first["PolicyHash"]
    with refused("AccessDeniedException"):
        ssm.of("stranger").get_parameters(Names=[arn(name)])


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("{", "MalformedResourcePolicyDocumentException"),
        (shared("/shared/form", "ssm:PutParameter"), "MalformedResourcePolicyDocumentException"),
        (shared("/shared/form", "ssm:*"), "MalformedResourcePolicyDocumentException"),
        (shared("/shared/form", principal="*"), "MalformedResourcePolicyDocumentException"),
        (shared("/shared/other"), "MalformedResourcePolicyDocumentException"),
        (
            shared("/shared/form", principal=f"arn:aws:iam::{OTHER_ACCOUNT}:user/none"),
            "MalformedResourcePolicyDocumentException",
        ),
        (
            policy(statement("ssm:GetParameter", resource=arn("/shared/form"))),
            "MalformedResourcePolicyDocumentException",
        ),
        (
            shared("/shared/form", Condition={"StringEquals": {"aws:PrincipalOrgID": ["o-0123456789"] * 60}}),
            "ResourcePolicyLimitExceededException",
        ),
    ],
)
def test_policies_that_are_none(ssm: Ssm, document: str, code: str) -> None:
    ssm.put("/shared/form", Tier="Advanced", Overwrite=True)
    with refused(code):
        ssm.of().put_resource_policy(ResourceArn=arn("/shared/form"), Policy=document)
    assert ssm.of().get_resource_policies(ResourceArn=arn("/shared/form"))["Policies"] == []


def test_what_cannot_be_shared(ssm: Ssm) -> None:
    client = ssm.of()
    ssm.put("/shared/standard")
    with refused(
        "ResourcePolicyInvalidParameterException",
        "The parameter can't be shared: it must be in the advanced parameter tier.",
    ):
        client.put_resource_policy(ResourceArn=arn("/shared/standard"), Policy=shared("/shared/standard"))
    with refused("ResourceNotFoundException"):
        client.put_resource_policy(ResourceArn=arn("/shared/none"), Policy=shared("/shared/none"))
    for name in (
        f"arn:aws:ssm:{REGION}:{ACCOUNT}:opsitemgroup/default",
        arn("/x", region="eu-west-1"),
        f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/x:1",
    ):
        with refused("ResourcePolicyInvalidParameterException"):
            client.get_resource_policies(ResourceArn=name)
    ssm.put("/shared/many", Tier="Advanced")
    for _ in range(10):
        client.put_resource_policy(ResourceArn=arn("/shared/many"), Policy=shared("/shared/many"))
    with refused("ResourcePolicyLimitExceededException"):
        client.put_resource_policy(ResourceArn=arn("/shared/many"), Policy=shared("/shared/many"))


def test_the_managed_policies(ssm: Ssm) -> None:
    ssm.put("/managed-policy", "hunter2", Type="SecureString")
    full, read = ssm.of("full"), ssm.of("read-only")
    for client in (full, read):
        assert (
            client.get_parameter(Name="/managed-policy", WithDecryption=True)["Parameter"]["Value"]
            == "hunter2"
        )
        assert client.describe_parameters(MaxResults=1)["Parameters"]
    full.put_parameter(Name="/managed-policy/full", Value="x", Type="String")
    with refused("AccessDeniedException"):
        read.put_parameter(Name="/managed-policy/read", Value="x", Type="String")
