"""What is told of an object besides its key and size: from the request that made it to the answers that show it.

It is one JSON object, sealed with the object's row:

ETag, StorageClass, CacheControl, ...    as the API names them
Expires                                  seconds since the epoch
Metadata, Tags                           values by name
Checksums, ChecksumType                  base64 by algorithm; "FULL_OBJECT" or "COMPOSITE"
Encryption                               how it is encrypted (casemate.services.s3.sealing)
Lock                                     {"Mode", "Until", "Hold"}, each only where there is one
Parts                                    how many, of an object that was uploaded in parts
Owner                                    the account that owns it, where that is not the bucket's; "anonymous"
Acl                                      its list of [grantee, permission], where that is not its owner's alone
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from casemate.errors import AwsError
from casemate.services.s3.object_rows import ObjectRow
from casemate.services.s3.refusals import invalid_argument
from casemate.services.s3.resources import Bucket
from casemate.services.s3.tag_rules import checked_tags

DEFAULT_TYPE = "binary/octet-stream"

_MOST_METADATA = 2048
_MOST_TAGS = 10
_LONGEST_KEY = 1024
_TEXTS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "WebsiteRedirectLocation",
)
ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_CLASSES = ARCHIVES | {
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
}


def check_key(key: str) -> None:
    """Raise for a key that no object may have."""
    if "\0" in key:
        raise AwsError("InvalidURI", "Couldn't parse the specified URI.", 400)
    size = len(key.encode())
    if size > _LONGEST_KEY:
        raise AwsError(
            "KeyTooLongError", "Your key is too long", 400, Size=str(size), MaxSizeAllowed=str(_LONGEST_KEY)
        )


def told(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a request that makes an object tells of it: metadata, headers, storage class, tags. Raises AwsError."""
    about: dict[str, Any] = {name: request[name] for name in _TEXTS if request.get(name)}
    encoding = about.get("ContentEncoding", "")
    if "aws-chunked" in encoding:
        # It is the request's framing, not the object's.
        kept = ", ".join(
            part for part in map(str.strip, encoding.split(",")) if part and part != "aws-chunked"
        )
        about.pop("ContentEncoding")
        if kept:
            about["ContentEncoding"] = kept
    if "Expires" in request:
        about["Expires"] = request["Expires"].timestamp()
    metadata = request.get("Metadata")
    if metadata:
        size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
        if size > _MOST_METADATA:
            raise AwsError(
                "MetadataTooLarge",
                "Your metadata headers exceed the maximum allowed metadata size",
                400,
                Size=str(size),
                MaxSizeAllowed=str(_MOST_METADATA),
            )
        about["Metadata"] = metadata
    redirect = about.get("WebsiteRedirectLocation", "/")
    if not redirect.startswith(("/", "http://", "https://")):
        raise AwsError(
            "InvalidRedirectLocation",
            "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
            400,
        )
    stored = storage_class(request.get("StorageClass"))
    if stored != "STANDARD":
        about["StorageClass"] = stored
    tags = tags_of_header(request.get("Tagging"))
    if tags:
        about["Tags"] = tags
    return about


def storage_class(given: str | None) -> str:
    """The storage class that is asked for. Raises AwsError for one that there is not here."""
    if given is None or given in _CLASSES:
        return given or "STANDARD"
    raise AwsError(
        "InvalidStorageClass",
        "The storage class you specified is not valid",
        400,
        StorageClassRequested=given,
    )


def tags_of_header(header: str | None) -> dict[str, str]:
    """Tags as x-amz-tagging has them. Raises AwsError."""
    if not header:
        return {}
    try:
        pairs = parse_qsl(header, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        pairs = []
    if not pairs or len(dict(pairs)) != len(pairs):
        raise invalid_argument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag "
            "name duplicates.",
            "x-amz-tagging",
            header,
        )
    return checked_tags(({"Key": key, "Value": value} for key, value in pairs), _MOST_TAGS)


def moment(seconds: float) -> datetime:
    """Whole seconds, as S3's headers have them."""
    return datetime.fromtimestamp(int(seconds), UTC)


def http_date(seconds: float) -> str:
    """Thu, 26 Nov 2026 10:00:00 GMT"""
    return moment(seconds).strftime("%a, %d %b %Y %H:%M:%S GMT")


def shown_version(bucket: Bucket, row: ObjectRow) -> dict[str, Any]:
    """The version's id, in a bucket that has or had versioning."""
    return {"VersionId": row.version_id} if bucket.versioning or not row.null else {}


def shown_checksums(about: Mapping[str, Any]) -> dict[str, Any]:
    """The checksums' members of an answer."""
    shown = {f"Checksum{name}": value for name, value in about.get("Checksums", {}).items()}
    if shown:
        shown["ChecksumType"] = about.get("ChecksumType", "FULL_OBJECT")
    return shown


def shown(row: ObjectRow) -> dict[str, Any]:
    """The members that GetObject and HeadObject answer alike, but for version, encryption, range and checksums."""
    about = row.about
    answer: dict[str, Any] = {name: about[name] for name in _TEXTS if name in about}
    answer.setdefault("ContentType", DEFAULT_TYPE)
    answer["ETag"] = f'"{row.etag}"'
    answer["LastModified"] = moment(row.modified)
    answer["AcceptRanges"] = "bytes"
    if "Expires" in about:
        answer["Expires"] = datetime.fromtimestamp(about["Expires"], UTC)
    if "Metadata" in about:
        answer["Metadata"] = about["Metadata"]
    if "StorageClass" in about:
        answer["StorageClass"] = about["StorageClass"]
    return answer
