"""PutFunctionEventInvokeConfig, UpdateFunctionEventInvokeConfig, GetFunctionEventInvokeConfig,
ListFunctionEventInvokeConfigs, DeleteFunctionEventInvokeConfig."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from casemate.api import lambda_
from casemate.services.lambda_.destinations import check
from casemate.services.lambda_.functions import Functions
from casemate.services.lambda_.naming import LATEST, Place, qualified
from casemate.services.lambda_.pages import begin, more, size
from casemate.services.lambda_.refusals import absent
from casemate.services.lambda_.rows import EventConfig
from casemate.services.lambda_.targets import Target, function, need, qualified_function

if TYPE_CHECKING:
    from casemate.gate.call import Call


def _qualifier(target: Target) -> str:
    return target.named.qualifier or LATEST


def _shown(place: Place, qualifier: str, config: EventConfig) -> lambda_.FunctionEventInvokeConfig:
    destinations: lambda_.DestinationConfig = {"OnSuccess": {}, "OnFailure": {}}
    if config.on_success:
        destinations["OnSuccess"] = {"Destination": config.on_success}
    if config.on_failure:
        destinations["OnFailure"] = {"Destination": config.on_failure}
    answer: lambda_.FunctionEventInvokeConfig = {
        "LastModified": datetime.fromtimestamp(config.modified, UTC),
        "FunctionArn": qualified(place, qualifier),
        "DestinationConfig": destinations,
    }
    if config.retries is not None:
        answer["MaximumRetryAttempts"] = config.retries
    if config.age is not None:
        answer["MaximumEventAgeInSeconds"] = config.age
    return answer


def _found(target: Target) -> EventConfig:
    config = target.found.row.events.get(_qualifier(target))
    if config is None:
        arn = qualified(target.named.place, _qualifier(target))
        raise absent(f"The function {arn} doesn't have an EventInvokeConfig")
    return config


def _save(call: Call, target: Target, config: EventConfig) -> lambda_.FunctionEventInvokeConfig:
    row, qualifier = target.found.row, _qualifier(target)
    for destination in (config.on_success, config.on_failure):
        if destination:
            check(call, target.meant, row.place.arn, destination)
    call.part(Functions).save(call.tx, row._replace(events={**row.events, qualifier: config}))
    return _shown(row.place, qualifier, config)


def _given(request: Mapping[str, Any], before: EventConfig) -> EventConfig:
    """What a request gives, over what was."""
    destinations = request.get("DestinationConfig", {})
    changes: dict[str, Any] = {}
    if "MaximumRetryAttempts" in request:
        changes["retries"] = request["MaximumRetryAttempts"]
    if "MaximumEventAgeInSeconds" in request:
        changes["age"] = request["MaximumEventAgeInSeconds"]
    if "OnSuccess" in destinations:
        changes["on_success"] = destinations["OnSuccess"].get("Destination", "")
    if "OnFailure" in destinations:
        changes["on_failure"] = destinations["OnFailure"].get("Destination", "")
    return before._replace(**changes)


@lambda_.PutFunctionEventInvokeConfig.writes(qualified_function, need("lambda:PutFunctionEventInvokeConfig"))
def put_function_event_invoke_config(
    call: Call, req: lambda_.PutFunctionEventInvokeConfigRequest, target: Target
) -> lambda_.FunctionEventInvokeConfig:
    """Say what becomes of a function's asynchronous invocations, or a version's or alias': retries, the longest age
    of an event, where records of success and failure go. What was said before counts no more."""
    return _save(call, target, _given(req, EventConfig(call.now, None, None, "", "")))


@lambda_.UpdateFunctionEventInvokeConfig.writes(
    qualified_function, need("lambda:UpdateFunctionEventInvokeConfig")
)
def update_function_event_invoke_config(
    call: Call, req: lambda_.UpdateFunctionEventInvokeConfigRequest, target: Target
) -> lambda_.FunctionEventInvokeConfig:
    """Say it anew; what is not given stays."""
    return _save(call, target, _given(req, _found(target)._replace(modified=call.now)))


@lambda_.GetFunctionEventInvokeConfig.reads(qualified_function, need("lambda:GetFunctionEventInvokeConfig"))
def get_function_event_invoke_config(
    call: Call, req: lambda_.GetFunctionEventInvokeConfigRequest, target: Target
) -> lambda_.FunctionEventInvokeConfig:
    """What becomes of asynchronous invocations."""
    return _shown(target.named.place, _qualifier(target), _found(target))


@lambda_.DeleteFunctionEventInvokeConfig.writes(
    qualified_function, need("lambda:DeleteFunctionEventInvokeConfig")
)
def delete_function_event_invoke_config(
    call: Call, req: lambda_.DeleteFunctionEventInvokeConfigRequest, target: Target
) -> lambda_.DeleteFunctionEventInvokeConfigResponse:
    """Let the defaults apply again."""
    _found(target)
    row, qualifier = target.found.row, _qualifier(target)
    kept = {name: config for name, config in row.events.items() if name != qualifier}
    call.part(Functions).save(call.tx, row._replace(events=kept))
    return {}


@lambda_.ListFunctionEventInvokeConfigs.reads(function, need("lambda:ListFunctionEventInvokeConfigs"))
def list_function_event_invoke_configs(
    call: Call, req: lambda_.ListFunctionEventInvokeConfigsRequest, target: Target
) -> lambda_.ListFunctionEventInvokeConfigsResponse:
    """Those of a function's versions and aliases, 50 at most a page."""
    row, count = target.found.row, size(req)
    after = begin("ListFunctionEventInvokeConfigs", req)
    names = [name for name in sorted(row.events) if name > after]
    answer: lambda_.ListFunctionEventInvokeConfigsResponse = {
        "FunctionEventInvokeConfigs": [_shown(row.place, name, row.events[name]) for name in names[:count]]
    }
    if len(names) > count:
        answer["NextMarker"] = more("ListFunctionEventInvokeConfigs", names[count - 1])
    return answer
