"""Jobs: due, leased, fenced, repeated, retried."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from store_support import HandClock, names, opened, put, stored

from casemate.clock import SystemClock
from casemate.store.database import Store, Tx
from casemate.store.jobs import ELSEWHERE, LEASE, Handler, Job, Jobs, LeaseLost, cancel, schedule

DAY = 86_400.0


class Bench:
    """A store, a clock that is moved by hand, and what ran."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = HandClock()
        self.ran: list[Job] = []

    def schedule(self, kind: str = "k", after: float = 10.0, payload: Any = None, **options: Any) -> str:
        due = self.clock.now() + after
        return self.store.write(lambda tx: schedule(tx, kind, due, payload or {}, **options))

    def worker(self, **handlers: Handler) -> Jobs:
        return Jobs(self.store, self.clock, handlers or {"k": self.ran.append})

    def left(self) -> int:
        row = self.store.read(lambda tx: tx.one("SELECT COUNT(*) FROM store_jobs"))
        assert row is not None
        return int(row[0])


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with opened(database) as store:
        yield store


@pytest.fixture
def bench(store: Store) -> Bench:
    return Bench(store)


def test_a_job_runs_when_it_is_due_and_once(bench: Bench) -> None:
    name = bench.schedule(payload={"key": "é", "n": [1, None]})
    jobs = bench.worker()
    assert jobs.next_due() == bench.clock.now() + 10
    assert jobs.run_due() == 0
    bench.clock.time += 9.999
    assert jobs.run_due() == 0
    bench.clock.time += 0.001
    assert jobs.run_due() == 1
    assert jobs.run_due() == 0
    assert [(job.id, job.kind, job.payload) for job in bench.ran] == [
        (name, "k", {"key": "é", "n": [1, None]})
    ]
    assert bench.left() == 0
    assert jobs.next_due() is None


def test_the_longest_due_runs_first_and_limit_bounds(bench: Bench) -> None:
    for after in (3, 1, 2):
        bench.schedule(after=after, payload={"after": after})
    bench.clock.time += 5
    jobs = bench.worker()
    assert jobs.run_due(limit=2) == 2
    assert [job.payload["after"] for job in bench.ran] == [1, 2]
    assert jobs.run_due() == 1


def test_a_job_is_scheduled_with_its_transaction_or_not_at_all(bench: Bench) -> None:
    def change(tx: Tx) -> None:
        schedule(tx, "k", 0, {})
        raise KeyError

    with pytest.raises(KeyError):
        bench.store.write(change)
    assert bench.left() == 0


def test_scheduling_an_id_again_replaces_it(bench: Bench) -> None:
    assert bench.schedule(after=1, id="the-key", payload={"v": 1}) == "the-key"
    bench.schedule(after=5, id="the-key", payload={"v": 2}, every=7)
    assert bench.left() == 1
    jobs = bench.worker()
    bench.clock.time += 2
    assert jobs.run_due() == 0
    bench.clock.time += 3
    assert jobs.run_due() == 1
    assert (bench.ran[0].payload, bench.ran[0].every) == ({"v": 2}, 7)


def test_a_cancelled_job_does_not_run(bench: Bench) -> None:
    name = bench.schedule(after=0)
    assert bench.store.write(lambda tx: cancel(tx, name)) is True
    assert bench.store.write(lambda tx: cancel(tx, name)) is False
    assert bench.worker().run_due() == 0


def test_a_repeated_job_keeps_its_beat_and_runs_missed_occasions_as_one(bench: Bench) -> None:
    start = bench.clock.now()
    bench.schedule(after=10, every=60)
    jobs = bench.worker()
    for moved, due in ((10, 70), (75, 130), (130 + 60 * 1000 + 1, 130 + 60 * 1001)):
        bench.clock.time = start + moved
        assert jobs.run_due() == 1
        assert jobs.next_due() == start + due
    assert [job.due - start for job in bench.ran] == [10, 70, 130]


def test_a_clock_moved_by_a_year_runs_what_falls_into_it(bench: Bench) -> None:
    bench.schedule(after=7 * DAY)
    bench.schedule(after=365 * DAY, every=365 * DAY)
    bench.clock.time += 366 * DAY
    assert bench.worker().run_due() == 2
    assert bench.left() == 1


@pytest.mark.parametrize("every", [0, -1])
def test_every_is_positive(bench: Bench, every: float) -> None:
    with pytest.raises(ValueError):
        bench.schedule(every=every)


def test_other_kinds_are_left_alone(bench: Bench) -> None:
    bench.schedule(kind="unknown", after=0)
    jobs = bench.worker()
    assert jobs.run_due() == 0
    assert jobs.next_due() is None
    nobody = Jobs(bench.store, bench.clock, {})
    assert nobody.run_due() == 0
    assert nobody.next_due() is None
    assert bench.left() == 1


