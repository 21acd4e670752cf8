"""Quotas, rules that services manage, and what becomes of archives and replays over time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from acting_support import ACCOUNT, REGION, document
from events_support import OTHER_ACCOUNT, EventsHouse, bus_arn, events_house_in, rule_arn

from casemate.api import events
from casemate.engine.policy import Attached, Policy, parse
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.identity import RoleEntry, session_of
from casemate.gate.operation import Operation
from casemate.gate.quotas import Quota
from casemate.services.events.quotas import BUSES, REPLAYS, RULES
from casemate.services.servicequotas.values import Values

SHOP = {"source": ["com.shop"]}
ARCHIVE = f"arn:aws:events:{REGION}:{ACCOUNT}:archive/kept"
SERVICE = "autoscaling.amazonaws.com"


def limit(house: EventsHouse, quota: Quota, value: float) -> None:
    values = house.house.gate.parts[Values]
    house.house.gate.store.write(lambda tx: values.put(tx, quota, ACCOUNT, REGION, value, 0.0))


def refused(house: EventsHouse, code: str, operation: Operation[Any, Any], **request: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        house.ask(operation, **request)
    assert caught.value.code == code
    assert caught.value.status == 400
    return caught.value


def test_there_are_so_many_rules_and_buses(house: EventsHouse) -> None:
    limit(house, RULES, 2)
    limit(house, BUSES, 1)
    for name in ("a", "b", "b"):
        house.rule(name, SHOP)
    error = refused(
        house, "LimitExceededException", events.PutRule, Name="c", EventPattern='{"source": ["x"]}'
    )
    assert error.message == "The requested resource exceeds the maximum number allowed."
    house.ask(events.CreateEventBus, Name="one")
    house.rule("c", SHOP, EventBusName="one")
    refused(house, "LimitExceededException", events.CreateEventBus, Name="two")


def test_there_are_fifty_tags(house: EventsHouse) -> None:
    house.rule("r", SHOP)
    tags = [{"Key": str(number), "Value": ""} for number in range(50)]
    house.ask(events.TagResource, ResourceARN=rule_arn("r"), Tags=tags)
    house.ask(events.TagResource, ResourceARN=rule_arn("r"), Tags=tags[:1])
    more = [{"Key": "more", "Value": ""}]
    refused(house, "LimitExceededException", events.TagResource, ResourceARN=rule_arn("r"), Tags=more)
    twice = [tags[0], tags[0]]
    refused(house, "ValidationException", events.TagResource, ResourceARN=rule_arn("r"), Tags=twice)
    arn = rule_arn("none")
    refused(house, "ResourceNotFoundException", events.ListTagsForResource, ResourceARN=arn)


def by_service(house: EventsHouse, operation: Operation[Any, Any], **request: Any) -> Any:
    """What a service does by its service-linked role."""

    def policy(kind: Any, statement: Any) -> Policy:
        return parse(document(statement), kind)

    allow = {"Effect": "Allow", "Action": "events:*", "Resource": "*"}
    only_own = {"Condition": {"StringEquals": {"events:ManagedBy": SERVICE}}}
    trust = {"Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": "sts:AssumeRole"}
    path = f"/aws-service-role/{SERVICE}/"
    role = RoleEntry(
        ACCOUNT,
        "AWSServiceRoleForAutoScaling",
        path,
        "AROA1",
        f"arn:aws:iam::{ACCOUNT}:role{path}AWSServiceRoleForAutoScaling",
        policy("trust", trust),
        3600,
        {},
        Attached(identity=(policy("identity", {**allow, **only_own}),)),
    )

    def run(call: Call) -> Any:
        call.identity = session_of(role, "AutoScaling", "ASIA1", call.now)
        return operation.ask(call, request)

    return house.house.by_admin(run)


def test_what_a_service_manages_others_change_by_force_only(house: EventsHouse) -> None:
    bus = {"Id": "1", "Arn": house.toys.queue("q")}
    by_service(house, events.PutRule, Name="theirs", EventPattern='{"source": ["aws.ec2"]}')
    by_service(house, events.PutTargets, Rule="theirs", Targets=[bus])
    assert house.ask(events.DescribeRule, Name="theirs")["ManagedBy"] == SERVICE
    for operation, request in (
        (events.PutRule, {"Name": "theirs", "EventPattern": '{"source": ["x"]}'}),
        (events.DisableRule, {"Name": "theirs"}),
        (events.EnableRule, {"Name": "theirs"}),
        (events.PutTargets, {"Rule": "theirs", "Targets": [bus]}),
        (events.RemoveTargets, {"Rule": "theirs", "Ids": ["1"]}),
        (events.DeleteRule, {"Name": "theirs"}),
        (events.TagResource, {"ResourceARN": rule_arn("theirs"), "Tags": []}),
        (events.UntagResource, {"ResourceARN": rule_arn("theirs"), "TagKeys": []}),
    ):
        assert SERVICE in refused(house, "ManagedRuleException", operation, **request).message
    house.ask(events.RemoveTargets, Rule="theirs", Ids=["1"], Force=True)
    house.ask(events.DeleteRule, Name="theirs", Force=True)
    house.rule("ours", SHOP)
    with pytest.raises(AwsError, match="events:DisableRule"):
        by_service(house, events.DisableRule, Name="ours")


def replay(call: Call, name: str) -> Any:
    return events.StartReplay.ask(
        call,
        {
            "ReplayName": name,
            "EventSourceArn": ARCHIVE,
            "EventStartTime": datetime.fromtimestamp(call.now - 60, UTC),
            "EventEndTime": datetime.fromtimestamp(call.now + 60, UTC),
            "Destination": {"Arn": bus_arn("default")},
        },
    )


def test_replays_are_few_can_be_cancelled_and_are_forgotten(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    with events_house_in(tmp_path, lambda: now[0]) as house:
        queue = house.toys.queue("q")
        house.rule("r", SHOP, {"Id": "1", "Arn": queue})
        house.ask(events.CreateArchive, ArchiveName="kept", EventSourceArn=bus_arn("default"))
        house.put({})
        house.send()
        limit(house, REPLAYS, 1)
        house.house.by_admin(lambda call: replay(call, "one"))
        with pytest.raises(AwsError) as caught:
            house.house.by_admin(lambda call: replay(call, "two"))
        assert caught.value.code == "LimitExceededException"
        assert house.ask(events.CancelReplay, ReplayName="one")["State"] == "CANCELLING"
        house.house.worker.jobs.run_due()
        found = house.ask(events.DescribeReplay, ReplayName="one")
        assert found["State"] == "CANCELLED"
        assert found["ReplayEndTime"].timestamp() == now[0]
        error = refused(house, "IllegalStatusException", events.CancelReplay, ReplayName="one")
        assert error.message == "Replay one is not in a valid state for this operation."
        assert house.send() == 0
        now[0] += 91 * 86_400
        house.house.worker.jobs.run_due()
        refused(house, "ResourceNotFoundException", events.DescribeReplay, ReplayName="one")


def test_archived_events_go_after_their_days(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    with events_house_in(tmp_path, lambda: now[0]) as house:
        house.ask(
            events.CreateArchive, ArchiveName="kept", EventSourceArn=bus_arn("default"), RetentionDays=2
        )
        house.put({"n": 1})
        now[0] += 86_400
        house.put({"n": 2})
        house.house.worker.jobs.run_due()
        assert house.ask(events.DescribeArchive, ArchiveName="kept")["EventCount"] == 2
        now[0] += 86_401
        house.house.worker.jobs.run_due()
        assert house.ask(events.DescribeArchive, ArchiveName="kept")["EventCount"] == 1
        house.ask(events.DeleteArchive, ArchiveName="kept")
        assert house.count("events_archived") == 0
        assert house.house.worker.jobs.next_due() is None


def test_an_archive_is_of_the_accounts_own_bus(house: EventsHouse) -> None:
    source = bus_arn("default", OTHER_ACCOUNT)
    with pytest.raises(AwsError, match="events:CreateArchive"):
        house.ask(events.CreateArchive, ArchiveName="x", EventSourceArn=source)
    arn = rule_arn("x")
    refused(house, "ResourceNotFoundException", events.CreateArchive, ArchiveName="x", EventSourceArn=arn)


def test_a_dead_letter_queue_that_refuses_ends_it(house: EventsHouse) -> None:
    queue = house.toys.queue("q")
    house.toys.failing["q"] = AwsError("AccessDenied", "")
    dead = f"arn:aws:sqs:{REGION}:{ACCOUNT}:of-nobody"
    house.rule("r", SHOP, {"Id": "1", "Arn": queue, "DeadLetterConfig": {"Arn": dead}})
    house.put({})
    house.send()
    assert house.count("events_outbox") == house.count("events_retries") == 0
    codes = [each["errorCode"] for each in house.house.records("SendMessage")]
    assert codes == ["AccessDenied", "AccessDeniedException"]
