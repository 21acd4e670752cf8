"""When a secret is rotated: in windows, by days, a rate, or a cron expression, in UTC. Pure.

A window begins at a full hour. Rates and days are counted from midnight. Without a duration, the windows of a
schedule in hours close after one, all others with the day. Source: "Schedule expressions".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from casemate.engine.events.schedule import Cron, parse_schedule

HOUR, DAY = 3_600.0, 86_400.0
_RATE = re.compile(r"rate\(([0-9]{1,4}) (hour|day)s?\)", re.ASCII)
_CRON = re.compile(r"cron\(0 (\S+) (\S+ \S+ \S+) \*\)", re.ASCII)
LEAST_HOURS, MOST_DAYS = 4, 999
_LOOKED = 60
"""So many windows are looked at for one that overlaps with the next."""


class Rules(NamedTuple):
    """As RotationRules has them. days: AutomaticallyAfterDays, 0 unless it is what is set; schedule:
    ScheduleExpression; duration: hours, 0 unless it is given."""

    days: int = 0
    schedule: str = ""
    duration: int = 0


class Window(NamedTuple):
    """Seconds since the epoch. end: the first moment that is not in it."""

    start: float
    end: float


class BadRules(ValueError):
    """Rules that AWS would not take; its text says why."""


def check(rules: Rules, now: float) -> None:
    """Raises BadRules."""
    if rules.schedule:
        if _RATE.fullmatch(rules.schedule) is None and _CRON.fullmatch(rules.schedule) is None:
            raise BadRules("ScheduleExpression is invalid.")
        try:
            hours = _hours(rules.schedule)
            following(rules, now)
        except ValueError:
            raise BadRules("ScheduleExpression is invalid.") from None
        if hours and not hours >= LEAST_HOURS:
            raise BadRules("A secret can be rotated every four hours at most.")
    if not rules.duration:
        return
    window = following(rules, now)
    for _ in range(_LOOKED):
        if window is None:
            break
        later = following(rules, window.start)
        if later is not None and window.end > later.start:
            raise BadRules("The rotation window must not extend into the next rotation window.")
        if window.end > _midnight(window.start) + DAY:
            raise BadRules("The rotation window must not extend into the next UTC day.")
        window = later


def following(rules: Rules, rotated: float) -> Window | None:
    """The first window after a rotation at that time; None where there is none any more."""
    start = _next_start(rules, rotated)
    if start is None:
        return None
    if rules.duration:
        return Window(start, start + rules.duration * HOUR)
    return Window(start, start + HOUR if _in_hours(rules.schedule) else _midnight(start) + DAY)


def counts_from_rotation(rules: Rules) -> bool:
    """Whether a changed value puts off what comes next; a cron expression has its own days."""
    return not rules.schedule.startswith("cron")


def _next_start(rules: Rules, rotated: float) -> float | None:
    if rules.days:
        return _midnight(rotated) + rules.days * DAY
    rate = _RATE.fullmatch(rules.schedule)
    if rate is None:
        return _cron(rules.schedule).after(rotated)
    number = int(rate[1])
    if rate[2] == "day":
        return _midnight(rotated) + number * DAY
    begin = _midnight(rotated)
    return begin + ((rotated - begin) // (number * HOUR) + 1) * number * HOUR


def _cron(text: str) -> Cron:
    # An hour's step may stand alone.
    schedule = parse_schedule(re.sub(r"^cron\(0 /", "cron(0 0/", text))
    if not isinstance(schedule, Cron):
        raise ValueError(text)
    return schedule


def _in_hours(schedule: str) -> bool:
    return bool(schedule) and _hours(schedule) > 0


def _hours(schedule: str) -> float:
    """The hours between two windows of one day; 0 where there is one a day at most. Raises ValueError."""
    rate = _RATE.fullmatch(schedule)
    if rate is not None:
        number = int(rate[1])
        if number < 1 or (rate[2] == "day" and number > MOST_DAYS):
            raise ValueError(schedule)
        parse_schedule(schedule)
        return number if rate[2] == "hour" else 0
    hours = _cron(schedule).hours
    if len(hours) < 2:
        return 0
    return min(later - sooner for sooner, later in zip(hours, (*hours[1:], hours[0] + 24), strict=True))


def _midnight(moment: float) -> float:
    return moment // DAY * DAY
