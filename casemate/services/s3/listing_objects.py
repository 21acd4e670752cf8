"""ListObjectsV2, ListObjects and ListObjectVersions. Source: the pages of these operations, "Organizing objects using
prefixes".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote_plus

from casemate.api import s3
from casemate.engine.envelope.errors import Tampered
from casemate.gate.markers import read_marker, write_marker
from casemate.gate.operation import Need
from casemate.services.s3 import archives
from casemate.services.s3.acl_rules import canonical
from casemate.services.s3.object_rows import NULL, ObjectRow, Objects
from casemate.services.s3.object_targets import owner_of
from casemate.services.s3.refusals import invalid_argument, log_tampered
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import named_bucket
from casemate.services.s3.walking import Entry, Place, behind, common_prefix, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casemate.gate.call import Call

MOST_KEYS = 1_000
_LIST = Need("s3:ListBucket")
_PREFIX, _KEY = "prefix ", "key "
_COLUMNS = "key, version, null_version, latest, marker, modified, size, body, sealed"
"""As ``Objects.opened`` takes them."""
_OF_ROW = ", ".join(f"o.{column}" for column in _COLUMNS.split(", "))


class Found(NamedTuple):
    """A row that is not opened yet, since most of what is rolled up never is."""

    key: str
    version: str
    columns: tuple[Any, ...]


class Page(NamedTuple):
    """A page of a listing. more: whether there is another one."""

    entries: list[Entry[Found]]
    more: bool

    @property
    def prefixes(self) -> list[str]:
        return [entry.name for entry in self.entries if entry.row is None]

    @property
    def rows(self) -> list[Found]:
        return [entry.row for entry in self.entries if entry.row is not None]


class Asked(NamedTuple):
    """What a request asks for. shown: how names are written in the answer; restores: with what is restored."""

    prefix: str
    delimiter: str
    most: int
    shown: Callable[[str], str]
    restores: bool = False


def _asked(req: Mapping[str, Any]) -> Asked:
    """Raises InvalidArgument."""
    most: int = req.get("MaxKeys", MOST_KEYS)
    if most < 0:
        raise invalid_argument(
            "Argument maxKeys must be an integer between 0 and 2147483647", "maxKeys", str(most)
        )
    shown = encoded if req.get("EncodingType") == "url" else str
    restores = "RestoreStatus" in req.get("OptionalObjectAttributes", ())
    return Asked(req.get("Prefix", ""), req.get("Delimiter", ""), min(most, MOST_KEYS), shown, restores)


def encoded(name: str) -> str:
    return quote_plus(name, safe="/*")


def _page(fetch: Callable[[Place, int], Sequence[Found]], asked: Asked, start: Place, passed: str) -> Page:
    if asked.most == 0:
        return Page([], False)
    entries = walk(fetch, start=start, prefix=asked.prefix, delimiter=asked.delimiter, passed=passed)
    found = list(islice(entries, asked.most + 1))
    return Page(found[: asked.most], len(found) > asked.most)


def _is_rolled_up(name: str, asked: Asked) -> bool:
    """Whether a marker is a common prefix that the page before ended with."""
    return name.startswith(asked.prefix) and common_prefix(name, asked.prefix, asked.delimiter) == name


def _opened(call: Call, bucket: Bucket, row: Found) -> ObjectRow:
    try:
        return call.part(Objects).opened(call.tx, bucket, row.columns)
    except Tampered as error:
        raise log_tampered(f"object {bucket.arn}/{row.key}", error) from error


def _entry(row: ObjectRow, asked: Asked, owned_in: Bucket | None) -> dict[str, Any]:
    """An object as listings show it. owned_in: its bucket, where its owner is shown."""
    entry: dict[str, Any] = {
        "Key": asked.shown(row.key),
        "LastModified": datetime.fromtimestamp(int(row.modified), UTC),
        "ETag": f'"{row.etag}"',
        "Size": row.size,
        "StorageClass": row.about.get("StorageClass", "STANDARD"),
    }
    checksums = row.about.get("Checksums")
    if checksums:
        entry["ChecksumAlgorithm"] = list(checksums)
        entry["ChecksumType"] = row.about.get("ChecksumType", "FULL_OBJECT")
    if asked.restores:
        entry |= archives.listed(row.about)
    if owned_in is not None:
        entry["Owner"] = {"ID": canonical(owner_of(owned_in, row.about))}
    return entry


def _common(bucket: Bucket, req: Mapping[str, Any], asked: Asked, page: Page) -> dict[str, Any]:
    """What all three answers have."""
    answer: dict[str, Any] = {
        "Name": bucket.name,
        "Prefix": asked.shown(asked.prefix),
        "MaxKeys": asked.most,
        "IsTruncated": page.more,
    }
    if asked.delimiter:
        answer["Delimiter"] = asked.shown(asked.delimiter)
    if "EncodingType" in req:
        answer["EncodingType"] = req["EncodingType"]
    if page.prefixes:
        answer["CommonPrefixes"] = [{"Prefix": asked.shown(prefix)} for prefix in page.prefixes]
    return answer


# --- what is current


def _current(call: Call, bucket: Bucket) -> Callable[[Place, int], list[Found]]:
    """Of each key the newest version, where that is no delete marker."""
    tx = call.tx

    def fetch(place: Place, limit: int) -> list[Found]:
        # The names first, from the index of what is listed: by the rows themselves, a walk would pass all that is
        # hidden between two keys, versions and delete markers.
        rows = tx.all(
            f"SELECT {_OF_ROW} FROM (SELECT key, version FROM s3_objects WHERE bucket = ? "
            f"AND key {'>' if place.version else '>='} ? AND latest = 1 AND marker = 0 ORDER BY key LIMIT ?) AS l "
            "JOIN s3_objects AS o ON o.bucket = ? AND o.key = l.key AND o.version = l.version "
            "ORDER BY o.key",
            (bucket.id, place.key.encode(), limit, bucket.id),
        )
        return [Found(bytes(columns[0]).decode(), columns[1], columns) for columns in rows]

    return fetch


@s3.ListObjectsV2.reads(named_bucket, _LIST)
def list_objects_v2(call: Call, req: s3.ListObjectsV2Request, bucket: Bucket) -> s3.ListObjectsV2Output:
    """The bucket's objects by key, up to a thousand, those below a delimiter rolled up."""
    asked = _asked(req)
    start, passed = Place(""), ""
    token = req.get("ContinuationToken")
    if token is not None:
        kind, name = _read_token(token)
        start, passed = (Place(""), name) if kind == _PREFIX else (behind(name), "")
    elif "StartAfter" in req:
        start = behind(req["StartAfter"])
    page = _page(_current(call, bucket), asked, start, passed)
    answer = _common(bucket, req, asked, page)
    answer["KeyCount"] = len(page.entries)
    owned_in = bucket if req.get("FetchOwner") else None
    answer["Contents"] = [_entry(_opened(call, bucket, row), asked, owned_in) for row in page.rows]
    if token is not None:
        answer["ContinuationToken"] = token
    if "StartAfter" in req:
        answer["StartAfter"] = asked.shown(req["StartAfter"])
    if page.more:
        last = page.entries[-1]
        answer["NextContinuationToken"] = write_marker(
            "ListObjectsV2", (_PREFIX if last.row is None else _KEY) + last.name
        )
    return answer  # type: ignore[return-value]  # built from the model's members


