"""The audit journal's writer: what comes back durable can be read, and failures close it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_load import cipher

from casemate.store.journal import Journal, JournalUnavailable
from casemate.store.journal_format import Position
from casemate.store.journal_reader import read_journal

LOAD = Path(__file__).with_name("journal_load.py")


class Outcomes:
    """What came back from a journal, in order."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[str], BaseException | None]] = []
        self._arrived = threading.Condition()

    def __call__(self, tokens: list[str], error: BaseException | None) -> None:
        with self._arrived:
            self.batches.append((tokens, error))
            self._arrived.notify_all()

    @property
    def tokens(self) -> list[str]:
        return [token for tokens, _ in self.batches for token in tokens]

    def wait(self, count: int) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.tokens) >= count, 60), (
                "the records did not come back"
            )


def records(directory: Path) -> list[bytes]:
    return [record for _, record in read_journal(directory, cipher())]


def run(*arguments: str) -> str:
    """journal_load.py's output."""
    done = subprocess.run(
        [sys.executable, str(LOAD), *arguments], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_comes_back_durable_is_there_in_order(tmp_path: Path) -> None:
    outcomes = Outcomes()
    journal = Journal(tmp_path, cipher(), outcomes, worker="w0")
    for number in range(1000):
        journal.append(b"record %d" % number, str(number))
    outcomes.wait(1000)
    assert outcomes.tokens == [str(number) for number in range(1000)]
    assert all(error is None for _, error in outcomes.batches)
    assert records(tmp_path) == [b"record %d" % number for number in range(1000)], "readable while it is open"
    journal.close()
    assert records(tmp_path) == [b"record %d" % number for number in range(1000)]


@pytest.mark.parametrize("sync_seconds", [0.0, 60.0])
def test_what_is_flushed_is_one_batch_here_or_for_the_thread(tmp_path: Path, sync_seconds: float) -> None:
    here, there = Outcomes(), Outcomes()
    journal = Journal(tmp_path, cipher(), there, worker="w0")
    while not journal._waiting:
        os.sched_yield()
    journal._sync_seconds = sync_seconds
    assert journal.quick == (sync_seconds == 0.0)
    numbers = [str(number) for number in range(20)]
    for number in numbers:
        journal.append(number.encode(), number, wake=False)
    journal.flush(here)
    there.wait(20 if sync_seconds else 0)
    journal.close()
    assert (here if sync_seconds == 0.0 else there).batches == [(numbers, None)]
    assert (there if sync_seconds == 0.0 else here).batches == []
    assert records(tmp_path) == [number.encode() for number in numbers]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    written=st.lists(st.binary(max_size=300), max_size=60),
    segment_bytes=st.sampled_from([1, 500, 4000, 1 << 20]),
    ahead_bytes=st.sampled_from([0, 1, 300, 1 << 16]),
    pauses=st.sets(st.integers(0, 59)),
)
def test_whatever_is_appended_is_read_back_from_any_position(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[bytes],
    segment_bytes: int,
    ahead_bytes: int,
    pauses: set[int],
) -> None:
    directory = tmp_path_factory.mktemp("journal")
    outcomes = Outcomes()
    journal = Journal(
        directory, cipher(), outcomes, worker="w", segment_bytes=segment_bytes, ahead_bytes=ahead_bytes
    )
    for number, record in enumerate(written):
        journal.append(record, str(number))
        if number in pauses:
            outcomes.wait(number + 1)
    journal.close()
    assert outcomes.tokens == [str(number) for number in range(len(written))]
    entries = list(read_journal(directory, cipher()))
    assert [record for _, record in entries] == written
    positions = [position for position, _ in entries]
    assert positions == sorted(positions)
    assert len(set(positions)) == len(positions)
    for number, position in enumerate(positions):
        rest = [record for _, record in read_journal(directory, cipher(), after={position.run: position})]
        assert rest == written[number + 1 :], f"after {position}"


