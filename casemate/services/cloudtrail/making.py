"""CreateTrail, UpdateTrail, DeleteTrail, StartLogging, StopLogging. Source: CloudTrail's API reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from casemate.api import cloudtrail
from casemate.engine.cloudtrail import files
from casemate.errors import AwsError
from casemate.gate.operation import Need
from casemate.services.cloudtrail import checks
from casemate.services.cloudtrail.naming import Place
from casemate.services.cloudtrail.organizing import organization_of
from casemate.services.cloudtrail.quotas import TRAILS
from casemate.services.cloudtrail.reading import read_up
from casemate.services.cloudtrail.refusals import invalid_combination
from casemate.services.cloudtrail.scheduling import deliver_at
from casemate.services.cloudtrail.shapes import settings_shape
from casemate.services.cloudtrail.tag_rules import merged
from casemate.services.cloudtrail.targets import Named, changed_trail, new_trail
from casemate.services.cloudtrail.trails import Trail, Trails

if TYPE_CHECKING:
    from casemate.gate.call import Call

_PASS_ROLE = Need("iam:PassRole", lambda named: named.role)

_PLAIN = {
    "S3KeyPrefix": "Prefix",
    "IncludeGlobalServiceEvents": "Global",
    "IsMultiRegionTrail": "MultiRegion",
    "EnableLogFileValidation": "Validation",
    "RecursiveLogging": "Recursive",
}
"""The parameters that are kept as they are given."""


@cloudtrail.CreateTrail.writes(
    new_trail,
    Need("cloudtrail:CreateTrail"),
    Need("cloudtrail:AddTags", lambda named: named.tagged),
    _PASS_ROLE,
)
def create_trail(
    call: Call, req: cloudtrail.CreateTrailRequest, named: Named
) -> cloudtrail.CreateTrailResponse:
    """Make a trail, which does not log yet, of events to a bucket that lets CloudTrail write."""
    trails, place = call.part(Trails), named.place
    organization = organization_of(call) if req.get("IsOrganizationTrail") else ""
    there = [each for each in trails.of(call.tx, place.account) if _meet(each, place, req)]
    if any(each.place.name == place.name for each in there):
        raise AwsError(
            "TrailAlreadyExistsException",
            f"Trail {place.name} already exists for customer: {place.account}",
        )
    _check_room(call, place, trails.of(call.tx, place.account), bool(req.get("IsMultiRegionTrail")))
    settings = _given(call, place, req, {}, organization)
    tags = merged({}, req.get("TagsList", ()))
    if tags:
        settings["Tags"] = tags
    trail = trails.create(call.tx, place, call.now, organization, settings)
    return settings_shape(trail)  # type: ignore[return-value]  # built from the model's members


def _meet(trail: Trail, place: Place, req: Mapping[str, Any]) -> bool:
    """Whether a trail of the account is in a Region where the other is to be."""
    return trail.is_in(place.region) or bool(req.get("IsMultiRegionTrail"))


def _check_room(call: Call, place: Place, there: Sequence[Trail], multi_region: bool) -> None:
    """Raises MaximumNumberOfTrailsExceededException. A trail of all Regions counts in each."""
    for region in {place.region, *(each.place.region for each in there)} if multi_region else {place.region}:
        if sum(each.is_in(region) for each in there) >= call.limit(TRAILS, region):
            raise AwsError(
                "MaximumNumberOfTrailsExceededException",
                f"User: {place.account} already has {int(call.limit(TRAILS, region))} trails in {region}.",
            )


@cloudtrail.UpdateTrail.writes(changed_trail, Need("cloudtrail:UpdateTrail"), _PASS_ROLE)
def update_trail(
    call: Call, req: cloudtrail.UpdateTrailRequest, named: Named
) -> cloudtrail.UpdateTrailResponse:
    """Change a trail's settings: those that are given. It need not stop for it."""
    read_up(call)
    trail, trails = named.trail, call.part(Trails)
    organization = trail.organization
    wanted = req.get("IsOrganizationTrail")
    if wanted is not None and wanted != bool(organization):
        if call.account != trail.place.account:
            raise AwsError(
                "NotOrganizationMasterAccountException",
                "Only the management account can change whether a trail is for its organization.",
            )
        organization = organization_of(call) if wanted else ""
    elif organization:
        organization_of(call)
    if req.get("IsMultiRegionTrail") and not trail.multi_region:
        others = [each for each in trails.of(call.tx, trail.place.account) if each.id != trail.id]
        if any(each.place.name == trail.place.name for each in others):
            raise AwsError(
                "InvalidParameterCombinationException",
                f"There is a trail {trail.place.name} in another Region already.",
            )
        _check_room(call, trail.place, others, True)
    settings = _given(call, trail.place, req, trail.settings, organization)
    changed = trail._replace(settings=settings, organization=organization)
    trails.save(call.tx, changed)
    return settings_shape(changed)  # type: ignore[return-value]  # built from the model's members


