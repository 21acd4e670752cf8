"""EventBridge's operations by boto3: what they answer, and what they refuse."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from acting_support import ACCOUNT, REGION
from events_support import OTHER_ACCOUNT, Events, bus_arn, queue_arn, refused, rule_arn

PATTERN = '{"source": ["com.shop"]}'
ROLE = f"arn:aws:iam::{ACCOUNT}:role/forwarder"


def target(name: str, bus: str, **more: Any) -> dict[str, Any]:
    return {"Id": name, "Arn": bus_arn(bus), "RoleArn": ROLE, **more}


# --- buses


def test_a_bus_is_made_described_changed_and_deleted(bridge: Events) -> None:
    client = bridge.of()
    made = client.create_event_bus(Name="life", Description="first", Tags=[{"Key": "team", "Value": "red"}])
    assert made["EventBusArn"] == bus_arn("life")
    assert client.list_tags_for_resource(ResourceARN=bus_arn("life"))["Tags"] == [
        {"Key": "team", "Value": "red"}
    ]
    described = client.describe_event_bus(Name=bus_arn("life"))
    assert described["Name"] == "life"
    assert described["Description"] == "first"
    assert described["CreationTime"] <= described["LastModifiedTime"]
    changed = client.update_event_bus(Name="life", Description="second")
    assert (changed["Arn"], changed["Description"]) == (bus_arn("life"), "second")
    with refused("ResourceAlreadyExistsException", "Event bus life already exists."):
        client.create_event_bus(Name="life")
    client.delete_event_bus(Name="life")
    client.delete_event_bus(Name="life")
    with refused("ResourceNotFoundException", "Event bus life does not exist."):
        client.describe_event_bus(Name="life")


def test_the_default_bus_is_there(bridge: Events) -> None:
    client = bridge.of(region="eu-west-1")
    found = client.describe_event_bus()
    assert (found["Name"], found["Arn"]) == (
        "default",
        f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/default",
    )
    assert [bus["Name"] for bus in client.list_event_buses()["EventBuses"]] == ["default"]
    with refused("ValidationException", "Cannot delete event bus default."):
        client.delete_event_bus(Name="default")
    with refused("ResourceAlreadyExistsException", "Event bus default already exists."):
        client.create_event_bus(Name="default")
    with refused("ValidationException", "Event bus name must not contain '/'."):
        client.create_event_bus(Name="a/b")


def test_buses_are_listed_in_pages(bridge: Events) -> None:
    client = bridge.of(region="eu-west-2")
    for name in ("alpha", "beta", "zeta"):
        client.create_event_bus(Name=name)
    names: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = client.list_event_buses(Limit=1, **token)
        names += [bus["Name"] for bus in page["EventBuses"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert names == ["alpha", "beta", "default", "zeta"]
    assert len(client.list_event_buses(NamePrefix="be")["EventBuses"]) == 1
    with refused("ValidationException", "Invalid token."):
        client.list_event_buses(NextToken="nonsense")


@pytest.mark.parametrize(
    "given",
    [
        {"EventSourceName": "aws.partner/x/y"},
        {"KmsKeyIdentifier": "alias/x"},
        {"LogConfig": {"Level": "ERROR"}},
        {"DeadLetterConfig": {"Arn": queue_arn("q")}},
    ],
)
def test_what_would_not_be_honoured_is_refused(bridge: Events, given: Any) -> None:
    with refused("NotImplemented", status=501):
        bridge.of().create_event_bus(Name="unserved", **given)


# --- rules


def test_a_rule_is_made_described_changed_and_deleted(bridge: Events) -> None:
    client = bridge.of()
    made = client.put_rule(
        Name="life", EventPattern=PATTERN, Description="d", Tags=[{"Key": "a", "Value": "b"}]
    )
    assert made["RuleArn"] == rule_arn("life")
    rule = client.describe_rule(Name="life")
    del rule["ResponseMetadata"]
    assert rule == {
        "Name": "life",
        "Arn": rule_arn("life"),
        "EventPattern": PATTERN,
        "State": "ENABLED",
        "Description": "d",
        "EventBusName": "default",
        "CreatedBy": ACCOUNT,
    }
    client.disable_rule(Name="life")
    assert client.describe_rule(Name="life")["State"] == "DISABLED"
    client.enable_rule(Name="life")
    client.put_rule(Name="life", ScheduleExpression="cron(0 10 ? * MON-FRI *)", RoleArn=ROLE)
    rule = client.describe_rule(Name="life")
    assert (rule["ScheduleExpression"], rule["RoleArn"]) == ("cron(0 10 ? * MON-FRI *)", ROLE)
    assert "EventPattern" not in rule
    client.tag_resource(ResourceARN=rule_arn("life"), Tags=[{"Key": "c", "Value": "d"}])
    client.untag_resource(ResourceARN=rule_arn("life"), TagKeys=["a", "x"])
    assert client.list_tags_for_resource(ResourceARN=rule_arn("life"))["Tags"] == [{"Key": "c", "Value": "d"}]
    client.delete_rule(Name="life")
    client.delete_rule(Name="life")
    with refused("ResourceNotFoundException", "Rule life does not exist on EventBus default."):
        client.describe_rule(Name="life")


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({}, "ValidationException", "Parameter(s) EventPattern or ScheduleExpression must be specified."),
        (
            {"EventPattern": '{"source": {}}'},
            "InvalidEventPatternException",
            "Event pattern is not valid. Reason: Empty objects are not allowed\n at [Source: "
            '(String)"{"source": {}}"; line: 1, column: 14]',
        ),
        (
            {"ScheduleExpression": "rate(1 minutes)"},
            "ValidationException",
            "Parameter ScheduleExpression is not valid.",
        ),
        (
            {"ScheduleExpression": "cron(0 10 * * * *)"},
            "ValidationException",
            "Parameter ScheduleExpression is not valid.",
        ),
        (
            {"EventPattern": PATTERN, "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/nobodys"},
            "ValidationException",
            f"Provided role 'arn:aws:iam::{ACCOUNT}:role/nobodys' cannot be assumed by principal "
            "'events.amazonaws.com'.",
        ),
        (
            {"EventPattern": PATTERN, "EventBusName": "nowhere"},
            "ResourceNotFoundException",
            "Event bus nowhere does not exist.",
        ),
        (
            {"EventPattern": PATTERN, "Tags": [{"Key": "aws:x", "Value": "y"}]},
            "ValidationException",
            "Tag keys must not start with aws:.",
        ),
        (
            {
                "ScheduleExpression": "rate(1 minute)",
                "State": "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS",
            },
            "ValidationException",
            "The state ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS is for rules with an EventPattern.",
        ),
    ],
)
def test_a_rule_is_refused(bridge: Events, given: Any, code: str, message: str) -> None:
    with refused(code, message):
        bridge.of().put_rule(Name="refused", **given)
    with refused("ResourceNotFoundException"):
        bridge.of().describe_rule(Name="refused")


def test_schedules_are_the_default_buss(bridge: Events) -> None:
    client = bridge.of()
    client.create_event_bus(Name="unscheduled")
    with refused("ValidationException", "ScheduleExpression is supported only on the default event bus."):
        client.put_rule(Name="x", ScheduleExpression="rate(1 minute)", EventBusName="unscheduled")


def test_rules_and_targets_are_listed(bridge: Events) -> None:
    client = bridge.of()
    for bus in ("listing", "listed"):
        client.create_event_bus(Name=bus)
    for name in ("a1", "a2", "b1"):
        client.put_rule(Name=name, EventPattern=PATTERN, EventBusName="listing")
    targets = [target("one", "listed"), target("two", "listed")]
    client.put_targets(Rule="a2", EventBusName="listing", Targets=targets)
    page = client.list_rules(EventBusName="listing", NamePrefix="a", Limit=1)
    assert [rule["Name"] for rule in page["Rules"]] == ["a1"]
    page = client.list_rules(EventBusName="listing", NamePrefix="a", NextToken=page["NextToken"])
    assert [rule["Arn"] for rule in page["Rules"]] == [rule_arn("listing/a2")]
    assert "NextToken" not in page
    found = client.list_rule_names_by_target(TargetArn=bus_arn("listed"), EventBusName="listing")
    assert found["RuleNames"] == ["a2"]
    page = client.list_targets_by_rule(Rule="a2", EventBusName="listing", Limit=1)
    assert page["Targets"] == targets[:1]
    page = client.list_targets_by_rule(Rule="a2", EventBusName="listing", NextToken=page["NextToken"])
    assert page["Targets"] == targets[1:]
    with refused("ValidationException", "Rule can't be deleted since it has targets."):
        client.delete_rule(Name="a2", EventBusName="listing")
    with refused("ValidationException", "Event bus can't be deleted since it has rules."):
        client.delete_event_bus(Name="listing")
    assert (
        client.remove_targets(Rule="a2", EventBusName="listing", Ids=["one", "two", "x"])["FailedEntryCount"]
        == 0
    )
    client.delete_rule(Name="a2", EventBusName="listing")
    with refused("ResourceNotFoundException", "Event bus nowhere does not exist."):
        client.list_rules(EventBusName="nowhere")


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        (
            {"Arn": "nonsense"},
            "ValidationException",
            "Parameter nonsense is not valid. Reason: Provided Arn is not in correct format.",
        ),
        (
            {"RoleArn": None},
            "ValidationException",
            f"RoleArn is required for target {bus_arn('targeted')}.",
        ),
        (
            {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/nobodys"},
            "ValidationException",
            f"Provided role 'arn:aws:iam::{ACCOUNT}:role/nobodys' cannot be assumed by principal "
            "'events.amazonaws.com'.",
        ),
        (
            {"Arn": bus_arn("default")},
            "ValidationException",
            f"Target {bus_arn('default')} is the rule's own event bus.",
        ),
        (
            {"Input": "{}", "InputPath": "$"},
            "ValidationException",
            "Only one of Input, InputPath, or InputTransformer must be provided for target x.",
        ),
        (
            {"Input": "{}"},
            "ValidationException",
            f"Input is not supported for target {bus_arn('targeted')}.",
        ),
        (
            {"SqsParameters": {"MessageGroupId": "g"}},
            "ValidationException",
            "Parameter(s) SqsParameters is not supported for target: x.",
        ),
        (
            {"DeadLetterConfig": {"Arn": "arn:aws:sns:us-east-1:111122223333:t"}},
            "ValidationException",
            "Parameter arn:aws:sns:us-east-1:111122223333:t is not valid. Reason: Provided Arn is not in correct "
            "format.",
        ),
        (
            {"DeadLetterConfig": {"Arn": queue_arn("q.fifo")}},
            "ValidationException",
            f"The dead-letter queue {queue_arn('q.fifo')} of target x must be a standard queue.",
        ),
        ({"Arn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:x"}, "NotImplemented", None),
        ({"Arn": f"arn:aws:events:{REGION}:{ACCOUNT}:api-destination/x/y"}, "ValidationException", None),
    ],
)
def test_a_target_is_refused(bridge: Events, given: Any, code: str, message: str | None) -> None:
    client = bridge.of()
    client.put_rule(Name="targeted", EventPattern=PATTERN)
    wanted = {**target("x", "targeted"), **given}
    with refused(code, message, status=501 if code == "NotImplemented" else 400):
        client.put_targets(
            Rule="targeted", Targets=[{name: value for name, value in wanted.items() if value is not None}]
        )
    assert client.list_targets_by_rule(Rule="targeted")["Targets"] == []


def test_a_rule_has_five_targets_at_most(bridge: Events) -> None:
    client = bridge.of()
    client.put_rule(Name="crowded", EventPattern=PATTERN)
    client.create_event_bus(Name="crowd")
    client.put_targets(Rule="crowded", Targets=[target(str(n), "crowd") for n in range(5)])
    client.put_targets(Rule="crowded", Targets=[target("0", "crowd")])
    with refused("LimitExceededException", "The requested resource exceeds the maximum number allowed."):
        client.put_targets(Rule="crowded", Targets=[target("6", "crowd")])
    with refused("ResourceNotFoundException", "Rule none does not exist on EventBus default."):
        client.put_targets(Rule="none", Targets=[target("1", "crowd")])


# --- events


def test_entries_are_refused_one_by_one(bridge: Events) -> None:
    good = {"Source": "com.shop", "DetailType": "t", "Detail": "{}"}
    answer = bridge.of().put_events(
        Entries=[
            good,
            {**good, "Source": "aws.shop"},
            {**good, "Detail": "{"},
            {**good, "Detail": "[]"},
            {"Source": "com.shop", "Detail": "{}"},
            {**good, "EventBusName": "nowhere"},
        ]
    )
    assert answer["FailedEntryCount"] == 4
    codes = [(entry.get("ErrorCode"), entry.get("ErrorMessage")) for entry in answer["Entries"]]
    assert codes == [
        (None, None),
        ("NotAuthorizedForSourceException", "Not authorized for the source."),
        ("MalformedDetail", "Detail is malformed."),
        ("MalformedDetail", "Detail is malformed."),
        (
            "InvalidArgument",
            "Parameter DetailType is not valid. Reason: DetailType is a required argument.",
        ),
        (None, None),
    ]
    assert len(answer["Entries"][0]["EventId"]) == 36


def test_too_much_at_once_is_refused(bridge: Events) -> None:
    detail = json.dumps({"x": "y" * 300_000})
    entry = {"Source": "com.shop", "DetailType": "t", "Detail": detail}
    with refused("ValidationException", "Total size of the entries in the request is over the limit."):
        bridge.of().put_events(Entries=[entry] * 4)
    with refused("ValidationException"):
        bridge.of().put_events(Entries=[{**entry, "Detail": "{}"}] * 11)


def test_a_pattern_is_tried(bridge: Events) -> None:
    event = {
        "id": "1",
        "detail-type": "t",
        "source": "com.shop",
        "account": ACCOUNT,
        "region": REGION,
        "time": "2026-11-25T00:00:00Z",
        "resources": [],
    }
    client = bridge.of()
    assert client.test_event_pattern(EventPattern=PATTERN, Event=json.dumps(event))["Result"]
    assert not client.test_event_pattern(EventPattern='{"source": ["x"]}', Event=json.dumps(event))["Result"]
    with refused("InvalidEventPatternException"):
        client.test_event_pattern(EventPattern='{"source": "x"}', Event=json.dumps(event))
    large = json.dumps({**event, "detail": "x" * 1_000_000})
    assert client.test_event_pattern(EventPattern=PATTERN, Event=large)["Result"]
    assert not client.test_event_pattern(EventPattern='{"source": ["x"]}', Event=large)["Result"]
    with refused(
        "ValidationException",
        "Parameter Event is not valid. Reason: the event is larger than 1048576 bytes.",
    ):
        client.test_event_pattern(EventPattern=PATTERN, Event=large + " " * 48_576)
    del event["source"]
    with refused("ValidationException"):
        client.test_event_pattern(EventPattern=PATTERN, Event=json.dumps(event))
    with refused("ValidationException"):
        client.test_event_pattern(EventPattern=PATTERN, Event="[]")


# --- who may


def denied_message(user: str, action: str, resource: str) -> str:
    return (
        f"User: arn:aws:iam::{ACCOUNT}:user/{user} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )


def test_who_has_no_permission_is_told_nothing_else(bridge: Events) -> None:
    client = bridge.of("nobody")
    entry = {"Source": "com.shop", "DetailType": "t", "Detail": "{}"}
    with refused("AccessDeniedException", denied_message("nobody", "events:PutEvents", bus_arn("default"))):
        client.put_events(Entries=[entry])
    for bus in ("unknown", "default"):
        with refused(
            "AccessDeniedException", denied_message("nobody", "events:DescribeEventBus", bus_arn(bus))
        ):
            client.describe_event_bus(Name=bus)
    with refused(
        "AccessDeniedException", denied_message("nobody", "events:DescribeRule", rule_arn("unknown"))
    ):
        client.describe_rule(Name="unknown")
    with refused("AccessDeniedException"):
        client.list_rules()


def test_conditions_on_events_and_rules(bridge: Events) -> None:
    client = bridge.of("picky")
    entry = {"Source": "com.mine", "DetailType": "t", "Detail": "{}"}
    assert client.put_events(Entries=[entry])["FailedEntryCount"] == 0
    with refused("AccessDeniedException"):
        client.put_events(Entries=[entry, {**entry, "Source": "com.theirs"}])
    client.put_rule(Name="picky", EventPattern='{"source": ["com.mine"]}')
    for pattern in (
        '{"source": ["com.theirs"]}',
        '{"source": [{"prefix": "com.mine"}]}',
        '{"account": ["1"]}',
    ):
        with refused("AccessDeniedException"):
            client.put_rule(Name="picky", EventPattern=pattern)
    with refused("AccessDeniedException"):
        client.put_targets(Rule="picky", Targets=[target("1", "other")])


def test_a_role_is_passed_by_those_who_may(bridge: Events) -> None:
    client = bridge.of("unpassing")
    with refused("AccessDeniedException", denied_message("unpassing", "iam:PassRole", ROLE)):
        client.put_rule(Name="passing", EventPattern=PATTERN, RoleArn=ROLE)
    client.put_rule(Name="passing", EventPattern=PATTERN)
    with refused("AccessDeniedException", denied_message("unpassing", "iam:PassRole", ROLE)):
        client.put_targets(Rule="passing", Targets=[target("1", "other")])


# --- other accounts


def test_a_bus_is_opened_to_another_account(bridge: Events) -> None:
    mine, theirs = bridge.of(), bridge.of("stranger")
    mine.create_event_bus(Name="open")
    entry = {"Source": "com.shop", "DetailType": "t", "Detail": "{}", "EventBusName": bus_arn("open")}
    with refused("AccessDeniedException"):
        theirs.put_events(Entries=[entry])
    mine.put_permission(
        EventBusName="open", Action="events:PutEvents", Principal=OTHER_ACCOUNT, StatementId="them"
    )
    policy = json.loads(mine.describe_event_bus(Name="open")["Policy"])
    assert policy["Statement"] == [
        {
            "Sid": "them",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"},
            "Action": "events:PutEvents",
            "Resource": bus_arn("open"),
        }
    ]
    assert theirs.put_events(Entries=[entry])["FailedEntryCount"] == 0
    with refused("AccessDeniedException"):
        theirs.describe_event_bus(Name=bus_arn("open"))
    mine.remove_permission(EventBusName="open", StatementId="them")
    with refused("AccessDeniedException"):
        theirs.put_events(Entries=[entry])
    with refused("ResourceNotFoundException", "EventBus does not have a policy."):
        mine.remove_permission(EventBusName="open", StatementId="them")


def test_another_account_makes_rules_where_the_policy_lets_it(bridge: Events) -> None:
    mine, theirs = bridge.of(), bridge.of("stranger")
    mine.create_event_bus(Name="shared")
    statement = {
        "Sid": "rules",
        "Effect": "Allow",
        "Principal": {"AWS": OTHER_ACCOUNT},
        "Action": ["events:PutRule", "events:DescribeRule", "events:DeleteRule"],
        "Resource": rule_arn("shared/*"),
        "Condition": {"StringEqualsIfExists": {"events:creatorAccount": OTHER_ACCOUNT}},
    }
    mine.put_permission(
        EventBusName="shared", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    made = theirs.put_rule(Name="r", EventPattern=PATTERN, EventBusName=bus_arn("shared"))
    assert made["RuleArn"] == rule_arn("shared/r")
    assert mine.describe_rule(Name="r", EventBusName="shared")["CreatedBy"] == OTHER_ACCOUNT
    mine.put_rule(Name="own", EventPattern=PATTERN, EventBusName="shared")
    with refused("AccessDeniedException"):
        theirs.delete_rule(Name="own", EventBusName=bus_arn("shared"))
    theirs.delete_rule(Name="r", EventBusName=bus_arn("shared"))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"Action": "events:PutEvents"}, "ValidationException"),
        (
            {"Action": "events:PutRule", "Principal": OTHER_ACCOUNT, "StatementId": "x"},
            "ValidationException",
        ),
        (
            {
                "Action": "events:PutEvents",
                "Principal": "*",
                "StatementId": "x",
                "Condition": {"Type": "StringLike", "Key": "aws:PrincipalOrgID", "Value": "o-x"},
            },
            "ValidationException",
        ),
        ({"Policy": "{"}, "ValidationException"),
        ({"Policy": "{}", "StatementId": "x"}, "ValidationException"),
        (
            {"Policy": json.dumps({"Version": "2012-10-17", "Id": "x" * 11_000})},
            "PolicyLengthExceededException",
        ),
        (
            {
                "Policy": json.dumps(
                    {
                        "Version": "2012-10-17",
                        "Statement": {
                            "Effect": "Allow",
                            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/who"},
                            "Action": "events:PutEvents",
                            "Resource": "*",
                        },
                    }
                )
            },
            "ValidationException",
        ),
        (
            {
                "Action": "events:PutEvents",
                "Principal": "*",
                "StatementId": "x",
                "EventBusName": "nowhere",
            },
            "ResourceNotFoundException",
        ),
    ],
)
def test_a_permission_is_refused(bridge: Events, given: Any, code: str) -> None:
    with refused(code):
        bridge.of().put_permission(**given)
    assert "Policy" not in bridge.of().describe_event_bus()


# --- archives and replays


def test_an_archive_is_made_described_changed_and_deleted(bridge: Events) -> None:
    client = bridge.of()
    client.create_event_bus(Name="archived")
    made = client.create_archive(
        ArchiveName="life", EventSourceArn=bus_arn("archived"), RetentionDays=3, Description="d"
    )
    arn = made["ArchiveArn"]
    assert (arn, made["State"]) == (f"arn:aws:events:{REGION}:{ACCOUNT}:archive/life", "ENABLED")
    client.update_archive(ArchiveName="life", EventPattern=PATTERN, RetentionDays=0)
    found = client.describe_archive(ArchiveName="life")
    assert (found["RetentionDays"], found["EventPattern"], found["Description"]) == (0, PATTERN, "d")
    assert (found["EventCount"], found["SizeBytes"]) == (0, 0)
    listed = client.list_archives(EventSourceArn=bus_arn("archived"))["Archives"]
    assert [each["ArchiveName"] for each in listed] == ["life"]
    with refused("ResourceAlreadyExistsException", "Archive life already exists."):
        client.create_archive(ArchiveName="life", EventSourceArn=bus_arn("archived"))
    with refused("ResourceNotFoundException", "Event bus nowhere does not exist."):
        client.create_archive(ArchiveName="x", EventSourceArn=bus_arn("nowhere"))
    with refused("InvalidEventPatternException"):
        client.create_archive(ArchiveName="x", EventSourceArn=bus_arn("archived"), EventPattern="{}")
    with refused("ValidationException"):
        client.list_archives(NamePrefix="x", State="ENABLED")
    with refused("ValidationException", "Event bus can't be deleted since it has archives."):
        client.delete_event_bus(Name="archived")
    client.delete_archive(ArchiveName="life")
    with refused("ResourceNotFoundException", "Archive life does not exist."):
        client.describe_archive(ArchiveName="life")


def test_a_replay_is_refused(bridge: Events) -> None:
    client = bridge.of()
    client.create_event_bus(Name="replayed")
    arn = client.create_archive(ArchiveName="replayed", EventSourceArn=bus_arn("replayed"))["ArchiveArn"]
    now = datetime.now(UTC)
    good: dict[str, Any] = {
        "ReplayName": "once",
        "EventSourceArn": arn,
        "EventStartTime": now - timedelta(hours=1),
        "EventEndTime": now,
        "Destination": {"Arn": bus_arn("replayed")},
    }
    for wrong, message in (
        (
            {"EventSourceArn": arn + "-none"},
            "Parameter EventSourceArn is not valid. Reason: Archive replayed-none does not exist.",
        ),
        (
            {"EventEndTime": now - timedelta(hours=2)},
            "Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime.",
        ),
        (
            {"Destination": {"Arn": bus_arn("default")}},
            "Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted.",
        ),
        (
            {"Destination": {"Arn": bus_arn("replayed"), "FilterArns": [rule_arn("replayed/none")]}},
            f"Parameter Destination.FilterArns is not valid. Reason: Rule {rule_arn('replayed/none')} does not "
            "exist on the event bus.",
        ),
    ):
        with refused("ValidationException", message):
            client.start_replay(**{**good, **wrong})
    client.start_replay(**good)
    with refused("ResourceAlreadyExistsException", "Replay once already exists."):
        client.start_replay(**good)
    assert [each["ReplayName"] for each in client.list_replays(EventSourceArn=arn)["Replays"]] == ["once"]
    with refused("ResourceNotFoundException", "Replay none does not exist."):
        client.cancel_replay(ReplayName="none")


def test_what_is_not_served_says_so(bridge: Events) -> None:
    with refused("NotImplemented", status=501):
        bridge.of().list_endpoints()
