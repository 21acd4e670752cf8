"""ListServices, ListServiceQuotas, GetServiceQuota, ListAWSDefaultServiceQuotas, GetAWSDefaultServiceQuota."""

from __future__ import annotations

from typing import Any, cast

from casemate.api import service_quotas as api
from casemate.gate.call import Call
from casemate.gate.quotas import Quota
from casemate.services.servicequotas.targets import (
    Everything,
    Page,
    everything,
    no_such,
    page_of,
    quota_arn,
    quota_of,
    quotas_in,
    service_of,
)
from casemate.services.servicequotas.values import Values


def shown(call: Call, quota: Quota, *, default: bool) -> api.ServiceQuota:
    """A quota as the API shows it: with AWS's default value, or with what applies to the caller."""
    value = quota.default(call.region) if default else call.limit(quota)
    entry: dict[str, Any] = {
        "ServiceCode": quota.service,
        "ServiceName": service_of(call, quota.service).name,
        "QuotaArn": quota_arn(call.region, "" if default else call.account, quota.service, quota.code),
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": float(value),
        "Unit": quota.unit,
        "Adjustable": quota.adjustable,
        "GlobalQuota": bool(quota.region),
        "QuotaAppliedAtLevel": "ACCOUNT",
        "Description": quota.description,
    }
    if quota.counts:
        entry["Period"] = {"PeriodValue": 1, "PeriodUnit": "SECOND"}
    return cast("api.ServiceQuota", entry)


@api.ListServices.reads(everything)
def list_services(call: Call, req: api.ListServicesRequest, target: Everything) -> api.ListServicesResponse:
    """The services that have quotas here."""
    page = page_of("ListServices", req)
    codes, more = page.cut([code for code in call.part(Values).services if code > page.after], str)
    services: list[api.ServiceInfo] = [
        {"ServiceCode": code, "ServiceName": service_of(call, code).name} for code in codes
    ]
    return {"Services": services, **more}  # type: ignore[typeddict-item]


def _page_of_quotas(call: Call, page: Page, service: str, *, default: bool) -> dict[str, Any]:
    # By name, and those of one name by code.
    quotas = sorted(quotas_in(call, service_of(call, service)), key=_name)
    found, more = page.cut([quota for quota in quotas if _name(quota) > page.after], _name)
    return {"Quotas": [shown(call, quota, default=default) for quota in found], **more}


def _name(quota: Quota) -> str:
    return f"{quota.name} {quota.code}"


@api.ListServiceQuotas.reads(everything)
def list_service_quotas(
    call: Call, req: api.ListServiceQuotasRequest, target: Everything
) -> api.ListServiceQuotasResponse:
    """A service's quotas with the values that apply to the caller's account in the Region."""
    page = page_of("ListServiceQuotas", req)
    service_of(call, req["ServiceCode"])
    if req.get("QuotaAppliedAtLevel") == "RESOURCE":
        # No quota here is one of a single resource.
        return {"Quotas": []}
    if "QuotaCode" in req:
        quota = quota_of(call, req["ServiceCode"], req["QuotaCode"])
        return {"Quotas": [shown(call, quota, default=False)]}
    return cast(
        "api.ListServiceQuotasResponse", _page_of_quotas(call, page, req["ServiceCode"], default=False)
    )


@api.GetServiceQuota.reads(everything)
def get_service_quota(
    call: Call, req: api.GetServiceQuotaRequest, target: Everything
) -> api.GetServiceQuotaResponse:
    """One quota with the value that applies to the caller's account in the Region."""
    quota = quota_of(call, req["ServiceCode"], req["QuotaCode"])
    if req.get("ContextId"):
        raise no_such("The request failed because the specified quota context does not exist.")
    return {"Quota": shown(call, quota, default=False)}


@api.ListAWSDefaultServiceQuotas.reads(everything)
def list_aws_default_service_quotas(
    call: Call, req: api.ListAWSDefaultServiceQuotasRequest, target: Everything
) -> api.ListAWSDefaultServiceQuotasResponse:
    """A service's quotas with AWS's default values in the Region."""
    page = page_of("ListAWSDefaultServiceQuotas", req)
    found = _page_of_quotas(call, page, req["ServiceCode"], default=True)
    return cast("api.ListAWSDefaultServiceQuotasResponse", found)


@api.GetAWSDefaultServiceQuota.reads(everything)
def get_aws_default_service_quota(
    call: Call, req: api.GetAWSDefaultServiceQuotaRequest, target: Everything
) -> api.GetAWSDefaultServiceQuotaResponse:
    """One quota with AWS's default value in the Region."""
    return {"Quota": shown(call, quota_of(call, req["ServiceCode"], req["QuotaCode"]), default=True)}
