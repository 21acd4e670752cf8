"""Reading the audit journal: what a crash may leave is taken, everything else that was changed is refused."""

from __future__ import annotations

import itertools
import shutil
import struct
import threading
import time
from pathlib import Path

import pytest
from journal_load import cipher

from casemate.engine.envelope.hierarchy import RootKey
from casemate.server.journal_cipher import JournalCipher
from casemate.store.journal import Journal
from casemate.store.journal_format import (
    CLOSED,
    FILE_HEAD,
    FRAME_HEAD,
    RECORDS,
    JournalTampered,
    Position,
    decode_frame,
    encode_frame,
    encode_opening,
    encode_records,
    parse_segment_name,
)
from casemate.store.journal_reader import follow, read_journal

NOTHING_AHEAD = 0


class Writer:
    """A journal that is written one batch at a time."""

    def __init__(self, directory: Path, worker: str = "w0", segment_bytes: int = 1 << 20) -> None:
        self._back = threading.Semaphore(0)
        self._journal = Journal[int](
            directory,
            cipher(),
            lambda tokens, error: self._back.release(),
            worker=worker,
            segment_bytes=segment_bytes,
            ahead_bytes=NOTHING_AHEAD,
        )

    def batch(self, record: bytes) -> None:
        self._journal.append(record, 0)
        assert self._back.acquire(timeout=60)

    def close(self) -> None:
        self._journal.close()


def written(directory: Path, batches: int, segment_bytes: int = 1 << 20, worker: str = "w0") -> list[Path]:
    """A closed run's files."""
    writer = Writer(directory, worker, segment_bytes)
    for number in range(batches):
        writer.batch(b"%s %d" % (worker.encode(), number))
    writer.close()
    return sorted(directory.iterdir())


def read(directory: Path) -> list[bytes]:
    return [record for _, record in read_journal(directory, cipher())]


def frame_offsets(file: Path) -> list[int]:
    """Where each frame begins, and where the last one ends."""
    data = file.read_bytes()
    at = FILE_HEAD.size + FILE_HEAD.unpack_from(data)[1]
    offsets = [at]
    while at + FRAME_HEAD.size <= len(data) and data[at : at + 4] == b"CMjf":
        at += FRAME_HEAD.size + FRAME_HEAD.unpack_from(data, at)[2]
        offsets.append(at)
    return offsets


def cut_last_frame(file: Path) -> None:
    """As when the process was killed before it wrote its closing frame."""
    with file.open("r+b") as f:
        f.truncate(frame_offsets(file)[-2])


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def test_runs_are_merged_by_time(tmp_path: Path) -> None:
    writers = [Writer(tmp_path, f"w{number}", segment_bytes=200) for number in range(3)]
    expected = []
    for turn, writer in zip(range(30), itertools.cycle(writers), strict=False):
        expected.append(b"%d" % turn)
        writer.batch(expected[-1])
    for writer in writers:
        writer.close()
    assert read(tmp_path) == expected
    late = Writer(tmp_path, "w0")
    late.batch(b"later")
    late.close()
    assert read(tmp_path) == [*expected, b"later"]


def test_each_run_is_taken_up_where_it_was_left(tmp_path: Path) -> None:
    writers = [Writer(tmp_path, f"w{number}", segment_bytes=300) for number in range(2)]
    for number in range(10):
        writers[number % 2].batch(b"%d" % number)
    seen = {position.run: position for position, _ in read_journal(tmp_path, cipher())}
    assert list(read_journal(tmp_path, cipher(), after=seen)) == []
    for number in range(10, 20):
        writers[number % 2].batch(b"%d" % number)
    rest = [record for _, record in read_journal(tmp_path, cipher(), after=seen)]
    assert rest == [b"%d" % number for number in range(10, 20)]
    for writer in writers:
        writer.close()


