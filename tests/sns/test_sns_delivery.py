"""What is published, and who gets it: queues, HTTP endpoints, dead letters; filtered, signed, in order."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any
from urllib.request import urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from sns_support import Listener, let, subscribed_queue, topic
from sqs_support import ACCOUNT, OTHER_ACCOUNT, REGION, Sqs, arn_of, policy, refused, statement, user_arn


def _publish(aws: Sqs, arn: str, message: str, **more: Any) -> Any:
    return aws.of(service="sns").publish(TopicArn=arn, Message=message, **more)


def _verify(document: Any, *members: str) -> None:
    with urlopen(document["SigningCertURL"]) as answer:
        key = x509.load_pem_x509_certificate(answer.read()).public_key()
    assert isinstance(key, RSAPublicKey)
    text = "".join(f"{name}\n{document[name]}\n" for name in members if name in document)
    digest = hashes.SHA256() if document["SignatureVersion"] == "2" else hashes.SHA1()
    key.verify(b64decode(document["Signature"]), text.encode(), PKCS1v15(), digest)


_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")


def test_a_queue_gets_a_signed_document(aws: Sqs) -> None:
    arn = topic(aws)
    url = subscribed_queue(aws, arn)
    attributes = {
        "kind": {"DataType": "String", "StringValue": "test"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
    }
    sent = _publish(aws, arn, "hello", Subject="about", MessageAttributes=attributes)
    (body,) = aws.bodies(url)
    document = json.loads(body)
    assert (document["Type"], document["Message"], document["Subject"]) == ("Notification", "hello", "about")
    assert (document["MessageId"], document["TopicArn"]) == (sent["MessageId"], arn)
    assert document["MessageAttributes"] == {
        "kind": {"Type": "String", "Value": "test"},
        "bytes": {"Type": "Binary", "Value": "AAE="},
    }
    _verify(document, *_NOTIFICATION)
    aws.of(service="sns").set_topic_attributes(
        TopicArn=arn, AttributeName="SignatureVersion", AttributeValue="2"
    )
    _publish(aws, arn, "again")
    (body,) = aws.bodies(url)
    assert json.loads(body)["SignatureVersion"] == "2"
    _verify(json.loads(body), *_NOTIFICATION)


def test_raw_messages_and_bodies_by_protocol(aws: Sqs) -> None:
    arn = topic(aws)
    url = subscribed_queue(aws, arn, {"RawMessageDelivery": "true"})
    attributes = {"kind": {"DataType": "String", "StringValue": "test"}}
    _publish(
        aws,
        arn,
        json.dumps({"default": "for all", "sqs": "for queues"}),
        MessageStructure="json",
        MessageAttributes=attributes,
    )
    (got,) = aws.receive(url, MessageAttributeNames=["All"])
    assert (got["Body"], got["MessageAttributes"]) == ("for queues", attributes)


def test_filters_by_attributes_and_by_body(aws: Sqs) -> None:
    arn = topic(aws)
    raw = {"RawMessageDelivery": "true"}
    by_attribute = subscribed_queue(
        aws,
        arn,
        {**raw, "FilterPolicy": json.dumps({"kind": [{"prefix": "or"}], "size": [{"numeric": [">", 5]}]})},
    )
    by_array = subscribed_queue(aws, arn, {**raw, "FilterPolicy": json.dumps({"tags": ["red"]})})
    by_body = subscribed_queue(
        aws,
        arn,
        {**raw, "FilterPolicy": json.dumps({"a": {"b": [1]}}), "FilterPolicyScope": "MessageBody"},
    )
    everything = subscribed_queue(aws, arn, raw)
    kind = {"DataType": "String", "StringValue": "order"}
    _publish(
        aws,
        arn,
        "big",
        MessageAttributes={
            "kind": kind,
            "size": {"DataType": "Number", "StringValue": "6"},
            "tags": {"DataType": "String.Array", "StringValue": '["blue", "red"]'},
        },
    )
    _publish(
        aws,
        arn,
        "small",
        MessageAttributes={"kind": kind, "size": {"DataType": "Number", "StringValue": "5"}},
    )
    _publish(aws, arn, '{"a": {"b": 1}}')
    assert aws.bodies(by_attribute) == ["big"]
    assert aws.bodies(by_array) == ["big"]
    assert aws.bodies(by_body) == ['{"a": {"b": 1}}']
    assert sorted(aws.bodies(everything)) == ["big", "small", '{"a": {"b": 1}}']


def test_a_queue_must_let_the_topic(aws: Sqs) -> None:
    arn, other, dead = topic(aws), topic(aws), aws.queue()
    let(aws, dead, arn)
    redrive = json.dumps({"deadLetterTargetArn": arn_of(dead)})
    url = subscribed_queue(aws, arn, {"RedrivePolicy": redrive, "RawMessageDelivery": "true"})
    let(aws, url, other)
    _publish(aws, arn, "refused")
    assert aws.receive(url) == []
    assert aws.bodies(dead) == ["refused"]
    let(aws, url, arn)
    _publish(aws, arn, "taken")
    assert aws.bodies(url) == ["taken"]
    assert aws.receive(dead) == []


def test_order_from_topic_to_queue(aws: Sqs) -> None:
    arn = topic(aws, FifoTopic="true", ContentBasedDeduplication="true")
    url = subscribed_queue(aws, arn, {"RawMessageDelivery": "true"}, fifo=True)
    for body in ("1", "2", "2", "3"):
        _publish(aws, arn, body, MessageGroupId="g")
    got = aws.receive(url, AttributeNames=["All"])
    assert [message["Body"] for message in got] == ["1", "2", "3"]
    assert {message["Attributes"]["MessageGroupId"] for message in got} == {"g"}
    first = _publish(aws, arn, "x", MessageGroupId="g", MessageDeduplicationId="d")
    again = _publish(aws, arn, "y", MessageGroupId="g", MessageDeduplicationId="d")
    assert (first["MessageId"], first["SequenceNumber"]) == (again["MessageId"], again["SequenceNumber"])
    with refused("InvalidParameter"):
        _publish(aws, arn, "x")


def test_batches_of_messages(aws: Sqs) -> None:
    arn = topic(aws)
    url = subscribed_queue(aws, arn, {"RawMessageDelivery": "true"})
    client = aws.of(service="sns")

    def publish(*ids: str) -> Any:
        entries = [{"Id": each, "Message": "" if each == "bad" else each} for each in ids]
        return client.publish_batch(TopicArn=arn, PublishBatchRequestEntries=entries)

    answer = publish("a", "bad", "b")
    assert [entry["Id"] for entry in answer["Successful"]] == ["a", "b"]
    assert [(entry["Id"], entry["Code"]) for entry in answer["Failed"]] == [("bad", "InvalidParameter")]
    assert aws.bodies(url) == ["a", "b"]
    for ids, code in (
        ((), "EmptyBatchRequest"),
        (("a", "a"), "BatchEntryIdsNotDistinct"),
        (("a b",), "InvalidBatchEntryId"),
        ([str(number) for number in range(11)], "TooManyEntriesInBatchRequest"),
    ):
        with refused(code):
            publish(*ids)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"Message": ""}, "InvalidParameter"),
        ({"Message": "x" * 262_145}, "InvalidParameter"),
        ({"Subject": "two\nlines"}, "InvalidParameter"),
        ({"Subject": "x" * 101}, "InvalidParameter"),
        ({"Subject": "ä"}, "InvalidParameter"),
        ({"MessageStructure": "xml"}, "InvalidParameter"),
        ({"MessageStructure": "json"}, "InvalidParameter"),
        ({"MessageStructure": "json", "Message": '{"sqs": "x"}'}, "InvalidParameter"),
        ({"MessageDeduplicationId": "x"}, "InvalidParameter"),
        ({"MessageAttributes": {"a": {"DataType": "Text", "StringValue": "x"}}}, "ParameterValueInvalid"),
        ({"MessageAttributes": {"a": {"DataType": "Number", "StringValue": "x"}}}, "ParameterValueInvalid"),
        ({"MessageAttributes": {"a b": {"DataType": "String", "StringValue": "x"}}}, "ParameterValueInvalid"),
    ],
)
def test_messages_that_cannot_be_published(aws: Sqs, more: dict[str, Any], code: str) -> None:
    with refused(code):
        aws.of(service="sns").publish(**{"TopicArn": topic(aws), "Message": "x", **more})


def test_an_http_endpoint_confirms_and_is_posted_to(aws: Sqs, listener: Listener) -> None:
    arn, client = topic(aws), aws.of(service="sns")
    endpoint = f"http://user:pass@{listener.host}/hook"
    assert (
        client.subscribe(TopicArn=arn, Protocol="http", Endpoint=endpoint)["SubscriptionArn"]
        == "pending confirmation"
    )
    asked = listener.next()
    assert asked.headers["x-amz-sns-message-type"] == "SubscriptionConfirmation"
    assert asked.headers["authorization"] == "Basic dXNlcjpwYXNz"
    _verify(asked.document, "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
    _publish(aws, arn, "to nobody yet")
    (shown,) = client.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    assert (shown["SubscriptionArn"], shown["Endpoint"]) == (
        "PendingConfirmation",
        f"http://user:****@{listener.host}/hook",
    )
    # Whoever has the URL, without a signature.
    with urlopen(asked.document["SubscribeURL"]) as answer:
        assert b"<SubscriptionArn>" in answer.read()
    _publish(aws, arn, "hello", Subject="about")
    posted = listener.next()
    assert posted.headers["x-amz-sns-message-type"] == "Notification"
    assert posted.document["Message"] == "hello"
    _verify(posted.document, *_NOTIFICATION)
    with refused("InvalidParameter", "Invalid parameter: Token"):
        client.confirm_subscription(TopicArn=arn, Token="nonsense")


def test_what_an_endpoint_fails_to_take_is_tried_again(aws: Sqs, listener: Listener) -> None:
    client, dead = aws.of(service="sns"), aws.queue()
    at_once = {"numRetries": 1, "numNoDelayRetries": 1, "minDelayTarget": 1, "maxDelayTarget": 1}
    arn = topic(aws, DeliveryPolicy=json.dumps({"http": {"defaultHealthyRetryPolicy": at_once}}))
    let(aws, dead, arn)
    client.subscribe(
        TopicArn=arn,
        Protocol="http",
        Endpoint=f"http://{listener.host}",
        Attributes={
            "RawMessageDelivery": "true",
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn_of(dead)}),
        },
    )
    token = listener.next().document["Token"]
    client.confirm_subscription(TopicArn=arn, Token=token)
    listener.statuses = [503, 200, 503, 503, 404]
    _publish(aws, arn, "second time")
    assert [listener.next().body for _ in range(2)] == ["second time", "second time"]
    _publish(aws, arn, "never")
    assert aws.bodies(dead, WaitTimeSeconds=20) == ["never"]
    _publish(aws, arn, "not wanted")
    assert aws.bodies(dead, WaitTimeSeconds=20) == ["not wanted"]


def test_another_accounts_queue_confirms(aws: Sqs) -> None:
    arn, client = topic(aws), aws.of(service="sns")
    theirs = aws.of("stranger")
    url = theirs.create_queue(QueueName=aws.name("theirs"))["QueueUrl"]
    queue = f"arn:aws:sqs:{REGION}:{OTHER_ACCOUNT}:{url.rsplit('/', 1)[1]}"
    document = policy(
        statement(
            "sqs:SendMessage",
            resource=queue,
            Principal={"Service": "sns.amazonaws.com"},
            Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        )
    )
    theirs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document})
    asked = client.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)
    assert asked["SubscriptionArn"] == "pending confirmation"
    (got,) = theirs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    token = json.loads(got["Body"])["Token"]
    theirs.delete_message(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"])
    confirmed = aws.of("stranger", "sns").confirm_subscription(TopicArn=arn, Token=token)
    assert confirmed["SubscriptionArn"].startswith(f"{arn}:")
    _publish(aws, arn, "over the border")
    (got,) = theirs.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(got["Body"])["Message"] == "over the border"


def test_topics_under_a_kms_key(aws: Sqs) -> None:
    key = aws.of(service="kms").create_key()["KeyMetadata"]["Arn"]
    arn = topic(aws, KmsMasterKeyId=key)
    document = policy(statement("sns:Publish", resource=arn, Principal={"AWS": user_arn("nobody")}))
    aws.of(service="sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=document)
    _publish(aws, arn, "x")
    with refused("KMSAccessDenied"):
        aws.of("nobody", "sns").publish(TopicArn=arn, Message="x")
    aws.of(service="kms").disable_key(KeyId=key)
    with refused("KMSDisabled"):
        _publish(aws, arn, "x")
    with refused("KMSNotFound"):
        _publish(aws, topic(aws, KmsMasterKeyId="alias/absent"), "x")


def test_a_function_that_is_not_there(aws: Sqs) -> None:
    arn, dead = topic(aws), aws.queue()
    let(aws, dead, arn)
    function = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:absent"
    redrive = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn_of(dead)})}
    made = aws.of(service="sns").subscribe(
        TopicArn=arn, Protocol="lambda", Endpoint=function, Attributes=redrive
    )
    _publish(aws, arn, "for a function", Subject="about")
    (body,) = aws.bodies(dead, WaitTimeSeconds=20)
    (record,) = json.loads(body)["Records"]
    assert record["EventSource"] == "aws:sns"
    assert record["EventSubscriptionArn"] == made["SubscriptionArn"]
    assert (record["Sns"]["Message"], record["Sns"]["Subject"]) == ("for a function", "about")
    assert record["Sns"]["SigningCertUrl"].startswith(aws.server.endpoint)
