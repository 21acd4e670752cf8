"""Metric filters by a real client: what events make of metrics, once each; what is refused."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError
from logs_support import ACCOUNT, GROUP_ARN, Logs, logs_server, refused

NAMES = "metricName", "metricNamespace"


def transformation(value: str = "1", name: str = "m", **more: Any) -> dict[str, Any]:
    return {"metricName": name, "metricNamespace": "App", "metricValue": value, **more}


def put(logs: Logs, group: str, pattern: str, called: str = "f", **more: Any) -> None:
    logs.of().put_metric_filter(
        logGroupName=group,
        filterName=called,
        filterPattern=pattern,
        metricTransformations=[transformation(**more)],
    )


def points(logs: Logs, name: str, **more: Any) -> list[dict[str, Any]]:
    """A metric's data within an hour, as one point a unit, without its time."""
    now = datetime.fromtimestamp(logs.now() / 1000, UTC)
    found = logs.of(service="cloudwatch").get_metric_statistics(
        Namespace="App",
        MetricName=name,
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=86_400,
        Statistics=["Sum", "SampleCount", "Minimum", "Maximum"],
        **more,
    )["Datapoints"]
    for point in found:
        del point["Timestamp"]
    return list(found)


def test_matching_events_are_counted(logs: Logs) -> None:
    group = logs.group("/app/counted", "s")
    put(logs, group, "ERROR", name="errors", unit="Count")
    now = logs.now()
    logs.put(group, "s", [(now, "ERROR one"), (now, "fine"), (now + 1, "ERROR two")])
    logs.put(group, "s", [(now, "fine")])
    logs.put(group, "s", [(now, "ERROR three")])
    assert points(logs, "errors") == [
        {"Sum": 3.0, "SampleCount": 3.0, "Minimum": 1.0, "Maximum": 1.0, "Unit": "Count"}
    ]
    logs.of().delete_metric_filter(logGroupName=group, filterName="f")
    logs.put(group, "s", [(now, "ERROR four")])
    assert points(logs, "errors")[0]["Sum"] == 3.0


def test_values_and_dimensions_of_json(logs: Logs) -> None:
    group = logs.group("/app/json", "s")
    put(
        logs,
        group,
        "{ $.path = * }",
        name="took",
        value="$.took[0].ms",
        unit="Milliseconds",
        dimensions={"Path": "$.path", "Code": "$.code"},
    )
    now = logs.now()
    logs.put(
        group,
        "s",
        [
            (now, '{"path": "/a", "code": 200, "took": [{"ms": 1.5}]}'),
            (now, '{"path": "/a", "code": 200, "took": [{"ms": "2.5"}]}'),
            (now, '{"path": "/b", "code": 200, "took": [{"ms": 10}]}'),
            (now, '{"path": "/a", "code": 200, "took": [{"ms": "slow"}]}'),
            (now, '{"path": "/a", "took": [{"ms": 100}]}'),
            (now, '{"path": "/\\u00fc", "code": 200, "took": [{"ms": 1000}]}'),
        ],
    )
    of_a = [{"Name": "Path", "Value": "/a"}, {"Name": "Code", "Value": "200"}]
    (point,) = points(logs, "took", Dimensions=of_a)
    assert (point["Sum"], point["Minimum"], point["Maximum"], point["Unit"]) == (
        4.0,
        1.5,
        2.5,
        "Milliseconds",
    )
    listed = logs.of(service="cloudwatch").list_metrics(Namespace="App", MetricName="took")["Metrics"]
    assert len(listed) == 2, "not of events without a number or without all dimensions"


def test_values_of_fields(logs: Logs) -> None:
    group = logs.group("/app/fields", "s")
    put(logs, group, "[ip, ..., status = 2*, size]", name="bytes", value="$size", dimensions={"Ip": "$ip"})
    now = logs.now()
    logs.put(group, "s", [(now, "1.1.1.1 GET /a 200 10"), (now, "1.1.1.1 GET /b 404 99")])
    (point,) = points(logs, "bytes", Dimensions=[{"Name": "Ip", "Value": "1.1.1.1"}])
    assert point["Sum"] == 10.0


def test_many_values_in_one_batch(logs: Logs) -> None:
    group = logs.group("/app/many", "s")
    put(logs, group, "{ $.n = * }", name="many", value="$.n")
    now = logs.now()
    logs.put(group, "s", [(now, f'{{"n": {number}}}') for number in range(1_000)])
    (point,) = points(logs, "many")
    assert (point["Sum"], point["SampleCount"]) == (499_500.0, 1_000.0)


