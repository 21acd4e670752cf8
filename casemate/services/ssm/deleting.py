"""DeleteParameter, DeleteParameters."""

from __future__ import annotations

from casemate.api import ssm
from casemate.gate.call import Call
from casemate.services.ssm.events import changed
from casemate.services.ssm.parameter import Parameter
from casemate.services.ssm.parameters import Parameters
from casemate.services.ssm.policy_jobs import call_off
from casemate.services.ssm.targets import Target, all_own, need, needs_of_all, own


def _delete(call: Call, parameter: Parameter) -> None:
    call.part(Parameters).delete(call.tx, parameter)
    call_off(call.tx, parameter.row.place)
    changed(call, "Delete", parameter.row, parameter.current)


@ssm.DeleteParameter.writes(own, need("ssm:DeleteParameter"))
def delete_parameter(
    call: Call, req: ssm.DeleteParameterRequest, target: Target
) -> ssm.DeleteParameterResult:
    """Remove a parameter with all its versions, for good."""
    _delete(call, target.found)
    return {}


@ssm.DeleteParameters.writes(all_own, *needs_of_all("ssm:DeleteParameters"))
def delete_parameters(
    call: Call, req: ssm.DeleteParametersRequest, targets: tuple[Target, ...]
) -> ssm.DeleteParametersResult:
    """Remove up to ten; names of none are told in the answer."""
    for target in targets:
        if target.parameter is not None:
            _delete(call, target.parameter)
    return {
        "DeletedParameters": [each.parameter.row.name for each in targets if each.parameter is not None],
        "InvalidParameters": [each.named.name for each in targets if each.parameter is None],
    }
