"""The audit journal's writer: records go in from any thread, and come back as durable, a batch at a time.

::

    append(record, token)  →  a list  →  the journal's thread: seal, write, fdatasync  →  on_durable(tokens,
    None)

The thread takes whatever has gathered while it was busy, so batches grow with the load and nothing ever
waits for a timer. What stands in the files is in journal_format.py; journal_reader.py reads them.

**In the caller's thread.** To wake a thread, and to hand the interpreter over to it and back, costs more than the
sync of a fast disk. So an event loop may append with ``wake=False`` and call ``flush`` once it has served
what was ready: the batch is written there and then while the disk is ``quick``. While it is not, the thread is woken
then, once for all of them.

**Failures.** A write or sync that fails hands its records back with the error, and closes the journal to new
ones (``healthy`` is False, ``append`` raises): no reply may leave without its record. The segment is
abandoned, since after a failed fsync the kernel may have dropped the pages and a second fsync of the same
file would report success; every second the thread tries to begin a new one, and when that works the journal
is healthy again. A record that was handed back with an error may or may not be in the journal.

**Zeros ahead.** A segment is filled with zeros some way ahead of the writing, because fdatasync of a file
that does not grow has no metadata to write: measured here, 75 µs instead of 135, and half the CPU time. It
also means that a full disk is found before a record needs the room.

Make a journal after forking, never before: it owns a thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from casemate.errors import origin
from casemate.store.journal_format import (
    CLOSED,
    CONTINUES,
    FILE_HEAD,
    FILE_MAGIC,
    FRAME_HEAD,
    FRAME_MAGIC,
    SegmentCipher,
    SegmentName,
    encode_frame,
    encode_opening,
    encode_records,
    run_name,
)

T = TypeVar("T")

_BATCH_RECORDS = 4096
_BATCH_BYTES = 16 * 1024 * 1024
_QUICK_SECONDS = 0.001

log = logging.getLogger(__name__)


class JournalUnavailable(Exception):
    """The journal takes no records: its last write failed, or it was closed."""


class Journal(Generic[T]):
    """One worker's journal. token: whatever the caller wants back with the fate of its record.

    on_durable(tokens, error) is called in the journal's thread with the tokens of a whole batch, in the
    order of their ``append``; error is None when the records are durable. worker: letters, digits, points,
    underscores. segment_bytes: about where one segment ends and the next begins; ahead_bytes: how far zeros
    are written ahead.
    """

    def __init__(
        self,
        directory: Path,
        cipher: SegmentCipher,
        on_durable: Callable[[list[T], BaseException | None], None],
        *,
        worker: str,
        segment_bytes: int = 64 * 1024 * 1024,
        ahead_bytes: int = 256 * 1024,
        retry_seconds: float = 1.0,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._directory = directory
        self._cipher = cipher
        self._on_durable = on_durable
        self._segment_bytes = segment_bytes
        self._ahead_bytes = ahead_bytes
        self._retry_seconds = retry_seconds
        self._now_ns = now_ns
        self._time_ns = now_ns()

        self._pending: list[tuple[bytes, T]] = []
        self._leftovers = threading.Lock()
        self._wake = threading.Lock()
        self._wake.acquire()
        self._writing = threading.Lock()
        """Held by whoever takes a batch and writes it."""
        self._sync_seconds = 0.0
        """How long syncs take: a mean that forgets."""
        self._waiting = False
        """The thread sleeps, or has ended: whoever appends must call ``_nudge``."""
        self._closing = False
        self._ended = False
        self._failure: BaseException | None = None
        self._previous_frames = 0
        """What the next segment says of the one before it."""

        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sequence = 0
        start_us = self._time_ns // 1000
        while True:
            self._run_name = run_name(worker, start_us)
            try:
                self._segment = self._next_segment(0)
                break
            except FileExistsError:  # another process of this name began in the same microsecond
                start_us += 1
                self._time_ns = max(self._time_ns, start_us * 1000)
        self._thread = threading.Thread(target=self._work, name=f"journal-{worker}", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """False after a failed write, until a new segment could be begun; and after ``close``."""
        return self._failure is None and not self._closing

    @property
    def quick(self) -> bool:
        """Whether the disk is so fast that an event loop loses less by waiting for it than by waking a thread."""
        return self._sync_seconds < _QUICK_SECONDS

    def append(self, record: bytes, token: T, wake: bool = True) -> None:
        """Hand a record over. Never blocks. wake: False when the caller will ``flush``. Raises
        JournalUnavailable unless ``healthy``."""
        if self._failure is not None or self._closing:
            raise JournalUnavailable("the audit journal takes no records") from self._failure
        self._pending.append((record, token))
        if self._waiting and wake:
            self._nudge()

    def flush(self, on_durable: Callable[[list[T], BaseException | None], None]) -> None:
        """Write here what was appended, and hand it to this ``on_durable`` in this thread; or leave it to the
        journal's thread, where that is writing just now or the disk is not ``quick``."""
        if self._failure is not None or not self.quick or not self._writing.acquire(blocking=False):
            if self._waiting:
                self._nudge()
            return
        try:
            batch = self._take()
            failure = self._write_batch(batch) if batch else None
        finally:
            self._writing.release()
        try:
            if batch:
                on_durable([token for _, token in batch], failure)
        finally:
            if (failure is not None or self._pending) and self._waiting:
                # It tries to begin anew; or it takes what came from other threads meanwhile.
                self._nudge()

    def close(self) -> None:
        """Write what is left, end the segment, stop the thread. A second call does nothing."""
        self._closing = True
        self._nudge()
        self._thread.join()
        self._hand_back_leftovers()

    def _nudge(self) -> None:
        if self._ended:
            self._hand_back_leftovers()
            return
        self._waiting = False
        # Two callers may both have seen that the thread sleeps; to have woken it twice is as good as once.
        with contextlib.suppress(RuntimeError):
            self._wake.release()

    def _hand_back_leftovers(self) -> None:
        """Records whose ``append`` overlapped with ``close``."""
        with self._leftovers:
            leftovers = self._pending[:]
            del self._pending[: len(leftovers)]
        if leftovers:
            self._hand_back(
                [token for _, token in leftovers], JournalUnavailable("the audit journal is closed")
            )

    # The journal's thread.

    def _work(self) -> None:
        while True:
            if self._pending:
                with self._writing:
                    batch = self._take()
                    failure = self._write_batch(batch) if batch else None
                if batch:
                    self._hand_back([token for _, token in batch], failure)
            elif self._closing:
                break
            else:
                self._sleep()
        with self._writing:
            self._end()

    def _sleep(self) -> None:
        """Until there is something to do. ``append`` looks at ``_waiting`` after it has added to the list,
        and here the list is looked at after ``_waiting`` was set, so one of the two sees the other."""
        self._waiting = True
        if not self._pending and not self._closing:
            if self._failure is None:
                self._wake.acquire()
            elif not self._wake.acquire(timeout=self._retry_seconds):
                self._begin_again()
        self._waiting = False

    # By whoever holds ``_writing``.

    def _take(self) -> list[tuple[bytes, T]]:
        # Only who holds the lock removes, so a slice and a deletion of the same length go together.
        batch = self._pending[:_BATCH_RECORDS]
        del self._pending[: len(batch)]
        return batch

    def _write_batch(self, batch: list[tuple[bytes, T]]) -> BaseException | None:
        """Make a batch durable. Returns why it is not."""
        if self._failure is None:
            try:
                self._write(batch)
            except Exception as error:
                # Also what no disk causes (a record that is not bytes): the thread must live on, and the
                # batch's callers must hear of it.
                self._fail(error)
        failure = self._failure
        if failure is None and self._segment.offset >= self._segment_bytes:
            try:
                self._rotate()
            except Exception as error:
                self._fail(error)
        return failure

    def _write(self, batch: list[tuple[bytes, T]]) -> None:
        records = [record for record, _ in batch]
        if sum(map(len, records)) <= _BATCH_BYTES:
            self._segment.write_frame(encode_records(self._now(), records))
        else:
            for record in records:
                self._segment.write_frame(encode_records(self._now(), [record]))
        begun = time.perf_counter()
        self._segment.sync()
        self._sync_seconds += (time.perf_counter() - begun - self._sync_seconds) / 16

    def _hand_back(self, tokens: list[T], error: BaseException | None) -> None:
        try:
            self._on_durable(tokens, error)
        except Exception as defect:
            log.error("a batch of the audit journal could not be handed back: %s", origin(defect))

    def _now(self) -> int:
        """The time, never going back: a run's frames sort by it."""
        self._time_ns = max(self._time_ns, self._now_ns())
        return self._time_ns

    def _next_segment(self, previous_frames: int) -> _Segment:
        name = SegmentName(self._run_name, self._sequence + 1)
        opening = encode_opening(self._now(), previous_frames)
        segment = _Segment(self._directory, name, self._cipher, opening, self._ahead_bytes)
        self._sequence += 1
        self._previous_frames = 0
        return segment

    def _rotate(self) -> None:
        """The new segment first, so that one that says "continues" always has a next."""
        full = self._segment
        self._segment = self._next_segment(full.durable_frames)
        try:
            full.end(encode_frame(CONTINUES, self._now()))
        finally:
            full.abandon()

    def _fail(self, error: Exception) -> None:
        log.error("the audit journal cannot be written: %s", error)
        self._failure = error
        self._previous_frames = self._segment.durable_frames
        self._segment.abandon()

    def _begin_again(self) -> None:
        try:
            self._segment = self._next_segment(self._previous_frames)
        except FileExistsError:
            # What a failed attempt left behind and could not remove. It holds nothing, so the segment after
            # it does not ask it for frames.
            self._sequence += 1
            self._previous_frames = 0
        except Exception as error:
            self._failure = error
        else:
            self._failure = None
            log.warning("the audit journal can be written again")

    def _end(self) -> None:
        if self._failure is None:
            try:
                self._segment.end(encode_frame(CLOSED, self._now()))
            except Exception as error:
                # Every acknowledged record is durable already; only the mark of a clean end is missing.
                self._fail(error)
        self._ended = True
        self._waiting = True


