"""LookupEvents by boto3: what is found by which attribute, in which order, page by page, and by whom."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cloudtrail_support import ACCOUNT, REGION, Trail, access_key, fresh, refused
from server_support import casemate


def _made_key(trail: Trail, user: str = "admin", region: str = REGION) -> tuple[str, str]:
    """A new KMS key's ARN, and the request id of the call that made it."""
    answer = trail.of(user, "kms", region).create_key()
    return answer["KeyMetadata"]["Arn"], answer["ResponseMetadata"]["RequestId"]


def test_an_event_says_who_did_what(trail: Trail) -> None:
    arn, request = _made_key(trail)
    trail.of(service="kms").describe_key(KeyId=arn)
    event, made = trail.look_up("ResourceName", arn, least=2)
    assert event["EventName"] == "DescribeKey"
    assert event["EventSource"] == "kms.amazonaws.com"
    assert event["ReadOnly"] == "true"
    assert event["Username"] == "admin"
    assert event["AccessKeyId"] == access_key("admin").id
    assert event["Resources"] == [{"ResourceType": "AWS::KMS::Key", "ResourceName": arn}]
    record = json.loads(event["CloudTrailEvent"])
    assert record["eventID"] == event["EventId"]
    assert record["recipientAccountId"] == ACCOUNT
    assert datetime.fromisoformat(record["eventTime"]) == event["EventTime"]
    assert abs(datetime.now(UTC) - event["EventTime"]) < timedelta(minutes=5)
    assert json.loads(made["CloudTrailEvent"])["requestID"] == request
    assert (made["EventName"], made["ReadOnly"]) == ("CreateKey", "false")


@pytest.fixture(scope="module")
def renamed(trail: Trail) -> Any:
    """An event of CreateAlias."""
    arn, _ = _made_key(trail)
    name = f"alias/{fresh()}"
    trail.of(service="kms").create_alias(AliasName=name, TargetKeyId=arn)
    found = trail.look_up("ResourceName", arn, least=1)
    return next(each for each in found if each["EventName"] == "CreateAlias")


@pytest.mark.parametrize(
    ("key", "member"),
    [
        ("EventId", "EventId"),
        ("EventName", "EventName"),
        ("EventSource", "EventSource"),
        ("ReadOnly", "ReadOnly"),
        ("Username", "Username"),
        ("AccessKeyId", "AccessKeyId"),
    ],
)
def test_an_attribute_finds_its_events_only(trail: Trail, renamed: Any, key: str, member: str) -> None:
    found = trail.look_up(key, renamed[member])
    assert renamed in found
    assert {each[member] for each in found} == {renamed[member]}
    if key == "EventId":
        assert found == [renamed]


@pytest.mark.parametrize("key", ["ResourceType", "ResourceName"])
def test_resources_find_their_events(trail: Trail, renamed: Any, key: str) -> None:
    for resource in renamed["Resources"]:
        found = trail.look_up(key, resource[key])
        assert renamed in found
        assert all(resource[key] in [of[key] for of in each["Resources"]] for each in found)


def test_the_latest_event_comes_first_and_pages_are_whole(trail: Trail) -> None:
    arns = [_made_key(trail, region="eu-west-1")[0] for _ in range(7)]
    for arn in arns:
        trail.of(service="kms", region="eu-west-1").describe_key(KeyId=arn)
    found = trail.look_up("EventName", "DescribeKey", region="eu-west-1", least=7)
    assert [each["Resources"][0]["ResourceName"] for each in found[:7]] == arns[::-1]
    paged = trail.look_up("EventName", "DescribeKey", region="eu-west-1", MaxResults=2)
    assert paged == found


def test_what_comes_between_two_pages_is_on_neither(trail: Trail) -> None:
    client = trail.of(region="eu-west-2")
    made = [_made_key(trail, region="eu-west-2")[1] for _ in range(3)]
    named = [{"AttributeKey": "EventName", "AttributeValue": "CreateKey"}]
    trail.look_up("EventName", "CreateKey", region="eu-west-2", least=3)
    first = client.lookup_events(LookupAttributes=named, MaxResults=1)
    _made_key(trail, region="eu-west-2")
    trail.look_up("EventName", "CreateKey", region="eu-west-2", least=4)
    rest = client.lookup_events(LookupAttributes=named, NextToken=first["NextToken"])
    requests = [
        json.loads(each["CloudTrailEvent"])["requestID"] for each in (*first["Events"], *rest["Events"])
    ]
    assert requests == made[::-1]
    assert "NextToken" not in rest


def test_times_are_bounds_that_belong_to_the_range(trail: Trail, renamed: Any) -> None:
    at = renamed["EventTime"]
    second = timedelta(seconds=1)
    name = renamed["EventId"]
    assert trail.look_up("EventId", name, StartTime=at, EndTime=at) == [renamed]
    assert trail.look_up("EventId", name, StartTime=at + second) == []
    assert trail.look_up("EventId", name, EndTime=at - second) == []


def test_regions_and_accounts_have_their_own_histories(trail: Trail) -> None:
    _made_key(trail, region="ap-south-1")
    (event,) = trail.look_up("EventName", "CreateKey", region="ap-south-1", least=1)
    assert json.loads(event["CloudTrailEvent"])["awsRegion"] == "ap-south-1"
    assert trail.look_up("EventId", event["EventId"]) == []
    assert trail.look_up("EventId", event["EventId"], user="stranger", region="ap-south-1") == []


def test_global_services_are_found_in_their_region(trail: Trail) -> None:
    name = fresh("role")
    trust = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"},
    }
    trail.of(service="iam", region="eu-west-3").create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps(trust)
    )
    (event, *_) = trail.look_up("EventName", "CreateRole", least=1)
    assert json.loads(event["CloudTrailEvent"])["requestParameters"]["roleName"] == name
    assert trail.look_up("EventName", "CreateRole", region="eu-west-3") == []


