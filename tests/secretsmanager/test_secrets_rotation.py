"""Rotation, by the functions that ``casemate rotation install`` makes, in a real PostgreSQL and a real MariaDB."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from databases_support import MASTER, MASTER_PASSWORD, Database, mariadb, postgres
from secrets_support import SecretsServer, access_key, secrets_server
from server_support import casemate


class Rotating(NamedTuple):
    """A server whose functions reach the databases, which it rotates the passwords of."""

    server: SecretsServer
    databases: dict[str, Database]

    def install(self, kind: str, *more: str) -> str:
        """The function's ARN."""
        done = self.installing(kind, *more)
        assert done.returncode == 0, done.stderr
        arn: str = done.stdout.strip()
        return arn

    def installing(self, kind: str, *more: str) -> Any:
        """The command, once it has ended."""
        key = access_key("admin")
        return casemate(
            *("rotation", "install", kind, *more),
            env={
                "AWS_ACCESS_KEY_ID": key.id,
                "AWS_SECRET_ACCESS_KEY": key.secret,
                "AWS_REGION": "us-east-1",
                "AWS_ENDPOINT_URL": self.server.server.endpoint,
            },
        )

    def secret(self, database: Database, user: str, password: str, **more: str) -> Any:
        value = {
            "engine": database.engine,
            "host": "127.0.0.1",
            "port": database.port,
            "username": user,
            "password": password,
            "ssl": False,
            **more,
        }
        return self.server.secret(json.dumps(value))

    def value(self, arn: str, stage: str = "AWSCURRENT") -> dict[str, Any]:
        found = self.server.of().get_secret_value(SecretId=arn, VersionStage=stage)
        value: dict[str, Any] = json.loads(found["SecretString"])
        return value

    def rotate(self, arn: str, **more: Any) -> dict[str, Any]:
        """Rotate, and wait for it: the new current value."""
        version = self.server.of().rotate_secret(SecretId=arn, **more)["VersionId"]
        self.wait(arn, "RotationSucceeded", version)
        return self.value(arn)

    def wait(self, arn: str, event: str, version: str = "") -> dict[str, Any]:
        """Wait for an event of the secret's; its details."""
        end = time.monotonic() + 40
        while True:
            for record in self.server.events(event):
                details: dict[str, Any] = record.get("serviceEventDetails", {})
                if details.get("SecretId") == arn and details.get("VersionId", "") in ("", version or ""):
                    return details
            told = self.server.events("RotationFailed") + self.server.events("TestRotationFailed")
            failed = [
                each["serviceEventDetails"] for each in told if each["serviceEventDetails"]["SecretId"] == arn
            ]
            assert event in ("RotationFailed", "TestRotationFailed") or not failed, failed
            assert time.monotonic() < end, self.server.server.log[-3000:]
            time.sleep(0.1)


@pytest.fixture(scope="module")
def rotating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotating]:
    with postgres() as first, mariadb() as second:
        reached = ",".join(f"127.0.0.1:{each.port}" for each in (first, second))
        folder = tmp_path_factory.mktemp("rotating")
        with secrets_server(folder, env={"CASEMATE_LAMBDA_NETWORK": reached}) as server:
            yield Rotating(server, {"postgres": first, "mysql": second})


_MAKE_USER = {
    "postgres": ("CREATE USER {} WITH PASSWORD '{}'", "GRANT pg_monitor TO {}"),
    "mysql": ("CREATE USER {}@'%' IDENTIFIED BY '{}'", "GRANT SELECT ON mysql.* TO {}@'%'"),
}


def make_user(database: Database, user: str, password: str) -> None:
    create, grant = _MAKE_USER[database.engine]
    database.run(create.format(user, password), grant.format(user))


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_a_single_users_password(rotating: Rotating, engine: str) -> None:
    database = rotating.databases[engine]
    make_user(database, "alone", "the-first-password")
    function = rotating.install(f"{engine}-single-user")
    secret = rotating.secret(database, "alone", "the-first-password")
    rotated = rotating.rotate(
        secret["ARN"], RotationLambdaARN=function, RotationRules={"AutomaticallyAfterDays": 30}
    )
    assert rotated["username"] == "alone"
    assert len(rotated["password"]) == 32
    assert rotated["password"] != "the-first-password"
    assert database.opens("alone", rotated["password"])
    assert not database.opens("alone", "the-first-password")
    assert rotating.value(secret["ARN"], "AWSPREVIOUS")["password"] == "the-first-password"
    shown = rotating.server.of().describe_secret(SecretId=secret["ARN"])
    assert shown["RotationEnabled"] is True
    assert shown["RotationLambdaARN"] == function
    assert shown["RotationRules"] == {"AutomaticallyAfterDays": 30}
    assert (shown["NextRotationDate"] - shown["LastRotatedDate"]).days in (29, 30)


@pytest.mark.parametrize(
    ("engine", "granted"),
    [
        (
            "postgres",
            "SELECT count(*) FROM pg_stat_activity WHERE pg_has_role(current_user, 'pg_monitor', 'member')",
        ),
        ("mysql", "SELECT count(*) FROM mysql.user"),
    ],
)
def test_users_take_turns(rotating: Rotating, engine: str, granted: str) -> None:
    database = rotating.databases[engine]
    make_user(database, "turns", "the-first-password")
    master = rotating.secret(database, MASTER, MASTER_PASSWORD)["ARN"]
    function = rotating.install(f"{engine}-alternating-users", "--master-secret", master)
    secret = rotating.secret(database, "turns", "the-first-password", masterarn=master)["ARN"]
    first = rotating.rotate(
        secret, RotationLambdaARN=function, RotationRules={"ScheduleExpression": "rate(10 days)"}
    )
    assert first["username"] == "turns_clone"
    assert database.ask("turns_clone", first["password"], granted) > 0
    # Whoever uses the user of before is not locked out.
    assert database.opens("turns", "the-first-password")
    second = rotating.server.of().rotate_secret(SecretId=secret)["VersionId"]
    end = time.monotonic() + 40
    while rotating.server.of().get_secret_value(SecretId=secret)["VersionId"] != second:
        assert time.monotonic() < end, rotating.server.server.log[-3000:]
        time.sleep(0.1)
    value = rotating.value(secret)
    assert value["username"] == "turns"
    assert database.opens("turns", value["password"])
    assert not database.opens("turns", "the-first-password")
    assert database.opens("turns_clone", first["password"])


def test_a_role_that_may_do_something_else_is_not_taken(rotating: Rotating) -> None:
    iam = rotating.server.of(service="iam")
    name = ("--name", "careful")
    rotating.install("mysql-single-user", *name)
    rotating.install("mysql-single-user", *name)
    iam.attach_role_policy(RoleName="careful-role", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    done = rotating.installing("mysql-single-user", *name)
    assert done.returncode == 1
    assert "there is a role careful-role already" in done.stderr
