"""TagQueue, UntagQueue, ListQueueTags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from casemate.api import sqs
from casemate.errors import AwsError
from casemate.services.sqs.queues import Queue, Queues
from casemate.services.sqs.targets import own_queue

if TYPE_CHECKING:
    from casemate.gate.call import Call

MAX_TAGS = 50
_KEY = re.compile(r"[\w\s_.:/=+\-@]{1,128}")
_VALUE = re.compile(r"[\w\s_.:/=+\-@]{0,256}")


def checked_tags(current: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """The tags once those given are set. Raises InvalidParameterValue."""
    for key, value in given.items():
        if not _KEY.fullmatch(key) or key.lower().startswith("aws:"):
            raise AwsError("InvalidParameterValue", f"Tag key {key} is invalid.")
        if not _VALUE.fullmatch(value):
            raise AwsError("InvalidParameterValue", f"Tag value of {key} is invalid.")
    merged = {**current, **given}
    if len(merged) > MAX_TAGS:
        raise AwsError("InvalidParameterValue", f"Too many tags added for queue: at most {MAX_TAGS}.")
    return merged


@sqs.TagQueue.writes(own_queue)
def tag_queue(call: Call, req: sqs.TagQueueRequest, queue: Queue) -> sqs.TagQueueResponse:
    """Add tags, or replace those of the same keys."""
    tags = checked_tags(queue.row.tags, req["Tags"])
    call.part(Queues).save(call.tx, queue.row._replace(tags=tags))
    return {}


@sqs.UntagQueue.writes(own_queue)
def untag_queue(call: Call, req: sqs.UntagQueueRequest, queue: Queue) -> sqs.UntagQueueResponse:
    """Remove tags; keys that the queue does not have are no error."""
    kept = {key: value for key, value in queue.row.tags.items() if key not in req["TagKeys"]}
    call.part(Queues).save(call.tx, queue.row._replace(tags=kept))
    return {}


@sqs.ListQueueTags.reads(own_queue)
def list_queue_tags(call: Call, req: sqs.ListQueueTagsRequest, queue: Queue) -> sqs.ListQueueTagsResult:
    """The queue's tags."""
    return {"Tags": dict(queue.row.tags)} if queue.row.tags else {}
