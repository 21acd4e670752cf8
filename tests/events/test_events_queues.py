"""Queues as targets, by SQS itself: standard and FIFO, encrypted, dead-letter queues."""

from __future__ import annotations

import json
from typing import Any

import pytest
from acting_support import ACCOUNT, REGION, document
from events_support import OTHER_ACCOUNT, Events, bus_arn, queue_arn, refused, rule_arn


class Queues:
    """SQS as the administrator sees it, and rules that send there."""

    def __init__(self, bridge: Events) -> None:
        self.sqs = bridge.of(service="sqs")
        self.events = bridge.of()
        self.kms = bridge.of(service="kms")

    def make(self, name: str, rule: str, **attributes: str) -> str:
        """A queue that lets one rule send: its URL."""
        allow = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn(name),
            "Condition": {
                "ArnEquals": {"aws:SourceArn": rule_arn(rule)},
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
            },
        }
        url: str = self.sqs.create_queue(
            QueueName=name, Attributes={"Policy": document(allow), **attributes}
        )["QueueUrl"]
        return url

    def rule(self, name: str, source: str, **target: Any) -> None:
        self.events.put_rule(Name=name, EventPattern=json.dumps({"source": [source]}))
        self.events.put_targets(Rule=name, Targets=[{"Id": "1", **target}])

    def put(self, source: str, detail: Any = None) -> str:
        entry = {"Source": source, "DetailType": "t", "Detail": json.dumps(detail or {})}
        event_id: str = self.events.put_events(Entries=[entry])["Entries"][0]["EventId"]
        return event_id

    def receive(self, url: str) -> Any:
        """The next message, waited for."""
        found = self.sqs.receive_message(
            QueueUrl=url,
            WaitTimeSeconds=20,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        (message,) = found["Messages"]
        self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return message


@pytest.fixture(scope="module")
def queues(bridge: Events) -> Queues:
    return Queues(bridge)


def test_an_event_is_a_message(queues: Queues) -> None:
    url = queues.make("plain", "to-plain")
    queues.rule("to-plain", "queues.plain", Arn=queue_arn("plain"))
    queues.rule("unwelcome", "queues.plain", Arn=queue_arn("plain"))
    event_id = queues.put("queues.plain", {"total": 7})
    event = json.loads(queues.receive(url)["Body"])
    assert event["id"] == event_id
    assert event["detail"] == {"total": 7}
    assert "Messages" not in queues.sqs.receive_message(QueueUrl=url), "the other rule is not let in"


def test_what_a_queue_refuses_is_a_dead_letter(queues: Queues) -> None:
    queues.sqs.create_queue(QueueName="closed")
    url = queues.make("dead", "to-closed")
    queues.rule(
        "to-closed", "queues.closed", Arn=queue_arn("closed"), DeadLetterConfig={"Arn": queue_arn("dead")}
    )
    event_id = queues.put("queues.closed")
    letter = queues.receive(url)
    assert json.loads(letter["Body"])["id"] == event_id
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes["ERROR_CODE"] == "NO_PERMISSIONS"
    assert attributes["RULE_ARN"] == rule_arn("to-closed")
    assert attributes["TARGET_ARN"] == queue_arn("closed")
    assert attributes["ERROR_MESSAGE"].startswith(
        "User: events.amazonaws.com is not authorized to perform: sqs:"
    )


def test_a_fifo_queue_has_groups(queues: Queues) -> None:
    arn = queue_arn("ordered.fifo")
    url = queues.make("ordered.fifo", "to-fifo", FifoQueue="true", ContentBasedDeduplication="true")
    queues.events.put_rule(Name="to-fifo", EventPattern='{"source": ["queues.fifo"]}')
    with refused("ValidationException", "Parameter(s) SqsParameters must be specified for target: 1."):
        queues.events.put_targets(Rule="to-fifo", Targets=[{"Id": "1", "Arn": arn}])
    queues.rule("to-fifo", "queues.fifo", Arn=arn, SqsParameters={"MessageGroupId": "orders"})
    ids = [queues.put("queues.fifo", {"n": number}) for number in range(3)]
    received = []
    for _ in ids:
        message = queues.receive(url)
        assert message["Attributes"]["MessageGroupId"] == "orders"
        received.append(json.loads(message["Body"])["id"])
    assert received == ids


def test_an_encrypted_queues_key_decides_on_the_rule_too(queues: Queues) -> None:
    root = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    service = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
        "Resource": "*",
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn("to-sealed")}},
    }
    good = queues.kms.create_key(Policy=document(root, service))["KeyMetadata"]["Arn"]
    bad = queues.kms.create_key(Policy=document(root))["KeyMetadata"]["Arn"]
    sealed = queues.make("sealed", "to-sealed", KmsMasterKeyId=good)
    queues.make("shut", "to-shut", KmsMasterKeyId=bad)
    dead = queues.make("shut-dead", "to-shut")
    queues.rule("to-sealed", "queues.sealed", Arn=queue_arn("sealed"))
    queues.rule(
        "to-shut", "queues.sealed", Arn=queue_arn("shut"), DeadLetterConfig={"Arn": queue_arn("shut-dead")}
    )
    event_id = queues.put("queues.sealed")
    assert json.loads(queues.receive(sealed)["Body"])["id"] == event_id
    assert json.loads(queues.receive(dead)["Body"])["id"] == event_id


