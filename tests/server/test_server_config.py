"""Settings: where they come from, what is allowed, and that all that is wrong is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.server.config import Config
from casemate.server.config_file import SETTINGS, ConfigError, default_data, default_of, load

ROOT = Path(__file__).resolve().parents[2]


def read(
    tmp_path: Path,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    file: str | None = None,
) -> Config:
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    if file is not None:
        (data / "casemate.toml").write_text(file)
    return load({"data": str(data), **(flags or {})}, environ or {})


def problems(tmp_path: Path, **kinds: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, **kinds)
    return "\n".join(refused.value.problems)


def test_every_field_of_config_can_be_set() -> None:
    assert set(SETTINGS) == {field.name for field in fields(Config)} - {"file"}


def test_the_documentation_names_every_setting_with_its_default() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = {
        line.split("|")[1].strip().strip("`"): line
        for line in page.splitlines()
        if line.startswith("| `") and line.count("|") >= 4
    }
    for name in SETTINGS:
        assert name in rows, f"{name} is not documented"
        default = default_of(name)
        if name not in ("data", "dev") and isinstance(default, str | int | float) and default != "":
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            assert f"`{shown}`" in rows[name], f"the default of {name}, {shown}, is not documented"
    assert set(rows) <= set(SETTINGS), "documented, but there is no such setting"


def test_defaults(tmp_path: Path) -> None:
    assert read(tmp_path) == Config(data=tmp_path / "data")


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    file = "port = 1001\ntls_port = 1002\nmetrics_port = 1003\n"
    environ = {"CASEMATE_PORT": "2001", "CASEMATE_TLS_PORT": "2002"}
    config = read(tmp_path, {"port": "3001"}, environ, file)
    assert (config.port, config.tls_port, config.metrics_port) == (3001, 2002, 1003)


def test_a_file_can_hold_every_kind_of_value(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "s.toml").write_text("")
    config = read(
        tmp_path,
        file='host = "0.0.0.0"\nworkers = 4\nmetrics_port = "off"\nseed = "s.toml"\naudit = "relaxed"\n'
        'tls_names = ["kms.example"]\ncors_origins = ["https://a.example"]\ndrain_seconds = 1.5\n'
        '[quotas]\n"kms:Encrypt" = 10\n"*" = 100\n',
    )
    assert config == Config(
        data=tmp_path / "data",
        host="0.0.0.0",
        workers=4,
        metrics_port=None,
        seed=tmp_path / "data" / "s.toml",
        audit="relaxed",
        tls_names=("kms.example",),
        cors_origins=("https://a.example",),
        drain_seconds=1.5,
        quotas={"kms:Encrypt": 10.0, "*": 100.0},
    )


def test_the_environment_can_hold_every_kind_of_value(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        environ={
            "CASEMATE_DEV": "true",
            "CASEMATE_TLS_PORT": "off",
            "CASEMATE_TLS_NAMES": "a.example, 10.0.0.1",
            "CASEMATE_QUOTAS": "kms:Encrypt=10, *=0.5",
            "CASEMATE_DATABASE": "postgresql://u:secret@h/db",
        },
    )
    assert config.dev
    assert config.tls_port is None
    assert config.tls_names == ("a.example", "10.0.0.1")
    assert config.quotas == {"kms:Encrypt": 10.0, "*": 0.5}
    assert config.database_url == "postgresql://u:secret@h/db"


def test_everything_wrong_is_told_at_once_with_name_and_place(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        flags={"port": "70000"},
        environ={"CASEMATE_WORKERS": "many"},
        file='audit = "sometimes"\nprot = 1\n',
    )
    assert "--port: must be a port" in told
    assert "CASEMATE_WORKERS: must be a number from 1 to 64" in told
    assert "audit in " in told
    assert "must be durable or relaxed" in told
    assert "prot in " in told
    assert "there is no such setting" in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", ""),
        ("port", "-1"),
        ("port", "4566.0"),
        ("tls_port", "on"),
        ("workers", "0"),
        ("workers", "65"),
        ("dev", "maybe"),
        ("seed", "/nowhere/seed.toml"),
        ("database", "mysql://h/db"),
        ("database", "file:/nowhere"),
        ("seal", "vault:x"),
        ("seal", "keyfile:relative"),
        ("seal", "passphrase:plain words"),
        ("audit", "none"),
        ("region", "mars-north-1"),
        ("account", "123"),
        ("tls_cert", "/nowhere.pem"),
        ("cors_origins", "not an origin"),
        ("quotas", "kms:Encrypt"),
        ("quotas", "kms:Encrypt=0"),
        ("quotas", "kms:Encrypt=-1"),
        ("quotas", "Encrypt=5"),
        ("max_connections", "0"),
        ("drain_seconds", "-1"),
        ("drain_seconds", "nan"),
        ("log_level", "chatty"),
        ("log_format", "xml"),
    ],
)
def test_a_wrong_value_is_refused(tmp_path: Path, name: str, value: str) -> None:
    assert f"--{name.replace('_', '-')}: must be" in problems(tmp_path, flags={name: value})


@pytest.mark.parametrize(
    "line",
    ["port = true", 'port = "4566"', "workers = 1.5", "dev = 1", "quotas = 5", "tls_names = 'a'", "host = 1"],
)
def test_a_value_of_another_type_is_refused_in_a_file(tmp_path: Path, line: str) -> None:
    assert "must be" in problems(tmp_path, file=line)


def test_a_password_does_not_belong_into_a_file(tmp_path: Path) -> None:
    told = problems(tmp_path, file='database = "postgresql://u:hunter2@h/db"')
    assert "database in " in told
    assert "hunter2" not in told


def test_a_database_url_does_not_show_in_a_repr(tmp_path: Path) -> None:
    assert "hunter2" not in repr(Config(data=tmp_path, database="postgresql://u:hunter2@h/db"))


def test_a_database_url_can_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://u:hunter2@h/db\n")
    secret.chmod(0o600)
    assert read(tmp_path, {"database": f"file:{secret}"}).database == "postgresql://u:hunter2@h/db"
    secret.chmod(0o640)
    assert "mode 0600" in problems(tmp_path, flags={"database": f"file:{secret}"})


def test_what_is_not_toml_is_told_without_quoting_it(tmp_path: Path) -> None:
    told = problems(tmp_path, file="seal = hunter2\n")
    assert "is not TOML" in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ('port = "off"\ntls_port = "off"', "at least one"),
        ("port = 5000\ntls_port = 5000", "must differ"),
        ('seal = "keyfile:/k"\nprevious_seal = "keyfile:/k"', "previous_seal: must differ"),
        ('data = "/elsewhere"', "cannot name another"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(tmp_path: Path, file: str, told: str) -> None:
    assert told in problems(tmp_path, file=file)


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("")
    assert "together" in problems(tmp_path, flags={"tls_cert": str(tmp_path / "c.pem")})


def test_any_free_port_may_be_asked_for_more_than_once(tmp_path: Path) -> None:
    config = read(tmp_path, {"port": "0", "tls_port": "0", "metrics_port": "0"})
    assert (config.port, config.tls_port, config.metrics_port) == (0, 0, 0)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read"):
        load({}, {}, file=tmp_path / "nowhere.toml")


def test_a_named_file_may_name_the_data_directory(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('data = "here"\n')
    assert load({}, {"CASEMATE_CONFIG": str(file)}).data == tmp_path / "here"


def test_a_dev_server_without_a_directory_gets_a_throwaway_one(tmp_path: Path) -> None:
    assert load({"dev": "true"}, {}, throwaway=lambda: tmp_path / "made").data == tmp_path / "made"
    given_one = load({"dev": "true", "data": str(tmp_path)}, {}, throwaway=lambda: tmp_path / "made")
    assert given_one.data == tmp_path


def test_the_default_directory_is_xdgs() -> None:
    assert default_data({"XDG_DATA_HOME": "/x"}) == Path("/x/casemate")
    assert default_data({"XDG_DATA_HOME": "relative"}) == Path.home() / ".local/share/casemate"
    assert default_data({}) == Path.home() / ".local/share/casemate"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(name=st.sampled_from(sorted(SETTINGS)), value=VALUES)
def test_any_value_is_read_or_refused(name: str, value: Any) -> None:
    from casemate.server.config_file import Origin

    for is_text in (False, True):
        try:
            SETTINGS[name].read(value, Origin(name, Path("/"), is_text))
        except (ValueError, OSError):
            continue
