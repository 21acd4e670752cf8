"""Queries of Logs Insights by a real client: started, got, stopped, listed, saved; what is refused."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError
from logs_support import ACCOUNT, GROUP_ARN, Logs, logs_server, refused
from test_logs_encryption import key, not_allowed

ABSENT = "00000000-0000-4000-8000-000000000000"


def start(logs: Logs, query: str, *groups: str, user: str = "admin", **more: Any) -> str:
    now = logs.now() // 1000
    window = {"startTime": now - 3600, "endTime": now + 3600, **more}
    made: str = logs.of(user).start_query(logGroupNames=list(groups), queryString=query, **window)["queryId"]
    return made


def finished(logs: Logs, query_id: str) -> Any:
    """The results, once the query is over."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = logs.of().get_query_results(queryId=query_id)
        if found["status"] not in ("Scheduled", "Running"):
            return found
        time.sleep(0.02)
    raise AssertionError("the query does not end")


def asked(logs: Logs, query: str, *groups: str, **more: Any) -> list[dict[str, str]]:
    found = finished(logs, start(logs, query, *groups, **more))
    assert found["status"] == "Complete"
    return [{each["field"]: each["value"] for each in row} for row in found["results"]]


def test_a_query_over_two_groups(logs: Logs) -> None:
    one, two = logs.group("/app/insights", "a", "b"), logs.group("/app/insights", "c")
    now = logs.now()
    logs.put(one, "a", [(now - 2, '{"level": "error", "ms": 5}'), (now - 1, '{"level": "info"}')])
    logs.put(one, "b", [(now, "plain")])
    logs.put(two, "c", [(now - 3, '{"level": "error", "ms": 7}')])
    query = start(logs, "filter level = 'error' | stats count(*) as n, sum(ms) as ms by @logStream", one, two)
    found = finished(logs, query)
    assert found["results"] == [
        [{"field": "@logStream", "value": "a"}, {"field": "n", "value": "1"}, {"field": "ms", "value": "5"}],
        [{"field": "@logStream", "value": "c"}, {"field": "n", "value": "1"}, {"field": "ms", "value": "7"}],
    ]
    size = sum(26 + len(text) for text in ('{"level": "error", "ms": 5}', '{"level": "info"}', "plain"))
    assert found["statistics"] == {
        "recordsMatched": 2.0,
        "recordsScanned": 4.0,
        "bytesScanned": float(size + 26 + len('{"level": "error", "ms": 7}')),
        "logGroupsScanned": 2.0,
        "estimatedRecordsSkipped": 0.0,
        "estimatedBytesSkipped": 0.0,
    }
    assert (found["status"], found["queryLanguage"]) == ("Complete", "CWLI")
    listed = logs.of().list_log_groups_for_query(queryId=query)["logGroupIdentifiers"]
    assert listed == [f"{GROUP_ARN}{one}", f"{GROUP_ARN}{two}"]


