"""References to secrets, by a real client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ssm_support import Ssm, refused

REFERENCE = "/aws/reference/secretsmanager/"


@pytest.fixture(scope="module")
def secret(ssm: Ssm) -> Any:
    """Of two versions."""
    client = ssm.of(service="secretsmanager")
    client.create_secret(Name="app/db", SecretString="old")
    client.create_secret(Name="binary", SecretBinary=b"\0\1")
    return client.put_secret_value(SecretId="app/db", SecretString="hunter2")


def test_a_secret_is_read_as_a_parameter(ssm: Ssm, secret: Any) -> None:
    name = f"{REFERENCE}app/db"
    found = ssm.of().get_parameter(Name=name, WithDecryption=True)["Parameter"]
    assert (found["Name"], found["Type"], found["Value"]) == (name, "SecureString", "hunter2")
    assert (found["Version"], found["ARN"]) == (0, secret["ARN"])
    source = json.loads(found["SourceResult"])
    assert (source["Name"], source["SecretString"]) == ("app/db", "hunter2")
    assert source["VersionStages"] == ["AWSCURRENT"]
    several = ssm.of().get_parameters(Names=[name, f"{REFERENCE}none"], WithDecryption=True)
    assert several["Parameters"] == [found]
    assert several["InvalidParameters"] == [f"{REFERENCE}none"]


def test_a_version_is_selected(ssm: Ssm, secret: Any) -> None:
    assert ssm.value(f"{REFERENCE}app/db:AWSPREVIOUS") == "old"
    assert ssm.value(f"{REFERENCE}app/db:{secret['VersionId']}") == "hunter2"


def test_what_is_refused(ssm: Ssm, secret: Any) -> None:
    client = ssm.of()
    with refused(
        "ValidationException", "WithDecryption flag must be True for retrieving a Secret Manager secret."
    ):
        client.get_parameter(Name=f"{REFERENCE}app/db")
    with refused(
        "ParameterNotFound",
        f"An error occurred (ParameterNotFound) when referencing Secrets Manager: Secret {REFERENCE}none not found.",
    ):
        client.get_parameter(Name=f"{REFERENCE}none", WithDecryption=True)
    with refused("ParameterNotFound"):
        client.get_parameter(Name=f"{REFERENCE}app/db:NONE", WithDecryption=True)
    with refused("UnsupportedParameterType"):
        client.get_parameter(Name=f"{REFERENCE}binary", WithDecryption=True)
    for name in (f"{REFERENCE}", f"{REFERENCE}a b", f"{REFERENCE}a*", f"{REFERENCE}a:b:c"):
        with refused("ValidationException"):
            client.get_parameter(Name=name, WithDecryption=True)
    with refused("ParameterNotFound"):
        client.get_parameter_history(Name=f"{REFERENCE}app/db")
    with refused("AccessDeniedException"):
        client.put_parameter(Name=f"{REFERENCE}mine", Value="x", Type="String")


def test_it_takes_both_permissions(ssm: Ssm, secret: Any) -> None:
    name = f"{REFERENCE}app/db"
    for user, action in (("reader", "ssm:GetParameter"), ("getter", "secretsmanager:GetSecretValue")):
        with refused("AccessDeniedException"):
            ssm.value(name, user)
        (event,) = [
            each
            for each in ssm.all_events("GetParameter")
            if each.get("errorCode") and each["userIdentity"].get("userName") == user and name in str(each)
        ]
        assert action in event["errorMessage"]
