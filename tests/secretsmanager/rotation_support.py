"""Rotation functions for tests that are about Secrets Manager, and not about databases."""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from typing import Any

from secrets_support import ACCOUNT, SecretsServer, inline

GOOD = """
from botocore.session import Session

def handler(event, context):
    client = Session().create_client("secretsmanager")
    secret, version, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    if step == "createSecret":
        client.put_secret_value(
            SecretId=secret, ClientRequestToken=version, SecretString="made by " + version,
            VersionStages=["AWSPENDING"], RotationToken=event["RotationToken"],
        )
    elif step == "testSecret":
        client.get_secret_value(SecretId=secret, VersionId=version, VersionStage="AWSPENDING")
    elif step == "finishSecret":
        stages = client.describe_secret(SecretId=secret)["VersionIdsToStages"]
        current = next(each for each, held in stages.items() if "AWSCURRENT" in held)
        client.update_secret_version_stage(
            SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=version, RemoveFromVersionId=current
        )
"""
BAD = """
def handler(event, context):
    raise LookupError("hunter2 is not to be told")
"""
LAZY = """
def handler(event, context):
    pass
"""


def zipped(code: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", code)
    return buffer.getvalue()


def function(server: SecretsServer, name: str, code: str, *, permitted: bool = True) -> str:
    """A new function's ARN. permitted: whether Secrets Manager may invoke it."""
    iam, functions = server.of(service="iam"), server.of(service="lambda")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    role = iam.create_role(RoleName=f"role-{name}", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=f"role-{name}", PolicyName="own", PolicyDocument=inline("secretsmanager:*"))
    made: str = functions.create_function(
        FunctionName=name,
        Role=role,
        Runtime=f"python3.{sys.version_info.minor}",
        Handler="index.handler",
        Timeout=30,
        Code={"ZipFile": zipped(code)},
    )["FunctionArn"]
    if permitted:
        functions.add_permission(
            FunctionName=name,
            StatementId="rotation",
            Action="lambda:InvokeFunction",
            Principal="secretsmanager.amazonaws.com",
            SourceAccount=ACCOUNT,
        )
    return made


def told(server: SecretsServer, arn: str, event: str, count: int = 1) -> list[dict[str, Any]]:
    """The details of a secret's events of that name, once there are so many."""
    end = time.monotonic() + 20
    while True:
        found = [
            record["serviceEventDetails"]
            for record in server.events(event)
            if record["serviceEventDetails"]["SecretId"] == arn
        ]
        if len(found) >= count or time.monotonic() > end:
            why = [each["serviceEventDetails"] for each in server.events("RotationFailed")]
            assert len(found) == count, (found, why, server.server.log[-3000:])
            return found
        time.sleep(0.1)
