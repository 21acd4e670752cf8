"""How entities are shown in answers. Lists show less of them: no tags, no boundary."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from casemate.services.iam.documents import shown
from casemate.services.iam.entities import (
    Bounded,
    Entity,
    Group,
    InstanceProfile,
    Link,
    ManagedPolicy,
    Role,
    User,
)
from casemate.services.iam.store import Entities
from casemate.services.iam.trust import shown_trust
from casemate.services.iam.uses import Uses
from casemate.store.database import Tx

if TYPE_CHECKING:
    from casemate.api import iam


def when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def tag_list(tags: Mapping[str, str]) -> list[iam.Tag]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def boundary_shape(arn: str) -> iam.AttachedPermissionsBoundary:
    return {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}  # type: ignore[typeddict-item]


def _further(entity: Entity) -> dict[str, Any]:
    """What only answers about one entity show."""
    shown: dict[str, Any] = {}
    if isinstance(entity, Bounded) and entity.boundary:
        shown["PermissionsBoundary"] = boundary_shape(entity.boundary)
    if entity.tags:
        shown["Tags"] = tag_list(entity.tags)
    return shown


def user_shape(user: User, *, whole: bool = False) -> iam.User:
    shape: iam.User = {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": user.arn,
        "CreateDate": when(user.created),
    }
    return {**shape, **_further(user)} if whole else shape  # type: ignore[typeddict-item]


def group_shape(group: Group) -> iam.Group:
    return {
        "Path": group.path,
        "GroupName": group.name,
        "GroupId": group.id,
        "Arn": group.arn,
        "CreateDate": when(group.created),
    }


def role_shape(tx: Tx, entities: Entities, role: Role, uses: Uses | None = None) -> iam.Role:
    """uses: for a role that is shown as a whole, with its last use."""
    shape: iam.Role = {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": when(role.created),
        "AssumeRolePolicyDocument": shown(shown_trust(tx, entities, role)),
        "MaxSessionDuration": role.longest,
    }
    if role.description:
        shape["Description"] = role.description
    if uses is None:
        return shape
    return {**shape, **_further(role), "RoleLastUsed": last_used(tx, uses, role)}  # type: ignore[typeddict-item]


def last_used(tx: Tx, uses: Uses, role: Role) -> iam.RoleLastUsed:
    use = uses.last(tx, role.id)
    return {} if use is None else {"LastUsedDate": when(use.last), "Region": use.region}


def policy_shape(
    tx: Tx, entities: Entities, account: str, policy: ManagedPolicy, *, whole: bool
) -> iam.Policy:
    """account: in which it may be attached."""
    shape: iam.Policy = {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": policy.default,
        "AttachmentCount": entities.count_referring(tx, account, Link("policy", policy.arn)),
        "PermissionsBoundaryUsageCount": entities.count_referring(tx, account, Link("boundary", policy.arn)),
        "IsAttachable": True,
        "CreateDate": when(policy.created),
        "UpdateDate": when(policy.updated),
    }
    if whole:
        shape["Tags"] = tag_list(policy.tags)
        if policy.description:
            shape["Description"] = policy.description
    return shape


def version_shape(policy: ManagedPolicy, name: str, *, document: bool) -> iam.PolicyVersion:
    version = policy.versions[name]
    shape: iam.PolicyVersion = {
        "VersionId": name,
        "IsDefaultVersion": name == policy.default,
        "CreateDate": when(version.created),
    }
    return {**shape, "Document": shown(version.document)} if document else shape


def profile_shape(
    tx: Tx, entities: Entities, profile: InstanceProfile, *, whole: bool = False
) -> iam.InstanceProfile:
    roles = []
    if profile.role:
        role = entities.with_id(tx, Role, profile.account, profile.role)
        roles.append(role_shape(tx, entities, role))
    shape: iam.InstanceProfile = {
        "Path": profile.path,
        "InstanceProfileName": profile.name,
        "InstanceProfileId": profile.id,
        "Arn": profile.arn,
        "CreateDate": when(profile.created),
        "Roles": roles,
    }
    return {**shape, **_further(profile)} if whole else shape  # type: ignore[typeddict-item]


def attached_shapes(arns: list[str]) -> list[iam.AttachedPolicy]:
    return [{"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn} for arn in arns]
