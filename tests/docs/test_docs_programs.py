"""The programs in examples/, run as their README says, against real servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from docs_support import ROOT

from casemate.server.config_file import PREFIX, SETTINGS
from casemate.server.seed import read_seed

EXAMPLES = ROOT / "examples"
PROGRAM = EXAMPLES / "envelope_encryption.py"
WITH_CASEMATE = EXAMPLES / "ci" / "with-casemate"
TOOLS = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def run(*command: object, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        env={"PATH": TOOLS, "AWS_EC2_METADATA_DISABLED": "true", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_envelope_encryption(server_env: dict[str, str], tmp_path: Path) -> None:
    plain, sealed, opened = (tmp_path / name for name in ("plain", "sealed", "opened"))
    plain.write_bytes(b"a secret in a file" * 1000)
    made = run(
        *("aws", "kms", "create-key", "--query", "KeyMetadata.KeyId", "--output", "text"), env=server_env
    )
    assert made.returncode == 0, made.stderr
    done = run(sys.executable, PROGRAM, "seal", made.stdout.strip(), plain, sealed, env=server_env)
    assert done.returncode == 0, done.stderr
    assert b"a secret" not in sealed.read_bytes()
    done = run(sys.executable, PROGRAM, "open", sealed, opened, env=server_env)
    assert done.returncode == 0, done.stderr
    assert opened.read_bytes() == plain.read_bytes()

    done = run(sys.executable, PROGRAM, "--purpose", "other", "open", sealed, opened, env=server_env)
    assert done.returncode == 1
    assert "sealed for another purpose" in done.stderr
    changes = (
        (b'"plain"', b'"plaiN"', "InvalidCiphertextException"),
        (sealed.read_bytes()[-1:], bytes([sealed.read_bytes()[-1] ^ 1]), "the sealed file was changed"),
    )
    for before, after, told in changes:
        head, _, tail = sealed.read_bytes().rpartition(before)
        changed = tmp_path / "changed"
        changed.write_bytes(head + after + tail)
        done = run(sys.executable, PROGRAM, "open", changed, opened, env=server_env)
        assert done.returncode == 1, f"{told} was expected"
        assert told in done.stderr


def test_what_caching_data_keys_saves(server_env: dict[str, str]) -> None:
    made = run(
        *("aws", "kms", "create-key", "--query", "KeyMetadata.Arn", "--output", "text"), env=server_env
    )
    assert made.returncode == 0, made.stderr
    done = run(sys.executable, EXAMPLES / "data_key_caching.py", made.stdout.strip(), "200", env=server_env)
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs" / "client-side-encryption.md").read_text()
    assert f"```\n{done.stdout}```" in page, "the page shows what the program prints"


def test_what_runs_in_an_enclave(tmp_path: Path) -> None:
    authority = tmp_path / "authority"
    env = {
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "CASEMATE_ATTESTATION_ROOTS": str(authority / "root.pem"),
    }
    made = run("casemate", "attest", "--authority", authority, env={"HOME": str(tmp_path)})
    assert made.returncode == 0, made.stderr
    done = run(WITH_CASEMATE, sys.executable, EXAMPLES / "enclave.py", "alias/app", authority, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "decrypted in the enclave alone: a secret\n"


def test_a_command_runs_with_a_server_beside_it(tmp_path: Path) -> None:
    script = (
        "aws kms describe-key --key-id alias/app --query KeyMetadata.KeyId --output text && "
        'printf "%s\\n" "$CASEMATE_DATA" && casemate clock --advance 7d >&2 && exit 7'
    )
    env = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = run(WITH_CASEMATE, "bash", "-c", script, env=env)
    assert done.returncode == 7, f"the command's own exit status was expected\n{done.stderr}"
    key_id, data = done.stdout.split()
    assert key_id == "1234abcd-12ab-34cd-56ef-1234567890ab"
    assert "+604800 s" in done.stderr
    assert not Path(data).exists(), "nothing is left behind"


def test_a_server_that_does_not_start_is_told(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "CASEMATE_SEED": str(tmp_path / "missing.toml")}
    done = run(WITH_CASEMATE, "true", env=env)
    assert done.returncode == 1
    assert "--seed: must be a file that can be read" in done.stderr


def test_the_containers_settings_exist() -> None:
    for path in (EXAMPLES / "compose" / "compose.yaml", WITH_CASEMATE):
        for variable in set(re.findall(rf"\b{PREFIX}([A-Z_]+)", path.read_text())):
            assert variable.lower() in SETTINGS, f"{path.name}: {PREFIX}{variable}"
    compose = (EXAMPLES / "compose" / "compose.yaml").read_text()
    for mounted in re.findall(r"- (\.\./\S+?):", compose):
        assert (EXAMPLES / "compose" / mounted).exists()
    seed = read_seed(EXAMPLES / "ci" / "seed.toml")
    assert f"AWS_ACCESS_KEY_ID: {seed.accounts[0].users[0].keys[0].id}" in compose
    assert f"AWS_SECRET_ACCESS_KEY: {seed.accounts[0].users[0].keys[0].secret}" in compose
