"""Metrics by a real client: put, listed, and got by statistics, periods and units; what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cloudwatch_support import ACCOUNT, REGION, CloudWatch, access_key, refused

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def recent(cloudwatch: CloudWatch, back: timedelta = MINUTE * 10) -> datetime:
    """The beginning of a minute that is over."""
    return (cloudwatch.now() - back).replace(second=0, microsecond=0)


def test_statistics_of_a_minute(cloudwatch: CloudWatch) -> None:
    namespace, at = cloudwatch.namespace(), recent(cloudwatch)
    cloudwatch.put(namespace, 1, 2, 6, Timestamp=at + timedelta(seconds=30), Unit="Bytes")
    cloudwatch.put(namespace, 10, Timestamp=at + MINUTE, Unit="Bytes")
    cloudwatch.put(namespace, 5, Timestamp=at, Unit="Count")
    points = cloudwatch.statistics(namespace, at, Unit="Bytes")
    assert points == [
        {
            "Timestamp": at,
            "Unit": "Bytes",
            "Sum": 9.0,
            "SampleCount": 3.0,
            "Minimum": 1.0,
            "Maximum": 6.0,
            "Average": 3.0,
        },
        {
            "Timestamp": at + MINUTE,
            "Unit": "Bytes",
            "Sum": 10.0,
            "SampleCount": 1.0,
            "Minimum": 10.0,
            "Maximum": 10.0,
            "Average": 10.0,
        },
    ]
    units = [(each["Unit"], each["Sum"]) for each in cloudwatch.statistics(namespace, at, Period=3600)]
    assert units == [("Bytes", 19.0), ("Count", 5.0)], "each unit by itself"
    assert cloudwatch.statistics(namespace, at, Unit="Seconds") == []


def test_values_with_counts_and_statistic_sets(cloudwatch: CloudWatch) -> None:
    namespace, at = cloudwatch.namespace(), recent(cloudwatch)
    cloudwatch.of().put_metric_data(
        Namespace=namespace,
        MetricData=[
            {"MetricName": "m", "Timestamp": at, "Values": [1, 5, 100], "Counts": [90, 9, 1]},
            {
                "MetricName": "set",
                "Timestamp": at,
                "StatisticValues": {"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 4},
            },
        ],
    )
    (point,) = cloudwatch.statistics(
        namespace, at, Statistics=None, ExtendedStatistics=["p50", "p90", "p95", "p99.5", "p0", "p100"]
    )
    assert point["ExtendedStatistics"] == {
        "p50": 1.0,
        "p90": 1.0,
        "p95": 5.0,
        "p99.5": 100.0,
        "p0": 1.0,
        "p100": 100.0,
    }
    (point,) = cloudwatch.statistics(namespace, at)
    assert (point["SampleCount"], point["Sum"], point["Maximum"]) == (100.0, 235.0, 100.0)
    window: dict[str, Any] = {"StartTime": at, "EndTime": at + HOUR, "Period": 60}
    of_set = {"Namespace": namespace, "MetricName": "set"}
    (point,) = cloudwatch.of().get_metric_statistics(**of_set, **window, Statistics=["Average"])["Datapoints"]
    assert point["Average"] == 2.5
    unknown = cloudwatch.of().get_metric_statistics(**of_set, **window, ExtendedStatistics=["p50"])
    assert unknown["Datapoints"] == [], "of a set no percentiles are known"


def test_high_resolution(cloudwatch: CloudWatch) -> None:
    namespace, at = cloudwatch.namespace(), recent(cloudwatch)
    for second in range(20):
        cloudwatch.put(namespace, second, Timestamp=at + timedelta(seconds=second), StorageResolution=1)
    found = cloudwatch.statistics(namespace, at, Period=10, EndTime=at + MINUTE)
    assert [(each["Timestamp"], each["Sum"]) for each in found] == [
        (at, 45.0),
        (at + timedelta(seconds=10), 145.0),
    ]
    (minute,) = cloudwatch.statistics(namespace, at)
    assert minute["Sum"] == 190.0
    other = cloudwatch.namespace()
    cloudwatch.put(other, 1, Timestamp=at)
    assert cloudwatch.statistics(other, at, Period=10, EndTime=at + MINUTE) == []


def test_each_set_of_dimensions_is_a_metric(cloudwatch: CloudWatch) -> None:
    namespace, at = cloudwatch.namespace(), recent(cloudwatch)
    a, b = {"Name": "host", "Value": "a"}, {"Name": "host", "Value": "b"}
    disk = {"Name": "disk", "Value": "d"}
    cloudwatch.put(namespace, 1, Timestamp=at, Dimensions=[a, disk])
    cloudwatch.put(namespace, 2, Timestamp=at, Dimensions=[b])
    cloudwatch.put(namespace, 4, Timestamp=at)
    for dimensions, wanted in (([disk, a], 1.0), ([b], 2.0), ([], 4.0)):
        (point,) = cloudwatch.statistics(namespace, at, Dimensions=dimensions)
        assert point["Sum"] == wanted
    assert cloudwatch.statistics(namespace, at, Dimensions=[a]) == []
    client = cloudwatch.of()

    def listed(**more: Any) -> list[Any]:
        found = client.list_metrics(Namespace=namespace, **more)["Metrics"]
        return sorted((each["Dimensions"] for each in found), key=json.dumps)

    assert listed() == [[disk, a], [b], []] or listed() == sorted([[disk, a], [b], []], key=json.dumps)
    assert listed(Dimensions=[{"Name": "host"}]) == sorted([[disk, a], [b]], key=json.dumps)
    assert listed(Dimensions=[a]) == [[disk, a]]
    assert listed(MetricName="m", RecentlyActive="PT3H") == listed()
    assert listed(MetricName="other") == []
    assert cloudwatch.of("stranger").list_metrics(Namespace=namespace)["Metrics"] == []


def test_get_metric_data_in_pages(cloudwatch: CloudWatch) -> None:
    namespace, at = cloudwatch.namespace(), recent(cloudwatch)
    for minute in range(5):
        cloudwatch.put(namespace, minute, Timestamp=at + MINUTE * minute)
    stat = {"Metric": {"Namespace": namespace, "MetricName": "m"}, "Period": 60}
    wanted: dict[str, Any] = {
        "StartTime": at,
        "EndTime": at + HOUR,
        "MetricDataQueries": [
            {"Id": "one", "MetricStat": {**stat, "Stat": "Sum"}},
            {"Id": "two", "Label": "second", "MetricStat": {**stat, "Stat": "p90", "Period": 300}},
            {"Id": "hidden", "ReturnData": False, "MetricStat": {**stat, "Stat": "Sum"}},
        ],
    }
    client = cloudwatch.of()
    one, two = client.get_metric_data(**wanted)["MetricDataResults"]
    assert one["Timestamps"] == [at + MINUTE * minute for minute in (4, 3, 2, 1, 0)]
    assert (one["Id"], one["Label"], one["Values"]) == ("one", "m", [4.0, 3.0, 2.0, 1.0, 0.0])
    assert (two["Id"], two["Label"], two["Values"]) == ("two", "second", [4.0])
    assert {one["StatusCode"], two["StatusCode"]} == {"Complete"}
    pages = client.get_paginator("get_metric_data").paginate(
        **wanted, ScanBy="TimestampAscending", MaxDatapoints=2
    )
    values: dict[str, list[float]] = {"one": [], "two": []}
    statuses = []
    for page in pages:
        for result in page["MetricDataResults"]:
            values[result["Id"]] += result["Values"]
        statuses.append([result["StatusCode"] for result in page["MetricDataResults"]])
    assert values == {"one": [0.0, 1.0, 2.0, 3.0, 4.0], "two": [4.0]}
    assert statuses[0] == ["PartialData", "PartialData"]
    assert statuses[-1] == ["Complete", "Complete"]


def ask(cloudwatch: CloudWatch, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    key, url = access_key("admin"), f"{cloudwatch.server.endpoint}/"
    request = AWSRequest("POST", url, data=body, headers=headers)
    SigV4Auth(Credentials(key.id, key.secret), "monitoring", REGION).add_auth(request)
    try:
        with urlopen(Request(url, body, dict(request.headers))) as answer:
            return int(answer.status), answer.read()
    except HTTPError as error:
        return error.code, error.read()


def test_the_query_protocol_and_json(cloudwatch: CloudWatch) -> None:
    """As older SDKs speak; boto3 speaks CBOR."""
    namespace, at = cloudwatch.namespace(), recent(cloudwatch)
    form = {
        "Action": "PutMetricData",
        "Version": "2010-08-01",
        "Namespace": namespace,
        "MetricData.member.1.MetricName": "m",
        "MetricData.member.1.Value": "2.5",
        "MetricData.member.1.Unit": "Seconds",
        "MetricData.member.1.Timestamp": at.isoformat(),
        "MetricData.member.1.Dimensions.member.1.Name": "d",
        "MetricData.member.1.Dimensions.member.1.Value": "v",
    }
    urlencoded = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ask(cloudwatch, urlencode(form).encode(), urlencoded)[0] == 200
    wanted = {
        "Namespace": namespace,
        "MetricName": "m",
        "Dimensions": [{"Name": "d", "Value": "v"}],
        "StartTime": at.timestamp(),
        "EndTime": at.timestamp() + 60,
        "Period": 60,
        "Statistics": ["Sum"],
    }
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "GraniteServiceVersion20100801.GetMetricStatistics",
    }
    status, answer = ask(cloudwatch, json.dumps(wanted).encode(), headers)
    assert (status, json.loads(answer)) == (
        200,
        {"Label": "m", "Datapoints": [{"Timestamp": at.timestamp(), "Unit": "Seconds", "Sum": 2.5}]},
    )
    form["Namespace"] = "AWS/Mine"
    status, answer = ask(cloudwatch, urlencode(form).encode(), urlencoded)
    assert status == 400
    assert b"<Code>InvalidParameterValue</Code>" in answer


@pytest.mark.parametrize(
    ("datum", "code", "message"),
    [
        ({}, "MissingParameter", "At least one of the parameters MetricData.member.1.Value, Values and "
         "StatisticValues is required."),
        ({"Value": 1, "Values": [1]}, "InvalidParameterCombination", "The parameters MetricData.member.1.Value and "
         "MetricData.member.1.Values are mutually exclusive and you have specified both."),
        ({"Value": 1, "Counts": [1]}, "InvalidParameterCombination", "The parameter MetricData.member.1.Counts is "
         "for MetricData.member.1.Values only."),
        ({"Values": [1, 2], "Counts": [1]}, "InvalidParameterValue", "The parameters MetricData.member.1.Values and "
         "MetricData.member.1.Counts must be of the same size."),
        ({"Values": [1], "Counts": [0]}, "InvalidParameterValue", "The value for parameter "
         "MetricData.member.1.Counts is invalid."),
        ({"Values": list(range(151))}, "InvalidParameterValue", "The collection MetricData.member.1.Values must have "
         "a size between 1 and 150."),
        ({"Value": float("nan")}, "InvalidParameterValue", "The value nan for parameter MetricData.member.1.Value is "
         "invalid."),
        ({"Value": 2.0**361}, "InvalidParameterValue", f"The value {2.0**361} for parameter "
         "MetricData.member.1.Value is invalid."),
        ({"StatisticValues": {"SampleCount": 0, "Sum": 0, "Minimum": 0, "Maximum": 0}}, "InvalidParameterValue",
         "The value for parameter MetricData.member.1.StatisticValues is invalid."),
        ({"Value": 1, "StorageResolution": 5}, "InvalidParameterValue", "The value 5 for parameter "
         "MetricData.member.1.StorageResolution is invalid: it is 1 or 60."),
        ({"Value": 1, "Timestamp": datetime.now(UTC) + HOUR * 3}, "InvalidParameterValue", "The parameter "
         "MetricData.member.1.Timestamp must specify a time no more than two hours in the future."),
        ({"Value": 1, "Timestamp": datetime.now(UTC) - HOUR * 24 * 15}, "InvalidParameterValue", "The parameter "
         "MetricData.member.1.Timestamp must specify a time within the past two weeks."),
        ({"Value": 1, "Dimensions": [{"Name": "a", "Value": "b"}] * 2}, "InvalidParameterValue", "No Metric may "
         "specify the same dimension name twice."),
        ({"Value": 1, "Dimensions": [{"Name": ":a", "Value": "b"}]}, "InvalidParameterValue", "The value :a for "
         "parameter MetricData.member.1.Dimensions.member.1.Name is invalid."),
        ({"Value": 1, "MetricName": "ü"}, "InvalidParameterValue", "The value ü for parameter "
         "MetricData.member.1.MetricName is invalid."),
    ],
)  # fmt: skip
def test_data_that_is_refused(cloudwatch: CloudWatch, datum: dict[str, Any], code: str, message: str) -> None:
    namespace = cloudwatch.namespace()
    with refused(code, message):
        cloudwatch.of().put_metric_data(Namespace=namespace, MetricData=[{"MetricName": "m", **datum}])
    assert cloudwatch.of().list_metrics(Namespace=namespace)["Metrics"] == []


def test_other_refusals(cloudwatch: CloudWatch) -> None:
    client, now = cloudwatch.of(), cloudwatch.now()
    datum = {"MetricName": "m", "Value": 1}
    with refused("MissingParameter", "The parameter MetricData is required."):
        client.put_metric_data(Namespace="n", MetricData=[])
    with refused(
        "InvalidParameterValue", "The collection MetricData must not have a size greater than 1000."
    ):
        client.put_metric_data(Namespace="n", MetricData=[datum] * 1001)
    with refused("InvalidParameterValue", "The value AWS/ for parameter Namespace is invalid."):
        client.put_metric_data(Namespace="AWS/Logs", MetricData=[datum])
    with refused("NotImplemented", "EntityMetricData is not served by Casemate.", 501):
        client.put_metric_data(
            Namespace="n", StrictEntityValidation=True, EntityMetricData=[{"MetricData": [datum]}]
        )
    cloudwatch.of("shop").put_metric_data(Namespace="Shop", MetricData=[datum])
    for user, namespace in (("nobody", "Shop"), ("shop", "Other")):
        with refused(
            "AccessDeniedException",
            f"User: arn:aws:iam::{ACCOUNT}:user/{user} is not authorized to perform: cloudwatch:PutMetricData on "
            "resource: * because no identity-based policy allows the cloudwatch:PutMetricData action",
        ):
            cloudwatch.of(user).put_metric_data(Namespace=namespace, MetricData=[datum])
    window: dict[str, Any] = {"StartTime": now - HOUR, "EndTime": now, "Period": 60}
    metric = {"Namespace": "n", "MetricName": "m"}
    with refused("MissingParameter", "Must specify either Statistics or ExtendedStatistics."):
        client.get_metric_statistics(**metric, **window)
    with refused(
        "InvalidParameterCombination", "Must specify either Statistics or ExtendedStatistics, not both."
    ):
        client.get_metric_statistics(**metric, **window, Statistics=["Sum"], ExtendedStatistics=["p9"])
    with refused(
        "InvalidParameterValue", "The value p101 for parameter ExtendedStatistics is not supported."
    ):
        client.get_metric_statistics(**metric, **window, ExtendedStatistics=["p101"])
    with refused(
        "InvalidParameterValue",
        "The parameter Period must be 1, 5, 10, 20, 30, or a multiple of 60; it is 61.",
    ):
        client.get_metric_statistics(**metric, **{**window, "Period": 61}, Statistics=["Sum"])
    with refused("InvalidParameterValue", "The parameter StartTime must be less than the parameter EndTime."):
        client.get_metric_statistics(**metric, **{**window, "StartTime": now}, Statistics=["Sum"])
    with refused(
        "InvalidParameterCombination",
        "You have requested up to 2,881 datapoints, which exceeds the limit of 1,440. You may reduce the "
        "datapoints requested by increasing Period, or decreasing the time range.",
    ):
        start = now.replace(second=30, microsecond=0)
        client.get_metric_statistics(
            **metric, StartTime=start - HOUR * 48, EndTime=start, Period=60, Statistics=["Sum"]
        )
    with refused("InvalidParameterValue", "Cross-account observability is not supported."):
        client.list_metrics(IncludeLinkedAccounts=True)
    with refused("InvalidParameterValue", "The value for parameter NextToken is invalid."):
        client.list_metrics(NextToken="x")


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ([], "The collection MetricDataQueries must have a size between 1 and 500."),
        ([{"Id": "A"}], "The value A for parameter MetricDataQueries.member.1.Id is not matching the expected "
         "pattern ^[a-z][a-zA-Z0-9_]*$"),
        ([{"Id": "a"}], "Exactly one of the parameters MetricDataQueries.member.1.Expression and "
         "MetricDataQueries.member.1.MetricStat is required."),
        ([{"Id": "a", "Expression": "1"}] * 2, "The values for parameter Id in MetricDataQueries are not unique."),
        ([{"Id": "a", "Expression": "1", "AccountId": "999999999999"}], "The value for parameter "
         "MetricDataQueries.member.1.AccountId is not an account that is linked."),
        ([{"Id": "a", "MetricStat": {"Metric": {}, "Period": 60, "Stat": "Sum"}}], "The parameters "
         "MetricDataQueries.member.1.MetricStat.Metric.Namespace and MetricName are required."),
        ([{"Id": "a", "MetricStat": {"Metric": {}, "Period": 7, "Stat": "Sum"}}], "The parameter "
         "MetricDataQueries.member.1.MetricStat.Period must be 1, 5, 10, 20, 30, or a multiple of 60."),
        ([{"Id": "a", "MetricStat": {"Metric": {}, "Period": 60, "Stat": "tm99"}}], "The value tm99 for parameter "
         "MetricDataQueries.member.1.MetricStat.Stat is not supported."),
    ],
)  # fmt: skip
def test_queries_that_are_refused(cloudwatch: CloudWatch, queries: list[Any], message: str) -> None:
    now = cloudwatch.now()
    with refused("ValidationError", message):
        cloudwatch.of().get_metric_data(MetricDataQueries=queries, StartTime=now - HOUR, EndTime=now)


def test_what_else_get_metric_data_refuses(cloudwatch: CloudWatch) -> None:
    now, client = cloudwatch.now(), cloudwatch.of()
    window: dict[str, Any] = {"StartTime": now - HOUR, "EndTime": now}
    metric = {"Namespace": "n", "MetricName": "m"}
    query = {"Id": "a", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
    with refused("NotImplemented", "Expression of GetMetricData is not served by Casemate.", 501):
        client.get_metric_data(MetricDataQueries=[{"Id": "a", "Expression": "SUM(METRICS())"}], **window)
    with refused("ValidationError", "The parameter StartTime must be less than the parameter EndTime."):
        client.get_metric_data(MetricDataQueries=[query], StartTime=now, EndTime=now)
    with refused("ValidationError", "The parameter MaxDatapoints must be at least 1."):
        client.get_metric_data(MetricDataQueries=[query], **window, MaxDatapoints=0)
    with refused("InvalidNextToken", "The next token specified is invalid."):
        client.get_metric_data(MetricDataQueries=[query], **window, NextToken="x")


def test_what_is_folded_counts_once_and_grows_coarse(timed: CloudWatch) -> None:
    namespace, at = timed.namespace(), recent(timed).replace(minute=0)
    for second in (0, 1, 61):
        timed.put(namespace, 7, Timestamp=at + timedelta(seconds=second), StorageResolution=1)
    before = timed.statistics(namespace, at)
    seconds = timed.statistics(namespace, at, Period=1, EndTime=at + MINUTE * 2)
    assert [each["Sum"] for each in before] == [14.0, 7.0]
    timed.advance("2m")
    assert timed.statistics(namespace, at) == before, "by the minute, once folded"
    assert timed.statistics(namespace, at, Period=1, EndTime=at + MINUTE * 2) == seconds
    timed.put(namespace, 1, Timestamp=at)
    assert [each["Sum"] for each in timed.statistics(namespace, at)] == [15.0, 7.0]
    timed.advance("5h")
    assert timed.statistics(namespace, at, Period=1, EndTime=at + MINUTE * 2) == []
    assert [each["Sum"] for each in timed.statistics(namespace, at)] == [15.0, 7.0]
    timed.advance("18d")
    assert timed.statistics(namespace, at) == [], "longer periods only"
    assert [each["Sum"] for each in timed.statistics(namespace, at, Period=300)] == [22.0]
    assert timed.of().list_metrics(Namespace=namespace)["Metrics"] == []
    timed.advance("70d")
    assert timed.statistics(namespace, at, Period=300) == []
    (point,) = timed.statistics(namespace, at, Period=3600)
    assert (point["Sum"], point["SampleCount"]) == (22.0, 4.0)
    timed.advance("460d")
    assert timed.statistics(namespace, at, Period=3600) == []
