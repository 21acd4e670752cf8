"""How messages reach their endpoints, at least once: queues in the transaction of Publish itself, all else out of an
outbox, by threads that wait for nobody's transaction.

What fails for a reason that another attempt may not have is tried again, by AWS's schedules; what then is not
delivered goes to the subscription's dead-letter queue. Source: "Amazon SNS message delivery retries", "Amazon SNS
dead-letter queues".
"""

from __future__ import annotations

import json
import logging
import threading
from base64 import b64decode, b64encode
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.engine.egress.hosts import Hosts
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as, in_background
from casemate.services.sns import posting
from casemate.services.sns.attributes import read_redrive, retry_policy
from casemate.services.sns.naming import Endpoint, read_endpoint
from casemate.services.sns.notices import Notice
from casemate.services.sns.retries import HTTP_PROTOCOLS, pause_after
from casemate.services.sns.topics import SubscriptionRow, TopicRow, Topics
from casemate.store.cache import Miss
from casemate.store.database import StoreError
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.gate import Gate
    from casemate.store.database import Tx

log = logging.getLogger("casemate.sns")

PRINCIPAL = "sns.amazonaws.com"
_PURPOSE = "sns delivery"
_THREADS = 16
_IDLE = 0.25
"""Seconds between two looks at what is due."""
_LEASE = 60.0
"""Seconds for which a delivery is left to the worker that has begun it."""
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
    not delivered, '' without one; retry: of HTTP endpoints; failures: attempts that failed."""

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

    def written(self) -> bytes:
        notice = self.notice._replace(attributes=_text(self.notice.attributes))
        return json.dumps(self._replace(notice=notice)).encode()

    @classmethod
    def read(cls, text: bytes) -> Delivery:
        read = cls._make(json.loads(text))
        notice = Notice._make(read.notice)
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
    return Delivery(
        topic.place.account,
        topic.place.arn,
        row.arn,
        row.protocol,
        row.endpoint,
        row.raw,
        notice,
        "" if redrive is None else read_redrive(redrive),
        retry_policy(topic.attributes, row.attributes) if row.protocol in HTTP_PROTOCOLS else {},
    )


def deliver(call: Call, topic: TopicRow, row: SubscriptionRow, notice: Notice) -> None:
    """Have an endpoint get a notice: a queue here and now, with the transaction."""
    delivery = _delivery(topic, row, notice)
    if row.protocol == "sqs":
        _try(call, delivery, new_id(), stored=False)
    else:
        _put(call, delivery)


def enqueue(call: Call, topic: TopicRow, row: SubscriptionRow, notice: Notice) -> None:
    """Have an endpoint get a notice, by and by."""
    _put(call, _delivery(topic, row, notice))


def _put(call: Call, delivery: Delivery) -> None:
    _store(call.tx, call.part(Topics), new_id(), delivery, call.now)
    call.committed(call.part(Told).event.set)


def _store(tx: Tx, topics: Topics, row_id: str, delivery: Delivery, due: float) -> None:
    sealed = topics.keyring.account_key(delivery.account, tx).wrap(delivery.written(), _PURPOSE, row_id)
    tx.run(
        "INSERT INTO sns_deliveries (id, account, due, sealed) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET due = excluded.due, sealed = excluded.sealed",
        (row_id, delivery.account, due, sealed),
    )


def _try(base: Call, delivery: Delivery, row_id: str, *, stored: bool) -> None:
    """Give a queue or a function what it is to get, in the transaction. stored: whether it has a row, which goes."""
    try:
        with base.tx.savepoint():
            _ask(base, delivery)
    except (Miss, StoreError):
        raise
    except AwsError as error:
        _failed(base, delivery, row_id, error.code, final=error.code in _QUEUE_FINAL)
        return
    if stored:
        _remove(base.tx, row_id)


def _remove(tx: Tx, row_id: str) -> None:
    tx.run("DELETE FROM sns_deliveries WHERE id = ?", (row_id,))


def _failed(base: Call, delivery: Delivery, row_id: str, why: str, *, final: bool) -> None:
    """Try again later, or give up."""
    failures = delivery.failures + 1
    pause = None if final else pause_after(failures, delivery.protocol, delivery.retry)
    if pause is not None:
        _store(base.tx, base.part(Topics), row_id, delivery._replace(failures=failures), base.now + pause)
        return
    _remove(base.tx, row_id)
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


class Told:
    """Whether one of this process's transactions has put something into the outbox: ``call.part(Told)``."""

    def __init__(self) -> None:
        self.event = threading.Event()


class Deliverer:
    """One worker's deliveries out of the outbox, between ``start`` and ``stop``."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._topics: Topics = gate.parts[Topics]
        self._told: Told = gate.parts[Told]
        self._hosts: Hosts = gate.parts[Hosts]
        self._stopped = False
        self._free = threading.Semaphore(_THREADS)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sns-deliver")
        self._loop_thread: threading.Thread | None = None

    def start(self) -> None:
        self._loop_thread = threading.Thread(target=self._loop, name="sns-deliverer", daemon=True)
        self._loop_thread.start()

    def stop(self) -> None:
        """Begin nothing more, and let end what is under way. What waits is delivered later, or by others."""
        self._stopped = True
        self._told.event.set()
        if self._loop_thread is not None:
            self._loop_thread.join()
        self._threads.shutdown(wait=True)

    def _loop(self) -> None:
        told = self._told.event
        while not self._stopped:
            told.wait(_IDLE)
            told.clear()
            try:
                while not self._stopped and self._begin():
                    pass
            except Exception as error:
                log.error("messages cannot be delivered now: %s", type(error).__name__)

    def _begin(self) -> bool:
        """Begin one delivery that is due; whether there was one."""
        now = self._gate.clock.now()
        store = self._gate.store
        if (
            store.read(lambda tx: tx.one("SELECT 1 FROM sns_deliveries WHERE due <= ? LIMIT 1", (now,)))
            is None
        ):
            return False
        self._free.acquire()
        row = store.write(
            lambda tx: tx.one(
                "UPDATE sns_deliveries SET due = ? WHERE id = (SELECT id FROM sns_deliveries WHERE due <= ? "
                "ORDER BY due, id LIMIT 1 /*pg FOR UPDATE SKIP LOCKED */) RETURNING id, account, sealed",
                (now + _LEASE, now),
            )
        )
        if row is None:
            self._free.release()
            return False
        self._threads.submit(self._run, *row)
        return True

    def _run(self, row_id: str, account: str, sealed: bytes) -> None:
        try:
            key = self._gate.store.read(lambda tx: self._topics.keyring.account_key(account, tx))
            delivery = Delivery.read(key.unwrap(sealed, _PURPOSE, row_id))
            if delivery.protocol in HTTP_PROTOCOLS:
                self._post(delivery, row_id)
            else:
                in_background(self._gate, lambda base: _try(base, delivery, row_id, stored=True))
        except Tampered as error:
            log.error("a delivery of account %s is dropped: %s", account, error)
            self._gate.store.write(lambda tx: _remove(tx, row_id))
        except Exception as error:
            # Its lease runs out, and it is tried again.
            log.error("a message could not be delivered: %s", type(error).__name__)
        finally:
            self._free.release()

    def _post(self, delivery: Delivery, row_id: str) -> None:
        failure = posting.post(delivery, self._hosts)
        if failure is None:
            self._gate.store.write(lambda tx: _remove(tx, row_id))
        else:
            in_background(
                self._gate,
                lambda base: _failed(base, delivery, row_id, failure.why, final=failure.final),
            )
