"""``casemate run``: commands with parameters and secrets in their environment."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from server_support import Server, casemate, casemate_process

from casemate.cli.bundles import variable

SHOW = (sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))")


@pytest.fixture(scope="module")
def filled(server: Server) -> Server:
    """With parameters and secrets."""
    ssm, secrets = server.client("ssm"), server.client("secretsmanager")
    for name, value in (
        ("/run/app/db/password", "hunter2"),
        ("/run/app/log-level", "debug\nmore"),
        ("/run/other/DB_PASSWORD", "other"),
        ("/run/twice/a-b", "1"),
        ("/run/twice/a_b", "2"),
        ("/run/loads/ld/preload", "/tmp/theirs.so"),
        ("/run/loads/kept", "yes"),
    ):
        ssm.put_parameter(Name=name, Value=value, Type="SecureString")
    for name, secret in (
        ("run/db", json.dumps({"user": "app", "port": 5432, "tls": {"on": True}})),
        ("run/token", "t0ken"),
        ("run/nul", json.dumps({"a": "b\0c"})),
    ):
        secrets.create_secret(Name=name, SecretString=secret)
    return server


def run(server: Server, *args: str, env: Mapping[str, str] | None = None) -> Any:
    return casemate_process("run", *args, env={**server.env, **(env or {})})


def shown(server: Server, *places: str, env: Mapping[str, str] | None = None) -> dict[str, str]:
    named = [word for place in places for word in ("--env-from", place)]
    done = run(server, *named, "--", *SHOW, env=env)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_parameters_and_secrets_are_variables(filled: Server) -> None:
    found = shown(
        filled, "ssm:/run/app/", "secret:run/db", "secret:run/token", env={"KEPT": "yes", "USER": "me"}
    )
    wanted = {
        "DB_PASSWORD": "hunter2",
        "LOG_LEVEL": "debug\nmore",
        "USER": "app",
        "PORT": "5432",
        "TLS_ON": "true",
        "TOKEN": "t0ken",
        "KEPT": "yes",
    }
    assert {name: found.get(name) for name in wanted} == wanted


def test_the_command_has_its_arguments_and_its_status(filled: Server) -> None:
    done = run(
        filled,
        "--env-from",
        "secret:run/token",
        "--",
        sys.executable,
        "-c",
        "import sys; sys.exit(len(sys.argv))",
        "-x",
        "--",
    )
    assert done.returncode == 3
    assert "t0ken" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (("ssm:/run/none",), "ssm:/run/none holds nothing"),
        (("secret:run/none",), "secret:run/none holds nothing"),
        (("secret:run/nul",), "the value of A has a NUL character, which no variable may have"),
        (("ssm:/run/loads",), "ssm:/run/loads would set LD_PRELOAD, by which programs find code to run"),
        (("ssm:/run/twice",), "ssm:/run/twice has two names that make the variable A_B"),
        (
            ("ssm:/run/app", "ssm:/run/other"),
            "the variable DB_PASSWORD is in ssm:/run/other and in one before it",
        ),
    ],
)
def test_nothing_runs_without_all_of_it(filled: Server, places: tuple[str, ...], message: str) -> None:
    named = [word for place in places for word in ("--env-from", place)]
    done = run(filled, *named, "--", *SHOW)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == f"casemate: {message}"
    assert "hunter2" not in done.stderr


def test_what_finds_code_is_set_when_that_is_meant(filled: Server) -> None:
    done = run(
        filled,
        *("--env-from", "ssm:/run/loads", "--allow", "LD_PRELOAD", "--"),
        "/bin/sh",
        "-c",
        "echo $KEPT",
    )
    assert done.stdout == "yes\n"
    assert done.returncode == 0


def test_whoever_may_not_read_runs_nothing(filled: Server) -> None:
    iam = filled.client("iam")
    iam.create_user(UserName="runner")
    key = iam.create_access_key(UserName="runner")["AccessKey"]
    done = run(
        filled,
        *("--env-from", "ssm:/run/app", "--", *SHOW),
        env={"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]},
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "is not authorized to perform: ssm:GetParametersByPath" in done.stderr


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (
            ("--env-from", "secret:run/token", "--", "no-such-command-here"),
            127,
            "there is no command no-such-command-here",
        ),
        (("--env-from", "secret:run/token", "--", "/"), 126, "/ cannot be run: Permission denied"),
        (("--env-from", "secret:run/token", "--"), 2, "which command?"),
        (("--env-from", "dotenv:x", "--", "true"), 2, "'dotenv:x' is no place to take variables from"),
        (("--env-from", "ssm:run", "--", "true"), 2, "'run' is no path of parameters of your own"),
        (("--env-from", "ssm:", "--", "true"), 2, "'ssm:' names no place"),
    ],
)
def test_what_cannot_be_run(filled: Server, args: tuple[str, ...], status: int, message: str) -> None:
    done = casemate("run", *args, env=filled.env)
    assert done.returncode == status
    assert done.stderr.splitlines()[0] == f"casemate: {message}"


@pytest.mark.parametrize(
    ("name", "made"),
    [("db/password", "DB_PASSWORD"), ("2fa", "_2FA"), ("größe", "GR__E"), ("a.b-c", "A_B_C")],
)
def test_names_of_variables(name: str, made: str) -> None:
    assert variable(name) == made
