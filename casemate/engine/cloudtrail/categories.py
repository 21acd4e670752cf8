"""Management events and data events: which of the two a call is, and what it acts on.

Source: "Logging management events", "Logging data events", "Amazon S3 CloudTrail events", "Logging Amazon SNS API
calls using AWS CloudTrail", "Logging Amazon SQS API calls using AWS CloudTrail".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MANAGEMENT, DATA, INSIGHT = "Management", "Data", "Insight"

S3_OBJECT: Final = "AWS::S3::Object"

_DATA: Final[Mapping[str, frozenset[str]]] = {
    "events.amazonaws.com": frozenset({"PutEvents"}),
    "lambda.amazonaws.com": frozenset({"Invoke", "InvokeAsync", "InvokeWithResponseStream"}),
    "logs.amazonaws.com": frozenset({"PutLogEvents", "GetLogEvents", "FilterLogEvents", "StartLiveTail"}),
    "sns.amazonaws.com": frozenset({"Publish", "PublishBatch"}),
    "sqs.amazonaws.com": frozenset(
        {
            *("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"),
            *("ChangeMessageVisibility", "ChangeMessageVisibilityBatch"),
        }
    ),
}
_ON_OBJECTS: Final = frozenset(
    {
        *("UploadPart", "UploadPartCopy", "CreateMultipartUpload", "CompleteMultipartUpload"),
        *("AbortMultipartUpload", "ListParts", "ListMultipartUploads", "HeadBucket"),
    }
)
_TYPES: Final[Mapping[str, str]] = {
    "lambda.amazonaws.com": "AWS::Lambda::Function",
    "s3.amazonaws.com": S3_OBJECT,
    "sns.amazonaws.com": "AWS::SNS::Topic",
    "sqs.amazonaws.com": "AWS::SQS::Queue",
}
"""What a service's data events are about, where CloudTrail has a type of resource for it."""


def is_data_event(source: str, name: str) -> bool:
    """Whether calls of an operation are data events. source: "s3.amazonaws.com"; name: "PutObject"."""
    if source == "s3.amazonaws.com":
        return name in _ON_OBJECTS or ("Object" in name and "ObjectLockConfiguration" not in name)
    return name in _DATA.get(source, ())


def is_management(record: Mapping[str, Any]) -> bool:
    """Whether a record is of a call that manages something."""
    return bool(record.get("managementEvent", True)) and not is_data_event(
        record["eventSource"], record["eventName"]
    )


def resource_type(record: Mapping[str, Any]) -> str:
    """What a data event is about ("AWS::S3::Object"), '' where no selector can ask for it."""
    return _TYPES.get(record["eventSource"], "")


def resource_arn(record: Mapping[str, Any]) -> str:
    """Which one it is about, '' where the record does not tell. Of a bucket's objects together: what their ARNs begin
    with."""
    kind = resource_type(record)
    bucket = ""
    for resource in record.get("resources") or ():
        arn: str = resource.get("ARN", "")
        if resource.get("type") == kind:
            return arn
        if resource.get("type") == "AWS::S3::Bucket":
            bucket = arn
    return f"{bucket}/" if bucket and kind == S3_OBJECT else ""
