"""The dev server's own operations: through the gate, for the first account's administrator alone."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from server_support import Server, casemate, running_server

from casemate.services.iam.identities import AccessKey

ACCOUNT = "111122223333"
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
ALICE = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
BOB = AccessKey("AKIAI44QH8DHBEXAMPLE", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY")
CAROL = AccessKey("AKIAOTHERACCOUNTXXXX", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY")
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"

SEED = {
    "accounts": [
        {
            "id": ACCOUNT,
            "users": [
                {"name": "alice", "attached_policies": [ADMIN], "access_keys": [ALICE._asdict()]},
                {"name": "bob", "access_keys": [BOB._asdict()]},
            ],
            "kms_keys": [{"id": KEY_ID, "aliases": ["alias/app"], "material": "A" * 43 + "="}],
        },
        {
            "id": "444455556666",
            "users": [{"name": "carol", "attached_policies": [ADMIN], "access_keys": [CAROL._asdict()]}],
        },
    ]
}


class Answer(NamedTuple):
    status: int
    body: Any


def ask(
    server: Server,
    method: str,
    path: str,
    body: Any = None,
    key: AccessKey | None = ALICE,
    service: str = "casemate",
) -> Answer:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = AWSRequest(method, server.endpoint + path, data=data)
    if key is not None:
        SigV4Auth(Credentials(*key), service, "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(server.endpoint).netloc, timeout=30)
    try:
        connection.request(method, path, data or None, dict(request.headers.items()))
        response = connection.getresponse()
        text = response.read().decode()
        if not text.startswith("{"):
            return Answer(response.status, re.sub(r"[0-9a-f-]{36}", "ID", text))
        return Answer(response.status, json.loads(text))
    finally:
        connection.close()


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of two workers, so that what one does the other must see."""
    tmp_path = tmp_path_factory.mktemp("dev")
    (tmp_path / "seed.json").write_text(json.dumps(SEED))
    with running_server(tmp_path, "--dev", "--workers", "2", "--seed", str(tmp_path / "seed.json")) as server:
        yield server


def now(server: Server) -> datetime:
    answer = ask(server, "GET", "/_casemate/clock")
    assert answer.status == 200, answer
    return datetime.fromisoformat(answer.body["now"])


def test_the_clock_can_be_moved_for_all_workers(dev: Server) -> None:
    assert ask(dev, "POST", "/_casemate/clock", {"reset": True}).status == 200
    before = datetime.now(UTC)
    for _ in range(6):
        assert abs(now(dev) - before) < timedelta(minutes=2)
    assert ask(dev, "POST", "/_casemate/clock", {"advance_seconds": 365 * 86400}).status == 200
    for _ in range(6):
        assert abs(now(dev) - before - timedelta(days=365)) < timedelta(minutes=2)
    moved = ask(dev, "POST", "/_casemate/clock", {"set": "2040-02-29T12:00:00+01:00"})
    assert moved.body["now"] == "2040-02-29T11:00:00Z"
    assert now(dev).date().isoformat() == "2040-02-29"
    key = dev.client("kms").create_key()["KeyMetadata"]
    assert key["CreationDate"].year == 2040, "services go by the moved clock"
    assert ask(dev, "POST", "/_casemate/clock", {"reset": True}).body["offset_seconds"] == 0


def test_a_deletion_falls_due(dev: Server) -> None:
    kms = dev.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    done = casemate("clock", "--data", str(dev.data), "--advance", "7d")
    assert done.returncode == 0, done.stderr
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.describe_key(KeyId=key)
    assert casemate("clock", "--data", str(dev.data), "--reset").returncode == 0


def test_reset_goes_back_to_the_start(dev: Server) -> None:
    kms = dev.client("kms")
    # Both workers have them in their caches by then.
    blobs = [kms.encrypt(KeyId="alias/app", Plaintext=b"x")["CiphertextBlob"] for _ in range(6)]
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/other", TargetKeyId=other)
    kms.disable_key(KeyId=KEY_ID)
    kms.schedule_key_deletion(KeyId=other, PendingWindowInDays=7)
    ask(dev, "POST", "/_casemate/clock", {"advance_seconds": 86400})
    done = casemate("reset", "--data", str(dev.data))
    assert done.returncode == 0, done.stderr
    for _ in range(8):  # new connections, so that both workers are asked
        kms = dev.client("kms")
        assert [alias["AliasName"] for alias in kms.list_aliases()["Aliases"]] == ["alias/app"]
        assert kms.describe_key(KeyId=KEY_ID)["KeyMetadata"]["KeyState"] == "Enabled"
        with pytest.raises(kms.exceptions.NotFoundException):
            kms.describe_key(KeyId=other)
        assert kms.decrypt(CiphertextBlob=blobs[0])["Plaintext"] == b"x", "the seed's material is what it was"
    answer = ask(dev, "GET", "/_casemate/clock")
    assert answer.body["offset_seconds"] == 0
    assert dev.administrator.key == ALICE


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", "/_casemate/clock", "GetClock"),
        ("POST", "/_casemate/clock", "SetClock"),
        ("POST", "/_casemate/reset", "Reset"),
    ],
)
def test_only_the_first_accounts_administrators_may(dev: Server, method: str, path: str, action: str) -> None:
    body = {"reset": True} if action == "SetClock" else {}
    for key, arn in ((BOB, f"{ACCOUNT}:user/bob"), (CAROL, "444455556666:user/carol")):
        answer = ask(dev, method, path, body if method == "POST" else None, key)
        assert answer.status == 400
        assert answer.body["__type"] == "AccessDeniedException"
        assert f"arn:aws:iam::{arn} is not authorized to perform: casemate:{action}" in answer.body["message"]


