"""AddTagsToResource, RemoveTagsFromResource, ListTagsForResource, of parameters."""

from __future__ import annotations

from casemate.api import ssm
from casemate.gate.call import Call
from casemate.services.ssm.parameters import Parameters
from casemate.services.ssm.tag_rules import check_keys, merged
from casemate.services.ssm.targets import Target, need, tagged


@ssm.AddTagsToResource.writes(tagged, need("ssm:AddTagsToResource"))
def add_tags_to_resource(
    call: Call, req: ssm.AddTagsToResourceRequest, target: Target
) -> ssm.AddTagsToResourceResult:
    """Add tags to a parameter, or replace those of the same names."""
    row = target.found.row
    call.part(Parameters).save(call.tx, row._replace(tags=merged(row.tags, req["Tags"])))
    return {}


@ssm.RemoveTagsFromResource.writes(tagged, need("ssm:RemoveTagsFromResource"))
def remove_tags_from_resource(
    call: Call, req: ssm.RemoveTagsFromResourceRequest, target: Target
) -> ssm.RemoveTagsFromResourceResult:
    """Remove tags of a parameter; names that it does not have are no error."""
    row = target.found.row
    check_keys(req["TagKeys"])
    kept = {name: value for name, value in row.tags.items() if name not in req["TagKeys"]}
    call.part(Parameters).save(call.tx, row._replace(tags=kept))
    return {}


@ssm.ListTagsForResource.reads(tagged, need("ssm:ListTagsForResource"))
def list_tags_for_resource(
    call: Call, req: ssm.ListTagsForResourceRequest, target: Target
) -> ssm.ListTagsForResourceResult:
    """A parameter's tags by name."""
    tags = target.found.row.tags
    return {"TagList": [{"Key": name, "Value": tags[name]} for name in sorted(tags)]}
