"""What of an audit record is found by lookups: its attributes, and the event that is shown of it.

Source: "LookupEvents" (the attributes, and an event's fields).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from casemate.api import cloudtrail

Record = Mapping[str, Any]

ATTRIBUTES: Final = (
    *("EventId", "EventName", "ReadOnly", "Username"),
    *("ResourceType", "ResourceName", "EventSource", "AccessKeyId"),
)

_NAMED: Final = ("AWS::IAM::", "AWS::S3::", "AWS::Lambda::", "AWS::SNS::", "AWS::SQS::", "AWS::Events::")
"""What users call by a name rather than by an ARN."""


def user_name(record: Record) -> str:
    """Who called, as lookups know it: a user's name, a role session's or a federated user's; '' of others."""
    identity = record["userIdentity"]
    kind = identity.get("type")
    if kind == "Root":
        return "root"
    if kind in ("AssumedRole", "FederatedUser"):
        return str(identity.get("principalId", "")).partition(":")[2]
    return str(identity.get("userName", ""))


def access_key(record: Record) -> str:
    """The access key that signed; ''."""
    return str(record["userIdentity"].get("accessKeyId", ""))


def read_only(record: Record) -> str:
    return "true" if record.get("readOnly") else "false"


def resources(record: Record) -> Iterator[tuple[str, str]]:
    """Type and name of each resource that the record shows."""
    for each in record.get("resources") or ():
        kind, arn = each.get("type", ""), each.get("ARN", "")
        yield kind, _name(arn) if kind.startswith(_NAMED) else arn


def _name(arn: str) -> str:
    """The name in an ARN: the last part of its resource."""
    own = arn.split(":", 5)[-1]
    return own if arn.startswith("arn:aws:s3:::") else own.rpartition("/")[2].rpartition(":")[2]


def values(record: Record, attribute: str) -> Sequence[str]:
    """What the record has of an attribute. A resource's name may be its ARN, too."""
    if attribute == "ResourceType":
        return [kind for kind, _ in resources(record)]
    if attribute == "ResourceName":
        arns = [each.get("ARN", "") for each in record.get("resources") or ()]
        return [*arns, *(name for _, name in resources(record))]
    value = _SINGLE[attribute](record)
    return (value,) if value else ()


_SINGLE: Final = {
    "EventId": lambda record: record["eventID"],
    "EventName": lambda record: record["eventName"],
    "ReadOnly": read_only,
    "Username": user_name,
    "EventSource": lambda record: record["eventSource"],
    "AccessKeyId": access_key,
}


def shown(record: Record, text: str) -> cloudtrail.Event:
    """A record as LookupEvents answers it. text: its JSON."""
    event: cloudtrail.Event = {
        "EventId": record["eventID"],
        "EventName": record["eventName"],
        "ReadOnly": read_only(record),
        "EventTime": datetime.fromisoformat(record["eventTime"]),
        "EventSource": record["eventSource"],
        "Resources": [{"ResourceType": kind, "ResourceName": name} for kind, name in resources(record)],
        "CloudTrailEvent": text,
    }
    if key := access_key(record):
        event["AccessKeyId"] = key
    if user := user_name(record):
        event["Username"] = user
    return event
