"""What endpoints are sent: the JSON document around a message, and how each protocol has it.

Source: "Parsing Amazon SNS message formats", "Amazon SNS raw message delivery".
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from casemate.gate.random_ids import new_uuid
from casemate.services.sns.signing import Signers
from casemate.services.sns.topics import SubscriptionRow, TopicRow

if TYPE_CHECKING:
    from casemate.gate.call import Call

_VERSION = "2010-03-31"

Attributes = Mapping[str, Mapping[str, Any]]


class Notice(NamedTuple):
    """What an endpoint is sent. kind: "Notification" and the like; text: the body; attributes: of a raw message to a
    queue; group, deduplication: of FIFO topics and fair queues."""

    kind: str
    id: str
    text: str
    attributes: Attributes
    group: str = ""
    deduplication: str = ""


class Published(NamedTuple):
    """A message as it was published. by_protocol: with MessageStructure json, what is sent to each."""

    id: str
    body: str
    by_protocol: Mapping[str, str]
    subject: str
    attributes: Attributes
    group: str = ""
    deduplication: str = ""
    sequence: str = ""

    def body_for(self, protocol: str) -> str:
        return self.by_protocol.get(protocol, self.body)


def _timestamp(seconds: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds * 1000) % 1000:03d}Z"


def _version(topic: TopicRow) -> str:
    return topic.attributes.get("SignatureVersion", "1")


def confirmation(call: Call, topic: TopicRow, row: SubscriptionRow, token: str) -> Notice:
    """What an endpoint is sent that is to confirm its subscription."""
    arn = topic.place.arn
    query = urlencode({"Action": "ConfirmSubscription", "TopicArn": arn, "Token": token, "Version": _VERSION})
    document = {
        "Type": "SubscriptionConfirmation",
        "MessageId": new_uuid(),
        "Token": token,
        "TopicArn": arn,
        "Message": f"You have chosen to subscribe to the topic {arn}.\n"
        "To confirm the subscription, visit the SubscribeURL included in this message.",
        "SubscribeURL": f"{row.base}/?{query}",
        "Timestamp": _timestamp(call.now),
    }
    account = topic.place.account
    signed = call.part(Signers).signed(call.tx, account, document, _version(topic), row.base)
    return Notice(document["Type"], document["MessageId"], json.dumps(signed, indent=2), {})


class Notices:
    """What one message's subscriptions are sent; it is signed once for each of the server's names."""

    def __init__(self, call: Call, topic: TopicRow, message: Published) -> None:
        self._call = call
        self._topic = topic
        self._message = message
        self._signed: dict[tuple[str, str], dict[str, str]] = {}

    def for_subscription(self, row: SubscriptionRow) -> Notice:
        message = self._message
        body = message.body_for(row.protocol)
        if row.raw:
            text, attributes = body, message.attributes
        else:
            text, attributes = self._document(row, body), {}
        return Notice("Notification", message.id, text, attributes, message.group, message.deduplication)

    def _document(self, row: SubscriptionRow, body: str) -> str:
        message = self._message
        signed = self._signed.get((row.base, body))
        if signed is None:
            document = {"Type": "Notification", "MessageId": message.id}
            if message.sequence:
                document["SequenceNumber"] = message.sequence
            document["TopicArn"] = self._topic.place.arn
            if message.subject:
                document["Subject"] = message.subject
            document |= {"Message": body, "Timestamp": _timestamp(self._call.now)}
            signed = self._call.part(Signers).signed(
                self._call.tx, self._topic.place.account, document, _version(self._topic), row.base
            )
            self._signed[row.base, body] = signed
        query = urlencode({"Action": "Unsubscribe", "SubscriptionArn": row.arn, "Version": _VERSION})
        document = {**signed, "UnsubscribeURL": f"{row.base}/?{query}"}
        shown: dict[str, Any] = dict(document)
        if message.attributes:
            shown["MessageAttributes"] = {
                name: {"Type": value["DataType"], "Value": _shown(value)}
                for name, value in message.attributes.items()
            }
        if row.protocol == "lambda":
            return json.dumps(_record(row, shown))
        return json.dumps(shown, indent=2)


def _shown(value: Mapping[str, Any]) -> str:
    return b64encode(value["BinaryValue"]).decode() if "BinaryValue" in value else str(value["StringValue"])


def _record(row: SubscriptionRow, shown: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a function is given."""
    renamed = {"SigningCertURL": "SigningCertUrl", "UnsubscribeURL": "UnsubscribeUrl"}
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": row.arn,
                "Sns": {
                    "Subject": None,
                    "MessageAttributes": {},
                    **{renamed.get(name, name): value for name, value in shown.items()},
                },
            }
        ]
    }