def test_a_failing_job_is_retried_later_and_later(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.schedule(after=0)
    seen: list[int] = []

    def fail(job: Job) -> None:
        seen.append(job.failures)
        if len(seen) < 5:
            raise RuntimeError("not yet")

    jobs = bench.worker(k=fail)
    with caplog.at_level(logging.CRITICAL, logger="casemate.store.jobs"):
        for pause in (1, 2, 4, 8):
            assert jobs.run_due() == 1
            assert jobs.next_due() == bench.clock.now() + pause
            bench.clock.time += pause - 0.01
            assert jobs.run_due() == 0
            bench.clock.time += 0.01
        assert jobs.run_due() == 1
    assert seen == [0, 1, 2, 3, 4]
    assert bench.left() == 0


def test_backoff_has_a_bound_and_success_forgets_failures(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.schedule(after=0, every=10)
    bench.store.write(lambda tx: tx.run("UPDATE store_jobs SET failures = 500"))
    answers: list[BaseException | None] = [RuntimeError(), None]

    def handler(job: Job) -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    jobs = bench.worker(k=handler)
    with caplog.at_level(logging.CRITICAL, logger="casemate.store.jobs"):
        jobs.run_due()
    assert jobs.next_due() == bench.clock.now() + 3600
    bench.clock.time += 3600
    assert jobs.run_due() == 1
    assert bench.store.read(lambda tx: tx.one("SELECT failures FROM store_jobs")) == (0,)


def test_a_failing_job_does_not_stop_the_next(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.schedule(kind="bad", after=0)
    bench.schedule(after=1)
    bench.clock.time += 2

    def fail(job: Job) -> None:
        raise RuntimeError

    with caplog.at_level(logging.CRITICAL, logger="casemate.store.jobs"):
        assert bench.worker(bad=fail, k=bench.ran.append).run_due() == 2
    assert len(bench.ran) == 1


def test_a_leased_job_is_nobody_elses_until_the_lease_runs_out(bench: Bench) -> None:
    bench.schedule(after=0)
    other = bench.worker()
    counts: list[int] = []

    def slow(job: Job) -> None:
        counts.append(other.run_due())
        assert other.next_due() == bench.clock.now() + LEASE
        bench.clock.time += LEASE
        counts.append(other.run_due())

    bench.worker(k=slow).run_due()
    assert counts == [0, 1]
    assert len(bench.ran) == 1
    assert bench.left() == 0


def test_who_lost_the_lease_cannot_finish_nor_have_an_effect(bench: Bench) -> None:
    bench.schedule(after=0, every=1000)
    other = bench.worker()
    outcomes: list[str] = []

    def slow(job: Job) -> None:
        bench.clock.time += LEASE
        assert other.run_due() == 1
        due = other.next_due()

        def effect(tx: Tx) -> None:
            put(tx, "twice")
            job.finish(tx)

        with pytest.raises(LeaseLost):
            bench.store.write(effect)
        with pytest.raises(LeaseLost):
            bench.store.write(lambda tx: job.renew(tx))
        outcomes.append("fenced")
        assert other.next_due() == due

    assert bench.worker(k=slow).run_due() == 1
    assert outcomes == ["fenced"]
    assert stored(bench.store) == []


def test_who_failed_after_losing_the_lease_does_not_disturb(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.schedule(after=0, every=1000)
    other = bench.worker()

    def slow(job: Job) -> None:
        bench.clock.time += LEASE
        other.run_due()
        raise RuntimeError

    with caplog.at_level(logging.CRITICAL, logger="casemate.store.jobs"):
        bench.worker(k=slow).run_due()
    assert bench.store.read(lambda tx: tx.one("SELECT failures, lease_until FROM store_jobs")) == (0, 0)


def test_a_job_cancelled_and_scheduled_again_while_it_runs_stays_scheduled(bench: Bench) -> None:
    bench.schedule(after=0, id="same")

    def handler(job: Job) -> None:
        bench.store.write(lambda tx: cancel(tx, "same"))
        bench.schedule(after=100, id="same")

    assert bench.worker(k=handler).run_due() == 1
    assert bench.left() == 1
    assert bench.worker().next_due() == bench.clock.now() + 100


def test_a_jobs_successor_under_its_id_is_not_taken_for_it(bench: Bench) -> None:
    bench.schedule(after=0, id="same")
    outcomes: list[str] = []

    def outer(job: Job) -> None:
        bench.store.write(lambda tx: cancel(tx, "same"))
        bench.schedule(after=0, id="same")

        def inner(successor: Job) -> None:
            with pytest.raises(LeaseLost):
                bench.store.write(job.finish)
            outcomes.append("fenced")

        assert bench.worker(k=inner).run_due() == 1

    assert bench.worker(k=outer).run_due() == 1
    assert outcomes == ["fenced"]


def test_a_handler_can_finish_with_its_own_transaction(bench: Bench) -> None:
    bench.schedule(after=0)

    def handler(job: Job) -> None:
        def effect(tx: Tx) -> None:
            put(tx, "effect")
            job.finish(tx)

        bench.store.write(effect)

    assert bench.worker(k=handler).run_due() == 1
    assert stored(bench.store) == ["effect"]
    assert bench.left() == 0


def test_a_job_that_goes_on_elsewhere_is_finished_from_there(bench: Bench) -> None:
    taken: list[Job] = []

    def go_on_elsewhere(job: Job) -> object:
        bench.store.write(lambda tx: job.renew(tx, 10 * LEASE))
        taken.append(job)
        return ELSEWHERE

    bench.schedule(after=0)
    jobs = bench.worker(k=go_on_elsewhere)
    assert jobs.run_due() == 1
    assert bench.left() == 1
    bench.clock.time += 9 * LEASE
    assert jobs.run_due() == 0, "it is still under way"
    bench.store.write(taken[0].finish)
    assert bench.left() == 0
    # One whose other thread is gone is claimed again when the lease is over.
    bench.schedule(after=0)
    assert jobs.run_due() == 1
    bench.clock.time += 10 * LEASE
    assert jobs.run_due() == 1
    with pytest.raises(LeaseLost):
        bench.store.write(taken[1].finish)
    bench.store.write(taken[2].finish)
    assert bench.left() == 0


def test_a_lease_can_be_renewed(bench: Bench) -> None:
    bench.schedule(after=0)
    other = bench.worker()
    counts: list[int] = []

    def slow(job: Job) -> None:
        bench.clock.time += LEASE - 1
        bench.store.write(lambda tx: job.renew(tx, 100))
        bench.clock.time += 99
        counts.append(other.run_due())

    assert bench.worker(k=slow).run_due() == 1
    assert counts == [0]
    assert bench.left() == 0


def test_many_workers_run_each_job_once(database: str) -> None:
    with opened(database) as one, opened(database) as two:
        bench = Bench(one)
        for i in range(40):
            bench.schedule(after=0, payload={"i": i})
        bench.clock.time += 1
        ran: list[int] = []

        def work(store: Store) -> None:
            Jobs(store, bench.clock, {"k": lambda job: ran.append(job.payload["i"])}).run_due()

        threads = [threading.Thread(target=work, args=(store,)) for store in (one, one, two, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # A claim that met another worker's is given up for this look, not repeated.
        bench.worker(k=lambda job: ran.append(job.payload["i"])).run_due()
        assert sorted(ran) == list(range(40))


# The thread.


def test_the_thread_runs_what_becomes_due(store: Store) -> None:
    ran = threading.Semaphore(0)
    jobs = Jobs(store, SystemClock(), {"k": lambda job: ran.release()})
    jobs.start()
    jobs.start()
    try:
        now = SystemClock().now()
        store.write(lambda tx: schedule(tx, "k", now + 0.2, {}))
        assert ran.acquire(timeout=20), "scheduled while it slept"
        store.write(lambda tx: schedule(tx, "k", now - 5, {}, every=0.05))
        for _ in range(3):
            assert ran.acquire(timeout=20), "again and again"
    finally:
        jobs.stop()
    jobs.stop()


def test_the_thread_notices_a_moved_clock(bench: Bench) -> None:
    ran = threading.Semaphore(0)
    bench.schedule(after=365 * DAY)
    jobs = bench.worker(k=lambda job: ran.release())
    jobs.start()
    try:
        assert not ran.acquire(timeout=0.05)
        bench.clock.time += 366 * DAY
        jobs.wake()
        assert ran.acquire(timeout=20)
    finally:
        jobs.stop()
    assert bench.left() == 0


def test_the_thread_hears_of_jobs_that_others_schedule(database: str) -> None:
    with opened(database) as one, opened(database) as two:
        ran = threading.Semaphore(0)
        jobs = Jobs(one, SystemClock(), {"k": lambda job: ran.release()})
        jobs.start()
        try:
            assert not ran.acquire(timeout=0.05)
            two.write(lambda tx: schedule(tx, "k", 0, {}))
            assert ran.acquire(timeout=20)
        finally:
            jobs.stop()


def test_stopping_waits_for_the_job_under_way(bench: Bench) -> None:
    started, ended = threading.Event(), threading.Event()
    for _ in range(2):
        bench.schedule(after=0)

    def slow(job: Job) -> None:
        started.set()
        ended.wait(0.1)
        bench.store.write(lambda tx: put(tx, job.id))

    jobs = bench.worker(k=slow)
    jobs.start()
    assert started.wait(20)
    jobs.stop()
    assert len(bench.store.read(names)) == 1, "the one under way ended, the other did not begin"
    assert bench.left() == 1