def test_an_empty_directory_and_other_files_are_no_journal(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("?")
    (tmp_path / "123-w-1.journal").write_text("?")
    assert read(tmp_path) == []


def test_many_runs_need_few_open_files(tmp_path: Path) -> None:
    for number in range(30):
        written(tmp_path, 1, worker=f"w{number}")
    entries = read_journal(tmp_path, cipher())
    next(entries)
    targets = [target for target in Path("/proc/self/fd").iterdir() if str(tmp_path) in str(target.resolve())]
    assert len(targets) <= 2
    assert len(list(entries)) == 29


def test_a_torn_tail_is_taken_at_every_cut(tmp_path: Path) -> None:
    (file,) = written(tmp_path, 3)
    whole = file.read_bytes()
    offsets = frame_offsets(file)
    assert len(offsets) == 6, "opening, three batches, closing, the end"
    for cut in range(len(whole)):
        file.write_bytes(whole[:cut])
        complete = sum(1 for end in offsets[2:5] if end <= cut)
        assert read(tmp_path) == [b"w0 %d" % number for number in range(complete)], f"cut at {cut}"


@pytest.mark.parametrize(
    "tail", [bytes(5000), b"CMjf", b"\xff" * 3000, b"CMjf\0\0\0\3\xff\xff\xff\xffabc", b"CMjf" * 9]
)
def test_a_tail_of_zeros_or_of_noise_is_taken(tmp_path: Path, tail: bytes) -> None:
    (file,) = written(tmp_path, 2)
    cut_last_frame(file)
    file.write_bytes(file.read_bytes() + tail)
    assert read(tmp_path) == [b"w0 0", b"w0 1"]


def test_a_tail_torn_in_its_middle_is_taken(tmp_path: Path) -> None:
    """A block of the last write is missing although those behind it are there."""
    writer = Writer(tmp_path)
    writer.batch(b"first")
    writer.batch(b"x" * 20_000)
    writer.close()
    (file,) = tmp_path.iterdir()
    cut_last_frame(file)
    whole = file.read_bytes()
    for begin in range(frame_offsets(file)[2], len(whole) - 100, 1500):
        file.write_bytes(whole[:begin] + bytes(100) + whole[begin + 100 :])
        assert read(tmp_path) == [b"first"]


def test_a_changed_byte_before_the_last_frame_is_refused(tmp_path: Path) -> None:
    (file,) = written(tmp_path, 3)
    offsets = frame_offsets(file)
    whole = file.read_bytes()
    for at in range(offsets[-2]):
        flip(file, at)
        with pytest.raises(JournalTampered):
            read(tmp_path)
        file.write_bytes(whole)
    assert len(read(tmp_path)) == 3


def test_what_comes_before_a_changed_frame_is_read(tmp_path: Path) -> None:
    (file,) = written(tmp_path, 3)
    flip(file, frame_offsets(file)[3] - 1)
    entries = read_journal(tmp_path, cipher())
    assert next(entries)[1] == b"w0 0"
    with pytest.raises(JournalTampered, match="frame 2 was altered"):
        next(entries)


def test_frames_that_were_swapped_repeated_or_taken_out_are_refused(tmp_path: Path) -> None:
    (file,) = written(tmp_path, 3)
    whole = file.read_bytes()
    cuts = frame_offsets(file)
    head, frames = whole[: cuts[0]], [whole[a:b] for a, b in itertools.pairwise(cuts)]
    for order in ([0, 2, 1, 3, 4], [0, 1, 3, 4], [0, 1, 1, 2, 3, 4], [1, 2, 3, 4], [0, 4], [1, 0, 2, 3, 4]):
        file.write_bytes(head + b"".join(frames[number] for number in order))
        with pytest.raises(JournalTampered):
            read(tmp_path)


def test_a_missing_segment_is_refused(tmp_path: Path) -> None:
    files = written(tmp_path, 4, segment_bytes=1)
    assert len(files) == 5
    for number in (1, 2, 3, 4):
        away = files[number].rename(tmp_path / "away")
        with pytest.raises(JournalTampered, match=f"{files[number].name} is missing"):
            read(tmp_path)
        away.rename(files[number])
    files[0].unlink()
    assert len(read(tmp_path)) == 3, "old segments may be removed from a run's beginning"


def test_a_missing_segment_is_refused_by_one_who_has_read_before_it(tmp_path: Path) -> None:
    files = written(tmp_path, 2, segment_bytes=1)
    position, _ = next(read_journal(tmp_path, cipher()))
    files[0].unlink()
    with pytest.raises(JournalTampered, match="is missing"):
        list(read_journal(tmp_path, cipher(), after={position.run: position}))


def test_frames_cut_off_a_segment_that_has_a_successor_are_noticed(tmp_path: Path) -> None:
    files = written(tmp_path, 2, segment_bytes=1)
    cut_last_frame(files[0])
    assert len(read(tmp_path)) == 2, "the mark of the end alone may be lost in a crash"
    cut_last_frame(files[0])
    with pytest.raises(JournalTampered, match="2 frames of the segment before were durable, 1 are there"):
        read(tmp_path)


def test_frames_cut_off_before_a_position_that_was_read_are_noticed(tmp_path: Path) -> None:
    (file,) = written(tmp_path, 2)
    seen = {position.run: position for position, _ in read_journal(tmp_path, cipher())}
    cut_last_frame(file)
    assert list(read_journal(tmp_path, cipher(), after=seen)) == []
    cut_last_frame(file)
    with pytest.raises(JournalTampered, match="frame 2, which was read before, is no longer there"):
        list(read_journal(tmp_path, cipher(), after=seen))


def test_a_run_that_goes_on_after_its_end_is_refused(tmp_path: Path) -> None:
    (file,) = written(tmp_path, 1)
    shutil.copy(file, str(file).replace("-000001.", "-000002."))
    with pytest.raises(JournalTampered, match="goes on after its end"):
        read(tmp_path)


def test_files_that_were_swapped_or_renamed_are_refused(tmp_path: Path) -> None:
    one, other = written(tmp_path, 3, segment_bytes=250)[:2]
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])
    with pytest.raises(JournalTampered, match="belongs to another segment"):
        read(tmp_path)
    for file in tmp_path.iterdir():
        file.unlink()
    (file,) = written(tmp_path, 1)
    file.rename(str(file).replace("-w0-", "-w1-"))
    with pytest.raises(JournalTampered, match="belongs to another segment"):
        read(tmp_path)


