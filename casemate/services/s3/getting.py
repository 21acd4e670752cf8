"""GetObject and HeadObject: an object or a range of it, decrypted as it leaves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.api import s3
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate.authorise import decide
from casemate.gate.call import Call
from casemate.services.s3 import about as told
from casemate.services.s3 import archives, expiring, locks, replicating, sealing
from casemate.services.s3.bodies import Bodies, Reading
from casemate.services.s3.ciphers import ObjectKeys, Part
from casemate.services.s3.conditional import check_read
from casemate.services.s3.object_rows import ObjectRow
from casemate.services.s3.object_targets import NamedObject, named_object, needs_of_owner, readable
from casemate.services.s3.refusals import invalid_request, log_tampered
from casemate.store.database import Tx

if TYPE_CHECKING:
    from collections.abc import Iterator

_RANGE = re.compile(r"bytes=([0-9]{0,20})-([0-9]{0,20})\Z")
_OVERRIDES = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
)
_NEEDS = needs_of_owner("s3:GetObject", "s3:GetObjectVersion")


class Range(NamedTuple):
    """Which bytes are answered; whole: it is all of the object, and no range was asked for."""

    start: int
    length: int
    whole: bool


def wanted_range(header: str | None, size: int) -> Range:
    """The range that a header asks for; all where it is none, or several. Raises InvalidRange."""
    found = _RANGE.match(header) if header is not None else None
    if found is None or found[0] == "bytes=-":
        return Range(0, size, True)
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), size if not last else min(size, int(last) + 1)
        if last and int(last) < start:
            return Range(0, size, True)
    if start >= end:
        raise AwsError(
            "InvalidRange",
            "The requested range is not satisfiable",
            416,
            RangeRequested=header,
            ActualObjectSize=str(size),
            **{"Content-Range": f"bytes */{size}"},
        )
    return Range(start, end - start, False)


def parts_of(tx: Tx, row: ObjectRow, keys: ObjectKeys) -> list[Part]:
    """What an object's content is in, in order. Raises Tampered."""
    if not row.in_parts:
        found = tx.one("SELECT size, data FROM s3_bodies WHERE id = ?", (row.body,))
        if found is None or found[0] != row.size:
            raise Tampered("an object's body is missing")
        return [Part(row.body, row.size, keys.body(), found[1])]
    rows = tx.all(
        "SELECT id, part, size, salt, data FROM s3_bodies WHERE holder = ? AND part > 0 ORDER BY part",
        (row.holder,),
    )
    parts = [Part(body, size, keys.body(part, bytes(salt)), data) for body, part, size, salt, data in rows]
    if len(parts) != row.about.get("Parts") or sum(part.size for part in parts) != row.size:
        raise Tampered("an object's parts are not what they were")
    return parts


def _describe(call: Call, request: Mapping[str, Any], target: NamedObject, row: ObjectRow) -> dict[str, Any]:
    """What both operations answer, but for the range."""
    answer = told.shown(row)
    for name in _OVERRIDES:
        value = request.get(f"Response{name}")
        if value is not None:
            if call.identity.principal.kind == "anonymous":
                raise invalid_request(
                    "Request specific response headers cannot be used for anonymous GET requests."
                )
            answer[name] = value
    answer |= told.shown_version(target.bucket, row)
    answer |= archives.shown(row.about)
    answer |= expiring.shown(target.bucket, row)
    answer |= sealing.shown(row.about["Encryption"])
    if (status := replicating.status(row.about)) is not None:
        answer["ReplicationStatus"] = status
    if "Lock" in row.about:
        lock = locks.shown(row.about)
        if not decide(call, "s3:GetObjectRetention", target, {}).allowed:
            lock.pop("ObjectLockMode", None)
            lock.pop("ObjectLockRetainUntilDate", None)
        if not decide(call, "s3:GetObjectLegalHold", target, {}).allowed:
            lock.pop("ObjectLockLegalHoldStatus", None)
        answer |= lock
    if row.tags and decide(call, "s3:GetObjectTagging", target, {}).allowed:
        answer["TagCount"] = len(row.tags)
    return answer


