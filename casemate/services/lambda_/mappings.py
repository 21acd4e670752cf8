"""CreateEventSourceMapping, GetEventSourceMapping, ListEventSourceMappings, UpdateEventSourceMapping,
DeleteEventSourceMapping, of queues of SQS."""

from __future__ import annotations

from collections.abc import Mapping as Members
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from casemate.api import lambda_
from casemate.engine.envelope.errors import Tampered
from casemate.gate.operation import Need
from casemate.gate.random_ids import new_uuid
from casemate.gate.resource import Resource, Value
from casemate.services.lambda_.function import condition
from casemate.services.lambda_.functions import Functions
from casemate.services.lambda_.mapping_rows import NOTHING, Mapping, Mappings
from casemate.services.lambda_.mapping_settings import must_be_possible, queue_url, with_request
from casemate.services.lambda_.naming import Named, named, not_found
from casemate.services.lambda_.pages import begin, more
from casemate.services.lambda_.refusals import absent, conflict, invalid
from casemate.services.lambda_.targets import Everything, account_wide, version_of

if TYPE_CHECKING:
    from casemate.gate.call import Call

_BATCH = 10
_MOST = 100
_MOST_MAPPINGS = 1_000
"""So many of an account in a Region, that looking through them stays quick."""


class Mapped(Resource):
    """An event source mapping, or "*" for one that is to be made. mapping: None where there is none; function: what
    it invokes, or is to invoke; result: of the last messages."""

    __slots__ = ("function", "mapping", "result")

    def __init__(self, arn: str, account: str, function: str, mapping: Mapping | None, result: str) -> None:
        super().__init__(arn, account, type="AWS::Lambda::EventSourceMapping")
        self.function = function
        self.mapping = mapping
        self.result = result

    @property
    def found(self) -> Mapping:
        """The mapping, of an operation that the gate ends where there is none."""
        assert self.mapping is not None
        return self.mapping

    def condition(self, key: str, call: Call, request: Members[str, Any]) -> Value:
        if key == "lambda:functionarn":
            return self.function or None
        return condition(key, call, request)


def new_mapping(call: Call, request: Members[str, Any]) -> Mapped:
    """CreateEventSourceMapping's."""
    return Mapped("*", call.account, named(call, request["FunctionName"]).arn, None, NOTHING)


def known_mapping(call: Call, request: Members[str, Any]) -> Mapped:
    """UUID."""
    mapping_id: str = request["UUID"]
    place = Mapping(call.account, call.region, mapping_id, "", "", "", False, 0, 0, 0, False, (), 0.0)
    try:
        found = call.part(Mappings).find(call.tx, *place[:3])
    except Tampered as error:
        raise RuntimeError("an event source mapping was altered in the database") from error
    if found is None:
        missing = Mapped(place.arn, call.account, "", None, NOTHING)
        missing.missing = absent("The resource you requested does not exist.")
        return missing
    mapping, result = found
    return Mapped(mapping.arn, call.account, mapping.named.arn, mapping, result)


