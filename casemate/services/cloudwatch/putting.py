"""PutMetricData. Source: "PutMetricData", "MetricDatum", "StatisticSet"."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from casemate.api import cloudwatch
from casemate.engine.metrics import Sample, of_set, of_values
from casemate.services.cloudwatch import ageing, folding
from casemate.services.cloudwatch.metrics import Datum, Metrics
from casemate.services.cloudwatch.naming import metric_of
from casemate.services.cloudwatch.refusals import combined, invalid, lacking, not_served
from casemate.services.cloudwatch.targets import AccountMetrics, published_metrics

if TYPE_CHECKING:
    from casemate.gate.call import Call

MOST_DATA = 1_000
MOST_VALUES = 150
LARGEST = 2.0**360
_TOO_OLD, _TOO_NEW = 14 * 86_400, 2 * 3600


@cloudwatch.PutMetricData.writes(published_metrics)
def put_metric_data(
    call: Call, req: cloudwatch.PutMetricDataInput, target: AccountMetrics
) -> cloudwatch.PutMetricDataResponse:
    """Store what was measured, of up to 1,000 metrics."""
    if req.get("EntityMetricData"):
        raise not_served("EntityMetricData")
    data, namespace = req.get("MetricData", []), req["Namespace"]
    if not data:
        raise lacking("The parameter MetricData is required.")
    if len(data) > MOST_DATA:
        raise invalid(f"The collection MetricData must not have a size greater than {MOST_DATA}.")
    if namespace.startswith("AWS/") and call.identity.principal.kind != "service":
        raise invalid("The value AWS/ for parameter Namespace is invalid.")
    now = int(call.now)
    read = [_read(each, f"MetricData.member.{at}.", namespace, now) for at, each in enumerate(data, 1)]
    call.part(Metrics).put(call.tx, (call.account, call.region), read, now)
    folding.schedule(call.tx, call.now)
    ageing.schedule(call.tx, call.now)
    return {}


def _read(datum: cloudwatch.MetricDatum, where: str, namespace: str, now: int) -> Datum:
    """Raises InvalidParameterValueException and its like."""
    moment = datum.get("Timestamp")
    at = now if moment is None else math.floor(moment.timestamp())
    if at > now + _TOO_NEW:
        raise invalid(
            f"The parameter {where}Timestamp must specify a time no more than two hours in the future."
        )
    if at < now - _TOO_OLD:
        raise invalid(f"The parameter {where}Timestamp must specify a time within the past two weeks.")
    resolution = datum.get("StorageResolution", 60)
    if resolution not in (1, 60):
        raise invalid(
            f"The value {resolution} for parameter {where}StorageResolution is invalid: it is 1 or 60."
        )
    metric = metric_of(datum, where, namespace)
    return Datum(metric, resolution, at - at % resolution, datum.get("Unit", "None"), _sample(datum, where))


def _sample(datum: Mapping[str, Any], where: str) -> Sample:
    given = [name for name in ("Value", "Values", "StatisticValues") if name in datum]
    if len(given) > 1:
        raise combined(
            f"The parameters {where}{given[0]} and {where}{given[1]} are mutually exclusive and you have "
            "specified both."
        )
    counts = datum.get("Counts")
    if counts is not None and given != ["Values"]:
        raise combined(f"The parameter {where}Counts is for {where}Values only.")
    if given == ["Value"]:
        return of_values(_checked([datum["Value"]], f"{where}Value"))
    if given == ["Values"]:
        values = _checked(datum["Values"], f"{where}Values")
        if not 0 < len(values) <= MOST_VALUES:
            raise invalid(f"The collection {where}Values must have a size between 1 and {MOST_VALUES}.")
        if counts is not None and len(counts) != len(values):
            raise invalid(f"The parameters {where}Values and {where}Counts must be of the same size.")
        if counts is not None and not all(math.isfinite(each) and 0 < each <= LARGEST for each in counts):
            raise invalid(f"The value for parameter {where}Counts is invalid.")
        return of_values(values, counts)
    if given == ["StatisticValues"]:
        kept = datum["StatisticValues"]
        count, total, least, most = (
            kept["SampleCount"],
            kept["Sum"],
            kept["Minimum"],
            kept["Maximum"],
        )
        _checked([count, total, least, most], f"{where}StatisticValues")
        if count <= 0 or least > most:
            raise invalid(f"The value for parameter {where}StatisticValues is invalid.")
        return of_set(count, total, least, most)
    raise lacking(f"At least one of the parameters {where}Value, Values and StatisticValues is required.")


def _checked(values: Sequence[float], where: str) -> Sequence[float]:
    for each in values:
        if not math.isfinite(each) or abs(each) > LARGEST:
            raise invalid(f"The value {each} for parameter {where} is invalid.")
    return values
