"""LabelParameterVersion, UnlabelParameterVersion. Source: "Working with parameter labels in Parameter Store"."""

from __future__ import annotations

import re

from casemate.api import ssm
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.ssm.events import changed
from casemate.services.ssm.parameters import Parameters
from casemate.services.ssm.refusals import no_version
from casemate.services.ssm.targets import Target, need, own

MOST = 10
_LABEL = re.compile(r"(?!aws|ssm)[a-z_.-][a-z0-9_.-]*", re.ASCII | re.IGNORECASE)


def _number(call: Call, target: Target, given: int | None) -> int:
    """The version that is meant, the current one unless one is given. Raises ParameterVersionNotFound."""
    parameter = target.found
    if given is None:
        return parameter.row.version
    # A number that no database has may be asked for.
    kept = 0 < given <= parameter.row.version
    if not kept or call.part(Parameters).find_version(call, parameter, given) is None:
        raise no_version(given, parameter.row.name)
    return given


@ssm.LabelParameterVersion.writes(own, need("ssm:LabelParameterVersion"))
def label_parameter_version(
    call: Call, req: ssm.LabelParameterVersionRequest, target: Target
) -> ssm.LabelParameterVersionResult:
    """Give labels to a version; those that another version has leave it. Labels of a wrong form are told in the
    answer."""
    row = target.found.row
    number = _number(call, target, req.get("ParameterVersion"))
    wanted = list(dict.fromkeys(req["Labels"]))
    good = [label for label in wanted if _LABEL.fullmatch(label)]
    labels = dict(row.labels) | dict.fromkeys(good, number)
    row = row._replace(labels=labels)
    if len(row.labels_of(number)) > MOST:
        raise AwsError(
            "ParameterVersionLabelLimitExceeded",
            f"A parameter version can have maximum {MOST} labels. Move one or more labels to another version and try "
            "again.",
        )
    if good:
        call.part(Parameters).save(call.tx, row)
        changed(call, "LabelParameterVersion", row, target.found.current)
    return {"InvalidLabels": [label for label in wanted if label not in good], "ParameterVersion": number}


@ssm.UnlabelParameterVersion.writes(own, need("ssm:UnlabelParameterVersion"))
def unlabel_parameter_version(
    call: Call, req: ssm.UnlabelParameterVersionRequest, target: Target
) -> ssm.UnlabelParameterVersionResult:
    """Take labels from a version; those that it does not have are told in the answer."""
    row = target.found.row
    number = _number(call, target, req["ParameterVersion"])
    wanted = list(dict.fromkeys(req["Labels"]))
    gone = [label for label in wanted if row.labels.get(label) == number]
    if gone:
        kept = {label: of for label, of in row.labels.items() if label not in gone}
        call.part(Parameters).save(call.tx, row._replace(labels=kept))
    return {"RemovedLabels": gone, "InvalidLabels": [label for label in wanted if label not in gone]}
