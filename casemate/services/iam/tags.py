"""Tag*, Untag* and List*Tags of users, roles, managed policies and instance profiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from casemate.api import iam
from casemate.gate.call import Call
from casemate.services.iam.entities import Entity, InstanceProfile, ManagedPolicy, Role, User
from casemate.services.iam.pages import Page
from casemate.services.iam.shapes import tag_list
from casemate.services.iam.store import Entities
from casemate.services.iam.tag_rules import merged, without
from casemate.services.iam.targets import (
    Target,
    named_policy,
    named_profile,
    named_role,
    named_user,
    own_policy,
)


def tag(call: Call, request: Mapping[str, Any], entity: Entity) -> None:
    """Add tags, or replace those of the same keys."""
    call.part(Entities).save(call.tx, replace(entity, tags=merged(entity.tags, request["Tags"])))


def untag(call: Call, request: Mapping[str, Any], entity: Entity) -> None:
    """Remove tags; keys that are not there are no error."""
    call.part(Entities).save(call.tx, replace(entity, tags=without(entity.tags, request["TagKeys"])))


def list_tags(call: Call, request: Mapping[str, Any], entity: Entity) -> Any:
    """By key."""
    keys, more = Page(call, request).of(entity.tags, str)
    return {"Tags": tag_list({key: entity.tags[key] for key in keys}), **more}


@iam.TagUser.writes(named_user)
def tag_user(call: Call, req: iam.TagUserRequest, target: Target[User]) -> iam.TagUserResponse:
    """Add tags to a user, or replace those of the same keys."""
    tag(call, req, target.entity)
    return {}


@iam.UntagUser.writes(named_user)
def untag_user(call: Call, req: iam.UntagUserRequest, target: Target[User]) -> iam.UntagUserResponse:
    """Remove tags from a user; keys that it does not have are no error."""
    untag(call, req, target.entity)
    return {}


@iam.ListUserTags.reads(named_user)
def list_user_tags(
    call: Call, req: iam.ListUserTagsRequest, target: Target[User]
) -> iam.ListUserTagsResponse:
    """A user's tags by key."""
    found: iam.ListUserTagsResponse = list_tags(call, req, target.entity)
    return found


@iam.TagRole.writes(named_role)
def tag_role(call: Call, req: iam.TagRoleRequest, target: Target[Role]) -> iam.TagRoleResponse:
    """Add tags to a role, or replace those of the same keys."""
    tag(call, req, target.entity)
    return {}


@iam.UntagRole.writes(named_role)
def untag_role(call: Call, req: iam.UntagRoleRequest, target: Target[Role]) -> iam.UntagRoleResponse:
    """Remove tags from a role; keys that it does not have are no error."""
    untag(call, req, target.entity)
    return {}


@iam.ListRoleTags.reads(named_role)
def list_role_tags(
    call: Call, req: iam.ListRoleTagsRequest, target: Target[Role]
) -> iam.ListRoleTagsResponse:
    """A role's tags by key."""
    found: iam.ListRoleTagsResponse = list_tags(call, req, target.entity)
    return found


@iam.TagPolicy.writes(own_policy)
def tag_policy(call: Call, req: iam.TagPolicyRequest, target: Target[ManagedPolicy]) -> iam.TagPolicyResponse:
    """Add tags to a managed policy, or replace those of the same keys."""
    tag(call, req, target.entity)
    return {}


@iam.UntagPolicy.writes(own_policy)
def untag_policy(
    call: Call, req: iam.UntagPolicyRequest, target: Target[ManagedPolicy]
) -> iam.UntagPolicyResponse:
    """Remove tags from a managed policy; keys that it does not have are no error."""
    untag(call, req, target.entity)
    return {}


@iam.ListPolicyTags.reads(named_policy)
def list_policy_tags(
    call: Call, req: iam.ListPolicyTagsRequest, target: Target[ManagedPolicy]
) -> iam.ListPolicyTagsResponse:
    """A managed policy's tags by key."""
    found: iam.ListPolicyTagsResponse = list_tags(call, req, target.entity)
    return found


@iam.TagInstanceProfile.writes(named_profile)
def tag_instance_profile(
    call: Call, req: iam.TagInstanceProfileRequest, target: Target[InstanceProfile]
) -> iam.TagInstanceProfileResponse:
    """Add tags to an instance profile, or replace those of the same keys."""
    tag(call, req, target.entity)
    return {}


@iam.UntagInstanceProfile.writes(named_profile)
def untag_instance_profile(
    call: Call, req: iam.UntagInstanceProfileRequest, target: Target[InstanceProfile]
) -> iam.UntagInstanceProfileResponse:
    """Remove tags from an instance profile; keys that it does not have are no error."""
    untag(call, req, target.entity)
    return {}


@iam.ListInstanceProfileTags.reads(named_profile)
def list_instance_profile_tags(
    call: Call, req: iam.ListInstanceProfileTagsRequest, target: Target[InstanceProfile]
) -> iam.ListInstanceProfileTagsResponse:
    """An instance profile's tags by key."""
    found: iam.ListInstanceProfileTagsResponse = list_tags(call, req, target.entity)
    return found