def test_pages_of_results_and_the_window(logs: Logs) -> None:
    group = logs.group("/app/insights", "s")
    now = logs.now() // 1000 * 1000
    logs.put(group, "s", [(now - 5_000 + number * 1000, f"m{number}") for number in range(6)])
    query = start(logs, "fields @message", group, limit=4)
    assert finished(logs, query)["status"] == "Complete"
    client = logs.of()
    first = client.get_query_results(queryId=query, maxItems=3)
    second = client.get_query_results(queryId=query, maxItems=3, nextToken=first["nextToken"])
    rows = [*first["results"], *second["results"]]
    assert [row[0]["value"] for row in rows] == ["m5", "m4", "m3", "m2"]
    assert "nextToken" not in second
    window = {"startTime": now // 1000 - 3, "endTime": now // 1000 - 1}
    assert [row["@message"] for row in asked(logs, "fields @message", group, **window)] == ["m4", "m3", "m2"]


def test_a_record_by_its_pointer(logs: Logs) -> None:
    group = logs.group("/app/insights", "s")
    now = logs.now()
    logs.put(group, "s", [(now - 1, "plain"), (now, '{"a": {"b": [1.5, null, true]}, "c": "d"}')])
    (row,) = asked(logs, "filter c = 'd'", group)
    pointer = row["@ptr"]
    record = logs.of().get_log_record(logRecordPointer=pointer)["logRecord"]
    ingested = record.pop("@ingestionTime")
    assert abs(int(ingested) - now) < 60_000
    assert record == {
        "@timestamp": str(now),
        "@message": '{"a": {"b": [1.5, null, true]}, "c": "d"}',
        "@logStream": "s",
        "@log": f"{ACCOUNT}:{group}",
        "@ptr": pointer,
        "a.b.0": "1.5",
        "a.b.2": "true",
        "c": "d",
    }
    absent = ("ResourceNotFoundException", "The specified log record does not exist.")
    for other in (pointer[:-1] + "7", "0" * 69, pointer[:32] + "0" * 37):
        with refused(*absent):
            logs.of().get_log_record(logRecordPointer=other)
    with refused(*absent):
        logs.of("stranger").get_log_record(logRecordPointer=pointer)
    with refused("InvalidParameterException", "Invalid log record pointer."):
        logs.of().get_log_record(logRecordPointer="x")
    with pytest.raises(ClientError, match="not authorized to perform: logs:GetLogRecord"):
        logs.of("nobody").get_log_record(logRecordPointer=pointer)


def test_the_fields_of_a_group(logs: Logs) -> None:
    group = logs.group("/app/insights", "s")
    client = logs.of()
    assert client.get_log_group_fields(logGroupName=group)["logGroupFields"] == []
    now = logs.now()
    logs.put(group, "s", [(now - 2, '{"a": 1}'), (now - 1, '{"a": 1, "b": {"c": 2}}'), (now, "plain")])
    found = {
        each["name"]: each["percent"]
        for each in client.get_log_group_fields(logGroupName=group)["logGroupFields"]
    }
    system = dict.fromkeys(("@timestamp", "@message", "@logStream", "@log", "@ingestionTime"), 100)
    assert found == {**system, "a": 67, "b.c": 34}
    earlier = client.get_log_group_fields(logGroupIdentifier=group, time=now // 1000 - 86_400)
    assert earlier["logGroupFields"] == []


def test_listed_and_stopped(logs: Logs) -> None:
    group = logs.group("/app/insights", "s")
    queries = [start(logs, f"fields @message | limit {number}", group) for number in (1, 2, 3)]
    for query in queries:
        finished(logs, query)
    client = logs.of()
    shown = client.describe_queries(logGroupName=group)["queries"]
    assert {each["queryId"] for each in shown} == set(queries)
    one = next(each for each in shown if each["queryId"] == queries[0])
    assert one["queryString"] == "fields @message | limit 1"
    assert (one["status"], one["logGroupName"], one["queryLanguage"]) == ("Complete", group, "CWLI")
    assert one["userIdentity"] == f"arn:aws:iam::{ACCOUNT}:user/admin"
    assert one["queryDuration"] >= 0
    first = client.describe_queries(logGroupName=group, status="Complete", maxResults=2)
    second = client.describe_queries(logGroupName=group, status="Complete", nextToken=first["nextToken"])
    assert [each["queryId"] for each in (*first["queries"], *second["queries"])] == [
        each["queryId"] for each in shown
    ]
    assert client.describe_queries(logGroupName=group, status="Failed")["queries"] == []
    with refused("InvalidParameterException", f"Cannot stop query {queries[0]}: it is Complete."):
        client.stop_query(queryId=queries[0])
    with refused("InvalidParameterException", "The specified nextToken is invalid."):
        client.describe_queries(nextToken="x")


def test_a_query_that_is_stopped_stays_so(logs: Logs) -> None:
    group = logs.group("/app/insights", "s")
    for _ in range(100):
        query = start(logs, "stats count(*)", group)
        try:
            stopped = logs.of().stop_query(queryId=query)
        except ClientError:
            # It was quicker.
            continue
        break
    assert stopped["success"] is True
    assert finished(logs, query)["status"] == "Cancelled"
    assert asked(logs, "stats count(*) as n", group) == [{"n": "0"}]
    assert logs.of().get_query_results(queryId=query)["status"] == "Cancelled"


def test_saved_queries(logs: Logs) -> None:
    client = logs.of()
    token = "t" * 36
    saved = {"name": "saved/errors", "queryString": "filter level = 'error'", "logGroupNames": ["/app/a"]}
    made = client.put_query_definition(**saved, clientToken=token)["queryDefinitionId"]
    assert client.put_query_definition(**saved, clientToken=token)["queryDefinitionId"] == made
    client.put_query_definition(name="saved/other", queryString="limit 1", clientToken="u" * 36)
    found = client.describe_query_definitions(queryDefinitionNamePrefix="saved/")["queryDefinitions"]
    assert abs(found[0].pop("lastModified") - logs.now()) < 600_000
    assert found[0] == {**saved, "queryDefinitionId": made, "queryLanguage": "CWLI"}
    first = client.describe_query_definitions(queryDefinitionNamePrefix="saved/", maxResults=1)
    second = client.describe_query_definitions(
        queryDefinitionNamePrefix="saved/", nextToken=first["nextToken"]
    )
    assert [each["name"] for each in second["queryDefinitions"]] == ["saved/other"]
    client.put_query_definition(name="saved/new", queryString="limit 2", queryDefinitionId=made)
    assert logs.of("stranger").describe_query_definitions()["queryDefinitions"] == []
    assert client.delete_query_definition(queryDefinitionId=made)["success"] is True
    absent = ("ResourceNotFoundException", "The specified query definition does not exist.")
    with refused(*absent):
        client.delete_query_definition(queryDefinitionId=made)
    with refused(*absent):
        client.put_query_definition(name="n", queryString="limit 2", queryDefinitionId=made)
    with refused("MalformedQueryException", "unexpected symbol found x at line 1 and position 1"):
        client.put_query_definition(name="n", queryString="x")
    with refused("InvalidParameterException", "Only queries in CWLI, without parameters, are supported."):
        client.put_query_definition(name="n", queryString="x", queryLanguage="SQL")
    with refused("InvalidParameterException", "The specified nextToken is invalid."):
        client.describe_query_definitions(nextToken="x")


def test_queries_that_are_refused(logs: Logs) -> None:
    group, client, now = logs.group("/app/insights", "s"), logs.of(), logs.now() // 1000
    window: dict[str, Any] = {"startTime": now - 60, "endTime": now}
    with pytest.raises(ClientError) as malformed:
        client.start_query(logGroupName=group, queryString="fields a | foo", **window)
    response: Any = malformed.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (
        "MalformedQueryException",
        400,
    )
    assert response["queryCompileError"] == {
        "location": {"startCharOffset": 11, "endCharOffset": 14},
        "message": "unexpected symbol found foo at line 1 and position 12",
    }
    one_of = "Exactly one of logGroupName, logGroupNames and logGroupIdentifiers must be specified."
    for given in ({}, {"logGroupName": group, "logGroupNames": [group]}):
        with refused("InvalidParameterException", one_of):
            client.start_query(**given, queryString="limit 1", **window)
    with refused("InvalidParameterException", "Between 1 and 50 log groups can be queried at once."):
        client.start_query(
            logGroupNames=[f"{group}{at}" for at in range(51)], queryString="limit 1", **window
        )
    with refused("InvalidParameterException", "Only the query language CWLI is supported."):
        client.start_query(logGroupName=group, queryString="SELECT 1", queryLanguage="SQL", **window)
    with refused("InvalidParameterException", "Query's end time must not be before its start time."):
        client.start_query(logGroupName=group, queryString="limit 1", startTime=now, endTime=now - 1)
    with refused("InvalidParameterException", "limit must not be greater than 10000."):
        client.start_query(logGroupName=group, queryString="limit 1", limit=10_001, **window)
    with refused("ResourceNotFoundException", "The specified log group does not exist."):
        client.start_query(logGroupNames=[group, "/app/absent"], queryString="limit 1", **window)
    absent = ("ResourceNotFoundException", f"The specified query does not exist: {ABSENT}")
    for operation in ("get_query_results", "stop_query", "list_log_groups_for_query"):
        with refused(*absent):
            getattr(client, operation)(queryId=ABSENT)
    query = start(logs, "limit 1", group)
    with refused("ResourceNotFoundException", f"The specified query does not exist: {query}"):
        logs.of("stranger").get_query_results(queryId=query)
    finished(logs, query)
    for operation in ("get_query_results", "stop_query"):
        with pytest.raises(ClientError, match="is not authorized to perform"):
            getattr(logs.of("nobody"), operation)(queryId=query)
    with refused("InvalidParameterException", "The specified nextToken is invalid."):
        client.get_query_results(queryId=query, nextToken="x")
    with refused("InvalidParameterException", "The specified nextToken is invalid."):
        client.list_log_groups_for_query(queryId=query, nextToken="x")


def test_every_group_must_be_allowed(logs: Logs) -> None:
    mine, other = logs.group("/app/allowed", "s"), logs.group("/secret/denied", "s")
    iam = logs.of(service="iam")
    allowed = {
        "Effect": "Allow",
        "Action": ["logs:StartQuery", "logs:GetQueryResults"],
        "Resource": f"{GROUP_ARN}/app/*:*",
    }
    iam.put_user_policy(
        UserName="streamer",
        PolicyName="insights",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    )
    query = start(logs, "limit 1", mine, user="streamer")
    finished(logs, query)
    assert logs.of("streamer").get_query_results(queryId=query)["status"] == "Complete"
    for groups in ((mine, other), (other, mine)):
        with pytest.raises(ClientError, match="not authorized to perform: logs:StartQuery"):
            start(logs, "limit 1", *groups, user="streamer")


def test_a_group_whose_key_may_not_be_used_is_not_read(logs: Logs) -> None:
    group, kms = "/app/insights-under-a-key", logs.of(service="kms")
    arn = key(kms, group)
    logs.of().create_log_group(logGroupName=group, kmsKeyId=arn)
    logs.of().create_log_stream(logGroupName=group, logStreamName="s")
    logs.put(group, "s", [(logs.now(), "sealed")])
    assert [row["@message"] for row in asked(logs, "fields @message", group)] == ["sealed"]
    kms.disable_key(KeyId=arn)
    with refused(*not_allowed(group)):
        logs.messages(group)
    assert finished(logs, start(logs, "fields @message", group))["status"] == "Failed"


def test_how_many_run_at_once_and_how_long_they_are_kept(timed: Logs) -> None:
    group = timed.group("/app/insights", "s")
    queries: list[str] = []
    with refused("LimitExceededException", "Account maximum query concurrency limit of [30] reached."):
        queries.extend(start(timed, "stats count(*)", group) for _ in range(500))
    for query in queries:
        finished(timed, query)
    timed.advance("8d")
    with refused("ResourceNotFoundException", f"The specified query does not exist: {queries[0]}"):
        timed.of().get_query_results(queryId=queries[0])
    assert timed.of().describe_queries(logGroupName=group)["queries"] == []


def test_a_query_survives_a_crash(tmp_path: Any) -> None:
    with logs_server(tmp_path) as logs:
        group = logs.group("/app/crash", "s")
        logs.put(group, "s", [(logs.now(), "there")])
        queries = [start(logs, "fields @message", group) for _ in range(4)]
        logs.server.kill()
    with logs_server(tmp_path) as again:
        # What a killed server had claimed is left to it for the length of a lease.
        again.advance("2m")
        for query in queries:
            rows = finished(again, query)["results"]
            assert rows[0][0] == {"field": "@message", "value": "there"}
