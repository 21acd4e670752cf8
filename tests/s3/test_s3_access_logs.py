"""Server access logs: what is configured, what is delivered."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from s3_support import (
    ACCOUNT,
    OTHER_ACCOUNT,
    REGION,
    S3,
    allow,
    new_name,
    owned,
    refused,
    s3_server,
    user_arn,
)
from server_support import casemate
from test_s3_object_access import fetched, objects, presigning
from test_s3_policies import OPEN, put, statement

from casemate.gate.canonical_user import canonical_user
from casemate.services.s3.access_lines import line

OWNER = canonical_user(ACCOUNT)
LOGS = "http://acs.amazonaws.com/groups/s3/LogDelivery"
_FIELD = re.compile(r'"[^"]*"|\[[^\]]*\]|\S+')


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A server whose clock is moved."""
    with s3_server(tmp_path_factory.mktemp("logs")) as running:
        yield running


def target(s3: S3) -> str:
    """A bucket whose policy lets logs be delivered."""
    bucket = s3.bucket()
    service = {"Service": "logging.s3.amazonaws.com"}
    condition = {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": "arn:aws:s3:::b-*"},
    }
    put(s3, bucket, objects(bucket, "s3:PutObject", principal=service, Condition=condition))
    return bucket


def log_to(s3: S3, bucket: str, to: str, **more: Any) -> None:
    enabled = {"TargetBucket": to, "TargetPrefix": "", **more}
    s3.of().put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": enabled})


def delivered(s3: S3, bucket: str) -> dict[str, str]:
    """What is there after an hour: the objects' texts by key."""
    answer = casemate("clock", "--advance", "1h", "--data", str(s3.server.data))
    assert answer.returncode == 0, answer.stderr
    found = s3.of().list_objects_v2(Bucket=bucket).get("Contents", [])
    return {
        each["Key"]: s3.of().get_object(Bucket=bucket, Key=each["Key"])["Body"].read().decode()
        for each in found
    }


def lines(texts: dict[str, str]) -> list[list[str]]:
    return [_FIELD.findall(each) for text in texts.values() for each in text.splitlines()]


# --- the configuration


def test_logging_is_put_told_and_ended(s3: S3) -> None:
    client, bucket, to = s3.of(), s3.bucket(), s3.bucket()
    assert "LoggingEnabled" not in client.get_bucket_logging(Bucket=bucket)
    forms: list[dict[str, dict[str, str]]] = [
        {"SimplePrefix": {}},
        {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}},
        {"PartitionedPrefix": {"PartitionDateSource": "DeliveryTime"}},
    ]
    for form in forms:
        log_to(s3, bucket, to, TargetPrefix="logs/", TargetObjectKeyFormat=form)
        assert client.get_bucket_logging(Bucket=bucket)["LoggingEnabled"] == {
            "TargetBucket": to,
            "TargetPrefix": "logs/",
            "TargetObjectKeyFormat": form,
        }
    log_to(s3, bucket, bucket)
    client.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    assert "LoggingEnabled" not in client.get_bucket_logging(Bucket=bucket)


def test_logging_that_is_refused(s3: S3) -> None:
    bucket, to = s3.bucket(), s3.bucket()
    with refused("InvalidTargetBucketForLogging", "The target bucket for logging does not exist"):
        log_to(s3, bucket, new_name())
    others = new_name()
    s3.of("stranger").create_bucket(Bucket=others)
    with refused(
        "InvalidTargetBucketForLogging",
        "The owner for the bucket to be logged and the target bucket must be the same.",
    ):
        log_to(s3, bucket, others)
    with refused("CrossLocationLoggingProhibitted", "Cross S3 location logging not allowed.", 403):
        log_to(s3, bucket, s3.bucket("eu-west-1"))
    retained = s3.bucket(ObjectLockEnabledForBucket=True)
    s3.of().put_object_lock_configuration(
        Bucket=retained,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
        },
    )
    with refused("InvalidTargetBucketForLogging"):
        log_to(s3, bucket, retained)
    with refused("MalformedXML"):
        both = {"SimplePrefix": {}, "PartitionedPrefix": {"PartitionDateSource": "EventTime"}}
        log_to(s3, bucket, to, TargetObjectKeyFormat=both)
    grant = {"Grantee": {"Type": "CanonicalUser", "ID": OWNER}, "Permission": "READ"}
    with refused("AccessControlListNotSupported"):
        log_to(s3, bucket, to, TargetGrants=[grant])
    owned(s3, to, "ObjectWriter")
    text = "You must give the log-delivery group WRITE and READ_ACP permissions to the target bucket"
    with refused("InvalidTargetBucketForLogging", text):
        log_to(s3, bucket, to)
    s3.of().put_bucket_acl(Bucket=to, ACL="log-delivery-write")
    log_to(s3, bucket, to, TargetGrants=[grant])
    (found,) = s3.of().get_bucket_logging(Bucket=bucket)["LoggingEnabled"]["TargetGrants"]
    assert found == grant
    s3.may("nobody", allow("s3:GetBucketLogging"))
    with refused("AccessDenied", status=403):
        log_to_as = s3.of("nobody")
        log_to_as.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    put(s3, bucket, statement(bucket, "s3:PutBucketLogging", principal={"AWS": OTHER_ACCOUNT}))
    with refused("AccessDenied", status=403):
        s3.of("stranger").put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})


