"""Attributes of topics and subscriptions: which there are, and what they may be.

Source: "SetTopicAttributes", "SetSubscriptionAttributes", "Amazon SNS message delivery retries".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from casemate.engine.events.pattern import PatternError, compile_pattern
from casemate.services.sns.naming import Place, read_endpoint
from casemate.services.sns.refusals import invalid, not_served

_RETRY: Final[Mapping[str, Any]] = {
    "minDelayTarget": 20,
    "maxDelayTarget": 20,
    "numRetries": 3,
    "numMaxDelayRetries": 0,
    "numNoDelayRetries": 0,
    "numMinDelayRetries": 0,
    "backoffFunction": "linear",
}
_BACKOFFS: Final = ("arithmetic", "exponential", "geometric", "linear")
_BOOLEANS: Final = ("ContentBasedDeduplication", "FifoTopic")
_UNSERVED: Final = ("FeedbackRoleArn", "FeedbackSampleRate", "ArchivePolicy", "DataProtectionPolicy")
_MOST_FILTERED = 262_144


def topic_attribute(place: Place, name: str, value: str, *, new: bool) -> None:
    """Raises InvalidParameter for what a topic cannot have."""
    if name in ("DisplayName", "KmsMasterKeyId"):
        if len(value) > (100 if name == "DisplayName" else 2048):
            raise invalid(f"{name} Reason: too long")
    elif name == "Policy":
        return
    elif name == "DeliveryPolicy":
        if value:
            _read_delivery(value)
    elif name == "SignatureVersion":
        _one_of(name, value, ("1", "2"))
    elif name == "TracingConfig":
        _one_of(name, value, ("PassThrough",))
    elif name in _BOOLEANS and (new or name != "FifoTopic"):
        _one_of(name, value, ("true", "false"))
        if name == "ContentBasedDeduplication" and not place.fifo:
            raise invalid("AttributeName")
    elif name == "FifoThroughputScope" and place.fifo:
        _one_of(name, value, ("Topic", "MessageGroup"))
    elif name.endswith(_UNSERVED):
        raise not_served(f"The attribute {name} is")
    else:
        raise invalid("AttributeName")


def subscription_attribute(protocol: str, name: str, value: str) -> None:
    """Raises InvalidParameter for what a subscription cannot have."""
    if name == "RawMessageDelivery":
        _one_of(name, value, ("true", "false"))
        if value == "true" and protocol == "lambda":
            raise invalid(
                "Attributes Reason: RawMessageDelivery: Invalid value [true] for the protocol lambda"
            )
    elif name == "FilterPolicyScope":
        _one_of(name, value, ("MessageAttributes", "MessageBody"))
    elif name == "FilterPolicy":
        if value and value != "{}":
            _check_filter(value)
    elif name == "RedrivePolicy":
        if value:
            read_redrive(value)
    elif name == "DeliveryPolicy":
        if value:
            _read_delivery(value)
    elif name in ("ReplayPolicy", "SubscriptionRoleArn"):
        raise not_served(f"The attribute {name} is")
    else:
        raise invalid("AttributeName")


def _one_of(name: str, value: str, values: tuple[str, ...]) -> None:
    if value not in values:
        raise invalid(f"{name} Reason: must be one of {', '.join(values)}")


def _check_filter(value: str) -> None:
    if len(value) > _MOST_FILTERED:
        raise invalid("FilterPolicy: Filter policy is too large")
    try:
        compile_pattern(value)
    except PatternError as error:
        raise invalid(f"FilterPolicy: {error}") from None


def read_redrive(text: str) -> str:
    """The ARN of the dead-letter queue. Raises InvalidParameter."""
    try:
        found = json.loads(text)
    except ValueError:
        raise invalid("RedrivePolicy: failed to parse JSON.") from None
    arn = found.get("deadLetterTargetArn") if isinstance(found, dict) else None
    read = read_endpoint(arn) if isinstance(arn, str) else None
    if read is None or read.service != "sqs" or found.keys() != {"deadLetterTargetArn"}:
        raise invalid("RedrivePolicy: deadLetterTargetArn is an invalid arn")
    return str(arn)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise invalid("DeliveryPolicy: failed to parse JSON")
    return found


def _read_delivery(text: str) -> dict[str, Any]:
    """A retry policy out of a topic's or a subscription's DeliveryPolicy. Raises InvalidParameter."""
    found = _object(text)
    http = found.get("http", found)
    given = http.get("defaultHealthyRetryPolicy") or http.get("healthyRetryPolicy") or {}
    if not isinstance(http, dict) or not isinstance(given, dict) or given.keys() - _RETRY.keys():
        raise invalid("DeliveryPolicy: unknown member")
    retry = {**_RETRY, **{name: value for name, value in given.items() if value is not None}}
    numbers = [retry[name] for name in _RETRY if name != "backoffFunction"]
    if (
        any(type(number) is not int or not 0 <= number <= 3600 for number in numbers)
        or retry["numRetries"] > 100
        or not 1 <= retry["minDelayTarget"] <= retry["maxDelayTarget"]
        or retry["numMaxDelayRetries"] + retry["numNoDelayRetries"] + retry["numMinDelayRetries"]
        > retry["numRetries"]
        or retry["backoffFunction"] not in _BACKOFFS
    ):
        raise invalid("DeliveryPolicy: healthyRetryPolicy has an invalid value")
    return retry


def retry_policy(topic: Mapping[str, str], subscription: Mapping[str, str]) -> dict[str, Any]:
    """Which retry policy applies to a subscription by HTTP."""
    of_topic = topic.get("DeliveryPolicy")
    overrides = of_topic is None or not _object(of_topic).get("http", {}).get("disableSubscriptionOverrides")
    own = subscription.get("DeliveryPolicy")
    if own is not None and overrides:
        return _read_delivery(own)
    return dict(_RETRY) if of_topic is None else _read_delivery(of_topic)


def effective_of_topic(topic: Mapping[str, str]) -> str:
    """EffectiveDeliveryPolicy of a topic."""
    given = topic.get("DeliveryPolicy")
    disabled = given is not None and bool(_object(given).get("http", {}).get("disableSubscriptionOverrides"))
    return json.dumps(
        {
            "http": {
                "defaultHealthyRetryPolicy": retry_policy(topic, {}),
                "disableSubscriptionOverrides": disabled,
                "defaultRequestPolicy": {"headerContentType": "text/plain; charset=UTF-8"},
            }
        }
    )


def default_policy(place: Place) -> str:
    """The policy that AWS gives a topic. Its condition is met by nobody who asks by a request of their own."""
    names = "GetTopicAttributes SetTopicAttributes AddPermission RemovePermission DeleteTopic Subscribe"
    return json.dumps(
        {
            "Version": "2008-10-17",
            "Id": "__default_policy_ID",
            "Statement": [
                {
                    "Sid": "__default_statement_ID",
                    "Effect": "Allow",
                    "Principal": {"AWS": "*"},
                    "Action": [f"SNS:{name}" for name in f"{names} ListSubscriptionsByTopic Publish".split()],
                    "Resource": place.arn,
                    "Condition": {"StringEquals": {"AWS:SourceOwner": place.account}},
                }
            ],
        }
    )
