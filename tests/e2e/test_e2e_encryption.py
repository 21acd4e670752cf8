"""Messages of the AWS Encryption SDK, back and forth between `casemate encrypt` and AWS's own SDKs, and what caching
data keys saves."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aws_encryption_sdk
import botocore.session
import pytest
from e2e_support import ACCOUNT, ADMIN, KEY_ID
from javascript_support import messages
from server_support import COMMAND, Server, casemate, environment

KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{KEY_ID}"
SECRET = b"a secret in a file\n" * 10_000

MIB = 1024 * 1024


@pytest.fixture
def env(seeded: Server) -> dict[str, str]:
    return {**seeded.env, "AWS_ACCESS_KEY_ID": ADMIN.id, "AWS_SECRET_ACCESS_KEY": ADMIN.secret}


def ran(*arguments: str | Path, env: dict[str, str]) -> None:
    done = casemate(*map(str, arguments), env=env)
    assert done.returncode == 0, done.stderr


class Python:
    """AWS's Encryption SDK for Python, as its documentation shows it."""

    def __init__(self, server: Server) -> None:
        session = botocore.session.Session()
        session.set_credentials(ADMIN.id, ADMIN.secret)
        session.set_config_variable("region", "us-east-1")
        create = session.create_client

        def create_client(*args: Any, **more: Any) -> Any:
            return create(*args, **{**more, "endpoint_url": server.endpoint})

        session.create_client = create_client  # type: ignore[method-assign]
        self._client = aws_encryption_sdk.EncryptionSDKClient()
        self._keys = aws_encryption_sdk.StrictAwsKmsMasterKeyProvider(botocore_session=session, key_ids=[KEY])

    def encrypt(self, plaintext: bytes, context: dict[str, str], **more: Any) -> bytes:
        made, _ = self._client.encrypt(
            source=plaintext, key_provider=self._keys, encryption_context=context, **more
        )
        return bytes(made)

    def decrypt(self, message: bytes) -> tuple[bytes, dict[str, str]]:
        opened, header = self._client.decrypt(source=message, key_provider=self._keys)
        return opened, header.encryption_context


@contextmanager
def counted(server: Server) -> Iterator[Counter[str]]:
    """How often each of KMS's operations is called meanwhile, by the audit journal."""

    def names() -> Counter[str]:
        printed = casemate("audit", "tail", "--json", "-n", "all", "--data", str(server.data)).stdout
        return Counter(json.loads(line)["eventName"] for line in printed.splitlines())

    calls: Counter[str] = Counter()
    before = names()
    yield calls
    calls.update(names() - before)


def test_files_of_casemate_are_opened_by_the_sdks(
    seeded: Server, env: dict[str, str], tmp_path: Path
) -> None:
    plain, message, opened = (tmp_path / name for name in ("plain", "plain.encrypted", "opened"))
    for content in (SECRET, b"", b"x" * 65_536):
        plain.write_bytes(content)
        ran("encrypt", "--force", "--key-id", KEY, "--encryption-context", "tenant=blue", plain, env=env)
        assert SECRET[:19] not in message.read_bytes()
        found, context = Python(seeded).decrypt(message.read_bytes())
        assert found == content
        assert context["tenant"] == "blue"
        messages("decrypt", KEY, message, opened, "tenant=blue", env=env)
        assert opened.read_bytes() == content


def test_messages_of_the_sdk_for_javascript_are_opened(env: dict[str, str], tmp_path: Path) -> None:
    plain, message, opened = (tmp_path / name for name in ("plain", "message", "opened"))
    for content in (SECRET, b""):
        plain.write_bytes(content)
        messages("encrypt", KEY, plain, message, "tenant=blue", env=env)
        arguments = ("--force", "--encryption-context", "tenant=blue", "--output", opened)
        ran("decrypt", *arguments, message, env=env)
        assert opened.read_bytes() == content
        ran("decrypt", *arguments, "--key-id", KEY, message, env=env)
    refused = messages("decrypt", KEY, message, opened, "tenant=red", env=env, check=False)
    assert refused.returncode != 0
    assert "no tenant=red" in refused.stderr


