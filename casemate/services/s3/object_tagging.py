"""The tags of objects. Source: "Categorizing your objects using tags"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.services.s3 import about as told
from casemate.services.s3 import replicating
from casemate.services.s3.digests import check_document
from casemate.services.s3.happenings import tagged
from casemate.services.s3.object_targets import NamedObject, named_object, needs_of, readable
from casemate.services.s3.tag_rules import checked_tags

if TYPE_CHECKING:
    from casemate.gate.call import Call

_MOST = 10


@s3.GetObjectTagging.reads(named_object, *needs_of("s3:GetObjectTagging", "s3:GetObjectVersionTagging"))
def get_object_tagging(
    call: Call, req: s3.GetObjectTaggingRequest, target: NamedObject
) -> s3.GetObjectTaggingOutput:
    """An object's tags."""
    row = readable(call, target)
    answer: dict[str, Any] = told.shown_version(target.bucket, row)
    answer["TagSet"] = [{"Key": key, "Value": value} for key, value in row.tags.items()]
    return answer  # type: ignore[return-value]  # mypy knows no TypedDict that is put together


@s3.PutObjectTagging.writes(named_object, *needs_of("s3:PutObjectTagging", "s3:PutObjectVersionTagging"))
def put_object_tagging(
    call: Call, req: s3.PutObjectTaggingRequest, target: NamedObject
) -> s3.PutObjectTaggingOutput:
    """Give an object these tags in place of those it has."""
    check_document(call, required=True)
    return _tag(call, target, checked_tags(req["Tagging"]["TagSet"], _MOST))  # type: ignore[return-value]  # as above


@s3.DeleteObjectTagging.writes(
    named_object, *needs_of("s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging")
)
def delete_object_tagging(
    call: Call, req: s3.DeleteObjectTaggingRequest, target: NamedObject
) -> s3.DeleteObjectTaggingOutput:
    """Take an object's tags away."""
    return _tag(call, target, {})  # type: ignore[return-value]  # as above


def _tag(call: Call, target: NamedObject, tags: dict[str, str]) -> dict[str, Any]:
    row = readable(call, target)
    about = {**row.about, "Tags": tags}
    if not tags:
        del about["Tags"]
    tagged(call, target.bucket, replicating.change(call, target.bucket, row, about))
    return told.shown_version(target.bucket, row)