def _shown(mapping: Mapping, result: str, state: str = "") -> lambda_.EventSourceMappingConfiguration:
    """state: of a change that has just begun; what it is since then unless given."""
    answer: dict[str, Any] = {
        "UUID": mapping.id,
        "EventSourceMappingArn": mapping.arn,
        "EventSourceArn": mapping.source,
        "FunctionArn": mapping.named.arn,
        "BatchSize": mapping.batch,
        "MaximumBatchingWindowInSeconds": mapping.window,
        "LastModified": datetime.fromtimestamp(mapping.modified, UTC),
        "LastProcessingResult": result,
        "State": state or ("Enabled" if mapping.enabled else "Disabled"),
        "StateTransitionReason": "USER_INITIATED",
        "FunctionResponseTypes": ["ReportBatchItemFailures"] if mapping.reports else [],
    }
    if mapping.concurrency:
        answer["ScalingConfig"] = {"MaximumConcurrency": mapping.concurrency}
    if mapping.filters:
        answer["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in mapping.filters]}
    return cast("lambda_.EventSourceMappingConfiguration", answer)


def _invoking(call: Call, mapping: Mapping, function: str) -> Mapping:
    """The mapping, to a function of the account. Raises ResourceNotFoundException, and what keeps the function from
    being invoked with the queue's messages."""
    what = named(call, function)
    if what.place.account != mapping.account:
        raise invalid("The function must be in the account of the event source mapping.")
    return mapping._replace(function=what.place.name, qualifier=what.qualifier)


def _must_be_possible(call: Call, mapping: Mapping) -> None:
    what: Named = mapping.named
    entry = call.part(Functions).find(call, what.place)
    version = None if entry is None else version_of(call, entry, what.qualifier)
    if version is None:
        raise not_found(what.arn)
    must_be_possible(call, mapping, version)


def _must_be_only(call: Call, mapping: Mapping) -> None:
    after, there = "", 0
    while page := call.part(Mappings).page(call.tx, mapping.account, mapping.region, after, _MOST):
        for other, _ in page:
            if other.id != mapping.id and (other.source, other.named) == (mapping.source, mapping.named):
                raise conflict(
                    f'An event source mapping with SQS arn (" {mapping.source} ") and function '
                    f'(" {mapping.named.arn} ") already exists. Please update or delete the existing mapping with '
                    f"UUID {other.id}"
                )
        after, there = page[-1][0].id, there + len(page)
    if there >= _MOST_MAPPINGS:
        raise invalid(f"An account has at most {_MOST_MAPPINGS} event source mappings in a Region.")


@lambda_.CreateEventSourceMapping.writes(new_mapping, Need("lambda:CreateEventSourceMapping"))
def create_event_source_mapping(
    call: Call, req: lambda_.CreateEventSourceMappingRequest, target: Mapped
) -> lambda_.EventSourceMappingConfiguration:
    """Invoke a function with the messages of a queue from now on, which are received and deleted by the function's
    role."""
    source = req.get("EventSourceArn")
    if source is None:
        raise invalid("Missing event source: EventSourceArn.")
    queue_url(source)
    first = Mapping(
        call.account, call.region, new_uuid(), source, "", "", True, _BATCH, 0, 0, False, (), call.now
    )
    mapping = with_request(req, _invoking(call, first, req["FunctionName"]))
    _must_be_only(call, mapping)
    _must_be_possible(call, mapping)
    call.part(Mappings).put(call.tx, mapping)
    return _shown(mapping, NOTHING, "Creating")


@lambda_.GetEventSourceMapping.reads(known_mapping, Need("lambda:GetEventSourceMapping"))
def get_event_source_mapping(
    call: Call, req: lambda_.GetEventSourceMappingRequest, target: Mapped
) -> lambda_.EventSourceMappingConfiguration:
    """A mapping, its state, and what came of the last messages."""
    return _shown(target.found, target.result)


@lambda_.UpdateEventSourceMapping.writes(known_mapping, Need("lambda:UpdateEventSourceMapping"))
def update_event_source_mapping(
    call: Call, req: lambda_.UpdateEventSourceMappingRequest, target: Mapped
) -> lambda_.EventSourceMappingConfiguration:
    """Change a mapping; what is not given stays."""
    before = target.found
    changed = _invoking(call, before, req["FunctionName"]) if "FunctionName" in req else before
    changed = with_request(req, changed)._replace(modified=call.now)
    if changed.named != before.named:
        _must_be_only(call, changed)
    if changed.enabled:
        _must_be_possible(call, changed)
    call.part(Mappings).put(call.tx, changed)
    state = "Updating"
    if changed.enabled is not before.enabled:
        state = "Enabling" if changed.enabled else "Disabling"
    return _shown(changed, target.result, state)


@lambda_.DeleteEventSourceMapping.writes(known_mapping, Need("lambda:DeleteEventSourceMapping"))
def delete_event_source_mapping(
    call: Call, req: lambda_.DeleteEventSourceMappingRequest, target: Mapped
) -> lambda_.EventSourceMappingConfiguration:
    """Invoke the function with the queue's messages no longer."""
    call.part(Mappings).delete(call.tx, target.found)
    return _shown(target.found, target.result, "Deleting")


@lambda_.ListEventSourceMappings.reads(account_wide, Need("lambda:ListEventSourceMappings"))
def list_event_source_mappings(
    call: Call, req: lambda_.ListEventSourceMappingsRequest, target: Everything
) -> lambda_.ListEventSourceMappingsResponse:
    """The account's mappings, or those of a queue, or of a function; 100 at most a page."""
    source, count = req.get("EventSourceArn"), min(req.get("MaxItems", _MOST), _MOST)
    function = named(call, req["FunctionName"]) if "FunctionName" in req else None
    after = begin("ListEventSourceMappings", req)
    page = call.part(Mappings).page(call.tx, call.account, call.region, after, count + 1)
    answer: lambda_.ListEventSourceMappingsResponse = {
        "EventSourceMappings": [
            _shown(mapping, result)
            for mapping, result in page[:count]
            if source in (None, mapping.source) and function in (None, mapping.named)
        ]
    }
    if len(page) > count:
        answer["NextMarker"] = more("ListEventSourceMappings", page[count - 1][0].id)
    return answer
