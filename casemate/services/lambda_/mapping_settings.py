"""What an event source mapping may be: checked when it is made and when it is changed. Source: "Using Lambda with
Amazon SQS", "CreateEventSourceMapping"."""

from __future__ import annotations

import re
from collections.abc import Mapping as Members
from typing import TYPE_CHECKING, Any

from casemate.api import sqs
from casemate.engine.events.tokens import PatternError
from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as
from casemate.services.lambda_.destinations import may
from casemate.services.lambda_.naming import SERVICE, Place
from casemate.services.lambda_.queue_events import compiled
from casemate.services.lambda_.refusals import invalid, unserved

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.services.lambda_.mapping_rows import Mapping
    from casemate.services.lambda_.rows import Version

_QUEUE = re.compile(r"arn:aws[\w-]*:sqs:([a-z0-9-]+):(\d{12}):([A-Za-z0-9_-]{1,80}(?:\.fifo)?)", re.ASCII)
_MOST_FILTERS = 10
_ONE_RECEIVE = 10
_UNSERVED = (
    *("ProvisionedPollerConfig", "KMSKeyArn", "MetricsConfig", "LoggingConfig", "SelfManagedEventSource"),
    *("Topics", "Queues", "SourceAccessConfigurations", "AmazonManagedKafkaEventSourceConfig", "Tags"),
    *("SelfManagedKafkaEventSourceConfig", "DocumentDBEventSourceConfig"),
)
_OF_STREAMS = (
    *("StartingPosition", "StartingPositionTimestamp", "ParallelizationFactor", "DestinationConfig"),
    *("MaximumRecordAgeInSeconds", "BisectBatchOnFunctionError", "MaximumRetryAttempts"),
    "TumblingWindowInSeconds",
)


def queue_url(arn: str) -> str:
    """The URL of a queue by its ARN. Raises InvalidParameterValueException for another ARN."""
    found = _QUEUE.fullmatch(arn)
    if found is None:
        if arn.split(":")[2:3] == ["sqs"]:
            raise invalid(f"Unrecognized event source: {arn}")
        raise unserved("Event sources other than queues of SQS")
    return f"https://sqs.{found[1]}.amazonaws.com/{found[2]}/{found[3]}"


def with_request(request: Members[str, Any], mapping: Mapping) -> Mapping:
    """The mapping as a request wants it; what is not given stays. Raises InvalidParameterValueException."""
    for member in _UNSERVED:
        if request.get(member):
            raise unserved(f"Event source mappings with {member}")
    for member in _OF_STREAMS:
        if member in request:
            raise invalid(f"{member} is not supported for the event source type SQS.")
    changes: dict[str, Any] = {}
    for member, name in (
        ("Enabled", "enabled"),
        ("BatchSize", "batch"),
        ("MaximumBatchingWindowInSeconds", "window"),
    ):
        if member in request:
            changes[name] = request[member]
    if "ScalingConfig" in request:
        changes["concurrency"] = request["ScalingConfig"].get("MaximumConcurrency", 0)
    if "FunctionResponseTypes" in request:
        changes["reports"] = bool(request["FunctionResponseTypes"])
    if "FilterCriteria" in request:
        filters = request["FilterCriteria"].get("Filters", ())
        changes["filters"] = tuple(each["Pattern"] for each in filters if "Pattern" in each)
    changed = mapping._replace(**changes)
    _check(changed)
    return changed


def _check(mapping: Mapping) -> None:
    if mapping.source.endswith(".fifo"):
        if mapping.window:
            raise invalid("Batching window is not supported for FIFO queues.")
        if mapping.batch > _ONE_RECEIVE:
            raise invalid("Maximum batch size for FIFO queues is 10.")
    if mapping.batch > _ONE_RECEIVE and not mapping.window:
        raise invalid(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        )
    if len(mapping.filters) > _MOST_FILTERS:
        raise invalid(f"Exceeded the maximum number of filters, which is {_MOST_FILTERS}.")
    try:
        compiled(mapping.filters)
    except PatternError as error:
        raise invalid(f"Invalid filter pattern definition. {error}") from None


def actor(place: Place, role: str) -> Actor:
    """Lambda, that does with a queue what the function's role may."""
    return Actor(SERVICE, place.account, place.region, place.arn, role=role, session=place.name)


def must_be_possible(call: Call, mapping: Mapping, version: Version) -> None:
    """Raises InvalidParameterValueException where the queue is not there, or the function's role may not use it, or
    messages would appear again while the function still works on them."""
    url, role = queue_url(mapping.source), actor(mapping.named.place, version.settings["Role"])
    _, _, _, region, account, _ = mapping.source.split(":", 5)
    if region != mapping.region:
        raise invalid("The queue must be in the function's Region.")
    for operation in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
        if not may(call, role, f"sqs:{operation}", mapping.source, account):
            raise invalid(f"The provided execution role does not have permissions to call {operation} on SQS")
    asked: sqs.GetQueueAttributesRequest = {"QueueUrl": url, "AttributeNames": ["VisibilityTimeout"]}
    try:
        answer = sqs.GetQueueAttributes.ask(act_as(call, role), asked)
    except AwsError as error:
        raise invalid(
            f"Error occurred while GetQueueAttributes. SQS Error Code: {error.code}. "
            f"SQS Error Message: {error.message}"
        ) from None
    visibility = int(answer.get("Attributes", {}).get("VisibilityTimeout", "0"))
    timeout = version.settings["Timeout"]
    if visibility < timeout:
        raise invalid(
            f"Queue visibility timeout: {visibility} seconds is less than Function timeout: {timeout} seconds"
        )
