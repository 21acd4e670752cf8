"""Notification configurations: who is told of what happens to objects. Source: "PutBucketNotificationConfiguration",
"Configuring event notifications using object key name filtering".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from casemate.api import s3
from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as
from casemate.gate.operation import Need
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.notices import KINDS, SERVICE, serves, trial
from casemate.services.s3.refusals import invalid_argument, not_supported
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import configured_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call

_MOST = 100
_MEMBERS = {
    "TopicConfigurations": ("TopicArn", "sns"),
    "QueueConfigurations": ("QueueArn", "sqs"),
    "LambdaFunctionConfigurations": ("LambdaFunctionArn", "lambda"),
}
_ARN = re.compile(r"arn:aws[a-z-]*:(sns|sqs|lambda):([a-z0-9-]+):[0-9]{12}:\S+")


@s3.PutBucketNotificationConfiguration.writes(configured_bucket, Need("s3:PutBucketNotification"))
def put_bucket_notification_configuration(
    call: Call, req: s3.PutBucketNotificationConfigurationRequest, bucket: Bucket
) -> s3.PutBucketNotificationConfigurationResponse:
    """Say who is told of what happens to the bucket's objects: EventBridge, topics, queues and functions, which must
    let S3."""
    given = req["NotificationConfiguration"]
    configurations = list(_configurations(call, given, bucket))
    _must_not_overlap(configurations)
    if not req.get("SkipDestinationValidation"):
        for each in configurations:
            _try(call, bucket, each["Arn"])
    told: dict[str, Any] = {}
    if "EventBridgeConfiguration" in given:
        told["EventBridge"] = {}
    if configurations:
        told["Configurations"] = configurations
    call.part(Buckets).configure(call.tx, bucket, Notification=told or None)
    return {}


def _configurations(
    call: Call, given: s3.NotificationConfiguration, bucket: Bucket
) -> Iterator[dict[str, Any]]:
    """As settings hold them. Raises InvalidArgument, and NotImplemented for destinations whose service is not
    served."""
    ids: set[str] = set()
    for member, (name, service) in _MEMBERS.items():
        listed: Sequence[Mapping[str, Any]] = given.get(member, ())  # type: ignore[assignment]  # mypy knows no member by a variable
        for one in listed:
            arn: str = one[name]
            found = _ARN.fullmatch(arn)
            if found is None or found[1] != service:
                raise invalid_argument("The ARN is not well formed", name, arn)
            if found[2] != bucket.region:
                raise invalid_argument(
                    "The notification destination service region is not valid for the bucket location constraint",
                    name,
                    arn,
                )
            if not serves(call.gate, KINDS[service]):
                raise not_supported(f"A notification's destination in {service}")
            if arn.endswith(".fifo"):
                raise invalid_argument("FIFO topics and queues cannot be notified", name, arn)
            own = one.get("Id") or str(uuid4())
            if len(own) > 255 or own in ids or len(ids) >= _MOST:
                raise invalid_argument(
                    "The Ids of a bucket's configurations must be unique, and 100 at most", "Id"
                )
            ids.add(own)
            prefix, suffix = _filter(one)
            yield {
                "Id": own,
                "Member": member,
                "Arn": arn,
                "Events": list(one["Events"]),
                "Prefix": prefix,
                "Suffix": suffix,
                "Filtered": "Filter" in one,
            }


def _filter(one: Mapping[str, Any]) -> tuple[str, str]:
    found: dict[str, str] = {}
    for rule in one.get("Filter", {}).get("Key", {}).get("FilterRules", ()):
        name = rule.get("Name", "").lower()
        if name not in ("prefix", "suffix"):
            raise invalid_argument(
                "filter rule name must be either prefix or suffix", "FilterRule.Name", name
            )
        if name in found:
            raise invalid_argument(
                f"Cannot specify more than one {name} rule in a filter.", "FilterRule.Name", name
            )
        found[name] = rule.get("Value", "")
    return found.get("prefix", ""), found.get("suffix", "")


def _must_not_overlap(configurations: Sequence[Mapping[str, Any]]) -> None:
    """Nothing that happens may be of two configurations. Raises InvalidArgument."""
    for number, one in enumerate(configurations):
        for other in configurations[:number]:
            if (
                _share(one, other)
                and _meet(one["Prefix"], other["Prefix"])
                and _meet(one["Suffix"][::-1], other["Suffix"][::-1])
            ):
                raise invalid_argument(
                    "Configurations overlap. Configurations on the same bucket cannot share a common event type."
                )


def _share(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return any(
        _meet(first.rstrip("*"), second.rstrip("*")) if "*" in first + second else first == second
        for first in one["Events"]
        for second in other["Events"]
    )


def _meet(one: str, other: str) -> bool:
    """Whether there can be a text that begins with both."""
    return one.startswith(other) or other.startswith(one)


def _try(call: Call, bucket: Bucket, arn: str) -> None:
    """Raises InvalidArgument for a destination that does not let S3."""
    actor = Actor(SERVICE, bucket.account, bucket.region, source_arn=bucket.arn)
    try:
        KINDS[arn.split(":")[2]].attempt(act_as(call, actor), arn, trial(call, bucket))
    except AwsError as error:
        if error.status >= 500:
            raise
        raise invalid_argument(
            "Unable to validate the following destination configurations", arn, error.code
        ) from None


@s3.GetBucketNotificationConfiguration.reads(named_bucket, Need("s3:GetBucketNotification"))
def get_bucket_notification_configuration(
    call: Call, req: s3.GetBucketNotificationConfigurationRequest, bucket: Bucket
) -> s3.NotificationConfiguration:
    """Who is told of what happens to the bucket's objects."""
    told = bucket.settings.get("Notification", {})
    answer: dict[str, Any] = {"EventBridgeConfiguration": {}} if "EventBridge" in told else {}
    for each in told.get("Configurations", ()):
        shown = {"Id": each["Id"], _MEMBERS[each["Member"]][0]: each["Arn"], "Events": each["Events"]}
        if each["Filtered"]:
            rules = [{"Name": name, "Value": each[name]} for name in ("Prefix", "Suffix") if each[name]]
            shown["Filter"] = {"Key": {"FilterRules": rules}}
        answer.setdefault(each["Member"], []).append(shown)
    return answer  # type: ignore[return-value]  # built from the model's members
