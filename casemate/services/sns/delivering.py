"""How messages reach their endpoints, at least once: queues in the transaction of Publish itself, all else out of an
outbox, by threads that wait for nobody's transaction.

What fails for a reason that another attempt may not have is tried again, by AWS's schedules; what then is not
delivered goes to the subscription's dead-letter queue. Source: "Amazon SNS message delivery retries", "Amazon SNS
dead-letter queues".
"""

from __future__ import annotations

import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import AwsError
from casemate.gate import turns
from casemate.gate.acting import Actor, act_as
from casemate.services.sns.attributes import read_redrive
from casemate.services.sns.delivery_policies import applying
from casemate.services.sns.naming import Endpoint, read_endpoint
from casemate.services.sns.notices import Notice
from casemate.services.sns.retries import HTTP_PROTOCOLS, pause_after
from casemate.services.sns.topics import SubscriptionRow, TopicRow, Topics
from casemate.store.cache import Miss
from casemate.store.database import StoreError
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.store.database import Tx

log = logging.getLogger("casemate.sns")

PRINCIPAL = "sns.amazonaws.com"
PURPOSE = "sns delivery"
TABLE = "sns_deliveries"
_MOST_ATTRIBUTES = 10
_QUEUE_FINAL = frozenset(
    {
        *("AccessDenied", "AccessDeniedException", "InvalidMessageContents", "InvalidParameterValue"),
        *("KmsAccessDenied", "KmsDisabled", "KmsInvalidKeyUsage", "KmsInvalidState", "KmsNotFound"),
        *("MissingParameter", "NotImplemented", "QueueDoesNotExist", "ResourceNotFoundException"),
        *("InvalidAddress", "InvalidParameterValueException", "RequestTooLargeException"),
    }
)
"""Refusals that another attempt will not change."""


class Delivery(NamedTuple):
    """Something for an endpoint, and how it went so far. account: the topic's; dead: the ARN of the queue for what is
    not delivered, '' without one; retry, content_type, most (a second, 0 for any): of HTTP endpoints; failures:
    attempts that failed; turn: when the next one may be, of those that are so many a second at most, 0 until that is
    arranged."""

    account: str
    topic: str
    subscription: str
    protocol: str
    endpoint: str
    raw: bool
    notice: Notice
    dead: str
    retry: Mapping[str, Any]
    failures: int = 0
    content_type: str = ""
    most: int = 0
    turn: float = 0.0

    def written(self) -> bytes:
        notice = self.notice._replace(attributes=_text(self.notice.attributes))
        return json.dumps(self._replace(notice=notice)).encode()

    @classmethod
    def read(cls, text: bytes) -> Delivery:
        read = cls(*json.loads(text))
        notice = Notice(*read.notice)
        return read._replace(notice=notice._replace(attributes=_values(notice.attributes)))


def _text(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            part: b64encode(each).decode() if part == "BinaryValue" else each for part, each in value.items()
        }
        for name, value in attributes.items()
    }


def _values(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        name: {part: b64decode(each) if part == "BinaryValue" else each for part, each in value.items()}
        for name, value in attributes.items()
    }


def _delivery(topic: TopicRow, row: SubscriptionRow, notice: Notice) -> Delivery:
    redrive = row.attributes.get("RedrivePolicy")
    delivery = Delivery(
        topic.place.account,
        topic.place.arn,
        row.arn,
        row.protocol,
        row.endpoint,
        row.raw,
        notice,
        "" if redrive is None else read_redrive(redrive),
        {},
    )
    if row.protocol not in HTTP_PROTOCOLS:
        return delivery
    policy = applying(topic.attributes, row.attributes)
    return delivery._replace(retry=policy.retry, content_type=policy.content_type, most=policy.most)


def deliver(call: Call, topic: TopicRow, row: SubscriptionRow, notice: Notice) -> None:
    """Have an endpoint get a notice: a queue here and now, with the transaction."""
    delivery = _delivery(topic, row, notice)
    if row.protocol == "sqs":
        attempt(call, delivery, new_id(), stored=False)
    else:
        _put(call, delivery)


