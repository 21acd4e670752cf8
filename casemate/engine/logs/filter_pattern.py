"""Filter patterns: which log events a filter means, and which parts of an event a pattern names.

    pattern = compile_pattern("{ $.status >= 500 && $.path = \\"/api/*\\" }")
    pattern.matches('{"status": 502, "path": "/api/x"}')        True

Three kinds, told apart by their first character: terms (``ERROR -DEBUG``, ``?WARN ?ERROR``, ``"exact phrase"``,
``%regex%``), JSON (``{ ... }``, json_pattern.py) and fields between spaces (``[ ... ]``, field_pattern.py).

Source: "Filter pattern syntax for metric filters, subscription filters, filter log events, and Live Tail".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from casemate.engine.logs.errors import PatternError as PatternError
from casemate.engine.logs.field_pattern import compile_fields
from casemate.engine.logs.json_pattern import compile_json
from casemate.engine.logs.regex import compile_regex

MAX_REGEXES: Final = 2

_REGEX: Final = re.compile(r"%[^%]+%")
_TERM: Final = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|%([^%]*)%|([^\s"%]+))(?=\s|$)')
_BARE: Final = re.compile(r"\w+", re.ASCII)


class FilterPattern(NamedTuple):
    """matches: whether an event's message is meant. extract: what of a message the pattern names: "$1" or
    "$status" of a field, "$.status" of JSON; empty for terms. needed: texts that every matching message has; a
    message without one of them need not be looked at. regexes: how many it has."""

    matches: Callable[[str], bool]
    extract: Callable[[str], Mapping[str, str]]
    needed: tuple[str, ...]
    regexes: int


@lru_cache(maxsize=512)
def compile_pattern(text: str) -> FilterPattern:
    """Raises PatternError."""
    stripped = text.strip()
    if stripped in ("", '""', '" "'):
        return FilterPattern(lambda _message: True, _nothing, (), 0)
    if stripped[0] == "{":
        json = compile_json(stripped)
        return _limited(FilterPattern(json.matches, json.extract, (), json.regexes))
    if stripped[0] == "[":
        fields = compile_fields(stripped)
        return _limited(FilterPattern(fields.matches, fields.extract, (), fields.regexes))
    return _compile_terms(stripped)


def _limited(pattern: FilterPattern) -> FilterPattern:
    if pattern.regexes > MAX_REGEXES:
        raise PatternError(f"more than {MAX_REGEXES} regular expressions")
    return pattern


def _nothing(_message: str) -> Mapping[str, str]:
    return {}


def _compile_terms(text: str) -> FilterPattern:
    """All terms, none of those with a minus; one of those with a question mark where there are only such: AWS ignores
    them beside others."""
    wanted: list[str] = []
    unwanted: list[str] = []
    optional: list[str] = []
    at = 0
    while at < len(text):
        term = _TERM.match(text, at)
        if term is None:
            raise PatternError(f"what begins at character {at} is no term")
        at = term.end()
        sign, quoted, regex, bare = term.groups()
        if regex is not None:
            # A regular expression stands alone.
            if sign or term[0].strip() != text:
                raise PatternError("a regular expression beside other terms")
            return FilterPattern(compile_regex(regex), _nothing, (), 1)
        if bare is not None and _BARE.fullmatch(bare) is None:
            raise PatternError(
                "a term with other characters than letters, digits and _ must be in double quotes"
            )
        word = bare if bare is not None else re.sub(r"\\(.)", r"\1", quoted)
        {"": wanted, "-": unwanted, "?": optional}[sign].append(word)
    if wanted or unwanted:
        return FilterPattern(_all_and_none(tuple(wanted), tuple(unwanted)), _nothing, tuple(wanted), 0)
    words = tuple(optional)
    return FilterPattern(lambda message: any(word in message for word in words), _nothing, (), 0)


def _all_and_none(wanted: tuple[str, ...], unwanted: tuple[str, ...]) -> Callable[[str], bool]:
    if len(wanted) == 1 and not unwanted:
        (word,) = wanted
        return lambda message: word in message

    def matches(message: str) -> bool:
        for word in wanted:
            if word not in message:
                return False
        return not any(word in message for word in unwanted)

    return matches
