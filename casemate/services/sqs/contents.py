"""What a message may be: its characters, its size, its attributes.

Source: "SendMessage", "Amazon SQS message metadata", "Amazon SQS message quotas".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from casemate.errors import AwsError
from casemate.services.sqs.refusals import invalid_parameter, missing

MAX_ATTRIBUTES = 10
TRACE = "AWSTraceHeader"

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
_RESERVED = re.compile(r"(?:aws|amazon)\.", re.IGNORECASE)
_TYPE = re.compile(r"(String|Number|Binary)(?:\.[^\x00-\x1f]*)?")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")


def check_body(body: str) -> None:
    """Raises InvalidMessageContents, MissingParameter."""
    if not body:
        raise missing("MessageBody")
    if _FORBIDDEN.search(body):
        raise AwsError(
            "InvalidMessageContents",
            "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to "
            "#xFFFD | #x10000 to #x10FFFF",
        )


def check_attributes(attributes: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises InvalidParameterValue."""
    if len(attributes) > MAX_ATTRIBUTES:
        raise AwsError(
            "InvalidParameterValue",
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{MAX_ATTRIBUTES}].",
        )
    for name, attribute in attributes.items():
        if not _NAME.fullmatch(name) or _RESERVED.match(name):
            raise AwsError(
                "InvalidParameterValue",
                f"Message (user) attribute name '{name}' is invalid: it may have alphanumeric characters, "
                "underscores, hyphens and single periods, and must not begin with AWS. or Amazon.",
            )
        _check_value(name, attribute)


def _check_value(name: str, attribute: Mapping[str, Any]) -> None:
    kind = attribute["DataType"]
    found = _TYPE.fullmatch(kind)
    if not kind:
        raise AwsError(
            "InvalidParameterValue",
            f"The message attribute '{name}' must contain non-empty message attribute type.",
        )
    if found is None or len(kind) > 256:
        raise AwsError(
            "InvalidParameterValue",
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type "
            "prefixes is Binary, Number, and String.",
        )
    if "StringListValues" in attribute or "BinaryListValues" in attribute:
        raise AwsError(
            "UnsupportedOperation",
            "Message attribute list values in SendMessage operation are not supported.",
        )
    member = "BinaryValue" if found[1] == "Binary" else "StringValue"
    value = attribute.get(member)
    if not value:
        raise AwsError(
            "InvalidParameterValue",
            f"The message attribute '{name}' must contain a non-empty message attribute value for message attribute "
            f"type '{kind}'.",
        )
    other = "StringValue" if member == "BinaryValue" else "BinaryValue"
    if attribute.get(other):
        raise AwsError("InvalidParameterValue", f"Message attribute '{name}' has multiple values.")
    if member == "StringValue" and _FORBIDDEN.search(value):
        raise AwsError(
            "InvalidMessageContents", f"Invalid characters found in the message attribute '{name}'."
        )
    if found[1] == "Number" and (not _NUMBER.fullmatch(value) or len(value) > 256):
        raise AwsError("InvalidParameterValue", f"Could not cast message attribute '{name}' value to number.")


def trace_of(attributes: Mapping[str, Mapping[str, Any]]) -> str:
    """The value of the one system attribute that can be sent. Raises InvalidParameterValue."""
    given = attributes.get(TRACE)
    if given is None:
        return ""
    if given["DataType"] != "String" or not given.get("StringValue"):
        raise AwsError(
            "InvalidParameterValue", f"The message system attribute '{TRACE}' must be a non-empty String."
        )
    return str(given["StringValue"])


def size_of(body: str, attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """What a message counts for, in bytes."""
    size = len(body) if body.isascii() else len(body.encode())
    for name, attribute in attributes.items():
        value = attribute.get("BinaryValue") or attribute.get("StringValue", "").encode()
        size += len(name.encode()) + len(attribute["DataType"].encode()) + len(value)
    return size


def check_id(name: str, value: str) -> None:
    """Of a message group, a deduplication, or a receive's attempt. Raises InvalidParameterValue."""
    if not _ID.fullmatch(value):
        raise invalid_parameter(
            name,
            value,
            f"{name} can only include alphanumeric and punctuation characters. 1 to 128 in length.",
        )
