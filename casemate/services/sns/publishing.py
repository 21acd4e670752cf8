"""Publish and PublishBatch. Source: "Publish", "Amazon SNS subscription filter policies"."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from casemate.api import kms, sns
from casemate.errors import AwsError
from casemate.gate.operation import Need
from casemate.gate.random_ids import new_uuid
from casemate.services.sns import delivering
from casemate.services.sns.notices import Notices, Published
from casemate.services.sns.refusals import invalid, invalid_value
from casemate.services.sns.targets import named_topic, published_topic
from casemate.services.sns.topics import Subscription, Topic, TopicRow, Topics
from casemate.store.cache import Miss

if TYPE_CHECKING:
    from casemate.gate.call import Call

MOST_BYTES = 262_144
_MOST_ENTRIES = 10
_DEDUPLICATED_FOR = 300.0
_REMEMBERED = "sns remembered"
_SHOWN_FROM = 10_000_000_000_000_000_000
_SUBJECT = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,99}")
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_NAME = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_KMS = {
    "AccessDeniedException": "KMSAccessDeniedException",
    "DisabledException": "KMSDisabledException",
    "KMSInvalidStateException": "KMSInvalidStateException",
    "NotFoundException": "KMSNotFoundException",
    "ThrottlingException": "KMSThrottlingException",
}


@sns.Publish.writes(published_topic)
def publish(call: Call, req: sns.PublishInput, topic: Topic) -> sns.PublishResponse:
    """Send a message to all who subscribe and want it."""
    _use_key(call, topic.row)
    return cast("sns.PublishResponse", _published(call, topic, req))


@sns.PublishBatch.writes(named_topic, Need("sns:Publish"))
def publish_batch(call: Call, req: sns.PublishBatchInput, topic: Topic) -> sns.PublishBatchResponse:
    """Send up to ten messages, each by itself."""
    entries = req["PublishBatchRequestEntries"]
    if not entries:
        raise AwsError("EmptyBatchRequestException", "The batch request doesn't contain any entries.")
    if len(entries) > _MOST_ENTRIES:
        raise AwsError(
            "TooManyEntriesInBatchRequestException",
            "The batch request contains more entries than permissible.",
        )
    ids = [entry["Id"] for entry in entries]
    if not all(_ENTRY_ID.fullmatch(each) for each in ids):
        raise AwsError(
            "InvalidBatchEntryIdException",
            "The Id of a batch entry in a batch request doesn't abide by the specification.",
        )
    if len(set(ids)) < len(ids):
        raise AwsError(
            "BatchEntryIdsNotDistinctException",
            "Two or more batch entries in the request have the same Id.",
        )
    if sum(_size(entry) for entry in entries) > MOST_BYTES:
        raise AwsError(
            "BatchRequestTooLongException",
            "The length of all the messages put together is more than the limit.",
        )
    _use_key(call, topic.row)
    successful, failed = list[dict[str, Any]](), list[dict[str, Any]]()
    for entry in entries:
        try:
            successful.append({"Id": entry["Id"], **_published(call, topic, entry)})
        except Miss:
            raise
        except AwsError as error:
            code = error.code.removesuffix("Exception")
            failed.append(
                {"Id": entry["Id"], "Code": code, "Message": error.message, "SenderFault": error.status < 500}
            )
    return cast("sns.PublishBatchResponse", {"Successful": successful, "Failed": failed})


def _use_key(call: Call, topic: TopicRow) -> None:
    """A topic that is encrypted is published to by whoever may use its key. Raises KMSAccessDenied and the like."""
    key = topic.attributes.get("KmsMasterKeyId")
    if key is None:
        return
    context = {"aws:sns:topicArn": topic.place.arn}
    try:
        made = kms.GenerateDataKey.ask(
            call, {"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": context}, via="sns"
        )
        blob = made.get("CiphertextBlob", b"")
        kms.Decrypt.ask(call, {"CiphertextBlob": blob, "EncryptionContext": context}, via="sns")
    except AwsError as refusal:
        code = _KMS.get(refusal.code)
        if code is None:
            raise
        raise AwsError(code, refusal.message) from refusal


def _published(call: Call, topic: Topic, entry: Mapping[str, Any]) -> dict[str, str]:
    message = _checked(topic.row, entry)
    if topic.place.fifo:
        known = _remembered(call, topic.row, message)
        if known is not None:
            return known
        message = message._replace(sequence=_next_sequence(call, topic.row))
    notices = Notices(call, topic.row, message)
    for subscription in topic.subscriptions:
        row = subscription.row
        if row.confirmed and _wants(subscription, message):
            delivering.deliver(call, topic.row, row, notices.for_subscription(row))
    answer = {"MessageId": message.id}
    if message.sequence:
        answer["SequenceNumber"] = message.sequence
        _remember(call, topic.row, message, answer)
    return answer


def _size(entry: Mapping[str, Any]) -> int:
    size = len(entry["Message"].encode())
    for name, value in entry.get("MessageAttributes", {}).items():
        content = value.get("BinaryValue") or value.get("StringValue", "").encode()
        size += len(name.encode()) + len(value["DataType"].encode()) + len(content)
    return size


def _checked(topic: TopicRow, entry: Mapping[str, Any]) -> Published:
    """The message. Raises InvalidParameter, ParameterValueInvalid."""
    body, subject = entry["Message"], entry.get("Subject")
    if not body:
        raise invalid("Empty message")
    if subject is not None and not _SUBJECT.fullmatch(subject):
        raise invalid("Subject")
    attributes = entry.get("MessageAttributes", {})
    for name, value in attributes.items():
        _check_attribute(name, value)
    if _size(entry) > MOST_BYTES:
        raise invalid("Message too long")
    by_protocol: Mapping[str, str] = {}
    structure = entry.get("MessageStructure")
    if structure is not None:
        if structure != "json":
            raise invalid("MessageStructure")
        by_protocol = _by_protocol(body)
        body = by_protocol["default"]
    group, deduplication = entry.get("MessageGroupId", ""), entry.get("MessageDeduplicationId", "")
    for name in ("MessageGroupId", "MessageDeduplicationId"):
        if name in entry and not _ID.fullmatch(entry[name]):
            raise invalid(f"{name} Reason: it can have 1 to 128 alphanumeric and punctuation characters")
    if topic.place.fifo:
        if not group:
            raise invalid("The MessageGroupId parameter is required for FIFO topics")
        if not deduplication:
            if topic.attributes.get("ContentBasedDeduplication") != "true":
                raise invalid(
                    "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId "
                    "provided explicitly"
                )
            deduplication = sha256(entry["Message"].encode()).hexdigest()
    elif deduplication:
        raise invalid(
            "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is "
            "not valid for this topic type"
        )
    return Published(new_uuid(), body, by_protocol, subject or "", attributes, group, deduplication)


def _by_protocol(text: str) -> Mapping[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise invalid("Message Structure - JSON message body failed to parse")
    bodies = {name: value for name, value in found.items() if isinstance(value, str)}
    if "default" not in bodies:
        raise invalid("Message Structure - No default entry in JSON message body")
    return bodies


def _check_attribute(name: str, value: Mapping[str, Any]) -> None:
    kind = value["DataType"]
    base = kind.partition(".")[0]
    if not _NAME.fullmatch(name):
        raise invalid_value(f"The message attribute name '{name}' is not valid.")
    if base not in ("String", "Number", "Binary"):
        raise invalid_value(
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type "
            "prefixes is Binary, Number, and String."
        )
    text, binary = value.get("StringValue"), value.get("BinaryValue")
    if not (binary if base == "Binary" else text):
        raise invalid_value(
            f"The message attribute '{name}' must contain non-empty message attribute value for message "
            f"attribute type '{kind}'."
        )
    if text and binary:
        raise invalid_value(f"The message attribute '{name}' has more than one value.")
    if base == "Number" and not _NUMBER.fullmatch(str(text)):
        raise invalid_value(f"Could not cast message attribute '{name}' value to number.")
    if kind == "String.Array":
        try:
            found = json.loads(str(text))
        except ValueError:
            found = None
        if not isinstance(found, list):
            raise invalid_value(f"The message attribute '{name}' is no JSON array.")


# --- filters


def _wants(subscription: Subscription, message: Published) -> bool:
    pattern = subscription.pattern
    if pattern is None:
        return True
    if subscription.by_body:
        try:
            body = json.loads(message.body_for(subscription.row.protocol))
        except ValueError:
            return False
        return isinstance(body, dict) and pattern.matches(body)
    return pattern.matches({name: _compared(value) for name, value in message.attributes.items()})


def _compared(value: Mapping[str, Any]) -> Any:
    """An attribute's value as filter policies see it."""
    kind = value["DataType"]
    if kind.startswith("Binary"):
        return None
    text = value["StringValue"]
    if kind == "String.Array":
        return json.loads(text)
    if kind.startswith("Number"):
        number = float(text)
        return int(number) if number.is_integer() else number
    return text