def test_an_event_goes_to_another_accounts_bus_where_that_lets_it(bridge: Events, queues: Queues) -> None:
    theirs, queue_of = bridge.of("stranger"), f"arn:aws:sqs:{REGION}:{OTHER_ACCOUNT}:across"
    theirs.create_event_bus(Name="across")
    theirs.put_rule(Name="in", EventPattern='{"source": ["queues.across"]}', EventBusName="across")
    theirs.put_targets(Rule="in", EventBusName="across", Targets=[{"Id": "1", "Arn": queue_of}])
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_of,
        "Condition": {"StringEquals": {"aws:SourceAccount": OTHER_ACCOUNT}},
    }
    sqs = bridge.of("stranger", "sqs")
    url = sqs.create_queue(QueueName="across", Attributes={"Policy": document(allow)})["QueueUrl"]
    dead = queues.make("across-dead", "out")
    queues.rule(
        *("out", "queues.across"),
        Arn=bus_arn("across", OTHER_ACCOUNT),
        RoleArn=bridge.role,
        DeadLetterConfig={"Arn": queue_arn("across-dead")},
    )
    refused_id = queues.put("queues.across")
    assert json.loads(queues.receive(dead)["Body"])["id"] == refused_id
    theirs.put_permission(
        EventBusName="across", Action="events:PutEvents", Principal=ACCOUNT, StatementId="us"
    )
    event_id = queues.put("queues.across")
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    event = json.loads(message["Body"])
    assert (event["id"], event["account"]) == (event_id, ACCOUNT)


def test_an_event_is_a_log_entry(bridge: Events, queues: Queues) -> None:
    logs = bridge.of(service="logs")
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/events/shop"
    logs.create_log_group(logGroupName="/events/shop")
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": ["events.amazonaws.com", "delivery.logs.amazonaws.com"]},
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": f"{group}:*",
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn("to-logs")}},
    }
    logs.put_resource_policy(policyName="events", policyDocument=document(allow))
    dead = queues.make("logs-dead", "to-closed-logs")
    queues.rule("to-logs", "queues.logs", Arn=group)
    queues.rule("to-closed-logs", "queues.logs", Arn=group, DeadLetterConfig={"Arn": queue_arn("logs-dead")})
    event_id = queues.put("queues.logs", {"a": 1})
    assert json.loads(queues.receive(dead)["Body"])["id"] == event_id, "the policy lets one rule in"
    while not (found := logs.filter_log_events(logGroupName="/events/shop")["events"]):
        pass
    (entry,) = found
    assert entry["logStreamName"] == event_id
    assert json.loads(entry["message"])["detail"] == {"a": 1}
    with refused("ValidationException", f"RoleArn is not supported for target {group}."):
        queues.rule("to-logs", "queues.logs", Arn=group, RoleArn=bridge.role)
    other = group.replace(ACCOUNT, OTHER_ACCOUNT)
    with refused("ValidationException", f"Target {other} must be in the account of the rule."):
        queues.rule("to-logs", "queues.logs", Arn=other)


