"""Tags of log groups: TagResource and its like, and the older operations by the group's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from casemate.api import logs
from casemate.errors import AwsError
from casemate.services.logs.groups import Group, Groups
from casemate.services.logs.refusals import invalid
from casemate.services.logs.targets import group_for_tags, tagged_group

if TYPE_CHECKING:
    from casemate.gate.call import Call

MAX_TAGS = 50
_TEXT = re.compile(r"[\w\s_.:/=+\-@]*")


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Raises InvalidParameterException for a tag that is reserved or not a tag."""
    for name, value in tags.items():
        if (
            not name
            or name.lower().startswith("aws:")
            or not _TEXT.fullmatch(name)
            or not _TEXT.fullmatch(value)
        ):
            raise invalid(f"Invalid tag: {name}")
    return dict(tags)


def _add(call: Call, group: Group, tags: Mapping[str, str]) -> None:
    merged = {**group.tags(), **checked_tags(tags)}
    if len(merged) > MAX_TAGS:
        raise AwsError("TooManyTagsException", f"A resource can have at most {MAX_TAGS} tags.")
    call.part(Groups).configure(call.tx, group.row, tags=merged)


def _remove(call: Call, group: Group, names: list[str]) -> None:
    kept = {name: value for name, value in group.tags().items() if name not in names}
    call.part(Groups).configure(call.tx, group.row, tags=kept or None)


@logs.TagResource.writes(tagged_group)
def tag_resource(call: Call, req: logs.TagResourceRequest, group: Group) -> logs.TagResourceResponse:
    """Add tags, or replace those of the same names."""
    _add(call, group, req["tags"])
    return {}


@logs.UntagResource.writes(tagged_group)
def untag_resource(call: Call, req: logs.UntagResourceRequest, group: Group) -> logs.UntagResourceResponse:
    """Remove tags; names that the group does not have are no error."""
    _remove(call, group, req["tagKeys"])
    return {}


@logs.ListTagsForResource.reads(tagged_group)
def list_tags_for_resource(
    call: Call, req: logs.ListTagsForResourceRequest, group: Group
) -> logs.ListTagsForResourceResponse:
    """The group's tags."""
    return {"tags": dict(group.tags())}


@logs.TagLogGroup.writes(group_for_tags)
def tag_log_group(call: Call, req: logs.TagLogGroupRequest, group: Group) -> logs.TagLogGroupResponse:
    """As TagResource, by the group's name."""
    _add(call, group, req["tags"])
    return {}


@logs.UntagLogGroup.writes(group_for_tags)
def untag_log_group(call: Call, req: logs.UntagLogGroupRequest, group: Group) -> logs.UntagLogGroupResponse:
    """As UntagResource, by the group's name."""
    _remove(call, group, req["tags"])
    return {}


@logs.ListTagsLogGroup.reads(group_for_tags)
def list_tags_log_group(
    call: Call, req: logs.ListTagsLogGroupRequest, group: Group
) -> logs.ListTagsLogGroupResponse:
    """As ListTagsForResource, by the group's name."""
    return {"tags": dict(group.tags())}