def test_records_of_many_threads_all_come_back_in_each_threads_order(tmp_path: Path) -> None:
    outcomes = Outcomes()
    journal = Journal(tmp_path, cipher(), outcomes, worker="w0", segment_bytes=50_000)

    def append(thread: int) -> None:
        for number in range(500):
            journal.append(b"%d %d" % (thread, number), f"{thread} {number}")
            if number % 20 == 0:
                time.sleep(0)

    threads = [threading.Thread(target=append, args=(thread,)) for thread in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    read = [record.decode() for record in records(tmp_path)]
    assert read == outcomes.tokens, "written in the order in which they came back"
    for thread_number in range(6):
        own = [token for token in read if token.startswith(f"{thread_number} ")]
        assert own == [f"{thread_number} {number}" for number in range(500)]


def test_nothing_comes_back_before_it_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    write, sync = os.pwrite, os.fdatasync

    def spy_write(descriptor: int, data: Any, offset: int) -> int:
        steps.append("zeros" if not any(bytes(data)) else "write")
        return write(descriptor, data, offset)

    def spy_sync(descriptor: int) -> None:
        sync(descriptor)
        steps.append("sync")

    back = threading.Semaphore(0)

    def durable(tokens: list[str], error: BaseException | None) -> None:
        steps.extend(tokens)
        back.release()

    journal = Journal(tmp_path, cipher(), durable, worker="w0", ahead_bytes=1000)
    monkeypatch.setattr(os, "pwrite", spy_write)
    monkeypatch.setattr(os, "fdatasync", spy_sync)
    for token in ("one", "two"):
        journal.append(b"x", token)
        assert back.acquire(timeout=60)
    monkeypatch.undo()
    journal.close()
    assert steps == ["zeros", "write", "sync", "one", "write", "sync", "two"]


def test_batches_grow_with_the_load(tmp_path: Path) -> None:
    """While one sync is held up, everything that arrives becomes the next batch."""
    outcomes = Outcomes()
    release = threading.Event()
    first = threading.Event()

    def durable(tokens: list[str], error: BaseException | None) -> None:
        outcomes(tokens, error)
        first.set()
        release.wait(30)

    journal = Journal(tmp_path, cipher(), durable, worker="w0")
    journal.append(b"first", "first")
    assert first.wait(30)
    for number in range(500):
        journal.append(b"x", str(number))
    release.set()
    journal.close()
    assert [len(tokens) for tokens, _ in outcomes.batches] == [1, 500]


def test_a_very_large_record_and_a_very_large_batch_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("casemate.store.journal._BATCH_BYTES", 100_000)
    outcomes = Outcomes()
    journal = Journal(tmp_path, cipher(), outcomes, worker="w0")
    written = [bytes([65 + number]) * 70_000 for number in range(8)] + [b"z" * 3_000_000]
    for number, record in enumerate(written):
        journal.append(record, str(number))
    journal.close()
    assert records(tmp_path) == written


def test_files_are_their_owners_alone_and_hold_no_plaintext(tmp_path: Path) -> None:
    outcomes = Outcomes()
    journal = Journal(tmp_path / "a" / "journal", cipher(), outcomes, worker="w0", segment_bytes=1)
    for number in range(3):
        journal.append(b'{"eventName":"Encrypt"}', str(number))
        outcomes.wait(number + 1)
    journal.close()
    assert (tmp_path / "a" / "journal").stat().st_mode & 0o777 == 0o700
    files = sorted((tmp_path / "a" / "journal").iterdir())
    assert len(files) == 4, "a segment for each batch, and the one begun last"
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        assert b"eventName" not in file.read_bytes()


def test_an_ended_segment_has_no_zeros_left(tmp_path: Path) -> None:
    outcomes = Outcomes()
    journal = Journal(tmp_path, cipher(), outcomes, worker="w0", ahead_bytes=100_000)
    journal.append(b"x", "x")
    outcomes.wait(1)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size > 100_000
    journal.close()
    assert file.stat().st_size < 400


def test_two_journals_of_one_name_begun_at_one_time_get_files_of_their_own(tmp_path: Path) -> None:
    outcomes = Outcomes()
    now = time.time_ns()
    both = [Journal(tmp_path, cipher(), outcomes, worker="w-0", now_ns=lambda: now) for _ in range(2)]
    for number, journal in enumerate(both):
        journal.append(b"%d" % number, str(number))
    for journal in both:
        journal.close()
    assert sorted(records(tmp_path)) == [b"0", b"1"]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("worker", ["", "../x", "a b", "a/b", "a" * 65])
def test_a_workers_name_that_no_file_can_carry_is_refused(tmp_path: Path, worker: str) -> None:
    with pytest.raises(ValueError, match="worker's name"):
        Journal(tmp_path, cipher(), Outcomes(), worker=worker)


def test_a_closed_journal_takes_nothing_and_closes_once(tmp_path: Path) -> None:
    outcomes = Outcomes()
    journal = Journal(tmp_path, cipher(), outcomes, worker="w0")
    journal.append(b"x", "x")
    journal.close()
    journal.close()
    assert not journal.healthy
    with pytest.raises(JournalUnavailable):
        journal.append(b"y", "y")
    assert outcomes.batches == [(["x"], None)], "what was appended before is durable"


def test_every_record_is_handed_back_when_close_overlaps_with_append(tmp_path: Path) -> None:
    for attempt in range(10):
        outcomes = Outcomes()
        journal = Journal(tmp_path / str(attempt), cipher(), outcomes, worker="w0")
        accepted: list[str] = []

        def append(journal: Journal[str] = journal, accepted: list[str] = accepted) -> None:
            number = 0
            while True:
                try:
                    journal.append(b"x", str(number))
                except JournalUnavailable:
                    return
                accepted.append(str(number))
                number += 1

        thread = threading.Thread(target=append)
        thread.start()
        time.sleep(0.002)
        journal.close()
        thread.join()
        assert sorted(outcomes.tokens) == sorted(accepted), "each comes back once, durable or refused"


def fail(patch: pytest.MonkeyPatch, where: object, name: str, code: int, times: int = 1) -> None:
    """Let a system call fail so many times, then succeed."""
    real = getattr(where, name)
    left = [times]

    def call(*arguments: Any, **named: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OSError(code, os.strerror(code))
        return real(*arguments, **named)

    patch.setattr(where, name, call)


def wait_until_healthy(journal: Journal[str]) -> None:
    deadline = time.monotonic() + 30
    while not journal.healthy:
        assert time.monotonic() < deadline, "the journal did not recover"
        time.sleep(0.01)


def test_a_failed_sync_hands_back_the_error_and_closes_the_journal_until_a_new_segment_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = Outcomes()
    journal = Journal(tmp_path, cipher(), outcomes, worker="w0", retry_seconds=0.05)
    journal.append(b"good", "good")
    outcomes.wait(1)
    fail(monkeypatch, os, "fdatasync", errno.EIO)
    fail(monkeypatch, os, "fsync", errno.EIO, times=10_000)
    journal.append(b"lost", "lost")
    outcomes.wait(2)
    tokens, error = outcomes.batches[-1]
    assert tokens == ["lost"]
    assert isinstance(error, OSError)
    assert error.errno == errno.EIO
    assert not journal.healthy
    with pytest.raises(JournalUnavailable) as refusal:
        journal.append(b"refused", "refused")
    assert isinstance(refusal.value.__cause__, OSError), "the reason is told"
    time.sleep(0.2)
    assert not journal.healthy, "a segment that cannot be synced is none"
    monkeypatch.undo()
    wait_until_healthy(journal)
    journal.append(b"good again", "good again")
    journal.close()
    assert outcomes.batches[-1] == (["good again"], None)
    assert len(list(tmp_path.iterdir())) == 2, (
        "the abandoned segment and the new one; failed attempts are removed"
    )
    assert [record for record in records(tmp_path) if record != b"lost"] == [b"good", b"good again"]


def test_what_a_failed_attempt_leaves_behind_does_not_stop_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = Outcomes()
    journal = Journal(tmp_path, cipher(), outcomes, worker="w0", retry_seconds=0.02)
    journal.append(b"good", "good")
    outcomes.wait(1)
    fail(monkeypatch, os, "fdatasync", errno.EIO)
    fail(monkeypatch, os, "fsync", errno.EIO)
    fail(monkeypatch, Path, "unlink", errno.EIO)
    journal.append(b"lost", "lost")
    outcomes.wait(2)
    wait_until_healthy(journal)
    monkeypatch.undo()
    journal.append(b"good again", "good again")
    journal.close()
    assert len(list(tmp_path.iterdir())) == 3
    assert [record for record in records(tmp_path) if record != b"lost"] == [b"good", b"good again"]


@pytest.mark.parametrize("call", ["open", "fsync", "ftruncate"])
def test_a_segment_that_cannot_be_ended_or_begun_closes_the_journal_after_its_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    outcomes = Outcomes()
    journal = Journal(tmp_path, cipher(), outcomes, worker="w0", segment_bytes=1, retry_seconds=0.02)
    handed_back: list[tuple[list[str], BaseException | None]] = outcomes.batches
    fail(monkeypatch, os, call, errno.ENOSPC)
    journal.append(b"one", "one")
    outcomes.wait(1)
    assert handed_back == [(["one"], None)], "the batch itself is durable"
    deadline = time.monotonic() + 30
    while f"{errno.ENOSPC}" not in caplog.text:
        assert time.monotonic() < deadline, "the failure was not noticed"
        time.sleep(0.01)
    wait_until_healthy(journal)
    journal.append(b"two", "two")
    journal.close()
    assert handed_back[-1] == (["two"], None)
    assert records(tmp_path) == [b"one", b"two"]


def test_a_start_in_a_place_that_cannot_be_written_fails_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"exists|directory"):
        Journal(tmp_path / "file", cipher(), Outcomes(), worker="w0")


def test_a_record_that_is_not_bytes_comes_back_with_the_error(tmp_path: Path) -> None:
    outcomes = Outcomes()
    journal = Journal(tmp_path, cipher(), outcomes, worker="w0", retry_seconds=0.02)
    journal.append("text", "text")  # type: ignore[arg-type]
    outcomes.wait(1)
    assert isinstance(outcomes.batches[0][1], TypeError)
    journal.close()


def test_a_callers_error_does_not_stop_the_journal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outcomes = Outcomes()

    def durable(tokens: list[str], error: BaseException | None) -> None:
        outcomes(tokens, error)
        if tokens == ["one"]:
            raise RuntimeError("the loop is closed")

    journal = Journal(tmp_path, cipher(), durable, worker="w0")
    journal.append(b"one", "one")
    outcomes.wait(1)
    journal.append(b"two", "two")
    journal.close()
    assert outcomes.tokens == ["one", "two"]
    assert "could not be handed back" in caplog.text


def test_a_clock_set_back_does_not_disorder_a_run(tmp_path: Path) -> None:
    times = iter([2_000_000_000_000_000_000, 2_000_000_000_000_000_000])
    outcomes = Outcomes()
    journal = Journal(
        tmp_path, cipher(), outcomes, worker="w0", now_ns=lambda: next(times, 1_000_000_000_000_000_000)
    )
    for number in range(5):
        journal.append(b"%d" % number, str(number))
        outcomes.wait(number + 1)
    journal.close()
    assert records(tmp_path) == [b"0", b"1", b"2", b"3", b"4"]


def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    """Twenty times in the middle of load, with small segments, so that rotations are hit too."""
    acknowledged: list[str] = json.loads(run("crash", str(tmp_path), "20"))
    assert len({name.split(".")[0] for name in acknowledged}) == 20, "each round had acknowledged something"
    entries: list[tuple[Position, bytes]] = list(read_journal(tmp_path, cipher()))
    read = [json.loads(record)["name"] for _, record in entries]
    assert len(read) == len(set(read)), "exactly once"
    missing = set(acknowledged) - set(read)
    assert not missing, f"{len(missing)} acknowledged records are lost"
    for thread in {name.rsplit(".", 1)[0] for name in read}:
        numbers = [int(name.rsplit(".", 1)[1]) for name in read if name.rsplit(".", 1)[0] == thread]
        assert numbers == list(range(len(numbers))), f"thread {thread}: in order, without a gap"


def test_a_full_disk_closes_the_journal_until_there_is_room(tmp_path: Path) -> None:
    result = json.loads(run("limit", str(tmp_path)))
    outcomes = dict(result["outcomes"])
    good = [token for token, error in outcomes.items() if error is None]
    bad = [token for token, error in outcomes.items() if error is not None]
    assert 5 < len(good) < 30
    assert len(bad) == 1, "the record that met the limit comes back with the error"
    assert outcomes[bad[0]] == "OSError"
    assert result["refused"], "and the next is refused at once"
    assert result["still unhealthy"]
    assert good[-1] == "after"
    read = records(tmp_path)
    assert read[: len(good) - 1] == [b"x" * 1000] * (len(good) - 1)
    assert read[-1] == b"y" * 1000
    assert len(good) <= len(read) <= len(good) + 1
