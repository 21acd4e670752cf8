"""Logs Insights: StartQuery, GetQueryResults, StopQuery, DescribeQueries, ListLogGroupsForQuery.

Source: "Analyzing log data with CloudWatch Logs Insights", "StartQuery", "GetQueryResults".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from casemate.api import logs
from casemate.engine.logs.insights import QueryError, plan_query
from casemate.errors import AwsError
from casemate.gate.markers import read_marker, write_marker
from casemate.gate.operation import Need
from casemate.services.logs import querying
from casemate.services.logs.naming import group_arn
from casemate.services.logs.query_store import GOING, Queries, Query
from casemate.services.logs.query_targets import (
    AskedGroups,
    AskedQuery,
    asked_groups,
    query_anywhere,
    query_with_groups,
)
from casemate.services.logs.refusals import bad_token, invalid
from casemate.services.logs.targets import anywhere

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.resource import Resource

MOST_AT_ONCE = 30
MOST_ROWS = 10_000
_RESULTS, _QUERIES, _GROUPS = "GetQueryResults", "DescribeQueries", "ListLogGroupsForQuery"


@logs.StartQuery.writes(asked_groups, Need("logs:StartQuery", lambda asked: asked.first))
def start_query(call: Call, req: logs.StartQueryRequest, asked: AskedGroups) -> logs.StartQueryResponse:
    """Query groups in the language of Logs Insights; the results are got by GetQueryResults."""
    if req.get("queryLanguage", "CWLI") != "CWLI":
        raise invalid("Only the query language CWLI is supported.")
    if req["startTime"] > req["endTime"]:
        raise invalid("Query's end time must not be before its start time.")
    limit = req.get("limit", MOST_ROWS)
    if limit > MOST_ROWS:
        raise invalid(f"limit must not be greater than {MOST_ROWS}.")
    must_be_query(req["queryString"])
    queries = call.part(Queries)
    if queries.going(call.tx, call.account, call.region) >= MOST_AT_ONCE:
        raise AwsError(
            "LimitExceededException", f"Account maximum query concurrency limit of [{MOST_AT_ONCE}] reached."
        )
    made = Query(
        call.account,
        call.region,
        str(uuid4()),
        int(call.now * 1000),
        "Scheduled",
        None,
        {
            "text": req["queryString"],
            "start": min(req["startTime"] * 1000, 1 << 53),
            # Both ends are seconds, and included.
            "end": min(req["endTime"] * 1000 + 999, 1 << 53),
            "limit": limit,
            "groups": [[each.account, each.id, each.name] for each in asked.groups],
            "user": call.identity.principal.arn,
        },
    )
    queries.add(call.tx, made)
    querying.schedule(call.tx, made, call.now)
    return {"queryId": made.id}


def must_be_query(text: str) -> None:
    """Raises MalformedQueryException."""
    try:
        plan_query(text)
    except QueryError as error:
        raise AwsError(
            "MalformedQueryException",
            error.message,
            queryCompileError={
                "location": {"startCharOffset": error.start, "endCharOffset": error.end},
                "message": error.message,
            },
        ) from None


@logs.GetQueryResults.reads(query_with_groups, Need("logs:GetQueryResults", lambda asked: asked.first))
def get_query_results(
    call: Call, req: logs.GetQueryResultsRequest, asked: AskedQuery
) -> logs.GetQueryResultsResponse:
    """What a query has found, and how far it is."""
    query = asked.found()
    rows, statistics = call.part(Queries).result(call.tx, query)
    token = req.get("nextToken")
    scope = f"{_RESULTS} {query.id}"
    marker = "0" if token is None else read_marker(scope, token) or ""
    if not (marker.isascii() and marker.isdecimal()):
        raise bad_token()
    first = int(marker)
    last = first + (req.get("maxItems") or MOST_ROWS)
    answer: logs.GetQueryResultsResponse = {
        "queryLanguage": "CWLI",
        "results": [[{"field": name, "value": value} for name, value in row] for row in rows[first:last]],
        "statistics": {
            "recordsMatched": 0.0,
            "recordsScanned": 0.0,
            "estimatedRecordsSkipped": 0.0,
            "bytesScanned": 0.0,
            "estimatedBytesSkipped": 0.0,
            "logGroupsScanned": 0.0,
            **statistics,  # type: ignore[typeddict-item]
        },
        "status": query.status,  # type: ignore[typeddict-item]
    }
    if last < len(rows):
        answer["nextToken"] = write_marker(scope, str(last))
    return answer


@logs.StopQuery.writes(query_anywhere, Need("logs:StopQuery", lambda asked: asked.first))
def stop_query(call: Call, req: logs.StopQueryRequest, asked: AskedQuery) -> logs.StopQueryResponse:
    """Stop a query that is not over."""
    query, queries = asked.found(), call.part(Queries)
    if not queries.change(call.tx, query, "Cancelled", int(call.now * 1000)):
        raise invalid(f"Cannot stop query {query.id}: it is {query.status}.")
    call.committed(lambda: queries.interrupt(query.id))
    return {"success": True}


@logs.DescribeQueries.reads(anywhere)
def describe_queries(
    call: Call, req: logs.DescribeQueriesRequest, target: Resource
) -> logs.DescribeQueriesResponse:
    """The account's queries of the last seven days, the latest first."""
    name, status = req.get("logGroupName"), req.get("status")
    found = [
        query
        for query in call.part(Queries).all(call.tx, call.account, call.region, int(call.now * 1000))
        if (name is None or any(name == each for _, _, each in query.groups))
        and status in (None, query.status)
        and req.get("queryLanguage", "CWLI") == "CWLI"
    ]
    token = req.get("nextToken")
    if token is not None:
        after = read_marker(_QUERIES, token)
        place = next((at for at, query in enumerate(found, 1) if query.id == after), None)
        if place is None:
            raise bad_token()
        found = found[place:]
    limit = req.get("maxResults", 1000)
    answer: logs.DescribeQueriesResponse = {"queries": [_described(call, query) for query in found[:limit]]}
    if len(found) > limit:
        answer["nextToken"] = write_marker(_QUERIES, found[limit - 1].id)
    return answer


def _described(call: Call, query: Query) -> logs.QueryInfo:
    _, statistics = ((), {}) if query.status in GOING else call.part(Queries).result(call.tx, query)
    shown: Any = {
        "queryLanguage": "CWLI",
        "queryId": query.id,
        "queryString": query.asked["text"],
        "status": query.status,
        "createTime": query.created,
        "logGroupName": query.groups[0][2],
        "bytesScanned": statistics.get("bytesScanned", 0.0),
        "userIdentity": query.asked["user"],
    }
    if query.finished is not None:
        shown["queryDuration"] = query.finished - query.created
    described: logs.QueryInfo = shown
    return described


@logs.ListLogGroupsForQuery.reads(
    query_anywhere, Need("logs:ListLogGroupsForQuery", lambda asked: asked.first)
)
def list_log_groups_for_query(
    call: Call, req: logs.ListLogGroupsForQueryRequest, asked: AskedQuery
) -> logs.ListLogGroupsForQueryResponse:
    """The groups that a query asks."""
    query = asked.found()
    arns = [group_arn(account, query.region, name) for account, _, name in query.groups]
    if "nextToken" in req:
        # All of them, 50 at most, are on the first page.
        raise bad_token()
    return {"logGroupIdentifiers": arns}