# --- what is delivered


def test_requests_are_logged(own: S3) -> None:
    client, bucket, other, to = own.of(), own.bucket(), own.bucket(), target(own)
    log_to(own, bucket, to, TargetPrefix="logs/")
    client.put_object(Bucket=bucket, Key="a b", Body=b"12345")
    client.get_object(Bucket=bucket, Key="a b", Range="bytes=1-2")
    client.head_object(Bucket=bucket, Key="a b")
    with refused("NoSuchKey", status=404):
        client.get_object(Bucket=bucket, Key="none")
    client.list_objects_v2(Bucket=bucket, Prefix="x")
    url = f"{own.server.endpoint}/{bucket}/a%20b"
    assert fetched(url, Referer='https://example.com/"x')[0] == 403
    signed = presigning(own).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b"})
    with urllib.request.urlopen(signed.replace("X-Amz-Signature", "X%2DAmz-Signature")) as answer:
        assert answer.read() == b"12345"
    client.copy_object(Bucket=other, Key="copy", CopySource={"Bucket": bucket, "Key": "a b"})
    client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a b"})
    with refused("AccessDenied", status=403):
        own.of("stranger").get_object(Bucket=bucket, Key="a b")
    client.delete_object(Bucket=bucket, Key="copy")
    texts = delivered(own, to)
    (key,) = texts
    assert re.fullmatch(r"logs/[0-9]{4}(-[0-9]{2}){5}-[0-9A-F]{16}", key)
    found = lines(texts)
    assert {len(each) for each in found} == {26}
    assert {(each[0], each[1], each[3]) for each in found} == {(OWNER, bucket, "127.0.0.1")}
    assert all(re.fullmatch(r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\]", each[2]) for each in found)
    told = [(each[6], each[7], each[9], each[10], each[11], each[12]) for each in found]
    assert told == [
        ("REST.PUT.OBJECT", "a%20b", "200", "-", "-", "5"),
        ("REST.GET.OBJECT", "a%20b", "206", "-", "2", "5"),
        ("REST.HEAD.OBJECT", "a%20b", "200", "-", "-", "5"),
        ("REST.GET.OBJECT", "none", "404", "NoSuchKey", told[3][4], "-"),
        ("REST.GET.BUCKET", "-", "200", "-", told[4][4], "-"),
        ("REST.GET.OBJECT", "a%20b", "403", "AccessDenied", told[5][4], "5"),
        ("REST.GET.OBJECT", "a%20b", "200", "-", "5", "5"),
        ("REST.COPY.OBJECT_GET", "a%20b", "200", "-", told[7][4], told[7][5]),
        ("REST.COPY.OBJECT", "copy", "200", "-", told[8][4], told[8][5]),
        ("REST.COPY.OBJECT_GET", "a%20b", "200", "-", told[9][4], told[9][5]),
        ("REST.GET.OBJECT", "a%20b", "403", "AccessDenied", told[10][4], "5"),
        ("REST.DELETE.OBJECT", "copy", "204", "-", "-", told[11][5]),
    ]
    who = [each[4] for each in found]
    assert who == [user_arn("admin")] * 5 + ["-"] + [user_arn("admin")] * 4 + [user_arn("stranger"), who[11]]
    assert found[5][15] == '"https://example.com/%22x"'
    assert found[4][8] == f'"GET /{bucket}?list-type=2&prefix=x&encoding-type=url HTTP/1.1"'
    assert [each[19] for each in found[:7]] == ["SigV4"] * 5 + ["-", "SigV4"]
    assert [each[21] for each in found[:7]] == ["AuthHeader"] * 5 + ["-", "QueryString"]
    # A URL lets whoever has it do what its signer may: it is not in the log.
    assert "X%2DAmz-Signature=REDACTED" in found[6][8]
    assert re.search(r"Credential=(?!REDACTED)|Signature=(?!REDACTED)", texts[key]) is None


def test_deliveries_are_not_logged(own: S3) -> None:
    to = target(own)
    log_to(own, to, to)
    own.of().list_objects_v2(Bucket=to)
    texts = delivered(own, to)
    assert lines(texts)[0][6] == "REST.GET.BUCKET"
    again = delivered(own, to)
    assert not [each for each in lines(again) if "logging.s3" in each[4]]
    own.of().put_bucket_logging(Bucket=to, BucketLoggingStatus={})
    # What was asked until now may be dropped; nothing more comes.
    assert delivered(own, to).keys() == again.keys()


def test_lists_let_logs_be_delivered_and_read(own: S3) -> None:
    bucket, to = own.bucket(), own.bucket(ObjectOwnership="BucketOwnerPreferred", ACL="log-delivery-write")
    other = canonical_user(OTHER_ACCOUNT)
    grant = {"Grantee": {"Type": "CanonicalUser", "ID": other}, "Permission": "READ"}
    form = {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}}
    log_to(own, bucket, to, TargetGrants=[grant], TargetObjectKeyFormat=form)
    own.of().head_bucket(Bucket=bucket)
    (key,) = delivered(own, to)
    day = r"([0-9]{4})/([0-9]{2})/([0-9]{2})/\1-\2-\3-00-00-00-[0-9A-F]{16}"
    assert re.fullmatch(f"{ACCOUNT}/{REGION}/{bucket}/{day}", key)
    own.of("stranger").get_object(Bucket=to, Key=key)
    found = own.of().get_object_acl(Bucket=to, Key=key)
    assert found["Owner"] == {"ID": OWNER}
    assert {(each["Grantee"]["ID"], each["Permission"]) for each in found["Grants"]} == {
        (OWNER, "FULL_CONTROL"),
        (other, "READ"),
    }


