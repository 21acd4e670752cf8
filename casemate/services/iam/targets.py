"""What a request acts on: one resolver for each way in which IAM's operations name it.

An entity that does not exist is a resource with the error that a caller gets who would be allowed to know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.resource import Resource, Value
from casemate.services.iam.conditions import of_request
from casemate.services.iam.entities import (
    Entity,
    Group,
    InstanceProfile,
    ManagedPolicy,
    MfaDevice,
    Role,
    ServerCertificate,
    User,
)
from casemate.services.iam.managed_policies import OWNER, aws_managed
from casemate.services.iam.refusals import absent, invalid, invalid_input
from casemate.services.iam.store import Entities

E = TypeVar("E", bound=Entity)

_TYPES: Mapping[str, str] = {
    "user": "AWS::IAM::User",
    "group": "AWS::IAM::Group",
    "role": "AWS::IAM::Role",
    "policy": "AWS::IAM::ManagedPolicy",
    "instance-profile": "AWS::IAM::InstanceProfile",
    "mfa": "AWS::IAM::VirtualMFADevice",
    "server-certificate": "AWS::IAM::ServerCertificate",
    "oidc-provider": "AWS::IAM::OIDCProvider",
    "saml-provider": "AWS::IAM::SAMLProvider",
}
_POLICY_ARN = re.compile(r"arn:aws:iam::([0-9]{12}|aws):policy(/(?:[!-~]+/)?)([\w+=,.@-]{1,128})", re.ASCII)


class Target(Resource, Generic[E]):
    """An entity as policies see it. found: None for one that is to be made, or that does not exist, which no
    handler sees."""

    __slots__ = ("found",)

    found: E | None

    @property
    def entity(self) -> E:
        assert self.found is not None
        return self.found

    def tags(self) -> Mapping[str, str]:
        return {} if self.found is None else self.found.tags

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        return of_request(key, call, request, self.found)


def target_of(entity: E) -> Target[E]:
    target: Target[E] = Target(entity.arn, entity.account, type=_TYPES[entity.KIND])
    target.found = entity
    return target


def future(
    kind: type[E], account: str, name: str, path: str = "/", missing: AwsError | None = None
) -> Target[E]:
    """One that is not there, or not yet."""
    arn = f"arn:aws:iam::{account}:{kind.KIND}{path}{name}"
    target: Target[E] = Target(arn, account, type=_TYPES[kind.KIND], missing=missing)
    target.found = None
    return target


def by_name(call: Call, kind: type[E], name: str) -> Target[E]:
    """An entity of the caller's account."""
    entity = call.part(Entities).find(call.tx, kind, call.account, name)
    return (
        future(kind, call.account, name, missing=absent(kind, name)) if entity is None else target_of(entity)
    )


def _named(kind: type[E], member: str) -> Callable[[Call, Mapping[str, Any]], Target[E]]:
    def resolve(call: Call, request: Mapping[str, Any]) -> Target[E]:
        return by_name(call, kind, request[member])

    return resolve


named_user = _named(User, "UserName")
named_group = _named(Group, "GroupName")
named_role = _named(Role, "RoleName")
named_profile = _named(InstanceProfile, "InstanceProfileName")
named_certificate = _named(ServerCertificate, "ServerCertificateName")


class NewTarget(Target[E]):
    """An entity that a request would make. tagged: whether with tags."""

    __slots__ = ("tagged",)

    tagged: bool


def when_tagged(target: NewTarget[Any]) -> Resource | None:
    """What the permission to tag is needed on, in addition."""
    return target if target.tagged else None


def new_target(
    call: Call, kind: type[E], request: Mapping[str, Any], name: str, path: str = "/"
) -> NewTarget[E]:
    """One that the request would make in the caller's account, with the request's tags or none."""
    arn = f"arn:aws:iam::{call.account}:{kind.KIND}{path}{name}"
    target: NewTarget[E] = NewTarget(arn, call.account, type=_TYPES[kind.KIND])
    target.found = None
    target.tagged = bool(request.get("Tags"))
    return target


def _new(kind: type[E], member: str) -> Callable[[Call, Mapping[str, Any]], NewTarget[E]]:
    def resolve(call: Call, request: Mapping[str, Any]) -> NewTarget[E]:
        return new_target(call, kind, request, request[member], request.get("Path", "/"))

    return resolve


new_user = _new(User, "UserName")
new_group = _new(Group, "GroupName")
new_role = _new(Role, "RoleName")
new_policy = _new(ManagedPolicy, "PolicyName")
new_profile = _new(InstanceProfile, "InstanceProfileName")
new_certificate = _new(ServerCertificate, "ServerCertificateName")
new_device = _new(MfaDevice, "VirtualMFADeviceName")


class Renaming(NamedTuple, Generic[E]):
    """What an update needs permission on: the entity as it is and as it will be, None where that is the same."""

    target: Target[E]
    becomes: Target[E] | None


