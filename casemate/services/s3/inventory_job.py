"""The job that lists a bucket's objects and puts the list into another bucket, as S3's own principal.

Data files come first and the manifest that names them after, so that a report is whole where there is a manifest. The
walk is no snapshot: what is made or removed meanwhile may be in it or not, as with AWS. Source: "Locating your
inventory list", "Amazon S3 Inventory list".
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import md5
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote
from uuid import uuid4

from casemate.api import s3
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate.acting import Actor, perform
from casemate.services.s3 import acl_rules, expiring, replicating, sealing
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.inventory_parquet import parquet, schema
from casemate.services.s3.inventory_rows import find
from casemate.services.s3.naming import bucket_of_arn
from casemate.services.s3.notices import SERVICE, iso
from casemate.services.s3.object_rows import ObjectRow, Objects
from casemate.services.s3.object_targets import acl_of, owner_of
from casemate.services.s3.resources import Bucket
from casemate.store.jobs import Job, cancel

if TYPE_CHECKING:
    from casemate.gate.gate import Gate
    from casemate.store.database import Tx

log = logging.getLogger("casemate.s3")

_BATCH = 1_000
_ROWS = 50_000
"""Objects in a data file."""

_COLUMNS = "key, version, null_version, latest, marker, modified, size, body, sealed"
_VERSION = "2016-11-30"


class _Report(NamedTuple):
    """A report that is being made. folder: of the configuration, in the destination; fields: the optional ones, in
    the order of the columns; all: of all versions; format: "CSV" or "Parquet"."""

    bucket: Bucket
    configuration: Mapping[str, Any]
    folder: str
    fields: Sequence[str]
    all: bool
    format: str

    @property
    def columns(self) -> list[str]:
        return [
            "Bucket",
            "Key",
            *(("VersionId", "IsLatest", "IsDeleteMarker") if self.all else ()),
            *self.fields,
        ]


def reporter(gate: Gate, stopping: Event) -> Callable[[Job], None]:
    """The handler of INVENTORY."""

    def run(job: Job) -> None:
        try:
            report = gate.store.read(lambda tx: _look(tx, gate.parts[Buckets], job))
            if report is None:
                gate.store.write(lambda tx: cancel(tx, job.id))
                return
            files = []
            for rows in _files(gate, job, report, stopping):
                files.append(_put_data(gate, report, rows))
                gate.store.write(job.renew)
            if stopping.is_set():
                gate.store.write(job.put_back)
                return
            _put_manifest(gate, report, files)
        except Tampered as error:
            log.error("the inventory of bucket %s is not made: %s", job.payload["bucket"], error)
        except AwsError as error:
            if error.status >= 500:
                raise
            # Until the next occasion.
            log.warning("the inventory of bucket %s is not taken: %s", job.payload["bucket"], error.code)

    return run


def _look(tx: Tx, buckets: Buckets, job: Job) -> _Report | None:
    bucket = buckets.load(tx, job.payload["bucket"])
    if bucket is None or bucket.id != job.payload["id"]:
        return None
    configuration = find(tx, buckets, bucket, job.payload["name"])
    if configuration is None or not configuration["IsEnabled"]:
        return None
    prefix = configuration["Destination"]["S3BucketDestination"].get("Prefix", "")
    folder = f"{prefix}/" if prefix and not prefix.endswith("/") else prefix
    wanted = set(configuration.get("OptionalFields", ()))
    return _Report(
        bucket,
        configuration,
        f"{folder}{bucket.name}/{configuration['Id']}",
        [name for name in _FIELDS if name in wanted],
        configuration["IncludedObjectVersions"] == "All",
        configuration["Destination"]["S3BucketDestination"]["Format"],
    )


# --- what is in it


def _files(gate: Gate, job: Job, report: _Report, stopping: Event) -> Iterator[list[list[str]]]:
    """The rows of each data file."""
    objects = gate.parts[Objects]
    gathered: list[list[str]] = []
    prefix = report.configuration.get("Filter", {}).get("Prefix", "").encode()
    # Every version is behind the empty one, also of the key that is the prefix itself.
    key, version, first = prefix, "", True

    def read(tx: Tx, key: bytes, version: str) -> list[ObjectRow]:
        found = tx.all(
            f"SELECT {_COLUMNS} FROM s3_objects WHERE bucket = ? AND (key, version) > (?, ?) "
            "ORDER BY key, version LIMIT ?",
            (report.bucket.id, key, version, _BATCH),
        )
        return [objects.opened(tx, report.bucket, columns) for columns in found]

    while not stopping.is_set():
        rows = gate.store.read(lambda tx, key=key, version=version: read(tx, key, version))  # type: ignore[misc]  # of this round
        listed = [row for row in rows if row.key.encode().startswith(prefix)]
        gathered += [_line(report, row) for row in listed if report.all or (row.latest and not row.marker)]
        if len(gathered) >= _ROWS:
            yield gathered
            gathered, first = [], False
        if len(rows) < _BATCH or len(listed) < len(rows):
            break
        key, version = rows[-1].key.encode(), rows[-1].version
        gate.store.write(job.renew)
    if gathered or first:
        yield gathered


def _line(report: _Report, row: ObjectRow) -> list[str]:
    line = [report.bucket.name, row.key if report.format == "Parquet" else quote(row.key, safe="/")]
    if report.all:
        version = row.version_id if report.bucket.versioning else ""
        line += ["" if row.null else version, _true(row.latest), _true(row.marker)]
    return line + [_FIELDS[name](report.bucket, row) for name in report.fields]


def _true(value: bool) -> str:
    return "true" if value else "false"


_ENCRYPTION = {
    sealing.S3_KEYS: "SSE-S3",
    sealing.KMS_KEYS: "SSE-KMS",
    sealing.TWO_LAYERS: "DSSE-KMS",
    sealing.CUSTOMER_KEYS: "SSE-C",
}


def _encryption(_bucket: Bucket, row: ObjectRow) -> str:
    return "" if row.marker else _ENCRYPTION[row.about["Encryption"]["A"]]


def _bucket_key(_bucket: Bucket, row: ObjectRow) -> str:
    if row.marker or row.about["Encryption"]["A"] != sealing.KMS_KEYS:
        return ""
    return "ENABLED" if "D" in row.about["Encryption"] else "DISABLED"


def _retained(_bucket: Bucket, row: ObjectRow) -> str:
    until = row.about.get("Lock", {}).get("Until")
    return "" if until is None else iso(until)


def _held(_bucket: Bucket, row: ObjectRow) -> str:
    return {"ON": "On", "OFF": "Off"}.get(row.about.get("Lock", {}).get("Hold", ""), "")


def _grants(bucket: Bucket, row: ObjectRow) -> str:
    if row.marker:
        return ""
    listed: list[Any] = list(acl_rules.shown(acl_of(bucket, row.about)))
    grants = [
        {
            **(
                {"uri": one["Grantee"]["URI"]}
                if "URI" in one["Grantee"]
                else {"canonicalId": one["Grantee"]["ID"]}
            ),
            "type": one["Grantee"]["Type"],
            "permission": one["Permission"],
        }
        for one in listed
    ]
    text = json.dumps({"version": "2022-11-10", "status": "AVAILABLE", "grants": grants})
    return b64encode(text.encode()).decode()


def _expiry(bucket: Bucket, row: ObjectRow) -> str:
    found = expiring.expiry(bucket, row)
    return "" if found is None else iso(found[0])


_FIELDS: Mapping[str, Callable[[Bucket, ObjectRow], str]] = {
    "Size": lambda _bucket, row: "" if row.marker else str(row.size),
    "LastModifiedDate": lambda _bucket, row: iso(int(row.modified)),
    "ETag": lambda _bucket, row: row.etag,
    "StorageClass": lambda _bucket, row: "" if row.marker else row.about.get("StorageClass", "STANDARD"),
    "IsMultipartUploaded": lambda _bucket, row: "" if row.marker else _true("Parts" in row.about),
    "ReplicationStatus": lambda _bucket, row: replicating.status(row.about) or "",
    "EncryptionStatus": _encryption,
    "ObjectLockRetainUntilDate": _retained,
    "ObjectLockMode": lambda _bucket, row: row.about.get("Lock", {}).get("Mode", ""),
    "ObjectLockLegalHoldStatus": _held,
    "IntelligentTieringAccessTier": lambda _bucket, row: (
        "FREQUENT" if row.about.get("StorageClass") == "INTELLIGENT_TIERING" else ""
    ),
    "BucketKeyStatus": _bucket_key,
    "ChecksumAlgorithm": lambda _bucket, row: ",".join(row.about.get("Checksums", ())),
    "ObjectAccessControlList": _grants,
    "ObjectOwner": lambda bucket, row: acl_rules.canonical(owner_of(bucket, row.about)),
    "LifecycleExpirationDate": _expiry,
}
"""In the order of the columns."""


# --- how it is put


def _put_data(gate: Gate, report: _Report, rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    """A data file; as the manifest names it."""
    if report.format == "Parquet":
        content, ending, kind = parquet(report.columns, rows), "parquet", "application/octet-stream"
    else:
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
        content, ending, kind = (
            gzip.compress(text.getvalue().encode(), mtime=0),
            "csv.gz",
            "application/x-gzip",
        )
    key = f"{report.folder}/data/{uuid4()}.{ending}"
    _put(gate, report, key, content, kind)
    return {"key": key, "size": len(content), "MD5checksum": _md5(content)}


def _put_manifest(gate: Gate, report: _Report, files: Sequence[Mapping[str, Any]]) -> None:
    now = gate.clock.now()
    at = datetime.fromtimestamp(now, UTC)
    arn = report.configuration["Destination"]["S3BucketDestination"]["Bucket"]
    manifest = {
        "sourceBucket": report.bucket.name,
        "destinationBucket": arn,
        "version": _VERSION,
        "creationTimestamp": str(int(now * 1000)),
        "fileFormat": report.format,
        "fileSchema": schema(report.columns) if report.format == "Parquet" else ", ".join(report.columns),
        "files": list(files),
    }
    content = json.dumps(manifest, indent=2).encode()
    folder = f"{report.folder}/{at:%Y-%m-%dT%H-%MZ}"
    links = "\n".join(f"s3://{bucket_of_arn(arn)}/{file['key']}" for file in files)
    hive = f"{report.folder}/hive/dt={at:%Y-%m-%d-%H-%M}/symlink.txt"
    _put(gate, report, hive, links.encode(), "text/plain")
    _put(gate, report, f"{folder}/manifest.checksum", _md5(content).encode(), "text/plain")
    _put(gate, report, f"{folder}/manifest.json", content, "application/json")


def _put(gate: Gate, report: _Report, key: str, content: bytes, content_type: str) -> None:
    """As S3's principal, whom the destination's policy and, of its KMS key, the key policy must let."""
    to = report.configuration["Destination"]["S3BucketDestination"]
    request: dict[str, Any] = {
        "Bucket": bucket_of_arn(to["Bucket"]),
        "Key": key,
        "Body": content,
        "ContentType": content_type,
        "ACL": "bucket-owner-full-control",
    }
    if "AccountId" in to:
        request["ExpectedBucketOwner"] = to["AccountId"]
    encryption = to.get("Encryption", {})
    if "SSEKMS" in encryption:
        request |= {"ServerSideEncryption": sealing.KMS_KEYS, "SSEKMSKeyId": encryption["SSEKMS"]["KeyId"]}
    elif "SSES3" in encryption:
        request["ServerSideEncryption"] = sealing.S3_KEYS
    bucket = report.bucket
    actor = Actor(SERVICE, bucket.account, bucket.region, source_arn=bucket.arn)
    perform(gate, actor, lambda call: s3.PutObject.ask(call, request))  # type: ignore[arg-type]  # put together


def _md5(content: bytes) -> str:
    return md5(content, usedforsecurity=False).hexdigest()
