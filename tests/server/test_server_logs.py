"""Logs: readable, one record a line, and without what a request or an exception may hold."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_support import Server, casemate, running_server

from casemate.server.logs import JsonFormatter, TextFormatter, frames, shown
from casemate.services.iam.identities import AccessKey

SECRET = "hunter2-correct-horse"


class Own(Exception):
    pass


def record(message: object, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error is not None else None
    return logging.LogRecord("casemate.x", logging.ERROR, __file__, 1, message, args, info)


def failed() -> BaseException:
    empty: dict[str, str] = {}
    try:
        try:
            empty[SECRET]
        except KeyError as cause:
            raise Own(SECRET) from cause
    except Own as error:
        caught = error
    return caught


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_an_exceptions_text_is_not_shown(formatter: logging.Formatter) -> None:
    error = failed()
    for each in (record("failed", error=error), record("failed: %s", error), record(error)):
        line = formatter.format(each)
        assert SECRET not in line
        assert "Own" in line
    with_frames = formatter.format(record("failed", error=error))
    assert "KeyError" in with_frames, "what led to it is shown too"
    assert "in failed" in with_frames


def test_the_operating_systems_words_are_shown() -> None:
    assert shown(FileNotFoundError(2, SECRET, SECRET)) == "FileNotFoundError: No such file or directory"
    assert shown(OSError(SECRET)) == "OSError"
    assert SECRET not in frames(OSError(28, SECRET))


def test_a_record_is_one_line_of_json() -> None:
    line = JsonFormatter().format(record("with\nbreak \x1b[31m %d", 5, error=failed()))
    assert "\n" not in line
    entry = json.loads(line)
    assert entry["message"] == "with\nbreak \x1b[31m 5"
    assert entry["level"] == "error"
    assert entry["logger"] == "casemate.x"
    assert entry["time"].endswith("Z")


def test_text_cannot_pass_for_another_record_or_steer_a_terminal() -> None:
    line = TextFormatter().format(record("a\n2026-01-01 ERROR forged \x1b[2J \u2028 \x85 \r b"))
    assert "\x1b" not in line
    assert "\r" not in line
    first, *rest = line.split("\n")
    assert "ERROR casemate.x: a" in first
    assert all(each.startswith("    ") for each in rest), "what belongs to a record is indented"


def test_a_record_whose_arguments_do_not_fit_shows_none_of_them() -> None:
    line = TextFormatter().format(record("%d and %d", SECRET))
    assert SECRET not in line
    assert "cannot be written" in line


REQUESTS = [
    # a secret where none belongs: the body, a header, the query, the path, the target, the key's id
    ({"X-Amz-Target": "TrentService.Encrypt"}, f'{{"{SECRET}": "{SECRET}"}}'.encode(), ""),
    ({"X-Amz-Target": f"TrentService.{SECRET}"}, b"{}", ""),
    ({"X-Amz-Target": f"{SECRET}.Encrypt"}, b"{}", ""),
    ({"Authorization": f"Bearer {SECRET}"}, b"{}", ""),
    (
        {"Authorization": f"AWS4-HMAC-SHA256 Credential={SECRET}/20260101/us-east-1/kms/aws4_request"},
        b"{}",
        "",
    ),
    ({}, b"", f"?X-Amz-Security-Token={SECRET}&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=x"),
    ({}, b"", f"{SECRET}/{SECRET}"),
    ({}, f"Action={SECRET}&Version={SECRET}".encode(), ""),
    ({"smithy-protocol": "rpc-v2-cbor"}, SECRET.encode(), f"service/TrentService/operation/{SECRET}"),
]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(
        tmp_path_factory.mktemp("noisy"), env={"CASEMATE_LOG_LEVEL": "debug", "CASEMATE_LOG_FORMAT": "json"}
    ) as server:
        yield server


@pytest.mark.parametrize(("headers", "body", "path"), REQUESTS)
def test_a_request_with_a_secret_in_a_wrong_place_leaves_no_trace_of_it_in_the_log(
    noisy: Server, headers: dict[str, str], body: bytes, path: str
) -> None:
    request = urllib.request.Request(f"{noisy.endpoint}/{path}", data=body or None, headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    refused.value.close()
    assert SECRET not in noisy.log


def test_secrets_in_signed_requests_leave_no_trace_in_the_log(noisy: Server) -> None:
    kms = noisy.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.encrypt(KeyId=key, Plaintext=SECRET.encode(), EncryptionContext={"tenant": SECRET})
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.encrypt(KeyId=f"alias/{SECRET}", Plaintext=SECRET.encode())
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=SECRET.encode())
    stranger = noisy.client("kms", AccessKey("AKIAIOSFODNN7EXAMPLE", SECRET))
    with pytest.raises(kms.exceptions.ClientError):
        stranger.list_keys()
    log = noisy.log
    assert SECRET not in log
    assert noisy.administrator.key.secret not in log
    assert (noisy.data / "seal.key").read_text().split(":")[1].strip() not in log


def test_a_servers_log_is_json_where_that_is_asked_for(tmp_path: Path) -> None:
    with running_server(tmp_path, "--workers", "2", env={"CASEMATE_LOG_FORMAT": "json"}) as server:
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        import os
        import signal
        import time

        os.kill(int(children[0]), signal.SIGKILL)
        end = time.monotonic() + 30
        while "ended with status" not in server.log:
            assert time.monotonic() < end
            time.sleep(0.05)
        lines = [line for line in server.log.splitlines() if "ended with status" in line]
        assert json.loads(lines[0])["logger"] == "casemate.supervisor"


def test_the_secret_is_not_in_the_start_text_of_a_server_without_a_terminal(noisy: Server) -> None:
    assert noisy.administrator.key.id in noisy.log
    assert noisy.administrator.key.secret not in noisy.log


def test_settings_errors_show_no_values(tmp_path: Path) -> None:
    refused = casemate("serve", "--data", str(tmp_path), env={"CASEMATE_DATABASE": f"mysql://u:{SECRET}@h/x"})
    assert refused.returncode == 2
    assert SECRET not in refused.stderr
    assert "CASEMATE_DATABASE" in refused.stderr
