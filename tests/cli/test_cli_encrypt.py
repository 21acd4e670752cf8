"""casemate encrypt and decrypt: what is refused, and that nothing is left of it."""

from __future__ import annotations

import io
import os
import pty
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_support import COMMAND, Server, casemate, environment

from casemate.cli.encryption_sdk import FRAME_BYTES, LARGEST_FRAME, MOST_DATA_KEYS
from casemate.cli.progress import Progress
from casemate.cli.whole_file import whole_file

SECRET = b"a secret in a file\n" * 20_000


class Files:
    """A folder with a secret and its message, and commands in it. key: the KMS key's ARN."""

    def __init__(self, folder: Path, env: dict[str, str], key: str) -> None:
        self.folder = folder
        self.env = env
        self.key = key
        self.plain = folder / "plain"
        self.message = folder / "plain.encrypted"
        self.plain.write_bytes(SECRET)

    def encrypt(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return casemate("encrypt", "--key-id", self.key, *map(str, arguments), env=self.env)

    def decrypt(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return casemate("decrypt", *map(str, arguments), env=self.env)

    def sealed(self) -> Path:
        done = self.encrypt("--encryption-context", "tenant=blue", self.plain)
        assert done.returncode == 0, done.stderr
        self.plain.unlink()
        return self.message

    def names(self) -> set[str]:
        return {file.name for file in self.folder.iterdir()}


@pytest.fixture(scope="module")
def key(server: Server) -> str:
    made: str = server.client("kms").create_key()["KeyMetadata"]["Arn"]
    return made


@pytest.fixture
def files(tmp_path: Path, server_env: dict[str, str], key: str) -> Files:
    return Files(tmp_path, server_env, key)


def refused(done: subprocess.CompletedProcess[str], text: str, status: int = 1) -> None:
    assert text in done.stderr
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_back_and_forth(files: Files) -> None:
    files.plain.chmod(0o640)
    message = files.sealed()
    assert stat.S_IMODE(message.stat().st_mode) == 0o640
    done = files.decrypt(message)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert files.plain.read_bytes() == SECRET
    assert stat.S_IMODE(files.plain.stat().st_mode) == 0o640
    assert files.names() == {"plain", "plain.encrypted"}


def test_names_of_outputs(files: Files) -> None:
    elsewhere = files.folder / "elsewhere"
    elsewhere.mkdir()
    assert files.encrypt("--suffix", ".sealed", files.plain).returncode == 0
    assert (
        files.decrypt("--suffix", ".sealed", "--output", elsewhere, f"{files.plain}.sealed").returncode == 0
    )
    assert files.decrypt(f"{files.plain}.sealed").returncode == 0
    assert (elsewhere / "plain").read_bytes() == SECRET
    assert files.names() == {"plain", "plain.sealed", "plain.sealed.decrypted", "elsewhere"}


def test_nothing_is_written_over(files: Files) -> None:
    message = files.sealed()
    files.plain.write_bytes(b"something else")
    refused(files.decrypt(message), "is there already")
    assert files.plain.read_bytes() == b"something else"
    refused(files.encrypt(files.plain), "is there already")
    refused(files.decrypt("--force", "--output", message, message), "cannot be its own output")
    assert files.decrypt("--force", message).returncode == 0
    assert files.plain.read_bytes() == SECRET
    files.plain.unlink()
    files.plain.symlink_to("nowhere")
    refused(files.decrypt(message), "is there already")


def test_a_changed_byte_is_refused(files: Files) -> None:
    whole = files.sealed().read_bytes()
    places = (0, 2, 30, 300, len(whole) // 2, len(whole) - 200, len(whole) - 1)
    changed_files = [files.folder / f"{place}.encrypted" for place in places]
    for place, file in zip(places, changed_files, strict=True):
        changed = bytearray(whole)
        changed[place] ^= 1
        file.write_bytes(changed)
    done = files.decrypt(*changed_files)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == len(places)
    assert files.names() == {"plain.encrypted", *(file.name for file in changed_files)}


def test_a_message_that_goes_on_or_ends_early_is_refused(files: Files) -> None:
    whole = files.sealed().read_bytes()
    frames = [whole.index(n.to_bytes(4, "big") + bytes(8) + n.to_bytes(4, "big")) for n in range(1, 6)]
    assert {later - earlier for earlier, later in pairwise(frames)} == {FRAME_BYTES + 4 + 12 + 16}
    first, second, third = (whole[begin:end] for begin, end in pairwise(frames[:4]))
    spoilt = [
        *(whole[:length] for length in (0, 1, 100, *frames, len(whole) - 105, len(whole) - 1)),
        whole[: frames[0]] + second + first + third + whole[frames[3] :],
    ]
    spoilt_files = [files.folder / f"{number}.encrypted" for number in range(len(spoilt))]
    for file, content in zip(spoilt_files, spoilt, strict=True):
        file.write_bytes(content)
    done = files.decrypt(*spoilt_files)
    assert done.returncode == 1
    assert done.stderr.count("it is no message of the AWS Encryption SDK, or is cut short\n") == len(spoilt)
    files.message.write_bytes(whole + b"\0")
    refused(files.decrypt(files.message), "something follows the encrypted message")
    assert files.names() == {"plain.encrypted", *(file.name for file in spoilt_files)}


@given(st.lists(st.tuples(st.integers(0, 700), st.binary(max_size=300)), min_size=20, max_size=20))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_no_message_is_refused(files: Files, made: list[tuple[int, bytes]]) -> None:
    if not files.message.exists():
        files.sealed()
    begun = files.message.read_bytes()
    no_messages = [files.folder / f"{number}.encrypted" for number in range(len(made))]
    for file, (kept, data) in zip(no_messages, made, strict=True):
        file.write_bytes(begun[:kept] + data)
    done = files.decrypt(*no_messages)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == len(made), done.stderr
    assert files.names() == {"plain.encrypted", *(file.name for file in no_messages)}


def test_the_encryption_context_is_checked(files: Files) -> None:
    message = files.sealed()
    for context in ("tenant=red", "other=blue", "tenant=blue\n"):
        refused(files.decrypt("--encryption-context", context, message), "encryption context is not")
        refused(
            files.decrypt("--encryption-context", "tenant=blue", "--encryption-context", "x=y", message),
            "encryption context is not x=y",
        )
    assert files.names() == {"plain.encrypted"}
    assert files.decrypt("--encryption-context", "tenant=blue", message).returncode == 0


def test_keys_are_named_in_every_way(files: Files, server: Server, key: str) -> None:
    kms = server.client("kms")
    alias = f"alias/{files.folder.name}"
    kms.create_alias(AliasName=alias, TargetKeyId=key)
    other = kms.create_key()["KeyMetadata"]["Arn"]
    alias_arn = key.partition(":key/")[0] + ":" + alias
    for name in (key, key.rpartition("/")[2], alias, alias_arn):
        done = casemate("encrypt", "--force", "--key-id", name, str(files.plain), env=files.env)
        assert done.returncode == 0, done.stderr
        done = files.decrypt("--force", "--key-id", name, files.message)
        assert done.returncode == 0, done.stderr
    refused(files.decrypt("--force", "--key-id", other, files.message), "Unable to decrypt any data key")

    both = casemate(
        *("encrypt", "--force", "--key-id", key, "--key-id", other, str(files.plain)), env=files.env
    )
    assert both.returncode == 0
    assert files.decrypt("--force", "--key-id", other, files.message).returncode == 0


def test_what_kms_refuses_is_told(files: Files, server: Server) -> None:
    kms = server.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    assert casemate("encrypt", "--key-id", key, str(files.plain), env=files.env).returncode == 0
    files.plain.unlink()
    kms.disable_key(KeyId=key)
    refused(files.decrypt(files.message), "KMS refused it: DisabledException: ")
    absent = "00000000-0000-4000-8000-000000000000"
    done = casemate("encrypt", "--key-id", absent, "--force", str(files.message), env=files.env)
    refused(done, "KMS refused it: NotFoundException: ")
    refused(files.decrypt("--key-id", absent, files.message), "NotFoundException")
    wrong = {**files.env, "AWS_SECRET_ACCESS_KEY": "wrong"}
    done = casemate("encrypt", "--key-id", key, "--force", str(files.message), env=wrong)
    refused(done, "KMS refused it: InvalidSignatureException: ")
    assert files.names() == {"plain.encrypted"}


def test_without_a_server_one_file_is_tried(files: Files) -> None:
    nowhere = {**files.env, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    done = casemate("encrypt", "--key-id", files.key, str(files.plain), str(files.plain), env=nowhere)
    refused(done, "Could not connect to the endpoint URL")
    assert done.stderr.count("\n") == 1


def test_one_file_that_fails_does_not_keep_the_others(files: Files) -> None:
    message = files.sealed()
    other = files.folder / "other.encrypted"
    other.write_bytes(b"no message")
    missing = files.folder / "missing"
    done = files.decrypt(other, missing, message)
    assert done.returncode == 1
    assert f"casemate: {other}: it is no message" in done.stderr
    assert f"casemate: {missing}: {missing}: No such file" in done.stderr
    assert files.plain.read_bytes() == SECRET


def test_the_data_directory_tells_where_the_server_is(files: Files, server: Server) -> None:
    without = dict.fromkeys(files.env, "")
    done = casemate(
        "encrypt", "--key-id", files.key, "--data", str(server.data), str(files.plain), env=without
    )
    assert done.returncode == 0, done.stderr
    elsewhere = {**files.env, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_SECRET_ACCESS_KEY": "x"}
    done = casemate("decrypt", "--force", "--data", str(server.data), str(files.message), env=elsewhere)
    assert done.returncode == 0, done.stderr
    empty = {**without, "CASEMATE_DATA": str(files.folder / "none")}
    done = casemate("decrypt", "--force", str(files.message), env=empty)
    refused(done, "there are no credentials in")


def process(
    *arguments: str | Path, env: dict[str, str], given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=given,
        capture_output=True,
        timeout=60,
        check=False,
        env=environment(env),
    )


def test_standard_input_and_output(files: Files) -> None:
    sealed = process("encrypt", "--key-id", files.key, "-", env=files.env, given=SECRET)
    assert sealed.returncode == 0, sealed.stderr
    opened = process("decrypt", "-", env=files.env, given=sealed.stdout)
    assert (opened.returncode, opened.stdout) == (0, SECRET)
    cut = process("decrypt", "-", env=files.env, given=sealed.stdout[:-1])
    assert (cut.returncode, cut.stdout) == (1, b""), "nothing is let out of a message that is cut short"
    to_file = process(
        *("encrypt", "--key-id", files.key, "--output", files.folder / "new", "-"),
        env=files.env,
        given=SECRET,
    )
    assert to_file.returncode == 0, to_file.stderr
    assert stat.S_IMODE((files.folder / "new").stat().st_mode) == 0o600
    opened = process("decrypt", "--output", "-", files.folder / "new", env=files.env)
    assert (opened.returncode, opened.stdout) == (0, SECRET)


def test_on_a_terminal(files: Files) -> None:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [*COMMAND, "encrypt", "--key-id", files.key, "--output", "-", str(files.plain)],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
            env=environment(files.env),
        )
    finally:
        os.close(theirs)
        os.close(ours)
    assert done.returncode == 1
    assert b"an encrypted message is binary" in done.stderr


def test_progress_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    mib = 1024 * 1024

    def shown(stream: io.StringIO, size: int | None, *, quiet: bool = False) -> str:
        ticks = iter((0.0, 0.5, 2.0, 2.1, 4.0))
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setattr("time.monotonic", lambda: next(ticks))
        with Progress("a file", size, quiet=quiet) as progress:
            for _ in range(4):
                progress.add(20 * mib)
        monkeypatch.undo()
        return stream.getvalue()

    clear = "\r\x1b[K"
    assert shown(Terminal(), 160 * mib) == (
        f"{clear}a file: 25 % of 160 MiB, 20 MiB/s{clear}a file: 50 % of 160 MiB, 20 MiB/s{clear}"
    )
    assert shown(Terminal(), None).startswith(f"{clear}a file: 40 MiB, 20 MiB/s{clear}")
    assert shown(Terminal(), 160 * mib, quiet=True) == ""
    assert shown(io.StringIO(), 160 * mib) == ""


def test_a_process_that_is_killed_leaves_nothing(files: Files) -> None:
    fifo = files.folder / "fifo"
    os.mkfifo(fifo)
    message = files.folder / "message"
    running = subprocess.Popen(
        [*COMMAND, "encrypt", "--key-id", files.key, "--output", str(message), str(fifo)],
        env=environment(files.env),
    )
    with fifo.open("wb") as pipe:
        for _ in range(4):
            pipe.write(SECRET)
        pipe.flush()
        assert not message.exists()
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert files.names() == {"plain", "fifo"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["encrypt", "x"], "--key-id"),
        (["encrypt", "--key-id", "k", "--encryption-context", "x", "f"], "is not a pair"),
        (["encrypt", "--key-id", "k", "--encryption-context", "=x", "f"], "is not a pair"),
        (["encrypt", "--key-id", "k", "--encryption-context", "aws-crypto-x=y", "f"], "is not a pair"),
        (
            ["encrypt", "--key-id", "k", "--encryption-context", "a=1", "--encryption-context", "a=2", "f"],
            "is not a pair",
        ),
        (["encrypt", "--key-id", "k", "--cache-messages", "0", "f"], "--cache-messages takes"),
        (["encrypt", "--key-id", "k", "--cache-messages", "x", "f"], "--cache-messages takes"),
        (["encrypt", "--key-id", "k", "--cache-bytes", "-1", "f"], "--cache-bytes"),
        (["encrypt", "--key-id", "k", "--cache-age", "soon", "f"], "is not a time"),
        (["encrypt", "--key-id", "k", "--cache-age", "0s", "f"], "above 0"),
        (["encrypt", "--key-id", "k", "-", "f"], "standard input"),
        (["encrypt", "--key-id", "k", "--output", "-", "f", "g"], "a directory that exists"),
        (["decrypt", "--output", "no-such-directory", "f", "g"], "a directory that exists"),
        (["decrypt", "--output", "/", "-"], "has no name"),
        (["encrypt", "--key-id", "k", "--algorithm-suite", "ROT13", "f"], "ROT13"),
    ],
)
def test_wrong_usage(arguments: list[str], text: str) -> None:
    done = casemate(*arguments)
    assert done.returncode == 2
    assert text in done.stderr


def test_without_the_sdk_it_is_said_how_to_get_it(files: Files) -> None:
    with patch.dict(sys.modules, {"aws_encryption_sdk": None}):
        refused(files.encrypt(files.plain), "pip install 'casemate[encryption]'")


def test_other_suites(files: Files, server: Server) -> None:
    unsigned = ("--algorithm-suite", "AES_256_GCM_HKDF_SHA512_COMMIT_KEY", files.plain)
    assert files.encrypt(*unsigned).returncode == 0
    assert files.message.read_bytes()[:3] == b"\x02\x04\x78", "version 2, suite 0478"
    assert files.decrypt("--force", files.message).returncode == 0
    assert files.plain.read_bytes() == SECRET


def _message_of(files: Files, server: Server, *, keys: int = 1, **more: object) -> Path:
    """A message that the SDK for Python makes by other settings than ours."""
    import aws_encryption_sdk as sdk
    import botocore.session

    with patch.dict(os.environ, files.env):
        provider = sdk.StrictAwsKmsMasterKeyProvider(
            botocore_session=botocore.session.Session(), key_ids=[files.key]
        )
        for _ in range(keys - 1):
            arn = server.client("kms").create_key()["KeyMetadata"]["Arn"]
            provider.add_master_key(arn)
        client = sdk.EncryptionSDKClient(
            commitment_policy=sdk.CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
            if "algorithm" in more
            else sdk.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
        )
        message, _ = client.encrypt(source=b"x", key_provider=provider, **more)
    files.message.write_bytes(message)
    files.plain.unlink()
    return files.message


def test_a_message_without_key_commitment_needs_to_be_allowed(files: Files, server: Server) -> None:
    from aws_encryption_sdk import Algorithm

    message = _message_of(files, server, algorithm=Algorithm.AES_256_GCM_IV12_TAG16_HKDF_SHA384_ECDSA_P384)
    refused(files.decrypt(message), "it does not commit to its key")
    assert files.names() == {"plain.encrypted"}
    assert files.decrypt("--allow-no-commitment", message).returncode == 0
    assert files.plain.read_bytes() == b"x"


def test_messages_that_cost_too_much_are_refused(files: Files, server: Server) -> None:
    message = _message_of(files, server, frame_length=LARGEST_FRAME + 128)
    refused(files.decrypt(message), "Frame Size in header found larger than custom value")
    files.plain.write_bytes(b"")
    message = _message_of(files, server, keys=MOST_DATA_KEYS + 1)
    refused(files.decrypt(message), "Number of encrypted data keys found larger")


# --- files that are there whole or not at all


@pytest.mark.parametrize("named", [False, True])
def test_a_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    if named:
        # A file system that knows no files without a name.
        monkeypatch.setattr("os.O_TMPFILE", os.O_DIRECTORY | os.O_WRONLY)
    path = tmp_path / "file"

    def names() -> set[str]:
        return {each.name for each in tmp_path.iterdir()}

    with whole_file(path, 0o600, replace=False) as file:
        file.write(b"first")
        assert not path.exists()
    assert path.read_bytes() == b"first"
    assert names() == {"file"}
    with pytest.raises(FileExistsError), whole_file(path, 0o600, replace=False) as file:
        file.write(b"second")
    with suppress(KeyError), whole_file(path, 0o600, replace=True) as file:
        file.write(b"third")
        raise KeyError
    assert path.read_bytes() == b"first"
    assert names() == {"file"}
    with whole_file(path, 0o640, replace=True) as file:
        file.write(b"fourth")
    assert path.read_bytes() == b"fourth"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names() == {"file"}
