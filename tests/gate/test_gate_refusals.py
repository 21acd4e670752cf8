"""What the gate refuses, step by step: AWS's code and status, the handler not run, one audit record for each."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import botocore.auth
import pytest
from gate_support import (
    ACCOUNT,
    ALICE,
    BOB,
    CAROL,
    MESSAGES,
    OTHER_ACCOUNT,
    RETIRED,
    SEALED,
    Answer,
    FakeExchange,
    Rig,
    User,
    form,
    json_request,
    request,
    rig_in,
    secret_arn,
)

GET = "secretsmanager.GetSecretValue"
NAMED = {"SecretId": "toy"}

_BAD_TOKEN = "The security token included in the request is invalid."
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details."
)


def recorded(rig: Rig, answer: Answer) -> dict[str, Any]:
    """The one record of a refused request."""
    records = rig.records_of(answer)
    assert len(records) == 1, f"a refusal is audited once: {records}"
    record = records[0]
    assert record["errorCode"] == answer.code
    assert record.get("errorMessage", "") == answer.message
    assert record["responseElements"] is None
    return record


def signed_at(moment: datetime, **options: Any) -> FakeExchange:
    with patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: moment):
        return json_request(GET, NAMED, **options)


SIGNATURES: dict[str, tuple[Callable[[], FakeExchange], str, str | None]] = {
    "unsigned": (
        lambda: json_request(GET, NAMED, user=None),
        "MissingAuthenticationTokenException",
        "Missing Authentication Token",
    ),
    "unknown key": (
        lambda: json_request(GET, NAMED, user=User("mallory", ACCOUNT, ())),
        "UnrecognizedClientException",
        _BAD_TOKEN,
    ),
    "inactive key": (
        lambda: json_request(GET, NAMED, user=RETIRED),
        "UnrecognizedClientException",
        _BAD_TOKEN,
    ),
    "wrong secret": (
        lambda: json_request(GET, NAMED, secret="not the secret"),
        "InvalidSignatureException",
        _MISMATCH,
    ),
    "expired": (
        lambda: signed_at(datetime.now(UTC) - timedelta(minutes=16)),
        "InvalidSignatureException",
        None,
    ),
    "not yet current": (
        lambda: signed_at(datetime.now(UTC) + timedelta(minutes=16)),
        "InvalidSignatureException",
        None,
    ),
    "another service's scope": (
        lambda: json_request(GET, NAMED, service="kms"),
        "InvalidSignatureException",
        "Credential should be scoped to correct service: 'secretsmanager'.",
    ),
    "no region": (
        lambda: json_request(GET, NAMED, region="atlantis-1"),
        "InvalidSignatureException",
        "Credential should be scoped to a valid region.",
    ),
    "session token with a long-term key": (
        lambda: json_request(GET, NAMED, token="FwoGZXIvYXdzEXAMPLE"),
        "UnrecognizedClientException",
        _BAD_TOKEN,
    ),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_whoever_does_not_prove_who_they_are_is_refused(rig: Rig, name: str) -> None:
    make, code, message = SIGNATURES[name]
    rig.put("toy")
    rig.toys.ran.clear()
    asked = make()
    answer = rig.ask(asked)
    assert (answer.status, answer.code) == (400, code), answer
    if message is not None:
        assert answer.message == message
    assert rig.toys.ran == [], "a handler ran for an unknown caller"
    record = recorded(rig, answer)
    assert record["eventName"] == "GetSecretValue"
    assert record["requestParameters"] is None, "what an unknown caller sent is not understood, nor recorded"
    assert "arn" not in record["userIdentity"], "nobody is named who has not proved it"


def test_the_body_is_bound_to_the_signature(rig: Rig) -> None:
    rig.put("toy")
    asked = json_request(GET, NAMED)
    asked.body = json.dumps({"SecretId": "another"}).encode()
    answer = rig.ask(asked)
    assert answer.code == "InvalidSignatureException"
    recorded(rig, answer)


@pytest.mark.parametrize(
    ("target", "status", "code", "message"),
    [
        ("secretsmanager.NoSuchThing", 400, "UnknownOperationException", ""),
        ("secretsmanager.", 400, "UnknownOperationException", ""),
        (
            "secretsmanager.DescribeSecret",
            501,
            "NotImplemented",
            "The operation secretsmanager:DescribeSecret is not served by Casemate.",
        ),
        (
            "DynamoDB_20120810.GetItem",
            501,
            "NotImplemented",
            "The service of the target 'DynamoDB_20120810' is not served by Casemate.",
        ),
        ("", 501, "NotImplemented", "The service of the target '' is not served by Casemate."),
    ],
)
def test_what_is_not_served_is_not_made_up(
    rig: Rig, target: str, status: int, code: str, message: str
) -> None:
    answer = rig.ask(
        request(
            body=b"{}",
            headers={"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"},
            service="secretsmanager",
        )
    )
    assert (answer.status, answer.code, answer.message) == (status, code, message)
    assert recorded(rig, answer)["eventName"] == target.rpartition(".")[2]


def test_an_unsigned_request_does_not_learn_what_is_served(rig: Rig) -> None:
    for operation in ("DescribeSecret", "GetSecretValue"):
        answer = rig.json(f"secretsmanager.{operation}", {}, user=None)
        assert answer.code == "MissingAuthenticationTokenException"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"SecretId": 1}', b'{"SecretId": "a"} x', b"["],
)
def test_a_body_that_is_no_request_is_refused(rig: Rig, body: bytes) -> None:
    answer = rig.json(GET, body)
    assert answer.status == 400
    assert answer.code in ("SerializationException", "ValidationException"), answer
    recorded(rig, answer)


def test_a_broken_constraint_is_told_as_aws_does(rig: Rig) -> None:
    answer = rig.json(GET, {"SecretId": ""})
    assert (answer.status, answer.code) == (400, "ValidationException")
    assert "1 validation error detected: Value" in answer.message
    recorded(rig, answer)


def test_a_quota_is_kept_per_account_and_told_once_it_is_used_up(tmp_path: Path) -> None:
    with rig_in(tmp_path, rates={"secretsmanager:Random": 2}) as rig:
        random = "secretsmanager.GetRandomPassword"
        answers = [rig.json(random, {}) for _ in range(3)]
        assert [answer.code for answer in answers] == ["", "", "ThrottlingException"]
        assert answers[-1].message == "Rate exceeded"
        recorded(rig, answers[-1])
        assert rig.toys.ran == ["GetRandomPassword"] * 2
        assert rig.json(random, {}, user=CAROL).code == "", "another account has a quota of its own"


def test_a_denied_caller_is_told_what_is_missing(rig: Rig) -> None:
    rig.put("toy")
    rig.toys.ran.clear()
    answer = rig.json(GET, NAMED, user=BOB)
    assert (answer.status, answer.code) == (400, "AccessDeniedException")
    assert answer.message == (
        f"User: {BOB.arn} is not authorized to perform: secretsmanager:GetSecretValue on resource: "
        f"{secret_arn('toy')} because no identity-based policy allows the secretsmanager:GetSecretValue action"
    )
    assert rig.toys.ran == []
    record = recorded(rig, answer)
    assert record["userIdentity"]["arn"] == BOB.arn
    assert record["requestParameters"] == {"secretId": "toy"}
    assert [each["ARN"] for each in record["resources"]] == [secret_arn("toy")]


def test_who_may_not_know_does_not_learn_that_there_is_nothing(rig: Rig) -> None:
    rig.put("toy")
    present, absent = (rig.json(GET, {"SecretId": name}, user=BOB) for name in ("toy", "gone"))
    assert present.code == absent.code == "AccessDeniedException"
    assert present.message.replace("toy", "gone") == absent.message
    assert present.status == absent.status
    allowed = rig.json(GET, {"SecretId": "gone"})
    assert (allowed.code, allowed.status) == ("ResourceNotFoundException", 400)
    recorded(rig, allowed)
    # Of another account's things nobody learns either, whatever their own policies say.
    for name in ("toy", "gone"):
        answer = rig.json(GET, {"SecretId": secret_arn(name)}, user=CAROL)
        assert answer.code == "AccessDeniedException"
        assert [each["recipientAccountId"] for each in rig.records_of(answer)] == [OTHER_ACCOUNT, ACCOUNT]


def test_an_operation_that_is_always_allowed_still_wants_a_signature(rig: Rig) -> None:
    random = "secretsmanager.GetRandomPassword"
    assert rig.json(random, {}, user=BOB).json == {"RandomPassword": SEALED}
    assert rig.json(random, {}, user=None).code == "MissingAuthenticationTokenException"
    assert rig.json(random, {}, secret="wrong").code == "InvalidSignatureException"


def test_headers_a_client_sets_change_nothing_of_who_they_are(rig: Rig) -> None:
    """Nothing marks a call as internal, exempt or somebody else's."""
    rig.put("toy")
    names = (
        "X-Forwarded-For", "X-Casemate-Internal", "X-Amz-Via", "Via", "X-Amz-Principal", "X-Amzn-RequestId",
        "X-Amz-Source-Account", "X-Amz-Called-Via", "X-Real-Ip", "Forwarded", "X-Amz-Security-Token-Internal",
    )  # fmt: skip
    answer = rig.json(
        GET, NAMED, user=BOB, more_headers=dict.fromkeys(names, f"ssm.amazonaws.com {ALICE.arn}")
    )
    assert answer.code == "AccessDeniedException"
    record = recorded(rig, answer)
    assert record["sourceIPAddress"] == "192.0.2.7"
    assert record["requestID"] == answer.request_id
    assert "invokedBy" not in record["userIdentity"]


