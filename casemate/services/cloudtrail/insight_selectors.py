"""PutInsightSelectors, GetInsightSelectors. Source: CloudTrail's API reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.api import cloudtrail
from casemate.engine.cloudtrail import files
from casemate.engine.cloudtrail.categories import DATA, MANAGEMENT
from casemate.engine.cloudtrail.insights import CALL_RATE
from casemate.engine.cloudtrail.selectors import DEFAULT, logs_data, management_kinds
from casemate.errors import AwsError
from casemate.services.cloudtrail import checks, insights
from casemate.services.cloudtrail.refusals import invalid_combination
from casemate.services.cloudtrail.targets import Named, changed_trail, shown_trail
from casemate.services.cloudtrail.trails import Trail, Trails

if TYPE_CHECKING:
    from casemate.gate.call import Call


def _must_name_a_trail(request: Mapping[str, Any]) -> None:
    """Event data stores are not served."""
    store = "EventDataStore" in request or "InsightsDestination" in request
    if store and "TrailName" in request:
        raise invalid_combination(
            "TrailName cannot be used together with EventDataStore or InsightsDestination."
        )
    if store:
        raise AwsError("NotImplemented", "Insights of event data stores are not served by Casemate.", 501)
    if "TrailName" not in request:
        raise AwsError("InvalidParameterException", "TrailName must be specified.")


def _changed(call: Call, request: Mapping[str, Any]) -> Named:
    _must_name_a_trail(request)
    return changed_trail(call, request)


def _shown(call: Call, request: Mapping[str, Any]) -> Named:
    _must_name_a_trail(request)
    return shown_trail(call, request)


@cloudtrail.PutInsightSelectors.writes(_changed)
def put_insight_selectors(
    call: Call, req: cloudtrail.PutInsightSelectorsRequest, named: Named
) -> cloudtrail.PutInsightSelectorsResponse:
    """Say which unusual activity a trail tells of; none by an empty list."""
    trail, trails = named.trail, call.part(Trails)
    selectors = [
        {"InsightType": each.get("InsightType", ""), "EventCategories": _categories(each)}
        for each in req["InsightSelectors"]
    ]
    kinds = [each["InsightType"] for each in selectors]
    if "" in kinds or len(set(kinds)) < len(kinds):
        raise _invalid("Each InsightSelector must have an InsightType of its own.")
    for each in selectors:
        _must_log(trail, str(each["InsightType"]), each["EventCategories"])
    if selectors:
        checks.check_bucket(call, trail, (files.INSIGHTS,))
        since = trail.get("InsightsSince", None) or call.now
        changed = trail.changed(Insights=selectors, InsightsSince=since)
    else:
        insights.forget(call.tx, trail.id)
        changed = trail.changed(Insights=None, InsightsSince=None)
    trails.save(call.tx, changed)
    return {"TrailARN": trail.arn, "InsightSelectors": selectors}  # type: ignore[typeddict-item]  # the model's


def _categories(selector: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(selector.get("EventCategories") or [MANAGEMENT]))


def _must_log(trail: Trail, kind: str, categories: Any) -> None:
    """Raises InvalidInsightSelectorsException for what is to be looked at and not logged."""
    advanced = trail.get("Advanced", None)
    basic = None if advanced is not None else trail.get("Basic", None) or DEFAULT
    covered = management_kinds(basic, advanced)
    if MANAGEMENT in categories:
        if kind == CALL_RATE and "write" not in covered:
            raise _invalid(
                "To log Insights events on the API call rate, the trail must log write management events."
            )
        if not covered:
            raise _invalid(
                "To log Insights events on the API error rate, the trail must log management events."
            )
    if DATA in categories and not logs_data(basic, advanced):
        raise _invalid("To log Insights events on data events, the trail must log data events.")


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidInsightSelectorsException", message)


@cloudtrail.GetInsightSelectors.reads(_shown, near=True)
def get_insight_selectors(
    call: Call, req: cloudtrail.GetInsightSelectorsRequest, named: Named
) -> cloudtrail.GetInsightSelectorsResponse:
    """Which unusual activity a trail tells of."""
    selectors = named.trail.get("Insights", ())
    if not selectors:
        raise AwsError(
            "InsightNotEnabledException", f"Insights are not enabled on the trail {named.trail.arn}."
        )
    return {"TrailARN": named.trail.arn, "InsightSelectors": selectors}
