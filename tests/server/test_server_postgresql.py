"""The same server on PostgreSQL, several workers at once."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from pathlib import Path

import pytest
from server_support import casemate, running_server


def test_a_server_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    env = {"CASEMATE_DATABASE": postgres_url}
    with running_server(tmp_path, "--dev", "--workers", "2", env=env) as server:
        assert not (server.data / "casemate.db").exists()
        kms = server.client("kms")
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
        end = time.monotonic() + 30
        while "ended with status -9" not in server.log:
            assert time.monotonic() < end
            time.sleep(0.05)
        for _ in range(6):
            assert server.client("kms").decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
        with urllib.request.urlopen(f"{server.endpoint}/_casemate/health") as response:
            assert response.status == 200
        place = ("--data", str(server.data))
        done = casemate("doctor", *place, env=env)
        assert done.returncode == 0, done.stdout
        refused = casemate("backup", str(tmp_path / "b"), *place, env=env)
        assert refused.returncode == 1
        assert "pg_dump" in refused.stderr
        rotated = casemate("seal", "rotate", *place, env=env)
        assert rotated.returncode == 0, rotated.stderr
        done = casemate("reset", *place, env=env)
        assert done.returncode == 0, done.stderr
        for _ in range(6):
            kms = server.client("kms")
            with pytest.raises(kms.exceptions.NotFoundException):
                kms.describe_key(KeyId=key)
        assert server.stop() == 0
    with running_server(tmp_path, env=env) as server:
        assert server.client("kms").list_keys()["Keys"] == []
        tail = casemate("audit", "tail", "-n", "1", *place, env=env)
        assert "kms:ListKeys  ok" in tail.stdout
