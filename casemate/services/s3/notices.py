"""Notices of what happened to an object, for the topics, queues and functions that a bucket's configuration names.

A notice is a job in the transaction of the change; it is given as S3 itself, so that the destination's policy must
let it, and tried again for a day. Source: "Event message structure", "Amazon S3 Event Notifications".
"""

from __future__ import annotations

import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote_plus

from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate.acting import Actor, perform
from casemate.gate.canonical_user import canonical_user
from casemate.store.ids import new_id
from casemate.store.jobs import Job, schedule
from casemate.wire.rest_xml_protocol import host_id

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.gate import Gate
    from casemate.services.s3.buckets import Buckets
    from casemate.services.s3.happenings import Cause
    from casemate.services.s3.resources import Bucket
    from casemate.store.database import Tx

log = logging.getLogger("casemate.s3")

NOTIFY = "s3.notify"
SERVICE = "s3.amazonaws.com"
_TRIED_FOR = 86_400.0
_PURPOSE = "s3-notice"
_VERSIONS = {"ObjectCreated": "2.1", "ObjectRemoved": "2.1", "ObjectRestore": "2.1", "Replication": "2.2"}
_LATER = {"ObjectRestore:Delete": "2.3"}
"""Source: "Event message structure"."""


class Notice(NamedTuple):
    """name: "ObjectCreated:Put"; about: size and etag, where the event has them; version, sequencer: '' where there
    is none; now: when, in seconds since the epoch; extra: further members of the record."""

    name: str
    key: str
    about: Mapping[str, Any]
    version: str
    sequencer: str
    cause: Cause
    now: float
    extra: Mapping[str, Any] = {}


# --- which


def covers(events: Sequence[str], name: str) -> bool:
    """Whether one of the events of a configuration ("s3:ObjectCreated:*") is that."""
    return any(
        event == f"s3:{name}" or (event.endswith("*") and f"s3:{name}".startswith(event[:-1]))
        for event in events
    )


def fits(configuration: Mapping[str, Any], notice: Notice) -> bool:
    """Whether a configuration wants to know of it."""
    return (
        covers(configuration["Events"], notice.name)
        and notice.key.startswith(configuration["Prefix"])
        and notice.key.endswith(configuration["Suffix"])
    )


def give_notice(tx: Tx, buckets: Buckets, bucket: Bucket, notice: Notice) -> None:
    """Have everyone told who wants to know."""
    for configuration in bucket.settings["Notification"]["Configurations"]:
        if not fits(configuration, notice):
            continue
        text = json.dumps({"Records": [record(bucket, notice, configuration["Id"])]})
        name = new_id()
        payload = {
            "bucket": bucket.arn,
            "account": bucket.account,
            "region": bucket.region,
            "to": configuration["Arn"],
            "name": name,
        }
        sealed = buckets.account_key(tx, bucket.account).wrap(text.encode(), _PURPOSE, *_bound(payload))
        payload["sealed"] = b64encode(sealed).decode()
        schedule(tx, NOTIFY, notice.now, payload, id=f"{NOTIFY} {name}")


def _bound(payload: Mapping[str, str]) -> tuple[str, ...]:
    """What of a job is in the clear: it says who acts where, and for whom."""
    return tuple(payload[name] for name in ("name", "bucket", "account", "region", "to"))


# --- what


def iso(seconds: float) -> str:
    """2026-11-25T10:00:00.000Z"""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def record(bucket: Bucket, notice: Notice, configuration_id: str) -> dict[str, Any]:
    """An event as destinations get it."""
    shown: dict[str, Any] = {"key": quote_plus(notice.key, safe="/")}
    if "size" in notice.about:
        shown["size"] = notice.about["size"]
    if "etag" in notice.about:
        shown["eTag"] = notice.about["etag"]
    if notice.version:
        shown["versionId"] = notice.version
    if notice.sequencer:
        shown["sequencer"] = notice.sequencer
    cause = notice.cause
    return {
        "eventVersion": _LATER.get(notice.name) or _VERSIONS.get(notice.name.partition(":")[0], "2.3"),
        "eventSource": "aws:s3",
        "awsRegion": bucket.region,
        "eventTime": iso(notice.now),
        "eventName": notice.name,
        "userIdentity": {"principalId": cause.principal},
        "requestParameters": {"sourceIPAddress": cause.source_ip},
        "responseElements": {"x-amz-request-id": cause.request_id, "x-amz-id-2": host_id(cause.request_id)},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration_id,
            "bucket": {
                "name": bucket.name,
                "ownerIdentity": {"principalId": canonical_user(bucket.account)},
                "arn": bucket.arn,
            },
            "object": shown,
        },
        **notice.extra,
    }


def trial(call: Call, bucket: Bucket) -> str:
    """What topics and queues are sent when they are configured."""
    return json.dumps(
        {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": iso(call.now),
            "Bucket": bucket.name,
            "RequestId": call.request_id,
            "HostId": host_id(call.request_id),
        }
    )


# --- how


def _publish(call: Call, arn: str, text: str) -> None:
    request = {"TopicArn": arn, "Message": text, "Subject": "Amazon S3 Notification"}
    call.gate.operation("sns", "Publish").ask(call, request)


def _send(call: Call, arn: str, text: str) -> None:
    *_, region, account, name = arn.split(":")
    request = {"QueueUrl": f"https://sqs.{region}.amazonaws.com/{account}/{name}", "MessageBody": text}
    call.gate.operation("sqs", "SendMessage").ask(call, request)


def _invoke(call: Call, arn: str, text: str) -> None:
    request = {"FunctionName": arn, "InvocationType": "Event", "Payload": text.encode()}
    call.gate.operation("lambda", "Invoke").ask(call, request)


def _try_invoke(call: Call, arn: str, _text: str) -> None:
    request = {"FunctionName": arn, "InvocationType": "DryRun"}
    call.gate.operation("lambda", "Invoke").ask(call, request)


class Kind(NamedTuple):
    """operation: what gives destinations of this kind a notice; attempt: what shows whether S3 may."""

    operation: tuple[str, str]
    send: Callable[[Call, str, str], None]
    attempt: Callable[[Call, str, str], None]


KINDS: Mapping[str, Kind] = {
    "sns": Kind(("sns", "Publish"), _publish, _publish),
    "sqs": Kind(("sqs", "SendMessage"), _send, _send),
    "lambda": Kind(("lambda", "Invoke"), _invoke, _try_invoke),
}
"""By the service in the destination's ARN."""


def serves(gate: Gate, kind: Kind) -> bool:
    """Whether there is the service that the destination belongs to."""
    try:
        return gate.operation(*kind.operation).served is not None
    except KeyError:
        return False


def notifier(gate: Gate, buckets: Buckets) -> Callable[[Job], None]:
    """The job's handler. It is not for ever that a destination is tried that does not take notices."""

    def run(job: Job) -> None:
        payload = job.payload
        account, arn = payload["account"], payload["to"]

        def work(call: Call) -> None:
            key = buckets.account_key(call.tx, account)
            text = key.unwrap(b64decode(payload["sealed"]), _PURPOSE, *_bound(payload)).decode()
            KINDS[arn.split(":")[2]].send(call, arn, text)
            job.finish(call.tx)

        try:
            perform(gate, Actor(SERVICE, account, payload["region"], source_arn=payload["bucket"]), work)
        except Tampered as error:
            log.error("a notice of account %s is dropped: %s", account, error)
        except AwsError as error:
            if gate.clock.now() - job.due < _TRIED_FOR:
                raise
            log.warning("a notice of %s to %s is given up: %s", payload["bucket"], arn, error.code)

    return run