def test_unsigned_and_wrongly_signed_requests_are_refused(dev: Server) -> None:
    unsigned = ask(dev, "POST", "/_casemate/reset", {}, key=None)
    assert unsigned == Answer(
        400, {"__type": "MissingAuthenticationTokenException", "message": "Missing Authentication Token"}
    )
    wrong = ask(dev, "POST", "/_casemate/reset", {}, AccessKey(ALICE.id, "wrong"))
    assert wrong.body["__type"] == "InvalidSignatureException"
    other = ask(dev, "POST", "/_casemate/reset", {}, service="kms")
    assert "correct service: 'casemate'" in other.body["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"advance_seconds": -1},
        {"advance_seconds": "1"},
        {"advance_seconds": True},
        {"advance_seconds": 1e300},
        {"advance_seconds": 1, "set": "2030-01-01T00:00:00Z"},
        {"set": "tomorrow"},
        {"set": "9999-12-31T00:00:00Z"},
        {"set": "1900-01-01T00:00:00Z"},
        {"reset": False},
        {"unknown": 1},
        [],
        b"{",
        b'{"advance_seconds": NaN}',
    ],
)
def test_a_wrong_move_is_refused(dev: Server, body: Any) -> None:
    answer = ask(dev, "POST", "/_casemate/clock", body)
    assert answer.status == 400, answer
    assert answer.body["__type"] in ("ValidationException", "SerializationException")
    assert abs(now(dev) - datetime.now(UTC)) < timedelta(minutes=2), "the clock did not move"


def test_the_calls_are_audited(dev: Server) -> None:
    ask(dev, "POST", "/_casemate/clock", {"advance_seconds": 0})
    ask(dev, "POST", "/_casemate/reset", {}, BOB)
    tail = casemate("audit", "tail", "--json", "-n", "2", "--data", str(dev.data))
    records = [json.loads(line) for line in tail.stdout.splitlines()]
    assert [record["eventName"] for record in records] == ["SetClock", "Reset"]
    assert records[0]["requestParameters"] == {"advance_seconds": 0.0}
    assert records[1]["errorCode"] == "AccessDeniedException"
    assert records[1]["userIdentity"]["userName"] == "bob"


def test_without_dev_the_paths_are_unknown_as_any_other(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        key = server.administrator.key
        unknown = ask(server, "GET", "/_casemate/nothing", key=key)
        assert ask(server, "GET", "/_casemate/clock", key=key) == unknown
        unknown = ask(server, "POST", "/_casemate/nothing", {}, key=key)
        assert ask(server, "POST", "/_casemate/clock", {"reset": True}, key=key) == unknown
        assert ask(server, "POST", "/_casemate/reset", {}, key=key) == unknown
        assert unknown.status >= 400
        for command in (("clock",), ("reset",)):
            refused = casemate(*command, "--data", str(server.data))
            assert refused.returncode == 1
            assert "was not started with --dev" in refused.stderr


def test_a_policy_can_allow_the_clock_alone(tmp_path: Path) -> None:
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "casemate:*Clock", "Resource": "*"}],
    }
    seed = {
        "accounts": [
            {
                "id": ACCOUNT,
                "root_access_keys": [ALICE._asdict()],
                "users": [
                    {"name": "bob", "inline_policies": {"p": document}, "access_keys": [BOB._asdict()]}
                ],
            }
        ]
    }
    (tmp_path / "seed.json").write_text(json.dumps(seed))
    with running_server(tmp_path, "--dev", "--seed", str(tmp_path / "seed.json")) as server:
        assert ask(server, "POST", "/_casemate/clock", {"advance_seconds": 5}, BOB).status == 200
        assert ask(server, "POST", "/_casemate/reset", {}, BOB).body["__type"] == "AccessDeniedException"
        assert ask(server, "POST", "/_casemate/reset", {}, ALICE).status == 200, "the root may"
        with pytest.raises(ClientError, match="AccessDenied"):
            server.client("kms", BOB).list_keys()