def test_messages_of_the_sdk_for_python_are_opened(
    seeded: Server, env: dict[str, str], tmp_path: Path
) -> None:
    message, opened = tmp_path / "message", tmp_path / "opened"
    suites = aws_encryption_sdk.Algorithm
    for more in (
        {},
        {"frame_length": 128},
        {"frame_length": 0},
        {"algorithm": suites.AES_256_GCM_HKDF_SHA512_COMMIT_KEY},
    ):
        content = SECRET[:1000]
        message.write_bytes(Python(seeded).encrypt(content, {"tenant": "blue"}, **more))
        ran(
            *("decrypt", "--force", "--encryption-context", "tenant=blue", "--output", opened, message),
            env=env,
        )
        assert opened.read_bytes() == content


def test_caching_saves_calls_of_kms(seeded: Server, env: dict[str, str], tmp_path: Path) -> None:
    plain, sealed, opened = (tmp_path / name for name in ("plain", "sealed", "opened"))
    for folder in (plain, sealed, opened):
        folder.mkdir()
    files = [plain / f"{number:02d}" for number in range(20)]
    for file in files:
        file.write_bytes(file.name.encode())
    encrypt: list[str | Path] = ["encrypt", "--force", "--key-id", KEY, "--output", sealed, *files]

    def calls(*arguments: str | Path) -> Counter[str]:
        with counted(seeded) as found:
            ran(*arguments, env=env)
        return found

    assert calls(*encrypt) == {"GenerateDataKey": 20}
    messages_of_casemate = sorted(sealed.iterdir())
    decrypt: list[str | Path] = ["decrypt", "--force", "--output", opened, *messages_of_casemate]
    assert calls(*decrypt) == {"Decrypt": 20}

    assert calls(*encrypt, "--cache-messages", "10") == {"GenerateDataKey": 2}
    assert calls(*decrypt) == {"Decrypt": 20}
    assert calls(*decrypt, "--cache-age", "5m") == {"Decrypt": 2}
    assert [file.read_bytes() for file in sorted(opened.iterdir())] == [file.read_bytes() for file in files]

    assert calls(*encrypt, "--cache-age", "5m") == {"GenerateDataKey": 1}
    # 20 files of 2 bytes, 10 bytes under one key.
    assert calls(*encrypt, "--cache-bytes", "10") == {"GenerateDataKey": 4}

    with counted(seeded) as found:
        messages("encrypt-cached", KEY, plain, "5", env=env)
    assert found == {"GenerateDataKey": 4}
    assert calls(
        "decrypt", "--cache-age", "5m", "--output", opened, "--force", *plain.glob("*.encrypted")
    ) == {"Decrypt": 4}


def test_a_large_file_takes_no_more_memory_than_a_small_one(env: dict[str, str], tmp_path: Path) -> None:
    large, small = tmp_path / "large", tmp_path / "small"
    small.write_bytes(b"x")
    with large.open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(MIB))

    def peak(*arguments: str | Path) -> int:
        """Bytes of memory that a process of its own needed."""
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], env=environment(env), stdin=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_maxrss * 1024

    encrypt = ("encrypt", "--key-id", KEY)
    of_small, of_large = peak(*encrypt, small), peak(*encrypt, large)
    assert of_large < of_small + 8 * MIB
    decrypt = ("decrypt", "--output")
    of_small = peak(*decrypt, tmp_path / "a", tmp_path / "small.encrypted")
    of_large = peak(*decrypt, tmp_path / "b", tmp_path / "large.encrypted")
    assert of_large < of_small + 8 * MIB
    assert (tmp_path / "b").read_bytes() == large.read_bytes()
