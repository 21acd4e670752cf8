"""What a function is given of a queue's messages, which of them it wants, and which it says have failed. Pure.

Source: "Using Lambda with Amazon SQS", "Lambda event filtering", "Handling errors for an SQS event source in
Lambda"."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from casemate.engine.events.pattern import Pattern, compile_pattern


class Filter(NamedTuple):
    """A pattern. parses: it looks into bodies that are JSON."""

    pattern: Pattern | None
    parses: bool

    def wants(self, record: Mapping[str, Any]) -> bool:
        """Whether it matches a message. Without a pattern all do."""
        if self.pattern is None:
            return True
        if self.parses:
            try:
                body = json.loads(record["body"])
            except (ValueError, RecursionError):
                return False
            if not isinstance(body, dict):
                return False
            record = {**record, "body": body}
        return self.pattern.matches(record)


def compiled(patterns: Sequence[str]) -> tuple[Filter, ...]:
    """Raises PatternError."""
    return tuple(_filter(text) for text in patterns)


def _filter(text: str) -> Filter:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if given == {}:
        return Filter(None, False)
    pattern = compile_pattern(text)
    return Filter(pattern, isinstance(given, dict) and isinstance(given.get("body"), dict))


def wanted(filters: Sequence[Filter], record: Mapping[str, Any]) -> bool:
    """Whether a message matches any of them, or there are none."""
    return not filters or any(each.wants(record) for each in filters)


def record_of(message: Mapping[str, Any], source: str) -> dict[str, Any]:
    """A message as ReceiveMessage gives it, as functions see it. source: the queue's ARN."""
    record: dict[str, Any] = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {
            name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": source,
        "awsRegion": source.split(":")[3],
    }
    if "MD5OfMessageAttributes" in message:
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record


def _attribute(given: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": given["DataType"]}
    if "StringValue" in given:
        shown["stringValue"] = given["StringValue"]
    if "BinaryValue" in given:
        shown["binaryValue"] = b64encode(given["BinaryValue"]).decode()
    return shown


def failed_ids(payload: bytes, ids: Sequence[str]) -> frozenset[str] | None:
    """The messages that a function says have failed; None where it says it in a way that means all of them."""
    try:
        answer = json.loads(payload) if payload else None
    except (ValueError, RecursionError):
        return None
    if answer is None or answer == {}:
        return frozenset()
    failures = answer.get("batchItemFailures", []) if isinstance(answer, dict) else 0
    if failures is None:
        return frozenset()
    if not isinstance(failures, list):
        return None
    named = [each.get("itemIdentifier", "") if isinstance(each, dict) else "" for each in failures]
    if any(name not in ids for name in named):
        return None
    return frozenset(named)
