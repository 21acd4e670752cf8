"""TagResource, UntagResource, ListResourceTags."""

from __future__ import annotations

from casemate.api import kms
from casemate.gate.call import Call
from casemate.services.kms.key import Key
from casemate.services.kms.key_tags import check_names, merged
from casemate.services.kms.keys import Keys
from casemate.services.kms.pages import Page
from casemate.services.kms.targets import own_key


@kms.TagResource.writes(own_key)
def tag_resource(call: Call, req: kms.TagResourceRequest, key: Key) -> kms.TagResourceResponse:
    """Add tags, or replace those of the same names."""
    key.must_not_be_pending_deletion()
    call.part(Keys).save(call.tx, key.row._replace(tags=merged(key.row.tags, req["Tags"])))
    return {}


@kms.UntagResource.writes(own_key)
def untag_resource(call: Call, req: kms.UntagResourceRequest, key: Key) -> kms.UntagResourceResponse:
    """Remove tags; names that the key does not have are no error."""
    key.must_not_be_pending_deletion()
    check_names(req["TagKeys"])
    kept = {name: value for name, value in key.row.tags.items() if name not in req["TagKeys"]}
    call.part(Keys).save(call.tx, key.row._replace(tags=kept))
    return {}


@kms.ListResourceTags.reads(own_key)
def list_resource_tags(
    call: Call, req: kms.ListResourceTagsRequest, key: Key
) -> kms.ListResourceTagsResponse:
    """The key's tags by name."""
    page = Page("ListResourceTags", req, default=50, most=50)
    names, more = page.cut([name for name in sorted(key.row.tags) if name > page.after], str)
    tags: list[kms.Tag] = [{"TagKey": name, "TagValue": key.row.tags[name]} for name in names]
    return {"Tags": tags, **more}  # type: ignore[typeddict-item]
