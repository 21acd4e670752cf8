"""Secrets Manager by others' clients: the AWS CLI, and AWS's caching client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_secretsmanager_caching import (  # type: ignore[import-untyped]
    InjectKeywordedSecretString,
    SecretCache,
    SecretCacheConfig,
)
from secrets_support import REGION, SecretsServer, access_key, refused


def aws(secretsmanager: SecretsServer, *args: str) -> Any:
    """What the AWS CLI answers, as JSON."""
    return secretsmanager.server.aws(access_key("admin"), "secretsmanager", *args, region=REGION)


def test_the_examples_of_the_clis_reference(secretsmanager: SecretsServer, tmp_path: Path) -> None:
    credentials = tmp_path / "mycreds.json"
    credentials.write_text('{"engine": "mysql", "username": "saanvis", "password": "EXAMPLE-PASSWORD"}')
    made = aws(
        secretsmanager,
        *("create-secret", "--name", "MyTestSecret", "--description", "My test secret created with the CLI."),
        *("--secret-string", f"file://{credentials}"),
    )
    assert made["Name"] == "MyTestSecret"
    found = aws(secretsmanager, "get-secret-value", "--secret-id", "MyTestSecret")
    assert json.loads(found["SecretString"])["username"] == "saanvis"
    put = aws(
        secretsmanager,
        *("put-secret-value", "--secret-id", "MyTestSecret"),
        *("--secret-string", '{"user":"diegor","password":"EXAMPLE-PASSWORD"}'),
    )
    assert put["VersionStages"] == ["AWSCURRENT"]
    aws(
        secretsmanager,
        *("tag-resource", "--secret-id", "MyTestSecret", "--tags", "Key=FirstTag,Value=FirstValue"),
    )
    listed = aws(secretsmanager, "list-secrets", "--filter", "Key=name,Values=MyTestSec")
    assert [each["Name"] for each in listed["SecretList"]] == ["MyTestSecret"]
    deleted = aws(
        secretsmanager, "delete-secret", "--secret-id", "MyTestSecret", "--recovery-window-in-days", "7"
    )
    assert deleted["ARN"] == made["ARN"]
    aws(secretsmanager, "restore-secret", "--secret-id", "MyTestSecret")


@pytest.fixture
def cache(secretsmanager: SecretsServer) -> SecretCache:
    return SecretCache(
        config=SecretCacheConfig(secret_refresh_interval=3600, max_cache_size=4),
        client=secretsmanager.of(),
    )


def test_the_caching_client(secretsmanager: SecretsServer, cache: SecretCache) -> None:
    text = secretsmanager.secret('{"username": "app", "password": "hunter2"}')["Name"]
    binary = secretsmanager.secret(None)["Name"]
    secretsmanager.of().put_secret_value(SecretId=binary, SecretBinary=b"\0binary")
    asked = len(secretsmanager.events("GetSecretValue"))
    for _ in range(3):
        assert json.loads(cache.get_secret_string(text))["password"] == "hunter2"
        assert cache.get_secret_binary(binary) == b"\0binary"
    assert len(secretsmanager.events("GetSecretValue")) == asked + 2

    inject = InjectKeywordedSecretString(secret_id=text, cache=cache, user="username", secret="password")

    def connect(user: str, secret: str) -> tuple[str, str]:
        return user, secret

    assert inject(connect)() == ("app", "hunter2")
    with refused("ResourceNotFoundException"):
        cache.get_secret_string("absent")
    secretsmanager.of().put_secret_value(SecretId=text, SecretString="new")
    cache.refresh_secret_now(text)
    assert cache.get_secret_string(text) == "new"
