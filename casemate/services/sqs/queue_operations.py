"""Queues: CreateQueue, DeleteQueue, ListQueues, GetQueueUrl, GetQueueAttributes, SetQueueAttributes, PurgeQueue,
ListDeadLetterSourceQueues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from casemate.api import sqs
from casemate.errors import AwsError
from casemate.gate.markers import read_marker, write_marker
from casemate.gate.operation import Need
from casemate.services.sqs import messages, retention
from casemate.services.sqs.attributes import COUNTED, KNOWN, checked, read_allow, read_redrive, shown
from casemate.services.sqs.naming import is_name, url_of
from casemate.services.sqs.policies import accepted
from casemate.services.sqs.queues import Queue, QueueRow, Queues
from casemate.services.sqs.refusals import invalid_parameter, unknown_attribute
from casemate.services.sqs.tags import checked_tags
from casemate.services.sqs.targets import (
    AccountWide,
    NewQueue,
    account_wide,
    named_queue,
    new_queue,
    own_queue,
    queue_by_name,
)

if TYPE_CHECKING:
    from casemate.gate.call import Call

_PURGES_EVERY = 60.0
_MOST_LISTED = 1000


@sqs.CreateQueue.writes(new_queue, Need("sqs:CreateQueue"), Need("sqs:TagQueue", lambda new: new.tagged))
def create_queue(call: Call, req: sqs.CreateQueueRequest, queue: NewQueue) -> sqs.CreateQueueResult:
    """Make a queue; one that is there already, as it is asked for, is answered again."""
    place = queue.place
    given = cast("Mapping[str, str]", req.get("Attributes", {}))
    _check_name(place.name, given)
    queues = call.part(Queues)
    known = queues.load(call.tx, place)
    attributes = _configured(call, queue, given, {})
    if known is not None:
        _must_be_the_same(known, {name: attributes.get(name, "") for name in given})
        return {"QueueUrl": url_of(call, place)}
    if place.fifo:
        attributes.setdefault("ContentBasedDeduplication", "false")
    now = int(call.now)
    attributes, principals = accepted(call, attributes)
    row = QueueRow(place, "", now, attributes, checked_tags({}, req.get("tags", {})), principals, now, "")
    queues.create(call.tx, row)
    retention.schedule(call.tx, call.now)
    return {"QueueUrl": url_of(call, place)}


def _check_name(name: str, given: Mapping[str, str]) -> None:
    fifo = given.get("FifoQueue") == "true"
    if fifo and not (is_name(name) and name.endswith(".fifo")):
        raise AwsError(
            "InvalidParameterValue",
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end "
            "with .fifo suffix and be 1 to 80 in length.",
        )
    if not fifo and (not is_name(name) or name.endswith(".fifo")):
        raise AwsError(
            "InvalidParameterValue",
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.",
        )


def _configured(
    call: Call, queue: Queue, given: Mapping[str, str], current: Mapping[str, str]
) -> dict[str, str]:
    """The attributes of a queue once those given are set."""
    attributes = checked(queue.place, given, current)
    if given.get("RedrivePolicy"):
        _check_dead_letters(call, queue, given["RedrivePolicy"])
    return attributes


def _check_dead_letters(call: Call, queue: Queue, text: str) -> None:
    """Raises InvalidParameterValue for a dead-letter queue that cannot be this queue's."""
    place, target = queue.place, read_redrive(text).target
    if (target.account, target.region) != (place.account, place.region):
        raise invalid_parameter(
            "RedrivePolicy",
            text,
            "Dead letter target owner should be same as the source, in the same Region.",
        )
    if target.fifo != place.fifo:
        raise invalid_parameter(
            "RedrivePolicy", text, "Dead-letter queue must be same type of queue as the source."
        )
    if target == place:
        raise invalid_parameter("RedrivePolicy", text, "A queue cannot be its own dead-letter queue.")
    found = call.part(Queues).load(call.tx, target)
    if found is None:
        raise invalid_parameter("RedrivePolicy", text, "Dead letter target does not exist.")
    allow = found.row.attributes.get("RedriveAllowPolicy")
    if allow is not None:
        permission, sources = read_allow(allow)
        if permission == "denyAll" or (permission == "byQueue" and place.arn not in sources):
            raise invalid_parameter(
                "RedrivePolicy",
                text,
                "The dead-letter queue's RedriveAllowPolicy does not allow this source.",
            )


def _must_be_the_same(queue: Queue, wanted: Mapping[str, str]) -> None:
    """Raises QueueNameExists for a queue whose attributes are others."""
    row = queue.row
    has = shown(row.place, row.attributes)
    for name, value in wanted.items():
        if has.get(name, "") != value:
            raise AwsError(
                "QueueNameExists",
                f"A queue already exists with the same name and a different value for attribute {name}",
            )


