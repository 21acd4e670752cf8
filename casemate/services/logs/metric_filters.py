"""Metric filters: what a pattern means is measured as it comes.

The metrics are put in the transaction that stores the events: those of an acknowledged event are there and count
once. CloudWatch Logs asks CloudWatch as its service principal.

Source: "PutMetricFilter", "MetricTransformation", "Creating metrics from log events using filters".
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from casemate.api import cloudwatch, logs
from casemate.engine.logs import PatternError, compile_pattern, compile_transformation
from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as
from casemate.gate.markers import read_marker, write_marker
from casemate.services.logs import metric_defaults
from casemate.services.logs.encryption import PRINCIPAL
from casemate.services.logs.groups import Group, GroupRow, Groups
from casemate.services.logs.naming import group_arn
from casemate.services.logs.patterns import checked_pattern
from casemate.services.logs.refusals import bad_token, invalid
from casemate.services.logs.targets import anywhere, named_group, named_or_all_groups

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.resource import Resource
    from casemate.services.logs.groups import AccountWide

log = logging.getLogger("casemate.logs")

MOST = 100
MOST_DIMENSIONS = 3
MOST_REGEXES = 5
"""Filters of a group whose patterns have regular expressions."""
_VALUES, _DATA = 150, 1_000
"""Of one datum, of one call of PutMetricData."""
_SCOPE = "DescribeMetricFilters"

Filter = Mapping[str, Any]
"""As a group's settings have it: name, pattern, created, and the transformation's members."""


def _filters(row: GroupRow) -> list[Filter]:
    found: list[Filter] = row.settings.get("metric_filters") or []
    return found


@logs.PutMetricFilter.writes(named_group)
def put_metric_filter(
    call: Call, req: logs.PutMetricFilterRequest, group: Group
) -> logs.PutMetricFilterResponse:
    """Measure the events that a pattern means: a filter of that name, or another form of it."""
    for name in ("applyOnTransformedLogs", "fieldSelectionCriteria", "emitSystemFieldDimensions"):
        if req.get(name):
            raise invalid(f"{name} is not supported.")
    (transformation,) = req["metricTransformations"]
    pattern = checked_pattern(req["filterPattern"])
    _must_be_transformation(req["filterPattern"], transformation)
    old = {each["name"]: each for each in _filters(group.row)}
    others = [each for name, each in old.items() if name != req["filterName"]]
    if len(others) >= MOST:
        raise AwsError("LimitExceededException", "Resource limit exceeded.")
    if (
        pattern.regexes
        and sum(compile_pattern(each["pattern"]).regexes > 0 for each in others) >= MOST_REGEXES
    ):
        raise AwsError("LimitExceededException", "Resource limit exceeded.")
    kept = old.get(req["filterName"])
    made = {
        "name": req["filterName"],
        "pattern": req["filterPattern"],
        "created": kept["created"] if kept else int(call.now * 1000),
        "transformation": dict(transformation),
    }
    call.part(Groups).configure(call.tx, group.row, metric_filters=[*others, made])
    if "defaultValue" in transformation:
        metric_defaults.schedule(call.tx, call.now)
    return {}


def _must_be_transformation(pattern: str, transformation: logs.MetricTransformation) -> None:
    """Raises InvalidParameterException."""
    dimensions = transformation.get("dimensions", {})
    if dimensions and "defaultValue" in transformation:
        raise invalid(
            "Invalid metric transformation: dimensions and default value are mutually exclusive properties."
        )
    if len(dimensions) > MOST_DIMENSIONS:
        raise invalid(f"Invalid metric transformation: more than {MOST_DIMENSIONS} dimensions.")
    names = (transformation["metricName"], transformation["metricNamespace"], *dimensions)
    if not all(name.strip() and name.isascii() and name.isprintable() and len(name) <= 255 for name in names):
        raise invalid("Invalid metric transformation: names must be of printable ASCII characters.")
    if transformation["metricNamespace"].startswith("AWS/"):
        raise invalid("Invalid metric transformation: namespaces that begin with AWS/ are AWS's own.")
    try:
        compile_transformation(pattern, transformation["metricValue"], dimensions)
    except PatternError as error:
        raise invalid(f"Invalid metric transformation: {error}.") from None


@logs.DeleteMetricFilter.writes(named_group)
def delete_metric_filter(
    call: Call, req: logs.DeleteMetricFilterRequest, group: Group
) -> logs.DeleteMetricFilterResponse:
    """Measure no more by that filter; what it measured stays."""
    left = [each for each in _filters(group.row) if each["name"] != req["filterName"]]
    if len(left) == len(_filters(group.row)):
        raise AwsError("ResourceNotFoundException", "The specified metric filter does not exist.")
    call.part(Groups).configure(call.tx, group.row, metric_filters=left or None)
    return {}


@logs.DescribeMetricFilters.reads(named_or_all_groups)
def describe_metric_filters(
    call: Call, req: logs.DescribeMetricFiltersRequest, target: Group | AccountWide
) -> logs.DescribeMetricFiltersResponse:
    """A group's metric filters by name, or the account's by group and name, or those of one metric."""
    name, namespace = req.get("metricName"), req.get("metricNamespace")
    if (name is None) != (namespace is None):
        raise invalid("metricName and metricNamespace must be specified together.")
    token, limit = req.get("nextToken"), req.get("limit", 50)
    marker = "\t" if token is None else read_marker(_SCOPE, token) or ""
    of_group, found_tab, after = marker.partition("\t")
    if not found_tab:
        raise bad_token()
    prefix = req.get("filterNamePrefix", "")
    shown: list[logs.MetricFilter] = []
    last = ""
    for row in _rows(call, target, of_group):
        for each in sorted(_filters(row), key=lambda each: str(each["name"])):
            transformation = each["transformation"]
            if (
                (row.name == of_group and each["name"] <= after)
                or not each["name"].startswith(prefix)
                or name not in (None, transformation["metricName"])
                or namespace not in (None, transformation["metricNamespace"])
            ):
                continue
            if len(shown) == limit:
                return {"metricFilters": shown, "nextToken": write_marker(_SCOPE, last)}
            shown.append(
                {
                    "filterName": each["name"],
                    "filterPattern": each["pattern"],
                    "metricTransformations": [transformation],
                    "creationTime": each["created"],
                    "logGroupName": row.name,
                }
            )
            last = f"{row.name}\t{each['name']}"
    return {"metricFilters": shown}


def _rows(call: Call, target: Group | AccountWide, first: str) -> Iterator[GroupRow]:
    """The groups that are asked for, from one on, by name."""
    if isinstance(target, Group):
        yield target.row
        return
    groups, place = call.part(Groups), (call.account, call.region)
    if first:
        row = groups.load(call.tx, (*place, first))
        if row is not None:
            yield row
    while rows := groups.after(call.tx, *place, first, "", 200):
        yield from rows
        first = rows[-1].name


@logs.TestMetricFilter.reads(anywhere)
def test_metric_filter(
    call: Call, req: logs.TestMetricFilterRequest, target: Resource
) -> logs.TestMetricFilterResponse:
    """Which of the messages a pattern means, and what of each it names."""
    pattern = checked_pattern(req["filterPattern"])
    matching: list[logs.MetricFilterMatchRecord] = [
        {"eventNumber": at, "eventMessage": message, "extractedValues": dict(pattern.extract(message))}
        for at, message in enumerate(req["logEventMessages"], 1)
        if pattern.matches(message)
    ]
    return {"matches": matching}


def measure(call: Call, group: Group, events: Sequence[tuple[int, str]]) -> None:
    """Put the metrics of a batch (timestamp, message), in the transaction that stores it."""
    filters = _filters(group.row)
    if not filters:
        return
    data: dict[str, list[cloudwatch.MetricDatum]] = defaultdict(list)
    for each in filters:
        matches, transformation = compile_pattern(each["pattern"]).matches, each["transformation"]
        chosen = [event for event in events if matches(event[1])]
        if chosen:
            data[transformation["metricNamespace"]] += _data(each["pattern"], transformation, chosen)
        if "defaultValue" in transformation:
            metric_defaults.seen(call.tx, group.row, each["name"], call.now, matched=bool(chosen))
    for namespace, of_namespace in data.items():
        for at in range(0, len(of_namespace), _DATA):
            put(call, group.row, namespace, of_namespace[at : at + _DATA])


def _data(
    pattern: str, transformation: logs.MetricTransformation, events: Sequence[tuple[int, str]]
) -> Iterator[cloudwatch.MetricDatum]:
    """What the events that a filter means make of its metric, by the minute and by dimensions."""
    value_of = compile_transformation(
        pattern, transformation["metricValue"], transformation.get("dimensions", {})
    )
    gathered: dict[tuple[int, Any], tuple[int, dict[float, float]]] = {}
    for timestamp, message in events:
        measured = value_of(message)
        if measured is None:
            continue
        value, dimensions = measured
        _, counts = gathered.setdefault((timestamp // 60_000, dimensions), (timestamp, {}))
        counts[value] = counts.get(value, 0.0) + 1.0
    for (_, dimensions), (first, counts) in gathered.items():
        values = list(counts)
        for at in range(0, len(values), _VALUES):
            part = values[at : at + _VALUES]
            yield {
                "MetricName": transformation["metricName"],
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions],
                "Timestamp": datetime.fromtimestamp(first / 1000, UTC),
                "Values": part,
                "Counts": [counts[value] for value in part],
                "Unit": transformation.get("unit", "None"),
            }


def put(call: Call, row: GroupRow, namespace: str, data: list[cloudwatch.MetricDatum]) -> None:
    """Put metrics of a group, as CloudWatch Logs."""
    account, region, _ = row.place
    by_logs = act_as(call, Actor(PRINCIPAL, account, region, source_arn=group_arn(*row.place)))
    try:
        cloudwatch.PutMetricData.ask(by_logs, {"Namespace": namespace, "MetricData": data})
    except AwsError as refusal:
        if refusal.status >= 500:
            raise
        # Whoever puts events has nothing to do with who measures them: the refusal is in the audit.
        log.warning("metrics of %s are not put: %s", group_arn(*row.place), refusal.code)


def put_default(call: Call, row: GroupRow, name: str, minute: int) -> None:
    """Put a filter's default value for a minute in which it meant no event."""
    for each in _filters(row):
        transformation = each["transformation"]
        if each["name"] == name and "defaultValue" in transformation:
            datum: cloudwatch.MetricDatum = {
                "MetricName": transformation["metricName"],
                "Timestamp": datetime.fromtimestamp(minute * 60, UTC),
                "Value": transformation["defaultValue"],
                "Unit": transformation.get("unit", "None"),
            }
            put(call, row, transformation["metricNamespace"], [datum])
