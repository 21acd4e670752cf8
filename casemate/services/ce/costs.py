"""GetCostAndUsage, GetCostAndUsageWithResources, GetDimensionValues."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple, cast

from casemate.api import ce as api
from casemate.engine.billing.bill import Line, month_after, month_of
from casemate.engine.billing.prices import current_prices
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.regions import partition_of
from casemate.gate.resource import Resource
from casemate.services.ce.meter import Meter, Overtaken
from casemate.services.ce.query import (
    RESOURCE_ID,
    check_metrics,
    dimension,
    dimensions_of,
    grouping,
    invalid,
    metrics_of,
    test_of,
)
from casemate.services.ce.usage import Bills, lines, today
from casemate.store.journal_format import JournalTampered

_MONTHS_BACK = 14
_DAYS_OF_RESOURCES = 14
_GROUPS_ON_PAGE = 5_000
_VALUES_ON_PAGE = 1_000


def everything(call: Call, request: Mapping[str, Any]) -> Resource:
    """The account's costs: "*" in policies. A billing view is the account's primary one."""
    view = request.get("BillingViewArn")
    primary = f"arn:{partition_of(call.region)}:billing::{call.account}:billingview/primary"
    missing = None
    if view is not None and view != primary:
        missing = AwsError("ResourceNotFoundException", f"The billing view {view} does not exist.")
    return Resource("*" if view is None else view, call.account, missing=missing)


class Period(NamedTuple):
    """From the day start up to the day end."""

    start: date
    end: date


def _period(call: Call, interval: api.DateInterval) -> Period:
    try:
        start, end = date.fromisoformat(interval["Start"]), date.fromisoformat(interval["End"])
    except ValueError:
        raise invalid("Start and End are days, as 2026-11-25, of the calendar.") from None
    if start >= end:
        raise invalid("Start date (and hour) should be before end date (and hour)")
    present = month_of(today(call.now))
    if end > month_after(present):
        raise invalid("end date past the beginning of next month")
    oldest = present
    for _ in range(_MONTHS_BACK):
        oldest = month_of(oldest - timedelta(days=1))
    if start < oldest:
        raise invalid("You haven't enabled historical data beyond 14 months")
    return Period(start, end)


class _Used(NamedTuple):
    """lines: what the caller may see; names: of the accounts."""

    lines: list[Line]
    names: Mapping[str, str]


def _used(call: Call, period: Period) -> _Used:
    """What the account used, up to the calls that were answered before this one; a management account's organisation,
    too."""
    meter = call.part(Meter)
    call.before("usage", partial(_catch_up, meter))
    bill = call.part(Bills).of(call.tx, call.account)
    found = lines(call.tx, meter.billed.values(), current_prices(), bill, *period, call.now)
    if call.account != bill.payer:
        found = [line for line in found if line.account == call.account]
    return _Used(found, bill.accounts)


def _catch_up(meter: Meter) -> None:
    try:
        meter.catch_up(gently=True)
    except JournalTampered:
        raise AwsError("DataUnavailableException", "The audit journal is not as it was written.") from None
    except Overtaken:
        raise AwsError("DataUnavailableException", "Usage is being counted. Try again shortly.") from None


@api.GetCostAndUsage.reads(everything)
def get_cost_and_usage(
    call: Call, req: api.GetCostAndUsageRequest, target: Resource
) -> api.GetCostAndUsageResponse:
    """What the account's use would cost on AWS, by day or month, filtered and grouped."""
    period = _period(call, req["TimePeriod"])
    if RESOURCE_ID in (
        *dimensions_of(req.get("Filter")),
        *(each.get("Key") for each in req.get("GroupBy", [])),
    ):
        raise invalid(f"Dimension {RESOURCE_ID} is not supported.")
    return cast("api.GetCostAndUsageResponse", _costs(call, "GetCostAndUsage", req, period))


@api.GetCostAndUsageWithResources.reads(everything)
def get_cost_and_usage_with_resources(
    call: Call, req: api.GetCostAndUsageWithResourcesRequest, target: Resource
) -> api.GetCostAndUsageWithResourcesResponse:
    """The same of single resources, as keys are, of the last 14 days."""
    period = _period(call, req["TimePeriod"])
    if period.start < today(call.now) - timedelta(days=_DAYS_OF_RESOURCES):
        raise invalid(f"The start date cannot be earlier than {_DAYS_OF_RESOURCES} days ago.")
    if RESOURCE_ID not in (
        *dimensions_of(req["Filter"]),
        *(each.get("Key") for each in req.get("GroupBy", [])),
    ):
        raise invalid(f"Group by or filter by {RESOURCE_ID}.")
    return cast(
        "api.GetCostAndUsageWithResourcesResponse", _costs(call, "GetCostAndUsageWithResources", req, period)
    )


