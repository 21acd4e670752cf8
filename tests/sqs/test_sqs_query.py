"""The query protocol, which older SDKs speak: forms in, XML out, at the queue's own URL too."""

from __future__ import annotations

import re
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from sqs_support import REGION, Sqs, access_key, arn_of


def _ask(url: str, user: str = "admin", **form: str) -> tuple[int, str]:
    """The status of a signed request's answer, and its body."""
    key = access_key(user)
    body = urlencode({"Version": "2012-11-05", **form})
    request = AWSRequest(
        "POST", url, data=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    SigV4Auth(Credentials(key.id, key.secret), "sqs", REGION).add_auth(request)
    try:
        with urlopen(Request(url, body.encode(), dict(request.headers))) as answer:
            return int(answer.status), answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_a_queue_from_its_making_to_its_end(sqs: Sqs) -> None:
    endpoint = f"{sqs.server.endpoint}/"
    name = sqs.name()
    status, made = _ask(
        endpoint,
        Action="CreateQueue",
        QueueName=name,
        **{
            "Attribute.1.Name": "VisibilityTimeout",
            "Attribute.1.Value": "0",
            "Tag.1.Key": "a",
            "Tag.1.Value": "b",
        },
    )
    assert status == 200
    found = re.fullmatch(
        r'<CreateQueueResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><CreateQueueResult>'
        r"<QueueUrl>(.*)</QueueUrl></CreateQueueResult><ResponseMetadata><RequestId>[0-9a-f-]{36}</RequestId>"
        r"</ResponseMetadata></CreateQueueResponse>",
        made,
    )
    assert found is not None, made
    url = found[1]
    assert sqs.of().list_queue_tags(QueueUrl=url)["Tags"] == {"a": "b"}
    status, sent = _ask(
        url,
        Action="SendMessage",
        MessageBody="a <b> & c",
        **{
            "MessageAttribute.1.Name": "kind",
            "MessageAttribute.1.Value.DataType": "String",
            "MessageAttribute.1.Value.StringValue": "test",
        },
    )
    assert status == 200
    assert "<MD5OfMessageBody>" in sent
    assert "<MD5OfMessageAttributes>" in sent
    status, got = _ask(
        url, Action="ReceiveMessage", **{"AttributeName.1": "All", "MessageAttributeName.1": "All"}
    )
    assert status == 200
    assert "<Body>a &lt;b&gt; &amp; c</Body>" in got
    assert "<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>" in got
    assert "<MessageAttribute><Name>kind</Name><Value>" in got
    assert "<StringValue>test</StringValue>" in got
    status, batch = _ask(
        url,
        Action="SendMessageBatch",
        **{
            "SendMessageBatchRequestEntry.1.Id": "one",
            "SendMessageBatchRequestEntry.1.MessageBody": "1",
            "SendMessageBatchRequestEntry.2.Id": "two",
            "SendMessageBatchRequestEntry.2.MessageBody": "\x01",
        },
    )
    assert status == 200
    assert "<SendMessageBatchResultEntry><Id>one</Id>" in batch
    assert "<BatchResultErrorEntry><Id>two</Id><SenderFault>true</SenderFault>" in batch
    _, attributes = _ask(
        endpoint, Action="GetQueueAttributes", QueueUrl=url, **{"AttributeName.1": "QueueArn"}
    )
    assert f"<Attribute><Name>QueueArn</Name><Value>{arn_of(url)}</Value></Attribute>" in attributes
    _, listed = _ask(endpoint, Action="ListQueues", QueueNamePrefix=name)
    assert f"<QueueUrl>{url}</QueueUrl>" in listed
    assert _ask(url, Action="DeleteQueue")[0] == 200
    status, gone = _ask(url, Action="SendMessage", MessageBody="x")
    assert status == 400
    assert "<Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code>" in gone


def test_refusals(sqs: Sqs) -> None:
    url = sqs.queue()
    status, denied = _ask(url, "nobody", Action="ReceiveMessage")
    assert status == 403
    assert "<Code>AccessDenied</Code>" in denied
    status, missing = _ask(url, Action="SendMessage")
    assert status == 400
    assert "<Code>MissingParameter</Code>" in missing
    assert "The request must contain the parameter MessageBody." in missing
    status, bad = _ask(url, Action="DeleteMessage", ReceiptHandle="x")
    assert status == 400
    assert "<Code>ReceiptHandleIsInvalid</Code>" in bad
