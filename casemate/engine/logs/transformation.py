"""What a metric filter measures of a matching event: a value and dimensions, each constant or a field of the event.

    measure = compile_transformation("{ $.latency = * }", "$.latency", {"Path": "$.request.path"})
    measure('{"latency": 12, "request": {"path": "/"}}')        (12.0, (("Path", "/"),))

Source: "Filter pattern syntax for metric filters", "Publishing dimensions with metrics from values in JSON or
space-delimited log events".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from casemate.engine.logs.comparison import number_of, text_of
from casemate.engine.logs.errors import PatternError
from casemate.engine.logs.field_pattern import compile_fields
from casemate.engine.logs.json_pattern import event_of, steps_of, values

LARGEST: Final = 2.0**360

Measured = tuple[float, tuple[tuple[str, str], ...]]
Measure = Callable[[str], Measured | None]
"""None of an event that has no number where the value should be, or not all dimensions."""

_Read = Callable[[str], Callable[[str], object]]
"""Of an event what reads a field of it; None for what is not there."""


def compile_transformation(pattern: str, value: str, dimensions: Mapping[str, str]) -> Measure:
    """Raises PatternError for a value that is none, and for a field that the pattern's kind has not."""
    return _compiled(pattern.strip(), value.strip(), tuple(sorted(dimensions.items())))


@lru_cache(maxsize=512)
def _compiled(pattern: str, value: str, dimensions: tuple[tuple[str, str], ...]) -> Measure:
    fields = [field for _, field in dimensions]
    constant = None if value.startswith("$") else number_of(value)
    if not value.startswith("$") and (constant is None or abs(constant) > LARGEST):
        raise PatternError(f"{value!r} is neither a number nor a field")
    for field in fields:
        if not field.startswith("$"):
            raise PatternError(f"the dimension {field!r} is no field")
    named = fields if constant is not None else [value, *fields]
    if not named:
        assert constant is not None
        measured: Measured = (constant, ())
        return lambda _message: measured
    read = _reader(pattern, named)

    def measure(message: str) -> Measured | None:
        field_of = read(message)
        number = number_of(field_of(value)) if constant is None else constant
        if number is None or not abs(number) <= LARGEST:
            return None
        found = tuple((name, text_of(field_of(field))) for name, field in dimensions)
        return (number, found) if all(map(_is_dimension, found)) else None

    return measure


def _reader(pattern: str, named: list[str]) -> _Read:
    if pattern[:1] == "{":
        steps = {field: steps_of(field) for field in named}

        def of_json(message: str) -> Callable[[str], object]:
            event = event_of(message)
            return lambda field: next(values(event, steps[field]), None)

        return of_json
    if pattern[:1] == "[":
        fields = compile_fields(pattern)
        for field in named:
            if field[1:] not in fields.names and not field[1:].isdecimal():
                raise PatternError(f"the pattern has no field {field}")

        def of_fields(message: str) -> Callable[[str], object]:
            return fields.extract(message).get

        return of_fields
    raise PatternError(f"a pattern of terms has no field {named[0]}")


def _is_dimension(dimension: tuple[str, str]) -> bool:
    text = dimension[1]
    return 0 < len(text) <= 1024 and text.isascii() and text.isprintable() and not text.isspace()
