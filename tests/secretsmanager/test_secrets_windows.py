"""Rotation windows: rates, days and cron expressions, and what AWS does not take."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.services.secretsmanager.windows import (
    DAY,
    HOUR,
    BadRules,
    Rules,
    check,
    counts_from_rotation,
    following,
)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = at("2026-11-25T15:30")  # a Wednesday


@pytest.mark.parametrize(
    ("rules", "start", "end"),
    [
        (Rules(days=1), "2026-11-26T00:00", "2026-11-27T00:00"),
        (Rules(days=30), "2026-12-25T00:00", "2026-12-26T00:00"),
        (Rules(days=10, duration=3), "2026-12-05T00:00", "2026-12-05T03:00"),
        (Rules(schedule="rate(10 days)"), "2026-12-05T00:00", "2026-12-06T00:00"),
        (Rules(schedule="rate(1 day)"), "2026-11-26T00:00", "2026-11-27T00:00"),
        (Rules(schedule="rate(4 hours)"), "2026-11-25T16:00", "2026-11-25T17:00"),
        (Rules(schedule="rate(12 hours)", duration=3), "2026-11-26T00:00", "2026-11-26T03:00"),
        (Rules(schedule="cron(0 8 * * ? *)"), "2026-11-26T08:00", "2026-11-27T00:00"),
        (Rules(schedule="cron(0 16 * * ? *)", duration=2), "2026-11-25T16:00", "2026-11-25T18:00"),
        (Rules(schedule="cron(0 8 ? * SAT *)"), "2026-11-28T08:00", "2026-11-29T00:00"),
        (Rules(schedule="cron(0 8 L * ? *)"), "2026-11-30T08:00", "2026-12-01T00:00"),
        (Rules(schedule="cron(0 1 ? 1/3 SUN#1 *)"), "2027-01-03T01:00", "2027-01-04T00:00"),
        (Rules(schedule="cron(0 0/8 * * ? *)"), "2026-11-25T16:00", "2026-11-25T17:00"),
        (Rules(schedule="cron(0 /8 * * ? *)", duration=4), "2026-11-25T16:00", "2026-11-25T20:00"),
        (Rules(schedule="cron(0 8,16 * * ? *)"), "2026-11-25T16:00", "2026-11-25T17:00"),
    ],
)
def test_the_window_after_a_rotation(rules: Rules, start: str, end: str) -> None:
    check(rules, NOW)
    assert following(rules, NOW) == (at(start), at(end))


@pytest.mark.parametrize(
    "schedule",
    [
        *(
            "rate(0 days)",
            "rate(1 days)",
            "rate(2 day)",
            "rate(1000 days)",
            "rate(5 minutes)",
            "rate(10 weeks)",
        ),
        *(
            "cron(15 8 * * ? *)",
            "cron(0 8 * * ? 2027)",
            "cron(0 8 * * * *)",
            "cron(0 25 * * ? *)",
            "every day",
        ),
        *("cron(0 8 * * ?)", "cron(0 X * * ? *)", "rate(4 hours) ", ""),
    ],
)
def test_schedules_that_are_none(schedule: str) -> None:
    with pytest.raises(BadRules, match="ScheduleExpression is invalid"):
        check(Rules(schedule=schedule or " "), NOW)


@pytest.mark.parametrize(
    "schedule", ["rate(1 hour)", "rate(3 hours)", "cron(0 0/2 * * ? *)", "cron(0 1,23 * * ? *)"]
)
def test_every_four_hours_at_most(schedule: str) -> None:
    with pytest.raises(BadRules, match="every four hours at most"):
        check(Rules(schedule=schedule), NOW)


@pytest.mark.parametrize(
    ("rules", "which"),
    [
        (Rules(schedule="cron(0 20 * * ? *)", duration=5), "UTC day"),
        (Rules(days=1, duration=25), "next rotation window"),
        (Rules(schedule="rate(4 hours)", duration=5), "next rotation window"),
        (Rules(schedule="cron(0 0/8 * * ? *)", duration=9), "next rotation window"),
        (Rules(days=2, duration=25), "UTC day"),
    ],
)
def test_windows_that_are_too_long(rules: Rules, which: str) -> None:
    with pytest.raises(BadRules, match=which):
        check(rules, NOW)


def test_only_cron_has_days_of_its_own() -> None:
    assert counts_from_rotation(Rules(days=3))
    assert counts_from_rotation(Rules(schedule="rate(3 days)"))
    assert not counts_from_rotation(Rules(schedule="cron(0 8 * * ? *)"))


@given(
    st.one_of(
        st.builds(Rules, days=st.integers(1, 1000), schedule=st.just(""), duration=st.integers(0, 24)),
        st.builds(
            lambda number, duration: Rules(schedule=f"rate({number} days)", duration=duration),
            st.integers(2, 999),
            st.integers(0, 24),
        ),
        st.builds(lambda number: Rules(schedule=f"rate({number} hours)"), st.integers(4, 24)),
        st.builds(
            lambda hour, day: Rules(schedule=f"cron(0 {hour} ? * {day} *)"),
            st.integers(0, 23),
            st.sampled_from(["MON", "2-6", "SUN#2", "6L"]),
        ),
    ),
    st.integers(0, 4_000_000_000),
)
def test_windows_are_ahead_whole_and_within_a_day(rules: Rules, now: int) -> None:
    check(rules, now)
    window = following(rules, now)
    assert window is not None
    assert now < window.start < window.end
    assert window.start % HOUR == window.end % HOUR == 0
    assert window.end <= window.start // DAY * DAY + DAY
    assert window.end - window.start == (
        rules.duration * HOUR
        if rules.duration
        else HOUR
        if "hours" in rules.schedule
        else window.start // DAY * DAY + DAY - window.start
    )
