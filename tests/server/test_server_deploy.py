"""What deploy/ holds, checked as far as that goes without systemd and a container engine."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from casemate.engine.envelope.errors import SealError
from casemate.engine.envelope.seal_keyfile import KeyFileSeal
from casemate.server.config_file import PREFIX, SETTINGS
from casemate.services.lambda_.execution.isolation import _namespaces

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def unit(name: str = "casemate.service") -> dict[str, list[str]]:
    """The [Service] section's settings; those that may come more than once are lists."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in (DEPLOY / name).read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_every_variable_is_a_setting() -> None:
    texts = {path.name: path.read_text() for path in DEPLOY.iterdir()}
    for name, text in texts.items():
        for variable in set(re.findall(rf"\b{PREFIX}([A-Z_]+)", text)):
            assert variable.lower() in SETTINGS, f"{name}: {PREFIX}{variable}"


def test_the_unit_gives_nothing_away() -> None:
    service = unit()
    assert service["DynamicUser"] == ["yes"]
    assert service["ProtectSystem"] == ["strict"]
    assert service["CapabilityBoundingSet"] == [""]
    assert service["LoadCredential"] == ["seal.key:/etc/casemate/seal.key"]
    assert f"{PREFIX}SEAL=keyfile:%d/seal.key" in service["Environment"]


def test_what_functions_need_loosens_that_alone() -> None:
    """Nothing of it names another user, reaches other files, or gives the server a capability."""
    loosened = unit("functions.conf")
    assert set(loosened) == {
        *("RestrictNamespaces", "RestrictAddressFamilies", "SystemCallFilter", "MemoryDenyWriteExecute"),
        *("ProtectProc", "ProtectKernelTunables", "ProtectKernelLogs", "ProtectHostname"),
    }
    assert loosened["SystemCallFilter"][0] == ""
    assert set(loosened) <= set(unit())
    namespaces = set(loosened["RestrictNamespaces"][0].split())
    wanted = {option.removeprefix("--unshare-").removesuffix("-try") for option in _namespaces()}
    assert {"user", "ipc", "pid", "net", "uts", "cgroup"} == wanted & namespaces
    assert "bubblewrap" in (DEPLOY / "Dockerfile").read_text()


def test_the_units_credential_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd shows a credential to the service's user by an ACL, whose mask stands in the group's place."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    KeyFileSeal.create(credentials / "seal.key")
    (credentials / "seal.key").chmod(0o440)
    with pytest.raises(SealError, match="can be read by others"):
        KeyFileSeal.read(credentials / "seal.key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert KeyFileSeal.read(credentials / "seal.key").id.startswith("keyfile:")
    for mode in (0o444, 0o460, 0o450):
        (credentials / "seal.key").chmod(mode)
        with pytest.raises(SealError, match="can be read by others"):
            KeyFileSeal.read(credentials / "seal.key")
    elsewhere = tmp_path / "seal.key"
    KeyFileSeal.create(elsewhere)
    elsewhere.chmod(0o440)
    with pytest.raises(SealError, match="can be read by others"):
        KeyFileSeal.read(elsewhere)


def test_the_units_installation_makes_a_key(tmp_path: Path) -> None:
    """The one-liner of its head, with another path."""
    text = (DEPLOY / "casemate.service").read_text()
    found = re.search(r"-c '(.*?)'\n", text, re.DOTALL)
    assert found
    code = re.sub(r"\\\n#\s*", "", found[1]).replace("/etc/casemate/seal.key", str(tmp_path / "seal.key"))
    subprocess.run([sys.executable, "-c", code], check=True)
    KeyFileSeal.read(tmp_path / "seal.key")


def test_the_images_health_check_is_a_program() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    found = re.search(r'CMD \["python", "-ISc", "(.*)"\]', text)
    assert found
    compile(found[1], "HEALTHCHECK", "exec")
    assert "/_casemate/health" in found[1]
    # Without a server it says so by its status.
    done = subprocess.run(
        [sys.executable, "-ISc", found[1].replace("'4566'", "'9'")], capture_output=True, check=False
    )
    assert done.returncode != 0


def test_the_image_runs_without_root() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert "USER 10001:10001" in lines
    assert lines.index("USER 10001:10001") < lines.index('ENTRYPOINT ["casemate"]')
    copied = [shlex.split(line)[1:-1] for line in lines if line.startswith("COPY") and "--from" not in line]
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for source in (source for sources in copied for source in sources):
        assert f"!{source}" in ignored, f"{source} does not reach the build"
        assert (DEPLOY.parent / source).exists()
