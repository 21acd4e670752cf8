"""What the operations on up to ten entries have in common. Source: "Amazon SQS batch actions"."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.store.cache import Miss
from casemate.wire.sqs_query import query_code

MOST = 10
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")

T = TypeVar("T")


def checked(entries: Sequence[Mapping[str, Any]], name: str) -> None:
    """Raises EmptyBatchRequest, TooManyEntriesInBatchRequest, InvalidBatchEntryId, BatchEntryIdsNotDistinct."""
    if not entries:
        raise AwsError("EmptyBatchRequest", f"There should be at least one {name} in the request.")
    if len(entries) > MOST:
        raise AwsError(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {MOST}. You have sent {len(entries)}.",
        )
    seen = set[str]()
    for entry in entries:
        entry_id = entry["Id"]
        if not _ID.fullmatch(entry_id):
            raise AwsError(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at "
                "most 80 letters long.",
            )
        if entry_id in seen:
            raise AwsError("BatchEntryIdsNotDistinct", f"Id {entry_id} repeated.")
        seen.add(entry_id)


def each(
    call: Call, entries: Sequence[Mapping[str, Any]], do: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> dict[str, Any]:
    """The answer to a batch, each of whose entries does or does not succeed by itself."""
    successful, failed = list[Mapping[str, Any]](), list[Mapping[str, Any]]()
    for entry in entries:
        try:
            successful.append({"Id": entry["Id"], **do(entry)})
        except Miss:
            raise
        except AwsError as error:
            failed.append(
                {
                    "Id": entry["Id"],
                    "SenderFault": error.status < 500,
                    "Code": query_code(error.code),
                    "Message": error.message,
                }
            )
    return {"Successful": successful, "Failed": failed}