# --- FIFO


def _digest(topic: TopicRow, message: Published) -> str:
    scope = message.group if topic.attributes.get("FifoThroughputScope") == "MessageGroup" else ""
    return sha256(f"{scope}\0{message.deduplication}".encode()).hexdigest()[:40]


def _remembered(call: Call, topic: TopicRow, message: Published) -> dict[str, str] | None:
    digest = _digest(topic, message)
    row = call.tx.one(
        "SELECT says FROM sns_remembered WHERE topic = ? AND digest = ? AND until > ?",
        (topic.id, digest, call.now),
    )
    if row is None:
        return None
    key = call.part(Topics).keyring.account_key(topic.place.account, call.tx)
    found: dict[str, str] = json.loads(key.unwrap(row[0], _REMEMBERED, topic.id, digest))
    return found


def _remember(call: Call, topic: TopicRow, message: Published, answer: Mapping[str, str]) -> None:
    digest = _digest(topic, message)
    key = call.part(Topics).keyring.account_key(topic.place.account, call.tx)
    says = key.wrap(json.dumps(answer).encode(), _REMEMBERED, topic.id, digest)
    call.tx.run("DELETE FROM sns_remembered WHERE topic = ? AND until < ?", (topic.id, call.now))
    call.tx.run(
        "INSERT INTO sns_remembered (topic, digest, until, says) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (topic, digest) DO UPDATE SET until = excluded.until, says = excluded.says",
        (topic.id, digest, call.now + _DEDUPLICATED_FOR, says),
    )


def _next_sequence(call: Call, topic: TopicRow) -> str:
    row = call.tx.one(
        "INSERT INTO sns_sequences (topic, last) VALUES (?, 1) "
        "ON CONFLICT (topic) DO UPDATE SET last = sns_sequences.last + 1 RETURNING last",
        (topic.id,),
    )
    assert row is not None
    return str(_SHOWN_FROM + int(row[0]))
