"""``casemate audit tail``"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_support import COMMAND, Server, casemate, environment, running_server


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("audited"), "--workers", "2") as server:
        yield server


def tail(server: Server, *args: str) -> list[str]:
    done = casemate("audit", "tail", "--data", str(server.data), *args)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_last_records_are_shown(audited: Server) -> None:
    kms = audited.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.describe_key(KeyId="alias/none")
    lines = tail(audited, "-n", "2")
    assert len(lines) == 2
    account = audited.administrator.account
    assert f"arn:aws:iam::{account}:user/admin  kms:CreateKey  ok  {key}  us-east-1  127.0.0.1" in lines[0]
    assert "kms:DescribeKey  NotFoundException" in lines[1]
    assert len(tail(audited, "-n", "0")) == 0


def test_json_is_cloudtrails(audited: Server) -> None:
    audited.client("kms").create_key(Description="for json")
    record = json.loads(tail(audited, "--json", "-n", "1")[0])
    assert record["eventName"] == "CreateKey"
    assert record["eventVersion"] == "1.11"
    assert record["requestParameters"]["description"] == "for json"
    everything = [json.loads(line) for line in tail(audited, "--json", "-n", "all")]
    assert record in everything
    assert [each["eventTime"] for each in everything] == sorted(each["eventTime"] for each in everything)


def test_following_goes_on(audited: Server) -> None:
    process = subprocess.Popen(
        [*COMMAND, "audit", "tail", "-f", "--json", "-n", "1", "--data", str(audited.data)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        # A shell that runs the tests in the background has SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    audited.client("kms").create_key(Description="while followed")
    while json.loads(process.stdout.readline()).get("requestParameters") != {"description": "while followed"}:
        pass
    audited.client("sts").get_caller_identity()
    assert json.loads(process.stdout.readline())["eventName"] == "GetCallerIdentity"
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    process.stdout.close()


def test_a_clients_control_characters_do_not_reach_the_terminal(audited: Server) -> None:
    headers = {"X-Amz-Target": "TrentService.Enc\x1brypt\x9b31m", "User-Agent": "x"}
    request = urllib.request.Request(audited.endpoint, data=b"{}", headers=headers)
    with pytest.raises((urllib.error.HTTPError, ConnectionError)) as refused:
        urllib.request.urlopen(request)
    if isinstance(refused.value, urllib.error.HTTPError):
        refused.value.close()
    for line in tail(audited, "-n", "all"):
        assert line.isprintable(), ascii(line)


def test_an_altered_journal_is_told(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        for _ in range(3):
            server.client("sts").get_caller_identity()
        server.stop()
    [segment] = (server.data / "journal").iterdir()
    content = bytearray(segment.read_bytes())
    content[-200] ^= 1
    segment.write_bytes(content)
    done = casemate("audit", "tail", "--data", str(server.data))
    assert done.returncode == 1
    assert "the audit journal is not as it was written" in done.stderr
    assert segment.name in done.stderr
    os.rename(server.data / "seal.key", server.data / "away")
    done = casemate("audit", "tail", "--data", str(server.data))
    assert done.returncode == 1
    assert "the keys cannot be opened" in done.stderr