def _read_token(token: str) -> tuple[str, str]:
    text = read_marker("ListObjectsV2", token) or ""
    for kind in (_PREFIX, _KEY):
        if text.startswith(kind):
            return kind, text[len(kind) :]
    raise invalid_argument("The continuation token provided is incorrect", "continuation-token", token)


@s3.ListObjects.reads(named_bucket, _LIST)
def list_objects(call: Call, req: s3.ListObjectsRequest, bucket: Bucket) -> s3.ListObjectsOutput:
    """The same in the older form, which goes on behind a key."""
    asked = _asked(req)
    marker = req.get("Marker", "")
    rolled = bool(marker) and _is_rolled_up(marker, asked)
    start = Place("") if rolled or not marker else behind(marker)
    page = _page(_current(call, bucket), asked, start, marker if rolled else "")
    answer = _common(bucket, req, asked, page)
    answer["Marker"] = asked.shown(marker)
    answer["Contents"] = [_entry(_opened(call, bucket, row), asked, bucket) for row in page.rows]
    if page.more and asked.delimiter:
        answer["NextMarker"] = asked.shown(page.entries[-1].name)
    return answer  # type: ignore[return-value]  # built from the model's members


# --- all versions


def _versions(call: Call, bucket: Bucket) -> Callable[[Place, int], list[Found]]:
    tx = call.tx

    def fetch(place: Place, limit: int) -> list[Found]:
        rows = tx.all(
            f"SELECT {_COLUMNS} FROM s3_objects WHERE bucket = ? AND (key, version) > (?, ?) "
            "ORDER BY key, version LIMIT ?",
            (bucket.id, place.key.encode(), place.version, limit),
        )
        return [Found(bytes(columns[0]).decode(), columns[1], columns) for columns in rows]

    return fetch


