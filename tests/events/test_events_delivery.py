"""From an event to its targets: what they are given, as whom, what becomes of it when they refuse."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from acting_support import ACCOUNT, REGION
from events_support import EventsHouse, bus_arn, events_house_in, rule_arn

from casemate.api import events, kms
from casemate.errors import AwsError
from casemate.gate.announcing import announce
from casemate.gate.call import Call
from casemate.services.events import dispatch
from casemate.services.events.target_kinds import Sending

SHOP = {"source": ["com.shop"]}


def test_an_event_comes_to_each_target_of_each_rule_that_it_matches(house: EventsHouse) -> None:
    one, two = house.toys.queue("one"), house.toys.queue("two")
    function = house.toys.function("f")
    house.rule("all", SHOP, {"Id": "1", "Arn": one}, {"Id": "2", "Arn": two}, {"Id": "3", "Arn": function})
    house.rule("big", {"detail": {"total": [{"numeric": [">", 100]}]}}, {"Id": "1", "Arn": two})
    house.rule("off", SHOP, {"Id": "1", "Arn": one}, State="DISABLED")
    event_id = house.put({"total": 120}, Resources=["arn:x"])
    house.put({"total": 120}, source="com.else")
    house.put({"total": 1}, source="com.nobody")
    house.send()
    assert len(house.toys.bodies("two")) == 3
    (event,) = house.toys.bodies("one")
    assert list(event) == [
        *("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail")
    ]
    assert event["id"] == event_id
    assert event["account"] == ACCOUNT
    assert event["region"] == REGION
    assert event["detail-type"] == "Order Placed"
    assert event["resources"] == ["arn:x"]
    assert event["detail"] == {"total": 120}
    assert json.loads(house.toys.invoked[0]) == event
    assert house.toys.messages["one"][0]["by"] == "events.amazonaws.com"
    assert house.count("events_outbox") == 0


def test_what_nobody_wants_is_not_written(house: EventsHouse) -> None:
    house.put({"a": 1})
    assert house.count("events_outbox") == 0
    house.rule("none", SHOP)
    house.put({"a": 1})
    assert house.count("events_outbox") == 0, "a rule without targets wants nothing"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"Input": '{"constant": true}'}, '{"constant": true}'),
        ({"InputPath": "$.detail"}, '{"who":"Zoë","n":[1,2]}'),
        ({"InputPath": "$.detail.n[1]"}, "2"),
        ({"InputPath": "$.detail.absent"}, "null"),
        (
            {"InputTransformer": {"InputPathsMap": {"w": "$.detail.who"}, "InputTemplate": '"<w> is here"'}},
            '"Zoë is here"',
        ),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"w": "$.detail.who", "n": "$.detail.n", "x": "$.detail.x"},
                    "InputTemplate": '{"who": <w>, "n": <n>, "x": <x>, "rule": <aws.events.rule-name>}',
                }
            },
            '{"who": "Zoë", "n": [1,2], "x": "", "rule": "r"}',
        ),
    ],
)
def test_a_target_is_given_what_it_asks_for(house: EventsHouse, target: Any, expected: str) -> None:
    queue = house.toys.queue("q")
    house.rule("r", SHOP, {"Id": "1", "Arn": queue, **target})
    house.put({"who": "Zoë", "n": [1, 2]})
    house.send()
    assert house.toys.messages["q"][0]["MessageBody"] == expected


def test_the_queues_policy_decides_by_the_rule(house: EventsHouse) -> None:
    house.toys.queue("mine", ArnEquals={"aws:SourceArn": rule_arn("mine")})
    queue = house.toys.queue("dead")
    for name in ("mine", "others"):
        target = {"Id": "1", "Arn": queue.replace("dead", "mine"), "DeadLetterConfig": {"Arn": queue}}
        house.rule(name, SHOP, target)
    house.put({"a": 1})
    house.send()
    assert len(house.toys.bodies("mine")) == 1
    (dead,) = house.toys.messages["dead"]
    attributes = {name: value["StringValue"] for name, value in dead["MessageAttributes"].items()}
    assert attributes["RULE_ARN"] == rule_arn("others")
    assert attributes["TARGET_ARN"].endswith(":mine")
    assert attributes["ERROR_CODE"] == "NO_PERMISSIONS"
    assert attributes["RETRY_ATTEMPTS"] == "0"
    assert json.loads(dead["MessageBody"])["detail"] == {"a": 1}


class _Time:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_what_fails_is_tried_again_later_and_at_last_is_a_dead_letter(tmp_path: Path) -> None:
    time = _Time()
    with events_house_in(tmp_path, time) as house:
        queue, dead = house.toys.queue("q"), house.toys.queue("dead")
        policy = {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 600}
        house.rule(
            "r", SHOP, {"Id": "1", "Arn": queue, "RetryPolicy": policy, "DeadLetterConfig": {"Arn": dead}}
        )
        house.toys.failing["q"] = AwsError("ThrottlingException", "Slow down.")
        house.put({"a": 1})
        house.put({"a": 2})
        assert house.send() == 2
        assert house.send() == 0, "not before its time"
        assert house.count("events_retries") == 2
        time.now += 2
        assert house.send() == 2
        del house.toys.failing["q"]
        time.now += 1
        assert house.send() == 0
        time.now += 2
        assert house.send() == 2
        assert [body["detail"]["a"] for body in house.toys.bodies("q")] == [1, 2]
        house.toys.failing["q"] = AwsError("InternalFailure", "", 500)
        house.put({"a": 3})
        for _ in range(4):
            house.send()
            time.now += 10
        (letter,) = house.toys.messages["dead"]
        attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
        assert attributes["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"
        assert attributes["ERROR_CODE"] == "INTERNAL_ERROR"
        assert house.count("events_retries") == 0


def test_what_a_template_makes_too_large_is_a_dead_letter(
    house: EventsHouse, caplog: pytest.LogCaptureFixture
) -> None:
    queue, dead = house.toys.queue("q"), house.toys.queue("dead")
    template = {"InputPathsMap": {"x": "$.detail.x"}, "InputTemplate": f"[{','.join(['<x>'] * 300)}]"}
    target = {"Arn": queue, "InputTransformer": template}
    house.rule("r", SHOP, {"Id": "1", **target, "DeadLetterConfig": {"Arn": dead}}, {"Id": "2", **target})
    house.put({"x": "swordfish" * 1000})
    house.send()
    assert house.count("events_outbox") == house.count("events_retries") == 0
    assert "q" not in house.toys.messages
    (letter,) = house.toys.messages["dead"]
    assert json.loads(letter["MessageBody"])["detail"] == {"x": "swordfish" * 1000}, "the event as it came"
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "SDK_CLIENT_ERROR"
    assert letter["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"] == (
        "The transformed event is larger than 1 MiB."
    )
    assert "is dropped" in caplog.text
    assert "swordfish" not in caplog.text


def test_a_defect_is_logged_without_what_the_event_holds(
    house: EventsHouse, caplog: pytest.LogCaptureFixture
) -> None:
    queue = house.toys.queue("q")
    house.rule("r", SHOP, {"Id": "1", "Arn": queue})
    house.put({"x": "swordfish"})

    def fails(call: Call, sending: Sending) -> None:
        raise KeyError(sending.text)

    with patch.object(dispatch, "send", fails):
        assert house.house.worker.dispatcher.run_once() == 1
    assert "KeyError" in caplog.text
    assert "in fails" in caplog.text, "the frames tell where"
    assert "swordfish" not in caplog.text


def test_one_targets_failure_leaves_the_others(house: EventsHouse) -> None:
    good, bad = house.toys.queue("good"), house.toys.queue("bad")
    house.toys.failing["bad"] = AwsError("ThrottlingException", "")
    house.rule("r", SHOP, {"Id": "1", "Arn": bad}, {"Id": "2", "Arn": good})
    house.put({})
    house.send()
    assert len(house.toys.bodies("good")) == 1
    assert house.count("events_retries") == 1


def test_from_bus_to_bus_an_event_stays_what_it_is(house: EventsHouse) -> None:
    role = house.house.role(
        "forward", "events.amazonaws.com", {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}
    )
    house.ask(events.CreateEventBus, Name="second")
    queue = house.toys.queue("q")
    house.rule("r", SHOP, {"Id": "1", "Arn": bus_arn("second"), "RoleArn": role})
    house.rule("s", SHOP, {"Id": "1", "Arn": queue}, EventBusName="second")
    house.rule("back", SHOP, {"Id": "1", "Arn": bus_arn("default"), "RoleArn": role}, EventBusName="second")
    event_id = house.put({"a": 1})
    house.send()
    bodies = house.toys.bodies("q")
    assert {body["id"] for body in bodies} == {event_id}
    assert len(bodies) == 3, "a circle of buses ends"
    forwarded = [
        record
        for record in house.house.records("PutEvents")
        if record["userIdentity"]["type"] == "AssumedRole"
    ]
    assert forwarded[0]["userIdentity"]["arn"].endswith("assumed-role/forward/r")
    assert forwarded[0]["requestParameters"]["entries"][0]["detail"] == "HIDDEN_DUE_TO_SECURITY_REASONS"


def test_a_role_that_may_no_more_ends_in_a_refusal(house: EventsHouse) -> None:
    role = house.house.role(
        "weak", "events.amazonaws.com", {"Effect": "Deny", "Action": "*", "Resource": "*"}
    )
    house.ask(events.CreateEventBus, Name="second")
    dead = house.toys.queue("dead")
    target = {"Id": "1", "Arn": bus_arn("second"), "RoleArn": role, "DeadLetterConfig": {"Arn": dead}}
    house.rule("r", SHOP, target)
    house.put({})
    house.send()
    (letter,) = house.toys.messages["dead"]
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"


def test_services_announce_in_their_transaction(house: EventsHouse) -> None:
    queue = house.toys.queue("q")
    house.rule("r", {"source": ["aws.ssm"]}, {"Id": "1", "Arn": queue})

    def change(call: Call) -> None:
        announce(call, "aws.ssm", "Parameter Store Change", {"name": "x"}, resources=["arn:p"])
        announce(call, "aws.kms", "KMS Key Rotation", {})

    def fail(call: Call) -> None:
        change(call)
        raise AwsError("ParameterLimitExceeded", "")

    house.house.by_admin(change)
    with pytest.raises(AwsError):
        house.house.by_admin(fail)
    assert house.count("events_outbox") == 1
    house.send()
    (event,) = house.toys.bodies("q")
    assert (event["source"], event["detail-type"], event["resources"]) == (
        *("aws.ssm", "Parameter Store Change"),
        ["arn:p"],
    )


def test_schedules_run(tmp_path: Path) -> None:
    time = _Time()
    with events_house_in(tmp_path, time) as house:
        queue = house.toys.queue("q")
        house.ask(events.PutRule, Name="often", ScheduleExpression="rate(5 minutes)")
        house.ask(events.PutTargets, Rule="often", Targets=[{"Id": "1", "Arn": queue}])
        jobs = house.house.worker.jobs
        time.now += 299
        assert jobs.run_due() == 0
        time.now += 1
        assert jobs.run_due() == 1
        house.send()
        time.now += 1000
        assert jobs.run_due() == 1, "occasions that were missed are one"
        house.send()
        first, _ = house.toys.bodies("q")
        assert first["detail-type"] == "Scheduled Event"
        assert first["source"] == "aws.events"
        assert first["resources"] == [rule_arn("often")]
        assert first["detail"] == {}
        assert jobs.next_due() == time.now - 1000 + 1200, "the step stays"
        house.ask(events.DisableRule, Name="often")
        time.now += 1000
        assert jobs.run_due() == 0
        house.ask(events.EnableRule, Name="often")
        time.now += 300
        assert jobs.run_due() == 1


def test_kms_tells_of_rotations_and_deletions(tmp_path: Path) -> None:
    time = _Time()
    with events_house_in(tmp_path, time) as house:
        queue = house.toys.queue("q")
        house.rule("keys", {"source": ["aws.kms"]}, {"Id": "1", "Arn": queue})
        turned = house.ask(kms.CreateKey)["KeyMetadata"]
        house.ask(kms.EnableKeyRotation, KeyId=turned["KeyId"])
        house.ask(kms.RotateKeyOnDemand, KeyId=turned["KeyId"])
        gone = house.ask(kms.CreateKey)["KeyMetadata"]
        house.ask(kms.ScheduleKeyDeletion, KeyId=gone["KeyId"], PendingWindowInDays=7)
        time.now += 366 * 86_400
        while house.house.worker.jobs.run_due():
            pass
        house.send()
        told = [
            (event["detail-type"], event["resources"], event["detail"]) for event in house.toys.bodies("q")
        ]
        assert sorted(told) == [
            ("KMS CMK Deletion", [gone["Arn"]], {"key-id": gone["KeyId"]}),
            ("KMS CMK Rotation", [turned["Arn"]], {"key-id": turned["KeyId"]}),
            ("KMS CMK Rotation", [turned["Arn"]], {"key-id": turned["KeyId"]}),
        ]


def test_archives_keep_and_replays_send_again(house: EventsHouse) -> None:
    queue, other = house.toys.queue("q"), house.toys.queue("other")
    first = house.rule("first", SHOP, {"Id": "1", "Arn": queue})
    house.rule("second", SHOP, {"Id": "1", "Arn": other})
    house.ask(
        events.CreateArchive,
        ArchiveName="orders",
        EventSourceArn=bus_arn("default"),
        EventPattern='{"detail": {"keep": [true]}}',
    )
    kept = [house.put({"keep": True, "n": n}) for n in range(3)]
    house.put({"keep": False})
    house.send()
    archive = house.ask(events.DescribeArchive, ArchiveName="orders")
    assert archive["EventCount"] == 3
    assert archive["SizeBytes"] > 300

    def replay(call: Call) -> Any:
        return events.StartReplay.ask(
            call,
            {
                "ReplayName": "again",
                "EventSourceArn": archive["ArchiveArn"],
                "EventStartTime": datetime.fromtimestamp(call.now - 60, UTC),
                "EventEndTime": datetime.fromtimestamp(call.now + 60, UTC),
                "Destination": {"Arn": bus_arn("default"), "FilterArns": [first]},
            },
        )

    assert house.house.by_admin(replay)["State"] == "STARTING"
    house.house.worker.jobs.run_due()
    house.send()
    again = house.toys.bodies("q")[4:]
    assert [event["id"] for event in again] == kept
    assert {event["replay-name"] for event in again} == {"again"}
    assert len(house.toys.bodies("other")) == 4, "the replay was for the first rule alone"
    assert house.ask(events.DescribeReplay, ReplayName="again")["State"] == "COMPLETED"
    assert house.ask(events.DescribeArchive, ArchiveName="orders")["EventCount"] == 3, "not archived again"


def test_calls_are_events(house: EventsHouse) -> None:
    from casemate.api import iam

    queue, reads = house.toys.queue("q"), house.toys.queue("reads")
    pattern = {"source": ["aws.iam"], "detail-type": ["AWS API Call via CloudTrail"]}
    house.rule("writes", pattern, {"Id": "1", "Arn": queue})
    all_of_them = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
    house.rule("reads", pattern, {"Id": "1", "Arn": reads}, State=all_of_them)
    house.ask(iam.CreateUser, UserName="eve")
    house.ask(iam.ListUsers)
    house.house.worker.journal.close()
    house.house.worker.meter.catch_up()
    house.house.gate._journal = _Deaf()  # type: ignore[assignment]
    house.send()
    names = [event["detail"]["eventName"] for event in house.toys.bodies("q")]
    assert names == ["CreateUser"]
    assert [event["detail"]["eventName"] for event in house.toys.bodies("reads")] == [
        "CreateUser",
        "ListUsers",
    ]
    (event,) = house.toys.bodies("q")
    assert event["account"] == ACCOUNT
    assert event["detail"]["requestParameters"] == {"userName": "eve"}


class _Deaf:
    """A journal in place of one that was closed to be read."""

    healthy = True
    quick = False

    def append(self, *_: object) -> None:
        """Nothing is kept."""


def test_altered_rows_are_not_used(house: EventsHouse) -> None:
    queue = house.toys.queue("q")
    house.rule("r", SHOP, {"Id": "1", "Arn": queue})
    house.put({"a": 1})
    house.put({"a": 2})
    rows = house.house.gate.store.read(lambda tx: tx.all("SELECT id FROM events_outbox ORDER BY id"))
    house.house.gate.store.write(
        lambda tx: tx.run("UPDATE events_outbox SET bus = 'other' WHERE id = ?", rows[0])
    )
    house.send()
    assert [body["detail"]["a"] for body in house.toys.bodies("q")] == [2]


def test_a_bus_may_be_reached_by_the_rules_own_role(house: EventsHouse) -> None:
    role = house.house.role(
        "forward", "events.amazonaws.com", {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}
    )
    house.ask(events.CreateEventBus, Name="second")
    queue = house.toys.queue("q")
    house.rule("r", SHOP, {"Id": "1", "Arn": bus_arn("second")}, RoleArn=role)
    house.rule("s", SHOP, {"Id": "1", "Arn": queue}, EventBusName="second")
    house.put({"a": 1})
    house.send()
    assert len(house.toys.bodies("q")) == 1


@pytest.mark.parametrize(
    ("detail", "taken"),
    [
        ('{"a": 1e400}', False),
        ('{"a": NaN}', False),
        ('{"a": ' + "[" * 700 + "]" * 700 + "}", False),
        ('{"a": ' + "[" * 5000 + "]" * 5000 + "}", False),
        ('{"a": "\\ud800"}', True),
        ('{"a": "' + "[" * 700 + '"}', True),
        ('{"a": ' + "[" * 400 + '"x"' + "]" * 400 + "}", True),
    ],
)
def test_odd_details_are_taken_whole_or_refused(house: EventsHouse, detail: str, taken: bool) -> None:
    queue = house.toys.queue("q")
    house.rule("r", {"detail": {"a": [{"exists": True}]}}, {"Id": "1", "Arn": queue})
    entry = {"Source": "com.shop", "DetailType": "t", "Detail": detail}
    (answer,) = house.ask(events.PutEvents, Entries=[entry])["Entries"]
    house.send()
    assert answer.get("ErrorCode") == (None if taken else "MalformedDetail")
    assert [body["detail"] for body in house.toys.bodies("q")] == ([json.loads(detail)] if taken else [])


def test_events_are_sent_on_postgresql_too(tmp_path: Path, postgres_url: str) -> None:
    time = _Time()
    with events_house_in(tmp_path, time, postgres_url) as house:
        queue, bad = house.toys.queue("q"), house.toys.queue("bad")
        house.rule("r", SHOP, {"Id": "1", "Arn": queue}, {"Id": "2", "Arn": bad})
        house.toys.failing["bad"] = AwsError("ThrottlingException", "")
        house.ask(events.CreateArchive, ArchiveName="kept", EventSourceArn=bus_arn("default"))
        for number in range(40):
            house.put({"n": number})
        assert house.send() == 40
        assert [body["detail"]["n"] for body in house.toys.bodies("q")] == list(range(40))
        assert house.ask(events.DescribeArchive, ArchiveName="kept")["EventCount"] == 40
        del house.toys.failing["bad"]
        time.now += 5
        assert house.send() == 40
        assert len(house.toys.bodies("bad")) == 40
        assert house.count("events_outbox") == house.count("events_retries") == 0


def test_targets_of_other_accounts_need_a_role(house: EventsHouse) -> None:
    theirs = f"arn:aws:sqs:{REGION}:444455556666:q"
    house.rule("r", SHOP)
    for arn, message in (
        (theirs, f"RoleArn is required for target {theirs}."),
        (theirs.replace("sqs", "logs").replace(":q", ":log-group:q"), None),
    ):
        with pytest.raises(AwsError) as caught:
            house.ask(events.PutTargets, Rule="r", Targets=[{"Id": "1", "Arn": arn}])
        assert caught.value.code in ("ValidationException", "NotImplemented")
        assert message in (None, caught.value.message)
    role = house.house.role(
        "out", "events.amazonaws.com", {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}
    )
    house.ask(events.PutTargets, Rule="r", Targets=[{"Id": "1", "Arn": theirs, "RoleArn": role}])


def test_a_target_may_be_reached_by_a_role(house: EventsHouse) -> None:
    allow = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
    role = house.house.role("sender", "events.amazonaws.com", allow)
    queue = house.toys.queue(
        "q", ArnEquals={"aws:SourceArn": "arn:aws:events:us-east-1:111122223333:rule/none"}
    )
    house.rule("r", SHOP, {"Id": "1", "Arn": queue, "RoleArn": role})
    house.put({"a": 1})
    house.send()
    (message,) = house.toys.messages["q"]
    assert message["by"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/sender/r"


@pytest.mark.parametrize("year", [1, 1969, 2026, 9999])
def test_an_event_has_the_time_that_it_is_given(house: EventsHouse, year: int) -> None:
    queue = house.toys.queue("q")
    house.rule("r", SHOP, {"Id": "1", "Arn": queue})
    house.ask(events.CreateArchive, ArchiveName="kept", EventSourceArn=bus_arn("default"))
    house.put({}, Time=datetime(year, 2, 3, 4, 5, 6, tzinfo=UTC))
    house.send()
    (event,) = house.toys.bodies("q")
    assert event["time"] == f"{year:04d}-02-03T04:05:06Z"
    assert house.ask(events.DescribeArchive, ArchiveName="kept")["EventCount"] == 1


def test_altered_retries_are_not_used(tmp_path: Path) -> None:
    time = _Time()
    with events_house_in(tmp_path, time) as house:
        queue = house.toys.queue("q")
        house.rule("r", SHOP, {"Id": "1", "Arn": queue})
        house.toys.failing["q"] = AwsError("ThrottlingException", "")
        for number in range(2):
            house.put({"n": number})
        house.send()
        del house.toys.failing["q"]
        store = house.house.gate.store
        (first, *_), _ = store.read(lambda tx: tx.all("SELECT id, sealed FROM events_retries ORDER BY id"))
        store.write(lambda tx: tx.run("UPDATE events_retries SET id = ? WHERE id = ?", ("f" * 32, first)))
        time.now += 5
        house.send()
        assert [body["detail"]["n"] for body in house.toys.bodies("q")] == [1]