def _part_range(call: Call, row: ObjectRow, number: int, answer: dict[str, Any]) -> Range:
    """The range of a part; of an object in one piece, its first part is all of it. Raises AwsError."""
    count = row.about.get("Parts")
    if count is not None:
        answer["PartsCount"] = count
        call.leave_loop()
    sizes = [row.size] if count is None else part_sizes(call.tx, row)
    if number > len(sizes):
        raise AwsError(
            "InvalidPartNumber",
            "The requested partnumber is not satisfiable",
            416,
            PartNumberRequested=str(number),
            ActualPartCount=str(len(sizes)),
        )
    return Range(sum(sizes[: number - 1]), sizes[number - 1], False)


def part_sizes(tx: Tx, row: ObjectRow) -> list[int]:
    """Of an object that was uploaded in parts."""
    found = tx.all("SELECT size FROM s3_bodies WHERE holder = ? AND part > 0 ORDER BY part", (row.holder,))
    return [size for (size,) in found]


def _answer(
    call: Call, req: Mapping[str, Any], target: NamedObject, row: ObjectRow
) -> tuple[dict[str, Any], Range, int]:
    """The answer, the range of it and the HTTP status."""
    check_read(row, req)
    answer = _describe(call, req, target, row)
    number = req.get("PartNumber")
    if number is not None:
        if "Range" in req:
            raise invalid_request("Cannot specify both Range header and partNumber query parameter.")
        reach = _part_range(call, row, number, answer)
    else:
        reach = wanted_range(req.get("Range"), row.size)
    if not reach.whole and reach.length:
        answer["ContentRange"] = f"bytes {reach.start}-{reach.start + reach.length - 1}/{row.size}"
    if req.get("ChecksumMode") == "ENABLED" and reach.length == row.size:
        answer |= told.shown_checksums(row.about)
    return answer, reach, 200 if reach.whole or not row.size else 206


@s3.HeadObject.reads(named_object, *_NEEDS, near=True)
def head_object(call: Call, req: s3.HeadObjectRequest, target: NamedObject) -> s3.HeadObjectOutput:
    """What is told of an object, without its content."""
    row = readable(call, target)
    kept = row.about["Encryption"]
    if kept["A"] == sealing.CUSTOMER_KEYS or "SSECustomerAlgorithm" in req:
        sealing.opened(call, target.bucket, target.key, kept, req)
    answer, reach, status = _answer(call, req, target, row)
    call.send(reach.length, status=status)
    return answer  # type: ignore[return-value]  # mypy knows no TypedDict that is put together


@s3.GetObject.reads(named_object, *_NEEDS, near=True)
def get_object(call: Call, req: s3.GetObjectRequest, target: NamedObject) -> s3.GetObjectOutput:
    """An object or a range of it, decrypted as it leaves: of a range, only the frames that hold it."""
    row = readable(call, target)
    archives.check_readable(row)
    if row.in_parts:
        # There may be ten thousand.
        call.leave_loop()
    answer, reach, status = _answer(call, req, target, row)
    keys = sealing.opened(call, target.bucket, target.key, row.about["Encryption"], req)
    name = f"object {target.bucket.arn}/{target.key}"
    try:
        parts = parts_of(call.tx, row, keys)
        reading = call.part(Bodies).read(parts, reach.start, reach.length)
        if len(parts) == 1 and parts[0].data is not None:
            content = b"".join(reading)
            if status == 200:
                answer["Body"] = content
            else:
                call.send(reach.length, iter((content,)), status=status)
            return answer  # type: ignore[return-value]  # as above
    except Tampered as error:
        raise log_tampered(name, error) from error
    # Of that version: when the request starts again, there may be another one.
    begun = call.before(f"first bytes {row.version}", lambda: _begin(reading, name), waits=True)
    call.send(reach.length, begun.pieces(), begun.close, status=status)
    return answer  # type: ignore[return-value]  # as above


class _Begun(NamedTuple):
    """An answer's content of which the first piece is there, so that what cannot be read at all is an error."""

    first: bytes
    rest: Iterator[bytes]
    reading: Reading

    def pieces(self) -> Iterator[bytes]:
        if self.first:
            yield self.first
        yield from self.rest

    def close(self) -> None:
        self.reading.close()


def _begin(reading: Reading, name: str) -> _Begun:
    rest = iter(reading)
    try:
        return _Begun(next(rest, b""), rest, reading)
    except Tampered as error:
        reading.close()
        raise log_tampered(name, error) from error
    except BaseException:
        reading.close()
        raise
