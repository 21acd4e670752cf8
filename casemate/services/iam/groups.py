"""CreateGroup, GetGroup, ListGroups, UpdateGroup, DeleteGroup;
AddUserToGroup, RemoveUserFromGroup, ListGroupsForUser."""

from __future__ import annotations

from dataclasses import replace

from casemate.api import iam
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Resource
from casemate.services.iam.attachments import check_bare
from casemate.services.iam.entities import Group, Link, User, unique_id
from casemate.services.iam.making import make
from casemate.services.iam.pages import Page
from casemate.services.iam.quotas import GROUPS_OF_USER, check
from casemate.services.iam.refusals import absent, conflict, exists
from casemate.services.iam.shapes import group_shape, user_shape
from casemate.services.iam.store import Entities
from casemate.services.iam.targets import (
    NewTarget,
    Renaming,
    Target,
    all_groups,
    named_group,
    named_user,
    new_group,
    renamed_group,
)


@iam.CreateGroup.writes(new_group)
def create_group(
    call: Call, req: iam.CreateGroupRequest, target: NewTarget[Group]
) -> iam.CreateGroupResponse:
    """A group without users and policies."""
    group = Group(
        account=call.account,
        name=req["GroupName"],
        path=req.get("Path", "/"),
        id=unique_id(Group.PREFIX),
        created=call.now,
    )
    make(call, group)
    return {"Group": group_shape(group)}


@iam.GetGroup.reads(named_group)
def get_group(call: Call, req: iam.GetGroupRequest, target: Target[Group]) -> iam.GetGroupResponse:
    """A group with its users, by name."""
    page = Page(call, req)
    group = target.entity
    found = call.part(Entities).referring(
        call.tx, User, call.account, Link("group", group.id), page.after, page.limit + 1
    )
    users, more = page.cut(found, lambda user: user.handle)
    return {"Group": group_shape(group), "Users": [user_shape(user) for user in users], **more}  # type: ignore[typeddict-item]


@iam.ListGroups.reads(all_groups)
def list_groups(call: Call, req: iam.ListGroupsRequest, target: Resource) -> iam.ListGroupsResponse:
    """The account's groups by name, those under a path."""
    page = Page(call, req)
    found = call.part(Entities).page(
        call.tx, Group, call.account, page.after, page.limit + 1, req.get("PathPrefix", "/")
    )
    groups, more = page.cut(found, lambda group: group.handle)
    return {"Groups": [group_shape(group) for group in groups], **more}  # type: ignore[typeddict-item]


@iam.UpdateGroup.writes(
    renamed_group,
    Need("iam:UpdateGroup", lambda renaming: renaming.target),
    Need("iam:UpdateGroup", lambda renaming: renaming.becomes),
)
def update_group(
    call: Call, req: iam.UpdateGroupRequest, renaming: Renaming[Group]
) -> iam.UpdateGroupResponse:
    """Another name or path; the id, the users and the policies stay."""
    group = renaming.target.entity
    name = req.get("NewGroupName", group.name)
    entities = call.part(Entities)
    if name.lower() != group.handle and entities.find(call.tx, Group, call.account, name) is not None:
        raise exists(Group, name)
    entities.save(call.tx, replace(group, name=name, path=req.get("NewPath", group.path)))
    return {}


@iam.DeleteGroup.writes(named_group)
def delete_group(call: Call, req: iam.DeleteGroupRequest, target: Target[Group]) -> iam.DeleteGroupResponse:
    """Delete a group without users and policies."""
    group = target.entity
    entities = call.part(Entities)
    if entities.count_referring(call.tx, call.account, Link("group", group.id)):
        raise conflict("Cannot delete entity, must remove users from group first.")
    check_bare(group)
    entities.remove(call.tx, group)
    return {}


def _member(call: Call, name: str) -> User:
    user = call.part(Entities).find(call.tx, User, call.account, name)
    if user is None:
        raise absent(User, name)
    return user


@iam.AddUserToGroup.writes(named_group)
def add_user_to_group(
    call: Call, req: iam.AddUserToGroupRequest, target: Target[Group]
) -> iam.AddUserToGroupResponse:
    """Once more is no error."""
    user = _member(call, req["UserName"])
    if target.entity.id in user.groups:
        return {}
    check(call, GROUPS_OF_USER, len(user.groups))
    call.part(Entities).save(call.tx, replace(user, groups=[*user.groups, target.entity.id]))
    return {}


@iam.RemoveUserFromGroup.writes(named_group)
def remove_user_from_group(
    call: Call, req: iam.RemoveUserFromGroupRequest, target: Target[Group]
) -> iam.RemoveUserFromGroupResponse:
    """A user who is not in the group is no error."""
    user = _member(call, req["UserName"])
    if target.entity.id in user.groups:
        kept = [group for group in user.groups if group != target.entity.id]
        call.part(Entities).save(call.tx, replace(user, groups=kept))
    return {}


@iam.ListGroupsForUser.reads(named_user)
def list_groups_for_user(
    call: Call, req: iam.ListGroupsForUserRequest, target: Target[User]
) -> iam.ListGroupsForUserResponse:
    """The groups that a user is in, by name."""
    entities = call.part(Entities)
    found = [entities.with_id(call.tx, Group, call.account, group) for group in target.entity.groups]
    groups, more = Page(call, req).of(found, lambda group: group.handle)
    return {"Groups": [group_shape(group) for group in groups], **more}  # type: ignore[typeddict-item]
