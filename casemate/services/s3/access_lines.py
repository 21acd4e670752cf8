"""Server access logs out of the audit: the lines of what was noted (casemate.services.s3.access_notes), kept until
they are delivered. Source: "Amazon S3 server access log format".

Whoever reads the audit shows every call to an observer, and lines are kept in the transaction in which the reading
moves on: none is lost or comes twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from casemate.gate.canonical_user import canonical_user
from casemate.gate.observing import Gathered, Observer
from casemate.services.s3.buckets import Buckets
from casemate.store.database import Tx
from casemate.store.ids import new_id

_PURPOSE = "s3-log-lines"
_IN_ROW = 500

_OPERATIONS: Mapping[str, str] = {
    "AbortMultipartUpload": "DELETE.UPLOAD",
    "CompleteMultipartUpload": "POST.UPLOAD",
    "CopyObject": "COPY.OBJECT",
    "CreateMultipartUpload": "POST.UPLOADS",
    "DeleteBucket": "DELETE.BUCKET",
    "DeleteBucketCors": "DELETE.CORS",
    "DeleteBucketEncryption": "DELETE.ENCRYPTION",
    "DeleteBucketLifecycle": "DELETE.LIFECYCLE",
    "DeleteBucketOwnershipControls": "DELETE.OWNERSHIP_CONTROLS",
    "DeleteBucketPolicy": "DELETE.BUCKETPOLICY",
    "DeleteBucketReplication": "DELETE.REPLICATION",
    "DeleteBucketTagging": "DELETE.TAGGING",
    "DeleteObject": "DELETE.OBJECT",
    "DeleteObjectTagging": "DELETE.OBJECT_TAGGING",
    "DeleteObjects": "POST.MULTI_OBJECT_DELETE",
    "DeletePublicAccessBlock": "DELETE.PUBLIC_ACCESS_BLOCK",
    "GetBucketAccelerateConfiguration": "GET.ACCELERATE",
    "GetBucketAcl": "GET.ACL",
    "GetBucketCors": "GET.CORS",
    "GetBucketEncryption": "GET.ENCRYPTION",
    "GetBucketLifecycleConfiguration": "GET.LIFECYCLE",
    "GetBucketLocation": "GET.LOCATION",
    "GetBucketLogging": "GET.LOGGING_STATUS",
    "GetBucketNotificationConfiguration": "GET.NOTIFICATION",
    "GetBucketOwnershipControls": "GET.OWNERSHIP_CONTROLS",
    "GetBucketPolicy": "GET.BUCKETPOLICY",
    "GetBucketPolicyStatus": "GET.POLICY_STATUS",
    "GetBucketReplication": "GET.REPLICATION",
    "GetBucketRequestPayment": "GET.REQUEST_PAYMENT",
    "GetBucketTagging": "GET.TAGGING",
    "GetBucketVersioning": "GET.VERSIONING",
    "GetBucketWebsite": "GET.WEBSITE",
    "GetObject": "GET.OBJECT",
    "GetObjectAcl": "GET.ACL",
    "GetObjectAttributes": "GET.OBJECT_ATTRIBUTES",
    "GetObjectLegalHold": "GET.LEGAL_HOLD",
    "GetObjectLockConfiguration": "GET.OBJECT_LOCK_CONFIGURATION",
    "GetObjectRetention": "GET.RETENTION",
    "GetObjectTagging": "GET.OBJECT_TAGGING",
    "GetPublicAccessBlock": "GET.PUBLIC_ACCESS_BLOCK",
    "HeadBucket": "HEAD.BUCKET",
    "HeadObject": "HEAD.OBJECT",
    "ListMultipartUploads": "GET.UPLOADS",
    "ListObjectVersions": "GET.BUCKETVERSIONS",
    "ListObjects": "GET.BUCKET",
    "ListObjectsV2": "GET.BUCKET",
    "ListParts": "GET.UPLOAD",
    "PostObject": "POST.OBJECT",
    "PutBucketAcl": "PUT.ACL",
    "PutBucketCors": "PUT.CORS",
    "PutBucketEncryption": "PUT.ENCRYPTION",
    "PutBucketLifecycleConfiguration": "PUT.LIFECYCLE",
    "PutBucketLogging": "PUT.LOGGING_STATUS",
    "PutBucketNotificationConfiguration": "PUT.NOTIFICATION",
    "PutBucketOwnershipControls": "PUT.OWNERSHIP_CONTROLS",
    "PutBucketPolicy": "PUT.BUCKETPOLICY",
    "PutBucketReplication": "PUT.REPLICATION",
    "PutBucketRequestPayment": "PUT.REQUEST_PAYMENT",
    "PutBucketTagging": "PUT.TAGGING",
    "PutBucketVersioning": "PUT.VERSIONING",
    "PutObject": "PUT.OBJECT",
    "PutObjectAcl": "PUT.ACL",
    "PutObjectLegalHold": "PUT.LEGAL_HOLD",
    "PutObjectLockConfiguration": "PUT.OBJECT_LOCK_CONFIGURATION",
    "PutObjectRetention": "PUT.RETENTION",
    "PutObjectTagging": "PUT.OBJECT_TAGGING",
    "PutPublicAccessBlock": "PUT.PUBLIC_ACCESS_BLOCK",
    "UploadPart": "PUT.PART",
    "UploadPartCopy": "COPY.PART",
}
"""REST.<method>.<resource>, by the operations; of others it is made of the method and their name."""


def _operation(name: str, request: str) -> str:
    return "REST." + (_OPERATIONS.get(name) or f"{request.partition(' ')[0]}.{name.upper()}")


def _plain(value: Any) -> str:
    """A field without quotation marks."""
    text = "" if value is None else str(value)
    return quote(text, safe="!#$&'()*+,-./:;=?@[]_~%|") or "-"


def _quoted(value: str) -> str:
    """A field with quotation marks, of which it has none inside."""
    kept = "".join(each if " " <= each != '"' and each != "\x7f" else f"%{ord(each):02X}" for each in value)
    return f'"{kept or "-"}"'


def _requester(identity: Mapping[str, Any], noted: Mapping[str, Any]) -> str:
    caller: str = noted.get("requester", "")
    if identity.get("type") == "AWSAccount" and caller.startswith("arn:"):
        return canonical_user(identity["accountId"]) if caller.endswith(":root") else caller
    if identity.get("type") == "AWSService":
        return f"svc:{identity.get('invokedBy', '')}"
    if identity.get("type") == "Root":
        return canonical_user(identity["accountId"])
    return str(identity.get("arn", ""))


def line(record: Mapping[str, Any], bucket: str, owner: str, *, copied: bool = False) -> str:
    """A record's line for a bucket. owner: the bucket's account; copied: it is what a copy was made from."""
    told = record["additionalEventData"]
    noted, tls = told["accessLog"], record.get("tlsDetails", {})
    name, key = record["eventName"], quote(noted["key"], safe="/")
    operation, size, status = _operation(name, noted["request"]), noted["size"], noted["status"]
    sent = told["bytesTransferredOut"]
    if copied:
        operation += "_GET"
        key = quote(noted["source"].lstrip("/").partition("/")[2], safe="/%")
    at = datetime.fromisoformat(record["eventTime"]).strftime("[%d/%b/%Y:%H:%M:%S +0000]")
    fields = (
        *(canonical_user(owner), bucket, at, _plain(record["sourceIPAddress"])),
        *(_plain(_requester(record["userIdentity"], noted)), record["requestID"], operation, key or "-"),
        *(_quoted(noted["request"]), str(status), _plain(record.get("errorCode"))),
        *(str(sent or "-"), "-" if size is None else str(size)),
        *(str(noted["milliseconds"]), str(noted["milliseconds"])),
        *(_quoted(noted["referer"]), _quoted(record["userAgent"]), _plain(noted["version"])),
        *(told["x-amz-id-2"], told.get("SignatureVersion", "-"), _plain(told.get("CipherSuite"))),
        *(told.get("AuthenticationMethod", "-"), _plain(noted["host"])),
        *(_plain(tls.get("tlsVersion")), _plain(noted["point"]), "Yes" if noted["acl"] else "-"),
    )
    return " ".join(fields)


# --- kept until they are delivered


class Kept(NamedTuple):
    """Lines of one day, in a row. day: 2026-11-25; made: seconds since the epoch."""

    id: str
    day: str
    made: float
    lines: Sequence[str]


def observer(buckets: Buckets) -> Observer:
    """Who is told of every call."""

    def see(record: Mapping[str, Any], gathered: Gathered) -> None:
        noted = (record.get("additionalEventData") or {}).get("accessLog")
        if noted is None or record.get("eventSource") != "s3.amazonaws.com":
            return
        for name, bucket_id, account, copied in noted["buckets"]:
            # Each account gets a record of its own.
            if account == record["recipientAccountId"]:
                text = line(record, name, account, copied=copied)
                gathered[record["eventID"], bucket_id, str(copied)] = (name, record["eventTime"], text)

    def keep(tx: Tx, gathered: Gathered) -> None:
        found: dict[tuple[str, str, str], list[str]] = {}
        last: dict[str, str] = {}
        for (_, bucket_id, _), (name, time, text) in gathered.items():
            found.setdefault((name, bucket_id, time[:10]), []).append(text)
            last[bucket_id] = time
        for (name, bucket_id, day), lines in found.items():
            bucket = buckets.load(tx, name)
            if bucket is None or bucket.id != bucket_id:
                continue
            key = buckets.account_key(tx, bucket.account)
            for start in range(0, len(lines), _IN_ROW):
                row, made = new_id(), datetime.fromisoformat(last[bucket_id]).timestamp()
                bound = (bucket_id, row, day, repr(made))
                sealed = key.wrap(orjson.dumps(lines[start : start + _IN_ROW]), _PURPOSE, *bound)
                tx.run(
                    "INSERT INTO s3_log_lines (bucket, id, account, region, day, made, sealed) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (bucket_id, row, bucket.account, bucket.region, day, made, sealed),
                )

    return Observer(see, keep)


def waiting(tx: Tx, buckets: Buckets, bucket_id: str, account: str, most: int) -> Iterator[Kept]:
    """Rows of the bucket, the oldest first. Raises Tampered."""
    rows = tx.all(
        "SELECT id, day, made, sealed FROM s3_log_lines WHERE bucket = ? ORDER BY id LIMIT ?",
        (bucket_id, most),
    )
    key = buckets.account_key(tx, account)
    for row, day, made, sealed in rows:
        lines = orjson.loads(key.unwrap(sealed, _PURPOSE, bucket_id, row, day, repr(float(made))))
        yield Kept(row, day, made, lines)


def forget(tx: Tx, bucket_id: str, ids: Sequence[str]) -> None:
    """Lines that were delivered."""
    marks = ", ".join("?" * len(ids))
    tx.run(f"DELETE FROM s3_log_lines WHERE bucket = ? AND id IN ({marks})", (bucket_id, *ids))


def forget_before(tx: Tx, bucket_id: str, made: float) -> int:
    """Lines that nobody takes; how many rows. made: seconds since the epoch."""
    return tx.run("DELETE FROM s3_log_lines WHERE bucket = ? AND made < ?", (bucket_id, made))