@sqs.SetQueueAttributes.writes(own_queue)
def set_queue_attributes(
    call: Call, req: sqs.SetQueueAttributesRequest, queue: Queue
) -> sqs.SetQueueAttributesResponse:
    """Change what is given."""
    row, given = queue.row, cast("Mapping[str, str]", req["Attributes"])
    if "FifoQueue" in given:
        raise unknown_attribute("FifoQueue")
    attributes = _configured(call, queue, given, row.attributes)
    principals = row.principals
    if "Policy" in given:
        attributes, principals = accepted(call, attributes)
    call.part(Queues).save(
        call.tx, row._replace(attributes=attributes, principals=principals, modified=int(call.now))
    )
    return {}


@sqs.DeleteQueue.writes(own_queue)
def delete_queue(call: Call, req: sqs.DeleteQueueRequest, queue: Queue) -> sqs.DeleteQueueResponse:
    """Remove a queue with whatever it holds."""
    call.part(Queues).delete(call.tx, queue.row)
    retention.schedule_removal(call.tx, call.now)
    return {}


@sqs.PurgeQueue.writes(own_queue)
def purge_queue(call: Call, req: sqs.PurgeQueueRequest, queue: Queue) -> sqs.PurgeQueueResponse:
    """Remove all messages."""
    row, queues = queue.row, call.part(Queues)
    if call.now < row.purged + _PURGES_EVERY:
        raise AwsError(
            "PurgeQueueInProgress",
            f"Only one PurgeQueue operation on {row.place.name} is allowed every 60 seconds.",
            403,
        )
    queues.empty(call.tx, row)
    queues.save(call.tx, row._replace(contents=messages.new_contents(), purged=call.now))
    retention.schedule_removal(call.tx, call.now)
    return {}


@sqs.GetQueueUrl.reads(queue_by_name)
def get_queue_url(call: Call, req: sqs.GetQueueUrlRequest, queue: Queue) -> sqs.GetQueueUrlResult:
    """The queue's URL."""
    return {"QueueUrl": url_of(call, queue.place)}


@sqs.GetQueueAttributes.reads(named_queue)
def get_queue_attributes(
    call: Call, req: sqs.GetQueueAttributesRequest, queue: Queue
) -> sqs.GetQueueAttributesResult:
    """Those that are asked for, of those that the queue has."""
    names, row = frozenset[str](req.get("AttributeNames", ())), queue.row
    for name in names - KNOWN:
        raise unknown_attribute(name)
    found: dict[str, Any] = {
        **shown(row.place, row.attributes),
        "CreatedTimestamp": str(row.created),
        "LastModifiedTimestamp": str(row.modified),
        "QueueArn": queue.arn,
    }
    if "All" in names or names.intersection(COUNTED):
        found |= {name: str(count) for name, count in messages.counted(call.tx, row, call.now).items()}
    if "All" not in names:
        found = {name: value for name, value in found.items() if name in names}
    return cast("sqs.GetQueueAttributesResult", {"Attributes": found} if found else {})


@sqs.ListQueues.reads(account_wide)
def list_queues(call: Call, req: sqs.ListQueuesRequest, target: AccountWide) -> sqs.ListQueuesResult:
    """The account's queues by name: a thousand at most unless pages are asked for."""
    prefix = req.get("QueueNamePrefix", "")
    after, limit = _page(req, "ListQueues")
    places = call.part(Queues).after(call.tx, call.account, call.region, after, prefix, limit + 1)
    answer: sqs.ListQueuesResult = {}
    if places:
        answer["QueueUrls"] = [url_of(call, place) for place in places[:limit]]
    if len(places) > limit and "MaxResults" in req:
        answer["NextToken"] = write_marker("ListQueues", places[limit - 1].name)
    return answer


@sqs.ListDeadLetterSourceQueues.reads(named_queue)
def list_dead_letter_source_queues(
    call: Call, req: sqs.ListDeadLetterSourceQueuesRequest, queue: Queue
) -> sqs.ListDeadLetterSourceQueuesResult:
    """The queues whose dead-letter queue it is."""
    after, limit = _page(req, "ListDeadLetterSourceQueues")
    places = call.part(Queues).sources(call.tx, queue.place, after, limit + 1)
    answer: sqs.ListDeadLetterSourceQueuesResult = {
        "queueUrls": [url_of(call, place) for place in places[:limit]]
    }
    if len(places) > limit and "MaxResults" in req:
        answer["NextToken"] = write_marker("ListDeadLetterSourceQueues", places[limit - 1].name)
    return answer


def _page(request: Mapping[str, Any], operation: str) -> tuple[str, int]:
    """After which name a list goes on, and how much of it. Raises InvalidParameterValue."""
    limit = request.get("MaxResults", _MOST_LISTED)
    if not 1 <= limit <= _MOST_LISTED:
        raise invalid_parameter("MaxResults", limit, f"Must be between 1 and {_MOST_LISTED}, if provided.")
    token = request.get("NextToken")
    after = "" if not token else read_marker(operation, token)
    if after is None:
        raise invalid_parameter("NextToken", token, "Invalid or expired next token.")
    return after, limit
