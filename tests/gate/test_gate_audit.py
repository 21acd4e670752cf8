"""Step 9: every outcome has its record, in CloudTrail's shape, without a secret."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from gate_support import (
    ACCOUNT,
    ALICE,
    BOB,
    CAROL,
    CLIENT_AGENT,
    OTHER_ACCOUNT,
    REGION,
    SEALED,
    USERS,
    Answer,
    Rig,
    json_request,
    request,
    rig_in,
    secret_arn,
)

from casemate.gate.http import Tls

GET, PUT = "secretsmanager.GetSecretValue", "secretsmanager.PutSecretValue"

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

ALWAYS: dict[str, type | tuple[type, ...]] = {
    "eventVersion": str,
    "userIdentity": dict,
    "eventTime": str,
    "eventSource": str,
    "eventName": str,
    "awsRegion": str,
    "sourceIPAddress": str,
    "userAgent": str,
    "requestParameters": (dict, type(None)),
    "responseElements": (dict, type(None)),
    "requestID": str,
    "eventID": str,
    "readOnly": bool,
    "eventType": str,
    "managementEvent": bool,
    "recipientAccountId": str,
    "eventCategory": str,
}
SOMETIMES = {"errorCode", "errorMessage", "resources", "tlsDetails", "sharedEventID"}


def many_calls(rig: Rig) -> list[Answer]:
    """One of nearly everything that can happen."""
    shared = secret_arn("shared")
    asked: list[tuple[str, Any, dict[str, Any]]] = [
        (PUT, {"SecretId": "toy", "SecretString": SEALED}, {}),
        (PUT, {"SecretId": "shared", "SecretString": SEALED}, {}),
        (GET, {"SecretId": "toy"}, {}),
        (GET, {"SecretId": "toy"}, {"user": BOB}),
        (GET, {"SecretId": "gone"}, {}),
        (GET, {"SecretId": shared}, {"user": CAROL}),
        (GET, {"SecretId": "toy"}, {"secret": "wrong"}),
        (GET, {"SecretId": "toy"}, {"user": None}),
        (GET, b"{", {}),
        ("secretsmanager.DescribeSecret", {}, {}),
        ("secretsmanager.Nonsense", {}, {}),
        ("Nonsense.Nonsense", {}, {}),
        ("secretsmanager.GetRandomPassword", {}, {}),
        ("secretsmanager.ListSecrets", {}, {}),
        ("secretsmanager.DeleteSecret", {"SecretId": "toy"}, {}),
        ("secretsmanager.RotateSecret", {"SecretId": "toy"}, {}),
        ("AmazonSSM.GetParameter", {"Name": "toy"}, {}),
        ("AmazonSSM.PutParameter", {"Name": "toy", "Value": SEALED, "Type": "SecureString"}, {}),
        (GET, {"SecretId": "toy"}, {"tls": Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")}),
    ]
    return [rig.json(target, parameters, **options) for target, parameters, options in asked]


def test_every_answer_has_its_record_and_every_record_cloudtrails_shape(rig: Rig) -> None:
    answers = many_calls(rig)
    records = rig.records()
    seen: dict[str, int] = {}
    for record in records:
        assert set(ALWAYS) <= set(record), f"missing: {set(ALWAYS) - set(record)}"
        assert set(record) <= set(ALWAYS) | SOMETIMES, f"unknown: {set(record) - set(ALWAYS) - SOMETIMES}"
        for name, kind in ALWAYS.items():
            assert isinstance(record[name], kind), (name, record[name])
        assert UUID.fullmatch(record["eventID"])
        assert UUID.fullmatch(record["requestID"])
        when = datetime.strptime(record["eventTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        assert abs((datetime.now(UTC) - when).total_seconds()) < 300
        assert record["awsRegion"] == REGION
        assert record["eventVersion"] == "1.11"
        assert (record["eventType"], record["eventCategory"]) == ("AwsApiCall", "Management")
        assert record["managementEvent"] is True
        assert (record["sourceIPAddress"], record["userAgent"]) in (
            ("192.0.2.7", CLIENT_AGENT),
            ("ssm.amazonaws.com", "ssm.amazonaws.com"),
        )
        if record["readOnly"]:
            assert record["responseElements"] is None
        seen[record["requestID"]] = seen.get(record["requestID"], 0) + 1
    assert len({record["eventID"] for record in records}) == len(records), "event ids are unique"
    expected = [1] * len(answers)
    expected[5] = 2  # across accounts
    expected[16] = expected[17] = 2  # with the call that ssm made
    assert [seen.get(answer.request_id, 0) for answer in answers] == expected
    assert len(records) == sum(expected)


def test_errors_and_only_errors_are_told_as_such(rig: Rig) -> None:
    for answer in many_calls(rig):
        for record in rig.records_of(answer):
            assert record.get("errorCode", "") == answer.code
            assert record.get("errorMessage", "") == ("" if answer.status == 200 else answer.message)


def test_no_record_holds_a_secret(rig: Rig) -> None:
    many_calls(rig)
    everything = b"\n".join(rig.raw_records())
    assert len(everything) > 5000, "there is something to be searched"
    assert SEALED.encode() not in everything
    for user in USERS:
        assert user.secret.encode() not in everything
    assert everything.count(b"HIDDEN_DUE_TO_SECURITY_REASONS") == 4, (
        "the secrets' places show that there was one"
    )


def test_the_caller_is_named_as_cloudtrail_names_them(rig: Rig) -> None:
    answer = rig.json("secretsmanager.GetRandomPassword", {})
    (record,) = rig.records_of(answer)
    assert record["userIdentity"] == {
        "type": "IAMUser",
        "principalId": "AIDAALICEXXXXXXXXXXX",
        "arn": ALICE.arn,
        "accountId": ACCOUNT,
        "accessKeyId": ALICE.key_id,
        "userName": "alice",
    }
    assert record["recipientAccountId"] == ACCOUNT


def test_a_change_shows_what_it_made(rig: Rig) -> None:
    answer = rig.json(PUT, {"SecretId": "toy", "SecretString": SEALED})
    (record,) = rig.records_of(answer)
    assert record["readOnly"] is False
    assert record["responseElements"]["name"] == "toy"
    assert record["resources"] == [
        {"accountId": ACCOUNT, "type": "AWS::SecretsManager::Secret", "ARN": secret_arn("toy")}
    ]


def test_tls_is_told_where_there_is_any(rig: Rig) -> None:
    random = "secretsmanager.GetRandomPassword"
    (plain,) = rig.records_of(rig.json(random, {}))
    (secure,) = rig.records_of(rig.json(random, {}, tls=Tls("TLSv1.3", "TLS_AES_128_GCM_SHA256")))
    assert "tlsDetails" not in plain
    assert secure["tlsDetails"] == {
        "tlsVersion": "TLSv1.3",
        "cipherSuite": "TLS_AES_128_GCM_SHA256",
        "clientProvidedHostHeader": "localhost:4566",
    }


def test_the_owner_in_another_account_gets_a_record_of_their_own(rig: Rig) -> None:
    rig.put("shared")
    answer = rig.json(GET, {"SecretId": secret_arn("shared")}, user=CAROL)
    assert answer.status == 200, answer
    first, second = rig.records_of(answer)
    assert [first["recipientAccountId"], second["recipientAccountId"]] == [OTHER_ACCOUNT, ACCOUNT]
    assert first["sharedEventID"] == second["sharedEventID"]
    assert first["eventID"] != second["eventID"]
    caller = first["userIdentity"]
    assert (caller["type"], caller["accountId"], caller["userName"]) == ("IAMUser", OTHER_ACCOUNT, "carol")
    # Who that is over there is not told.
    assert second["userIdentity"] == {
        "type": "AWSAccount",
        "principalId": caller["principalId"],
        "accountId": OTHER_ACCOUNT,
    }
    assert {**second, **dict.fromkeys(("userIdentity", "eventID", "recipientAccountId"))} == {
        **first,
        **dict.fromkeys(("userIdentity", "eventID", "recipientAccountId")),
    }


def test_one_account_alone_shares_no_event(rig: Rig) -> None:
    rig.put("toy")
    assert all("sharedEventID" not in record for record in rig.records())


@pytest.mark.parametrize(
    "value", ['"},"x":{"', "\x7f\x80\xff", "\\", '"', "é", "𝄞", "\t", "a" * 4000], ids=ascii
)
def test_what_a_client_says_of_itself_cannot_break_a_record(rig: Rig, value: str) -> None:
    exchange = json_request("secretsmanager.GetRandomPassword", {})
    exchange.headers[b"user-agent"] = value.encode("latin-1", "replace")
    answer = rig.ask(exchange)
    assert answer.status == 200, "User-Agent is not signed"
    (record,) = rig.records_of(answer)
    said = value.encode("latin-1", "replace").decode("latin-1")
    assert record["userAgent"] == said[:1024], "a record holds no more of it than that"


def test_a_hostile_name_of_an_operation_is_recorded_as_text(rig: Rig) -> None:
    name = 'Get"},"eventName":"Decrypt'
    answer = rig.ask(
        request(body=b"{}", headers={"X-Amz-Target": f"secretsmanager.{name}"}, service="secretsmanager")
    )
    (record,) = rig.records_of(answer)
    assert record["eventName"] == name


def test_relaxed_replies_are_recorded_as_well(tmp_path: Path) -> None:
    with rig_in(tmp_path, relaxed=True) as rig:
        answers = [rig.json("secretsmanager.GetRandomPassword", {}) for _ in range(20)]
        rig.put("toy")
        rig.turn(lambda: len(rig.records()) >= 21, 5.0)
        assert all(len(rig.records_of(answer)) == 1 for answer in answers)


def test_the_tallies_count_every_answer(rig: Rig) -> None:
    many_calls(rig)
    by_outcome = rig.gate.tallies.by_outcome
    counts = {outcome: sum(tally[:-1]) for outcome, tally in by_outcome.items()}
    assert counts["secretsmanager:GetSecretValue", ""] == 3
    assert counts["secretsmanager:GetSecretValue", "AccessDeniedException"] == 1
    assert counts["unknown", "NotImplemented"] == 1
    assert sum(counts.values()) == 19
