"""When rules run by themselves: ``rate(5 minutes)`` and ``cron(0 10 ? * MON-FRI *)``, in UTC.

Source: "Setting a schedule pattern for scheduled rules in Amazon EventBridge".
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Protocol

_RATE: Final = re.compile(r"rate\((\d{1,10}) (minute|hour|day)(s?)\)", re.ASCII)
_CRON: Final = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)", re.ASCII)
_SECONDS: Final = {"minute": 60, "hour": 3600, "day": 86_400}
_MONTHS: Final = {month.upper(): at for at, month in enumerate(calendar.month_abbr) if month}
_DAYS: Final = {day.upper(): at % 7 + 1 for at, day in enumerate(calendar.day_abbr, 1)}
_FIRST_YEAR, _LAST_YEAR = 1970, 2199


class ScheduleError(ValueError):
    """What is neither a rate nor a cron expression."""


class Schedule(Protocol):
    """Occasions, in seconds since the epoch."""

    def after(self, moment: float) -> float | None:
        """The first occasion after a moment; None when there is none any more."""
        ...


def parse_schedule(text: str) -> Schedule:
    """Raises ScheduleError for what is neither a rate nor a cron expression, as AWS has them."""
    rate = _RATE.fullmatch(text)
    if rate is not None:
        number, plural = int(rate[1]), bool(rate[3])
        if number < 1 or plural != (number > 1):
            raise ScheduleError(text)
        return Rate(number * _SECONDS[rate[2]])
    cron = _CRON.fullmatch(text)
    if cron is None:
        raise ScheduleError(text)
    minutes, hours, days, months, weekdays, years = cron.groups()
    if (days == "?") == (weekdays == "?"):
        raise ScheduleError(text)
    return Cron(
        tuple(sorted(_numbers(minutes, 0, 59))),
        tuple(sorted(_numbers(hours, 0, 23))),
        _numbers(months.upper(), 1, 12, _MONTHS),
        _numbers(years, _FIRST_YEAR, _LAST_YEAR),
        _of_month(days.upper()) if weekdays == "?" else _of_week(weekdays.upper()),
    )


@dataclass(frozen=True, slots=True)
class Rate:
    """Every so many seconds."""

    seconds: int

    def after(self, moment: float) -> float | None:
        return moment + self.seconds


@dataclass(frozen=True, slots=True)
class Cron:
    """on: whether a day is one of the schedule's."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    years: frozenset[int]
    on: Callable[[date], bool]

    def after(self, moment: float) -> float | None:
        begin = datetime.fromtimestamp(moment // 60 * 60 + 60, UTC)
        day, first = begin.date(), True
        last = max(self.years)
        while day.year <= last:
            if day.year not in self.years:
                day, first = date(day.year + 1, 1, 1), False
                continue
            if day.month not in self.months:
                day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
                first = False
                continue
            if self.on(day):
                for hour in self.hours:
                    for minute in self.minutes:
                        if not first or (hour, minute) >= (begin.hour, begin.minute):
                            at = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                            return at.timestamp()
            day, first = day + timedelta(days=1), False
        return None


def _number(text: str, low: int, high: int, names: dict[str, int] | None) -> int:
    if names is not None and text in names:
        return names[text]
    if re.fullmatch(r"\d{1,4}", text, re.ASCII) is None or not low <= int(text) <= high:
        raise ScheduleError(text)
    return int(text)


def _numbers(text: str, low: int, high: int, names: dict[str, int] | None = None) -> frozenset[int]:
    """``*``, ``1,5``, ``MON-FRI``, ``0/15``, ``10-20/2``."""
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        else:
            begin = _number(first, low, high, names)
            end = _number(last, low, high, names) if dash else high if slash else begin
        every = _number(step, 1, high, None) if slash else 1
        if end < begin:
            # Over the end, as FRI-MON is.
            found.update(range(begin, high + 1, every))
            begin = low
        found.update(range(begin, end + 1, every))
    return frozenset(found)


def _last_day(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _of_month(text: str) -> Callable[[date], bool]:
    if text == "L":
        return lambda day: day.day == _last_day(day)
    if text == "LW":
        return lambda day: day.day == _working_day(day, _last_day(day))
    nearest = re.fullmatch(r"(\d{1,2})W", text, re.ASCII)
    if nearest is not None:
        wanted = _number(nearest[1], 1, 31, None)
        return lambda day: wanted <= _last_day(day) and day.day == _working_day(day, wanted)
    days = _numbers(text, 1, 31)
    return lambda day: day.day in days


def _working_day(day: date, wanted: int) -> int:
    """The weekday nearest to that day, in the same month."""
    weekday = date(day.year, day.month, wanted).weekday()
    if weekday == 5:
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == 6:
        return wanted + 1 if wanted < _last_day(day) else wanted - 2
    return wanted


def _of_week(text: str) -> Callable[[date], bool]:
    nth = re.fullmatch(r"(\w{1,3})#([1-5])", text, re.ASCII)
    if nth is not None:
        wanted, which = _number(nth[1], 1, 7, _DAYS), int(nth[2])
        return lambda day: _weekday(day) == wanted and (day.day - 1) // 7 + 1 == which
    if text == "L":
        return lambda day: _weekday(day) == 7
    last = re.fullmatch(r"(\w{1,3})L", text, re.ASCII)
    if last is not None:
        wanted = _number(last[1], 1, 7, _DAYS)
        return lambda day: _weekday(day) == wanted and day.day + 7 > _last_day(day)
    days = _numbers(text, 1, 7, _DAYS)
    return lambda day: _weekday(day) in days


def _weekday(day: date) -> int:
    """1 to 7, from Sunday on."""
    return day.isoweekday() % 7 + 1