def test_refused_calls_are_events_too(trail: Trail) -> None:
    with refused("AccessDeniedException"):
        trail.of("nobody", "kms").create_key()
    (event,) = trail.look_up("Username", "nobody", least=1)[:1]
    assert json.loads(event["CloudTrailEvent"])["errorCode"] == "AccessDeniedException"


def test_data_events_are_not_in_the_history(trail: Trail) -> None:
    s3 = trail.of(service="s3")
    bucket = fresh("history-of-objects")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    s3.get_bucket_location(Bucket=bucket)
    found = trail.look_up("ResourceName", bucket, least=2)
    assert [each["EventName"] for each in found] == ["GetBucketLocation", "CreateBucket"]
    assert trail.look_up("EventName", "PutObject") == []


def test_who_may_look_up(trail: Trail) -> None:
    _made_key(trail)
    assert trail.look_up("EventName", "CreateKey", user="reader", least=1)
    message = (
        f"User: arn:aws:iam::{ACCOUNT}:user/nobody is not authorized to perform: cloudtrail:LookupEvents "
        "on resource: * because no identity-based policy allows the cloudtrail:LookupEvents action"
    )
    with refused("AccessDeniedException", message):
        trail.of("nobody").lookup_events()


def test_there_are_no_insights(trail: Trail) -> None:
    assert trail.look_up(EventCategory="insight") == []
    with refused("InvalidLookupAttributesException"):
        trail.look_up("Username", "admin", EventCategory="insight")


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        ("InvalidMaxResultsException", {"MaxResults": 51}),
        ("InvalidEventCategoryException", {"EventCategory": "data"}),
        (
            "InvalidLookupAttributesException",
            {"LookupAttributes": [{"AttributeKey": "Color", "AttributeValue": "red"}]},
        ),
        (
            "InvalidLookupAttributesException",
            {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "x"}] * 2},
        ),
        (
            "InvalidLookupAttributesException",
            {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "_" * 1001}]},
        ),
        (
            "InvalidLookupAttributesException",
            {"LookupAttributes": [{"AttributeKey": "ReadOnly", "AttributeValue": "yes"}]},
        ),
        (
            "InvalidTimeRangeException",
            {"StartTime": datetime(2026, 1, 2, tzinfo=UTC), "EndTime": datetime(2026, 1, 1, tzinfo=UTC)},
        ),
        ("InvalidTimeRangeException", {"EndTime": datetime(2001, 1, 1, tzinfo=UTC)}),
        ("InvalidNextTokenException", {"NextToken": "bm90IGEgdG9rZW4="}),
    ],
)
def test_what_is_wrong_is_refused(trail: Trail, code: str, asked: dict[str, Any]) -> None:
    with refused(code):
        trail.of().lookup_events(**asked)


def test_a_token_is_good_for_its_own_lookup(trail: Trail) -> None:
    for _ in range(2):
        _made_key(trail)
    trail.look_up("EventName", "CreateKey", least=2)
    named = [{"AttributeKey": "EventName", "AttributeValue": "CreateKey"}]
    token = trail.of().lookup_events(LookupAttributes=named, MaxResults=1)["NextToken"]
    trail.of().lookup_events(LookupAttributes=named, NextToken=token)
    with refused("InvalidNextTokenException", "The specified NextToken is invalid."):
        trail.of().lookup_events(NextToken=token)
    with refused("InvalidNextTokenException"):
        trail.of("stranger").lookup_events(LookupAttributes=named, NextToken=token)
    with refused("InvalidNextTokenException"):
        trail.of(region="eu-west-1").lookup_events(LookupAttributes=named, NextToken=token)


def _audited(trail: Trail, request: str) -> list[dict[str, Any]]:
    """The audit's records of a request, in their order."""
    shown = casemate("audit", "tail", "--data", str(trail.server.data), "-n", "all", "--json").stdout
    return [record for line in shown.splitlines() if (record := json.loads(line))["requestID"] == request]


def test_an_object_is_recorded_with_its_bucket(trail: Trail) -> None:
    s3, bucket = trail.of(service="s3"), fresh("recorded-objects")
    s3.create_bucket(Bucket=bucket)
    answer = s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    (record,) = _audited(trail, answer["ResponseMetadata"]["RequestId"])
    assert record["requestParameters"]["bucketName"] == bucket
    assert record["resources"] == [
        {"type": "AWS::S3::Object", "ARN": f"arn:aws:s3:::{bucket}/key"},
        {"accountId": ACCOUNT, "type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{bucket}"},
    ]


def test_each_of_many_deleted_objects_has_its_record(trail: Trail) -> None:
    s3, bucket = trail.of(service="s3"), fresh("deleted-objects")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="one", Body=b"x")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject"}
    resource = f"arn:aws:s3:::{bucket}/kept"
    policy = {"Version": "2012-10-17", "Statement": [{**deny, "Resource": resource}]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "one"}, {"Key": "kept"}]})
    assert [each["Key"] for each in answer["Errors"]] == ["kept"]
    records = _audited(trail, answer["ResponseMetadata"]["RequestId"])
    assert [(each["eventName"], each.get("errorCode")) for each in records] == [
        ("DeleteObject", None),
        ("DeleteObject", "AccessDenied"),
        ("DeleteObjects", None),
    ]
    assert [each["requestParameters"]["key"] for each in records[:2]] == ["one", "kept"]
    assert records[1]["resources"][0]["ARN"] == resource
    assert len({each["eventID"] for each in records}) == 3
    assert not any(each["managementEvent"] for each in records)