def _given(
    call: Call, place: Place, req: Mapping[str, Any], before: Mapping[str, Any], organization: str
) -> dict[str, Any]:
    """Settings out of those before and a request, once everything that they name lets CloudTrail."""
    settings = {**before, **{name: req[member] for member, name in _PLAIN.items() if member in req}}
    settings.setdefault("Global", True)
    if settings.get("MultiRegion") and not settings["Global"]:
        raise invalid_combination("Multi-Region trail must include global service events.")
    prefix = settings.get("Prefix", "")
    checks.check_prefix(prefix)
    bucket = settings["Bucket"] = req.get("S3BucketName") or before.get("Bucket", "")
    key = req["KmsKeyId"] if "KmsKeyId" in req else before.get("Key", "")
    region = settings["BucketRegion"] = checks.bucket_region(call, place, bucket)
    settings["Key"] = checks.check_key(call, place, key, bucket, region) if key else ""
    kinds = (files.LOGS, files.INSIGHTS) if settings.get("Insights") else (files.LOGS,)
    checks.check_bucket(call, Trail("", place, call.now, 0.0, organization, settings), kinds)
    if "SnsTopicName" in req:
        topic = req["SnsTopicName"]
        settings["Topic"] = checks.check_topic(call, place, topic) if topic else ""
    group = req.get("CloudWatchLogsLogGroupArn", before.get("LogGroup", ""))
    role = req.get("CloudWatchLogsRoleArn", before.get("Role", ""))
    if (group, role) != (before.get("LogGroup", ""), before.get("Role", "")) and (group or role):
        checks.check_logs(call, place, group, role)
    settings["LogGroup"], settings["Role"] = group, role
    return {name: value for name, value in settings.items() if value != ""}


@cloudtrail.DeleteTrail.writes(changed_trail)
def delete_trail(
    call: Call, req: cloudtrail.DeleteTrailRequest, named: Named
) -> cloudtrail.DeleteTrailResponse:
    """Delete a trail. What it saw until now is delivered still, and what was delivered stays."""
    trail, trails = named.trail, call.part(Trails)
    if not trail.get("Spans", ()):
        trails.remove(call.tx, trail)
        return {}
    trails.save(call.tx, trail.stopped(call.now)._replace(deleted=call.now))
    deliver_at(call.tx, trail.id, call.now)
    return {}


@cloudtrail.StartLogging.writes(changed_trail)
def start_logging(
    call: Call, req: cloudtrail.StartLoggingRequest, named: Named
) -> cloudtrail.StartLoggingResponse:
    """Let a trail log from now on."""
    trail, trails = named.trail, call.part(Trails)
    if not trail.logging:
        trails.save(call.tx, trail.started(call.now))
        deliver_at(call.tx, trail.id, call.now + trails.every)
    return {}


@cloudtrail.StopLogging.writes(changed_trail)
def stop_logging(
    call: Call, req: cloudtrail.StopLoggingRequest, named: Named
) -> cloudtrail.StopLoggingResponse:
    """Let a trail log no more. What it saw until now is delivered still."""
    if named.trail.logging:
        call.part(Trails).save(call.tx, named.trail.stopped(call.now))
    return {}
