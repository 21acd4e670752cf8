"""CreateExportTask, DescribeExportTasks, CancelExportTask: a group's events go to a bucket.

Source: "Exporting log data to Amazon S3", "CreateExportTask".
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from casemate.api import logs, s3
from casemate.errors import AwsError
from casemate.gate.acting import act_as
from casemate.gate.markers import read_marker, write_marker
from casemate.services.logs import exporting
from casemate.services.logs.export_store import Export, Exports
from casemate.services.logs.groups import Group
from casemate.services.logs.refusals import bad_token, invalid, no_stream
from casemate.services.logs.streams import beginning_with
from casemate.services.logs.targets import anywhere, named_group

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.resource import Resource

_SCOPE = "DescribeExportTasks"
_TEST = "aws-logs-write-test"


@logs.CreateExportTask.writes(named_group)
def create_export_task(
    call: Call, req: logs.CreateExportTaskRequest, group: Group
) -> logs.CreateExportTaskResponse:
    """Begin to write a group's events into a bucket, whose policy must let CloudWatch Logs; one task at a time."""
    start, end = req["from"], req["to"]
    if start >= end:
        raise invalid("Invalid time range: from must be before to.")
    prefix = req.get("destinationPrefix", "exportedlogs").strip("/") or "exportedlogs"
    streams = req.get("logStreamNamePrefix", "")
    if streams and not beginning_with(call.tx, group.id, streams, 1):
        raise no_stream()
    exports = call.part(Exports)
    if exports.active(call.tx, call.account, call.region):
        raise AwsError("LimitExceededException", "Resource limit exceeded.")
    made = Export(
        call.account,
        call.region,
        str(uuid4()),
        int(call.now * 1000),
        "PENDING",
        None,
        "",
        {
            "group": group.id,
            "name": group.name,
            "task": req.get("taskName", ""),
            "streams": streams,
            "start": min(start, 1 << 53),
            "end": min(end, 1 << 53),
            "bucket": req["destination"],
            "prefix": prefix,
        },
    )
    _must_let_write(call, made)
    exports.add(call.tx, made)
    exporting.schedule(call.tx, made, call.now)
    return {"taskId": made.id}


def _must_let_write(call: Call, export: Export) -> None:
    """Whether CloudWatch Logs may write there: it is tried. Raises InvalidParameterException."""
    service = act_as(call, exporting.actor(export))
    bucket, prefix = export.asked["bucket"], export.asked["prefix"]
    try:
        s3.GetBucketAcl.ask(service, {"Bucket": bucket})
    except AwsError as refusal:
        raise _refused("GetBucketAcl", refusal) from refusal
    try:
        exporting.put(service, bucket, f"{prefix}/{_TEST}", b"Permission Check Successful")
    except AwsError as refusal:
        raise _refused("PutObject", refusal) from refusal


def _refused(operation: str, refusal: AwsError) -> AwsError:
    if refusal.status >= 500:
        return refusal
    return invalid(
        f"{operation} call on the given bucket failed. Please check if CloudWatch Logs has been granted permission "
        "to perform this operation."
    )


@logs.DescribeExportTasks.reads(anywhere)
def describe_export_tasks(
    call: Call, req: logs.DescribeExportTasksRequest, target: Resource
) -> logs.DescribeExportTasksResponse:
    """The account's export tasks, the latest first."""
    task, status = req.get("taskId"), req.get("statusCode")
    found = [
        export
        for export in call.part(Exports).all(call.tx, call.account, call.region)
        if task in (None, export.id) and status in (None, export.status)
    ]
    token = req.get("nextToken")
    if token is not None:
        after = read_marker(_SCOPE, token)
        place = next((at for at, export in enumerate(found, 1) if export.id == after), None)
        if place is None:
            raise bad_token()
        found = found[place:]
    limit = req.get("limit", 50)
    answer: logs.DescribeExportTasksResponse = {"exportTasks": [_described(each) for each in found[:limit]]}
    if len(found) > limit:
        answer["nextToken"] = write_marker(_SCOPE, found[limit - 1].id)
    return answer


def _described(export: Export) -> logs.ExportTask:
    asked = export.asked
    shown: logs.ExportTask = {
        "taskId": export.id,
        "logGroupName": asked["name"],
        "from": asked["start"],
        "to": asked["end"],
        "destination": asked["bucket"],
        "destinationPrefix": asked["prefix"],
        "status": {"code": export.status},  # type: ignore[typeddict-item]
        "executionInfo": {"creationTime": export.created},
    }
    if asked["task"]:
        shown["taskName"] = asked["task"]
    if export.message:
        shown["status"] = {"code": export.status, "message": export.message}  # type: ignore[typeddict-item]
    if export.finished is not None:
        shown["executionInfo"] = {"creationTime": export.created, "completionTime": export.finished}
    return shown


@logs.CancelExportTask.writes(anywhere)
def cancel_export_task(
    call: Call, req: logs.CancelExportTaskRequest, target: Resource
) -> logs.CancelExportTaskResponse:
    """End a task that is not over; what it wrote stays."""
    key = (call.account, call.region, req["taskId"])
    exports = call.part(Exports)
    found = None if "\0" in req["taskId"] else exports.find(call.tx, key)
    if found is None:
        raise AwsError("ResourceNotFoundException", "The specified export task does not exist.")
    if not exports.change(call.tx, key, "CANCELLED", int(call.now * 1000)):
        raise AwsError(
            "InvalidOperationException",
            "The specified export task has already finished and cannot be cancelled.",
        )
    return {}
