"""GetFunction, GetFunctionConfiguration, ListFunctions, ListVersionsByFunction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.api import lambda_
from casemate.services.lambda_ import variables
from casemate.services.lambda_.function import configuration
from casemate.services.lambda_.functions import Functions
from casemate.services.lambda_.naming import LATEST
from casemate.services.lambda_.pages import begin, more, size
from casemate.services.lambda_.refusals import unserved
from casemate.services.lambda_.targets import (
    Everything,
    Target,
    account_wide,
    function,
    need,
    qualified_function,
)

if TYPE_CHECKING:
    from casemate.gate.call import Call


def _configuration(call: Call, target: Target) -> lambda_.FunctionConfiguration:
    place, version = target.named.place, target.meant
    return configuration(
        place, version, variables.shown(call, place, version), qualifier=target.named.qualifier
    )


@lambda_.GetFunction.reads(qualified_function, need("lambda:GetFunction"))
def get_function(call: Call, req: lambda_.GetFunctionRequest, target: Target) -> lambda_.GetFunctionResponse:
    """A function's configuration, tags and reserved concurrency. Of its code, the hash; there is no link to it."""
    row = target.found.row
    answer: lambda_.GetFunctionResponse = {
        "Configuration": _configuration(call, target),
        "Code": {"RepositoryType": "S3"},
    }
    if row.tags:
        answer["Tags"] = dict(row.tags)
    if row.reserved is not None:
        answer["Concurrency"] = {"ReservedConcurrentExecutions": row.reserved}
    return answer


@lambda_.GetFunctionConfiguration.reads(qualified_function, need("lambda:GetFunctionConfiguration"))
def get_function_configuration(
    call: Call, req: lambda_.GetFunctionConfigurationRequest, target: Target
) -> lambda_.FunctionConfiguration:
    """The configuration of a function or of a version. The environment is decrypted as the caller; who may not see it
    is told why."""
    return _configuration(call, target)


@lambda_.ListFunctions.reads(account_wide)
def list_functions(
    call: Call, req: lambda_.ListFunctionsRequest, target: Everything
) -> lambda_.ListFunctionsResponse:
    """The account's functions by name, 50 at most a page; with FunctionVersion ALL all their versions."""
    if req.get("MasterRegion"):
        raise unserved("Functions of Lambda@Edge")
    functions, count = call.part(Functions), size(req)
    after = begin("ListFunctions", req)
    if req.get("FunctionVersion") == "ALL":
        name, _, number = after.partition(" ")
        found = list(
            functions.all_versions(call.tx, call.account, call.region, (name, int(number or -1)), count + 1)
        )
        last = f"{found[count - 1][0].name} {found[count - 1][1].number}" if len(found) > count else ""
    else:
        entries = functions.page(call.tx, call.account, call.region, after, count + 1)
        found = [(entry.row.place, entry.latest) for entry in entries]
        last = found[count - 1][0].name if len(found) > count else ""
    qualifier = None if req.get("FunctionVersion") == "ALL" else ""
    answer: lambda_.ListFunctionsResponse = {
        "Functions": [
            configuration(
                place,
                version,
                variables.shown(call, place, version),
                qualifier=version.name if qualifier is None else qualifier,
            )
            for place, version in found[:count]
        ]
    }
    if last:
        answer["NextMarker"] = more("ListFunctions", last)
    return answer


@lambda_.ListVersionsByFunction.reads(function, need("lambda:ListVersionsByFunction"))
def list_versions_by_function(
    call: Call, req: lambda_.ListVersionsByFunctionRequest, target: Target
) -> lambda_.ListVersionsByFunctionResponse:
    """A function's versions, $LATEST first, 50 at most a page."""
    place, count = target.named.place, size(req)
    after = begin("ListVersionsByFunction", req)
    found = call.part(Functions).versions(call.tx, place, int(after) if after else -1, count + 1)
    answer: lambda_.ListVersionsByFunctionResponse = {
        "Versions": [
            configuration(
                place,
                version,
                variables.shown(call, place, version),
                qualifier=version.name if version.number else LATEST,
            )
            for version in found[:count]
        ]
    }
    if len(found) > count:
        answer["NextMarker"] = more("ListVersionsByFunction", str(found[count - 1].number))
    return answer
