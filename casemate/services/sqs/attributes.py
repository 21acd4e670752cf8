"""A queue's attributes: which there are, their values, and what they are unless set.

Source: "CreateQueue", "SetQueueAttributes", "GetQueueAttributes".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from casemate.errors import AwsError
from casemate.services.sqs.naming import Place, read_arn
from casemate.services.sqs.refusals import invalid_parameter, invalid_value, unknown_attribute

# Least, most and default.
NUMBERS: Final[Mapping[str, tuple[int, int, int]]] = {
    "DelaySeconds": (0, 900, 0),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400, 300),
    "MaximumMessageSize": (1024, 1_048_576, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600, 345_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20, 0),
    "VisibilityTimeout": (0, 43_200, 30),
}
_OF_FIFO: Final[Mapping[str, tuple[str, ...]]] = {
    "ContentBasedDeduplication": ("false", "true"),
    "DeduplicationScope": ("queue", "messageGroup"),
    "FifoQueue": ("true",),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
}
"""Of FIFO queues only; the first value is the default."""
_DOCUMENTS: Final = ("Policy", "RedriveAllowPolicy", "RedrivePolicy")
COUNTED: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
)
KNOWN: Final = frozenset(
    {
        *(
            "All",
            "CreatedTimestamp",
            "KmsMasterKeyId",
            "LastModifiedTimestamp",
            "QueueArn",
            "SqsManagedSseEnabled",
        ),
        *(*NUMBERS, *_OF_FIFO, *_DOCUMENTS, *COUNTED),
    }
)
"""All that can be asked for."""
_MAX_RECEIVES = 1000
_MAX_SOURCES = 10


class Redrive(NamedTuple):
    """A RedrivePolicy."""

    target: Place
    most: int


def number(attributes: Mapping[str, str], name: str) -> int:
    """The value of one of NUMBERS."""
    value = attributes.get(name)
    return NUMBERS[name][2] if value is None else int(value)


def checked(place: Place, given: Mapping[str, str], current: Mapping[str, str]) -> dict[str, str]:
    """What is configured once those given are set. current: what is, none of a queue that is to be made. What is set
    to nothing is taken away. Raises InvalidAttributeName, InvalidAttributeValue, InvalidParameterValue."""
    for name, value in given.items():
        _check(place, name, value)
    if "FifoQueue" in given and current and current.get("FifoQueue") != given["FifoQueue"]:
        raise unknown_attribute("FifoQueue")
    if given.get("KmsMasterKeyId") and given.get("SqsManagedSseEnabled") == "true":
        raise AwsError(
            "InvalidAttributeValue",
            "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS "
            "SSE.",
        )
    merged = {**current, **{name: _normal(name, value) for name, value in given.items()}}
    if given.get("KmsMasterKeyId"):
        merged["SqsManagedSseEnabled"] = "false"
    elif given.get("SqsManagedSseEnabled") == "true":
        merged.pop("KmsMasterKeyId", None)
    if (
        merged.get("FifoThroughputLimit") == "perMessageGroupId"
        and merged.get("DeduplicationScope") != "messageGroup"
    ):
        raise invalid_value("FifoThroughputLimit")
    return {name: value for name, value in merged.items() if value != ""}


def _check(place: Place, name: str, value: str) -> None:
    if name in NUMBERS:
        least, most, _ = NUMBERS[name]
        if not (value.isascii() and value.isdigit() and len(value) <= 9 and least <= int(value) <= most):
            raise invalid_value(name)
    elif name in _OF_FIFO:
        if not place.fifo:
            raise unknown_attribute(name)
        if value not in _OF_FIFO[name]:
            raise invalid_value(name)
    elif name == "SqsManagedSseEnabled":
        if value not in ("true", "false"):
            raise invalid_value(name)
    elif name == "RedrivePolicy":
        if value:
            read_redrive(value)
    elif name == "RedriveAllowPolicy":
        if value:
            read_allow(value)
    elif name == "KmsMasterKeyId":
        if len(value) > 2048:
            raise invalid_value(name)
    elif name != "Policy":
        raise unknown_attribute(name)


def _normal(name: str, value: str) -> str:
    return str(int(value)) if name in NUMBERS else value


def _object(name: str, text: str, members: frozenset[str]) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise invalid_parameter(name, text, "Redrive policy is not a valid JSON map.")
    unknown = sorted(found.keys() - members)
    if unknown:
        raise invalid_parameter(
            name, text, f"Only following attributes are supported: [{', '.join(sorted(members))}]."
        )
    return found


def read_redrive(text: str) -> Redrive:
    """Raises InvalidParameterValue."""
    found = _object("RedrivePolicy", text, frozenset({"deadLetterTargetArn", "maxReceiveCount"}))
    arn, most = found.get("deadLetterTargetArn"), found.get("maxReceiveCount", 10)
    target = read_arn(arn) if isinstance(arn, str) else None
    if target is None:
        raise invalid_parameter(
            "RedrivePolicy",
            text,
            "Redrive policy does not contain mandatory attribute: deadLetterTargetArn."
            if arn is None
            else "Invalid value for deadLetterTargetArn.",
        )
    if isinstance(most, str) and most.isascii() and most.isdigit() and len(most) < 9:
        most = int(most)
    if type(most) is not int or not 1 <= most <= _MAX_RECEIVES:
        raise invalid_parameter(
            "RedrivePolicy",
            text,
            f"Invalid value for maxReceiveCount: {most}, valid values are from 1 to {_MAX_RECEIVES} both "
            "inclusive.",
        )
    return Redrive(target, most)


def read_allow(text: str) -> tuple[str, tuple[str, ...]]:
    """A RedriveAllowPolicy's permission and ARNs. Raises InvalidParameterValue."""
    found = _object("RedriveAllowPolicy", text, frozenset({"redrivePermission", "sourceQueueArns"}))
    permission, sources = found.get("redrivePermission"), found.get("sourceQueueArns")
    if permission not in ("allowAll", "denyAll", "byQueue"):
        raise invalid_parameter("RedriveAllowPolicy", text, "Invalid value for redrivePermission.")
    if permission != "byQueue":
        if sources is not None:
            raise invalid_parameter(
                "RedriveAllowPolicy",
                text,
                "sourceQueueArns may only be given with redrivePermission byQueue.",
            )
        return permission, ()
    if (
        not isinstance(sources, list)
        or not 1 <= len(sources) <= _MAX_SOURCES
        or not all(isinstance(each, str) and read_arn(each) for each in sources)
    ):
        raise invalid_parameter("RedriveAllowPolicy", text, "Invalid value for sourceQueueArns.")
    return permission, tuple(sources)


def shown(place: Place, attributes: Mapping[str, str]) -> dict[str, str]:
    """All that is configured, as GetQueueAttributes shows it, but for the counts and times."""
    found = {
        name: str(number(attributes, name)) for name in NUMBERS if name != "KmsDataKeyReusePeriodSeconds"
    }
    if place.fifo:
        found |= {name: attributes.get(name, values[0]) for name, values in _OF_FIFO.items()}
    found["SqsManagedSseEnabled"] = attributes.get("SqsManagedSseEnabled", "true")
    if "KmsMasterKeyId" in attributes:
        found["KmsMasterKeyId"] = attributes["KmsMasterKeyId"]
        found["KmsDataKeyReusePeriodSeconds"] = str(number(attributes, "KmsDataKeyReusePeriodSeconds"))
    for name in _DOCUMENTS:
        if name in attributes:
            found[name] = attributes[name]
    return found
