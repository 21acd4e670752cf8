"""Defects, a full disk, a lost database: a refusal with a request id, nothing half done, nobody left waiting."""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gate_support import SEALED, Answer, Rig, json_request, rig_in

from casemate.store.database import Unavailable

PUT, GET = "secretsmanager.PutSecretValue", "secretsmanager.GetSecretValue"


def put(name: str = "toy", value: str = SEALED) -> dict[str, Any]:
    return {"SecretId": name, "SecretString": value}


# --- defects of a handler


@pytest.mark.parametrize(
    "target",
    [
        "secretsmanager.ListSecrets",
        "secretsmanager.DeleteSecret",
        "secretsmanager.RotateSecret",
    ],
)
def test_a_defect_is_an_internal_failure_that_tells_nothing(
    rig: Rig, caplog: pytest.LogCaptureFixture, target: str
) -> None:
    rig.put("toy", "as it was")
    with caplog.at_level(logging.DEBUG):
        answer = rig.json(target, {"SecretId": "toy"})
    assert (answer.status, answer.code) == (500, "InternalFailure")
    assert answer.request_id in answer.message, "the client can name the request"
    assert rig.toy("toy") == "as it was", "what a failed write did is undone"
    (record,) = rig.records_of(answer)
    assert record["errorCode"] == "InternalFailure"
    assert answer.request_id in caplog.text, "the log names the request"
    assert re.search(r"RuntimeError|ValueError|TypeError|KeyError", caplog.text), "and the kind of defect"
    assert SEALED not in caplog.text, "and nothing of what the request held"
    assert SEALED.encode() not in answer.body
    assert SEALED not in str(record)


def test_after_a_defect_all_goes_on(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        assert rig.json("secretsmanager.DeleteSecret", {"SecretId": "toy"}).status == 500
        assert rig.json(PUT, put()).status == 200
        assert rig.json(GET, {"SecretId": "toy"}).status == 200


def test_an_answer_that_the_model_does_not_know_is_a_defect_too(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    answer = rig.json("secretsmanager.RotateSecret", {"SecretId": "toy"})
    assert answer.status == 500
    (record,) = rig.records_of(answer)
    assert record["errorCode"] == "InternalFailure", "no success is recorded that the client did not get"


# --- the database


@pytest.mark.parametrize("target", [GET, PUT])
def test_a_database_that_cannot_be_reached_is_told_as_such(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    def lost(*_: Any, **__: Any) -> Any:
        raise Unavailable(f"the server at {SEALED} is gone")

    monkeypatch.setattr(rig.store, "read", lost)
    monkeypatch.setattr(rig.store, "submit", lost)
    answer = rig.json(target, put() if target == PUT else {"SecretId": "toy"})
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert SEALED.encode() not in answer.body
    monkeypatch.undo()
    assert [record["errorCode"] for record in rig.records_of(answer)] == ["ServiceUnavailable"]


def test_a_write_whose_commit_fails_is_not_acknowledged(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    submit = rig.store.submit

    def failing(fn: Any, done: Any, request_id: str | None = None, **_: Any) -> None:
        def run(tx: Any) -> Any:
            fn(tx)
            raise Unavailable("the primary was lost at the commit")

        submit(run, done, request_id)

    monkeypatch.setattr(rig.store, "submit", failing)
    answer = rig.json("AmazonSSM.PutParameter", {"Name": "toy", "Value": SEALED, "Type": "String"})
    assert answer.status == 503
    assert rig.toy("toy") is None
    record = rig.records_of(answer)[-1]
    assert (record["eventName"], record["errorCode"]) == ("PutParameter", "ServiceUnavailable")


# --- the journal


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, name: str = "fdatasync") -> Iterator[None]:
    """The journal's files take nothing more; SQLite's, which do not go through Python's os, do."""

    def refuse(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, name, refuse)
        if name == "pwrite":
            patched.setattr(os, "fdatasync", refuse)
        yield


REQUESTS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "a read": (GET, {"SecretId": "toy"}, {}),
    "a read that waits": (GET, {"SecretId": "gone"}, {}),
    "a write": (PUT, put("new"), {}),
    "a write that asks": ("AmazonSSM.PutParameter", {"Name": "new", "Value": "x", "Type": "String"}, {}),
    "a refusal": (GET, {"SecretId": "toy"}, {"secret": "wrong"}),
    "an unsigned request": (GET, {"SecretId": "toy"}, {"user": None}),
    "an unknown target": ("Nonsense.Nonsense", {}, {}),
    "a defect": ("secretsmanager.ListSecrets", {}, {}),
    "a defect of a write": ("secretsmanager.DeleteSecret", {"SecretId": "toy"}, {}),
}


def unaudited(answer: Answer) -> None:
    assert answer.status == 503, f"a reply left without its record: {answer}"
    assert b"ServiceUnavailable" in answer.body
    assert SEALED.encode() not in answer.body


@pytest.mark.parametrize("call", ["fdatasync", "pwrite"])
@pytest.mark.parametrize("name", REQUESTS)
def test_no_reply_leaves_without_its_record(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, name: str, call: str
) -> None:
    rig.put("toy")
    assert rig.json(GET, {"SecretId": "toy"}).status == 200
    target, parameters, options = REQUESTS[name]
    with full_disk(monkeypatch, call):
        # The first meets the failure itself, the second the journal that is closed by it.
        for _ in range(2):
            unaudited(rig.ask(json_request(target, parameters, **options)))
    assert rig.turn(lambda: rig.journal.healthy), "the journal does not recover"
    answer = rig.json(GET, {"SecretId": "toy"})
    assert answer.status == 200, "once there is room again, all goes on"
    assert len(rig.records_of(answer)) == 1


def test_a_closed_journal_changes_nothing_any_more(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    with full_disk(monkeypatch, "pwrite"):
        unaudited(rig.json(GET, {"SecretId": "toy"}))
        rig.toys.ran.clear()
        unaudited(rig.json(PUT, put()))
        assert rig.toys.ran == [], "the write was refused before its handler"
    assert rig.toy("toy") is None


def test_many_waiting_requests_are_all_answered_when_the_disk_is_full(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put("toy")
    with full_disk(monkeypatch):
        waiting = [
            json_request(*asked)
            for _ in range(10)
            for asked in (
                (GET, {"SecretId": "toy"}),
                (PUT, put("other")),
                (GET, {"SecretId": "gone"}),
            )
        ]
        for exchange in waiting:
            rig.gate.handle(exchange)
        assert rig.turn(lambda: all(exchange.replied for exchange in waiting)), "some hang"
        for exchange in waiting:
            assert exchange.answer is not None
            unaudited(exchange.answer)


def test_relaxed_replies_too_stop_when_the_journal_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rig_in(tmp_path, relaxed=True) as rig, full_disk(monkeypatch, "pwrite"):
        rig.json("secretsmanager.GetRandomPassword", {})
        assert rig.turn(lambda: not rig.journal.healthy)
        unaudited(rig.json("secretsmanager.GetRandomPassword", {}))


def test_one_reply_that_cannot_be_sent_does_not_hold_up_the_others(rig: Rig) -> None:
    exchanges = [json_request("secretsmanager.GetRandomPassword", {}) for _ in range(3)]
    exchanges[0].replied = True  # its reply raises
    for exchange in exchanges:
        rig.gate.handle(exchange)
    assert rig.turn(lambda: all(exchange.answer for exchange in exchanges[1:])), "the others hang"
