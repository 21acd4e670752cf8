"""Reading the audit journal: all workers' segments, merged by time, and strict about what may be missing.

Only the end of a segment that was not ended (its process was killed, or its disk failed) may be torn: such a
frame was never acknowledged. Everything else that is not as it was written raises JournalTampered: a frame
that does not open while a later one does, a segment missing from the middle of a run, a segment with fewer
frames than its successor says were durable, frames or files swapped or renamed. (What cannot be noticed
stands in journal_format.py.)

Reading takes no lock and may go on while the journal is being written. Segments that were read may be
removed from a run's beginning, up to the one that its last position is in.
"""

from __future__ import annotations

import heapq
import os
import threading
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from casemate.store.journal_format import (
    CLOSED,
    CONTINUES,
    FILE_HEAD,
    FILE_MAGIC,
    FRAME_HEAD,
    FRAME_MAGIC,
    OPENING,
    RECORDS,
    Frame,
    JournalTampered,
    Open,
    Position,
    SegmentCipher,
    SegmentName,
    decode_frame,
    parse_segment_name,
    run_start_ns,
)

Entry = tuple[Position, bytes]

_ATTEMPTS = 3
"""How often a frame that does not open is read again before it counts as altered: its writer may be at it."""


def read_journal(
    directory: Path, cipher: SegmentCipher, *, after: Mapping[str, Position] | None = None
) -> Iterator[Entry]:
    """All records with their positions, merged by time.

    after: the last position seen of each run, by its ``run``; what was seen is left out. A run that is not
    in it is read from its first segment still there. One position alone would not do: while workers write, a
    batch of one may arrive with a time before the last one seen of another.

    Raises JournalTampered where the journal is not as it was written, after all that comes before.
    """
    seen = after or {}
    waiting = sorted(runs_of(directory).items(), key=lambda item: run_start_ns(item[0]), reverse=True)
    heap: list[tuple[Position, bytes, Iterator[Entry]]] = []
    while waiting or heap:
        # A run is opened when its time has come, so that many old runs do not mean many open files.
        while waiting and (not heap or run_start_ns(waiting[-1][0]) <= heap[0][0].time_ns):
            run, sequences = waiting.pop()
            entries = _read_run(directory, cipher, run, sequences, seen.get(run))
            for position, record in entries:
                heapq.heappush(heap, (position, record, entries))
                break
        if heap:
            position, record, entries = heap[0]
            yield position, record
            following = next(entries, None)
            if following is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (*following, entries))


def follow(
    directory: Path,
    cipher: SegmentCipher,
    *,
    stop: threading.Event,
    after: Mapping[str, Position] | None = None,
    poll_seconds: float = 0.2,
) -> Iterator[Entry]:
    """Like ``read_journal``, and goes on with what is written afterwards until ``stop`` is set. Records that
    arrive within one look at the directory are merged by time."""
    seen = dict(after or {})
    while True:
        for position, record in read_journal(directory, cipher, after=seen):
            seen[position.run] = position
            yield position, record
        if stop.wait(poll_seconds):
            return


def runs_of(directory: Path) -> dict[str, list[int]]:
    """The sequence numbers of each run's segments, ascending."""
    runs: dict[str, list[int]] = {}
    for entry in os.scandir(directory):
        name = parse_segment_name(entry.name)
        if name is not None:
            runs.setdefault(name.run, []).append(name.sequence)
    for sequences in runs.values():
        sequences.sort()
    return runs


def _read_run(
    directory: Path, cipher: SegmentCipher, run: str, sequences: list[int], after: Position | None
) -> Iterator[Entry]:
    sequence = after.sequence if after else sequences[0]
    previous: _Ending | None = None
    last_time = 0
    while True:
        name = SegmentName(run, sequence)
        path = directory / name.file
        try:
            # Unbuffered, because a buffer would hold on to what the writer has changed since.
            file = open(path, "rb", buffering=0)  # noqa: SIM115  (closed by the with below)
        except FileNotFoundError:
            goes_on = runs_of(directory).get(run, [0])[-1] > sequence
            if goes_on or previous is None or previous.kind == CONTINUES:
                raise JournalTampered(f"the journal's segment {name.file} is missing") from None
            return
        ending = _Ending()
        with file:
            segment = _SegmentFile(file, name, cipher)
            for offset, index, frame in segment.frames(after, previous):
                ending = _Ending(index + 1, frame.kind)
                if frame.kind != RECORDS:
                    continue
                if frame.time_ns < last_time:
                    raise JournalTampered(f"{name.file}: frame {index} is older than the one before")
                last_time = frame.time_ns
                for number, record in enumerate(frame.records):
                    position = Position(frame.time_ns, run, sequence, index, number, offset)
                    if after is None or position > after:
                        yield position, record
        if ending.kind == CLOSED and sequences[-1] > sequence:
            raise JournalTampered(f"{name.file}: the run goes on after its end")
        if after is not None and ending.frames <= after.frame:
            raise JournalTampered(
                f"{name.file}: frame {after.frame}, which was read before, is no longer there"
            )
        previous, after = ending, None
        sequence += 1


