"""GetMetricData."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from casemate.api import cloudwatch
from casemate.engine.metrics import Sample, merged
from casemate.errors import AwsError
from casemate.gate.markers import read_marker, write_marker
from casemate.services.cloudwatch.metrics import Arrived
from casemate.services.cloudwatch.naming import metric_of
from casemate.services.cloudwatch.refusals import not_served, unfit
from casemate.services.cloudwatch.series import (
    arrived,
    in_periods,
    is_period,
    is_statistic,
    rounded_start,
    value_of,
)
from casemate.services.cloudwatch.targets import AccountMetrics, account_metrics

if TYPE_CHECKING:
    from casemate.gate.call import Call

MOST_QUERIES = 500
MOST_POINTS = 100_800
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
_SCOPE = "GetMetricData"


@cloudwatch.GetMetricData.reads(account_metrics)
def get_metric_data(
    call: Call, req: cloudwatch.GetMetricDataInput, target: AccountMetrics
) -> cloudwatch.GetMetricDataOutput:
    """The data of up to 500 metrics, each by a statistic and a period."""
    queries = req["MetricDataQueries"]
    _must_be_queries(call, queries)
    start, end = math.floor(req["StartTime"].timestamp()), math.ceil(req["EndTime"].timestamp())
    if start >= end:
        raise unfit("The parameter StartTime must be less than the parameter EndTime.")
    token = req.get("NextToken")
    marker = "0" if token is None else read_marker(_SCOPE, token) or ""
    if not marker.isascii() or not marker.isdecimal():
        raise AwsError("InvalidNextToken", "The next token specified is invalid.")
    left, behind = min(req.get("MaxDatapoints", MOST_POINTS), MOST_POINTS), int(marker)
    if left < 1:
        raise unfit("The parameter MaxDatapoints must be at least 1.")
    downwards = req.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    results: list[cloudwatch.MetricDataResult] = []
    given, more, new = behind, False, arrived(call)
    for query in queries:
        if not query.get("ReturnData", True):
            continue
        values = sorted(_values(call, query, start, end, new), reverse=downwards)
        page = values[behind : behind + left]
        cut = len(values) > behind + len(page)
        more = more or cut
        given += len(page)
        left -= len(page)
        behind = max(0, behind - len(values))
        results.append(
            {
                "Id": query["Id"],
                "Label": _label(query),
                "Timestamps": [datetime.fromtimestamp(at, UTC) for at, _ in page],
                "Values": [value for _, value in page],
                "StatusCode": "PartialData" if cut else "Complete",
            }
        )
    answer: cloudwatch.GetMetricDataOutput = {"MetricDataResults": results, "Messages": []}
    if more:
        answer["NextToken"] = write_marker(_SCOPE, str(given))
    return answer


def _label(query: Mapping[str, Any]) -> str:
    label: str = query.get("Label") or query["MetricStat"]["Metric"]["MetricName"]
    return label


def _must_be_queries(call: Call, queries: Sequence[Mapping[str, Any]]) -> None:
    """Raises ValidationError."""
    if not 0 < len(queries) <= MOST_QUERIES:
        raise unfit(f"The collection MetricDataQueries must have a size between 1 and {MOST_QUERIES}.")
    if len({query["Id"] for query in queries}) < len(queries):
        raise unfit("The values for parameter Id in MetricDataQueries are not unique.")
    for at, query in enumerate(queries, 1):
        where = f"MetricDataQueries.member.{at}"
        if _ID.fullmatch(query["Id"]) is None:
            raise unfit(
                f"The value {query['Id']} for parameter {where}.Id is not matching the expected pattern "
                "^[a-z][a-zA-Z0-9_]*$"
            )
        if ("Expression" in query) == ("MetricStat" in query):
            raise unfit(
                f"Exactly one of the parameters {where}.Expression and {where}.MetricStat is required."
            )
        if query.get("AccountId", call.account) != call.account:
            raise unfit(f"The value for parameter {where}.AccountId is not an account that is linked.")
        if "MetricStat" not in query:
            raise not_served("Expression of GetMetricData")
        stat = query["MetricStat"]
        if not is_period(stat["Period"]):
            raise unfit(
                f"The parameter {where}.MetricStat.Period must be 1, 5, 10, 20, 30, or a multiple of 60."
            )
        if not is_statistic(stat["Stat"]):
            raise unfit(f"The value {stat['Stat']} for parameter {where}.MetricStat.Stat is not supported.")
        metric = stat["Metric"]
        if "Namespace" not in metric or "MetricName" not in metric:
            raise unfit(f"The parameters {where}.MetricStat.Metric.Namespace and MetricName are required.")


def _values(
    call: Call, query: Mapping[str, Any], start: int, end: int, new: Arrived
) -> Sequence[tuple[int, float]]:
    stat: Mapping[str, Any] = query["MetricStat"]
    period = stat["Period"]
    metric = metric_of(stat["Metric"], "")
    found = in_periods(
        call, metric, rounded_start(start, period, int(call.now)), end, period, stat.get("Unit"), new
    )
    # A series has no units: whatever was measured in several counts together.
    by_start: dict[int, list[Sample]] = {}
    for (at, _), sample in found.items():
        by_start.setdefault(at, []).append(sample)
    values = ((at, value_of(merged(samples), stat["Stat"])) for at, samples in by_start.items())
    return [(at, value) for at, value in values if value is not None]
