"""Secrets and their values: making, reading, changing, and each way to be refused."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from secrets_support import (
    ACCOUNT,
    MARKED,
    NO_SECRET,
    REGION,
    SecretsServer,
    access_key,
    inline,
    policy,
    refused,
    statement,
    user_arn,
)

TWO_VALUES = "You can't specify both a binary secret value and a string secret value in the same secret."


def test_a_secret_is_made_and_read_by_each_way_of_naming_it(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    made = secretsmanager.secret('{"user": "app", "password": "hunter2"}', Name="app/prod/db+1_=.@-x")
    assert re.fullmatch(
        rf"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:app/prod/db\+1_=\.@-x-[A-Za-z0-9]{{6}}",
        made["ARN"],
    )
    for name in ("app/prod/db+1_=.@-x", made["ARN"], made["ARN"][:-7]):
        found = admin.get_secret_value(SecretId=name)
        assert found["SecretString"] == '{"user": "app", "password": "hunter2"}'
        assert found["ARN"] == made["ARN"]
        assert found["Name"] == "app/prod/db+1_=.@-x"
        assert found["VersionId"] == made["VersionId"]
        assert found["VersionStages"] == ["AWSCURRENT"]
        assert "SecretBinary" not in found
        assert found["CreatedDate"].tzinfo is not None


def test_binary_values_and_the_largest_ones(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    name = secretsmanager.secret("x" * 65_536)["Name"]
    assert admin.get_secret_value(SecretId=name)["SecretString"] == "x" * 65_536
    largest = bytes(range(256)) * 256
    admin.put_secret_value(SecretId=name, SecretBinary=largest)
    found = admin.get_secret_value(SecretId=name)
    assert found["SecretBinary"] == largest
    assert "SecretString" not in found
    with refused("ValidationException"):
        admin.put_secret_value(SecretId=name, SecretBinary=largest + b"x")
    with refused(
        "ValidationException",
        "1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length "
        "less than or equal to 65536",
    ):
        admin.put_secret_value(SecretId=name, SecretString="ä" * 32_769)


def test_a_new_value_is_current_and_the_one_before_is_previous(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    first = secretsmanager.secret("one")
    second = admin.put_secret_value(SecretId=first["ARN"], SecretString="two")
    assert second["VersionStages"] == ["AWSCURRENT"]
    assert second["Name"] == first["Name"]
    for stage, value, version in (("AWSCURRENT", "two", second), ("AWSPREVIOUS", "one", first)):
        found = admin.get_secret_value(SecretId=first["ARN"], VersionStage=stage)
        assert (found["SecretString"], found["VersionId"]) == (value, version["VersionId"])
        assert found["VersionStages"] == [stage]
        by_both = admin.get_secret_value(
            SecretId=first["ARN"], VersionStage=stage, VersionId=version["VersionId"]
        )
        assert by_both["SecretString"] == value
    third = admin.update_secret(SecretId=first["ARN"], SecretString="three")
    assert admin.get_secret_value(SecretId=first["ARN"])["VersionId"] == third["VersionId"]
    # Without a label it is still there, by its id.
    deprecated = admin.get_secret_value(SecretId=first["ARN"], VersionId=first["VersionId"])
    assert deprecated["SecretString"] == "one"
    assert "VersionStages" not in deprecated


def test_labels_of_ones_own(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    name = secretsmanager.secret("one")["Name"]
    put = admin.put_secret_value(SecretId=name, SecretString="two", VersionStages=["beta", "AWSPENDING"])
    assert sorted(put["VersionStages"]) == ["AWSPENDING", "beta"]
    assert admin.get_secret_value(SecretId=name)["SecretString"] == "one"
    assert admin.get_secret_value(SecretId=name, VersionStage="beta")["SecretString"] == "two"


def test_the_first_value_is_current_whatever_labels_it_is_given(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    name = secretsmanager.secret(None)["Name"]
    put = admin.put_secret_value(SecretId=name, SecretString="one", VersionStages=["blue"])
    assert sorted(put["VersionStages"]) == ["AWSCURRENT", "blue"]


def test_a_repeated_request_changes_nothing(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    token = str(uuid4())
    made = secretsmanager.secret("one", ClientRequestToken=token)
    assert made["VersionId"] == token
    again = admin.create_secret(Name=made["Name"], SecretString="one", ClientRequestToken=token)
    assert (again["ARN"], again["VersionId"]) == (made["ARN"], token)
    admin.put_secret_value(SecretId=made["Name"], SecretString="two")
    repeated = admin.put_secret_value(SecretId=made["Name"], SecretString="one", ClientRequestToken=token)
    assert repeated["VersionStages"] == ["AWSPREVIOUS"]
    assert admin.get_secret_value(SecretId=made["Name"])["SecretString"] == "two"


def test_a_token_is_good_for_one_value(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    token = str(uuid4())
    made = secretsmanager.secret("one", ClientRequestToken=token)
    taken = (
        f"You can't use ClientRequestToken {token} because that value is already in use for a version of secret "
        f"{made['ARN']}."
    )
    for value in ({"SecretString": "two"}, {"SecretString": "longer"}, {"SecretBinary": b"one"}):
        with refused("ResourceExistsException", taken):
            admin.put_secret_value(SecretId=made["ARN"], ClientRequestToken=token, **value)
        with refused("ResourceExistsException", taken):
            admin.create_secret(Name=made["Name"], ClientRequestToken=token, **value)
    with refused("ResourceExistsException", taken):
        admin.update_secret(SecretId=made["ARN"], ClientRequestToken=token, SecretString="one")


def test_a_name_is_taken_once(secretsmanager: SecretsServer) -> None:
    made = secretsmanager.secret()
    for more in ({"SecretString": "first"}, {}):
        with refused(
            "ResourceExistsException",
            f"The operation failed because the secret {made['Name']} already exists.",
        ):
            secretsmanager.of().create_secret(Name=made["Name"], **more)


@pytest.mark.parametrize("name", ["a b", "a#b", "ä", "a:b", "a*"])
def test_what_cannot_be_a_name(secretsmanager: SecretsServer, name: str) -> None:
    text = (
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: "
        "-/_+=.@!"
    )
    with refused("ValidationException", text):
        secretsmanager.of().create_secret(Name=name, SecretString="x")
    with refused("ValidationException", text):
        secretsmanager.of().get_secret_value(SecretId=name)


@pytest.mark.parametrize(
    "name", ["arn:aws:s3:::bucket", f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:a b"]
)
def test_what_cannot_be_an_arn(secretsmanager: SecretsServer, name: str) -> None:
    with refused("ValidationException"):
        secretsmanager.of().get_secret_value(SecretId=name)


def test_two_values_or_none(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    name = secretsmanager.secret()["Name"]
    both: dict[str, Any] = {"SecretString": "x", "SecretBinary": b"x"}
    with refused("InvalidParameterException", TWO_VALUES):
        admin.create_secret(Name="both", **both)
    with refused("InvalidParameterException", TWO_VALUES):
        admin.put_secret_value(SecretId=name, **both)
    with refused("InvalidParameterException", TWO_VALUES):
        admin.update_secret(SecretId=name, **both)
    with refused("InvalidRequestException", "You must provide either SecretString or SecretBinary."):
        admin.put_secret_value(SecretId=name)


def test_a_request_without_a_token_gets_one(secretsmanager: SecretsServer) -> None:
    # SDKs make one up, so that it is taken out of what is about to be signed.
    raw = secretsmanager.server.client("secretsmanager", access_key("admin"))

    def forget(params: Any, **_: Any) -> None:
        body = json.loads(params["body"])
        del body["ClientRequestToken"]
        params["body"] = json.dumps(body).encode()

    raw.meta.events.register("before-call.secrets-manager.PutSecretValue", forget)
    made = secretsmanager.secret()
    put = raw.put_secret_value(SecretId=made["Name"], SecretString="x")
    assert put["VersionId"] != made["VersionId"]
    assert raw.get_secret_value(SecretId=made["Name"], VersionId=put["VersionId"])["SecretString"] == "x"


def test_what_is_not_there(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    made = secretsmanager.secret()
    absent = str(uuid4())
    arn = made["ARN"]
    other_end = arn[:-6] + "abcdef"
    for name in (
        "absent",
        other_end,
        arn.replace(REGION, "us-west-2"),
        arn.replace("arn:aws:", "arn:aws-cn:"),
    ):
        with refused("ResourceNotFoundException", NO_SECRET):
            admin.get_secret_value(SecretId=name)
    with refused(
        "ResourceNotFoundException",
        f"Secrets Manager can't find the specified secret value for VersionId: {absent}",
    ):
        admin.get_secret_value(SecretId=arn, VersionId=absent)
    with refused(
        "ResourceNotFoundException",
        "Secrets Manager can't find the specified secret value for staging label: AWSPREVIOUS",
    ):
        admin.get_secret_value(SecretId=arn, VersionStage="AWSPREVIOUS")
    with refused(
        "InvalidRequestException",
        "You provided a VersionStage that is not associated to the provided VersionId.",
    ):
        admin.get_secret_value(SecretId=arn, VersionId=made["VersionId"], VersionStage="AWSPREVIOUS")
    empty = secretsmanager.secret(None)
    assert "VersionId" not in empty
    with refused(
        "ResourceNotFoundException",
        "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
    ):
        admin.get_secret_value(SecretId=empty["ARN"])


def test_ids_that_no_version_has(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    own = {"SecretId": secretsmanager.secret()["ARN"]}
    nothing = "\0" * 32
    with refused("ResourceNotFoundException"):
        admin.get_secret_value(**own, VersionId=nothing)
    with refused("ResourceNotFoundException"):
        admin.update_secret_version_stage(**own, VersionStage="x", MoveToVersionId=nothing)
    for operation in (admin.put_secret_value, admin.update_secret):
        with refused("ValidationException"):
            operation(**own, SecretString="x", ClientRequestToken=nothing)


def test_the_longest_name(secretsmanager: SecretsServer) -> None:
    made = secretsmanager.secret(Name="n" * 512)
    for name in (made["Name"], made["ARN"], made["ARN"][:-7]):
        assert secretsmanager.of().get_secret_value(SecretId=name)["SecretString"] == "first"
    with refused("ValidationException"):
        secretsmanager.secret(Name="n" * 513)


def test_a_name_that_looks_like_a_whole_arn_needs_its_own_end(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    made = secretsmanager.secret(Name="confusing-abcdef")
    assert admin.get_secret_value(SecretId="confusing-abcdef")["ARN"] == made["ARN"]
    assert admin.get_secret_value(SecretId=made["ARN"])["ARN"] == made["ARN"]
    with refused("ResourceNotFoundException", NO_SECRET):
        admin.get_secret_value(SecretId=made["ARN"][:-7])


def test_moving_labels(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    one = secretsmanager.secret("one")
    name, first = one["Name"], one["VersionId"]
    second = admin.put_secret_value(SecretId=name, SecretString="two", VersionStages=["AWSPENDING"])[
        "VersionId"
    ]
    admin.update_secret_version_stage(
        SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=second, RemoveFromVersionId=first
    )
    stages = admin.describe_secret(SecretId=name)["VersionIdsToStages"]
    assert {key: sorted(value) for key, value in stages.items()} == {
        first: ["AWSPREVIOUS"],
        second: ["AWSCURRENT", "AWSPENDING"],
    }
    admin.update_secret_version_stage(SecretId=name, VersionStage="AWSPENDING", RemoveFromVersionId=second)
    admin.update_secret_version_stage(SecretId=name, VersionStage="gold", MoveToVersionId=first)
    answer = admin.update_secret_version_stage(
        SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=first, RemoveFromVersionId=second
    )
    assert (answer["ARN"], answer["Name"]) == (one["ARN"], name)
    stages = admin.describe_secret(SecretId=name)["VersionIdsToStages"]
    assert {key: sorted(value) for key, value in stages.items()} == {
        first: ["AWSCURRENT", "gold"],
        second: ["AWSPREVIOUS"],
    }


def test_labels_that_do_not_move(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    one = secretsmanager.secret("one")
    name, first = one["Name"], one["VersionId"]
    second = admin.put_secret_value(SecretId=name, SecretString="two", VersionStages=["AWSPENDING"])[
        "VersionId"
    ]
    absent = str(uuid4())
    with refused(
        "InvalidParameterException",
        "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version "
        f"{first}, so you must explicitly reference that version in RemoveFromVersionId.",
    ):
        admin.update_secret_version_stage(SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=second)
    with refused(
        "InvalidParameterException",
        "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.",
    ):
        admin.update_secret_version_stage(SecretId=name, VersionStage="AWSCURRENT", RemoveFromVersionId=first)
    with refused(
        "InvalidParameterException",
        f"The staging label AWSCURRENT is currently attached to version {first}, and not to version {second}.",
    ):
        admin.update_secret_version_stage(
            SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=second, RemoveFromVersionId=second
        )
    with refused(
        "InvalidParameterException", f"The staging label gold is not currently attached to version {first}."
    ):
        admin.update_secret_version_stage(SecretId=name, VersionStage="gold", RemoveFromVersionId=first)
    with refused(
        "InvalidParameterException", "You must specify MoveToVersionId, RemoveFromVersionId, or both."
    ):
        admin.update_secret_version_stage(SecretId=name, VersionStage="gold")
    for member in ("MoveToVersionId", "RemoveFromVersionId"):
        with refused(
            "ResourceNotFoundException",
            f"Secrets Manager can't find the specified secret value for VersionId: {absent}",
        ):
            admin.update_secret_version_stage(SecretId=name, VersionStage="gold", **{member: absent})
    assert admin.get_secret_value(SecretId=name)["SecretString"] == "one"


def test_a_secret_has_20_labels_at_most(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    one = secretsmanager.secret()
    for number in range(19):
        admin.update_secret_version_stage(
            SecretId=one["ARN"], VersionStage=f"label-{number}", MoveToVersionId=one["VersionId"]
        )
    with refused("LimitExceededException", "You've reached the limit of 20 staging labels for a secret."):
        admin.put_secret_value(SecretId=one["ARN"], SecretString="x", VersionStages=["label-0", "another"])
    with refused("LimitExceededException"):
        admin.put_secret_value(SecretId=one["ARN"], SecretString="x")
    assert len(admin.list_secret_version_ids(SecretId=one["ARN"], IncludeDeprecated=True)["Versions"]) == 1
    assert admin.get_secret_value(SecretId=one["ARN"])["SecretString"] == "first"


def test_versions_are_listed(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    name = secretsmanager.secret("0")["Name"]
    ids = [
        admin.put_secret_value(SecretId=name, SecretString=str(number))["VersionId"] for number in range(1, 5)
    ]
    shown = admin.list_secret_version_ids(SecretId=name)
    assert [each["VersionId"] for each in shown["Versions"]] == ids[-2:]
    assert [each["VersionStages"] for each in shown["Versions"]] == [["AWSPREVIOUS"], ["AWSCURRENT"]]
    assert all(each["KmsKeyIds"] == ["DefaultEncryptionKey"] for each in shown["Versions"])
    assert "NextToken" not in shown
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = admin.list_secret_version_ids(SecretId=name, IncludeDeprecated=True, MaxResults=2, **token)
        assert len(page["Versions"]) <= 2
        found += [each["VersionId"] for each in page["Versions"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert found[1:] == ids
    assert len(found) == 5
    with refused("InvalidNextTokenException", "The NextToken value is invalid."):
        admin.list_secret_version_ids(SecretId=name, NextToken="x")


def test_what_a_secret_is_described_by(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    made = secretsmanager.secret(Description="of the app", Tags=[{"Key": "team", "Value": "red"}])
    shown = admin.describe_secret(SecretId=made["Name"])
    assert shown["ARN"] == made["ARN"]
    assert shown["Description"] == "of the app"
    assert shown["Tags"] == [{"Key": "team", "Value": "red"}]
    assert shown["VersionIdsToStages"] == {made["VersionId"]: ["AWSCURRENT"]}
    assert shown["CreatedDate"] == shown["LastChangedDate"]
    for absent in (
        *(
            "KmsKeyId",
            "RotationEnabled",
            "RotationLambdaARN",
            "RotationRules",
            "LastRotatedDate",
            "DeletedDate",
        ),
        *("NextRotationDate", "OwningService", "PrimaryRegion", "ReplicationStatus", "LastAccessedDate"),
    ):
        assert absent not in shown
    admin.update_secret(SecretId=made["Name"], Description="of another")
    shown = admin.describe_secret(SecretId=made["Name"])
    assert shown["Description"] == "of another"
    assert shown["LastChangedDate"] > shown["CreatedDate"]


def test_values_of_other_holders_are_not_served(secretsmanager: SecretsServer) -> None:
    text = "{} is not supported: Casemate holds the values of its own secrets only."
    with refused("InvalidParameterException", text.format("Type")):
        secretsmanager.of().create_secret(Name="partner", Type="Salesforce")
    with refused("InvalidParameterException", text.format("CrossAccountPrimaryARN")):
        secretsmanager.of().create_secret(
            Name="partner", CrossAccountPrimaryARN=secretsmanager.secret()["ARN"]
        )
    with refused("InvalidParameterException", text.format("Type")):
        secretsmanager.of().update_secret(SecretId=secretsmanager.secret()["ARN"], Type="Salesforce")


def test_values_in_a_batch(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    prefix = f"batch-{uuid4()}"
    made = [secretsmanager.secret(str(number), Name=f"{prefix}/{number}") for number in range(3)]
    admin.delete_secret(SecretId=made[2]["Name"])
    answer = admin.batch_get_secret_value(SecretIdList=[*(each["ARN"] for each in made), "absent"])
    assert [each["SecretString"] for each in answer["SecretValues"]] == ["0", "1"]
    assert answer["Errors"] == [
        {"SecretId": made[2]["ARN"], "ErrorCode": "InvalidRequestException", "Message": MARKED},
        {"SecretId": "absent", "ErrorCode": "ResourceNotFoundException", "Message": NO_SECRET},
    ]
    filters = [{"Key": "name", "Values": [prefix]}]
    first = admin.batch_get_secret_value(Filters=filters, MaxResults=1)
    assert [each["Name"] for each in first["SecretValues"]] == [f"{prefix}/0"]
    rest = admin.batch_get_secret_value(Filters=filters, MaxResults=5, NextToken=first["NextToken"])
    assert [each["Name"] for each in rest["SecretValues"]] == [f"{prefix}/1"]
    assert "NextToken" not in rest
    with refused(
        "InvalidParameterException", "Either 'SecretIdList' or 'Filters' must be provided, but not both."
    ):
        admin.batch_get_secret_value(SecretIdList=["x"], Filters=filters)
    with refused(
        "InvalidParameterException", "Either 'SecretIdList' or 'Filters' must be provided, but not both."
    ):
        admin.batch_get_secret_value()
    with refused(
        "InvalidParameterException",
        "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' or 'NextToken' is provided.",
    ):
        admin.batch_get_secret_value(SecretIdList=["x"], MaxResults=1)


def test_a_batch_needs_its_permissions(secretsmanager: SecretsServer) -> None:
    made = secretsmanager.secret()
    only_batch = secretsmanager.limit(inline("secretsmanager:BatchGetSecretValue"))
    with refused("AccessDeniedException"):
        only_batch.batch_get_secret_value(Filters=[{"Key": "name", "Values": ["test"]}])
    answer = only_batch.batch_get_secret_value(SecretIdList=[made["ARN"]])
    assert answer["SecretValues"] == []
    assert [each["ErrorCode"] for each in answer["Errors"]] == ["AccessDeniedException"]
    with refused("AccessDeniedException"):
        secretsmanager.of("nobody").batch_get_secret_value(SecretIdList=[made["ARN"]])
    # The audit has each of them.
    assert any(
        event["userIdentity"].get("arn") == user_arn("limited")
        and event.get("errorCode") == "AccessDeniedException"
        for event in secretsmanager.events("GetSecretValue")
    )


def test_whoever_may_not_know_does_not_learn_what_exists(secretsmanager: SecretsServer) -> None:
    made = secretsmanager.secret()
    nobody = secretsmanager.of("nobody")
    for name, shown in ((made["Name"], made["ARN"]), ("absent", "absent")):
        with refused(
            "AccessDeniedException",
            f"User: {user_arn('nobody')} is not authorized to perform: secretsmanager:GetSecretValue on resource: "
            f"{shown} because no identity-based policy allows the secretsmanager:GetSecretValue action",
        ):
            nobody.get_secret_value(SecretId=name)


def test_another_account_reads_by_the_whole_arn_where_the_policy_and_the_key_allow_it(
    secretsmanager: SecretsServer,
) -> None:
    stranger = secretsmanager.of("stranger")
    key = secretsmanager.key(
        Policy=policy(
            statement({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "kms:*"),
            statement({"AWS": user_arn("stranger")}, "kms:Decrypt", "kms:GenerateDataKey"),
        )
    )
    shared = secretsmanager.secret(KmsKeyId=key.rpartition("/")[2])["ARN"]
    default = secretsmanager.secret()["ARN"]
    with refused("AccessDeniedException"):
        stranger.get_secret_value(SecretId=shared)
    allowed = policy(
        statement(
            {"AWS": user_arn("stranger")}, "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"
        )
    )
    for arn in (shared, default):
        secretsmanager.of().put_resource_policy(SecretId=arn, ResourcePolicy=allowed)
    assert stranger.get_secret_value(SecretId=shared)["SecretString"] == "first"
    stranger.put_secret_value(SecretId=shared, SecretString="theirs")
    assert secretsmanager.of().get_secret_value(SecretId=shared)["SecretString"] == "theirs"
    text = (
        "You can't access a secret from a different AWS account if you encrypt the secret with the default KMS "
        "service key."
    )
    with refused("InvalidRequestException", text):
        stranger.get_secret_value(SecretId=default)
    with refused("InvalidRequestException", text):
        stranger.put_secret_value(SecretId=default, SecretString="x")
    # A name is of the caller's own account.
    with refused("ResourceNotFoundException", NO_SECRET):
        stranger.get_secret_value(SecretId=shared.rpartition(":")[2][:-7])