def _costs(call: Call, operation: str, req: Mapping[str, Any], period: Period) -> dict[str, Any]:
    if req["Granularity"] == "HOURLY":
        raise AwsError(
            "AccessDeniedException",
            "Hourly data granularity is an opt-in only feature. You can enable this feature from the PAYER "
            "account's Cost Explorer Settings page.",
        )
    names = req.get("Metrics", [])
    check_metrics(names)
    wanted = test_of(req.get("Filter"))
    definitions = req.get("GroupBy", [])
    group_of = grouping(definitions)
    token = _Token(operation, req)
    everything_used, account_names = _used(call, period)
    used = [line for line in everything_used if wanted(line)]
    present = month_of(today(call.now))
    # A period, and a group of it; None for one without groups.
    entries: list[tuple[Period, tuple[str, ...] | None, list[Line]]] = []
    for each in _split(period, monthly=req["Granularity"] == "MONTHLY"):
        of_period = [line for line in used if each.start <= line.day < each.end]
        groups: dict[tuple[str, ...], list[Line]] = {}
        if definitions:
            for line in of_period:
                groups.setdefault(group_of(line), []).append(line)
        entries += [(each, keys, groups[keys]) for keys in sorted(groups)] or [(each, None, of_period)]
    results: dict[Period, dict[str, Any]] = {}
    for each, keys, of_group in entries[token.skipped : token.skipped + _GROUPS_ON_PAGE]:
        result = results.setdefault(
            each,
            {
                "TimePeriod": {"Start": each.start.isoformat(), "End": each.end.isoformat()},
                "Total": {} if definitions else metrics_of(names, of_group),
                "Groups": [],
                "Estimated": each.end > present,
            },
        )
        if keys is not None:
            result["Groups"].append({"Keys": list(keys), "Metrics": metrics_of(names, of_group)})
    answer: dict[str, Any] = {"ResultsByTime": list(results.values()), "DimensionValueAttributes": []}
    if {"Type": "DIMENSION", "Key": "LINKED_ACCOUNT"} in definitions:
        shown = {line.account for line in used}
        answer["DimensionValueAttributes"] = [
            {"Value": account, "Attributes": {"description": account_names[account]}}
            for account in sorted(shown)
        ]
    if definitions:
        answer["GroupDefinitions"] = definitions
    if token.skipped + _GROUPS_ON_PAGE < len(entries):
        answer["NextPageToken"] = token.after(_GROUPS_ON_PAGE)
    return answer


def _split(period: Period, *, monthly: bool) -> Iterable[Period]:
    start = period.start
    while start < period.end:
        end = min(month_after(start) if monthly else start + timedelta(days=1), period.end)
        yield Period(start, end)
        start = end


@api.GetDimensionValues.reads(everything)
def get_dimension_values(
    call: Call, req: api.GetDimensionValuesRequest, target: Resource
) -> api.GetDimensionValuesResponse:
    """The values that a dimension has in the account's use."""
    context = req.get("Context", "COST_AND_USAGE")
    if context != "COST_AND_USAGE":
        raise invalid(f"Context {context} is not supported.")
    period = _period(call, req["TimePeriod"])
    if req["Dimension"] == RESOURCE_ID:
        raise invalid(f"Dimension {RESOURCE_ID} is not supported.")
    of_line = dimension(req["Dimension"])
    wanted = test_of(req.get("Filter"))
    sorting = req.get("SortBy", [])
    if sorting and ("NextPageToken" in req or "SearchString" in req):
        raise invalid("NextPageToken and SearchString are not supported together with SortBy.")
    check_metrics([each["Key"] for each in sorting] or ["UnblendedCost"])
    token = _Token("GetDimensionValues", req)
    by_value: dict[str, list[Line]] = {}
    used, account_names = _used(call, period)
    for line in used:
        if wanted(line):
            by_value.setdefault(of_line(line), []).append(line)
    search = req.get("SearchString", "").lower()
    values = sorted(value for value in by_value if search in value.lower())
    limit = _VALUES_ON_PAGE
    if sorting:
        limit = min(limit, req.get("MaxResults", limit))
        for each in reversed(sorting):
            values.sort(
                key=lambda value: _amount(each["Key"], by_value[value]),
                reverse=each.get("SortOrder", "ASCENDING") == "DESCENDING",
            )
    shown = values[token.skipped : token.skipped + limit]
    named = req["Dimension"] == "LINKED_ACCOUNT"
    more = {}
    if not sorting and token.skipped + limit < len(values):
        more = {"NextPageToken": token.after(limit)}
    answer: dict[str, Any] = {
        "DimensionValues": [
            {"Value": value, "Attributes": {"description": account_names[value]} if named else {}}
            for value in shown
        ],
        "ReturnSize": len(shown),
        "TotalSize": len(values),
        **more,
    }
    return cast("api.GetDimensionValuesResponse", answer)


def _amount(metric: str, of_value: Sequence[Line]) -> Decimal:
    return Decimal(metrics_of([metric], of_value)[metric]["Amount"])


class _Token:
    """Where a page begins, in a token that is bound to the request that it belongs to. skipped: how much the pages
    before have shown. Raises InvalidNextTokenException, RequestChangedException."""

    def __init__(self, operation: str, request: Mapping[str, Any]) -> None:
        asked = {name: value for name, value in request.items() if name != "NextPageToken"}
        text = json.dumps([operation, asked], sort_keys=True)
        self._request = blake2b(text.encode(), digest_size=12).hexdigest()
        self.skipped = 0
        token = request.get("NextPageToken")
        if token is None:
            return
        try:
            bound, skipped = json.loads(urlsafe_b64decode(token.encode("ascii")))
            self.skipped = skipped
            read = isinstance(bound, str) and type(skipped) is int and skipped > 0
        except (ValueError, TypeError):
            bound, read = None, False
        if not read:
            raise AwsError(
                "InvalidNextTokenException",
                "The pagination token is invalid. Try again without a pagination token.",
            )
        if bound != self._request:
            raise AwsError(
                "RequestChangedException",
                "Your request parameters changed between pages. Try again with the old parameters or without a "
                "pagination token.",
            )

    def after(self, count: int) -> str:
        """The next page's token."""
        return urlsafe_b64encode(json.dumps([self._request, self.skipped + count]).encode()).decode()
