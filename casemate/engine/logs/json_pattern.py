"""Patterns of JSON events: ``{ ($.user.name = "a*") && ($.codes[0] != 5 || $.error NOT EXISTS) }``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from casemate.engine.logs.comparison import Test, text_of
from casemate.engine.logs.cursor import Cursor
from casemate.engine.logs.errors import PatternError

_TOKEN: Final = re.compile(
    r"""\s*(?: (?P<and>&&) | (?P<or>\|\|) | (?P<open>\() | (?P<close>\)) | (?P<operator>!=|<=|>=|=|<|>)
    | (?P<unary>IS\s+NULL|IS\s+TRUE|IS\s+FALSE|NOT\s+EXISTS|EXISTS)\b
    | (?P<selector>\$(?:\.?\[(?:\d+|\*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\]|\.[A-Za-z0-9_@:\-]+)*)
    | "(?P<quoted>(?:[^"\\]|\\.)*)" | %(?P<regex>[^%]+)% | (?P<word>[^\s()&|=<>!"%{}]+) )""",
    re.VERBOSE | re.IGNORECASE,
)
_STEP: Final = re.compile(
    r"""\.?\[(\d+|\*)\]|\.?\["((?:[^"\\]|\\.)*)"\]|\.?\['((?:[^'\\]|\\.)*)'\]|\.([^.\[]+)"""
)
_OPENING: Final = ("{", "[")

Step = str | int | None
"""A member's name, an element's number, or None: any element."""


class JsonPattern(NamedTuple):
    matches: Callable[[str], bool]
    extract: Callable[[str], Mapping[str, str]]
    regexes: int


Check = Callable[[Any], bool]


def compile_json(text: str) -> JsonPattern:
    """text: with its braces. Raises PatternError."""
    if not text.endswith("}"):
        raise PatternError("a pattern that begins with { must end with }")
    parser = _Parser(text[1:-1])
    check = parser.check()
    selectors = parser.selectors

    def matches(message: str) -> bool:
        event = event_of(message)
        return event is not None and check(event)

    def extract(message: str) -> Mapping[str, str]:
        event = event_of(message)
        found: dict[str, str] = {}
        for selector, steps in selectors.items():
            for value in values(event, steps):
                found[selector] = text_of(value)
                break
        return found

    return JsonPattern(matches, extract, parser.cursor.regexes)


def event_of(message: str) -> Any:
    """The event's object or array; None where the message is none."""
    # What begins otherwise is text, or a value on its own.
    if message[:1] not in _OPENING and message.lstrip()[:1] not in _OPENING:
        return None
    try:
        return orjson.loads(message)
    except orjson.JSONDecodeError:
        return None


def steps_of(selector: str) -> tuple[Step, ...]:
    """Raises PatternError. selector: begins with $."""
    steps: list[Step] = []
    at = 1
    while at < len(selector):
        step = _STEP.match(selector, at)
        if step is None:
            raise PatternError(f"{selector} is no selector")
        at = step.end()
        index, double, single, name = step.groups()
        if index is not None:
            steps.append(None if index == "*" else int(index))
        else:
            steps.append(next(each for each in (double, single, name) if each is not None))
    return tuple(steps)


def values(event: Any, steps: tuple[Step, ...]) -> Iterator[Any]:
    """What the selector finds: nothing, one value, or several with ``[*]``."""
    if not steps:
        yield event
        return
    step, rest = steps[0], steps[1:]
    if isinstance(step, str):
        if isinstance(event, dict) and step in event:
            yield from values(event[step], rest)
    elif isinstance(event, list):
        if step is None:
            for each in event:
                yield from values(each, rest)
        elif step < len(event):
            yield from values(event[step], rest)


class _Parser:
    def __init__(self, text: str) -> None:
        self.cursor = Cursor(text, _TOKEN)
        self.selectors: dict[str, tuple[Step, ...]] = {}

    def check(self) -> Check:
        check = self.cursor.any_of(self._one, _all_of, _any_of)
        self.cursor.must_be_over()
        return check

    def _one(self) -> Check:
        take = self.cursor.take
        selector = take("selector")
        if selector is None or selector == "$":
            raise PatternError("a condition begins with a selector, as $.name")
        steps = self.selectors[selector] = steps_of(selector)
        unary = take("unary")
        if unary is not None:
            return _unary(" ".join(unary.upper().split()), steps)
        operator = take("operator")
        if operator is None:
            raise PatternError(f"{selector} without an operator")
        # Also of !=: a member that is not there is unequal to nothing.
        return _scalar(steps, self.cursor.test(operator))


def _all_of(checks: list[Check]) -> Check:
    if len(checks) == 2:
        first, second = checks
        return lambda event: first(event) and second(event)
    return checks[0] if len(checks) == 1 else lambda event: all(check(event) for check in checks)


def _any_of(checks: list[Check]) -> Check:
    return checks[0] if len(checks) == 1 else lambda event: any(check(event) for check in checks)


_ABSENT: Final = object()


def _getter(steps: tuple[Step, ...]) -> Callable[[Any], Any]:
    """What a selector without ``[*]`` finds, or _ABSENT."""
    if len(steps) == 1 and isinstance(steps[0], str):
        (name,) = steps
        return lambda event: event.get(name, _ABSENT) if event.__class__ is dict else _ABSENT

    def get(event: Any) -> Any:
        return next(values(event, steps), _ABSENT)

    return get


def _scalar(steps: tuple[Step, ...], test: Test) -> Check:
    """Whether a value that the selector finds passes the test; null, objects and arrays never do."""
    if None not in steps:
        get = _getter(steps)

        def check(event: Any) -> bool:
            value = get(event)
            return (
                value is not _ABSENT
                and value is not None
                and not isinstance(value, dict | list)
                and test(value)
            )

        return check

    def check_any(event: Any) -> bool:
        for value in values(event, steps):
            if value is not None and not isinstance(value, dict | list) and test(value):
                return True
        return False

    return check_any


def _unary(operator: str, steps: tuple[Step, ...]) -> Check:
    if operator == "NOT EXISTS":
        return lambda event: not any(True for _ in values(event, steps))
    if operator == "EXISTS":
        return lambda event: any(True for _ in values(event, steps))
    wanted = {"IS NULL": None, "IS TRUE": True, "IS FALSE": False}[operator]
    return lambda event: any(value is wanted for value in values(event, steps))