def _version_place(call: Call, bucket: Bucket, key: str, marker: str) -> Place:
    """Behind a version of a key. Raises InvalidArgument."""
    if marker == NULL:
        row = call.part(Objects).version(call.tx, bucket, key, NULL)
        return behind(key) if row is None else Place(key, row.version)
    if len(marker) != 32 or not set(marker) <= set("0123456789abcdef"):
        raise invalid_argument("Invalid version id specified", "version-id-marker", marker)
    return Place(key, marker)


@s3.ListObjectVersions.reads(named_bucket, Need("s3:ListBucketVersions"))
def list_object_versions(
    call: Call, req: s3.ListObjectVersionsRequest, bucket: Bucket
) -> s3.ListObjectVersionsOutput:
    """All versions of the bucket's objects and its delete markers, by key, the newest first."""
    asked = _asked(req)
    key, version = req.get("KeyMarker", ""), req.get("VersionIdMarker")
    start, passed = Place(""), ""
    if version is not None and not key:
        raise invalid_argument(
            "A version-id marker cannot be specified without a key marker.", "version-id-marker"
        )
    if version:
        start = _version_place(call, bucket, key, version)
    elif version is not None:
        raise invalid_argument("A version-id marker cannot be empty.", "version-id-marker", "")
    elif key and _is_rolled_up(key, asked):
        passed = key
    elif key:
        start = behind(key)
    page = _page(_versions(call, bucket), asked, start, passed)
    answer = _common(bucket, req, asked, page)
    answer["KeyMarker"] = asked.shown(key)
    answer["VersionIdMarker"] = version or ""
    opened = [_opened(call, bucket, row) for row in page.rows]
    answer["Versions"] = [_version(row, asked, bucket) for row in opened if not row.marker]
    answer["DeleteMarkers"] = [_marker(row, asked, bucket) for row in opened if row.marker]
    if page.more:
        last = page.entries[-1]
        answer["NextKeyMarker"] = asked.shown(last.name)
        if last.row is not None:
            answer["NextVersionIdMarker"] = opened[-1].version_id
    return answer  # type: ignore[return-value]  # built from the model's members


def _version(row: ObjectRow, asked: Asked, bucket: Bucket) -> dict[str, Any]:
    return {
        **_entry(row, asked, bucket),
        "VersionId": row.version_id,
        "IsLatest": row.latest,
    }


def _marker(row: ObjectRow, asked: Asked, bucket: Bucket) -> dict[str, Any]:
    return {
        "Key": asked.shown(row.key),
        "VersionId": row.version_id,
        "IsLatest": row.latest,
        "LastModified": datetime.fromtimestamp(int(row.modified), UTC),
        "Owner": {"ID": canonical(owner_of(bucket, row.about))},
    }
