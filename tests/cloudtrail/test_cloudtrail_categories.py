"""Which calls are data events, and what they are about."""

from __future__ import annotations

from typing import Any

import pytest

from casemate.api import events, lambda_, logs, s3, sns, sqs
from casemate.engine.cloudtrail.categories import (
    _DATA,
    _ON_OBJECTS,
    is_data_event,
    is_management,
    resource_arn,
    resource_type,
)


@pytest.mark.parametrize(
    ("source", "name", "expected"),
    [
        ("s3.amazonaws.com", "PutObject", True),
        ("s3.amazonaws.com", "ListObjectsV2", True),
        ("s3.amazonaws.com", "HeadBucket", True),
        ("s3.amazonaws.com", "CompleteMultipartUpload", True),
        ("s3.amazonaws.com", "PutObjectLockConfiguration", False),
        ("s3.amazonaws.com", "PutBucketPolicy", False),
        ("lambda.amazonaws.com", "Invoke", True),
        ("lambda.amazonaws.com", "CreateFunction", False),
        ("sns.amazonaws.com", "Publish", True),
        ("kms.amazonaws.com", "Decrypt", False),
        ("logs.amazonaws.com", "CreateLogStream", False),
        ("", "", False),
    ],
)
def test_data_events(source: str, name: str, expected: bool) -> None:
    assert is_data_event(source, name) is expected
    assert is_management({"eventSource": source, "eventName": name}) is not expected


def test_a_record_that_says_so_is_a_data_event() -> None:
    record = {"eventSource": "kms.amazonaws.com", "eventName": "Decrypt", "managementEvent": False}
    assert not is_management(record)


def test_the_named_operations_exist() -> None:
    apis = (events.API, lambda_.API, logs.API, s3.API, sns.API, sqs.API)
    known = {(f"{api.signing_name}.amazonaws.com", each.name) for api in apis for each in api.operations}
    named = {(source, name) for source, names in _DATA.items() for name in names}
    named |= {("s3.amazonaws.com", name) for name in _ON_OBJECTS}
    # Of older versions of Lambda's API.
    assert named - known <= {("lambda.amazonaws.com", "InvokeAsync")}


@pytest.mark.parametrize(
    ("resources", "arn"),
    [
        ([{"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/k"}], "arn:aws:s3:::b/k"),
        ([{"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::b"}], "arn:aws:s3:::b/"),
        (
            [
                {"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::b"},
                {"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/k"},
            ],
            "arn:aws:s3:::b/k",
        ),
        ([], ""),
        (None, ""),
    ],
)
def test_what_an_s3_event_is_about(resources: Any, arn: str) -> None:
    record = {"eventSource": "s3.amazonaws.com", "eventName": "GetObject", "resources": resources}
    assert (resource_type(record), resource_arn(record)) == ("AWS::S3::Object", arn)


def test_other_resources_are_exact() -> None:
    function = "arn:aws:lambda:us-east-1:111122223333:function:f"
    record = {
        "eventSource": "lambda.amazonaws.com",
        "eventName": "Invoke",
        "resources": [{"type": "AWS::Lambda::Function", "ARN": function}],
    }
    assert (resource_type(record), resource_arn(record)) == ("AWS::Lambda::Function", function)
    assert resource_type({"eventSource": "kms.amazonaws.com"}) == ""
