"""Data keys of SQS and CloudWatch Logs whose transaction was undone, that are lost, and that are kept for as long as
a message needs them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from acting_support import ACCOUNT, REGION, Household, household_in

from casemate.api import kms, logs, sqs
from casemate.gate.call import Call
from casemate.services.logs.encryption import DataKeys as LogsDataKeys
from casemate.services.sqs.encryption import DataKeys
from casemate.services.sqs.messages import receivable
from casemate.services.sqs.moving import move
from casemate.services.sqs.naming import Place
from casemate.services.sqs.queues import Queues
from casemate.services.sqs.retention import expirer

GROUP = "/app/sealed"


class Undone(Exception):
    pass


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    with household_in(tmp_path_factory.mktemp("house")) as house:
        yield house


def undone(house: Household, work: Callable[[Call], object]) -> None:
    def run(call: Call) -> None:
        work(call)
        raise Undone

    with pytest.raises(Undone):
        house.by_admin(run)


def anew(house: Household, part: object) -> None:
    """Forget what the worker has in memory of it."""
    cast("dict[type, Any]", house.gate.parts)[type(part)] = part


def key(call: Call) -> str:
    allowed = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root", "Service": f"logs.{REGION}.amazonaws.com"},
        "Action": "kms:*",
        "Resource": "*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    return kms.CreateKey.ask(call, {"Policy": policy})["KeyMetadata"]["Arn"]


def queue(house: Household, name: str) -> str:
    def make(call: Call) -> str:
        made = sqs.CreateQueue.ask(call, {"QueueName": name, "Attributes": {"KmsMasterKeyId": key(call)}})
        return made["QueueUrl"]

    return house.by_admin(make)


def send(url: str, *bodies: str) -> Callable[[Call], None]:
    def run(call: Call) -> None:
        for body in bodies:
            sqs.SendMessage.ask(call, {"QueueUrl": url, "MessageBody": body})

    return run


def received(house: Household, url: str) -> list[str]:
    """What a worker receives that has just begun."""
    anew(house, DataKeys())
    found = house.by_admin(
        lambda call: sqs.ReceiveMessage.ask(call, {"QueueUrl": url, "MaxNumberOfMessages": 10})
    )
    return [message["Body"] for message in found.get("Messages", [])]


def test_messages_are_never_under_a_data_key_that_was_undone(house: Household) -> None:
    url = queue(house, "undone")
    undone(house, send(url, "a", "b"))
    house.by_admin(send(url, "c", "d"))
    house.by_admin(send(url, "e"))
    assert sorted(received(house, url)) == ["c", "d", "e"]


def test_a_message_whose_data_key_is_lost_is_put_aside(house: Household) -> None:
    url = queue(house, "lost")
    house.by_admin(send(url, "lost"))
    house.gate.store.write(lambda tx: tx.run("DELETE FROM sqs_data_keys"))
    house.by_admin(send(url, "kept"))
    assert received(house, url) == ["kept"]


def test_a_data_key_is_kept_while_messages_that_were_moved_need_it(house: Household) -> None:
    moved, left = queue(house, "moved"), queue(house, "left")
    house.by_admin(send(moved, "moved"))
    house.by_admin(send(left, "left"))
    house.gate.store.write(lambda tx: tx.run("UPDATE sqs_data_keys SET created = created - 20 * 86400.0"))

    def to_another(call: Call) -> None:
        queues = call.part(Queues)
        origin, to = (queues.load(call.tx, Place(ACCOUNT, REGION, name)) for name in ("moved", "left"))
        assert origin is not None
        assert to is not None
        (kept,) = receivable(call.tx, queues.keyring, origin.row, call.now, 10)
        move(call, origin.row, kept, to.row, call.now, source="")

    house.by_admin(to_another)
    expirer(house.gate)(cast("Any", None))
    assert received(house, left) == ["moved"], "and what no message needs is gone"
    house.gate.store.write(lambda tx: tx.run("UPDATE sqs_data_keys SET moved = moved - 20 * 86400.0"))
    expirer(house.gate)(cast("Any", None))
    assert house.gate.store.read(lambda tx: tx.one("SELECT count(*) FROM sqs_data_keys WHERE moved > 0")) == (
        0,
    )


def test_events_are_never_under_a_data_key_that_was_undone(house: Household) -> None:
    def make(call: Call) -> None:
        logs.CreateLogGroup.ask(call, {"logGroupName": GROUP, "kmsKeyId": key(call)})
        logs.CreateLogStream.ask(call, {"logGroupName": GROUP, "logStreamName": "s"})

    def put(*messages: str) -> Callable[[Call], None]:
        def run(call: Call) -> None:
            for message in messages:
                event: Any = {"timestamp": int(call.now * 1000), "message": message}
                logs.PutLogEvents.ask(
                    call, {"logGroupName": GROUP, "logStreamName": "s", "logEvents": [event]}
                )

        return run

    house.by_admin(make)
    undone(house, put("a", "b"))
    house.by_admin(put("c", "d"))
    house.by_admin(put("e"))
    anew(house, LogsDataKeys(house.gate.parts[Queues].keyring))
    found = house.by_admin(lambda call: logs.FilterLogEvents.ask(call, {"logGroupName": GROUP}))
    assert sorted(event["message"] for event in found["events"]) == ["c", "d", "e"]
