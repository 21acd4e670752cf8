"""``casemate import`` and ``casemate export``, to and from files and a KV secrets engine."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kv_support import Kv, kv_server
from server_support import Server, casemate

from casemate.cli import dotenv
from casemate.cli.bundles import flattened, nested


@pytest.fixture(scope="module")
def kv() -> Iterator[Kv]:
    with kv_server() as running:
        yield running


def moved(server: Server, *args: str, env: Mapping[str, str] | None = None) -> list[str]:
    done = casemate(*args, env={**server.env, **(env or {})})
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def failed(server: Server, *args: str, env: Mapping[str, str] | None = None) -> str:
    done = casemate(*args, env={**server.env, **(env or {})})
    assert done.returncode in (1, 2)
    return next(line for line in done.stderr.splitlines() if line.startswith("casemate: "))


def parameters(server: Server, path: str) -> dict[str, str]:
    pages = server.client("ssm").get_paginator("get_parameters_by_path")
    found = pages.paginate(Path=path, Recursive=True, WithDecryption=True)
    return {
        each["Name"].removeprefix(f"{path}/"): each["Value"] for page in found for each in page["Parameters"]
    }


def secret(server: Server, name: str) -> Any:
    return json.loads(server.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])


def test_dotenv_to_parameters_and_back(server: Server, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# of the app\nexport DB_URL='postgres://x'\nTOKEN=\"a\\nb\"\n\nEMPTYISH=x # comment\n")
    place = "ssm:/move/dotenv"
    plan = moved(server, "import", f"dotenv:{file}", place, "--dry-run")
    assert plan == [
        *("+ DB_URL", "+ EMPTYISH", "+ TOKEN"),
        f"{place}: 3 would be added, 0 would be changed, 0 would be deleted, 0 the same",
    ]
    assert parameters(server, "/move/dotenv") == {}
    moved(server, "import", f"dotenv:{file}", place)
    assert parameters(server, "/move/dotenv") == {"DB_URL": "postgres://x", "TOKEN": "a\nb", "EMPTYISH": "x"}
    types = server.client("ssm").get_parameters(Names=["/move/dotenv/TOKEN"])["Parameters"]
    assert types[0]["Type"] == "SecureString"
    file.write_text('DB_URL=changed-value\nTOKEN="a\\nb"\nMORE=1\n')
    plan = moved(server, "import", f"dotenv:{file}", place, "--dry-run", "--delete")
    assert plan == [
        *("~ DB_URL", "- EMPTYISH", "+ MORE"),
        f"{place}: 1 would be added, 1 would be changed, 1 would be deleted, 1 the same",
    ]
    assert not any("value" in line for line in plan)
    moved(server, "import", f"dotenv:{file}", place, "--delete")
    assert parameters(server, "/move/dotenv") == {"DB_URL": "changed-value", "TOKEN": "a\nb", "MORE": "1"}
    history = server.client("ssm").get_parameter_history(Name="/move/dotenv/TOKEN")["Parameters"]
    assert len(history) == 1, "what is the same is not written anew"
    back = tmp_path / "back.env"
    moved(server, "export", place, f"dotenv:{back}")
    assert dotenv.parse(back.read_text()) == parameters(server, "/move/dotenv")
    assert stat.S_IMODE(back.stat().st_mode) == 0o600


def test_json_is_a_hierarchy(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "app.json"
    document = {"db": {"password": "hunter2", "port": 5432, "tls": True}, "name": "app"}
    file.write_text(json.dumps(document))
    moved(server, "import", f"json:{file}", "ssm:/move/json", "--type", "String")
    assert parameters(server, "/move/json") == {
        "db/password": "hunter2",
        "db/port": "5432",
        "db/tls": "true",
        "name": "app",
    }
    moved(server, "import", f"json:{file}", "secret:move/json")
    assert secret(server, "move/json") == document
    done = casemate("export", "secret:move/json", "json:-", env=server.env)
    assert json.loads(done.stdout) == document
    assert "json:-: 4 added" in done.stderr
    done = casemate("export", "ssm:/move/json", "dotenv:-", env=server.env)
    assert dotenv.parse(done.stdout) == {
        "DB_PASSWORD": "hunter2",
        "DB_PORT": "5432",
        "DB_TLS": "true",
        "NAME": "app",
    }


def test_what_a_secret_has_besides_stays(server: Server, tmp_path: Path) -> None:
    client = server.client("secretsmanager")
    client.create_secret(Name="move/besides", SecretString=json.dumps({"port": 5432, "password": "old"}))
    file = tmp_path / "new.json"
    file.write_text(json.dumps({"password": "new"}))
    assert moved(server, "import", f"json:{file}", "secret:move/besides")[0] == "~ password"
    assert secret(server, "move/besides") == {"port": 5432, "password": "new"}
    before = client.describe_secret(SecretId="move/besides")["VersionIdsToStages"]
    moved(server, "import", f"json:{file}", "secret:move/besides")
    assert client.describe_secret(SecretId="move/besides")["VersionIdsToStages"] == before
    moved(server, "import", f"json:{file}", "secret:move/besides", "--delete")
    assert secret(server, "move/besides") == {"password": "new"}


def test_a_long_value_takes_the_advanced_tier(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "long.json"
    file.write_text(json.dumps({"long": "x" * 5000}))
    key_id = server.client("kms").create_key()["KeyMetadata"]["KeyId"]
    moved(server, "import", f"json:{file}", "ssm:/move/long", "--key-id", key_id)
    (shown,) = server.client("ssm").describe_parameters(
        ParameterFilters=[{"Key": "Path", "Values": ["/move/long"]}]
    )["Parameters"]
    assert (shown["Tier"], shown["KeyId"]) == ("Advanced", key_id)


def test_a_kv_secrets_engine(server: Server, kv: Kv) -> None:
    kv.data["app"] = ({"db": {"password": "hunter2"}, "port": 5432}, 3)
    plan = moved(server, "import", "vault:secret/app", "ssm:/move/kv", "--dry-run", env=kv.env)
    assert plan[:2] == ["+ db/password", "+ port"]
    moved(server, "import", "vault:secret/app", "ssm:/move/kv", env=kv.env)
    assert parameters(server, "/move/kv") == {"db/password": "hunter2", "port": "5432"}
    server.client("ssm").put_parameter(Name="/move/kv/new", Value="x", Type="String")
    moved(server, "export", "ssm:/move/kv", "vault:secret/app", env=kv.env)
    assert kv.data["app"] == ({"db": {"password": "hunter2"}, "port": 5432, "new": "x"}, 4)
    moved(server, "export", "ssm:/move/kv", "vault:secret/fresh", env=kv.env)
    assert kv.data["fresh"] == ({"db": {"password": "hunter2"}, "port": "5432", "new": "x"}, 1)
    moved(server, "export", "ssm:/move/kv", "vault:kv/old", env=kv.env)
    assert kv.old["old"]["new"] == "x"
    bao = {"BAO_ADDR": kv.address, "BAO_TOKEN": kv.env["VAULT_TOKEN"]}
    moved(server, "import", "vault:kv/old", "secret:move/old", env=bao)
    assert secret(server, "move/old") == kv.old["old"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("import", "ssm:/x", "dotenv:x"), "dotenv:x is not of this server"),
        (("export", "dotenv:x", "ssm:/x"), "dotenv:x is not of this server"),
        (("import", "json:none.json", "ssm:/x"), "json:none.json holds nothing"),
        (("import", "nothing", "ssm:/x"), "'nothing' names no place"),
        (("import", "s3:x", "ssm:/x"), "'s3:x' names no place"),
        (("export", "ssm:/aws/service", "json:-"), "'/aws/service' is no path of parameters of your own"),
        (("export", "ssm:/move/none", "json:-"), "ssm:/move/none holds nothing"),
    ],
)
def test_places_that_are_none(server: Server, args: tuple[str, ...], message: str) -> None:
    assert failed(server, *args) == f"casemate: {message}"


def test_files_that_are_none(server: Server, tmp_path: Path) -> None:
    for kind, text, message in (
        ("json", "[]", "is no JSON object"),
        ("json", '{"a/b": "hunter2"}', "the name 'a/b' cannot be used: it is empty, or has a slash"),
        ("dotenv", "A=1\n'hunter2'\n", "line 2 is no NAME=value"),
        ("dotenv", "A='hunter2", "line 1 is no NAME=value"),
    ):
        file = tmp_path / "bad"
        file.write_text(text)
        told = failed(server, "import", f"{kind}:{file}", "ssm:/move/bad")
        assert message in told
        assert "hunter2" not in told
    (tmp_path / "latin").write_bytes(b"A=\xff")
    assert "is not in UTF-8" in failed(server, "import", f"dotenv:{tmp_path}/latin", "ssm:/move/bad")
    assert "cannot be read" in failed(server, "import", f"dotenv:{tmp_path}", "ssm:/move/bad")
    client = server.client("secretsmanager")
    client.create_secret(Name="move/binary", SecretBinary=b"\0")
    assert "is binary" in failed(server, "export", "secret:move/binary", "json:-")
    server.client("ssm").put_parameter(Name="/move/both/a", Value="x", Type="String")
    server.client("ssm").put_parameter(Name="/move/both/a/b", Value="x", Type="String")
    assert "a name that has a value of its own" in failed(server, "export", "ssm:/move/both", "json:-")


def test_kv_servers_that_refuse(server: Server, kv: Kv) -> None:
    for env, path, message in (
        ({"VAULT_ADDR": "", "BAO_ADDR": ""}, "secret/app", "where is the Vault or OpenBao server?"),
        ({"VAULT_ADDR": "file:///etc"}, "secret/app", "where is the Vault or OpenBao server?"),
        ({"VAULT_TOKEN": "", "BAO_TOKEN": "", "HOME": "/none"}, "secret/app", "there is no token"),
        ({"VAULT_TOKEN": "wrong"}, "secret/app", "HTTP 403"),
        ({}, "none/app", "HTTP 403"),
        ({}, "secret", "there is no KV secrets engine at secret"),
        ({}, "secret/none", "vault:secret/none holds nothing"),
        ({}, "elsewhere/app", "HTTP 307"),
        ({"VAULT_ADDR": "http://127.0.0.1:9"}, "secret/app", "cannot be asked"),
    ):
        assert message in failed(server, "import", f"vault:{path}", "ssm:/move/x", env={**kv.env, **env})


# --- pure


_VALUES = st.text(st.characters(codec="utf-8"))
_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


@given(st.dictionaries(_NAMES, _VALUES))
def test_what_is_rendered_parses_to_the_same(values: dict[str, str]) -> None:
    assert dotenv.parse(dotenv.render(values)) == values


@given(st.text(max_size=60))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        found = dotenv.parse(text)
    except dotenv.NotDotenv:
        return
    assert dotenv.parse(dotenv.render(found)) == found


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1", {"A": "1"}),
        ("A=\nB=", {"A": "", "B": ""}),
        (" export A = b c  \r\n", {"A": "b c"}),
        ("A=b#c # d", {"A": "b#c"}),
        ("A= # none", {"A": ""}),
        ("A='b # $c \\n'", {"A": "b # $c \\n"}),
        ("A='b\nc'\nD=e", {"A": "b\nc", "D": "e"}),
        ('A="b\\tc\\"d\\\\" # e', {"A": 'b\tc"d\\'}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=$HOME", {"A": "$HOME"}),
    ],
)
def test_forms_of_dotenv(text: str, values: dict[str, str]) -> None:
    assert dotenv.parse(text) == values


@pytest.mark.parametrize("text", ["A", "1A=x", 'A="x', "A='x' y", "=x", "A-B=x"])
def test_what_is_no_dotenv(text: str) -> None:
    with pytest.raises(dotenv.NotDotenv, match="line 1 is no NAME=value"):
        dotenv.parse(text)


_PARTS = st.text("abc", min_size=1, max_size=2)
_TREES = st.recursive(
    st.text(max_size=3), lambda inner: st.dictionaries(_PARTS, inner, min_size=1, max_size=3), max_leaves=8
)


@given(st.dictionaries(_PARTS, _TREES))
def test_hierarchies_flatten_and_nest_again(tree: dict[str, Any]) -> None:
    assert nested(flattened(tree)) == tree
