"""Patterns of fields between spaces: ``[ip, user, ..., status = 4* || status = 5*, bytes > 1000]``.

An event's fields are the runs of characters between spaces; what stands in double quotes or square brackets is one
field, without those. There must be as many as the pattern names; ``...`` stands for any number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from casemate.engine.logs.comparison import Test
from casemate.engine.logs.cursor import Cursor
from casemate.engine.logs.errors import PatternError

_UNBRACKETED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_FIELD: Final = re.compile(rf"\[([^\]]*)\]|{_UNBRACKETED.pattern}")
_NAME: Final = re.compile(r"\w+", re.ASCII)
_TOKEN: Final = re.compile(
    r"""\s*(?: (?P<and>&&) | (?P<or>\|\|) | (?P<open>\() | (?P<close>\))
    | (?P<operator>!=|<=|>=|=|<|>) | "(?P<quoted>(?:[^"\\]|\\.)*)" | %(?P<regex>[^%]+)%
    | (?P<word>[^\s,()&|=<>!"\]%]+) )""",
    re.VERBOSE,
)
_ELLIPSIS: Final = "..."

Fields = list[str]


class FieldPattern(NamedTuple):
    """names: of the fields that have one."""

    matches: Callable[[str], bool]
    extract: Callable[[str], Mapping[str, str]]
    regexes: int
    names: frozenset[str]


class _Wanted(NamedTuple):
    name: str
    test: Test | None
    regexes: int = 0


def compile_fields(text: str) -> FieldPattern:
    """text: with its brackets. Raises PatternError."""
    if not text.endswith("]"):
        raise PatternError("a pattern that begins with [ must end with ]")
    parts = _split(text[1:-1])
    if parts.count(_ELLIPSIS) > 1:
        raise PatternError("more than one ellipsis")
    wanted = [None if part == _ELLIPSIS else _parse(part) for part in parts]
    regexes = sum(each.regexes for each in wanted if each is not None)
    gap = wanted.index(None) if None in wanted else len(wanted)
    before = [each for each in wanted[:gap] if each is not None]
    after = [each for each in wanted[gap + 1 :] if each is not None]
    exact = None not in wanted

    def aligned(message: str) -> list[tuple[_Wanted, str]] | None:
        fields = fields_of(message)
        if len(fields) < len(before) + len(after) or (exact and len(fields) != len(before)):
            return None
        tail = fields[len(fields) - len(after) :]
        return [*zip(before, fields, strict=False), *zip(after, tail, strict=True)]

    def matches(message: str) -> bool:
        found = aligned(message)
        return found is not None and all(each.test is None or each.test(value) for each, value in found)

    def extract(message: str) -> Mapping[str, str]:
        """By name, or by number those that have none."""
        if aligned(message) is None:
            return {}
        fields = fields_of(message)
        names = [each.name for each in before] + [""] * (len(fields) - len(before) - len(after))
        names += [each.name for each in after]
        return {
            f"${name or at}": value for at, (name, value) in enumerate(zip(names, fields, strict=True), 1)
        }

    return FieldPattern(matches, extract, regexes, frozenset(each.name for each in (*before, *after)) - {""})


def fields_of(message: str) -> Fields:
    """The fields of an event."""
    fields, at, last = Fields(), 0, message.rfind("]")
    # Behind the last one no bracket is closed, and each would be looked for to the end.
    for match in _FIELD.finditer(message) if last >= 0 else ():
        fields.append(match[match.lastindex or 0])
        at = match.end()
        if at > last:
            break
    fields += [match[match.lastindex or 0] for match in _UNBRACKETED.finditer(message, at)]
    return fields


def _split(text: str) -> list[str]:
    """At the commas that are not in quotes or regular expressions."""
    parts = re.findall(r'(?:"(?:[^"\\]|\\.)*"|%[^%]*%|[^,"%])+|(?<=,)(?=,)|^(?=,)|(?<=,)$', text)
    return [part.strip() for part in parts]


def _parse(part: str) -> _Wanted:
    if part == "":
        return _Wanted("", None)
    if _NAME.fullmatch(part):
        return _Wanted(part, None)
    parser = _Parser(part)
    test = parser.test()
    return _Wanted(parser.name, test, parser.cursor.regexes)


class _Parser:
    """Conditions on one field: ``name op value`` with && and ||; the name may be repeated."""

    def __init__(self, text: str) -> None:
        self.cursor = Cursor(text, _TOKEN)
        self.name = ""

    def test(self) -> Test:
        test = self.cursor.any_of(self._one, _all_of, _any_of)
        self.cursor.must_be_over()
        return test

    def _one(self) -> Test:
        name = self.cursor.take("word")
        operator = self.cursor.take("operator")
        if name is None or operator is None or not _NAME.fullmatch(name):
            raise PatternError("a field's condition is a name, an operator and a value")
        if self.name not in ("", name):
            raise PatternError("a condition of one field on another one")
        self.name = name
        return self.cursor.test(operator)


def _all_of(tests: list[Test]) -> Test:
    return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)


def _any_of(tests: list[Test]) -> Test:
    return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)