def test_a_line_says_where_a_list_was_needed(own: S3) -> None:
    bucket, to = own.bucket(ObjectOwnership="ObjectWriter"), target(own)
    own.of().put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN)
    log_to(own, bucket, to)
    own.of().put_object(Bucket=bucket, Key="k", Body=b"1", ACL="public-read")
    assert fetched(f"{own.server.endpoint}/{bucket}/k")[0] == 200
    assert [(each[6], each[25]) for each in lines(delivered(own, to))] == [
        ("REST.PUT.OBJECT", "-"),
        ("REST.GET.OBJECT", "Yes"),
    ]


def test_what_is_not_taken_is_tried_for_a_day(own: S3) -> None:
    bucket, to = own.bucket(), own.bucket()
    log_to(own, bucket, to)
    own.of().head_bucket(Bucket=bucket)
    assert delivered(own, to) == {}
    service = {"Service": "logging.s3.amazonaws.com"}
    put(own, to, objects(to, "s3:PutObject", principal=service))
    assert [each[6] for each in lines(delivered(own, to))] == ["REST.HEAD.BUCKET"]
    own.of().delete_bucket_policy(Bucket=to)
    own.of().head_bucket(Bucket=bucket)
    answer = casemate("clock", "--advance", "25h", "--data", str(own.server.data))
    assert answer.returncode == 0, answer.stderr
    put(own, to, objects(to, "s3:PutObject", principal=service))
    assert len(delivered(own, to)) == 1
    own.of().delete_bucket(Bucket=bucket)
    delivered(own, to)


def test_no_field_can_begin_another() -> None:
    noted = {
        "buckets": [],
        "request": 'GET /b/"\n HTTP/1.1',
        "status": 200,
        "size": None,
        "milliseconds": 1,
        "referer": '" x',
        "host": 'a "b',
        "key": 'k "\n',
        "version": "v w",
        "acl": False,
        "point": "",
        "source": "",
    }
    record = {
        "eventName": "GetObject",
        "eventTime": "2026-11-25T10:00:00Z",
        "sourceIPAddress": "::1",
        "userIdentity": {},
        "requestID": "id",
        "userAgent": '" "\x7f',
        "additionalEventData": {"accessLog": noted, "bytesTransferredOut": 0, "x-amz-id-2": "h"},
    }
    text = line(record, "b", ACCOUNT)
    assert len(_FIELD.findall(text)) == 26
    assert "\n" not in text
