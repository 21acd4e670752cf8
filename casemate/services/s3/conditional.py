"""Conditions in headers: reads of what has (not) changed, writes of what is (not) there.

Source: "Conditional requests", "GetObject", RFC 9110, 13.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from casemate.errors import AwsError
from casemate.services.s3.about import http_date, moment
from casemate.services.s3.object_rows import ObjectRow
from casemate.services.s3.object_targets import no_such_key
from casemate.services.s3.refusals import not_supported


def failed(condition: str) -> AwsError:
    return AwsError(
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        412,
        Condition=condition,
    )


def lists(header: str, etag: str) -> bool:
    """Whether a header with ETags, or "*", names this one."""
    names = [name.strip() for name in header.split(",")]
    return "*" in names or any(name.removeprefix("W/").strip('"') == etag for name in names)


def check_read(row: ObjectRow, request: Mapping[str, Any]) -> None:
    """IfMatch, IfNoneMatch, IfModifiedSince, IfUnmodifiedSince. Raises PreconditionFailed, NotModified."""
    match, unmodified = request.get("IfMatch"), request.get("IfUnmodifiedSince")
    if match is not None:
        if not lists(match, row.etag):
            raise failed("If-Match")
    elif unmodified is not None and _is_later(row, unmodified):
        raise failed("If-Unmodified-Since")
    none, modified = request.get("IfNoneMatch"), request.get("IfModifiedSince")
    if none is not None:
        if lists(none, row.etag):
            raise _not_modified(row)
    elif modified is not None and not _is_later(row, modified):
        raise _not_modified(row)


def check_copied(row: ObjectRow, request: Mapping[str, Any]) -> None:
    """The same of a copy's source, of which everything that fails is PreconditionFailed."""
    match, unmodified = request.get("CopySourceIfMatch"), request.get("CopySourceIfUnmodifiedSince")
    if match is not None:
        if not lists(match, row.etag):
            raise failed("x-amz-copy-source-If-Match")
    elif unmodified is not None and _is_later(row, unmodified):
        raise failed("x-amz-copy-source-If-Unmodified-Since")
    none, modified = request.get("CopySourceIfNoneMatch"), request.get("CopySourceIfModifiedSince")
    if none is not None:
        if lists(none, row.etag):
            raise failed("x-amz-copy-source-If-None-Match")
    elif modified is not None and not _is_later(row, modified):
        raise failed("x-amz-copy-source-If-Modified-Since")


def check_write(row: ObjectRow | None, request: Mapping[str, Any], key: str) -> None:
    """IfMatch and IfNoneMatch of what writes an object. row: the newest version of its key. Raises AwsError."""
    there = row is not None and not row.marker
    none = request.get("IfNoneMatch")
    if none is not None:
        if none != "*":
            raise not_supported("A header If-None-Match other than * on what writes an object")
        if there:
            raise failed("If-None-Match")
    match = request.get("IfMatch")
    if match is not None:
        if row is None or not there:
            raise no_such_key(key)
        if not lists(match, row.etag):
            raise failed("If-Match")


def _is_later(row: ObjectRow, then: datetime) -> bool:
    return moment(row.modified) > then


def _not_modified(row: ObjectRow) -> AwsError:
    headers = {"ETag": f'"{row.etag}"', "Last-Modified": http_date(row.modified)}
    return AwsError("NotModified", "Not Modified", 304, **headers)
