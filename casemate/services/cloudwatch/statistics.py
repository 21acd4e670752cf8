"""GetMetricStatistics."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from casemate.api import cloudwatch
from casemate.engine.metrics import read_percentile
from casemate.services.cloudwatch.naming import metric_of
from casemate.services.cloudwatch.refusals import combined, invalid, lacking
from casemate.services.cloudwatch.series import arrived, in_periods, is_period, rounded_start, value_of
from casemate.services.cloudwatch.targets import AccountMetrics, account_metrics

if TYPE_CHECKING:
    from casemate.gate.call import Call

MOST_POINTS = 1_440


@cloudwatch.GetMetricStatistics.reads(account_metrics)
def get_metric_statistics(
    call: Call, req: cloudwatch.GetMetricStatisticsInput, target: AccountMetrics
) -> cloudwatch.GetMetricStatisticsOutput:
    """Statistics of one metric by periods."""
    plain, extended = req.get("Statistics"), req.get("ExtendedStatistics")
    if not plain and not extended:
        raise lacking("Must specify either Statistics or ExtendedStatistics.")
    if plain and extended:
        raise combined("Must specify either Statistics or ExtendedStatistics, not both.")
    for name in extended or ():
        if read_percentile(name) is None:
            raise invalid(f"The value {name} for parameter ExtendedStatistics is not supported.")
    period = req["Period"]
    if not is_period(period):
        raise invalid(f"The parameter Period must be 1, 5, 10, 20, 30, or a multiple of 60; it is {period}.")
    start, end = math.floor(req["StartTime"].timestamp()), math.ceil(req["EndTime"].timestamp())
    if start >= end:
        raise invalid("The parameter StartTime must be less than the parameter EndTime.")
    metric = metric_of(req, "")
    start = rounded_start(start, period, int(call.now))
    points = -(-(end - start) // period)
    if points > MOST_POINTS:
        raise combined(
            f"You have requested up to {points:,} datapoints, which exceeds the limit of {MOST_POINTS:,}. You may "
            "reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
    found: list[Any] = []
    kept = in_periods(call, metric, start, end, period, req.get("Unit"), arrived(call))
    for (at, unit), sample in sorted(kept.items()):
        point: dict[str, Any] = {"Timestamp": datetime.fromtimestamp(at, UTC), "Unit": unit}
        if extended:
            values = {name: value_of(sample, name) for name in extended}
            told = {name: value for name, value in values.items() if value is not None}
            if not told:
                continue
            point["ExtendedStatistics"] = told
        else:
            point |= {name: value_of(sample, name) for name in plain or ()}
        found.append(point)
    return {"Label": metric.name, "Datapoints": found}
