"""Resource policies, tags, and every condition key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from secrets_support import (
    ACCOUNT,
    OTHER_ACCOUNT,
    SecretsServer,
    inline,
    policy,
    refused,
    statement,
    user_arn,
)

EVERYBODY = policy(statement("*", "secretsmanager:GetSecretValue"))


def test_a_policy_is_put_shown_listed_and_removed(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    made = secretsmanager.secret()
    own = {"SecretId": made["Name"]}
    before = admin.get_resource_policy(**own)
    assert (before["ARN"], before["Name"]) == (made["ARN"], made["Name"])
    assert "ResourcePolicy" not in before
    assert admin.list_resource_policies(**own)["ResourcePolicies"] == []
    document = policy(statement({"AWS": user_arn("nobody")}, "secretsmanager:GetSecretValue"))
    put = admin.put_resource_policy(**own, ResourcePolicy=document)
    assert (put["ARN"], put["PolicyName"]) == (made["ARN"], "default")
    assert json.loads(admin.get_resource_policy(**own)["ResourcePolicy"]) == json.loads(document)
    assert admin.list_resource_policies(**own)["ResourcePolicies"] == [{"PolicyName": "default"}]
    assert secretsmanager.of("nobody").get_secret_value(SecretId=made["Name"])["SecretString"] == "first"
    admin.delete_resource_policy(**own)
    admin.delete_resource_policy(**own)
    with refused("AccessDeniedException"):
        secretsmanager.of("nobody").get_secret_value(SecretId=made["Name"])


def test_a_deny_of_the_policy_counts_for_administrators(secretsmanager: SecretsServer) -> None:
    made = secretsmanager.secret()
    deny = policy(statement("*", "secretsmanager:GetSecretValue", Effect="Deny"))
    secretsmanager.of().put_resource_policy(SecretId=made["ARN"], ResourcePolicy=deny)
    with refused("AccessDeniedException"):
        secretsmanager.of().get_secret_value(SecretId=made["ARN"])


def test_other_names_of_policies(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    own = {"SecretId": secretsmanager.secret()["ARN"], "PolicyName": "another"}
    text = "You can only modify the resource policy whose name is default."
    with refused("InvalidParameterException", text):
        admin.put_resource_policy(**own, ResourcePolicy=EVERYBODY)
    with refused("InvalidParameterException", text):
        admin.delete_resource_policy(**own)
    with refused("ResourceNotFoundException", "Secrets Manager can't find the specified resource policy."):
        admin.get_resource_policy(**own)
    with refused("InvalidNextTokenException"):
        admin.list_resource_policies(SecretId=own["SecretId"], NextToken="x")


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("{", None),
        ('{"Version":"2012-10-17"}', None),
        (policy({"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}), None),
        (
            policy(statement({"AWS": f"arn:aws:iam::{ACCOUNT}:user/absent"}, "secretsmanager:*")),
            "This resource policy contains an unsupported principal.",
        ),
    ],
)
def test_malformed_policies(secretsmanager: SecretsServer, document: str, text: str | None) -> None:
    admin = secretsmanager.of()
    own = {"SecretId": secretsmanager.secret()["ARN"], "ResourcePolicy": document}
    with refused("MalformedPolicyDocumentException", text):
        admin.put_resource_policy(**own)
    with refused("MalformedPolicyDocumentException", text):
        admin.validate_resource_policy(**own)
    assert "ResourcePolicy" not in admin.get_resource_policy(SecretId=own["SecretId"])


def test_public_policies_are_refused_where_that_is_asked_for(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    own = {"SecretId": secretsmanager.secret()["ARN"]}
    with refused(
        "PublicPolicyException",
        "The BlockPublicPolicy parameter is set to true, and the resource policy did not prevent broad access to the "
        "secret.",
    ):
        admin.put_resource_policy(**own, ResourcePolicy=EVERYBODY, BlockPublicPolicy=True)
    assert "ResourcePolicy" not in admin.get_resource_policy(**own)
    fixed = policy(
        statement(
            "*",
            "secretsmanager:GetSecretValue",
            Condition={"StringEquals": {"aws:PrincipalAccount": OTHER_ACCOUNT}},
        )
    )
    admin.put_resource_policy(**own, ResourcePolicy=fixed, BlockPublicPolicy=True)
    admin.put_resource_policy(**own, ResourcePolicy=EVERYBODY, BlockPublicPolicy=False)
    admin.put_resource_policy(**own, ResourcePolicy=EVERYBODY)


def test_policies_are_validated(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    own = {"SecretId": secretsmanager.secret()["ARN"]}

    def checks(document: str, **of: str) -> list[str]:
        answer = admin.validate_resource_policy(**of, ResourcePolicy=document)
        assert answer["PolicyValidationPassed"] == (not answer["ValidationErrors"])
        return [error["CheckName"] for error in answer["ValidationErrors"]]

    lockout = policy(statement("*", "secretsmanager:*", Effect="Deny"))
    good = policy(statement({"AWS": user_arn("nobody")}, "secretsmanager:GetSecretValue"))
    assert checks(good, **own) == []
    assert checks(good) == []
    assert checks(EVERYBODY, **own) == ["PublicAccess"]
    assert checks(lockout, **own) == ["CallerLockout"]
    assert checks(lockout) == []
    assert "ResourcePolicy" not in admin.get_resource_policy(**own)
    only_one = secretsmanager.limit(inline("secretsmanager:ValidateResourcePolicy"))
    with refused("AccessDeniedException"):
        only_one.validate_resource_policy(**own, ResourcePolicy=good)


def test_tags(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    own = {"SecretId": secretsmanager.secret(Tags=[{"Key": "a", "Value": "1"}])["ARN"]}
    admin.tag_resource(**own, Tags=[{"Key": "a", "Value": "2"}, {"Key": "A", "Value": "3"}, {"Key": "b"}])
    assert admin.describe_secret(**own)["Tags"] == [
        {"Key": "a", "Value": "2"},
        {"Key": "A", "Value": "3"},
        {"Key": "b", "Value": ""},
    ]
    admin.untag_resource(**own, TagKeys=["a", "absent"])
    assert [tag["Key"] for tag in admin.describe_secret(**own)["Tags"]] == ["A", "b"]


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ([{"Key": "aws:x", "Value": ""}], "Tag keys that begin with aws: are reserved for AWS's use."),
        ([{"Key": "x"}, {"Key": "x"}], "Duplicate tag keys found."),
        ([{"Value": "x"}], "You must provide a Key for each tag."),
        (
            [{"Key": str(number)} for number in range(51)],
            "You can't attach more than 50 tags to a secret.",
        ),
    ],
)
def test_tags_that_are_none(secretsmanager: SecretsServer, tags: list[dict[str, str]], text: str) -> None:
    with refused("InvalidParameterException", text):
        secretsmanager.of().create_secret(Name="tagged", Tags=tags)
    with refused("InvalidParameterException", text):
        secretsmanager.of().tag_resource(SecretId=secretsmanager.secret()["ARN"], Tags=tags)


def test_nobody_tags_themselves_out(secretsmanager: SecretsServer) -> None:
    own = {"SecretId": secretsmanager.secret(Tags=[{"Key": "team", "Value": "red"}])["ARN"]}
    user = secretsmanager.limit(
        inline(
            "secretsmanager:TagResource",
            "secretsmanager:UntagResource",
            condition={"StringEquals": {"secretsmanager:ResourceTag/team": "red"}},
        )
    )
    with refused("AccessDeniedException"):
        user.untag_resource(**own, TagKeys=["team"])
    with refused("AccessDeniedException"):
        user.tag_resource(**own, Tags=[{"Key": "team", "Value": "blue"}])
    user.tag_resource(**own, Tags=[{"Key": "stage", "Value": "test"}])
    assert len(secretsmanager.of().describe_secret(**own)["Tags"]) == 2


def test_creation_with_tags_needs_the_permission_to_tag(secretsmanager: SecretsServer) -> None:
    user = secretsmanager.limit(inline("secretsmanager:CreateSecret"))
    user.create_secret(Name="untagged")
    with refused("AccessDeniedException"):
        user.create_secret(Name="with-tags", Tags=[{"Key": "a"}])
    with refused("AccessDeniedException"):
        user.create_secret(Name="with-replicas", AddReplicaRegions=[{"Region": "eu-west-1"}])


# action: (condition key, operator, its value, a request that has it, one that has another value)
CONDITIONS: list[tuple[str, str, str, Any, dict[str, Any], dict[str, Any]]] = [
    (
        "CreateSecret",
        "StringLike",
        "secretsmanager:Name",
        "cond/ok*",
        {"Name": "cond/ok1"},
        {"Name": "cond/no"},
    ),
    (
        *("CreateSecret", "StringEquals", "secretsmanager:Description", "fine"),
        *({"Name": "cond/2", "Description": "fine"}, {"Name": "cond/2x", "Description": "other"}),
    ),
    (
        *("CreateSecret", "StringEquals", "aws:RequestTag/team", "red"),
        *(
            {"Name": "cond/3", "Tags": [{"Key": "team", "Value": "red"}]},
            {"Name": "cond/3x", "Tags": [{"Key": "team", "Value": "blue"}]},
        ),
    ),
    (
        *("CreateSecret", "StringEquals", "secretsmanager:ResourceTag/team", "red"),
        *(
            {"Name": "cond/4", "Tags": [{"Key": "team", "Value": "red"}]},
            {"Name": "cond/4x", "Tags": [{"Key": "team", "Value": "blue"}]},
        ),
    ),
    (
        *("CreateSecret", "ForAllValues:StringEquals", "aws:TagKeys", ["team"]),
        *({"Name": "cond/5", "Tags": [{"Key": "team"}]}, {"Name": "cond/5x", "Tags": [{"Key": "other"}]}),
    ),
    (
        *("CreateSecret", "StringEquals", "secretsmanager:KmsKeyId", "alias/aws/secretsmanager"),
        *({"Name": "cond/6", "KmsKeyId": "alias/aws/secretsmanager"}, {"Name": "cond/6x"}),
    ),
    (
        *("CreateSecret", "ForAnyValue:StringEquals", "secretsmanager:AddReplicaRegions", ["eu-west-1"]),
        *(
            {"Name": "cond/7", "AddReplicaRegions": [{"Region": "eu-west-1"}]},
            {"Name": "cond/7x", "AddReplicaRegions": [{"Region": "eu-west-2"}]},
        ),
    ),
    (
        *("CreateSecret", "Bool", "secretsmanager:ForceOverwriteReplicaSecret", "false"),
        *(
            {"Name": "cond/8", "ForceOverwriteReplicaSecret": False},
            {"Name": "cond/8x", "ForceOverwriteReplicaSecret": True},
        ),
    ),
    (
        *("DeleteSecret", "NumericGreaterThan", "secretsmanager:RecoveryWindowInDays", "10"),
        *({"RecoveryWindowInDays": 20}, {"RecoveryWindowInDays": 8}),
    ),
    (
        *("DeleteSecret", "Bool", "secretsmanager:ForceDeleteWithoutRecovery", "false"),
        *({"ForceDeleteWithoutRecovery": False}, {"ForceDeleteWithoutRecovery": True}),
    ),
    (
        *("GetSecretValue", "StringEquals", "secretsmanager:VersionStage", "AWSCURRENT"),
        *({}, {"VersionStage": "AWSPREVIOUS"}),
    ),
    (
        *("PutResourcePolicy", "Bool", "secretsmanager:BlockPublicPolicy", "true"),
        *(
            {
                "ResourcePolicy": policy(statement({"AWS": ACCOUNT}, "secretsmanager:*")),
                "BlockPublicPolicy": True,
            },
            {"ResourcePolicy": policy(statement({"AWS": ACCOUNT}, "secretsmanager:*"))},
        ),
    ),
    (
        *("UpdateSecret", "StringEquals", "secretsmanager:Description", "fine"),
        *({"Description": "fine"}, {"Description": "other"}),
    ),
]


@pytest.mark.parametrize(("action", "operator", "key", "value", "good", "bad"), CONDITIONS)
def test_condition_keys_of_requests(
    secretsmanager: SecretsServer,
    action: str,
    operator: str,
    key: str,
    value: Any,
    good: dict[str, Any],
    bad: dict[str, Any],
) -> None:
    method = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in action).lstrip("_")
    actions = [f"secretsmanager:{action}"]
    document = json.loads(inline(*actions, condition={operator: {key: value}}))
    # What comes with it is not what is tested.
    others = ["secretsmanager:TagResource", "secretsmanager:ReplicateSecretToRegions", "kms:*"]
    document["Statement"].append({"Effect": "Allow", "Action": others, "Resource": "*"})
    user = secretsmanager.limit(json.dumps(document))
    named = {} if action == "CreateSecret" else {"SecretId": secretsmanager.secret()["ARN"]}
    with refused("AccessDeniedException"):
        getattr(user, method)(**named, **bad)
    getattr(user, method)(**named, **good)


def test_a_version_by_its_id_has_its_own_labels(secretsmanager: SecretsServer) -> None:
    made = secretsmanager.secret("one")
    second = secretsmanager.of().put_secret_value(SecretId=made["ARN"], SecretString="two")
    user = secretsmanager.limit(
        inline(
            "secretsmanager:GetSecretValue",
            condition={"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}},
        )
    )
    assert user.get_secret_value(SecretId=made["ARN"], VersionId=second["VersionId"])
    with refused("AccessDeniedException"):
        user.get_secret_value(SecretId=made["ARN"], VersionId=made["VersionId"])


def test_the_key_in_a_request_has_an_arn(secretsmanager: SecretsServer) -> None:
    allowed, other = secretsmanager.key(), secretsmanager.key()
    kms = secretsmanager.of(service="kms")
    kms.create_alias(AliasName="alias/allowed-one", TargetKeyId=allowed)
    document = json.loads(
        inline("secretsmanager:CreateSecret", condition={"ArnEquals": {"secretsmanager:KmsKeyArn": allowed}})
    )
    document["Statement"].append({"Effect": "Allow", "Action": "kms:*", "Resource": "*"})
    user = secretsmanager.limit(json.dumps(document))
    for number, name in enumerate((allowed, allowed.rpartition("/")[2], "alias/allowed-one")):
        user.create_secret(Name=f"key-arn-{number}", SecretString="x", KmsKeyId=name)
    for more in ({}, {"KmsKeyId": other}):
        with refused("AccessDeniedException"):
            user.create_secret(Name="key-arn-x", SecretString="x", **more)
    # Nor does an alias that they may not look up get them around a policy that denies a key.
    denying = json.loads(inline("secretsmanager:CreateSecret", "kms:GenerateDataKey", "kms:Decrypt"))
    denying["Statement"].append(
        {
            "Effect": "Deny",
            "Action": "secretsmanager:CreateSecret",
            "Resource": "*",
            "Condition": {"ArnEquals": {"secretsmanager:KmsKeyArn": allowed}},
        }
    )
    denied = secretsmanager.limit(json.dumps(denying))
    for name in (allowed, "alias/allowed-one"):
        with refused("AccessDeniedException"):
            denied.create_secret(Name="key-arn-z", SecretString="x", KmsKeyId=name)
    denied.create_secret(Name="key-arn-z", SecretString="x", KmsKeyId=other)
    blind = secretsmanager.limit(
        inline("secretsmanager:CreateSecret", condition={"ArnEquals": {"secretsmanager:KmsKeyArn": allowed}})
    )
    with refused("AccessDeniedException"):
        blind.create_secret(Name="key-arn-y", SecretString="x", KmsKeyId="alias/allowed-one")


def test_the_secret_and_version_in_a_request(secretsmanager: SecretsServer) -> None:
    made, other = secretsmanager.secret(), secretsmanager.secret()
    user = secretsmanager.limit(
        inline(
            "secretsmanager:GetSecretValue",
            condition={
                "StringEquals": {
                    "secretsmanager:SecretId": made["ARN"],
                    "secretsmanager:VersionId": made["VersionId"],
                }
            },
        )
    )
    assert user.get_secret_value(SecretId=made["ARN"], VersionId=made["VersionId"])["SecretString"] == "first"
    for request in (
        {"SecretId": made["ARN"]},
        {"SecretId": made["Name"], "VersionId": made["VersionId"]},
        {"SecretId": other["ARN"], "VersionId": other["VersionId"]},
    ):
        with refused("AccessDeniedException"):
            user.get_secret_value(**request)


def test_tags_of_secrets_in_policies(secretsmanager: SecretsServer) -> None:
    red = secretsmanager.secret(Tags=[{"Key": "Team", "Value": "red"}])["ARN"]
    plain = secretsmanager.secret()["ARN"]
    for key in ("aws:ResourceTag/team", "secretsmanager:ResourceTag/Team"):
        user = secretsmanager.limit(
            inline("secretsmanager:GetSecretValue", condition={"StringEquals": {key: "red"}})
        )
        assert user.get_secret_value(SecretId=red)
        with refused("AccessDeniedException"):
            user.get_secret_value(SecretId=plain)


def test_arns_in_policies_have_the_random_end(secretsmanager: SecretsServer) -> None:
    prefix = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:"
    made = secretsmanager.secret(Name="policy/arn-one")
    user = secretsmanager.limit(
        inline(
            "secretsmanager:CreateSecret",
            "secretsmanager:GetSecretValue",
            resource=f"{prefix}policy/*-??????",
        )
    )
    assert user.get_secret_value(SecretId="policy/arn-one")["ARN"] == made["ARN"]
    user.create_secret(Name="policy/arn-two", SecretString="x")
    with refused("AccessDeniedException"):
        user.create_secret(Name="elsewhere/arn", SecretString="x")
