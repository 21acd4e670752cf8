"""Tags of accounts, units, roots, policies and the delegation policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from casemate.api import organizations as api
from casemate.gate.call import Call
from casemate.services.organizations import limits, views
from casemate.services.organizations.pages import page
from casemate.services.organizations.refusals import constraint, invalid_input
from casemate.services.organizations.state import Organizations
from casemate.services.organizations.targets import Access, Target, asked, tagged


def checked(tags: Iterable[api.Tag], before: Mapping[str, str] | None = None) -> dict[str, str]:
    """Tags out of a request, put over those that there are. Raises InvalidInputException for a key that comes
    twice or is AWS's own, and ConstraintViolationException for too many."""
    found = dict(before or {})
    seen: set[str] = set()
    for tag in tags:
        key = tag["Key"]
        if key in seen:
            raise invalid_input("DUPLICATE_TAG_KEY", "Tag keys must be unique.")
        if key.lower().startswith("aws:"):
            raise invalid_input(
                "INVALID_SYSTEM_TAGS_PARAMETER", "You can't add, edit, or delete system tags."
            )
        seen.add(key)
        found[key] = tag["Value"]
    if len(found) > limits.TAGS:
        raise constraint(
            "MAX_TAG_LIMIT_EXCEEDED", "You have exceeded the number of tags allowed on this resource."
        )
    return found


def _save(call: Call, target: Target, tags: dict[str, str]) -> None:
    organizations = call.part(Organizations)
    if target.node is not None:
        organizations.save_node(call.tx, target.organization, target.node._replace(tags=tags))
    elif target.policy_row is not None:
        organizations.save_policy(call.tx, target.organization, target.policy_row._replace(tags=tags))
    else:
        organizations.save_organization(call.tx, target.organization._replace(delegation_tags=tags))


@api.TagResource.writes(asked(Access.DELEGABLE, tagged))
def tag_resource(call: Call, req: api.TagResourceRequest, target: Target) -> api.TagResourceResponse:
    """Put tags on an account, a unit, a root or a policy."""
    _save(call, target, checked(req["Tags"], target.tags()))
    return {}


@api.UntagResource.writes(asked(Access.DELEGABLE, tagged))
def untag_resource(call: Call, req: api.UntagResourceRequest, target: Target) -> api.UntagResourceResponse:
    """Take tags away, by their keys; those that are not there do not matter."""
    if any(key.lower().startswith("aws:") for key in req["TagKeys"]):
        raise invalid_input("INVALID_SYSTEM_TAGS_PARAMETER", "You can't add, edit, or delete system tags.")
    _save(call, target, {key: value for key, value in target.tags().items() if key not in req["TagKeys"]})
    return {}


@api.ListTagsForResource.reads(asked(Access.READ, tagged))
def list_tags_for_resource(
    call: Call,
    req: api.ListTagsForResourceRequest,
    target: Target,
) -> api.ListTagsForResourceResponse:
    """The tags of an account, a unit, a root or a policy, by their keys."""
    shown, more = page(
        "ListTagsForResource", {**req, "MaxResults": limits.TAGS}, target.tags(), lambda key: key
    )
    return {"Tags": views.tags({key: target.tags()[key] for key in shown}), **more}  # type: ignore[typeddict-item]
