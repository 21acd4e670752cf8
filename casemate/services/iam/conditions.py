"""IAM's condition keys, in lower case. Source: "Actions, resources, and condition keys for AWS Identity and Access
Management" (Service Authorization Reference)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.gate.call import Call
from casemate.gate.resource import Value
from casemate.services.iam.entities import Bounded, Entity

_REQUEST_TAG, _RESOURCE_TAG = "aws:requesttag/", "iam:resourcetag/"

_WITH_NEW_BOUNDARY = frozenset(
    {"CreateUser", "CreateRole", "PutUserPermissionsBoundary", "PutRolePermissionsBoundary"}
)
_UNDER_BOUNDARY = frozenset(
    f"{verb}{kind}{what}"
    for kind in ("User", "Role")
    for verb, what in (
        ("Attach", "Policy"),
        ("Detach", "Policy"),
        ("Put", "Policy"),
        ("Delete", "Policy"),
        ("Delete", "PermissionsBoundary"),
    )
)
_ATTACHING = frozenset(
    f"{verb}{kind}Policy" for verb in ("Attach", "Detach") for kind in ("User", "Group", "Role")
)


def of_request(key: str, call: Call, request: Mapping[str, Any], entity: Entity | None) -> Value:
    """The value of a key for a request that acts on an entity; None when it is not in the request's context."""
    if key.startswith(_RESOURCE_TAG):
        return tag_named(key[len(_RESOURCE_TAG) :], entity.tags if entity is not None else {})
    if key.startswith(_REQUEST_TAG):
        tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())}
        return tag_named(key[len(_REQUEST_TAG) :], tags)
    if key == "aws:tagkeys":
        return (*(tag["Key"] for tag in request.get("Tags", ())), *request.get("TagKeys", ())) or None
    operation = call.route.operation.name if call.route is not None else ""
    if key == "iam:permissionsboundary":
        if operation in _WITH_NEW_BOUNDARY:
            return request.get("PermissionsBoundary")
        return (
            (entity.boundary or None)
            if operation in _UNDER_BOUNDARY and isinstance(entity, Bounded)
            else None
        )
    if key == "iam:policyarn":
        return request["PolicyArn"] if operation in _ATTACHING else None
    if key == "iam:awsservicename":
        return request.get("AWSServiceName")
    return None


def tag_named(name: str, tags: Mapping[str, str]) -> Value:
    """A tag by its key, whose case does not matter."""
    return next((value for key, value in tags.items() if key.lower() == name), None)
