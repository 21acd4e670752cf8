"""Topics and subscriptions: made, found, listed, configured, removed; and who may."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sns_support import subscribed_queue, topic
from sqs_support import ACCOUNT, OTHER_ACCOUNT, REGION, Sqs, arn_of, policy, refused, statement, user_arn

NO_TOPIC = ("NotFound", "Topic does not exist", 404)


def _sns(aws: Sqs, user: str = "admin") -> Any:
    return aws.of(user, "sns")


def test_create_is_idempotent(aws: Sqs) -> None:
    name = aws.name("topic")
    tags = [{"Key": "team", "Value": "red"}]
    arn = _sns(aws).create_topic(Name=name, Attributes={"DisplayName": "x"}, Tags=tags)["TopicArn"]
    assert arn == f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}"
    assert _sns(aws).create_topic(Name=name)["TopicArn"] == arn
    with refused("InvalidParameter"):
        _sns(aws).create_topic(Name=name, Attributes={"DisplayName": "y"})
    with refused(
        "InvalidParameter", "Invalid parameter: Tags Reason: Topic already exists with different tags"
    ):
        _sns(aws).create_topic(Name=name, Tags=[{"Key": "team", "Value": "blue"}])
    assert _sns(aws).list_tags_for_resource(ResourceArn=arn)["Tags"] == tags
    _sns(aws).tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    _sns(aws).untag_resource(ResourceArn=arn, TagKeys=["team"])
    assert _sns(aws).list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    with refused("ResourceNotFound", status=404):
        _sns(aws).list_tags_for_resource(ResourceArn=f"{arn}absent")
    with refused("InvalidParameter"):
        _sns(aws).tag_resource(ResourceArn=arn, Tags=[{"Key": "aws:x", "Value": ""}])


def test_attributes(aws: Sqs) -> None:
    arn = topic(aws)
    subscribed_queue(aws, arn)

    def attributes() -> Any:
        return _sns(aws).get_topic_attributes(TopicArn=arn)["Attributes"]

    first = attributes()
    assert (first["Owner"], first["SubscriptionsConfirmed"], first["SubscriptionsPending"]) == (
        ACCOUNT,
        "1",
        "0",
    )
    assert json.loads(first["Policy"])["Statement"][0]["Sid"] == "__default_statement_ID"
    _sns(aws).set_topic_attributes(TopicArn=arn, AttributeName="SignatureVersion", AttributeValue="2")
    _sns(aws).set_topic_attributes(TopicArn=arn, AttributeName="DisplayName", AttributeValue="shown")
    assert (attributes()["SignatureVersion"], attributes()["DisplayName"]) == ("2", "shown")
    (row,) = _sns(aws).list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    _sns(aws).unsubscribe(SubscriptionArn=row["SubscriptionArn"])
    assert (attributes()["SubscriptionsConfirmed"], attributes()["SubscriptionsDeleted"]) == ("0", "1")
    _sns(aws).delete_topic(TopicArn=arn)
    with refused(*NO_TOPIC):
        attributes()


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("Nonsense", "x", "InvalidParameter"),
        ("SignatureVersion", "3", "InvalidParameter"),
        ("TracingConfig", "Active", "InvalidParameter"),
        ("ContentBasedDeduplication", "true", "InvalidParameter"),
        ("FifoTopic", "true", "InvalidParameter"),
        ("Policy", "{}", "InvalidParameter"),
        ("DeliveryPolicy", "[]", "InvalidParameter"),
        (
            "DeliveryPolicy",
            '{"http": {"defaultHealthyRetryPolicy": {"numRetries": 101}}}',
            "InvalidParameter",
        ),
        (
            "DeliveryPolicy",
            '{"http": {"defaultHealthyRetryPolicy": {"minDelayTarget": 30}}}',
            "InvalidParameter",
        ),
    ],
)
def test_attributes_that_cannot_be_a_topics(aws: Sqs, name: str, value: str, code: str) -> None:
    arn = topic(aws)
    with refused(code):
        _sns(aws).set_topic_attributes(TopicArn=arn, AttributeName=name, AttributeValue=value)


def test_what_is_not_served_is_refused(aws: Sqs) -> None:
    arn = topic(aws)
    refusals: list[Callable[[], object]] = [
        lambda: _sns(aws).set_topic_attributes(
            TopicArn=arn, AttributeName="ArchivePolicy", AttributeValue="{}"
        ),
        lambda: _sns(aws).publish(PhoneNumber="+491234567", Message="x"),
        lambda: _sns(aws).subscribe(TopicArn=arn, Protocol="email", Endpoint="a@example.org"),
        lambda: _sns(aws).list_platform_applications(),
    ]
    for refuse in refusals:
        with refused("NotImplemented", status=501):
            refuse()


@pytest.mark.parametrize("name", ["a b", "x.fifo", "", "a" * 257])
def test_names_that_cannot_be_a_topics(aws: Sqs, name: str) -> None:
    with refused("InvalidParameter", "Invalid parameter: Topic Name"):
        _sns(aws).create_topic(Name=name)


def test_subscriptions(aws: Sqs) -> None:
    arn, url = topic(aws), aws.queue()
    sub = _sns(aws).subscribe(TopicArn=arn, Protocol="sqs", Endpoint=arn_of(url))["SubscriptionArn"]
    assert sub.startswith(f"{arn}:")
    assert _sns(aws).subscribe(TopicArn=arn, Protocol="sqs", Endpoint=arn_of(url))["SubscriptionArn"] == sub
    with refused("InvalidParameter"):
        _sns(aws).subscribe(
            TopicArn=arn, Protocol="sqs", Endpoint=arn_of(url), Attributes={"RawMessageDelivery": "true"}
        )
    shown = {
        "SubscriptionArn": sub,
        "Owner": ACCOUNT,
        "Protocol": "sqs",
        "Endpoint": arn_of(url),
        "TopicArn": arn,
    }
    assert _sns(aws).list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"] == [shown]
    pages = _sns(aws).get_paginator("list_subscriptions").paginate()
    assert shown in [each for page in pages for each in page["Subscriptions"]]

    def set_(name: str, value: str) -> None:
        _sns(aws).set_subscription_attributes(SubscriptionArn=sub, AttributeName=name, AttributeValue=value)

    set_("FilterPolicy", '{"a": ["b"]}')
    set_("RawMessageDelivery", "true")
    found = _sns(aws).get_subscription_attributes(SubscriptionArn=sub)["Attributes"]
    assert found["FilterPolicy"] == '{"a": ["b"]}'
    assert found["FilterPolicyScope"] == "MessageAttributes"
    assert (found["RawMessageDelivery"], found["PendingConfirmation"]) == ("true", "false")
    for name, value in (
        ("FilterPolicy", '{"a": "b"}'),
        ("FilterPolicy", "nonsense"),
        ("FilterPolicyScope", "Both"),
        ("RedrivePolicy", '{"deadLetterTargetArn": "x"}'),
        ("RawMessageDelivery", "maybe"),
        ("Nonsense", "x"),
    ):
        with refused("InvalidParameter"):
            set_(name, value)
    _sns(aws).unsubscribe(SubscriptionArn=sub)
    with refused("NotFound", "Subscription does not exist", 404):
        _sns(aws).get_subscription_attributes(SubscriptionArn=sub)


@pytest.mark.parametrize(
    ("protocol", "endpoint"),
    [
        ("sqs", "nonsense"),
        ("sqs", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:x"),
        ("sqs", f"arn:aws:sqs:{REGION}:{ACCOUNT}:x.fifo"),
        ("lambda", f"arn:aws:sqs:{REGION}:{ACCOUNT}:x"),
        ("http", "https://example.org"),
        ("http", "example.org"),
        ("carrier-pigeon", "x"),
    ],
)
def test_endpoints_that_cannot_be(aws: Sqs, protocol: str, endpoint: str) -> None:
    with refused("InvalidParameter"):
        _sns(aws).subscribe(TopicArn=topic(aws), Protocol=protocol, Endpoint=endpoint)


def test_who_may(aws: Sqs) -> None:
    arn = topic(aws)
    refusals: list[Callable[[Any], object]] = [
        lambda client: client.publish(TopicArn=arn, Message="x"),
        lambda client: client.get_topic_attributes(TopicArn=arn),
        lambda client: client.delete_topic(TopicArn=arn),
        lambda client: client.publish(TopicArn=f"{arn}absent", Message="x"),
    ]
    for user in ("nobody", "stranger"):
        for do in refusals:
            with refused("AuthorizationError", status=403):
                do(_sns(aws, user))
    with refused(
        "AuthorizationError",
        f"User: {user_arn('nobody')} is not authorized to perform: sns:Publish on resource: {arn} because no "
        "identity-based policy allows the sns:Publish action",
        403,
    ):
        _sns(aws, "nobody").publish(TopicArn=arn, Message="x")
    with refused(*NO_TOPIC):
        _sns(aws).publish(TopicArn=f"{arn}absent", Message="x")
    document = policy(statement("sns:Publish", resource=arn, Principal={"AWS": user_arn("nobody")}))
    _sns(aws).set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=document)
    _sns(aws, "nobody").publish(TopicArn=arn, Message="x")


def test_permissions_are_added_and_removed(aws: Sqs) -> None:
    arn, theirs = topic(aws), _sns(aws, "stranger")
    _sns(aws).add_permission(
        TopicArn=arn, Label="share", AWSAccountId=[OTHER_ACCOUNT], ActionName=["Publish"]
    )
    theirs.publish(TopicArn=arn, Message="x")
    with refused("InvalidParameter"):
        _sns(aws).add_permission(
            TopicArn=arn, Label="share", AWSAccountId=[OTHER_ACCOUNT], ActionName=["Publish"]
        )
    for label, account, action in (("x", "1", "Publish"), ("x", OTHER_ACCOUNT, "CreateTopic")):
        with refused("InvalidParameter"):
            _sns(aws).add_permission(TopicArn=arn, Label=label, AWSAccountId=[account], ActionName=[action])
    _sns(aws).remove_permission(TopicArn=arn, Label="share")
    with refused("AuthorizationError", status=403):
        theirs.publish(TopicArn=arn, Message="x")


def test_topics_are_listed(aws: Sqs) -> None:
    arns = {topic(aws) for _ in range(3)}
    pages = _sns(aws).get_paginator("list_topics").paginate()
    assert arns <= {each["TopicArn"] for page in pages for each in page["Topics"]}
    with refused("InvalidParameter"):
        _sns(aws).list_topics(NextToken="nonsense")


@pytest.mark.parametrize(
    ("protocol", "endpoint", "reason"),
    [
        ("http", "https://example.com", "Endpoint must match the specified protocol: http"),
        ("https", "https://", "Endpoint Reason: it is no URL"),
        ("http", "http://a b/", "Endpoint Reason: it is no URL"),
        ("http", "http://example.com:0/", "Endpoint Reason: it is no URL"),
        # A --dev server may reach its own machine and network, and nothing else that is not public.
        *(
            (
                "http",
                f"http://{host}/latest",
                "Endpoint Reason: the server is not configured to reach this host",
            )
            for host in (
                "169.254.169.254",
                "[fe80::1]",
                "0.0.0.0",
                "2852039166",
                "0xa9fea9fe",
                "[::ffff:169.254.169.254]",
            )
        ),
    ],
)
def test_urls_that_nothing_is_sent_to(aws: Sqs, protocol: str, endpoint: str, reason: str) -> None:
    with refused("InvalidParameter", f"Invalid parameter: {reason}"):
        aws.of(service="sns").subscribe(TopicArn=topic(aws), Protocol=protocol, Endpoint=endpoint)
