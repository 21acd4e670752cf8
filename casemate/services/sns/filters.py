"""Filter policies: what may be one. Source: "Filter policy constraints in Amazon SNS"."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from casemate.engine.events.pattern import PatternError, compile_pattern
from casemate.services.sns.refusals import invalid

_LARGEST: Final = 262_144
_MOST_KEYS: Final = 5
_MOST_COMBINATIONS: Final = 150
_FARTHEST: Final = 1_000_000_000


def check(text: str) -> None:
    """Raises InvalidParameter for what is no filter policy, or too much of one."""
    if len(text.encode()) > _LARGEST:
        raise _wrong("Filter policy is too large")
    try:
        compile_pattern(text)
    except PatternError as error:
        raise _wrong(str(error)) from None
    policy = json.loads(text)
    if _combinations(policy, 0) > _MOST_COMBINATIONS:
        raise _wrong("Filter policy is too complex")
    leaves = list(_leaves(policy, ()))
    if len({".".join(path) for path, _ in leaves}) > _MOST_KEYS:
        raise _wrong("Filter policy can not have more than 5 keys")
    for _, values in leaves:
        _check_numbers(values)


def check_scope(text: str, *, by_body: bool) -> None:
    """Raises InvalidParameter for a nested policy of attributes, which are not nested."""
    if not by_body and any(len(path) > 1 for path, _ in _leaves(json.loads(text), ())):
        raise _wrong("Filter policy scope MessageAttributes does not support nested filter policy")


def _wrong(why: str) -> Exception:
    return invalid(f"FilterPolicy: {why}")


def _alternatives(name: str, value: Any) -> bool:
    return name == "$or" and isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _combinations(found: Mapping[str, Any], depth: int) -> int:
    """How many combinations of values there are; what is nested counts as often as it is deep."""
    product = 1
    for name, value in found.items():
        if _alternatives(name, value):
            product *= max(1, sum(_combinations(each, depth) for each in value))
        elif isinstance(value, dict):
            product *= _combinations(value, depth + 1)
        else:
            product *= max(1, len(value)) * (depth + 1)
    return product


def _leaves(found: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """The keys, each with those around it, and what is compared with each."""
    for name, value in found.items():
        if _alternatives(name, value):
            for each in value:
                yield from _leaves(each, path)
        elif isinstance(value, dict):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _check_numbers(value: Any) -> None:
    if isinstance(value, bool):
        return
    if isinstance(value, int | float) and abs(value) > _FARTHEST:
        raise _wrong("numbers must be between -1.0E9 and 1.0E9")
    if isinstance(value, list):
        for each in value:
            _check_numbers(each)
    elif isinstance(value, dict):
        for each in value.values():
            _check_numbers(each)
