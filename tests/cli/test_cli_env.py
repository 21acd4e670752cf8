"""``casemate env`` and ``casemate init``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from server_support import Server, casemate


def in_shell(script: str, data: Path, **env: str) -> dict[str, str]:
    """The AWS_ variables after a shell has run the script. $CASEMATE is the command, $DATA the directory."""
    done = subprocess.run(
        [
            "sh",
            "-euc",
            script
            + "\nexec "
            + sys.executable
            + " -c 'import os, json; print(json.dumps(dict(os.environ)))'",
        ],
        env={
            "PATH": os.environ["PATH"],
            "CASEMATE": f"{sys.executable} -m casemate.cli.main",
            "DATA": str(data),
            **env,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return {name: value for name, value in found.items() if name.startswith("AWS_")}


def test_a_shell_gets_what_the_running_server_needs(server: Server) -> None:
    found = in_shell(
        'eval "$($CASEMATE env --data "$DATA")"', server.data, AWS_SESSION_TOKEN="of another account"
    )
    assert found == server.env


def test_tls_comes_with_its_authority(server: Server) -> None:
    found = in_shell('eval "$($CASEMATE env --tls --data "$DATA")"', server.data)
    assert found == {
        **server.env,
        "AWS_ENDPOINT_URL": server.tls_endpoint,
        "AWS_CA_BUNDLE": str(server.ca_bundle),
    }


def test_without_a_server_the_configured_one_is_meant(tmp_path: Path) -> None:
    data = tmp_path / "with 'quotes' and spaces"
    made = casemate("init", "--data", str(data), env={"CASEMATE_ACCOUNT": "111122223333"})
    assert made.returncode == 0
    assert "111122223333" in made.stdout
    found = in_shell(
        'eval "$($CASEMATE env --data "$DATA")"',
        data,
        CASEMATE_PORT="5000",
        CASEMATE_HOST="0.0.0.0",
        CASEMATE_REGION="eu-central-1",
    )
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:5000"
    assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "eu-central-1"
    assert (
        in_shell('eval "$($CASEMATE env --data "$DATA")"', data, CASEMATE_HOST="::1")["AWS_ENDPOINT_URL"]
        == "http://[::1]:4566"
    )
    secure = in_shell('eval "$($CASEMATE env --tls --data "$DATA")"', data)
    assert secure["AWS_ENDPOINT_URL"] == "https://127.0.0.1:4567"
    assert secure["AWS_CA_BUNDLE"] == str(data / "tls" / "ca.pem")


@pytest.mark.parametrize(
    ("shell", "begins"),
    [
        ("sh", "export AWS_ENDPOINT_URL="),
        ("fish", "set -gx AWS_ENDPOINT_URL '"),
        ("powershell", "$Env:AWS_ENDPOINT_URL = '"),
        ("dotenv", "AWS_ENDPOINT_URL=http"),
    ],
)
def test_every_shell_has_its_way(server: Server, shell: str, begins: str) -> None:
    done = casemate("env", "--shell", shell, "--data", str(server.data))
    assert any(line.startswith(begins) for line in done.stdout.splitlines())


def test_before_the_first_start_there_is_advice(tmp_path: Path) -> None:
    for data in (tmp_path, tmp_path / "missing"):
        done = casemate("env", "--data", str(data))
        assert done.returncode == 1
        assert done.stdout == "", "an eval of nothing does nothing"
        assert "there are no credentials" in done.stderr
        assert "casemate serve" in done.stderr


def test_init_twice_changes_nothing(tmp_path: Path) -> None:
    first = casemate("init", "--data", str(tmp_path / "data"))
    credentials = (tmp_path / "data" / "credentials").read_bytes()
    assert first.returncode == 0
    assert "is ready" in first.stdout
    second = casemate("init", "--data", str(tmp_path / "data"))
    assert second.returncode == 0
    assert "was initialised before" in second.stdout
    assert (tmp_path / "data" / "credentials").read_bytes() == credentials


def test_init_with_a_seed(tmp_path: Path) -> None:
    key = {"id": "AKIAIOSFODNN7EXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
    seed = {"accounts": [{"id": "111122223333", "root_access_keys": [key]}]}
    (tmp_path / "seed.json").write_text(json.dumps(seed))
    data = tmp_path / "data"
    done = casemate("init", "--data", str(data), "--seed", str(tmp_path / "seed.json"))
    assert done.returncode == 0
    assert key["secret"] not in done.stdout
    assert key["secret"] in casemate("env", "--data", str(data)).stdout
