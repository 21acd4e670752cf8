"""Attributes of topics and subscriptions: which there are, and what they may be.

Source: "SetTopicAttributes", "SetSubscriptionAttributes".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from casemate.services.sns import delivery_policies, filters
from casemate.services.sns.naming import Place, read_endpoint
from casemate.services.sns.refusals import invalid, not_served
from casemate.services.sns.retries import HTTP_PROTOCOLS

_BOOLEANS: Final = ("ContentBasedDeduplication", "FifoTopic")
_UNSERVED: Final = ("FeedbackRoleArn", "FeedbackSampleRate", "ArchivePolicy", "DataProtectionPolicy")
_RAW: Final = frozenset({*HTTP_PROTOCOLS, "sqs"})


def topic_attribute(place: Place, name: str, value: str, *, new: bool) -> None:
    """Raises InvalidParameter for what a topic cannot have."""
    if name in ("DisplayName", "KmsMasterKeyId"):
        if len(value) > (100 if name == "DisplayName" else 2048):
            raise invalid(f"{name} Reason: too long")
        if not value.isprintable():
            # It stands in a mail's head.
            raise invalid(f"{name} Reason: it has a control character")
    elif name == "Policy":
        return
    elif name == "DeliveryPolicy":
        if value:
            delivery_policies.read_topics(value)
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
        if value == "true" and protocol not in _RAW:
            raise invalid(
                f"Attributes Reason: RawMessageDelivery: Invalid value [true] for the protocol {protocol}"
            )
    elif name == "FilterPolicyScope":
        _one_of(name, value, ("MessageAttributes", "MessageBody"))
    elif name == "FilterPolicy":
        if value and value != "{}":
            filters.check(value)
    elif name == "RedrivePolicy":
        if value:
            read_redrive(value)
    elif name == "DeliveryPolicy":
        if value and protocol not in HTTP_PROTOCOLS:
            raise invalid(f"Delivery protocol [{protocol}] does not support delivery policies")
        if value:
            delivery_policies.read_subscriptions(value)
    elif name in ("ReplayPolicy", "SubscriptionRoleArn"):
        raise not_served(f"The attribute {name} is")
    else:
        raise invalid("AttributeName")


def check_together(protocol: str, wanted: Mapping[str, str]) -> None:
    """Raises InvalidParameter for attributes of a subscription that do not fit each other."""
    if "FilterPolicy" in wanted:
        filters.check_scope(wanted["FilterPolicy"], by_body=wanted.get("FilterPolicyScope") == "MessageBody")
    if "DeliveryPolicy" in wanted:
        policy = delivery_policies.read_subscriptions(wanted["DeliveryPolicy"])
        delivery_policies.check_content_type(policy, raw=wanted.get("RawMessageDelivery") == "true")


def _one_of(name: str, value: str, values: tuple[str, ...]) -> None:
    if value not in values:
        raise invalid(f"{name} Reason: must be one of {', '.join(values)}")


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
