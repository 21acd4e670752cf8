"""CloudTrail Insights: what is unusual, the two events that tell of it, and where they go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cloudtrail_support import ACCOUNT, REGION, Trail, fresh
from hypothesis import given
from hypothesis import strategies as st
from server_support import refused
from trails_support import bucket_policy, delivered, eventually, make_trail, trail_arn

from casemate.engine.cloudtrail import insights
from casemate.engine.cloudtrail.insights import BASELINE, Activity, Series, usual

_BOTH = [{"InsightType": "ApiCallRateInsight"}, {"InsightType": "ApiErrorRateInsight"}]


@pytest.fixture(name="trail")
def _trail(moving: Trail) -> Trail:
    return moving


@pytest.fixture(autouse=True)
def _remove(trail: Trail) -> Iterator[None]:
    """An account has five trails at most."""
    yield
    for each in trail.of().list_trails()["Trails"]:
        trail.of(region=each["HomeRegion"]).delete_trail(Name=each["TrailARN"])


@pytest.mark.parametrize(
    ("counts", "least"),
    [
        ([], 10),
        ([1, 1, 2], 10),
        ([8] * 100, 12),
        # Every minute much the same.
        ([100] * BASELINE, 150),
        # A job that runs once a night is usual, however quiet the days are.
        ([200] * 7, 300),
        # Restless minutes: three standard deviations are more than half above the peak.
        ([0] * (BASELINE // 2) + [90] * (BASELINE // 2), 180),
    ],
)
def test_what_is_unusual(counts: list[int], least: float) -> None:
    assert usual(BASELINE, counts).least == pytest.approx(least)


@given(st.lists(st.integers(0, 500), max_size=50))
def test_what_was_there_before_is_never_unusual(counts: list[int]) -> None:
    baseline = usual(BASELINE, counts)
    assert all(count < baseline.least for count in counts)
    assert baseline.least >= insights.LEAST


def test_an_insights_event() -> None:
    series = Series(ACCOUNT, REGION, "kms.amazonaws.com", "DisableKey", "AccessDenied")
    callers = {"userIdentityArn": {f"arn-{number}": number for number in range(1, 8)}}
    activity = Activity(series, 60, "shared", 2, 28, callers, usual(10080, [5]), {"userAgent": {"a": 5}})
    start = insights.event(activity, insights.START, "Management")
    assert start["eventTime"] == "1970-01-01T01:00:00Z"
    details = start["insightDetails"]
    assert (details["insightType"], details["errorCode"]) == ("ApiErrorRateInsight", "AccessDenied")
    assert details["insightContext"]["statistics"] == {
        "baseline": {"average": pytest.approx(5 / 10080)},
        "insight": {"average": 14.0},
        "insightDuration": 2,
        "baselineDuration": 10080,
    }
    arns, agents, _ = details["insightContext"]["attributions"]
    assert arns["insight"] == [{"value": f"arn-{n}", "average": n / 2} for n in (7, 6, 5, 4, 3)]
    assert agents["baseline"] == [{"value": "a", "average": pytest.approx(5 / 10080)}]
    end = insights.event(activity, insights.END, "Management")
    assert start["sharedEventID"] == end["sharedEventID"]
    assert start["eventID"] != end["eventID"]


def _insight_events(trail: Trail, bucket: str, name: str) -> list[Any]:
    found = delivered(trail, bucket, "CloudTrail-Insight")
    mine = [each for each in found if each["insightDetails"]["eventName"] == name]
    return sorted(mine, key=lambda each: each["eventTime"])


def test_a_burst_of_calls_and_one_of_errors_are_told_of(trail: Trail) -> None:
    name, bucket = make_trail(trail)
    client, kms = trail.of(), trail.of(service="kms")
    client.put_insight_selectors(TrailName=name, InsightSelectors=_BOTH)
    sqs, events, queue = trail.of(service="sqs"), trail.of(service="events"), fresh("queue")
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    pattern = {"source": ["aws.cloudtrail"], "detail-type": ["AWS Insight via CloudTrail"]}
    rule = fresh("rule")
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": arn}])
    key = kms.create_key()["KeyMetadata"]["KeyId"]

    def burst() -> None:
        for number in range(40):
            kms.tag_resource(KeyId=key, Tags=[{"TagKey": f"k{number % 5}", "TagValue": "v"}])
        for _ in range(40):
            with refused("NotFoundException"):
                kms.describe_key(KeyId="00000000-0000-0000-0000-000000000000")

    # Nothing is unusual as long as nothing is known to be usual.
    burst()
    trail.advance("37h")
    kms.list_keys()
    trail.advance("5m")
    eventually(lambda: delivered(trail, bucket), lambda found: "ListKeys" in json.dumps(found))
    assert delivered(trail, bucket, "CloudTrail-Insight") == []
    # What was usual is so no more.
    burst()
    burst()
    burst()
    trail.advance("5m")
    (start,) = eventually(lambda: _insight_events(trail, bucket, "TagResource"))
    details = start["insightDetails"]
    assert (start["eventType"], start["eventCategory"]) == ("AwsCloudTrailInsight", "Insight")
    assert (details["state"], details["insightType"]) == ("Start", "ApiCallRateInsight")
    context = details["insightContext"]
    assert context["statistics"]["insight"]["average"] > context["statistics"]["baseline"]["average"]
    assert context["statistics"]["baselineDuration"] >= insights.LEARNING
    who = context["attributions"][0]
    assert who["attribute"] == "userIdentityArn"
    assert who["insight"][0]["value"] == f"arn:aws:iam::{ACCOUNT}:user/admin"
    (errors,) = eventually(lambda: _insight_events(trail, bucket, "DescribeKey"))
    assert errors["insightDetails"]["insightType"] == "ApiErrorRateInsight"
    assert errors["insightDetails"]["errorCode"] == "NotFoundException"
    trail.advance("20m")
    both = eventually(lambda: _insight_events(trail, bucket, "TagResource"), lambda found: len(found) == 2)
    assert [each["insightDetails"]["state"] for each in both] == ["Start", "End"]
    assert both[0]["sharedEventID"] == both[1]["sharedEventID"]
    assert both[0]["eventTime"] < both[1]["eventTime"]

    found = trail.look_up("EventName", "TagResource", EventCategory="insight")
    assert [each["EventId"] for each in found] == [each["eventID"] for each in reversed(both)]
    assert json.loads(found[1]["CloudTrailEvent"]) == both[0]
    assert trail.look_up("EventSource", "iam.amazonaws.com", EventCategory="insight") == []
    paginator = trail.of().get_paginator("lookup_events")
    pages = paginator.paginate(EventCategory="insight", PaginationConfig={"PageSize": 1})
    every = trail.look_up(EventCategory="insight")
    assert [each for page in pages for each in page["Events"]] == every

    told: list[Any] = []

    def receive() -> list[Any]:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        told.extend(json.loads(each["Body"])["detail"]["eventID"] for each in answer.get("Messages", ()))
        return told

    eventually(receive, lambda found: {each["eventID"] for each in both} <= set(found))


def test_insight_selectors(trail: Trail) -> None:
    name, bucket = make_trail(trail, start=False)
    client, arn = trail.of(), trail_arn(name)
    with refused("InsightNotEnabledException", f"Insights are not enabled on the trail {arn}."):
        client.get_insight_selectors(TrailName=name)
    answer = client.put_insight_selectors(TrailName=name, InsightSelectors=_BOTH)
    expected = [{**each, "EventCategories": ["Management"]} for each in _BOTH]
    assert answer["InsightSelectors"] == expected
    assert client.get_insight_selectors(TrailName=arn)["InsightSelectors"] == expected
    assert client.get_trail(Name=name)["Trail"]["HasInsightSelectors"] is True
    with refused("InvalidInsightSelectorsException"):
        client.put_insight_selectors(TrailName=name, InsightSelectors=[_BOTH[0], _BOTH[0]])
    with refused("InvalidInsightSelectorsException"):
        client.put_insight_selectors(
            TrailName=name, InsightSelectors=[{**_BOTH[0], "EventCategories": ["Data"]}]
        )
    client.put_event_selectors(TrailName=name, EventSelectors=[{"ReadWriteType": "ReadOnly"}])
    with refused("InvalidInsightSelectorsException"):
        client.put_insight_selectors(TrailName=name, InsightSelectors=[_BOTH[0]])
    client.put_insight_selectors(TrailName=name, InsightSelectors=[_BOTH[1]])
    client.put_insight_selectors(TrailName=name, InsightSelectors=[])
    with refused("InsightNotEnabledException"):
        client.get_insight_selectors(TrailName=name)
    with refused("InvalidParameterException", "TrailName must be specified."):
        client.get_insight_selectors()
    with refused("InvalidParameterCombinationException"):
        client.get_insight_selectors(TrailName=name, EventDataStore="store")
    with refused("TrailNotFoundException"):
        client.put_insight_selectors(TrailName="nowhere", InsightSelectors=[])
    # The bucket must let CloudTrail write there too.
    policy = bucket_policy(bucket, arn).replace(f"/{ACCOUNT}/*", f"/{ACCOUNT}/CloudTrail/*")
    trail.of(service="s3").put_bucket_policy(Bucket=bucket, Policy=policy)
    with refused("InsufficientS3BucketPolicyException"):
        client.put_insight_selectors(TrailName=name, InsightSelectors=[_BOTH[1]])
