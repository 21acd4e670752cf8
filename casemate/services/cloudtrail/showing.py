"""GetTrail, DescribeTrails, ListTrails, GetTrailStatus. Source: CloudTrail's API reference."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from casemate.api import cloudtrail
from casemate.services.cloudtrail import status
from casemate.services.cloudtrail.naming import read_name
from casemate.services.cloudtrail.refusals import no_trail
from casemate.services.cloudtrail.shapes import trail_shape
from casemate.services.cloudtrail.targets import Named, anything, shown_trail
from casemate.services.cloudtrail.trails import Trail, Trails

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.resource import Resource


@cloudtrail.GetTrail.reads(shown_trail, near=True)
def get_trail(call: Call, req: cloudtrail.GetTrailRequest, named: Named) -> cloudtrail.GetTrailResponse:
    """A trail's settings."""
    return {"Trail": trail_shape(named.trail)}  # type: ignore[typeddict-item]  # built from the model's members


@cloudtrail.DescribeTrails.reads(anything, near=True)
def describe_trails(
    call: Call, req: cloudtrail.DescribeTrailsRequest, target: Resource
) -> cloudtrail.DescribeTrailsResponse:
    """The settings of the Region's trails, or of those that are named; names of none are left out."""
    visible = call.part(Trails).visible(call)
    names = req.get("trailNameList") or []
    found: Sequence[Trail]
    if names:
        arns = {read_name(name, call.account, call.region)[0].arn for name in names}
        found = [trail for trail in visible if trail.arn in arns]
    else:
        found = [trail for trail in visible if trail.is_in(call.region)]
    if not req.get("includeShadowTrails", True):
        found = [
            trail
            for trail in found
            if trail.place.region == call.region and trail.place.account == call.account
        ]
    return {"trailList": [trail_shape(trail) for trail in found]}  # type: ignore[misc]  # as above


@cloudtrail.ListTrails.reads(anything, near=True)
def list_trails(
    call: Call, req: cloudtrail.ListTrailsRequest, target: Resource
) -> cloudtrail.ListTrailsResponse:
    """The account's trails in all Regions, its organisation's among them."""
    return {
        "Trails": [
            {"TrailARN": trail.arn, "Name": trail.place.name, "HomeRegion": trail.place.region}
            for trail in call.part(Trails).visible(call)
        ]
    }


@cloudtrail.GetTrailStatus.reads(shown_trail, near=True)
def get_trail_status(
    call: Call, req: cloudtrail.GetTrailStatusRequest, named: Named
) -> cloudtrail.GetTrailStatusResponse:
    """Whether a trail logs, and how its deliveries went in this Region."""
    trail = named.trail
    if not trail.is_in(call.region):
        raise no_trail(trail.arn, call.account)
    shown: dict[str, Any] = {"IsLogging": trail.logging, **status.of(call.tx, trail.id, call.region)}
    spans = trail.get("Spans", ())
    started = spans[-1][0] if spans else None
    stopped = next((end for _, end in reversed(spans) if end is not None), None)
    if started is not None:
        shown["StartLoggingTime"] = started
    if stopped is not None:
        shown["StopLoggingTime"] = stopped
    shown["TimeLoggingStarted"], shown["TimeLoggingStopped"] = _iso(started), _iso(stopped)
    delivered, told = shown.get("LatestDeliveryTime"), shown.get("LatestNotificationTime")
    shown["LatestDeliveryAttemptTime"] = _iso(delivered)
    shown["LatestNotificationAttemptTime"] = _iso(told)
    shown["LatestDeliveryAttemptSucceeded"] = _iso(delivered)
    shown["LatestNotificationAttemptSucceeded"] = _iso(told)
    return {name: _moment(value) if isinstance(value, float) else value for name, value in shown.items()}  # type: ignore[return-value]  # as above


def _iso(seconds: float | None) -> str:
    return "" if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
