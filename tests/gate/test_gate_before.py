"""What must be done before a request's transaction: done once, outside of it, after the caller was allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gate_support import ASKS_IN_VAIN, Rig, rig_in

from casemate.gate.call import Before, Call

RESTORE, POLICY = "secretsmanager.RestoreSecret", "secretsmanager.GetResourcePolicy"


def test_a_write_starts_again_with_what_was_done_before_it(rig: Rig) -> None:
    rig.put("toy")
    answer = rig.json(RESTORE, {"SecretId": "toy"})
    assert answer.status == 200, answer
    assert rig.toys.ran == ["PutSecretValue", "RestoreSecret", "before", "RestoreSecret"]
    assert rig.toy("toy") == "1", "the value is what was done before gave: one row was changed"
    assert [record["eventName"] for record in rig.records_of(answer)] == ["RestoreSecret"]


def test_it_is_done_once_however_often_the_transaction_runs(tmp_path: Path) -> None:
    with rig_in(tmp_path) as rig:
        rig.put("toy")
    with rig_in(tmp_path, repeat_writes=True, rates={"secretsmanager:RestoreSecret": 0.001}) as rig:
        answer = rig.json(RESTORE, {"SecretId": "toy"})
        assert answer.status == 200, answer
        assert rig.toys.ran.count("before") == 1, "and it counted once against its quota of one"
        assert rig.json(RESTORE, {"SecretId": "toy"}).code == "ThrottlingException"


def test_a_read_starts_again_for_each_thing_that_it_wants_done(rig: Rig) -> None:
    rig.put("toy")
    rig.toys.ran.clear()
    answer = rig.json(POLICY, {"SecretId": "toy"})
    assert answer.status == 200, answer
    assert answer.json["ResourcePolicy"] == "11"
    assert rig.toys.ran.count("before") == 2
    assert len(rig.records_of(answer)) == 1


def test_an_asked_write_wants_it_of_the_asking_one(rig: Rig) -> None:
    rig.put("toy")
    answer = rig.json("AmazonSSM.LabelParameterVersion", {"Name": "toy", "Labels": ["x"]})
    assert answer.status == 200, answer
    assert rig.toys.ran.count("before") == 1
    assert [each["eventName"] for each in rig.records_of(answer)] == [
        "RestoreSecret",
        "LabelParameterVersion",
    ]


def test_what_cannot_be_done_is_the_answer_and_changes_nothing(rig: Rig) -> None:
    rig.put("fails")
    answer = rig.json(RESTORE, {"SecretId": "fails"})
    assert (answer.status, answer.code) == (400, "LimitExceededException")
    assert rig.toy("begun") is None
    assert rig.records_of(answer)[0]["errorCode"] == "LimitExceededException"
    refused = rig.json(POLICY, {"SecretId": "fails"})
    assert (refused.status, refused.code) == (400, "LimitExceededException")


def test_nothing_is_done_for_who_is_not_allowed(rig: Rig) -> None:
    rig.put("toy")
    for target in (RESTORE, POLICY):
        answer = rig.json(target, {"SecretId": "toy"}, user=ASKS_IN_VAIN)
        assert answer.code == "AccessDeniedException"
    assert "before" not in rig.toys.ran


def test_a_service_that_reads_has_its_managed_key_made(rig: Rig) -> None:
    for _ in range(2):
        answer = rig.json("AmazonSSM.GetParameters", {"Names": ["alias/aws/ssm"]})
        assert answer.status == 200, answer
    direct = rig.json("TrentService.Encrypt", {"KeyId": "alias/aws/ssm", "Plaintext": "eA=="})
    assert direct.code == "AccessDeniedException"
    assert rig.store.read(lambda tx: len(tx.all("SELECT 1 FROM kms_keys"))) == 1
    other = rig.json("AmazonSSM.GetParameters", {"Names": ["alias/aws/s3"]})
    assert other.code == "AccessDeniedException", "another service's key is not for this one"


def test_calls_that_one_request_asks_do_not_take_each_others_results() -> None:
    """A write that makes two data keys has two made, and each run of it finds each of them again."""
    drawn = iter(range(10))

    def run(done: dict[str, Any]) -> list[int]:
        while True:
            parent = Call(Any, Any, "request", 0.0, 0.0)  # type: ignore[arg-type]  # neither is looked at
            parent.done_before = done
            try:
                found = []
                for _ in range(2):
                    child = parent.passed_on({}, "ssm", Any)  # type: ignore[arg-type]
                    found.append(child.before("data key", lambda: next(drawn)))
                    found.append(child.passed_on({}, "kms", Any).before("data key", lambda: next(drawn)))  # type: ignore[arg-type]
                return found
            except Before as wanted:
                wanted.fulfil()

    done: dict[str, Any] = {}
    assert run(done) == [0, 1, 2, 3]
    assert run(done) == [0, 1, 2, 3]