def test_another_root_key_reads_nothing(tmp_path: Path) -> None:
    written(tmp_path, 1)
    with pytest.raises(JournalTampered):
        list(read_journal(tmp_path, JournalCipher(RootKey.generate())))


def test_a_file_of_another_kind_under_a_segments_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"{1:016d}-w0-000001.journal").write_bytes(b"this is no journal at all")
    with pytest.raises(JournalTampered, match="does not begin as a segment does"):
        read(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"CMJ", bytes(4000), struct.pack(">8sI", b"CMJRNL\0\1", 77) + b"x" * 76]
)
def test_a_segment_that_was_never_finished_being_made_holds_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{1:016d}-w0-000001.journal").write_bytes(content)
    assert read(tmp_path) == []


def crafted(directory: Path, contents: list[bytes]) -> None:
    """A segment whose frames are well sealed, by one who has the key but not the format."""
    name = f"{1:016d}-w0-000001.journal"
    header, seal = cipher().new_segment(name)
    data = FILE_HEAD.pack(b"CMJRNL\0\1", len(header)) + header
    for index, content in enumerate(contents):
        sealed = seal(index, content)
        data += FRAME_HEAD.pack(b"CMjf", index, len(sealed)) + sealed
    (directory / name).write_bytes(data)


@pytest.mark.parametrize(
    ("contents", "text"),
    [
        ([encode_records(1, [b"x"])], "does not begin with an opening frame"),
        ([encode_opening(1, 0), encode_opening(1, 0)], "frame 1 stands after the segment's end"),
        ([encode_opening(1, 0), encode_frame(CLOSED, 1), encode_records(1, [])], "frame 2 stands after"),
        ([encode_opening(1, 0), b"nonsense"], "frame 1 is not in the journal's format"),
        (
            [encode_opening(1, 0), encode_records(9, [b"x"]), encode_records(8, [b"x"])],
            "older than the one before",
        ),
    ],
)
def test_a_well_sealed_segment_that_no_journal_writes_is_refused(
    tmp_path: Path, contents: list[bytes], text: str
) -> None:
    crafted(tmp_path, contents)
    with pytest.raises(JournalTampered, match=text):
        read(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"R",
        encode_records(1, [b"abc"])[:-1],
        encode_records(1, [b"abc"]) + b"d",
        encode_frame(RECORDS, 1, b"\xff\xff\xff\xff"),
        encode_frame(CLOSED, 1, b"x"),
        encode_opening(1, 1)[:-1],
        encode_frame(b"X", 1),
    ],
)
def test_a_frame_in_no_format_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not in its format"):
        decode_frame(content)


def test_a_workers_name_may_look_like_a_sequence_number() -> None:
    name = parse_segment_name("1763933650123456-w-000001-000002.journal")
    assert name is not None
    assert (name.run, name.sequence) == ("1763933650123456-w-000001", 2)
    assert name.file == "1763933650123456-w-000001-000002.journal"


def test_following_sees_what_is_written_meanwhile_once_each(tmp_path: Path) -> None:
    writer = Writer(tmp_path, segment_bytes=400)
    writer.batch(b"0")
    stop = threading.Event()
    seen: list[bytes] = []

    def write() -> None:
        for number in range(1, 40):
            writer.batch(b"%d" % number)
            if number == 20:
                time.sleep(0.05)
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    for _, record in follow(tmp_path, cipher(), stop=stop, poll_seconds=0.005):
        seen.append(record)
        if record == b"39":
            stop.set()
    thread.join()
    assert seen == [b"%d" % number for number in range(40)]


def test_following_can_begin_after_a_position(tmp_path: Path) -> None:
    written(tmp_path, 5)
    positions = [position for position, _ in read_journal(tmp_path, cipher())]
    stop = threading.Event()
    stop.set()
    after: dict[str, Position] = {positions[2].run: positions[2]}
    rest = [record for _, record in follow(tmp_path, cipher(), stop=stop, after=after)]
    assert rest == [b"w0 3", b"w0 4"]


def test_reading_while_it_is_written_never_looks_like_tampering(tmp_path: Path) -> None:
    """The reader meets half-written frames and rotations all the time."""
    back = threading.Semaphore(0)
    journal = Journal[int](
        tmp_path,
        cipher(),
        lambda tokens, error: back.release(len(tokens)),
        worker="w0",
        segment_bytes=30_000,
        ahead_bytes=4096,
    )
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            journal.append(b"%d" % number + b"x" * 3000, number)
            number += 1
            back.acquire()

    thread = threading.Thread(target=write)
    thread.start()
    counts = []
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        records = read(tmp_path)
        counts.append(len(records))
        assert [int(record.split(b"x")[0]) for record in records] == list(range(len(records)))
    stop.set()
    thread.join()
    journal.close()
    assert counts == sorted(counts), "never fewer than before"
    assert len(read(tmp_path)) >= counts[-1] > 0
