"""What a request acts on: one resolver for each way in which SQS's operations name a queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.resource import Resource, Value
from casemate.services.sqs.naming import Place, read_arn, read_url
from casemate.services.sqs.queues import Queue, Queues, absent, of_request
from casemate.services.sqs.refusals import no_queue


def _invalid_address(url: str) -> AwsError:
    return AwsError("InvalidAddress", f"The address {url} is not valid for this endpoint.", 404)


def _place(call: Call, request: Mapping[str, Any]) -> Place:
    url = request["QueueUrl"]
    place = read_url(url, call.region)
    if place is None:
        raise _invalid_address(url)
    return place


def named_queue(call: Call, request: Mapping[str, Any]) -> Queue:
    """QueueUrl, of whichever account."""
    place = _place(call, request)
    return call.part(Queues).find(call, place) or absent(place, no_queue())


def busy_queue(call: Call, request: Mapping[str, Any]) -> Queue:
    """QueueUrl, for what changes messages: the queue as it is known."""
    place = _place(call, request)
    return call.part(Queues).known(call, place) or absent(place, no_queue())


def own_queue(call: Call, request: Mapping[str, Any]) -> Queue:
    """QueueUrl, for what other accounts may not do, whatever the queue's policy says."""
    return _only_own(call, named_queue(call, request))


def _only_own(call: Call, queue: Queue) -> Queue:
    if queue.account == call.account:
        return queue
    return absent(queue.place, no_queue())


def queue_by_name(call: Call, request: Mapping[str, Any]) -> Queue:
    """QueueName and, where it is another's, QueueOwnerAWSAccountId."""
    place = Place(request.get("QueueOwnerAWSAccountId") or call.account, call.region, request["QueueName"])
    return call.part(Queues).find(call, place) or absent(place, no_queue())


def source_queue(call: Call, request: Mapping[str, Any]) -> Queue:
    """SourceArn, of the caller's account and Region."""
    place = read_arn(request["SourceArn"])
    if place is None:
        raise AwsError(
            "InvalidParameterValue",
            "You must use this format to specify the SourceArn: "
            "arn:<partition>:<service>:<region>:<account-id>:<resource-id>",
        )
    gone = AwsError(
        "ResourceNotFoundException",
        "The resource that you specified for the SourceArn parameter doesn't exist.",
        404,
    )
    if (place.account, place.region) != (call.account, call.region):
        return absent(place, gone)
    return call.part(Queues).find(call, place) or absent(place, gone)


class NewQueue(Queue):
    """A queue that is to be made. tagged: itself, where tags are given."""

    __slots__ = ("tagged",)
    tagged: NewQueue | None


def new_queue(call: Call, request: Mapping[str, Any]) -> NewQueue:
    """A queue of QueueName that need not be there."""
    queue = absent(Place(call.account, call.region, request["QueueName"]))
    new = NewQueue(queue.row)
    new.tagged = new if request.get("tags") else None
    return new


class AccountWide(Resource):
    """All queues of an account."""

    __slots__ = ()

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        return of_request(key, request)


def account_wide(call: Call, request: Mapping[str, Any]) -> AccountWide:
    """All queues of the caller's account."""
    return AccountWide(Place(call.account, call.region, "*").arn, call.account)