def test_a_default_value_for_minutes_without_a_match(timed: Logs) -> None:
    group = timed.group("/app/default", "s")
    put(timed, group, "ERROR", name="defaults", value="5", defaultValue=2.0)
    timed.put(group, "s", [(timed.now(), "fine")])
    timed.put(group, "s", [(timed.now(), "fine")])
    assert points(timed, "defaults") == []
    timed.advance("2m")
    assert [(each["Sum"], each["SampleCount"]) for each in points(timed, "defaults")] == [(2.0, 1.0)]
    timed.put(group, "s", [(timed.now(), "fine")])
    timed.put(group, "s", [(timed.now(), "ERROR")])
    timed.advance("2m")
    assert [(each["Sum"], each["SampleCount"]) for each in points(timed, "defaults")] == [(7.0, 2.0)]


def test_what_comes_is_counted(timed: Logs) -> None:
    group = timed.group("/app/incoming", "s")
    # Counting begins with the job's first run.
    timed.advance("2m")
    metric = {"Namespace": "AWS/Logs", "MetricName": "IncomingLogEvents"}
    dimensions = [{"Name": "LogGroupName", "Value": group}]
    end = time.monotonic() + 60
    put = 0
    found: list[Any] = []
    while not found:
        assert time.monotonic() < end
        timed.put(group, "s", [(timed.now(), "one"), (timed.now(), "two")])
        put += 1
        # What is not five seconds old, by the machine's clock, is not counted yet.
        time.sleep(1)
        timed.advance("1m")
        now = datetime.fromtimestamp(timed.now() / 1000, UTC)
        window: dict[str, Any] = {"StartTime": now - timedelta(hours=6), "EndTime": now, "Period": 86_400}
        client = timed.of(service="cloudwatch")
        asked = {**metric, **window, "Statistics": ["Sum", "SampleCount", "Maximum"]}
        found = client.get_metric_statistics(**asked, Dimensions=dimensions)["Datapoints"]
    assert (found[0]["Maximum"], found[0]["Sum"]) == (2.0, found[0]["SampleCount"] * 2)
    assert found[0]["SampleCount"] <= put
    whole = client.get_metric_statistics(**asked)["Datapoints"]
    assert sum(each["Sum"] for each in whole) >= found[0]["Sum"]


def test_described(logs: Logs) -> None:
    first, second = logs.group("/app/described", "s"), logs.group("/app/described", "s")
    for name in ("b", "a", "c"):
        logs.of().put_metric_filter(
            logGroupName=first,
            filterName=f"described-{name}",
            filterPattern="ERROR",
            metricTransformations=[transformation(name=f"described-{name}", unit="Count")],
        )
    put(logs, second, "WARN", name="described-b")
    client = logs.of()
    found = client.describe_metric_filters(logGroupName=first)["metricFilters"]
    assert [each["filterName"] for each in found] == ["described-a", "described-b", "described-c"]
    created = found[0].pop("creationTime")
    assert abs(created - logs.now()) < 600_000
    assert found[0] == {
        "filterName": "described-a",
        "filterPattern": "ERROR",
        "logGroupName": first,
        "metricTransformations": [transformation(name="described-a", unit="Count")],
    }
    pages = client.get_paginator("describe_metric_filters").paginate(
        logGroupName=first, PaginationConfig={"PageSize": 2}
    )
    assert [len(page["metricFilters"]) for page in pages] == [2, 1]
    of_metric = client.get_paginator("describe_metric_filters").paginate(
        metricName="described-b", metricNamespace="App", PaginationConfig={"PageSize": 1}
    )
    groups = [each["logGroupName"] for page in of_metric for each in page["metricFilters"]]
    assert groups == sorted((first, second))
    prefixed = client.describe_metric_filters(logGroupName=first, filterNamePrefix="described-c")
    assert len(prefixed["metricFilters"]) == 1
    (group,) = client.describe_log_groups(logGroupNamePrefix=first)["logGroups"]
    assert group["metricFilterCount"] == 3


def test_a_pattern_is_tried(logs: Logs) -> None:
    def matches(pattern: str, *messages: str) -> Any:
        return logs.of().test_metric_filter(filterPattern=pattern, logEventMessages=list(messages))["matches"]

    assert matches("ERROR", "ERROR a", "b", "an ERROR") == [
        {"eventNumber": 1, "eventMessage": "ERROR a", "extractedValues": {}},
        {"eventNumber": 3, "eventMessage": "an ERROR", "extractedValues": {}},
    ]
    (found,) = matches("[..., size]", '127.0.0.1 - frank [now] "GET /" 200 1534')
    assert found["extractedValues"] == {
        "$1": "127.0.0.1", "$2": "-", "$3": "frank", "$4": "now", "$5": "GET /", "$6": "200", "$size": "1534",
    }  # fmt: skip
    (found,) = matches("{ $.a.b > 1 }", '{"a": {"b": 2}}')
    assert found["extractedValues"] == {"$.a.b": "2"}
    with refused(
        "InvalidParameterException",
        "Invalid filter pattern: a pattern that begins with { must end with }",
    ):
        matches("{ $.a", "b")