class _Segment:
    """One segment file being written, by one thread."""

    def __init__(
        self, directory: Path, name: SegmentName, cipher: SegmentCipher, opening: bytes, ahead_bytes: int
    ) -> None:
        header, self._seal = cipher.new_segment(name.file)
        self._ahead = bytes(ahead_bytes)
        self._index = 0
        self.durable_frames = 0
        self.offset = 0
        """Where the next frame goes."""
        self._front = 0
        """Where the file ends."""
        path = directory / name.file
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            self._put(FILE_HEAD.pack(FILE_MAGIC, len(header)) + header + self._sealed(opening))
            os.fsync(self._descriptor)
            _sync_directory(directory)
        except BaseException:
            self.abandon()
            # Nothing in it was acknowledged. Where it cannot be removed, it reads as a segment that holds
            # nothing.
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        self.durable_frames = 1

    def _sealed(self, content: bytes) -> bytes:
        sealed = self._seal(self._index, content)
        head = FRAME_HEAD.pack(FRAME_MAGIC, self._index, len(sealed))
        self._index += 1
        return head + sealed

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._descriptor, rest, self.offset)
            self.offset += written
            rest = rest[written:]
        self._front = max(self._front, self.offset)

    def write_frame(self, content: bytes) -> None:
        """Not durable before ``sync``."""
        frame = self._sealed(content)
        if self._ahead and self.offset + len(frame) > self._front:
            begin = max(self._front, self.offset + len(frame))
            self._front = begin + os.pwrite(self._descriptor, self._ahead, begin)
        self._put(frame)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)
        self.durable_frames = self._index

    def end(self, content: bytes) -> None:
        """The last frame; what is left of the zeros is given back."""
        self._put(self._sealed(content))
        os.ftruncate(self._descriptor, self.offset)
        os.fsync(self._descriptor)
        self.abandon()

    def abandon(self) -> None:
        """Close the file as it is, once."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            # What was acknowledged is durable, so an error of close has nothing to add.
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
