"""RequestServiceQuotaIncrease, GetRequestedServiceQuotaChange, ListRequestedServiceQuotaChangeHistory and
ListRequestedServiceQuotaChangeHistoryByQuota."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from casemate.api import service_quotas as api
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.servicequotas import requests
from casemate.services.servicequotas.requests import MOST_OPEN, Increase
from casemate.services.servicequotas.targets import (
    Everything,
    QuotaTarget,
    everything,
    illegal,
    named_quota,
    no_such,
    page_of,
    quota_arn,
    quota_of,
    service_of,
)
from casemate.services.servicequotas.values import Values


def _shown(call: Call, increase: Increase) -> api.RequestedServiceQuotaChange:
    quota = quota_of(call, increase.service, increase.code)
    requester = {"accountId": increase.account, "callerArn": increase.requester}
    entry: dict[str, Any] = {
        "Id": increase.id,
        "ServiceCode": increase.service,
        "ServiceName": service_of(call, increase.service).name,
        "QuotaCode": increase.code,
        "QuotaName": quota.name,
        "DesiredValue": increase.desired,
        "Status": increase.status,
        "Created": datetime.fromtimestamp(increase.created, UTC),
        "LastUpdated": datetime.fromtimestamp(increase.updated, UTC),
        "Requester": json.dumps(requester, separators=(",", ":")),
        "QuotaArn": quota_arn(increase.region, increase.account, increase.service, increase.code),
        "GlobalQuota": bool(quota.region),
        "Unit": quota.unit,
        "QuotaRequestedAtLevel": "ACCOUNT",
    }
    return cast("api.RequestedServiceQuotaChange", entry)


@api.RequestServiceQuotaIncrease.writes(named_quota)
def request_service_quota_increase(
    call: Call, req: api.RequestServiceQuotaIncreaseRequest, target: QuotaTarget
) -> api.RequestServiceQuotaIncreaseResponse:
    """Ask for a higher value, which applies once it is approved: by the settings at once, or by the operator."""
    quota, desired = target.quota, float(req["DesiredValue"])
    if req.get("ContextId"):
        raise no_such("The request failed because the specified quota context does not exist.")
    if not quota.adjustable:
        raise illegal("The specified quota is not adjustable.")
    if desired <= call.limit(quota):
        raise illegal("You must provide a quota value greater than the current quota value.")
    waiting = requests.open_in(call.tx, call.account, call.region)
    if any((each.service, each.code) == (quota.service, quota.code) for each in waiting):
        raise AwsError(
            "ResourceAlreadyExistsException",
            "Only one open service quota increase request is allowed per quota.",
        )
    if len(waiting) >= MOST_OPEN:
        raise AwsError(
            "QuotaExceededException", f"You have {MOST_OPEN} open quota increase requests already."
        )
    increase = requests.add(
        call.tx,
        call.part(Values),
        quota,
        call.account,
        call.region,
        desired,
        call.identity.principal.arn,
        call.now,
        may_wait=bool(req.get("SupportCaseAllowed", True)),
    )
    return {"RequestedQuota": _shown(call, increase)}


@api.GetRequestedServiceQuotaChange.reads(everything)
def get_requested_service_quota_change(
    call: Call, req: api.GetRequestedServiceQuotaChangeRequest, target: Everything
) -> api.GetRequestedServiceQuotaChangeResponse:
    """What became of a request."""
    increase = requests.find(call.tx, call.account, call.region, req["RequestId"])
    if increase is None:
        raise no_such("The request failed because the specified quota increase request does not exist.")
    return {"RequestedQuota": _shown(call, increase)}


def _history(call: Call, operation: str, req: Mapping[str, Any], *, code: str) -> dict[str, Any]:
    page = page_of(operation, req)
    if "ServiceCode" in req:
        service_of(call, req["ServiceCode"])
    if req.get("QuotaRequestedAtLevel") == "RESOURCE":
        return {"RequestedQuotas": []}
    found = requests.history(
        call.tx,
        call.account,
        call.region,
        page.after,
        page.limit + 1,
        service=req.get("ServiceCode", ""),
        code=code,
        status=req.get("Status", ""),
    )
    increases, more = page.cut(found, lambda each: each.id)
    return {"RequestedQuotas": [_shown(call, each) for each in increases], **more}


@api.ListRequestedServiceQuotaChangeHistory.reads(everything)
def list_requested_service_quota_change_history(
    call: Call, req: api.ListRequestedServiceQuotaChangeHistoryRequest, target: Everything
) -> api.ListRequestedServiceQuotaChangeHistoryResponse:
    """The account's requests in the Region, the newest first."""
    found = _history(call, "ListRequestedServiceQuotaChangeHistory", req, code="")
    return cast("api.ListRequestedServiceQuotaChangeHistoryResponse", found)


@api.ListRequestedServiceQuotaChangeHistoryByQuota.reads(everything)
def list_requested_service_quota_change_history_by_quota(
    call: Call, req: api.ListRequestedServiceQuotaChangeHistoryByQuotaRequest, target: Everything
) -> api.ListRequestedServiceQuotaChangeHistoryByQuotaResponse:
    """The account's requests for one quota, the newest first."""
    quota_of(call, req["ServiceCode"], req["QuotaCode"])
    found = _history(call, "ListRequestedServiceQuotaChangeHistoryByQuota", req, code=req["QuotaCode"])
    return cast("api.ListRequestedServiceQuotaChangeHistoryByQuotaResponse", found)
