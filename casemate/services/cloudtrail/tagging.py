"""AddTags, RemoveTags, ListTags. Source: CloudTrail's API reference."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.api import cloudtrail
from casemate.errors import AwsError
from casemate.gate.authorise import decide, denied
from casemate.services.cloudtrail.naming import bad_arn, read_name
from casemate.services.cloudtrail.tag_rules import merged
from casemate.services.cloudtrail.targets import Named
from casemate.services.cloudtrail.trails import Trails

if TYPE_CHECKING:
    from casemate.gate.call import Call

_MOST = 20
_OTHER = re.compile(r"arn:aws[a-z-]*:cloudtrail:[a-z0-9-]+:[0-9]{12}:(eventdatastore|channel|dashboard)/.+")


def _tagged(call: Call, request: Mapping[str, Any], arn: str) -> Named:
    """A trail of the caller's account by its ARN."""
    if not arn.startswith("arn:"):
        raise bad_arn(arn)
    if _OTHER.fullmatch(arn):
        raise AwsError("ResourceTypeNotSupportedException", f"Resource type of {arn} is not supported.")
    place, _ = read_name(arn, call.account, call.region)
    trail = call.part(Trails).find(call.tx, place) if place.account == call.account else None
    missing = None
    if trail is None:
        missing = AwsError("ResourceNotFoundException", f"The trail {arn} is not found.")
    return Named(call, request, place, trail, missing)


def tagged_trail(call: Call, request: Mapping[str, Any]) -> Named:
    """ResourceId."""
    return _tagged(call, request, request["ResourceId"])


class Several(Named):
    """The first of ResourceIdList, and the others."""

    __slots__ = ("others",)
    others: list[Named]


def tagged_trails(call: Call, request: Mapping[str, Any]) -> Several:
    """ResourceIdList."""
    arns = request["ResourceIdList"]
    if not 1 <= len(arns) <= _MOST:
        raise bad_arn(f"list of {len(arns)}, instead of 1 to {_MOST},")
    first, *others = (_tagged(call, request, arn) for arn in arns)
    found = Several(call, request, first.place, first.found, first.missing)
    found.others = others
    return found


@cloudtrail.AddTags.writes(tagged_trail)
def add_tags(call: Call, req: cloudtrail.AddTagsRequest, named: Named) -> cloudtrail.AddTagsResponse:
    """Add tags to a trail, or replace those of the same keys."""
    trail = named.trail
    call.part(Trails).save(call.tx, trail.changed(Tags=merged(named.tags(), req["TagsList"])))
    return {}


@cloudtrail.RemoveTags.writes(tagged_trail)
def remove_tags(call: Call, req: cloudtrail.RemoveTagsRequest, named: Named) -> cloudtrail.RemoveTagsResponse:
    """Remove tags by their keys; those that the trail does not have are no error."""
    gone = {tag["Key"] for tag in req["TagsList"]}
    kept = {key: value for key, value in named.tags().items() if key not in gone}
    call.part(Trails).save(call.tx, named.trail.changed(Tags=kept or None))
    return {}


@cloudtrail.ListTags.reads(tagged_trails, near=True)
def list_tags(call: Call, req: cloudtrail.ListTagsRequest, named: Several) -> cloudtrail.ListTagsResponse:
    """The tags of up to 20 trails."""
    for each in named.others:
        decision = decide(call, "cloudtrail:ListTags", each, req)
        if not decision.allowed:
            raise denied(call, "cloudtrail:ListTags", each, decision)
        if each.missing is not None:
            raise each.missing
    return {
        "ResourceTagList": [
            {
                "ResourceId": each.arn,
                "TagsList": [{"Key": key, "Value": value} for key, value in each.tags().items()],
            }
            for each in (named, *named.others)
        ]
    }
