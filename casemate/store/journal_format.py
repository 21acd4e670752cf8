"""The audit journal's files: what stands in them, and the errors and positions that writer and reader share.

::

    directory/<start, 16 digits>-<worker>-<sequence, 6 digits>.journal

    "CMJRNL\\x00\\x01" | length 4 | the cipher's header (the wrapped data key) | frames | zeros

    frame:  "CMjf" | index 4 | length 4 | sealed
    sealed: kind 1 | time in ns 8 | body
      kind O: opening; the body is how many frames the run's previous segment was known to hold durably (4)
      kind R: records; count 4 | a length 4 for each | the records
      kind C: the run continues in the next segment; kind E: the journal was closed

A *run* is one worker process's journal: ``<start>-<worker>``, its start in microseconds since the epoch.
Frames are numbered from 0 in each segment, and the segment's own data key seals each with its number, so
that a frame can be neither changed nor moved. All that is known of a run that was killed is its sealed
frames: whoever can write to the directory can cut whole frames off such a run's end, or remove a run's last
segments or all of it. Ship the journal to where that cannot be done.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

FILE_MAGIC = b"CMJRNL\x00\x01"
FILE_HEAD = struct.Struct(">8sI")
FRAME_MAGIC = b"CMjf"
FRAME_HEAD = struct.Struct(">4sII")
OPENING, RECORDS, CONTINUES, CLOSED = b"O", b"R", b"C", b"E"

_BODY_HEAD = struct.Struct(">cQ")
_COUNT = struct.Struct(">I")
_WORKER = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SEGMENT_NAME = re.compile(r"(\d{16}-[A-Za-z0-9_.-]{1,64})-(\d{6})\.journal")

Seal = Callable[[int, bytes], bytes]
"""Frame number and content → sealed. Each number is sealed once."""
Open = Callable[[int, bytes], bytes]
"""Frame number and sealed → content. Raises ValueError for what was not sealed so."""


class SegmentCipher(Protocol):
    """How segments are sealed. casemate/server/journal_cipher.py makes one from the root key."""

    def new_segment(self, name: str) -> tuple[bytes, Seal]:
        """A header for the segment file of this name, bound to the name, and the sealing with its new key."""
        ...

    def open_segment(self, name: str, header: bytes) -> Open:
        """The opening of a segment's frames. Raises ValueError when the header was not made for this name."""
        ...


class JournalTampered(ValueError):
    """The journal is not as it was written. The text says where."""


class Position(NamedTuple):
    """Where a record stands. Positions sort by time, and within a run in the order of writing."""

    time_ns: int
    """When its batch was written, nanoseconds since the epoch; never less than the run's batch before."""
    run: str
    sequence: int
    frame: int
    record: int
    offset: int
    """Where the frame begins in its file, so that a reader can go on there."""


class SegmentName(NamedTuple):
    """A segment file's name, read."""

    run: str
    sequence: int

    @property
    def file(self) -> str:
        return f"{self.run}-{self.sequence:06d}.journal"


class Frame(NamedTuple):
    """A frame's content, read."""

    kind: bytes
    time_ns: int
    records: list[bytes]
    previous_frames: int
    """Of an opening frame only."""


def run_name(worker: str, start_us: int) -> str:
    """Raises ValueError for a worker's name that does not fit into a file's name."""
    if not _WORKER.fullmatch(worker):
        raise ValueError("a worker's name has 1 to 64 letters, digits, points, hyphens and underscores")
    return f"{start_us:016d}-{worker}"


def run_start_ns(run: str) -> int:
    return int(run[:16]) * 1000


def parse_segment_name(file: str) -> SegmentName | None:
    """None for a file that is no segment."""
    match = _SEGMENT_NAME.fullmatch(file)
    return SegmentName(match[1], int(match[2])) if match else None


def encode_frame(kind: bytes, time_ns: int, body: bytes = b"") -> bytes:
    return _BODY_HEAD.pack(kind, time_ns) + body


def encode_records(time_ns: int, records: Sequence[bytes]) -> bytes:
    """The content of a frame of records."""
    count = len(records)
    head = struct.pack(f">cQI{count}I", RECORDS, time_ns, count, *map(len, records))
    return head + b"".join(records)


def encode_opening(time_ns: int, previous_frames: int) -> bytes:
    return encode_frame(OPENING, time_ns, _COUNT.pack(previous_frames))


def decode_frame(content: bytes) -> Frame:
    """The reverse of the three above. Raises ValueError for content that none of them makes."""
    try:
        kind, time_ns = _BODY_HEAD.unpack_from(content)
        at = _BODY_HEAD.size
        if kind == OPENING and len(content) == at + _COUNT.size:
            return Frame(kind, time_ns, [], _COUNT.unpack_from(content, at)[0])
        if kind in (CONTINUES, CLOSED) and len(content) == at:
            return Frame(kind, time_ns, [], 0)
        if kind == RECORDS:
            (count,) = _COUNT.unpack_from(content, at)
            at += _COUNT.size
            lengths = struct.unpack_from(f">{count}I", content, at)
            at += _COUNT.size * count
            records = []
            for length in lengths:
                records.append(content[at : at + length])
                at += length
            if at == len(content):
                return Frame(kind, time_ns, records, 0)
    except struct.error:
        pass
    raise ValueError("a journal frame's content is not in its format")