@pytest.mark.parametrize(
    ("pattern", "given", "message"),
    [
        ("ERROR", {"value": "$.a"}, "a pattern of terms has no field $.a."),
        ("ERROR", {"value": "many"}, "'many' is neither a number nor a field."),
        ("ERROR", {"value": "1e300"}, "'1e300' is neither a number nor a field."),
        ("[a, b]", {"value": "$c"}, "the pattern has no field $c."),
        ("{ $.a = 1 }", {"dimensions": {"d": "a"}}, "the dimension 'a' is no field."),
        ("{ $.a = 1 }", {"dimensions": {"d": "$.a"}, "defaultValue": 0.0},
         "dimensions and default value are mutually exclusive properties."),
        ("{ $.a = 1 }", {"dimensions": dict.fromkeys("abcd", "$.a")}, "more than 3 dimensions."),
        ("ERROR", {"name": "ü"}, "names must be of printable ASCII characters."),
        ("ERROR", {"metricNamespace": "AWS/Mine"}, "namespaces that begin with AWS/ are AWS's own."),
    ],
)  # fmt: skip
def test_transformations_that_are_refused(
    logs: Logs, pattern: str, given: dict[str, Any], message: str
) -> None:
    group = logs.group("/app/refused")
    value, name = given.pop("value", "1"), given.pop("name", "m")
    made = {**transformation(value, name), **given}
    with refused("InvalidParameterException", f"Invalid metric transformation: {message}"):
        logs.of().put_metric_filter(
            logGroupName=group, filterName="f", filterPattern=pattern, metricTransformations=[made]
        )
    assert logs.of().describe_metric_filters(logGroupName=group)["metricFilters"] == []


def test_other_refusals(logs: Logs) -> None:
    client, group = logs.of(), logs.group("/app/refused", "s")
    of_group: dict[str, Any] = {"logGroupName": group, "metricTransformations": [transformation()]}
    with refused(
        "InvalidParameterException", "Invalid filter pattern: what begins at character 0 is no term"
    ):
        client.put_metric_filter(**of_group, filterName="f", filterPattern='"')
    with refused("InvalidParameterException", "applyOnTransformedLogs is not supported."):
        client.put_metric_filter(**of_group, filterName="f", filterPattern="a", applyOnTransformedLogs=True)
    with refused("ResourceNotFoundException", "The specified metric filter does not exist."):
        client.delete_metric_filter(logGroupName=group, filterName="f")
    absent = "/app/absent"
    with refused("ResourceNotFoundException", "The specified log group does not exist."):
        client.put_metric_filter(**{**of_group, "logGroupName": absent}, filterName="f", filterPattern="a")
    with refused("ResourceNotFoundException", "The specified log group does not exist."):
        client.describe_metric_filters(logGroupName=absent)
    with refused("InvalidParameterException", "metricName and metricNamespace must be specified together."):
        client.describe_metric_filters(metricName="m")
    with refused("InvalidParameterException", "The specified nextToken is invalid."):
        client.describe_metric_filters(nextToken="x")
    with refused(
        "AccessDeniedException",
        f"User: arn:aws:iam::{ACCOUNT}:user/nobody is not authorized to perform: logs:PutMetricFilter on resource: "
        f"{GROUP_ARN}{absent}:log-stream: because no identity-based policy allows the logs:PutMetricFilter action",
    ):
        logs.of("nobody").put_metric_filter(
            **{**of_group, "logGroupName": absent}, filterName="f", filterPattern="a"
        )


def test_how_many_a_group_may_have(logs: Logs) -> None:
    group = logs.group("/app/most", "s")
    for number in range(5):
        put(logs, group, "%E[0-9]%", filter_name(number))
    with refused("LimitExceededException", "Resource limit exceeded."):
        put(logs, group, "%E[0-9]%", "sixth")
    for number in range(5, 100):
        put(logs, group, "never", filter_name(number))
    put(logs, group, "other", filter_name(0))
    with refused("LimitExceededException", "Resource limit exceeded."):
        put(logs, group, "never", "more")


def filter_name(number: int) -> str:
    return f"f{number}"


def test_a_crash_loses_no_metric_and_counts_none_twice(tmp_path: Path) -> None:
    with logs_server(tmp_path) as logs:
        group = logs.group("/app/crash", "s")
        put(logs, group, "hit", name="hits")
        now, acknowledged = logs.now(), 0

        def ingest() -> None:
            nonlocal acknowledged
            client = logs.server.client("logs")
            while True:
                try:
                    client.put_log_events(
                        logGroupName=group,
                        logStreamName="s",
                        logEvents=[{"timestamp": now, "message": "hit"}],
                    )
                except (ClientError, EndpointConnectionError, HTTPClientError):
                    return
                acknowledged += 1
                if acknowledged >= 20:
                    enough.set()

        enough = threading.Event()
        thread = threading.Thread(target=ingest)
        thread.start()
        assert enough.wait(60)
        logs.server.kill()
        thread.join(60)
    with logs_server(tmp_path) as again:
        stored = len(again.messages(group))
        assert stored >= acknowledged >= 20
        (point,) = points(again, "hits")
        assert point["SampleCount"] == stored
