"""What endpoints are sent: the JSON document around a message, and how each protocol has it.

Source: "Parsing Amazon SNS message formats", "Amazon SNS raw message delivery".
"""

from __future__ import annotations

import json
import time
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from casemate.engine.egress.mail import Mail
from casemate.gate.random_ids import new_uuid
from casemate.services.sns import mails
from casemate.services.sns.retries import MAIL_PROTOCOLS
from casemate.services.sns.signing import Signers
from casemate.services.sns.topics import SubscriptionRow, TopicRow, Topics

if TYPE_CHECKING:
    from casemate.gate.call import Call

_VERSION = "2010-03-31"
UNSUBSCRIBE = "sns unsubscription"
"""The purpose of the token in the links that end subscriptions."""

Attributes = Mapping[str, Mapping[str, Any]]


class Notice(NamedTuple):
    """What an endpoint is sent. kind: "Notification" and the like; text: the body; attributes: of a raw message to a
    queue; group, deduplication: of FIFO topics and fair queues; subject, sender: of a mail."""

    kind: str
    id: str
    text: str
    attributes: Attributes
    group: str = ""
    deduplication: str = ""
    subject: str = ""
    sender: str = ""


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


def link(call: Call, row: SubscriptionRow, action: str, **parameters: str) -> str:
    """A URL of this server, which does what a message offers."""
    return f"{base_of(call, row)}/?{urlencode({'Action': action, **parameters, 'Version': _VERSION})}"


def base_of(call: Call, row: SubscriptionRow) -> str:
    """The URL of this server as an endpoint reaches it: readers of mails by the operator's, others by the one that
    the subscriber has called."""
    server = call.part(Mail).server
    return server.url if row.protocol in MAIL_PROTOCOLS and server is not None else row.base


_TO_CONFIRM = (
    "You have chosen to subscribe to the topic {arn}.\n"
    "To confirm the subscription, visit the SubscribeURL included in this message."
)
_TO_RETURN = (
    "You have chosen to deactivate subscription {subscription}.\n"
    "To cancel this operation and restore the subscription, visit the SubscribeURL included in this message."
)


def confirmation(
    call: Call, topic: TopicRow, row: SubscriptionRow, token: str, *, ended: bool = False
) -> Notice:
    """What an endpoint is sent that is to confirm its subscription or, ended, that may begin it again."""
    arn = topic.place.arn
    subscribe = link(call, row, "ConfirmSubscription", TopicArn=arn, Token=token)
    document = {
        "Type": "UnsubscribeConfirmation" if ended else "SubscriptionConfirmation",
        "MessageId": new_uuid(),
        "Token": token,
        "TopicArn": arn,
        "Message": (_TO_RETURN if ended else _TO_CONFIRM).format(arn=arn, subscription=row.arn),
        "SubscribeURL": subscribe,
        "Timestamp": _timestamp(call.now),
    }
    sender = topic.attributes.get("DisplayName", "")
    if row.protocol == "email":
        subject, text = mails.ended(arn, subscribe) if ended else mails.confirmation(arn, subscribe)
        return Notice(document["Type"], document["MessageId"], text, {}, subject=subject, sender=sender)
    account = topic.place.account
    signed = call.part(Signers).signed(call.tx, account, document, _version(topic), base_of(call, row))
    subject = mails.ENDED if ended else mails.CONFIRMATION
    text = json.dumps(signed, indent=2)
    return Notice(document["Type"], document["MessageId"], text, {}, subject=subject, sender=sender)


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
        if row.protocol in MAIL_PROTOCOLS:
            mail = row.protocol == "email"
            text = mails.notification(body, self._unsubscribe(row)) if mail else self._document(row, body)
            sender = self._topic.attributes.get("DisplayName", "")
            subject = message.subject or mails.NOTIFICATION
            return Notice("Notification", message.id, text, {}, subject=subject, sender=sender)
        if row.raw:
            text, attributes = body, message.attributes
        else:
            text, attributes = self._document(row, body), {}
        return Notice("Notification", message.id, text, attributes, message.group, message.deduplication)

    def _document(self, row: SubscriptionRow, body: str) -> str:
        message = self._message
        base = base_of(self._call, row)
        signed = self._signed.get((base, body))
        if signed is None:
            document = {"Type": "Notification", "MessageId": message.id}
            if message.sequence:
                document["SequenceNumber"] = message.sequence
            document["TopicArn"] = self._topic.place.arn
            if message.subject:
                document["Subject"] = message.subject
            document |= {"Message": body, "Timestamp": _timestamp(self._call.now)}
            signed = self._call.part(Signers).signed(
                self._call.tx, self._topic.place.account, document, _version(self._topic), base
            )
            self._signed[base, body] = signed
        document = {**signed, "UnsubscribeURL": self._unsubscribe(row)}
        shown: dict[str, Any] = dict(document)
        if message.attributes:
            shown["MessageAttributes"] = {
                name: {"Type": value["DataType"], "Value": _shown(value)}
                for name, value in message.attributes.items()
            }
        if row.protocol == "lambda":
            return json.dumps(_record(row, shown))
        return json.dumps(shown, indent=2)

    def _unsubscribe(self, row: SubscriptionRow) -> str:
        if row.authenticated:
            return link(self._call, row, "Unsubscribe", SubscriptionArn=row.arn)
        key = self._call.part(Topics).keyring.account_key(self._topic.place.account, self._call.tx)
        token = key.wrap(b"", UNSUBSCRIBE, self._topic.id, row.id)
        return link(self._call, row, "Unsubscribe", SubscriptionArn=row.arn, Token=token_of(token))


def token_of(sealed: bytes) -> str:
    """What was sealed, as a URL may have it."""
    return urlsafe_b64encode(sealed).decode().rstrip("=")


def read_token(text: str) -> bytes:
    """The opposite. Raises ValueError."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


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
