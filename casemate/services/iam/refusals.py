"""IAM's refusals that more than one operation gives, in AWS's words where they are known. Their HTTP statuses are the
model's."""

from __future__ import annotations

from casemate.errors import AwsError
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

_NAMED = {User: "user", Group: "group", Role: "role"}


def no_such_entity(text: str) -> AwsError:
    return AwsError("NoSuchEntity", text)


def absent(kind: type[Entity], name: str) -> AwsError:
    """There is no entity of that name; a policy is named by its ARN."""
    if kind is ManagedPolicy:
        return no_such_entity(f"Policy {name} was not found.")
    if kind is InstanceProfile:
        return no_such_entity(f"Instance Profile {name} cannot be found.")
    if kind is MfaDevice:
        return no_such_entity(f"VirtualMFADevice with serial number {name} doesn't exist.")
    if kind is ServerCertificate:
        return no_such_entity(f"The Server Certificate with name {name} cannot be found.")
    return no_such_entity(f"The {_NAMED[kind]} with name {name} cannot be found.")


def not_attachable(arn: str) -> AwsError:
    return no_such_entity(f"Policy {arn} does not exist or is not attachable.")


def exists(kind: type[Entity], name: str) -> AwsError:
    """There is an entity of that name already."""
    if kind is ManagedPolicy:
        text = f"A policy called {name} already exists. Duplicate names are not allowed."
    elif kind is InstanceProfile:
        text = f"Instance Profile {name} already exists."
    elif kind is ServerCertificate:
        text = f"The Server Certificate with name {name} already exists."
    elif kind is MfaDevice:
        text = "MFADevice entity at the same path and name already exists."
    else:
        text = f"{_NAMED[kind].capitalize()} with name {name} already exists."
    return AwsError("EntityAlreadyExists", text)


def conflict(text: str) -> AwsError:
    return AwsError("DeleteConflict", text)


def limit_exceeded(quota: str, most: int) -> AwsError:
    return AwsError("LimitExceeded", f"Cannot exceed quota for {quota}: {most}")


def invalid_input(text: str) -> AwsError:
    return AwsError("InvalidInput", text)


def invalid(text: str) -> AwsError:
    return AwsError("ValidationError", text)


def malformed(text: str) -> AwsError:
    return AwsError("MalformedPolicyDocument", text)


def unmodifiable(role: Role) -> AwsError:
    return AwsError(
        "UnmodifiableEntity",
        f"Cannot perform the operation on the protected role '{role.name}' - this role is only modifiable by AWS",
    )
