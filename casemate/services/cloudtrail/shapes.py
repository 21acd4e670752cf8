"""Trails as answers show them."""

from __future__ import annotations

from typing import Any

from casemate.services.cloudtrail.trails import Trail


def settings_shape(trail: Trail) -> dict[str, Any]:
    """What CreateTrail and UpdateTrail answer."""
    shown: dict[str, Any] = {
        "Name": trail.place.name,
        "S3BucketName": trail.get("Bucket"),
        "IncludeGlobalServiceEvents": trail.get("Global", True),
        "IsMultiRegionTrail": trail.multi_region,
        "TrailARN": trail.arn,
        "LogFileValidationEnabled": trail.get("Validation", False),
        "IsOrganizationTrail": bool(trail.organization),
        "RecursiveLogging": trail.get("Recursive", True),
    }
    topic = trail.get("Topic")
    if topic:
        shown["SnsTopicName"], shown["SnsTopicARN"] = topic.rpartition(":")[2], topic
    for member, name in _OPTIONAL.items():
        if trail.get(name):
            shown[member] = trail.get(name)
    return shown


_OPTIONAL = {
    "S3KeyPrefix": "Prefix",
    "CloudWatchLogsLogGroupArn": "LogGroup",
    "CloudWatchLogsRoleArn": "Role",
    "KmsKeyId": "Key",
}


def trail_shape(trail: Trail) -> dict[str, Any]:
    """What GetTrail and DescribeTrails answer."""
    return {
        **settings_shape(trail),
        "HomeRegion": trail.place.region,
        "HasCustomEventSelectors": trail.get("Basic", None) is not None
        or trail.get("Advanced", None) is not None,
        "HasInsightSelectors": bool(trail.get("Insights", ())),
    }
