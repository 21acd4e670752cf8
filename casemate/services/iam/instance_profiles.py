"""CreateInstanceProfile, GetInstanceProfile, ListInstanceProfiles, ListInstanceProfilesForRole,
DeleteInstanceProfile, AddRoleToInstanceProfile, RemoveRoleFromInstanceProfile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from casemate.api import iam
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Resource, Value
from casemate.services.iam.attachments import check_changeable
from casemate.services.iam.conditions import of_request
from casemate.services.iam.entities import InstanceProfile, Link, Role, unique_id
from casemate.services.iam.making import make
from casemate.services.iam.pages import Page
from casemate.services.iam.refusals import absent, conflict, limit_exceeded, no_such_entity
from casemate.services.iam.shapes import profile_shape
from casemate.services.iam.store import Entities
from casemate.services.iam.tag_rules import merged
from casemate.services.iam.targets import (
    NewTarget,
    Target,
    all_profiles,
    by_name,
    named_profile,
    named_role,
    new_profile,
    when_tagged,
)


@iam.CreateInstanceProfile.writes(
    new_profile, Need("iam:CreateInstanceProfile"), Need("iam:TagInstanceProfile", when_tagged)
)
def create_instance_profile(
    call: Call, req: iam.CreateInstanceProfileRequest, target: NewTarget[InstanceProfile]
) -> iam.CreateInstanceProfileResponse:
    """A profile without a role."""
    entities = call.part(Entities)
    name = req["InstanceProfileName"]
    profile = InstanceProfile(
        account=call.account,
        name=name,
        path=req.get("Path", "/"),
        id=unique_id(InstanceProfile.PREFIX),
        created=call.now,
        tags=merged({}, req.get("Tags", [])),
    )
    make(call, profile)
    return {"InstanceProfile": profile_shape(call.tx, entities, profile, whole=True)}


@iam.GetInstanceProfile.reads(named_profile)
def get_instance_profile(
    call: Call, req: iam.GetInstanceProfileRequest, target: Target[InstanceProfile]
) -> iam.GetInstanceProfileResponse:
    """A profile with its role."""
    return {"InstanceProfile": profile_shape(call.tx, call.part(Entities), target.entity, whole=True)}


@iam.ListInstanceProfiles.reads(all_profiles)
def list_instance_profiles(
    call: Call, req: iam.ListInstanceProfilesRequest, target: Resource
) -> iam.ListInstanceProfilesResponse:
    """The account's profiles by name, those under a path."""
    page = Page(call, req)
    entities = call.part(Entities)
    found = entities.page(
        call.tx, InstanceProfile, call.account, page.after, page.limit + 1, req.get("PathPrefix", "/")
    )
    profiles, more = page.cut(found, lambda profile: profile.handle)
    shapes = [profile_shape(call.tx, entities, profile) for profile in profiles]
    return {"InstanceProfiles": shapes, **more}  # type: ignore[typeddict-item]


@iam.ListInstanceProfilesForRole.reads(named_role)
def list_instance_profiles_for_role(
    call: Call, req: iam.ListInstanceProfilesForRoleRequest, target: Target[Role]
) -> iam.ListInstanceProfilesForRoleResponse:
    """The profiles that a role is in, by name."""
    page = Page(call, req)
    entities = call.part(Entities)
    link = Link("role", target.entity.id)
    found = entities.referring(call.tx, InstanceProfile, call.account, link, page.after, page.limit + 1)
    profiles, more = page.cut(found, lambda profile: profile.handle)
    shapes = [profile_shape(call.tx, entities, profile) for profile in profiles]
    return {"InstanceProfiles": shapes, **more}  # type: ignore[typeddict-item]


@iam.DeleteInstanceProfile.writes(named_profile)
def delete_instance_profile(
    call: Call, req: iam.DeleteInstanceProfileRequest, target: Target[InstanceProfile]
) -> iam.DeleteInstanceProfileResponse:
    """Delete a profile without a role."""
    if target.entity.role:
        raise conflict("Cannot delete entity, must remove roles from instance profile first.")
    call.part(Entities).remove(call.tx, target.entity)
    return {}


class PassedRole(Resource):
    """A role as it is handed to EC2. Source: "Granting a user permissions to pass a role to an AWS service"."""

    __slots__ = ("role",)

    role: Role | None

    def tags(self) -> Mapping[str, str]:
        return {} if self.role is None else self.role.tags

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        if key == "iam:passedtoservice":
            return "ec2.amazonaws.com"
        return of_request(key, call, request, self.role)


class Filling(NamedTuple):
    """The profile, and the role that is passed by it."""

    profile: Target[InstanceProfile]
    role: PassedRole


def _filling(call: Call, request: Mapping[str, Any]) -> Filling:
    role = by_name(call, Role, request["RoleName"])
    passed = PassedRole(role.arn, role.account, type=role.type, missing=role.missing)
    passed.role = role.found
    return Filling(named_profile(call, request), passed)


@iam.AddRoleToInstanceProfile.writes(
    _filling,
    Need("iam:AddRoleToInstanceProfile", lambda filling: filling.profile),
    Need("iam:PassRole", lambda filling: filling.role),
)
def add_role_to_instance_profile(
    call: Call, req: iam.AddRoleToInstanceProfileRequest, filling: Filling
) -> iam.AddRoleToInstanceProfileResponse:
    """Put a role into an empty profile."""
    profile, role = filling.profile.entity, filling.role.role
    assert role is not None
    check_changeable(role)
    if profile.role:
        raise limit_exceeded("InstanceSessionsPerInstanceProfile", 1)
    call.part(Entities).save(call.tx, replace(profile, role=role.id))
    return {}


@iam.RemoveRoleFromInstanceProfile.writes(named_profile)
def remove_role_from_instance_profile(
    call: Call, req: iam.RemoveRoleFromInstanceProfileRequest, target: Target[InstanceProfile]
) -> iam.RemoveRoleFromInstanceProfileResponse:
    """Empty a profile."""
    entities = call.part(Entities)
    role = entities.find(call.tx, Role, call.account, req["RoleName"])
    if role is None:
        raise absent(Role, req["RoleName"])
    if target.entity.role != role.id:
        raise no_such_entity(f"Instance Profile {target.entity.name} does not contain the role {role.name}.")
    entities.save(call.tx, replace(target.entity, role=""))
    return {}
