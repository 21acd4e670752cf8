"""GenerateServiceLastAccessedDetails, GetServiceLastAccessedDetails, GetServiceLastAccessedDetailsWithEntities.

AWS makes reports in the background. Here one is made when the call returns, with all that came before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from casemate.api import iam
from casemate.errors import AwsError
from casemate.gate.billing import UsageReader
from casemate.gate.call import Call
from casemate.gate.random_ids import new_uuid
from casemate.gate.resource import Resource
from casemate.services.iam.access_report import report
from casemate.services.iam.pages import Page
from casemate.services.iam.refusals import no_such_entity
from casemate.services.iam.service_names import SERVICE_NAMES
from casemate.services.iam.shapes import when
from casemate.services.iam.simulate import named_principal
from casemate.services.iam.targets import Target, account_wide, named_policy
from casemate.store.errors import StoreError
from casemate.store.journal_format import JournalTampered

KEPT = 7 * 86_400.0
"""Seconds for which a report can be had."""


class _Report(NamedTuple):
    granularity: str
    made: float
    content: Mapping[str, Any]

    def shape(self) -> dict[str, Any]:
        """What all answers say of it."""
        return {
            "JobStatus": "COMPLETED",
            "JobCreationDate": when(self.made),
            "JobCompletionDate": when(self.made),
        }


def _subject(call: Call, request: Mapping[str, Any]) -> Target[Any]:
    """Arn: of a user, group, role or managed policy. Raises InvalidInput."""
    arn: str = request["Arn"]
    if ":policy/" in arn:
        return named_policy(call, {"PolicyArn": arn})
    return named_principal(call, {"PolicySourceArn": arn})


@iam.GenerateServiceLastAccessedDetails.writes(_subject, read_only=True)
def generate_service_last_accessed_details(
    call: Call, req: iam.GenerateServiceLastAccessedDetailsRequest, target: Target[Any]
) -> iam.GenerateServiceLastAccessedDetailsResponse:
    """Have a report made of the services that an identity's or a policy's permissions allow."""
    call.before("accesses", lambda: _catch_up(call.part(UsageReader)))
    granularity = req.get("Granularity", "SERVICE_LEVEL")
    content = report(call, target.entity, by_action=granularity == "ACTION_LEVEL")
    job = new_uuid()
    call.tx.run(
        "DELETE FROM iam_access_reports WHERE account = ? AND made <= ?", (call.account, call.now - KEPT)
    )
    call.tx.run(
        "INSERT INTO iam_access_reports (account, job, owner, granularity, made, content) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (call.account, job, call.identity.principal.id, granularity, call.now, json.dumps(content)),
    )
    return {"JobId": job}


@iam.GetServiceLastAccessedDetails.reads(account_wide)
def get_service_last_accessed_details(
    call: Call, req: iam.GetServiceLastAccessedDetailsRequest, target: Resource
) -> iam.GetServiceLastAccessedDetailsResponse:
    """A report's services by their namespaces, each with the last attempt to use it."""
    found = _report(call, req["JobId"])
    services, more = Page(call, req).of(found.content["services"], lambda each: str(each["namespace"]))
    answer: dict[str, Any] = {
        **found.shape(),
        "JobType": found.granularity,
        "ServicesLastAccessed": [_service(each) for each in services],
        **more,
    }
    return answer  # type: ignore[return-value]


@iam.GetServiceLastAccessedDetailsWithEntities.reads(account_wide)
def get_service_last_accessed_details_with_entities(
    call: Call, req: iam.GetServiceLastAccessedDetailsWithEntitiesRequest, target: Resource
) -> iam.GetServiceLastAccessedDetailsWithEntitiesResponse:
    """The users and roles whom a report's permissions allow a service, those who tried it last first."""
    found = _report(call, req["JobId"])
    wanted = req["ServiceNamespace"].lower()
    service = next((each for each in found.content["services"] if each["namespace"] == wanted), None)
    entities: list[dict[str, Any]] = []
    if service is not None:
        last = service["last"]
        entities = sorted(found.content["entities"], key=lambda each: (-last.get(each["Id"], 0), each["Arn"]))
    places = {f"{number:06}": each for number, each in enumerate(entities)}
    shown, more = Page(call, req).of(places, str)
    details = []
    for place in shown:
        entity = places[place]
        detail: dict[str, Any] = {"EntityInfo": entity}
        if service is not None and entity["Id"] in service["last"]:
            detail["LastAuthenticated"] = when(service["last"][entity["Id"]])
        details.append(detail)
    return {**found.shape(), "EntityDetailsList": details, **more}  # type: ignore[typeddict-item]


def _report(call: Call, job: str) -> _Report:
    """Raises NoSuchEntity for one that is not the caller's own, or too old."""
    row = call.tx.one(
        "SELECT granularity, made, content FROM iam_access_reports "
        "WHERE account = ? AND job = ? AND owner = ? AND made > ?",
        (call.account, job, call.identity.principal.id, call.now - KEPT),
    )
    if row is None:
        raise no_such_entity(f"Job {job} is not found.")
    return _Report(row[0], row[1], json.loads(row[2]))


def _service(found: Mapping[str, Any]) -> dict[str, Any]:
    namespace = found["namespace"]
    shape: dict[str, Any] = {
        "ServiceName": SERVICE_NAMES[namespace],
        "ServiceNamespace": namespace,
        "TotalAuthenticatedEntities": len(found["last"]),
    }
    if found["latest"] is not None:
        last, entity, region = found["latest"]
        shape["LastAuthenticated"] = when(last)
        shape["LastAuthenticatedEntity"] = entity
        shape["LastAuthenticatedRegion"] = region
    if "actions" in found:
        shape["TrackedActionsLastAccessed"] = [_action(*each) for each in found["actions"].items()]
    return shape


def _action(name: str, attempt: list[Any] | None) -> dict[str, Any]:
    if attempt is None:
        return {"ActionName": name}
    last, entity, region = attempt
    return {
        "ActionName": name,
        "LastAccessedEntity": entity,
        "LastAccessedTime": when(last),
        "LastAccessedRegion": region,
    }


def _catch_up(reader: UsageReader) -> None:
    try:
        reader.catch_up()
    except (StoreError, JournalTampered):
        raise AwsError("ServiceFailure", "The audit cannot be read. Try again shortly.", 500) from None
