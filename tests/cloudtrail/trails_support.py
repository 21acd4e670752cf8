"""Buckets that let CloudTrail, trails into them, and what was delivered."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

from cloudtrail_support import ACCOUNT, PATIENCE, REGION, Trail, fresh

T = TypeVar("T")


def trail_arn(name: str, region: str = REGION, account: str = ACCOUNT) -> str:
    return f"arn:aws:cloudtrail:{region}:{account}:trail/{name}"


def bucket_policy(bucket: str, arn: str, *, prefix: str = "", folders: tuple[str, ...] = (ACCOUNT,)) -> str:
    """AWS's own, of "Amazon S3 bucket policy for CloudTrail"."""
    service = {"Service": "cloudtrail.amazonaws.com"}
    root = f"arn:aws:s3:::{bucket}/{prefix + '/' if prefix else ''}AWSLogs"
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": service,
                    "Action": "s3:GetBucketAcl",
                    "Resource": f"arn:aws:s3:::{bucket}",
                    "Condition": {"StringEquals": {"aws:SourceArn": arn}},
                },
                {
                    "Effect": "Allow",
                    "Principal": service,
                    "Action": "s3:PutObject",
                    "Resource": [f"{root}/{folder}/*" for folder in folders],
                    "Condition": {
                        "StringEquals": {
                            "s3:x-amz-acl": "bucket-owner-full-control",
                            "aws:SourceArn": arn,
                        }
                    },
                },
            ],
        }
    )


def make_bucket(trail: Trail, name: str, *, region: str = REGION, **policy: Any) -> str:
    """A bucket for the trail of that name."""
    bucket = fresh("trail-bucket")
    s3 = trail.of(service="s3", region=region)
    more = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=bucket, **more)
    s3.put_bucket_policy(Bucket=bucket, Policy=bucket_policy(bucket, trail_arn(name), **policy))
    return bucket


def make_trail(trail: Trail, *, start: bool = True, **settings: Any) -> tuple[str, str]:
    """The names of a new trail and its bucket."""
    name = settings.pop("name", "") or fresh("trail")
    bucket = settings.pop("bucket", "") or make_bucket(trail, name, prefix=settings.get("S3KeyPrefix", ""))
    trail.of().create_trail(Name=name, S3BucketName=bucket, **settings)
    if start:
        trail.of().start_logging(Name=name)
    return name, bucket


def keys_in(trail: Trail, bucket: str, prefix: str = "") -> list[str]:
    pages = trail.of(service="s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [each["Key"] for page in pages for each in page.get("Contents", ())]


def content(trail: Trail, bucket: str, key: str) -> Any:
    body = trail.of(service="s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return json.loads(gzip.decompress(body))


def delivered(trail: Trail, bucket: str, kind: str = "CloudTrail") -> list[Any]:
    """The records of all log files."""
    return [
        record
        for key in keys_in(trail, bucket)
        if f"/{kind}/" in key
        for record in content(trail, bucket, key)["Records"]
    ]


def eventually(find: Callable[[], T], holds: Callable[[T], object] = bool) -> T:
    """What is found, once it is as it should be."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = find()
        if holds(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def names(records: list[Any]) -> list[str]:
    return [record["eventName"] for record in records]


def key_policy(arn: str) -> str:
    """As "Configure AWS KMS key policies for CloudTrail" has it."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                    "Action": "kms:*",
                    "Resource": "*",
                },
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "cloudtrail.amazonaws.com"},
                    "Action": "kms:GenerateDataKey*",
                    "Resource": "*",
                    "Condition": {
                        "StringEquals": {"aws:SourceArn": arn},
                        "StringLike": {
                            "kms:EncryptionContext:aws:cloudtrail:arn": f"arn:aws:cloudtrail:*:{ACCOUNT}:trail/*"
                        },
                    },
                },
            ],
        }
    )


def topic_policy(topic: str, arn: str) -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "cloudtrail.amazonaws.com"},
                    "Action": "SNS:Publish",
                    "Resource": topic,
                    "Condition": {"StringEquals": {"aws:SourceArn": arn}},
                }
            ],
        }
    )


def make_role(trail: Trail, service: str = "cloudtrail.amazonaws.com", allowed: str = "logs:*") -> str:
    iam, name = trail.of(service="iam"), fresh("role")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    allow = {"Effect": "Allow", "Action": allowed, "Resource": "*"}
    iam.put_role_policy(
        RoleName=name,
        PolicyName="own",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
    )
    return arn
