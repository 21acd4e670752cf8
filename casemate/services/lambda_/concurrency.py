"""PutFunctionConcurrency, GetFunctionConcurrency, DeleteFunctionConcurrency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.api import lambda_
from casemate.services.lambda_.functions import Functions
from casemate.services.lambda_.quotas import CONCURRENT, UNRESERVED
from casemate.services.lambda_.refusals import invalid
from casemate.services.lambda_.targets import Target, function, need

if TYPE_CHECKING:
    from casemate.gate.call import Call


@lambda_.PutFunctionConcurrency.writes(function, need("lambda:PutFunctionConcurrency"))
def put_function_concurrency(
    call: Call, req: lambda_.PutFunctionConcurrencyRequest, target: Target
) -> lambda_.Concurrency:
    """Reserve concurrency for a function: so many invocations of it may run at a time, and others cannot take
    them; 0 lets none run."""
    row, wanted = target.found.row, req["ReservedConcurrentExecutions"]
    place = row.place
    others = call.part(Functions).reserved(call.tx, place.account, place.region, place.name)
    if wanted and call.limit(CONCURRENT) - others - wanted < UNRESERVED:
        raise invalid(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            f"below its minimum value of [{UNRESERVED}]."
        )
    call.part(Functions).save(call.tx, row._replace(reserved=wanted))
    return {"ReservedConcurrentExecutions": wanted}


@lambda_.GetFunctionConcurrency.reads(function, need("lambda:GetFunctionConcurrency"))
def get_function_concurrency(
    call: Call, req: lambda_.GetFunctionConcurrencyRequest, target: Target
) -> lambda_.GetFunctionConcurrencyResponse:
    """A function's reserved concurrency."""
    reserved = target.found.row.reserved
    return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}


@lambda_.DeleteFunctionConcurrency.writes(function, need("lambda:DeleteFunctionConcurrency"))
def delete_function_concurrency(
    call: Call, req: lambda_.DeleteFunctionConcurrencyRequest, target: Target
) -> lambda_.DeleteFunctionConcurrencyResponse:
    """Reserve none."""
    call.part(Functions).save(call.tx, target.found.row._replace(reserved=None))
    return {}
