"""TagResource, UntagResource, ListTagsForResource: of the quotas that apply to an account."""

from __future__ import annotations

from casemate.api import service_quotas as api
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.servicequotas.targets import QuotaTarget, illegal, tagged_quota

MOST_TAGS = 50

_OF_QUOTA = " WHERE account = ? AND region = ? AND service = ? AND code = ?"


def _place(call: Call, target: QuotaTarget) -> tuple[str, str, str, str]:
    return (call.account, call.region, target.quota.service, target.quota.code)


def _tags(call: Call, target: QuotaTarget) -> dict[str, str]:
    rows = call.tx.all(
        "SELECT name, value FROM service_quotas_tags" + _OF_QUOTA + " ORDER BY name", _place(call, target)
    )
    return dict(rows)


@api.ListTagsForResource.reads(tagged_quota)
def list_tags_for_resource(
    call: Call, req: api.ListTagsForResourceRequest, target: QuotaTarget
) -> api.ListTagsForResourceResponse:
    """A quota's tags by name."""
    return {"Tags": [{"Key": name, "Value": value} for name, value in _tags(call, target).items()]}


@api.TagResource.writes(tagged_quota)
def tag_resource(call: Call, req: api.TagResourceRequest, target: QuotaTarget) -> api.TagResourceResponse:
    """Add tags to a quota, or replace those of the same names."""
    names = [tag["Key"] for tag in req["Tags"]]
    if len(set(names)) != len(names):
        raise illegal("Tag keys must be unique.")
    if any(name.lower().startswith("aws:") for name in names):
        raise illegal("Tag keys must not start with aws:.")
    if len({*_tags(call, target), *names}) > MOST_TAGS:
        raise AwsError("TooManyTagsException", f"A quota has at most {MOST_TAGS} tags.")
    for tag in req["Tags"]:
        call.tx.run(
            "INSERT INTO service_quotas_tags (account, region, service, code, name, value) "
            "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account, region, service, code, name) "
            "DO UPDATE SET value = excluded.value",
            (*_place(call, target), tag["Key"], tag["Value"]),
        )
    return {}


@api.UntagResource.writes(tagged_quota)
def untag_resource(
    call: Call, req: api.UntagResourceRequest, target: QuotaTarget
) -> api.UntagResourceResponse:
    """Remove a quota's tags; names that it does not have are no error."""
    for name in req["TagKeys"]:
        call.tx.run(
            "DELETE FROM service_quotas_tags" + _OF_QUOTA + " AND name = ?", (*_place(call, target), name)
        )
    return {}
