"""DescribeParameters."""

from __future__ import annotations

from casemate.api import ssm
from casemate.gate.call import Call
from casemate.services.ssm import policies
from casemate.services.ssm.filters import of_list
from casemate.services.ssm.pages import SCANNED, begin, more
from casemate.services.ssm.parameter import Parameter, moment
from casemate.services.ssm.parameters import Parameters
from casemate.services.ssm.targets import Absent, account_wide

_DEFAULT = 50


def _metadata(parameter: Parameter) -> ssm.ParameterMetadata:
    version = parameter.current
    shown: ssm.ParameterMetadata = {
        "Name": parameter.row.name,
        "ARN": parameter.arn,
        "Type": version.type,  # type: ignore[typeddict-item]  # one of the model's
        "LastModifiedDate": moment(version.created),
        "LastModifiedUser": version.user,
        "Version": version.number,
        "Tier": version.tier,  # type: ignore[typeddict-item]
        "Policies": policies.shown(parameter.row.policies),
        "DataType": version.data_type,
    }
    if version.key_id:
        shown["KeyId"] = version.key_id
    if version.description:
        shown["Description"] = version.description
    if version.allowed_pattern:
        shown["AllowedPattern"] = version.allowed_pattern
    return shown


@ssm.DescribeParameters.reads(account_wide)
def describe_parameters(
    call: Call, req: ssm.DescribeParametersRequest, account: Absent
) -> ssm.DescribeParametersResult:
    """What parameters there are in the account, by name, without their values; filtered. With Shared: those that
    other accounts share by a resource share, which there are none of."""
    selection = of_list(req)
    after = begin("DescribeParameters", req)
    if req.get("Shared", False):
        return {"Parameters": []}
    most = req.get("MaxResults", _DEFAULT)
    parameters = call.part(Parameters)
    found: list[Parameter] = []
    # One more than is shown or looked at tells whether there is more.
    scanned = SCANNED if selection.tests else most
    entries = parameters.page(call.tx, call.account, call.region, selection.under, after, scanned + 1)
    for entry in entries[:scanned]:
        if len(found) == most:
            break
        after = entry.row.place.path
        if selection.takes(entry):
            found.append(entry)
    shown = [_metadata(each) for each in found]
    if entries and entries[-1].row.place.path > after:
        return {"Parameters": shown, **more("DescribeParameters", after)}  # type: ignore[typeddict-item]
    return {"Parameters": shown}
