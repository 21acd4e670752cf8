"""When rules run: AWS's rate and cron expressions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.engine.events.schedule import ScheduleError, parse_schedule


def after(expression: str, moment: str) -> str | None:
    found = parse_schedule(expression).after(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp())
    return None if found is None else datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("expression", "moment", "expected"),
    [
        ("rate(1 minute)", "2026-11-25 12:00", "2026-11-25 12:01"),
        ("rate(5 hours)", "2026-11-25 12:00", "2026-11-25 17:00"),
        ("rate(2 days)", "2026-11-25 12:00", "2026-11-27 12:00"),
        ("cron(0 10 * * ? *)", "2026-11-25 09:59", "2026-11-25 10:00"),
        ("cron(0 10 * * ? *)", "2026-11-25 10:00", "2026-11-26 10:00"),
        ("cron(15 12 * * ? *)", "2026-12-31 12:15", "2027-01-01 12:15"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-27 18:00", "2026-11-30 18:00"),
        ("cron(0 8 1 * ? *)", "2026-11-25 12:00", "2026-12-01 08:00"),
        ("cron(0/10 * ? * MON-FRI *)", "2026-11-25 12:01", "2026-11-25 12:10"),
        ("cron(0/5 8-17 ? * 2-6 *)", "2026-11-25 17:55", "2026-11-26 08:00"),
        ("cron(0/30 20-2 ? * MON-FRI *)", "2026-11-25 02:31", "2026-11-25 20:00"),
        ("cron(0 0 L * ? *)", "2028-02-01 00:00", "2028-02-29 00:00"),
        ("cron(0 0 LW * ? *)", "2026-10-01 00:00", "2026-10-30 00:00"),
        ("cron(0 0 15W * ? *)", "2026-11-01 00:00", "2026-11-16 00:00"),
        ("cron(0 0 1W * ? *)", "2026-07-31 12:00", "2026-08-03 00:00"),
        ("cron(0 0 31W * ? *)", "2026-05-30 00:00", "2026-07-31 00:00"),
        ("cron(0 0 ? * 3#2 *)", "2026-11-01 00:00", "2026-11-10 00:00"),
        ("cron(0 0 ? * FRIL *)", "2026-11-01 00:00", "2026-11-27 00:00"),
        ("cron(0 0 ? * L *)", "2026-11-25 00:00", "2026-11-28 00:00"),
        ("cron(0 0 ? FEB SUN 2027)", "2026-11-25 00:00", "2027-02-07 00:00"),
        ("cron(0 0 29 2 ? *)", "2026-11-25 00:00", "2028-02-29 00:00"),
        ("cron(0 0 1 1 ? 2020)", "2026-11-25 00:00", None),
        ("cron(0 0 1 1 ? 2030-2032)", "2031-06-01 00:00", "2032-01-01 00:00"),
    ],
)
def test_the_next_occasion(expression: str, moment: str, expected: str | None) -> None:
    assert after(expression, moment) == expected


@pytest.mark.parametrize(
    "expression",
    [
        *("", "rate(0 minutes)", "rate(1 minutes)", "rate(5 minute)", "rate(5 seconds)", "rate(5minutes)"),
        *("cron(0 10 * * *)", "cron(0 10 * * * *)", "cron(0 10 ? * ? *)", "cron(60 10 * * ? *)"),
        *("cron(0 24 * * ? *)", "cron(0 0 32 * ? *)", "cron(0 0 * 13 ? *)", "cron(0 0 ? * 8 *)"),
        *("cron(0 0 ? * MON#6 *)", "cron(0 0 * * ? 1969)", "cron(a 0 * * ? *)", "Rate(5 minutes)"),
    ],
)
def test_what_is_no_schedule(expression: str) -> None:
    with pytest.raises(ScheduleError):
        parse_schedule(expression)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
    st.integers(0, 59),
    st.integers(0, 23),
    st.sampled_from(["* * ?", "? * *", "L * ?", "? * MON-FRI", "15W * ?", "? * 2#3"]),
)
def test_an_occasion_is_later_and_as_it_was_asked_for(
    moment: datetime, minute: int, hour: int, days: str
) -> None:
    schedule = parse_schedule(f"cron({minute} {hour} {days} *)")
    begun = moment.replace(tzinfo=UTC)
    found = schedule.after(begun.timestamp())
    assert found is not None
    at = datetime.fromtimestamp(found, UTC)
    assert begun < at <= begun + timedelta(days=40)
    assert (at.minute, at.hour, at.second) == (minute, hour, 0)
    # Nothing lies between: what is asked a minute before it answers the same.
    assert schedule.after(found - 60) == found
