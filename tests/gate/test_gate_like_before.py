"""Requests that are like one before them, but for their payload: the straight way lets nothing through that the
general way would refuse."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import botocore.auth
import pytest
from gate_support import ALICE, REGION, FakeExchange, Rig, json_request, rig_in

from casemate.gate import authenticate, signature
from casemate.gate.identity import Credential

GET = "secretsmanager.GetSecretValue"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as rig:
        rig.put("toy")
        yield rig


class Sender:
    """A client that sends requests of one second, each with the memo of its beginning."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.memo: dict[bytes, Any] = {}
        self.moment = datetime.now(UTC)
        self.verified = 0

    def request(self, parameters: dict[str, Any], target: str = GET, **options: Any) -> FakeExchange:
        with patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: self.moment):
            exchange = json_request(target, parameters, **options)
        exchange.memo = self.memo
        return exchange

    def ask(self, exchange: FakeExchange) -> tuple[int, str]:
        """The status and the error's code. ``verified`` counts those that went the general way."""
        verify = signature.verify

        def counted(*args: Any) -> None:
            self.verified += 1
            verify(*args)

        with patch.object(authenticate, "verify", counted):
            answer = self.rig.ask(exchange)
        return answer.status, answer.code


def test_what_is_like_before_is_not_verified_anew(rig: Rig) -> None:
    sender = Sender(rig)
    for name in ("toy", "gone", "toy", "gone"):
        status = 200 if name == "toy" else 400
        assert sender.ask(sender.request({"SecretId": name}))[0] == status
    assert sender.verified == 1
    records = rig.records()[-4:]
    assert [record["requestParameters"]["secretId"] for record in records] == ["toy", "gone", "toy", "gone"]
    assert {record["userIdentity"]["arn"] for record in records} == {ALICE.arn}
    assert {record["awsRegion"] for record in records} == {REGION}


def another_body(exchange: FakeExchange) -> None:
    exchange.body = exchange.body.replace(b"toy", b"top")


def another_signature(exchange: FakeExchange) -> None:
    value = exchange.headers[b"authorization"]
    exchange.headers[b"authorization"] = value[:-1] + (b"0" if value[-1:] != b"0" else b"1")


def shorter_signature(exchange: FakeExchange) -> None:
    exchange.headers[b"authorization"] = exchange.headers[b"authorization"][:-1]


def another_value(exchange: FakeExchange) -> None:
    exchange.headers[b"content-type"] = b"application/x-amz-json-1.0"


def value_missing(exchange: FakeExchange) -> None:
    del exchange.headers[b"content-type"]


def unsigned_header(exchange: FakeExchange) -> None:
    exchange.headers[b"x-amz-more"] = b"1"


def unsigned_hash(exchange: FakeExchange) -> None:
    exchange.headers[b"x-amz-content-sha256"] = b"0" * 64


def another_time(exchange: FakeExchange) -> None:
    exchange.headers[b"x-amz-date"] = b"20200101T000000Z"


CHANGES = (
    *(another_body, another_signature, shorter_signature, another_value, value_missing, unsigned_header),
    *(unsigned_hash, another_time),
)


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_refused_as_ever(rig: Rig, change: Callable[[FakeExchange], None]) -> None:
    sender = Sender(rig)
    for _ in range(2):
        assert sender.ask(sender.request({"SecretId": "toy"})) == (200, "")
    assert sender.verified == 1
    changed = sender.request({"SecretId": "toy"})
    change(changed)
    alone = Sender(rig)
    alone.moment = sender.moment
    expected = alone.request({"SecretId": "toy"})
    change(expected)
    refused = sender.ask(changed)
    assert refused[0] == 400
    assert refused == alone.ask(expected)
    # What is right goes on as before.
    assert sender.ask(sender.request({"SecretId": "toy"})) == (200, "")


def test_a_credential_that_changed_counts_at_once(rig: Rig) -> None:
    sender = Sender(rig)
    for _ in range(2):
        assert sender.ask(sender.request({"SecretId": "toy"})) == (200, "")
    known = rig.gate.directory.credential(ALICE.key_id, None)
    assert known is not None
    for changed, code in (
        (None, "UnrecognizedClientException"),
        (Credential(ALICE.key_id, ALICE.secret, False, known.identity), "UnrecognizedClientException"),
        (Credential(ALICE.key_id, "another", True, known.identity), "InvalidSignatureException"),
    ):
        with patch.object(rig.gate.directory, "credential", lambda *_, found=changed: found):
            assert sender.ask(sender.request({"SecretId": "toy"})) == (400, code)
    assert sender.ask(sender.request({"SecretId": "toy"})) == (200, "")


def test_the_second_ends(rig: Rig) -> None:
    sender = Sender(rig)
    for _ in range(2):
        assert sender.ask(sender.request({"SecretId": "toy"})) == (200, "")
    now = time.time()
    with patch("time.time", lambda: now + 901):
        assert sender.ask(sender.request({"SecretId": "toy"})) == (400, "InvalidSignatureException")


def test_another_operation_is_not_like_before(rig: Rig) -> None:
    """Even if a transport gave both the same memo."""
    sender = Sender(rig)
    assert sender.ask(sender.request({"SecretId": "toy"})) == (200, "")
    assert sender.ask(sender.request({}, "secretsmanager.GetRandomPassword"))[0] == 200
    assert sender.verified == 2


def test_session_tokens_and_declared_hashes_are_verified_each_time(rig: Rig) -> None:
    sender = Sender(rig)
    for _ in range(2):
        assert sender.ask(sender.request({"SecretId": "toy"}, token="none of ours"))[0] == 400
    assert not sender.memo