def test_large_events_are_matched_apart_and_sent(bridge: Events) -> None:
    """Before the transaction: by rules as they are then, whatever they were when the request came."""
    client, sqs = bridge.of(), bridge.of(service="sqs")
    url = sqs.create_queue(QueueName="large-events")["QueueUrl"]
    arn = queue_arn("large-events")
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(allow)})
    numbers = [{"numeric": ["=", -1 - number]} for number in range(99)]
    for name, pattern in (
        ("large-wanted", {"source": ["com.large"], "detail": {"a": [*numbers, {"numeric": [">", 29_998]}]}}),
        ("large-unwanted", {"source": ["com.large"], "detail": {"a": numbers}}),
    ):
        client.put_rule(Name=name, EventPattern=json.dumps(pattern))
        target = {"Id": "1", "Arn": arn, "InputTransformer": {"InputTemplate": '"<aws.events.rule-name>"'}}
        client.put_targets(Rule=name, Targets=[target])
    entry = {"Source": "com.large", "DetailType": "x", "Detail": json.dumps({"a": list(range(30_000))})}
    small = {**entry, "Detail": '{"a": [30000]}'}
    answer = client.put_events(Entries=[entry, {**entry, "Detail": "nonsense"}, small])
    assert [("EventId" in each) for each in answer["Entries"]] == [True, False, True]
    got: list[Any] = []
    while len(got) < 2:
        got += sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in got] == ['"large-wanted"'] * 2


def test_by_a_topic_whose_policy_lets_the_rule(bridge: Events) -> None:
    client, sns, sqs = bridge.of(), bridge.of(service="sns"), bridge.of(service="sqs")
    topic = sns.create_topic(Name="told")["TopicArn"]
    urls = {}
    for name, service, source in (
        ("told-by-topic", "sns.amazonaws.com", topic),
        ("not-told", "events.amazonaws.com", rule_arn("tell")),
    ):
        urls[name] = sqs.create_queue(QueueName=name)["QueueUrl"]
        allow = {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn(name),
            "Condition": {"ArnEquals": {"aws:SourceArn": source}},
        }
        sqs.set_queue_attributes(QueueUrl=urls[name], Attributes={"Policy": document(allow)})
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=queue_arn("told-by-topic"),
        Attributes={"RawMessageDelivery": "true"},
    )
    client.put_rule(Name="tell", EventPattern='{"source": ["com.tell"]}')
    target = {
        "Id": "1",
        "Arn": topic,
        "InputPath": "$.detail",
        "DeadLetterConfig": {"Arn": queue_arn("not-told")},
    }
    client.put_targets(Rule="tell", Targets=[target])
    entry = {"Source": "com.tell", "DetailType": "x"}

    def put(number: int) -> None:
        client.put_events(Entries=[{**entry, "Detail": json.dumps({"number": number})}])

    def received(name: str) -> Any:
        (message,) = sqs.receive_message(
            QueueUrl=urls[name], WaitTimeSeconds=20, MessageAttributeNames=["All"]
        )["Messages"]
        return message

    put(1)
    refused_ = received("not-told")
    assert refused_["Body"] == '{"number":1}'
    assert refused_["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn("tell")}},
    }
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=document(allow))
    put(2)
    assert received("told-by-topic")["Body"] == '{"number":2}'
    with refused("ValidationException"):
        client.put_targets(Rule="tell", Targets=[{"Id": "2", "Arn": f"{topic}.fifo"}])


def test_over_the_border_of_a_region(bridge: Events) -> None:
    """To a bus of another Region, by a role, and there by that Region's rules."""
    there = "eu-west-1"
    here, events, sqs = bridge.of(), bridge.of(region=there), bridge.of(service="sqs", region=there)
    bus = events.create_event_bus(Name="abroad")["EventBusArn"]
    assert f":{there}:" in bus
    url = sqs.create_queue(QueueName="abroad")["QueueUrl"]
    arn = queue_arn("abroad").replace(REGION, there)
    rule = events.put_rule(Name="arrived", EventBusName="abroad", EventPattern='{"source": ["com.abroad"]}')[
        "RuleArn"
    ]
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(allow)})
    events.put_targets(Rule="arrived", EventBusName="abroad", Targets=[{"Id": "1", "Arn": arn}])
    here.put_rule(Name="leaving", EventPattern='{"source": ["com.abroad"]}')
    here.put_targets(Rule="leaving", Targets=[{"Id": "1", "Arn": bus, "RoleArn": bridge.role}])
    here.put_events(Entries=[{"Source": "com.abroad", "DetailType": "x", "Detail": '{"a": 1}'}])
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    event = json.loads(message["Body"])
    assert (event["region"], event["account"], event["detail"]) == (REGION, ACCOUNT, {"a": 1})
