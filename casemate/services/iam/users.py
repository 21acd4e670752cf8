"""CreateUser, GetUser, ListUsers, UpdateUser, DeleteUser."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from casemate.api import iam
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Resource
from casemate.services.iam import access_key_rows, mfa
from casemate.services.iam.attachments import check_bare
from casemate.services.iam.boundaries import checked_boundary
from casemate.services.iam.entities import LoginProfile, User, unique_id
from casemate.services.iam.making import make
from casemate.services.iam.pages import Page
from casemate.services.iam.refusals import conflict, exists
from casemate.services.iam.shapes import user_shape, when
from casemate.services.iam.store import Entities
from casemate.services.iam.tag_rules import merged
from casemate.services.iam.targets import (
    NewTarget,
    Renaming,
    Target,
    all_users,
    named_user,
    new_user,
    own_user,
    renamed_user,
    when_tagged,
)


@iam.CreateUser.writes(new_user, Need("iam:CreateUser"), Need("iam:TagUser", when_tagged))
def create_user(call: Call, req: iam.CreateUserRequest, target: NewTarget[User]) -> iam.CreateUserResponse:
    """A user without any right."""
    user = User(
        account=call.account,
        name=req["UserName"],
        path=req.get("Path", "/"),
        id=unique_id(User.PREFIX),
        created=call.now,
        tags=merged({}, req.get("Tags", [])),
        boundary=checked_boundary(call, req.get("PermissionsBoundary", "")),
    )
    make(call, user)
    return {"User": user_shape(user, whole=True)}


@iam.GetUser.reads(own_user)
def get_user(call: Call, req: iam.GetUserRequest, target: Target[User]) -> iam.GetUserResponse:
    """A user, by default the caller."""
    user = target.entity
    if user.name:
        return {"User": user_shape(user, whole=True)}
    row = call.tx.one("SELECT created FROM accounts WHERE id = ?", (call.account,))
    root: Any = {
        "UserId": call.account,
        "Arn": target.arn,
        "CreateDate": when(0.0 if row is None else row[0]),
    }
    return {"User": root}


@iam.ListUsers.reads(all_users)
def list_users(call: Call, req: iam.ListUsersRequest, target: Resource) -> iam.ListUsersResponse:
    """The account's users by name, those under a path."""
    page = Page(call, req)
    found = call.part(Entities).page(
        call.tx, User, call.account, page.after, page.limit + 1, req.get("PathPrefix", "/")
    )
    users, more = page.cut(found, lambda user: user.handle)
    return {"Users": [user_shape(user) for user in users], **more}  # type: ignore[typeddict-item]


@iam.UpdateUser.writes(
    renamed_user,
    Need("iam:UpdateUser", lambda renaming: renaming.target),
    Need("iam:UpdateUser", lambda renaming: renaming.becomes),
)
def update_user(call: Call, req: iam.UpdateUserRequest, renaming: Renaming[User]) -> iam.UpdateUserResponse:
    """Another name or path; the id and all that belongs to the user stay."""
    user = renaming.target.entity
    name = req.get("NewUserName", user.name)
    entities = call.part(Entities)
    if name.lower() != user.handle and entities.find(call.tx, User, call.account, name) is not None:
        raise exists(User, name)
    if name != user.name:
        access_key_rows.rename(call.tx, entities.keyring, call.account, user.name, name)
    entities.save(call.tx, replace(user, name=name, path=req.get("NewPath", user.path)))
    return {}


@iam.DeleteUser.writes(named_user)
def delete_user(call: Call, req: iam.DeleteUserRequest, target: Target[User]) -> iam.DeleteUserResponse:
    """Delete a user to which nothing belongs any more."""
    user = target.entity
    if access_key_rows.of_user(call.tx, call.account, user.name):
        raise conflict("Cannot delete entity, must delete access keys first.")
    check_bare(user)
    if user.groups:
        raise conflict("Cannot delete entity, must remove users from group first.")
    if call.part(Entities).find(call.tx, LoginProfile, call.account, user.id) is not None:
        raise conflict("Cannot delete entity, must delete login profile first.")
    if mfa.devices_of(call.part(Entities), call.tx, call.account, user.id):
        raise conflict("Cannot delete entity, must delete MFA device first.")
    call.part(Entities).remove(call.tx, user)
    return {}
