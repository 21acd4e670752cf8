"""Objects that CloudTrail puts into a trail's bucket, as its service principal."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.engine.cloudtrail import files
from casemate.errors import AwsError
from casemate.gate.acting import perform
from casemate.services.cloudtrail import checks

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.gate import Gate
    from casemate.services.cloudtrail.trails import Trail


class Taken(Exception):
    """Another worker has delivered it, or their trail is no more."""


def place_of(trail: Trail, account: str, region: str) -> files.Place:
    """Where a trail's files of an account and a Region are."""
    return files.Place(trail.get("Prefix"), trail.organization, account, region)


def in_bucket(gate: Gate, trail: Trail, work: Callable[[Call], None]) -> None:
    """Do something in the trail's bucket as CloudTrail, in one transaction. A bucket that was made anew in another
    Region is followed there. Raises AwsError."""
    actor = checks.actor(trail.place)
    try:
        perform(gate, actor._replace(region=trail.get("BucketRegion")), work)
    except AwsError as error:
        region = error.fields.get("Region")
        if error.code != "AuthorizationHeaderMalformed" or not region:
            raise
        perform(gate, actor._replace(region=region), work)


def write(call: Call, trail: Trail, key: str, body: bytes, metadata: Mapping[str, str]) -> None:
    """Put an object into the trail's bucket."""
    request: dict[str, Any] = {
        "Bucket": trail.get("Bucket"),
        "Key": key,
        "Body": body,
        "ACL": "bucket-owner-full-control",
        "ContentType": "application/json",
        "ContentEncoding": "gzip",
        # Buckets with object lock insist on a checksum.
        "ChecksumSHA256": b64encode(sha256(body).digest()).decode(),
    }
    if metadata:
        request["Metadata"] = dict(metadata)
    if trail.get("Key"):
        request |= checks.encrypted(trail.place, trail.get("Key"))
    s3.PutObject.ask(call, request)  # type: ignore[arg-type]  # built from the model's members
