"""Services calling each other: as the same caller, authorised, audited, in one transaction."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from gate_support import (
    ACCOUNT,
    ALICE,
    ASKS_IN_VAIN,
    BOB,
    SEALED,
    SOURCE,
    VIA_ONLY,
    Rig,
    rig_in,
    secret_arn,
)

GET_PARAMETER, PUT_PARAMETER = "AmazonSSM.GetParameter", "AmazonSSM.PutParameter"


def parameter(**more: Any) -> dict[str, Any]:
    return {"Name": "toy", "Value": SEALED, "Type": "SecureString", **more}


def test_the_asked_service_sees_the_caller_not_the_asking_service(rig: Rig) -> None:
    rig.put("toy")
    answer = rig.json(GET_PARAMETER, {"Name": "toy"}, user=ASKS_IN_VAIN)
    assert answer.code == "AccessDeniedException"
    assert answer.message.startswith(
        f"User: {ASKS_IN_VAIN.arn} is not authorized to perform: secretsmanager:GetSecretValue on resource: "
        f"{secret_arn('toy')} "
    )
    asked, asking = rig.records_of(answer)
    assert asked["eventName"] == "GetSecretValue"
    assert asking["eventName"] == "GetParameter"
    assert asked["errorCode"] == asking["errorCode"] == "AccessDeniedException"


def test_a_condition_sees_the_way_that_a_call_came(rig: Rig) -> None:
    rig.put("toy")
    direct = rig.json("secretsmanager.GetSecretValue", {"SecretId": "toy"}, user=VIA_ONLY)
    assert direct.code == "AccessDeniedException", "aws:CalledVia is absent from a direct call"
    by_ssm = rig.json(GET_PARAMETER, {"Name": "toy"}, user=VIA_ONLY)
    assert by_ssm.status == 200, by_ssm
    assert by_ssm.json["Parameter"]["Value"] == SEALED
    again = rig.json("secretsmanager.GetSecretValue", {"SecretId": "toy"}, user=VIA_ONLY)
    assert again.code == "AccessDeniedException", "the decision for the call by ssm is not kept for others"


def test_the_asked_call_has_a_record_of_its_own(rig: Rig) -> None:
    rig.put("toy")
    answer = rig.json(GET_PARAMETER, {"Name": "toy"})
    asked, asking = rig.records_of(answer)
    assert [asked["eventName"], asking["eventName"]] == ["GetSecretValue", "GetParameter"]
    assert asked["eventSource"] == "secretsmanager.amazonaws.com"
    assert asked["userIdentity"]["arn"] == ALICE.arn
    assert asked["userIdentity"]["invokedBy"] == "ssm.amazonaws.com"
    assert asked["sourceIPAddress"] == asked["userAgent"] == "ssm.amazonaws.com"
    assert asked["requestParameters"] == {"secretId": "toy"}
    assert asked["resources"][0]["ARN"] == secret_arn("toy")
    assert asked["requestID"] == asking["requestID"] == answer.request_id
    assert asked["eventID"] != asking["eventID"]
    assert "invokedBy" not in asking["userIdentity"]
    assert "resources" not in asking, "what the asked call touched is its own"


def test_a_write_and_what_it_asked_are_one_transaction(rig: Rig) -> None:
    done = rig.json(PUT_PARAMETER, parameter())
    assert done.status == 200, done
    assert (rig.toy("toy"), rig.toy("parameter toy")) == (SEALED, "x")
    assert [record["eventName"] for record in rig.records_of(done)] == ["PutSecretValue", "PutParameter"]


def test_they_are_rolled_back_together(rig: Rig) -> None:
    failed = rig.json(PUT_PARAMETER, parameter(Description="fail late"))
    assert (failed.status, failed.code) == (400, "ParameterLimitExceeded")
    assert rig.toys.ran == ["PutParameter", "PutSecretValue"]
    assert (rig.toy("toy"), rig.toy("parameter toy")) == (None, None)
    record = rig.records_of(failed)[-1]
    assert (record["eventName"], record["errorCode"]) == ("PutParameter", "ParameterLimitExceeded")


def test_a_denied_ask_undoes_what_the_asking_handler_has_done(rig: Rig) -> None:
    denied = rig.json(PUT_PARAMETER, parameter(), user=ASKS_IN_VAIN)
    assert denied.code == "AccessDeniedException"
    assert "secretsmanager:PutSecretValue" in denied.message
    assert rig.toys.ran == ["PutParameter"]
    assert rig.toy("parameter toy") is None
    assert [record["errorCode"] for record in rig.records_of(denied)] == ["AccessDeniedException"] * 2


def test_whoever_may_not_ask_does_not_get_as_far(rig: Rig) -> None:
    denied = rig.json(GET_PARAMETER, {"Name": "toy"}, user=BOB)
    assert "ssm:GetParameter" in denied.message
    assert [record["eventName"] for record in rig.records_of(denied)] == ["GetParameter"]


def test_what_is_asked_must_be_served(rig: Rig) -> None:
    answer = rig.json("AmazonSSM.GetParameterHistory", {"Name": "toy"})
    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert "secretsmanager:DescribeSecret" in answer.message
    assert [record["eventName"] for record in rig.records_of(answer)] == [
        "DescribeSecret",
        "GetParameterHistory",
    ]


def test_what_is_asked_counts_against_its_quota(tmp_path: Path) -> None:
    with rig_in(tmp_path, rates={"secretsmanager:GetSecretValue": 1}) as rig:
        rig.put("toy")
        rig.store.read(lambda tx: rig.toys.cache.get((ACCOUNT, "toy"), tx))
        codes = [rig.json(GET_PARAMETER, {"Name": "toy"}).code for _ in range(2)]
        assert codes == ["", "ThrottlingException"]


@pytest.mark.parametrize(
    ("target", "parameters"),
    [("secretsmanager.GetSecretValue", {"SecretId": "toy"}), (GET_PARAMETER, {"Name": "toy"})],
)
def test_a_read_that_has_to_wait_counts_once(tmp_path: Path, target: str, parameters: dict[str, Any]) -> None:
    with rig_in(tmp_path, rates={"secretsmanager:GetSecretValue": 1}) as rig:
        rig.put("toy")
        answer = rig.json(target, parameters)
        assert answer.code == "", "the only request there is was throttled"


def test_kms_sees_the_service_that_asks_for_a_caller(rig: Rig) -> None:
    """kms:ViaService in a key's policy, by KMS itself."""
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                "NotAction": "kms:Encrypt",
                "Resource": "*",
            },
            {
                "Effect": "Allow",
                "Principal": {"AWS": ALICE.arn},
                "Action": "kms:Encrypt",
                "Resource": "*",
                "Condition": {"StringEquals": {"kms:ViaService": "ssm.us-east-1.amazonaws.com"}},
            },
        ],
    }
    created = rig.json("TrentService.CreateKey", {"Policy": json.dumps(policy)})
    assert created.status == 200, created
    key = created.json["KeyMetadata"]["KeyId"]
    plaintext = base64.b64encode(SEALED.encode()).decode()
    direct = rig.json("TrentService.Encrypt", {"KeyId": key, "Plaintext": plaintext})
    assert direct.code == "AccessDeniedException"
    by_ssm = rig.json("AmazonSSM.GetParameters", {"Names": [key]})
    assert by_ssm.status == 200, by_ssm
    asked, _ = rig.records_of(by_ssm)
    assert (asked["eventSource"], asked["eventName"]) == ("kms.amazonaws.com", "Encrypt")
    assert asked["userIdentity"]["invokedBy"] == "ssm.amazonaws.com"
    assert SEALED not in json.dumps(rig.records())
    assert plaintext not in json.dumps(rig.records())


