"""CreateServiceLinkedRole, DeleteServiceLinkedRole, GetServiceLinkedRoleDeletionStatus.

A service-linked role is its service's: nobody else changes or assumes it. Source: "Service-linked roles".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import uuid4

from casemate.api import iam
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.iam.entities import Role, unique_id
from casemate.services.iam.quotas import check_room
from casemate.services.iam.refusals import absent, invalid_input, no_such_entity
from casemate.services.iam.shapes import role_shape
from casemate.services.iam.store import Entities
from casemate.services.iam.targets import Target, future, named_role
from casemate.services.iam.uses import forget

_KEPT = 7 * 86_400
"""Seconds for which it is told what became of a deletion."""


class Linked(NamedTuple):
    """A service's role. policy: the AWS managed policy that it has; suffix: whether there may be several."""

    name: str
    policy: str
    suffix: bool = False


SERVICES: Mapping[str, Linked] = {
    "apidestinations.events.amazonaws.com": Linked(
        "AWSServiceRoleForAmazonEventBridgeApiDestinations",
        "AmazonEventBridgeApiDestinationsServiceRolePolicy",
    ),
    "autoscaling.amazonaws.com": Linked("AWSServiceRoleForAutoScaling", "AutoScalingServiceRolePolicy", True),
    "cks.kms.amazonaws.com": Linked(
        "AWSServiceRoleForKeyManagementServiceCustomKeyStores",
        "AWSKeyManagementServiceCustomKeyStoresServiceRolePolicy",
    ),
    "cloudtrail.amazonaws.com": Linked("AWSServiceRoleForCloudTrail", "CloudTrailServiceRolePolicy"),
    "mrk.kms.amazonaws.com": Linked(
        "AWSServiceRoleForKeyManagementServiceMultiRegionKeys",
        "AWSKeyManagementServiceMultiRegionKeysServiceRolePolicy",
    ),
    "organizations.amazonaws.com": Linked(
        "AWSServiceRoleForOrganizations", "AWSOrganizationsServiceTrustPolicy"
    ),
    "servicequotas.amazonaws.com": Linked("AWSServiceRoleForServiceQuotas", "ServiceQuotasServiceRolePolicy"),
}

_TASK = re.compile(r"task(/aws-service-role/[^/]+/)([\w+=,.@-]+)/[0-9a-f-]{36}", re.ASCII)


def _role_name(service: str, suffix: str) -> str:
    linked = SERVICES.get(service)
    name = linked.name if linked is not None else "AWSServiceRole"
    return f"{name}_{suffix}" if suffix else name


def linked_role(account: str, service: str, now: float, suffix: str = "", description: str = "") -> Role:
    """The role of a service in SERVICES, not stored."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    return Role(
        account=account,
        name=_role_name(service, suffix),
        path=f"/aws-service-role/{service}/",
        id=unique_id(Role.PREFIX),
        created=now,
        trust=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        description=description,
        attached=[f"arn:aws:iam::aws:policy/aws-service-role/{SERVICES[service].policy}"],
    )


def _new(call: Call, request: Mapping[str, Any]) -> Target[Role]:
    service = request["AWSServiceName"]
    name = _role_name(service, request.get("CustomSuffix", ""))
    return future(Role, call.account, name, f"/aws-service-role/{service}/")


@iam.CreateServiceLinkedRole.writes(_new)
def create_service_linked_role(
    call: Call, req: iam.CreateServiceLinkedRoleRequest, target: Target[Role]
) -> iam.CreateServiceLinkedRoleResponse:
    """A role that a service assumes, with the trust and permissions that AWS defines for it."""
    service, suffix = req["AWSServiceName"], req.get("CustomSuffix", "")
    linked = SERVICES.get(service)
    if linked is None:
        raise AwsError("NotImplemented", f"The role of {service} is not served by Casemate.", 501)
    if suffix and not linked.suffix:
        raise invalid_input(f"Custom suffix is not allowed for {service}")
    name = _role_name(service, suffix)
    entities = call.part(Entities)
    if entities.find(call.tx, Role, call.account, name) is not None:
        raise invalid_input(
            f"Service role name {name} has been taken in this account, please try a different suffix."
        )
    check_room(call, Role)
    role = linked_role(call.account, service, call.now, suffix, req.get("Description", ""))
    entities.add(call.tx, role)
    return {"Role": role_shape(call.tx, entities, role)}


@iam.DeleteServiceLinkedRole.writes(named_role)
def delete_service_linked_role(
    call: Call, req: iam.DeleteServiceLinkedRoleRequest, target: Target[Role]
) -> iam.DeleteServiceLinkedRoleResponse:
    """Delete a service's role, at once; the answer names a task, as AWS's does."""
    role = target.entity
    if not role.service_linked:
        raise absent(Role, role.name)
    entities = call.part(Entities)
    entities.remove(call.tx, role)
    forget(call.tx, role.id)
    task = f"task{role.path}{role.name}/{uuid4()}"
    call.tx.run("DELETE FROM iam_deletions WHERE account = ? AND ended < ?", (call.account, call.now - _KEPT))
    call.tx.run(
        "INSERT INTO iam_deletions (account, task, ended) VALUES (?, ?, ?)", (call.account, task, call.now)
    )
    return {"DeletionTaskId": task}


def _deleted(call: Call, request: Mapping[str, Any]) -> Target[Role]:
    """The role that a task deletes. Raises InvalidInput for what names no task."""
    read = _TASK.fullmatch(request["DeletionTaskId"])
    if read is None:
        raise invalid_input("The deletion task id is not valid.")
    row = call.tx.one(
        "SELECT 1 FROM iam_deletions WHERE account = ? AND task = ?",
        (call.account, request["DeletionTaskId"]),
    )
    missing = None
    if row is None:
        missing = no_such_entity(f"The deletion task {request['DeletionTaskId']} cannot be found.")
    return future(Role, call.account, read[2], read[1], missing)


@iam.GetServiceLinkedRoleDeletionStatus.reads(_deleted)
def get_service_linked_role_deletion_status(
    call: Call, req: iam.GetServiceLinkedRoleDeletionStatusRequest, target: Target[Role]
) -> iam.GetServiceLinkedRoleDeletionStatusResponse:
    """What became of a deletion within a week: a task that there is has succeeded."""
    return {"Status": "SUCCEEDED"}