def test_query_protocol_refusals_speak_xml(rig: Rig) -> None:
    body = form(Action="ListTopics", Version="2010-03-31")
    urlencoded = {"Content-Type": "application/x-www-form-urlencoded"}
    for user, secret, service, code, status in (
        (None, None, "sns", "MissingAuthenticationToken", 403),
        (ALICE, "wrong", "sns", "SignatureDoesNotMatch", 403),
        (User("mallory", ACCOUNT, ()), None, "sns", "InvalidClientTokenId", 403),
        (BOB, None, "sns", "AuthorizationError", 403),
    ):
        answer = rig.ask(request(body=body, headers=urlencoded, user=user, secret=secret, service=service))
        assert answer.status == status, answer
        assert f"<Code>{code}</Code>".encode() in answer.body, answer
        assert answer.headers["content-type"].startswith("text/xml")
        assert [record["errorCode"] for record in rig.records_of(answer)] == [code]


def test_a_refusal_of_ec2_holds_its_reason_sealed(rig: Rig) -> None:
    exchange = request(
        body=form(Action="DescribeRegions", Version="2016-11-15"),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        user=BOB,
        service="ec2",
    )
    answer = rig.ask(exchange)
    assert answer.status == 403
    text = answer.body.decode()
    assert "<Code>UnauthorizedOperation</Code>" in text
    assert f"You are not authorized to perform this operation. User: {BOB.arn} is not authorized" in text
    sealed = text.partition("Encoded authorization failure message: ")[2].partition("<")[0]
    reason = json.loads(MESSAGES.open(ACCOUNT, sealed))
    assert (reason["allowed"], reason["explicitDeny"]) == (False, False)
    assert reason["context"]["principal"]["arn"] == BOB.arn
    assert reason["context"]["action"] == "ec2:DescribeRegions"
    keys = {each["key"]: each["values"]["items"] for each in reason["context"]["conditions"]["items"]}
    assert keys["aws:requestedregion"] == [{"value": "us-east-1"}]
