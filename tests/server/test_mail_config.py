"""The setting of the SMTP server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from issuer_support import Certificate

from casemate.server.config_file import ConfigError, load

_LEAST = {"host": "mail.example.com", "sender": "a@example.com", "url": "https://casemate.example.com/"}


def _read(folder: Path, table: Any) -> Any:
    environ = {"CASEMATE_DATA": str(folder), "CASEMATE_SMTP": json.dumps(table)}
    return load({}, environ).smtp


def test_defaults_and_all_there_is(tmp_path: Path) -> None:
    server = _read(tmp_path, _LEAST)
    assert (server.port, server.security, server.user) == (587, "starttls", "")
    assert server.url == "https://casemate.example.com"
    assert _read(tmp_path, {**_LEAST, "security": "tls"}).port == 465
    password = tmp_path / "password"
    password.write_text("hidden words\n")
    password.chmod(0o600)
    certificate = Certificate(tmp_path)
    server = _read(
        tmp_path,
        {
            **_LEAST,
            "port": 2525,
            "user": "u",
            "password_file": str(password),
            "authorities": str(certificate.file),
        },
    )
    assert (server.port, server.user, server.password) == (2525, "u", "hidden words")
    assert "hidden words" not in repr(server)
    own = {"host": "127.0.0.1", "security": "none", "user": "u", "password_file": str(password)}
    assert _read(tmp_path, {**_LEAST, **own}).port == 25


@pytest.mark.parametrize(
    "more",
    [
        *({name: None} for name in _LEAST),
        {"port": 0},
        {"port": "25"},
        {"security": "ssl"},
        {"sender": "Somebody <a@example.com>"},
        {"sender": "a@example.com\nBcc: b@example.com"},
        {"host": "a b"},
        {"url": "casemate.example.com"},
        {"url": "https://a/path"},
        {"url": "https://user@a"},
        {"user": "u"},
        {"password_file": "/dev/null"},
        {"user": "u", "password_file": "absent"},
        {"user": "u", "password_file": "readable"},
        {"security": "none", "user": "u", "password_file": "private"},
        {"authorities": "absent"},
        {"authorities": "private"},
        {"nonsense": "x"},
    ],
)
def test_what_is_refused(tmp_path: Path, more: dict[str, Any]) -> None:
    for name, mode in (("readable", 0o644), ("private", 0o600)):
        (tmp_path / name).write_text("password")
        (tmp_path / name).chmod(mode)
    table = {name: value for name, value in {**_LEAST, **more}.items() if value is not None}
    for name in ("password_file", "authorities"):
        if name in table and not table[name].startswith("/"):
            table[name] = str(tmp_path / table[name])
    with pytest.raises(ConfigError, match="CASEMATE_SMTP: must be a table of host, sender"):
        _read(tmp_path, table)


@pytest.mark.parametrize("hosts", ["http://a", "10.0.0.1/8", "a b"])
def test_hosts_that_cannot_be_named(tmp_path: Path, hosts: str) -> None:
    with pytest.raises(ConfigError, match="CASEMATE_EGRESS_HOSTS: must be a list of host names, addresses"):
        load({}, {"CASEMATE_DATA": str(tmp_path), "CASEMATE_EGRESS_HOSTS": hosts})


def test_where_endpoints_may_be(tmp_path: Path) -> None:
    environ = {"CASEMATE_DATA": str(tmp_path)}
    assert load({}, environ).egress == ("*",)
    assert "10.0.0.0/8" in load({}, {**environ, "CASEMATE_DEV": "true"}).egress
    given = load(
        {}, {**environ, "CASEMATE_DEV": "true", "CASEMATE_EGRESS_HOSTS": "hooks.example, 10.0.0.0/8"}
    )
    assert given.egress == ("hooks.example", "10.0.0.0/8")
