"""Delivery policies and filter policies: what may be one, and that they are honoured."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sns_support import Listener, topic
from sqs_support import Sqs, refused

from casemate.errors import AwsError
from casemate.services.sns import delivery_policies, filters


def _subscribed(aws: Sqs, listener: Listener, arn: str, **attributes: str) -> str:
    client = aws.of(service="sns")
    client.subscribe(
        TopicArn=arn, Protocol="http", Endpoint=f"http://{listener.host}/", Attributes=attributes
    )
    token = listener.next().document["Token"]
    return str(client.confirm_subscription(TopicArn=arn, Token=token)["SubscriptionArn"])


def test_a_content_type_of_ones_own(aws: Sqs, listener: Listener) -> None:
    arn, client = topic(aws), aws.of(service="sns")
    policy = json.dumps({"requestPolicy": {"headerContentType": "application/json"}})
    subscription = _subscribed(aws, listener, arn, DeliveryPolicy=policy, RawMessageDelivery="true")
    client.publish(TopicArn=arn, Message='{"a": 1}')
    got = listener.next()
    assert (got.headers["content-type"], got.body) == ("application/json", '{"a": 1}')
    assert got.headers["x-amz-sns-rawdelivery"] == "true"
    found = client.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    effective = json.loads(found["EffectiveDeliveryPolicy"])
    assert effective["requestPolicy"] == {"headerContentType": "application/json"}
    assert effective["healthyRetryPolicy"]["numRetries"] == 3
    # What only raw messages can be.
    client.set_subscription_attributes(
        SubscriptionArn=subscription,
        AttributeName="DeliveryPolicy",
        AttributeValue=json.dumps({"requestPolicy": {"headerContentType": "text/csv; charset=utf-8"}}),
    )
    with refused(
        "InvalidParameter",
        "Invalid parameter: DeliveryPolicy: headerContentType text/csv needs raw message delivery",
    ):
        client.set_subscription_attributes(
            SubscriptionArn=subscription, AttributeName="RawMessageDelivery", AttributeValue="false"
        )


def test_no_more_a_second_than_is_wanted(aws: Sqs, listener: Listener) -> None:
    arn, client = topic(aws), aws.of(service="sns")
    policy = json.dumps({"throttlePolicy": {"maxReceivesPerSecond": 1}})
    _subscribed(aws, listener, arn, DeliveryPolicy=policy, RawMessageDelivery="true")
    for body in ("1", "2", "3"):
        client.publish(TopicArn=arn, Message=body)
    got = {listener.next().body}
    aws.advance("1m")
    got |= {listener.next().body, listener.next().body}
    assert got == {"1", "2", "3"}


def test_whose_policy_applies() -> None:
    def of_topic(disabled: bool) -> dict[str, str]:
        http = {"defaultHealthyRetryPolicy": {"numRetries": 7}, "disableSubscriptionOverrides": disabled}
        return {"DeliveryPolicy": json.dumps({"http": http})}

    own = {"DeliveryPolicy": json.dumps({"healthyRetryPolicy": {"numRetries": 5}})}
    for topics, subscriptions, retries in (
        ({}, {}, 3),
        (of_topic(False), {}, 7),
        (of_topic(False), own, 5),
        (of_topic(True), own, 7),
    ):
        assert delivery_policies.applying(topics, subscriptions).retry["numRetries"] == retries


@pytest.mark.parametrize(
    "text",
    [
        *("x", "[]", "5", '{"http": 5}', '{"http": {"x": 1}}', '{"sqs": {}}', "[" * 100_000),
        '{"http": {"defaultHealthyRetryPolicy": 5}}',
        '{"http": {"defaultHealthyRetryPolicy": {"numRetries": true}}}',
        '{"http": {"defaultHealthyRetryPolicy": {"numRetries": 1e9}}}',
        '{"http": {"defaultHealthyRetryPolicy": {"numRetries": 100, "minDelayTarget": 60, "maxDelayTarget": 60}}}',
        '{"http": {"defaultHealthyRetryPolicy": {"backoffFunction": "sudden"}}}',
        '{"http": {"defaultHealthyRetryPolicy": {"numMaxDelayRetries": 4}}}',
        '{"http": {"defaultThrottlePolicy": {"maxReceivesPerSecond": 0}}}',
        '{"http": {"defaultThrottlePolicy": {"maxReceivesPerSecond": 0.5}}}',
        '{"http": {"defaultRequestPolicy": {"headerContentType": "text/plain\\r\\nX: y"}}}',
        '{"http": {"defaultRequestPolicy": {"headerContentType": "image/png"}}}',
        '{"http": {"disableSubscriptionOverrides": "yes"}}',
        '{"http": {"defaultSicklyRetryPolicy": {}}}',
    ],
)
def test_what_is_no_delivery_policy(text: str) -> None:
    with pytest.raises(AwsError, match="DeliveryPolicy"):
        delivery_policies.read_topics(text)


def test_policies_of_what_is_no_http_endpoint(aws: Sqs) -> None:
    with refused("InvalidParameter"):
        aws.of(service="sns").subscribe(
            TopicArn=topic(aws),
            Protocol="sqs",
            Endpoint=f"arn:aws:sqs:us-east-1:111122223333:{aws.name()}",
            Attributes={"DeliveryPolicy": "{}"},
        )


def _nested(depth: int, leaf: Any) -> Any:
    return {f"k{depth}": _nested(depth - 1, leaf)} if depth else leaf


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ({"abcdef"[at]: ["x"] for at in range(6)}, "5 keys"),
        ({"a": list(range(13)), "b": list(range(12))}, "too complex"),
        # AWS's own example, and one that is just above: what is nested counts as often as it is deep.
        ({"a": {"b": {"c": list(range(10))}}, "d": {"e": list(range(3))}}, "too complex"),
        ({"a": [1_000_000_001]}, "1.0E9"),
        ({"a": [{"numeric": ["<", -2e9]}]}, "1.0E9"),
        ({"a": "x"}, "FilterPolicy"),
    ],
)
def test_what_is_no_filter_policy(policy: Any, why: str) -> None:
    with pytest.raises(AwsError, match=why):
        filters.check(json.dumps(policy))


def test_filter_policies() -> None:
    filters.check(json.dumps({"a": {"b": {"c": ["1", "2", "3"]}}, "d": {"e": ["1", "2", "3"]}}))
    filters.check(json.dumps({"a": list(range(150))}))
    filters.check(json.dumps({"$or": [{"a": list(range(70))}, {"b": list(range(70))}]}))
    with pytest.raises(AwsError, match="nested"):
        filters.check_scope('{"a": {"b": ["c"]}}', by_body=False)
    filters.check_scope('{"a": {"b": ["c"]}}', by_body=True)


def test_filter_policies_are_counted(aws: Sqs) -> None:
    client = aws.of(service="sns")
    arn = topic(aws)
    name = aws.name("function")
    for number in range(201):
        endpoint = f"arn:aws:lambda:us-east-1:111122223333:function:{name}-{number}"
        made = client.subscribe(TopicArn=arn, Protocol="lambda", Endpoint=endpoint)["SubscriptionArn"]
        given = {"SubscriptionArn": made, "AttributeName": "FilterPolicy", "AttributeValue": '{"a": ["b"]}'}
        if number < 200:
            client.set_subscription_attributes(**given)
    with refused("FilterPolicyLimitExceeded", status=403):
        client.set_subscription_attributes(**given)
    with refused("FilterPolicyLimitExceeded", status=403):
        client.subscribe(
            TopicArn=arn,
            Protocol="lambda",
            Endpoint=f"{endpoint}x",
            Attributes={"FilterPolicy": '{"a": ["b"]}'},
        )