class _Ending(NamedTuple):
    """How far a segment could be read. kind: of its last frame."""

    frames: int = 0
    kind: bytes = b""


class _SegmentFile:
    """One segment file being read."""

    def __init__(self, file: FileIO, name: SegmentName, cipher: SegmentCipher) -> None:
        self._file = file
        self._name = name.file
        self._cipher = cipher

    def _tampered(self, what: str) -> JournalTampered:
        return JournalTampered(f"{self._name}: {what}")

    def frames(self, after: Position | None, previous: _Ending | None) -> Iterator[tuple[int, int, Frame]]:
        """Offset, number and content of each frame, from ``after``'s on. previous: how the run's segment
        before this one ended, where that was read."""
        opened = self._opened()
        if opened is None:
            return
        opener, offset = opened
        opening = self._frame(opener, offset, 0)
        if opening is None:
            if self._found_later(opener, offset, 0):
                raise self._tampered("its opening frame was altered")
            return
        frame, beyond = opening
        if frame.kind != OPENING:
            raise self._tampered("it does not begin with an opening frame")
        if previous is not None and previous.frames < frame.previous_frames:
            raise self._tampered(
                f"{frame.previous_frames} frames of the segment before were durable, {previous.frames} "
                f"are there"
            )
        index = 0
        if after is None or after.frame == 0:
            yield offset, 0, frame
            offset, index = beyond, 1
        else:
            offset, index = after.offset, after.frame
        ended = False
        while (found := self._read(opener, offset, index)) is not None:
            frame, beyond = found
            if ended or frame.kind == OPENING:
                raise self._tampered(f"frame {index} stands after the segment's end")
            ended = frame.kind in (CONTINUES, CLOSED)
            yield offset, index, frame
            offset, index = beyond, index + 1

    def _opened(self) -> tuple[Open, int] | None:
        """The opening of its frames, and where they begin; None for a file that was never finished being
        made."""
        head = self._file.read(FILE_HEAD.size)
        if len(head) < FILE_HEAD.size:
            return None
        magic, length = FILE_HEAD.unpack(head)
        if magic != FILE_MAGIC:
            if not any(head) and not any(self._file.read()):
                return None
            raise self._tampered("it does not begin as a segment does")
        header = self._bytes(length)
        if header is None:
            if FRAME_MAGIC in self._file.read():
                raise self._tampered("the length of its header was altered")
            return None
        try:
            return self._cipher.open_segment(self._name, header), FILE_HEAD.size + length
        except ValueError as error:
            raise self._tampered("its header was altered or belongs to another segment") from error

    def _read(self, opener: Open, offset: int, index: int) -> tuple[Frame, int] | None:
        """The frame and the offset after it, or None at the segment's end, torn or not."""
        for _ in range(_ATTEMPTS):
            found = self._frame(opener, offset, index)
            if found is not None:
                return found
            if not self._found_later(opener, offset, index):
                return None
        raise self._tampered(f"frame {index} was altered")

    def _frame(self, opener: Open, offset: int, index: int) -> tuple[Frame, int] | None:
        self._file.seek(offset)
        head = self._file.read(FRAME_HEAD.size)
        if len(head) < FRAME_HEAD.size:
            return None
        magic, number, length = FRAME_HEAD.unpack(head)
        if magic != FRAME_MAGIC or number != index:
            return None
        sealed = self._bytes(length)
        if sealed is None:
            return None
        try:
            content = opener(index, sealed)
        except ValueError:
            return None
        try:
            return decode_frame(content), offset + FRAME_HEAD.size + length
        except ValueError as error:
            raise self._tampered(f"frame {index} is not in the journal's format") from error

    def _bytes(self, length: int) -> bytes | None:
        """What follows in the file, or None where it is shorter (a torn length may be anything)."""
        if self._file.tell() + length > os.fstat(self._file.fileno()).st_size:
            return None
        return self._file.read(length)

    def _found_later(self, opener: Open, offset: int, index: int) -> bool:
        """Whether a later frame still opens somewhere behind ``offset``: then the one that does not open was
        not the last, and no crash has torn it."""
        self._file.seek(offset)
        rest = self._file.read()
        at = rest.find(FRAME_MAGIC)
        while at >= 0:
            if at + FRAME_HEAD.size <= len(rest):
                _, number, length = FRAME_HEAD.unpack_from(rest, at)
                begin = at + FRAME_HEAD.size
                if number > index and begin + length <= len(rest):
                    try:
                        opener(number, rest[begin : begin + length])
                    except ValueError:
                        pass
                    else:
                        return True
            at = rest.find(FRAME_MAGIC, at + 1)
        return False
