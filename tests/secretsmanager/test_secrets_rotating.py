"""RotateSecret and CancelRotateSecret: what is refused, what is retried, when the next window is, what is told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from rotation_support import BAD, GOOD, LAZY, function, told, zipped
from secrets_support import (
    ACCOUNT,
    MARKED,
    ON_REPLICA,
    REPLICA_REGION,
    SecretsServer,
    inline,
    refused,
    secrets_server,
)

CANNOT_INVOKE = (
    "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to "
    "the principal secretsmanager.amazonaws.com."
)
DAILY = {"AutomaticallyAfterDays": 1}


class Rotated(SecretsServer):
    """Its clock is moved by these tests, forwards only. good, bad, lazy, forbidden: functions."""

    good: str
    bad: str
    lazy: str
    forbidden: str


@pytest.fixture(scope="module")
def rotated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotated]:
    with secrets_server(tmp_path_factory.mktemp("rotated")) as running:
        server = Rotated(running.server)
        server.good = function(server, "good", GOOD)
        server.bad = function(server, "bad", BAD)
        server.lazy = function(server, "lazy", LAZY)
        server.forbidden = function(server, "forbidden", GOOD, permitted=False)
        yield server


def test_what_is_not_a_configuration(rotated: Rotated) -> None:
    admin = rotated.of()
    own = {"SecretId": rotated.secret()["ARN"]}
    with refused(
        "InvalidRequestException", "No Lambda rotation function ARN is associated with this secret."
    ):
        admin.rotate_secret(**own)
    for no_function in (
        *(rotated.forbidden, rotated.good + "-absent", f"arn:aws:lambda:us-east-1:{ACCOUNT}:function"),
        *("nonsense", rotated.good.replace("us-east-1", "eu-west-1")),
    ):
        with refused("AccessDeniedException", CANNOT_INVOKE):
            admin.rotate_secret(**own, RotationLambdaARN=no_function, RotationRules=DAILY)
    rules: list[tuple[dict[str, Any], str]] = [
        (
            {**DAILY, "ScheduleExpression": "rate(1 day)"},
            "You must specify either AutomaticallyAfterDays or ScheduleExpression in RotationRules, but not both.",
        ),
        (
            {"Duration": "2h"},
            "You must specify either AutomaticallyAfterDays or ScheduleExpression in RotationRules, but not both.",
        ),
        ({"ScheduleExpression": "rate(2 minutes)"}, "ScheduleExpression is invalid."),
        ({"ScheduleExpression": "rate(2 hours)"}, "A secret can be rotated every four hours at most."),
        ({**DAILY, "Duration": "0h"}, "The rotation window must be an hour at least."),
        (
            {"AutomaticallyAfterDays": 2, "Duration": "25h"},
            "The rotation window must not extend into the next UTC day.",
        ),
        (
            {"ScheduleExpression": "rate(4 hours)", "Duration": "5h"},
            "The rotation window must not extend into the next rotation window.",
        ),
    ]
    for given, text in rules:
        with refused("InvalidParameterException", text):
            admin.rotate_secret(**own, RotationLambdaARN=rotated.good, RotationRules=given)
    with refused("ValidationException"):
        admin.rotate_secret(
            **own, RotationLambdaARN=rotated.good, RotationRules={"AutomaticallyAfterDays": 1001}
        )
    shown = admin.describe_secret(**own)
    assert "RotationEnabled" not in shown
    assert list(shown["VersionIdsToStages"].values()) == [["AWSCURRENT"]]


def test_whom_it_is_refused(rotated: Rotated) -> None:
    request = {"SecretId": rotated.secret()["ARN"], "RotationLambdaARN": rotated.good, "RotationRules": DAILY}
    with refused("AccessDeniedException"):
        rotated.of("nobody").rotate_secret(**request)
    with refused("AccessDeniedException"):
        rotated.of("nobody").cancel_rotate_secret(SecretId=request["SecretId"])
    # Whoever has it rotated must be allowed to invoke the function themselves.
    with refused("AccessDeniedException", CANNOT_INVOKE):
        rotated.limit(inline("secretsmanager:RotateSecret")).rotate_secret(**request)


def test_secrets_that_are_not_rotated(rotated: Rotated) -> None:
    admin = rotated.of()
    name = rotated.secret(AddReplicaRegions=[{"Region": REPLICA_REGION}])["Name"]
    there = rotated.of(region=REPLICA_REGION)
    for operation in (there.rotate_secret, there.cancel_rotate_secret):
        with refused("InvalidRequestException", ON_REPLICA):
            operation(SecretId=name)
    deleted = rotated.secret()["ARN"]
    admin.delete_secret(SecretId=deleted)
    for operation in (admin.rotate_secret, admin.cancel_rotate_secret):
        with refused("InvalidRequestException", MARKED):
            operation(SecretId=deleted)


def test_a_secret_is_rotated_at_once_and_again_when_its_window_begins(rotated: Rotated) -> None:
    admin = rotated.of()
    made = rotated.secret(AddReplicaRegions=[{"Region": REPLICA_REGION}])
    own = {"SecretId": made["ARN"]}
    token = str(uuid4())
    started = admin.rotate_secret(
        **own, ClientRequestToken=token, RotationLambdaARN=rotated.good, RotationRules=DAILY
    )
    assert (started["ARN"], started["Name"], started["VersionId"]) == (made["ARN"], made["Name"], token)
    # The same again is no other rotation.
    assert admin.rotate_secret(**own, ClientRequestToken=token)["VersionId"] == token
    told(rotated, made["ARN"], "RotationSucceeded")
    assert len(told(rotated, made["ARN"], "RotationStarted")) == 1
    found = admin.get_secret_value(**own)
    assert (found["VersionId"], found["SecretString"]) == (token, f"made by {token}")
    assert admin.get_secret_value(**own, VersionStage="AWSPREVIOUS")["SecretString"] == "first"
    there = rotated.of(region=REPLICA_REGION).get_secret_value(SecretId=made["Name"])
    assert there["SecretString"] == f"made by {token}"
    shown = admin.describe_secret(**own)
    following = shown["NextRotationDate"]
    assert (following.hour, following.minute, following.second) == (23, 59, 59)
    assert timedelta() < following - shown["LastRotatedDate"] <= timedelta(days=2)
    (listed,) = admin.list_secrets(Filters=[{"Key": "name", "Values": [made["Name"]]}])["SecretList"]
    assert (listed["RotationEnabled"], listed["RotationRules"]) == (True, DAILY)
    rotated.advance("24h")
    told(rotated, made["ARN"], "RotationSucceeded", 2)
    assert admin.get_secret_value(**own)["VersionId"] != token
    assert admin.describe_secret(**own)["NextRotationDate"] - following == timedelta(days=1)
    admin.cancel_rotate_secret(**own)
    rotated.advance("48h")
    assert len(told(rotated, made["ARN"], "RotationSucceeded", 2)) == 2
    shown = admin.describe_secret(**own)
    assert shown["RotationEnabled"] is False
    assert shown["RotationLambdaARN"] == rotated.good
    assert "NextRotationDate" not in shown


def test_a_failed_rotation_is_tried_five_times_and_told(rotated: Rotated) -> None:
    admin = rotated.of()
    own = {"SecretId": rotated.secret()["ARN"]}
    version = admin.rotate_secret(**own, RotationLambdaARN=rotated.bad, RotationRules=DAILY)["VersionId"]
    for attempt, pause in enumerate(("", "10s", "60s", "300s", "900s"), 1):
        if pause:
            rotated.advance(pause)
        details = told(rotated, own["SecretId"], "RotationFailed", attempt)
        assert details[-1]["reason"] == "createSecret: the function ended with LookupError"
    assert "hunter2" not in rotated.server.log
    rotated.advance("3600s")
    assert len(told(rotated, own["SecretId"], "RotationFailed", 5)) == 5
    stages = admin.describe_secret(**own)["VersionIdsToStages"]
    assert stages[version] == ["AWSPENDING"]
    assert admin.get_secret_value(**own)["SecretString"] == "first"
    with refused(
        "ResourceNotFoundException",
        "Secrets Manager can't find the specified secret value for staging label: AWSPENDING",
    ):
        admin.get_secret_value(**own, VersionStage="AWSPENDING")
    with refused(
        "InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted."
    ):
        admin.rotate_secret(**own)
    # With the function as it should be, the next window does what was to be done.
    rotated.of(service="lambda").update_function_code(FunctionName="bad", ZipFile=zipped(GOOD))
    rotated.advance("24h")
    told(rotated, own["SecretId"], "RotationSucceeded")
    assert admin.get_secret_value(**own)["VersionId"] == version
    rotated.of(service="lambda").update_function_code(FunctionName="bad", ZipFile=zipped(BAD))
    admin.cancel_rotate_secret(**own)


def test_rotations_are_announced(rotated: Rotated) -> None:
    admin, events = rotated.of(), rotated.of(service="events")
    own = {"SecretId": rotated.secret()["ARN"]}
    bus = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"
    for name in ("RotationSucceeded", "RotationFailed"):
        pattern = {
            "source": ["aws.secretsmanager"],
            "detail-type": ["AWS Service Event via CloudTrail"],
            "detail": {"eventName": [name], "additionalEventData": {"SecretId": [own["SecretId"]]}},
        }
        events.create_archive(ArchiveName=name, EventSourceArn=bus, EventPattern=json.dumps(pattern))
    admin.rotate_secret(**own, RotationLambdaARN=rotated.good, RotationRules=DAILY)
    told(rotated, own["SecretId"], "RotationSucceeded")
    admin.rotate_secret(**own, RotationLambdaARN=rotated.bad)
    told(rotated, own["SecretId"], "RotationFailed")
    admin.cancel_rotate_secret(**own)
    end = time.monotonic() + 20
    for name in ("RotationSucceeded", "RotationFailed"):
        while not events.describe_archive(ArchiveName=name)["EventCount"]:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert events.describe_archive(ArchiveName=name)["EventCount"] == 1


def test_a_function_that_does_nothing_has_not_rotated(rotated: Rotated) -> None:
    admin = rotated.of()
    own = {"SecretId": rotated.secret()["ARN"]}
    version = admin.rotate_secret(**own, RotationLambdaARN=rotated.lazy, RotationRules=DAILY)["VersionId"]
    (details,) = told(rotated, own["SecretId"], "RotationFailed")
    assert details["reason"] == "the function did not finish the rotation"
    answer = admin.cancel_rotate_secret(**own)
    assert answer["VersionId"] == version
    assert "VersionId" not in admin.cancel_rotate_secret(**own)
    rotated.advance("60s")
    assert len(told(rotated, own["SecretId"], "RotationFailed")) == 1
    # It can begin anew once the label is off the version.
    with refused("InvalidRequestException"):
        admin.rotate_secret(**own, RotationLambdaARN=rotated.good)
    admin.update_secret_version_stage(**own, VersionStage="AWSPENDING", RemoveFromVersionId=version)
    admin.rotate_secret(**own, RotationLambdaARN=rotated.good)
    told(rotated, own["SecretId"], "RotationSucceeded")
    admin.cancel_rotate_secret(**own)


def test_a_function_that_may_not_be_invoked_any_more_is_told_of(rotated: Rotated) -> None:
    admin, functions = rotated.of(), rotated.of(service="lambda")
    own = {"SecretId": rotated.secret()["ARN"]}
    admin.rotate_secret(**own, RotationLambdaARN=rotated.good, RotationRules=DAILY)
    told(rotated, own["SecretId"], "RotationSucceeded")
    functions.remove_permission(FunctionName="good", StatementId="rotation")
    try:
        rotated.advance("24h")
        (details,) = told(rotated, own["SecretId"], "RotationFailed")
        assert details["reason"] == ("createSecret: the function could not be invoked: AccessDeniedException")
    finally:
        functions.add_permission(
            FunctionName="good",
            StatementId="rotation",
            Action="lambda:InvokeFunction",
            Principal="secretsmanager.amazonaws.com",
            SourceAccount=ACCOUNT,
        )
    admin.cancel_rotate_secret(**own)


def test_a_configuration_is_tried_without_a_rotation(rotated: Rotated) -> None:
    admin = rotated.of()
    for code, event in ((rotated.good, "TestRotationSucceeded"), (rotated.bad, "TestRotationFailed")):
        made = rotated.secret()
        own = {"SecretId": made["ARN"]}
        answer = admin.rotate_secret(
            **own,
            RotationLambdaARN=code,
            RotationRules={"ScheduleExpression": "cron(0 8 1 * ? *)", "Duration": "3h"},
            RotateImmediately=False,
        )
        assert "VersionId" not in answer
        told(rotated, made["ARN"], event)
        shown = admin.describe_secret(**own)
        assert shown["VersionIdsToStages"] == {made["VersionId"]: ["AWSCURRENT"]}
        assert shown["RotationRules"] == {"ScheduleExpression": "cron(0 8 1 * ? *)", "Duration": "3h"}
        following = shown["NextRotationDate"]
        assert (following.day, following.hour, following.minute) == (1, 10, 59)
        assert "LastRotatedDate" not in shown
        assert len(admin.list_secret_version_ids(**own, IncludeDeprecated=True)["Versions"]) == 1
        assert admin.get_secret_value(**own)["SecretString"] == "first"
        admin.cancel_rotate_secret(**own)


def test_a_value_by_hand_ends_a_rotation_and_puts_off_the_next(rotated: Rotated) -> None:
    admin = rotated.of()
    own = {"SecretId": rotated.secret()["ARN"]}
    version = admin.rotate_secret(
        **own, RotationLambdaARN=rotated.bad, RotationRules={"AutomaticallyAfterDays": 3}
    )["VersionId"]
    told(rotated, own["SecretId"], "RotationFailed")
    before = admin.describe_secret(**own)["NextRotationDate"]
    rotated.advance("1s")
    admin.put_secret_value(**own, SecretString="not yet", VersionStages=["another"])
    assert admin.describe_secret(**own)["VersionIdsToStages"][version] == ["AWSPENDING"]
    admin.put_secret_value(**own, SecretString="by hand")
    told(rotated, own["SecretId"], "RotationAbandoned")
    shown = admin.describe_secret(**own)
    assert version not in shown["VersionIdsToStages"]
    assert shown["NextRotationDate"] >= before
    assert admin.get_secret_value(**own)["SecretString"] == "by hand"
    admin.cancel_rotate_secret(**own)


def test_a_rotations_token_is_its_own(rotated: Rotated) -> None:
    admin = rotated.of()
    own = {"SecretId": rotated.secret()["ARN"]}
    text = "The RotationToken is not that of a rotation in progress."
    with refused("InvalidParameterException", text):
        admin.put_secret_value(**own, SecretString="x", RotationToken=str(uuid4()))
    version = admin.rotate_secret(**own, RotationLambdaARN=rotated.bad, RotationRules=DAILY)["VersionId"]
    with refused("InvalidParameterException", text):
        admin.put_secret_value(
            **own, SecretString="x", ClientRequestToken=version, RotationToken=str(uuid4())
        )
    admin.cancel_rotate_secret(**own)


def test_a_deleted_secret_is_not_rotated(rotated: Rotated) -> None:
    admin = rotated.of()
    own = {"SecretId": rotated.secret()["ARN"]}
    admin.rotate_secret(**own, RotationLambdaARN=rotated.good, RotationRules=DAILY)
    told(rotated, own["SecretId"], "RotationSucceeded")
    admin.delete_secret(**own)
    rotated.advance("24h")
    assert len(told(rotated, own["SecretId"], "RotationSucceeded")) == 1
    admin.restore_secret(**own)
    # What was missed is made up for.
    told(rotated, own["SecretId"], "RotationSucceeded", 2)
    admin.cancel_rotate_secret(**own)


@pytest.mark.parametrize(
    ("operator", "key", "value", "good", "bad"),
    [
        (
            "ArnLike",
            "secretsmanager:RotationLambdaARN",
            "arn:aws:lambda:*:*:function:good",
            {},
            {"RotationLambdaARN": "bad"},
        ),
        (
            *("Bool", "secretsmanager:ModifyRotationRules", "false"),
            *({}, {"RotationRules": DAILY}),
        ),
        (
            *("Bool", "secretsmanager:RotateImmediately", "false"),
            *({"RotateImmediately": False}, {"RotateImmediately": True}),
        ),
    ],
)
def test_condition_keys(
    rotated: Rotated, operator: str, key: str, value: str, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    own = {"SecretId": rotated.secret()["ARN"], "RotationLambdaARN": rotated.good}
    bad = {name: rotated.bad if given == "bad" else given for name, given in bad.items()}
    user = rotated.limit(
        inline("secretsmanager:RotateSecret", condition={operator: {key: value}}).replace(
            '"Statement": [',
            '"Statement": [{"Effect": "Allow", "Action": ["lambda:*", "kms:*"], "Resource": "*"}, ',
        )
    )
    with refused("AccessDeniedException"):
        user.rotate_secret(**{**own, **bad})
    user.rotate_secret(**{**own, **good})
    rotated.of().cancel_rotate_secret(SecretId=own["SecretId"])


def test_a_functions_role_reaches_the_secrets_that_it_rotates(rotated: Rotated) -> None:
    mine, other = rotated.secret()["ARN"], rotated.secret()["ARN"]
    rotated.of().rotate_secret(SecretId=mine, RotationLambdaARN=rotated.lazy, RotationRules=DAILY)
    user = rotated.limit(
        inline(
            "secretsmanager:GetSecretValue",
            condition={"StringEquals": {"secretsmanager:resource/AllowRotationLambdaArn": rotated.lazy}},
        )
    )
    assert user.get_secret_value(SecretId=mine)["SecretString"] == "first"
    with refused("AccessDeniedException"):
        user.get_secret_value(SecretId=other)
    rotated.of().cancel_rotate_secret(SecretId=mine)
