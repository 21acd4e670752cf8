"""The archives of rotation functions, and what those refuse that no database is needed for."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from server_support import casemate

from casemate.cli.main import ROTATIONS
from casemate.cli.rotation import KINDS, package
from casemate.rotation_functions import alternating_users, mongodb, mysql, postgres, single_user, steps
from casemate.rotation_functions.steps import Refused, Rotation

ARN = "arn:aws:secretsmanager:us-east-1:111122223333:secret:db-AbCdEf"


class NotThere(Exception):
    """Secrets Manager's ResourceNotFoundException."""


class Fake:
    """Secrets Manager as a rotation function sees it: one secret's values by label, and those of others by ARN."""

    class exceptions:  # noqa: N801 - botocore has it so
        ResourceNotFoundException = NotThere

    def __init__(self, **values: Any) -> None:
        self.values: dict[str, str] = values
        self.others: dict[str, str] = {}
        self.enabled = True
        self.stages: dict[str, list[str]] = {"old": ["AWSCURRENT"], "new": ["AWSPENDING"]}
        self.put: dict[str, Any] = {}

    def describe_secret(self, SecretId: str) -> dict[str, Any]:  # noqa: N803
        assert SecretId == ARN
        return {"RotationEnabled": self.enabled, "VersionIdsToStages": self.stages}

    def get_secret_value(self, SecretId: str, VersionStage: str, VersionId: str = "") -> dict[str, str]:  # noqa: N803
        assert VersionId == ("new" if VersionStage == "AWSPENDING" else "")
        found = self.others.get(SecretId) if SecretId != ARN else self.values.get(VersionStage)
        if found is None:
            raise NotThere
        return {"SecretString": found}

    def put_secret_value(self, **request: Any) -> None:
        self.put = request

    def get_random_password(self, **options: Any) -> dict[str, str]:
        assert options["ExcludeCharacters"] == "/@\"'\\:"
        return {"RandomPassword": "p" * options["PasswordLength"]}


class Database:
    """A database module that knows one password."""

    ENGINE = "postgres"
    LONGEST_NAME = 12

    def __init__(self, user: str = "app", password: str = "old") -> None:
        self.passwords = {user: password}

    @contextmanager
    def login(self, secret: dict[str, Any]) -> Iterator[Any]:
        yield self if self.passwords.get(secret["username"]) == secret["password"] else None

    def set_password(self, connection: Any, user: str, password: str) -> None:
        self.passwords[user] = password

    def set_clone(self, connection: Any, user: str, clone: str, password: str) -> None:
        self.passwords[clone] = password

    def ask(self, connection: Any) -> None:
        assert connection is self


def value(user: str = "app", password: str = "old", host: str = "db", **more: str) -> str:
    import json

    return json.dumps({"engine": "postgres", "host": host, "username": user, "password": password, **more})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake(AWSCURRENT=value(), AWSPENDING=value(password="new"))
    monkeypatch.setattr(steps, "secrets_manager", lambda: made)
    return made


def event(step: str) -> dict[str, str]:
    return {"SecretId": ARN, "ClientRequestToken": "new", "Step": step, "RotationToken": "t" * 36}