def enqueue(call: Call, topic: TopicRow, row: SubscriptionRow, notice: Notice) -> None:
    """Have an endpoint get a notice, by and by."""
    _put(call, _delivery(topic, row, notice))


def _put(call: Call, delivery: Delivery) -> None:
    store(call.tx, call.part(Topics), new_id(), delivery, call.now)
    call.committed(call.part(Told).event.set)


def store(tx: Tx, topics: Topics, row_id: str, delivery: Delivery, due: float) -> None:
    """Let something be delivered, or tried again, from then on."""
    sealed = topics.keyring.account_key(delivery.account, tx).wrap(delivery.written(), PURPOSE, row_id)
    turns.put(tx, TABLE, row_id, delivery.account, due, sealed)


def attempt(base: Call, delivery: Delivery, row_id: str, *, stored: bool) -> None:
    """Give a queue or a function what it is to get, in the transaction. stored: whether it has a row, which goes."""
    try:
        with base.tx.savepoint():
            _ask(base, delivery)
    except (Miss, StoreError):
        raise
    except AwsError as error:
        failed(base, delivery, row_id, error.code, final=error.code in _QUEUE_FINAL)
        return
    if stored:
        turns.remove(base.tx, TABLE, row_id)


def failed(base: Call, delivery: Delivery, row_id: str, why: str, *, final: bool) -> None:
    """Try again later, or give up."""
    failures = delivery.failures + 1
    pause = None if final else pause_after(failures, delivery.protocol, delivery.retry)
    if pause is not None:
        again = delivery._replace(failures=failures, turn=0.0)
        store(base.tx, base.part(Topics), row_id, again, base.now + pause)
        return
    turns.remove(base.tx, TABLE, row_id)
    if not delivery.dead:
        log.warning("a message of %s is not delivered: %s", delivery.subscription, why)
        return
    dead = delivery._replace(protocol="sqs", endpoint=delivery.dead)
    try:
        with base.tx.savepoint():
            _ask(base, dead)
    except (Miss, StoreError):
        raise
    except AwsError as error:
        log.warning("a message of %s is lost to its dead-letter queue: %s", delivery.subscription, error.code)


def _ask(base: Call, delivery: Delivery) -> None:
    """Ask the endpoint's service, as SNS for the topic. Raises what it does."""
    arn = read_endpoint(delivery.endpoint)
    assert arn is not None
    actor = Actor(
        PRINCIPAL, arn.account, arn.region, source_arn=delivery.topic, source_account=delivery.account
    )
    call, gate = act_as(base, actor), base.gate
    try:
        if arn.service == "lambda":
            operation = gate.operation("lambda", "Invoke")
        else:
            operation = gate.operation("sqs", "SendMessage")
    except KeyError:
        raise AwsError("NotImplemented", f"{arn.service} is not served by Casemate.", 501) from None
    if arn.service == "lambda":
        request: dict[str, Any] = {
            "FunctionName": delivery.endpoint,
            "InvocationType": "Event",
            "Payload": delivery.notice.text.encode(),
        }
    else:
        request = _message(arn, delivery.notice)
    operation.ask(call, request)


def _message(arn: Endpoint, notice: Notice) -> dict[str, Any]:
    if len(notice.attributes) > _MOST_ATTRIBUTES:
        raise AwsError("InvalidParameterValue", "A queue takes ten attributes of a raw message.")
    request: dict[str, Any] = {
        "QueueUrl": f"https://sqs.{arn.region}.amazonaws.com/{arn.account}/{arn.resource}",
        "MessageBody": notice.text,
    }
    if notice.attributes:
        request["MessageAttributes"] = notice.attributes
    if notice.group:
        request["MessageGroupId"] = notice.group
    if arn.resource.endswith(".fifo") and notice.deduplication:
        request["MessageDeduplicationId"] = notice.deduplication
    return request


class Told(turns.Told):
    """Whether one of this process's transactions has put something into the outbox: ``call.part(Told)``."""
