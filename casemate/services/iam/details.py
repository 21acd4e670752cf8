"""GetAccountAuthorizationDetails: who there is in an account, and everything that they may."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from casemate.api import iam
from casemate.gate.call import Call
from casemate.gate.resource import Resource
from casemate.services.iam.attachments import place_of
from casemate.services.iam.documents import shown
from casemate.services.iam.entities import (
    Bounded,
    Entity,
    Group,
    InstanceProfile,
    Link,
    ManagedPolicy,
    Principal,
    Role,
    User,
)
from casemate.services.iam.managed_policies import aws_managed
from casemate.services.iam.pages import Page
from casemate.services.iam.shapes import (
    attached_shapes,
    boundary_shape,
    last_used,
    policy_shape,
    profile_shape,
    tag_list,
    version_shape,
    when,
)
from casemate.services.iam.store import Entities
from casemate.services.iam.targets import account_wide
from casemate.services.iam.trust import shown_trust
from casemate.services.iam.uses import Uses


@iam.GetAccountAuthorizationDetails.reads(account_wide)
def get_account_authorization_details(
    call: Call, req: iam.GetAccountAuthorizationDetailsRequest, target: Resource
) -> iam.GetAccountAuthorizationDetailsResponse:
    """The users, groups, roles and policies of the account with their documents; of AWS's policies those in use."""
    wanted: frozenset[str] = frozenset(req.get("Filter", ())) or frozenset(_LISTS)
    entries, more = Page(call, req).of(_entities(call, wanted), _place)
    answer: dict[str, Any] = {name: [] for name in _MEMBERS.values()}
    for entity in entries:
        answer[_MEMBERS[entity.KIND]].append(_DETAILS[entity.KIND](call, entity))
    return {**answer, **more}  # type: ignore[typeddict-item]


_MEMBERS: Mapping[str, str] = {
    User.KIND: "UserDetailList",
    Group.KIND: "GroupDetailList",
    Role.KIND: "RoleDetailList",
    ManagedPolicy.KIND: "Policies",
}
_LISTS: Mapping[str, type[Entity]] = {
    "User": User,
    "Group": Group,
    "Role": Role,
    "LocalManagedPolicy": ManagedPolicy,
    "AWSManagedPolicy": ManagedPolicy,
}
_ORDER = {User.KIND: "1", Group.KIND: "2", Role.KIND: "3", ManagedPolicy.KIND: "4"}


def _place(entity: Entity) -> str:
    place = place_of(entity.arn) if isinstance(entity, ManagedPolicy) else entity.handle
    return f"{_ORDER[entity.KIND]} {place}"


def _entities(call: Call, wanted: frozenset[str]) -> Iterator[Entity]:
    entities = call.part(Entities)
    for name, kind in _LISTS.items():
        if name not in wanted:
            continue
        if name == "AWSManagedPolicy":
            used = entities.targets(call.tx, call.account, ["policy", "boundary"])
            yield from (policy for arn, policy in aws_managed().items() if arn in used)
        else:
            yield from entities.page(call.tx, kind, call.account)


def _common(entity: Entity, kind: str) -> dict[str, Any]:
    return {
        "Path": entity.path,
        f"{kind}Name": entity.name,
        f"{kind}Id": entity.id,
        "Arn": entity.arn,
        "CreateDate": when(entity.created),
    }


def _held(holder: Principal, kind: str) -> dict[str, Any]:
    held: dict[str, Any] = {
        f"{kind}PolicyList": [
            {"PolicyName": name, "PolicyDocument": shown(document)}
            for name, document in holder.inline.items()
        ],
        "AttachedManagedPolicies": attached_shapes(list(holder.attached)),
    }
    if isinstance(holder, Bounded):
        held["Tags"] = tag_list(holder.tags)
        if holder.boundary:
            held["PermissionsBoundary"] = boundary_shape(holder.boundary)
    return held


def _user(call: Call, user: User) -> dict[str, Any]:
    groups = [call.part(Entities).with_id(call.tx, Group, call.account, group) for group in user.groups]
    names = sorted(group.name for group in groups)
    return {**_common(user, "User"), **_held(user, "User"), "GroupList": names}


def _group(call: Call, group: Group) -> dict[str, Any]:
    return {**_common(group, "Group"), **_held(group, "Group")}


def _role(call: Call, role: Role) -> dict[str, Any]:
    entities = call.part(Entities)
    profiles = entities.referring(call.tx, InstanceProfile, call.account, Link("role", role.id))
    return {
        **_common(role, "Role"),
        **_held(role, "Role"),
        "AssumeRolePolicyDocument": shown(shown_trust(call.tx, entities, role)),
        "InstanceProfileList": [profile_shape(call.tx, entities, profile) for profile in profiles],
        "RoleLastUsed": last_used(call.tx, call.part(Uses), role),
    }


def _policy(call: Call, policy: ManagedPolicy) -> dict[str, Any]:
    versions = [version_shape(policy, name, document=True) for name in list(policy.versions)[::-1]]
    shape = dict(policy_shape(call.tx, call.part(Entities), call.account, policy, whole=True))
    del shape["Tags"]
    return {**shape, "PolicyVersionList": versions}


_DETAILS: Mapping[str, Callable[[Call, Any], dict[str, Any]]] = {
    User.KIND: _user,
    Group.KIND: _group,
    Role.KIND: _role,
    ManagedPolicy.KIND: _policy,
}