def test_the_command_knows_every_kind() -> None:
    assert set(ROTATIONS) == set(KINDS)
    listed = casemate("rotation", "list")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_has_all_that_the_function_needs(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "function.zip"
    assert casemate("rotation", "package", kind, "--output", str(file)).returncode == 0
    assert file.read_bytes() == package(kind), "the same sources make the same archive"
    with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as archive:
        names = archive.namelist()
        entry = archive.read("lambda_function.py").decode()
    assert f"from rotation import {KINDS[kind].database}\n" in entry
    assert {"rotation/steps.py", f"rotation/{KINDS[kind].way}.py"} <= set(names)
    assert any(name.startswith(f"{KINDS[kind].driver}/") for name in names)
    assert not any(name.endswith(".pyc") or "dist-info" in name for name in names)


def test_one_user_by_the_steps(fake: Fake) -> None:
    database = Database()
    handle = single_user.handler_for(database)
    del fake.values["AWSPENDING"]
    handle(event("createSecret"), None)
    assert fake.put["VersionStages"] == ["AWSPENDING"]
    assert (fake.put["ClientRequestToken"], fake.put["RotationToken"]) == ("new", "t" * 36)
    assert '"password": "' + "p" * 32 in fake.put["SecretString"]
    fake.values["AWSPENDING"], fake.put = fake.put["SecretString"], {}
    handle(event("createSecret"), None)
    assert not fake.put, "a pending value stays"
    with pytest.raises(Refused, match="does not open"):
        handle(event("testSecret"), None)
    handle(event("setSecret"), None)
    handle(event("setSecret"), None)
    assert database.passwords == {"app": "p" * 32}
    handle(event("testSecret"), None)


def test_the_password_before_serves_where_the_current_one_was_never_set(fake: Fake) -> None:
    database = Database(password="before")
    fake.values["AWSPREVIOUS"] = value(password="before")
    single_user.handler_for(database)(event("setSecret"), None)
    assert database.passwords == {"app": "new"}


@pytest.mark.parametrize(
    ("stage", "text", "why"),
    [
        ("AWSPENDING", value(host="elsewhere", password="new"), "different hosts"),
        ("AWSPENDING", value(user="other", password="new"), "of another user"),
        ("AWSCURRENT", value(password="unknown"), "no version of the secret opens"),
        ("AWSCURRENT", "hunter2", "is not a JSON text"),
        ("AWSCURRENT", '{"host": "db", "username": "app"}', "lacks password"),
        ("AWSCURRENT", value(engine="mysql"), "is not one of postgres"),
    ],
)
def test_what_one_users_function_refuses(fake: Fake, stage: str, text: str, why: str) -> None:
    fake.values[stage] = text
    with pytest.raises(Refused, match=why) as refused:
        single_user.handler_for(Database())(event("setSecret"), None)
    assert "hunter2" not in str(refused.value)


def test_what_is_no_rotation(fake: Fake) -> None:
    handle = single_user.handler_for(Database())
    with pytest.raises(Refused, match="no such step"):
        handle(event("sellSecret"), None)
    fake.enabled = False
    with pytest.raises(Refused, match="not enabled"):
        handle(event("setSecret"), None)
    fake.enabled, fake.stages = True, {"old": ["AWSCURRENT"]}
    with pytest.raises(Refused, match="none of the secret's"):
        handle(event("setSecret"), None)
    fake.stages = {"old": ["AWSCURRENT"], "new": ["AWSPREVIOUS"]}
    with pytest.raises(Refused, match="not pending"):
        handle(event("setSecret"), None)
    fake.stages = {"new": ["AWSCURRENT"]}
    handle(event("nothing, for it is done"), None)


def test_two_users_by_the_steps(fake: Fake) -> None:
    master = ARN + "master"
    fake.values["AWSCURRENT"] = value(masterarn=master)
    fake.others[master] = value(user="root", password="secret")
    database = Database()
    database.passwords["root"] = "secret"
    handle = alternating_users.handler_for(database)
    del fake.values["AWSPENDING"]
    handle(event("createSecret"), None)
    fake.values["AWSPENDING"] = fake.put["SecretString"]
    handle(event("setSecret"), None)
    assert database.passwords["app_clone"] == "p" * 32
    assert database.passwords["app"] == "old"
    assert alternating_users.other_user("app_clone") == "app"


@pytest.mark.parametrize(
    ("current", "master", "why"),
    [
        (value(), None, "lacks masterarn"),
        (value(masterarn="gone"), None, "has no current value"),
        (value(masterarn="m"), value(host="elsewhere"), "different hosts"),
        (value(masterarn="m"), value(user="root", password="wrong"), "the master secret does not open"),
        (value(masterarn="m", password="wrong"), value(), "the current version does not open"),
    ],
)
def test_what_two_users_function_refuses(fake: Fake, current: str, master: str | None, why: str) -> None:
    fake.values.update(AWSCURRENT=current, AWSPENDING=value(user="app_clone", password="new"))
    if master is not None:
        fake.others["m"] = master
    with pytest.raises(Refused, match=why):
        alternating_users.handler_for(Database())(event("setSecret"), None)


def test_whose_turn_it_is(fake: Fake) -> None:
    with pytest.raises(Refused, match="whose turn it is not"):
        alternating_users.handler_for(Database())(event("setSecret"), None)
    fake.values = {"AWSCURRENT": value(user="a-long-name")}
    with pytest.raises(Refused, match="more than 12 characters"):
        alternating_users.handler_for(Database())(event("createSecret"), None)


def test_names_and_passwords_are_quoted() -> None:
    assert postgres._name('a"b') == '"a""b"'
    assert postgres._text("it's \\ here") == "E'it''s \\\\ here'"
    assert mysql._for_clone("GRANT SELECT ON `shop`.* TO `app`@`%`") == "GRANT SELECT ON `shop`.*"
    assert mysql._for_clone("GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*00'") == ""
    assert mysql._for_clone("GRANT PROXY ON ''@'%' TO 'root'@'localhost'") == ""


@pytest.mark.parametrize(("given", "ways"), [(None, 2), (True, 1), ("true", 1), (False, 1), ("false", 1)])
def test_tls_as_the_secret_wants_it(given: Any, ways: int) -> None:
    found = postgres.tls_of({} if given is None else {"ssl": given})
    assert len(found) == ways
    assert (found[0] is not None) == (given not in (False, "false"))


def test_mongodb_is_told_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real one is in no package of Debian's: what the driver is asked is what is looked at."""
    import pymongo

    asked: list[Any] = []

    class Client:
        def __init__(self, **options: Any) -> None:
            asked.append(options)

        def __enter__(self) -> Client:
            return self

        def __exit__(self, *_: object) -> None:
            asked.append("closed")

        def __getitem__(self, name: str) -> Client:
            asked.append(name)
            return self

        def command(self, *command: Any, **more: Any) -> dict[str, Any]:
            asked.append((command, more))
            return {"authInfo": {"authenticatedUsers": [{"user": "app"}]}}

    monkeypatch.setattr(pymongo, "MongoClient", Client)
    secret = {"host": "db", "username": "app", "password": "old", "dbname": "shop", "ssl": "true"}
    with mongodb.login(secret) as connection:
        mongodb.set_password(connection, "app", "new")
        mongodb.ask(connection)
    options = asked[0]
    assert (options["host"], options["port"], options["authSource"], options["tls"]) == (
        "db",
        27017,
        "shop",
        True,
    )
    assert asked[1] == "shop"
    assert (("updateUser", "app"), {"pwd": "new"}) in asked
    assert asked[-1] == "closed"


def test_a_mongodb_that_is_not_there_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongodb, "_MILLISECONDS", 50)
    with mongodb.login({"host": "127.0.0.1", "port": 1, "username": "a", "password": "b"}) as connection:
        assert connection is None


def test_a_rotation_has_its_token(fake: Fake) -> None:
    rotation = Rotation(fake, event("createSecret"), "postgres")
    assert (rotation.arn, rotation.version) == (ARN, "new")
