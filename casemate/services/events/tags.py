"""TagResource, UntagResource, ListTagsForResource: of buses and rules."""

from __future__ import annotations

from collections.abc import Mapping

from casemate.api import events
from casemate.gate.call import Call
from casemate.services.events.resources import EventsResource, tagged
from casemate.services.events.rules import check_unmanaged
from casemate.services.events.store import Things
from casemate.services.events.tag_rules import checked_tags


@events.ListTagsForResource.reads(tagged)
def list_tags_for_resource(
    call: Call, req: events.ListTagsForResourceRequest, target: EventsResource
) -> events.ListTagsForResourceResponse:
    """The tags of a bus or a rule."""
    return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(target.found.tags.items())]}


@events.TagResource.writes(tagged)
def tag_resource(
    call: Call, req: events.TagResourceRequest, target: EventsResource
) -> events.TagResourceResponse:
    """Add tags, or replace those of the same keys."""
    check_unmanaged(call, target.found, force=False)
    _save(call, target, checked_tags(req["Tags"], target.found.tags))
    return {}


@events.UntagResource.writes(tagged)
def untag_resource(
    call: Call, req: events.UntagResourceRequest, target: EventsResource
) -> events.UntagResourceResponse:
    """Remove tags; keys that it does not have are no error."""
    check_unmanaged(call, target.found, force=False)
    gone = set(req["TagKeys"])
    _save(call, target, {key: value for key, value in target.found.tags.items() if key not in gone})
    return {}


def _save(call: Call, target: EventsResource, tags: Mapping[str, str]) -> None:
    thing = target.found
    says = {**thing.says, "tags": dict(tags)}
    says.setdefault("changed", call.now)
    call.part(Things).save(call.tx, thing._replace(created=thing.created or call.now, says=says))
