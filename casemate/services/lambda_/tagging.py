"""TagResource, UntagResource, ListTags, of functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.api import lambda_
from casemate.services.lambda_.functions import Functions
from casemate.services.lambda_.tag_rules import checked_tags
from casemate.services.lambda_.targets import Target, by_arn, need

if TYPE_CHECKING:
    from casemate.gate.call import Call


@lambda_.TagResource.writes(by_arn, need("lambda:TagResource"))
def tag_resource(call: Call, req: lambda_.TagResourceRequest, target: Target) -> lambda_.TagResourceResponse:
    """Add tags to a function, or replace those of the same names."""
    row = target.found.row
    call.part(Functions).save(call.tx, row._replace(tags=checked_tags(row.tags, req["Tags"])))
    return {}


@lambda_.UntagResource.writes(by_arn, need("lambda:UntagResource"))
def untag_resource(
    call: Call, req: lambda_.UntagResourceRequest, target: Target
) -> lambda_.UntagResourceResponse:
    """Remove tags of a function; names that it does not have are no error."""
    row = target.found.row
    kept = {name: value for name, value in row.tags.items() if name not in req["TagKeys"]}
    call.part(Functions).save(call.tx, row._replace(tags=kept))
    return {}


@lambda_.ListTags.reads(by_arn, need("lambda:ListTags"))
def list_tags(call: Call, req: lambda_.ListTagsRequest, target: Target) -> lambda_.ListTagsResponse:
    """A function's tags."""
    return {"Tags": dict(target.found.row.tags)}
