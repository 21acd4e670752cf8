"""Token buckets: what they let through, alone and shared; and what a request counts for."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import AwsError
from casemate.gate.quotas import Quota
from casemate.gate.throttle import LocalBuckets, SharedBuckets, Throttle, throttled
from casemate.store.cache import Miss
from casemate.store.database import Tx

KEY = ("kms:CreateKey", "111122223333", "us-east-1")


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["local", "shared"])
def timed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, Time]]:
    time = Time()
    if request.param == "local":
        yield LocalBuckets(time), time
    else:
        with closing(SharedBuckets(tmp_path / "buckets", time)) as buckets:
            yield buckets, time


def test_a_second_gives_as_many_as_the_rate(timed: tuple[Any, Time]) -> None:
    buckets, time = timed
    assert [buckets.take(KEY, 3) for _ in range(5)] == [True, True, True, False, False]
    time.now += 1 / 3
    assert [buckets.take(KEY, 3) for _ in range(2)] == [True, False]
    time.now += 60
    assert sum(buckets.take(KEY, 3) for _ in range(10)) == 3, "what was not used does not add up"


def test_less_than_one_a_second_is_one_after_as_long(timed: tuple[Any, Time]) -> None:
    buckets, time = timed
    assert [buckets.take(KEY, 0.1) for _ in range(2)] == [True, False]
    time.now += 9.5
    assert not buckets.take(KEY, 0.1)
    time.now += 1
    assert buckets.take(KEY, 0.1)


def test_a_rate_of_nothing_lets_nothing_through(timed: tuple[Any, Time]) -> None:
    buckets, time = timed
    assert not buckets.take(KEY, 0.0)
    time.now += 1e6
    assert not buckets.take(KEY, 0.0)


def test_a_rate_that_was_changed_holds_at_once(timed: tuple[Any, Time]) -> None:
    buckets, time = timed
    assert sum(buckets.take(KEY, 100) for _ in range(10)) == 10
    assert sum(buckets.take(KEY, 2) for _ in range(10)) == 2
    time.now += 1
    assert sum(buckets.take(KEY, 50) for _ in range(100)) == 50


@given(
    st.floats(0.05, 50),
    st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
def test_never_more_than_the_rate_and_a_bucket(rate: float, pauses: list[float]) -> None:
    time = Time()
    buckets = LocalBuckets(time)
    begun, taken = time.now, 0
    for pause in pauses:
        time.now += pause
        taken += buckets.take(KEY, rate)
    assert taken <= max(rate, 1) + (time.now - begun) * rate + 1e-6


@given(st.floats(0.05, 50), st.lists(st.tuples(st.floats(0, 2), st.sampled_from("abc")), max_size=60))
def test_shared_buckets_are_as_local_ones(
    tmp_path_factory: pytest.TempPathFactory, rate: float, steps: list[tuple[float, str]]
) -> None:
    time = Time()
    local = LocalBuckets(time)
    path = tmp_path_factory.mktemp("buckets") / "buckets"
    with closing(SharedBuckets(path, time)) as one, closing(SharedBuckets(path, time)) as other:
        for number, (pause, account) in enumerate(steps):
            time.now += pause
            key = ("kms:CreateKey", account, "us-east-1")
            assert (one, other)[number % 2].take(key, rate) == local.take(key, rate)


def _take_many(path: Path, count: int, taken: Any) -> None:
    with closing(SharedBuckets(path, lambda: 5.0)) as buckets:
        for _ in range(count):
            if buckets.take(KEY, 300):
                with taken.get_lock():
                    taken.value += 1


def test_processes_share_one_bucket(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    taken = context.Value("i", 0)
    processes = [context.Process(target=_take_many, args=(tmp_path / "b", 400, taken)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert taken.value == 300


def test_buckets_of_a_machine_that_was_started_anew_are_full(tmp_path: Path) -> None:
    time = Time()
    with closing(SharedBuckets(tmp_path / "b", time)) as buckets:
        assert [buckets.take(KEY, 1) for _ in range(2)] == [True, False]
        time.now = 3.0
        assert buckets.take(KEY, 1)


def test_more_buckets_than_slots_begin_anew(tmp_path: Path) -> None:
    with closing(SharedBuckets(tmp_path / "b")) as buckets:
        for number in range(5000):
            assert buckets.take(("kms:CreateKey", f"{number:012}", "us-east-1"), 1)


class Applied:
    """In memory from the second time on."""

    def __init__(self) -> None:
        self.warm = False

    def value(self, quota: Quota, account: str, region: str, tx: Tx | None) -> float:
        return quota.default(region)

    def rates(self, account: str, region: str, tx: Tx | None) -> Mapping[str, float]:
        if not self.warm:
            self.warm = True
            raise Miss
        return {"kms:CreateKey": 1.0 if region == "us-east-1" else 2.0}


def test_quotas_that_apply_differ_by_region_and_a_miss_counts_for_nothing() -> None:
    throttle = Throttle(Applied(), texts={"kms": "Slower."})
    assert throttle.limits
    with pytest.raises(Miss):
        throttle.take(*KEY, "json", None)
    throttle.take(*KEY, "json", None)
    with pytest.raises(AwsError) as refused:
        throttle.take(*KEY, "json", None)
    assert (refused.value.code, refused.value.message, refused.value.status) == (
        "ThrottlingException",
        "Slower.",
        400,
    )
    for _ in range(2):
        throttle.take("kms:CreateKey", KEY[1], "eu-west-1", "json", None)
    for _ in range(100):
        throttle.take("kms:DescribeKey", KEY[1], "us-east-1", "json", None)


def test_nothing_is_limited_without_rates() -> None:
    assert not Throttle({}).limits


@pytest.mark.parametrize(
    ("family", "code", "status"),
    [
        ("json", "ThrottlingException", 400),
        ("rest-json", "ThrottlingException", 400),
        ("query", "Throttling", 400),
        ("ec2", "RequestLimitExceeded", 503),
        ("s3", "SlowDown", 503),
    ],
)
def test_each_family_has_its_word_for_it(family: str, code: str, status: int) -> None:
    error = throttled(family)
    assert (error.code, error.status) == (code, status)
    assert error.message
