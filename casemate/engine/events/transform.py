"""What a target is given of an event: all of it, a part, a constant, or a template that is filled in.

Source: "Amazon EventBridge input transformation".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_STEP: Final = re.compile(r"\.([^.\[\]\s]+)|\[(\d{1,6}|\*)\]|\['([^']+)'\]|\[\"([^\"]+)\"\]")
_PLACEHOLDER: Final = re.compile(r"<([\w.-]+)>", re.ASCII)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NOTHING: Final = object()

RESERVED: Final = frozenset(
    {
        "aws.events.rule-arn",
        "aws.events.rule-name",
        "aws.events.event",
        "aws.events.event.json",
        "aws.events.event.ingestion-time",
    }
)
"""What templates may use without naming a path."""


LARGEST: Final = 1024 * 1024
"""Characters of what a template becomes. A placeholder may stand in it often, so that a small template makes much of
a large event; no target takes more."""


class TooLarge(ValueError):
    """What a template becomes is larger than ``LARGEST``."""


class PathError(ValueError):
    """What is no path into an event."""


def dumps(value: Any) -> str:
    """JSON as compact as AWS's. What cannot be written in UTF-8 (half a pair of surrogates) stays escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if _SURROGATE.search(text) is None else json.dumps(value, separators=(",", ":"))


def path_steps(path: str) -> list[str | int]:
    """The steps of ``$.detail.items[0]['a b']``; "*" stands for all elements. Raises PathError."""
    if not path.startswith("$"):
        raise PathError(path)
    steps: list[str | int] = []
    at = 1
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            raise PathError(path)
        at = found.end()
        name, index, quoted, double = found.groups()
        if index is not None:
            steps.append(-1 if index == "*" else int(index))
        else:
            steps.append(name or quoted or double)
    return steps


def _pick(value: Any, steps: list[str | int]) -> Any:
    for at, step in enumerate(steps):
        if step == -1:
            if not isinstance(value, list):
                return _NOTHING
            picked = [_pick(each, steps[at + 1 :]) for each in value]
            return [each for each in picked if each is not _NOTHING]
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return _NOTHING
            value = value[step]
        else:
            if not isinstance(value, dict) or step not in value:
                return _NOTHING
            value = value[step]
    return value


def by_path(event: Mapping[str, Any], path: str) -> str | None:
    """The part of an event, as JSON; None where there is none."""
    found = _pick(event, path_steps(path))
    return None if found is _NOTHING else dumps(found)


def check_template(template: str, paths: Mapping[str, str]) -> str:
    """What is wrong with a template, '' if nothing: a placeholder without a path, or no JSON once it is filled in."""
    for name in _PLACEHOLDER.findall(template):
        if name not in paths and name not in RESERVED:
            return f"contains invalid placeholder {name}"
    filled = _fill(template, dict.fromkeys({*paths, *RESERVED}, ""))
    if template.lstrip().startswith(("{", "[")):
        try:
            json.loads(filled)
        except ValueError as error:
            return f"is not valid JSON: {error}"
        return ""
    for line in filled.strip().splitlines():
        try:
            json.loads(line)
        except ValueError as error:
            return f"is not valid JSON: {error}"
    return ""


def transform(
    event: Mapping[str, Any],
    template: str,
    paths: Mapping[str, str],
    reserved: Mapping[str, Any],
) -> str:
    """The template, filled in with what the paths find in the event. reserved: the values of RESERVED. Raises
    TooLarge."""
    values = dict(reserved)
    for name, path in paths.items():
        found = _pick(event, path_steps(path))
        values[name] = "" if found is _NOTHING else found
    return _fill(template, values)


def _fill(template: str, values: Mapping[str, Any]) -> str:
    """Placeholders outside of quotes become JSON; within, the text, escaped so that it stays within."""
    out: list[str] = []
    at, quoted, left = 0, False, LARGEST
    while at < len(template):
        char = template[at]
        if char == "\\" and quoted:
            out.append(template[at : at + 2])
            at += 2
            continue
        if char == "<":
            found = _PLACEHOLDER.match(template, at)
            if found is not None and found[1] in values:
                value = values[found[1]]
                text = dumps(value)
                if quoted:
                    text = (text if isinstance(value, str) else dumps(text))[1:-1]
                left -= len(text)
                if left < 0:
                    raise TooLarge
                out.append(text)
                at = found.end()
                continue
        if char == '"':
            quoted = not quoted
        out.append(char)
        at += 1
    return "".join(out)
