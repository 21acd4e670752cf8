"""GetServiceSetting, UpdateServiceSetting, ResetServiceSetting, of Parameter Store's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.api import ssm
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.ssm.parameter import moment
from casemate.services.ssm.parameters import Parameters
from casemate.services.ssm.refusals import invalid
from casemate.services.ssm.rows import Setting
from casemate.services.ssm.setting_values import SETTINGS
from casemate.services.ssm.targets import ServiceSetting, setting_arn

_SINCE = 1_793_491_200.0
"""When the defaults were last changed: 1 November 2026."""


def setting(call: Call, request: Mapping[str, Any]) -> ServiceSetting:
    """SettingId: the id, or the ARN of the call's account and Region."""
    text: str = request["SettingId"]
    prefix = setting_arn(call.account, call.region, "")
    name = text.removeprefix(prefix) if text.startswith(prefix) else text
    known = name in SETTINGS
    missing = AwsError(
        "ServiceSettingNotFound",
        "The specified service setting wasn't found. Either the service name or the setting hasn't been provisioned "
        "by the AWS service team.",
    )
    arn = setting_arn(call.account, call.region, name if known else "/unknown")
    return ServiceSetting(name, arn, call.account, None if known else missing)


def _shown(target: ServiceSetting, changed: Setting | None) -> ssm.ServiceSetting:
    return {
        "SettingId": target.id,
        "SettingValue": SETTINGS[target.id].default if changed is None else changed.value,
        "LastModifiedDate": moment(_SINCE if changed is None else changed.modified),
        "LastModifiedUser": "System" if changed is None else changed.user,
        "ARN": target.arn,
        "Status": "Default" if changed is None else "Customized",
    }


@ssm.GetServiceSetting.reads(setting)
def get_service_setting(
    call: Call, req: ssm.GetServiceSettingRequest, target: ServiceSetting
) -> ssm.GetServiceSettingResult:
    """A setting's value in the account and Region."""
    return {"ServiceSetting": _shown(target, call.part(Parameters).settings(call).get(target.id))}


@ssm.UpdateServiceSetting.writes(setting)
def update_service_setting(
    call: Call, req: ssm.UpdateServiceSettingRequest, target: ServiceSetting
) -> ssm.UpdateServiceSettingResult:
    """Let another value apply."""
    values = SETTINGS[target.id].values
    if req["SettingValue"] not in values:
        raise invalid(f"The setting value is not valid. Valid values include: [{', '.join(values)}].")
    changed = Setting(req["SettingValue"], call.now, call.identity.principal.arn)
    call.part(Parameters).put_setting(call.tx, call.account, call.region, target.id, changed)
    return {}


@ssm.ResetServiceSetting.writes(setting)
def reset_service_setting(
    call: Call, req: ssm.ResetServiceSettingRequest, target: ServiceSetting
) -> ssm.ResetServiceSettingResult:
    """Let the default apply again."""
    call.part(Parameters).drop_setting(call.tx, call.account, call.region, target.id)
    return {"ServiceSetting": _shown(target, None)}