def _renaming(kind: type[E], member: str, new_name: str) -> Callable[[Call, Mapping[str, Any]], Renaming[E]]:
    def resolve(call: Call, request: Mapping[str, Any]) -> Renaming[E]:
        target = by_name(call, kind, request[member])
        name, path = request.get(new_name), request.get("NewPath")
        if target.found is None or (name is None and path is None):
            return Renaming(target, None)
        found = target.found
        return Renaming(target, future(kind, call.account, name or found.name, path or found.path))

    return resolve


renamed_user = _renaming(User, "UserName", "NewUserName")
renamed_group = _renaming(Group, "GroupName", "NewGroupName")
renamed_certificate = _renaming(ServerCertificate, "ServerCertificateName", "NewServerCertificateName")


def own_user(call: Call, request: Mapping[str, Any]) -> Target[User]:
    """UserName; without it, whoever calls: a user, or the account's root user, whose name is ''.

    Raises ValidationError for a role's session, which is no user.
    """
    name = request.get("UserName")
    principal = call.identity.principal
    if name is not None:
        return by_name(call, User, name)
    if principal.kind == "root":
        target: Target[User] = Target(principal.arn, call.account)
        target.found = User(account=call.account, name="", id=call.account, created=0.0)
        return target
    if principal.kind == "user":
        return by_name(call, User, principal.arn.rpartition("/")[2])
    raise invalid("Must specify userName when calling with non-User credentials")


_SERIAL = re.compile(r"arn:aws:iam::([0-9]{12}):mfa(/(?:[!-~]+/)?)([\w+=,.@-]{1,226})", re.ASCII)


def named_device(call: Call, request: Mapping[str, Any]) -> Target[MfaDevice]:
    """SerialNumber: a virtual MFA device of the caller's account, by its ARN."""
    serial: str = request["SerialNumber"]
    missing = absent(MfaDevice, serial)
    read = _SERIAL.fullmatch(serial)
    if read is None or read[1] != call.account:
        return future(MfaDevice, call.account, "*", missing=missing)
    found = call.part(Entities).find(call.tx, MfaDevice, call.account, read[3])
    if found is None or found.arn != serial:
        return future(MfaDevice, call.account, read[3], read[2], missing=missing)
    return target_of(found)


# --- managed policies


def _policy(call: Call, arn: str, *, changes: bool) -> Target[ManagedPolicy]:
    read = _POLICY_ARN.fullmatch(arn)
    if read is None:
        raise invalid_input(f"ARN {arn} is not valid.")
    owner, path, name = read.groups()
    found: ManagedPolicy | None
    if owner == OWNER:
        found = aws_managed().get(arn)
        missing = None if found is not None else absent(ManagedPolicy, arn)
        if changes:
            missing = AwsError("AccessDenied", "Policy is outside your own account.", 403)
        # AWS's policies are in every account.
        target: Target[ManagedPolicy] = Target(
            arn, call.account, type=_TYPES[ManagedPolicy.KIND], missing=missing
        )
        target.found = found
        return target
    found = call.part(Entities).policy(call.tx, owner, arn) if owner == call.account else None
    if found is None:
        return future(ManagedPolicy, owner, name, path, missing=absent(ManagedPolicy, arn))
    return target_of(found)


def named_policy(call: Call, request: Mapping[str, Any]) -> Target[ManagedPolicy]:
    """PolicyArn: the account's own or an AWS managed one. Raises InvalidInput."""
    return _policy(call, request["PolicyArn"], changes=False)


def own_policy(call: Call, request: Mapping[str, Any]) -> Target[ManagedPolicy]:
    """PolicyArn of a customer managed policy. Raises InvalidInput."""
    return _policy(call, request["PolicyArn"], changes=True)


def policy_exists(call: Call, arn: str) -> bool:
    """Whether there is such a managed policy, for the caller's account. Raises InvalidInput."""
    target = _policy(call, arn, changes=False)
    return target.account == call.account and target.found is not None


# --- lists, and the account as a whole


def _all(kind: type[Entity]) -> Callable[[Call, Mapping[str, Any]], Resource]:
    def resolve(call: Call, request: Mapping[str, Any]) -> Resource:
        prefix = request.get("PathPrefix", "/")
        return Resource(f"arn:aws:iam::{call.account}:{kind.KIND}{prefix}", call.account)

    return resolve


all_users = _all(User)
all_groups = _all(Group)
all_roles = _all(Role)
all_profiles = _all(InstanceProfile)
all_certificates = _all(ServerCertificate)


def all_policies(call: Call, request: Mapping[str, Any]) -> Resource:
    """ListPolicies's, which AWS names by no ARN."""
    resource = Resource("*", call.account)
    resource.shown = f"policy path {request.get('PathPrefix', '/')}"
    return resource


def account_wide(call: Call, request: Mapping[str, Any]) -> Resource:
    """For operations on no particular resource: "*" in policies."""
    return Resource("*", call.account)