def test_kms_sees_on_whose_behalf_a_service_asks(rig: Rig) -> None:
    """In a grant's SourceArn constraint, and in a key's policy."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "NotAction": "kms:Encrypt",
        "Resource": "*",
    }
    keys = []
    for _ in range(2):
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        keys.append(rig.json("TrentService.CreateKey", {"Policy": document}).json["KeyMetadata"]["KeyId"])
    for key, source in zip(keys, (SOURCE, SOURCE + "2"), strict=True):
        granted = rig.json(
            "TrentService.CreateGrant",
            {
                "KeyId": key,
                "GranteePrincipal": ALICE.arn,
                "Operations": ["Encrypt"],
                "Constraints": {"SourceArn": source},
            },
        )
        assert granted.status == 200, granted
    plaintext = base64.b64encode(SEALED.encode()).decode()
    for key in keys:
        direct = rig.json("TrentService.Encrypt", {"KeyId": key, "Plaintext": plaintext})
        assert direct.code == "AccessDeniedException", "a client acts on nobody's behalf"
    assert rig.json("AmazonSSM.GetParameters", {"Names": [keys[0]]}).status == 200
    assert rig.json("AmazonSSM.GetParameters", {"Names": [keys[1]]}).code == "AccessDeniedException"
    bound = {
        **statement,
        "Action": "kms:Encrypt",
        "Condition": {"StringEquals": {"aws:SourceArn": SOURCE, "aws:SourceAccount": ACCOUNT}},
    }
    del bound["NotAction"]
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement, bound]})
    put = rig.json("TrentService.PutKeyPolicy", {"KeyId": keys[1], "Policy": document})
    assert put.status == 200, put
    assert rig.json("AmazonSSM.GetParameters", {"Names": [keys[1]]}).status == 200
    direct = rig.json("TrentService.Encrypt", {"KeyId": keys[1], "Plaintext": plaintext})
    assert direct.code == "AccessDeniedException"


# --- reads that must wait, writes that run again


def test_a_read_that_misses_runs_again_where_it_may_wait_and_answers_the_same(rig: Rig) -> None:
    rig.put("toy")
    asked = "secretsmanager.GetSecretValue", {"SecretId": "toy"}
    waited = rig.waited
    cold = rig.json(*asked)
    assert rig.waited == waited + 1, "the first read waited for the database"
    warm = rig.json(*asked)
    assert rig.waited == waited + 1, "the second one did not"
    assert (cold.status, cold.body) == (warm.status, warm.body)
    first, second = (rig.records_of(answer) for answer in (cold, warm))
    assert len(first) == len(second) == 1, "what runs again is audited once"
    ids = ("requestID", "eventID", "eventTime")
    assert {k: v for k, v in first[0].items() if k not in ids} == {
        k: v for k, v in second[0].items() if k not in ids
    }


def test_a_few_rows_are_read_at_once_where_the_database_is_near(rig: Rig) -> None:
    rig.put("toy", "one")
    waited = rig.waited
    read = "secretsmanager.StopReplicationToReplica"
    found = rig.json(read, {"SecretId": "toy"})
    assert (found.status, found.json["ARN"], rig.waited) == (200, "one", waited)
    absent = rig.json(read, {"SecretId": "gone"})
    assert (absent.code, rig.waited) == ("ResourceNotFoundException", waited)
    assert len(rig.records_of(found)) == len(rig.records_of(absent)) == 1
    refused = rig.json(read, {"SecretId": "toy"}, user=BOB)
    assert (refused.code, rig.waited) == ("AccessDeniedException", waited)
    rig.toys.ran.clear()
    slow = rig.json(read, {"SecretId": "slow"})
    assert rig.waited == waited + 1, "what is slow is done in a thread"
    assert rig.toys.ran == ["StopReplicationToReplica", "before", "StopReplicationToReplica"]
    assert slow.code == "ResourceNotFoundException"
    assert rig.json(read, {"SecretId": "toy"}).status == 200, "the event loop's transaction was left"


def test_a_store_that_is_far_is_asked_in_a_thread(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.put("toy", "one")
    waited = rig.waited
    monkeypatch.setattr(type(rig.store), "near", False)
    found = rig.json("secretsmanager.StopReplicationToReplica", {"SecretId": "toy"})
    assert (found.json["ARN"], rig.waited) == ("one", waited + 1)


def test_a_caller_who_is_not_in_memory_is_fetched(rig: Rig) -> None:
    rig.directory.cold = True
    random = "secretsmanager.GetRandomPassword"
    assert rig.json(random, {}).status == 200
    assert rig.waited == 1
    assert rig.json(random, {}).status == 200
    assert rig.waited == 1
    assert rig.json(random, {}, secret="wrong", user=BOB).code == "InvalidSignatureException"
    assert rig.waited == 2


def test_a_refusal_that_had_to_wait_is_audited_once(rig: Rig) -> None:
    answer = rig.json("secretsmanager.GetSecretValue", {"SecretId": "gone"})
    assert answer.code == "ResourceNotFoundException"
    assert rig.waited == 1
    assert len(rig.records_of(answer)) == 1


def test_an_ask_that_misses_runs_the_whole_call_again(rig: Rig) -> None:
    rig.put("toy")
    answer = rig.json(GET_PARAMETER, {"Name": "toy"})
    assert rig.waited == 1
    assert answer.json["Parameter"]["Value"] == SEALED
    assert [record["eventName"] for record in rig.records_of(answer)] == ["GetSecretValue", "GetParameter"]


def test_a_read_sees_the_write_before_it(rig: Rig) -> None:
    for value in ("one", "two", "three"):
        rig.put("toy", value)
        assert rig.json("secretsmanager.GetSecretValue", {"SecretId": "toy"}).json["SecretString"] == value


@pytest.mark.parametrize("target", [PUT_PARAMETER, "secretsmanager.PutSecretValue"])
def test_a_write_that_runs_twice_has_one_effect_and_one_set_of_records(tmp_path: Path, target: str) -> None:
    with rig_in(tmp_path, repeat_writes=True) as rig:
        wanted = parameter() if target == PUT_PARAMETER else {"SecretId": "toy", "SecretString": SEALED}
        answer = rig.json(target, wanted)
        assert answer.status == 200, answer
        assert rig.toys.ran[: len(rig.toys.ran) // 2] == rig.toys.ran[len(rig.toys.ran) // 2 :], (
            "it ran twice"
        )
        assert rig.store.read(lambda tx: tx.all("SELECT writes FROM toys WHERE name = 'toy'")) == [(1,)]
        names = [record["eventName"] for record in rig.records_of(answer)]
        assert names == (
            ["PutSecretValue", "PutParameter"] if target == PUT_PARAMETER else ["PutSecretValue"]
        )
        resources = rig.records_of(answer)[0]["resources"]
        assert len(resources) == 1, "what the first run was authorised on is not told twice"


def test_what_is_told_of_a_write_is_of_the_run_that_was_committed(tmp_path: Path) -> None:
    with rig_in(tmp_path, repeat_writes=True, first_counts=True) as rig:
        answer = rig.json("TrentService.CreateKey", {})
        assert answer.status == 200, answer
        metadata = answer.json["KeyMetadata"]
        described = rig.json("TrentService.DescribeKey", {"KeyId": metadata["KeyId"]})
        assert described.code == "", "the key that was answered is the one that there is"
        (record,) = rig.records_of(answer)
        assert record["responseElements"]["keyMetadata"]["keyId"] == metadata["KeyId"]
        assert [resource["ARN"] for resource in record["resources"]] == [metadata["Arn"]]
