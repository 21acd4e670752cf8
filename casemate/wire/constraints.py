"""The model's constraints: required, length, range, pattern, enumeration, unions with one member.

``compile_check`` gives a function that only says yes or no, for the way of every request. When it says no,
``violations`` walks the value again and says what is wrong, with AWS's wording. Both read the same rules
(``Rules``), and a property test holds them together.

The wording is that of AWS's common validation: ``Value 'x' at 'tags.1.member.tagKey' failed to satisfy
constraint: Member must have length less than or equal to 128``. A sensitive value is left out of it, as AWS does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from casemate.wire.models import Shape
from casemate.wire.patterns import matcher
from casemate.wire.timestamps import to_iso8601_millis

Check = Callable[[Any], bool]

MAX_VIOLATIONS = 50
_NUMBERS = ("integer", "long", "float", "double")
_MEASURED = ("string", "blob", "list", "map", "character")


class Violation(NamedTuple):
    """One broken rule. path: ``tags.1.member.tagKey``; member: the model's name of the member concerned; rule:
    null, length, range, pattern, enum, element, union; text: AWS's words after 'constraint: '; shown: the value
    in AWS's words, None where it is sensitive."""

    path: str
    member: str
    rule: str
    text: str
    shown: str | None

    def __str__(self) -> str:
        value = {None: "Value", "null": "Value null"}.get(
            "null" if self.rule == "null" else self.shown, f"Value '{self.shown}'"
        )
        return f"{value} at '{self.path}' failed to satisfy constraint: {self.text}"


def message(found: list[Violation]) -> str:
    """``2 validation errors detected: ...; ...``"""
    noun = "error" if len(found) == 1 else "errors"
    return f"{len(found)} validation {noun} detected: " + "; ".join(map(str, found))


class Rules:
    """What one shape asks of a value, its members and elements aside."""

    __slots__ = ("_match", "_pattern", "enum", "longest", "shortest")

    def __init__(self, shape: Shape) -> None:
        traits = shape.traits
        self.shortest: float | None = traits.get("min")
        self.longest: float | None = traits.get("max")
        # The model bounds some members by a pattern or an enumeration that is only of use for strings.
        text = shape.kind == "string"
        self.enum: frozenset[str] | None = frozenset(traits["enum"]) if text and traits.get("enum") else None
        self._pattern: str | None = traits.get("pattern") if text else None
        self._match: Callable[[str], object] | None = None

    @property
    def pattern(self) -> Callable[[str], object] | None:
        """Compiled when first asked: many operations' patterns are never needed."""
        if self._match is None and self._pattern is not None:
            self._match = matcher(self._pattern)
        return self._match

    @property
    def empty(self) -> bool:
        return self.shortest is None and self.longest is None and self.enum is None and self._pattern is None


def _scalar_check(shape: Shape) -> Check | None:
    rules = Rules(shape)
    if rules.empty:
        return None
    low = rules.shortest if rules.shortest is not None else float("-inf")
    high = rules.longest if rules.longest is not None else float("inf")
    if shape.kind in _NUMBERS:
        return lambda value: low <= value <= high
    if rules.enum is not None and rules.shortest is None and rules.longest is None and rules.pattern is None:
        return rules.enum.__contains__
    if shape.kind == "string" and (rules.enum is not None or shape.traits.get("pattern")):
        members = rules.enum

        # Length first: a pattern is tried only on values of bounded length.
        def matches(value: str) -> bool:
            if not low <= len(value) <= high or (members is not None and value not in members):
                return False
            match = rules.pattern
            return match is None or match(value) is not None

        return matches
    if shape.kind in _MEASURED:
        return lambda value: low <= len(value) <= high
    return None


class Checks:
    """Checks of the shapes of one service, by name: a recursive shape refers to its own entry."""

    def __init__(self) -> None:
        self._done: dict[str, Check | None] = {}
        self._open: set[str] = set()

    def compile(self, shape: Shape) -> Check | None:
        """A function that tells whether a parsed value satisfies the shape's constraints; None: it has none."""
        if shape.kind not in ("structure", "list", "map"):
            return _scalar_check(shape)
        name = shape.name
        if name in self._done:
            return self._done[name]
        if name in self._open:
            return lambda value: (check := self._done[name]) is None or check(value)
        self._open.add(name)
        compiled = {"structure": self._structure, "list": self._list, "map": self._map}[shape.kind](shape)
        self._open.discard(name)
        self._done[name] = compiled
        return compiled

    def _structure(self, shape: Shape) -> Check | None:
        if shape.document or shape.event_stream:
            return None
        required = shape.required
        checks = {
            name: check
            for name, member in shape.members.items()
            if not member.traits.get("streaming") and (check := self.compile(member)) is not None
        }
        required = tuple(name for name in required if not _streamed(shape.members[name]))
        union = bool(shape.traits.get("union"))
        if not required and not checks and not union:
            return None

        def structure(value: Mapping[str, Any]) -> bool:
            for name in required:
                if name not in value:
                    return False
            for name, member in value.items():
                member_check = checks.get(name)
                if member_check is not None and not member_check(member):
                    return False
            return not union or len(value) == 1

        return structure

    def _list(self, shape: Shape) -> Check:
        low, high = _bounds(shape)
        element = self.compile(shape.element)
        if element is None:
            return lambda value: low <= len(value) <= high and None not in value
        return lambda value: (
            low <= len(value) <= high and all(item is not None and element(item) for item in value)
        )

    def _map(self, shape: Shape) -> Check:
        low, high = _bounds(shape)
        key = self.compile(shape.key)
        element = self.compile(shape.element)

        def check(value: Mapping[str, Any]) -> bool:
            if not low <= len(value) <= high:
                return False
            for name, item in value.items():
                if item is None or (key is not None and not key(name)):
                    return False
                if element is not None and not element(item):
                    return False
            return True

        return check


def _streamed(shape: Shape) -> bool:
    return bool(shape.traits.get("streaming")) or shape.event_stream


def _bounds(shape: Shape) -> tuple[float, float]:
    low = shape.traits.get("min")
    high = shape.traits.get("max")
    return (0 if low is None else low), (float("inf") if high is None else high)


def violations(shape: Shape, value: Any) -> list[Violation]:
    """What is wrong with a parsed value; empty when nothing is. At most MAX_VIOLATIONS are told."""
    return list(islice(_walk(shape, value, "", "", False), MAX_VIOLATIONS))


def _number(bound: float) -> str:
    return str(int(bound)) if float(bound).is_integer() else str(bound)


def _words(shape: Shape, value: Any) -> Iterator[tuple[str, str]]:
    """The broken rules of the value itself: (rule, AWS's words), the longer bound before the shorter."""
    rules = Rules(shape)
    if shape.kind in _NUMBERS:
        size, noun, rule = value, "value", "range"
    elif shape.kind in _MEASURED:
        size, noun, rule = len(value), "length", "length"
    else:
        return
    too_long = rules.longest is not None and size > rules.longest
    if too_long and rules.longest is not None:
        yield rule, f"Member must have {noun} less than or equal to {_number(rules.longest)}"
    if rules.shortest is not None and not size >= rules.shortest:
        yield rule, f"Member must have {noun} greater than or equal to {_number(rules.shortest)}"
    if rules.longest is not None and size != size:
        yield rule, f"Member must have {noun} less than or equal to {_number(rules.longest)}"
    if rules.enum is not None and value not in rules.enum:
        yield "enum", f"Member must satisfy enum value set: [{', '.join(shape.traits['enum'])}]"
    # The time that a pattern takes can grow with the square of the length: not for what is refused anyway.
    if rules.pattern is not None and not too_long and rules.pattern(value) is None:
        yield "pattern", f"Member must satisfy regular expression pattern: {shape.traits['pattern']}"


def _all_words(shape: Shape) -> str:
    """Every constraint of a list's element or map's value: AWS lists them all when one is broken."""
    rules = Rules(shape)
    noun = "value" if shape.kind in _NUMBERS else "length"
    words = []
    if rules.longest is not None:
        words.append(f"Member must have {noun} less than or equal to {_number(rules.longest)}")
    if rules.shortest is not None:
        words.append(f"Member must have {noun} greater than or equal to {_number(rules.shortest)}")
    if rules.pattern is not None:
        words.append(f"Member must satisfy regular expression pattern: {shape.traits['pattern']}")
    if rules.enum is not None:
        words.append(f"Member must satisfy enum value set: [{', '.join(shape.traits['enum'])}]")
    words.append("Member must not be null")
    return f"[{', '.join(words)}]"


def lower_first(name: str) -> str:
    """AWS's name of a member in messages and audit records: KeyId → keyId, SSEKMSKeyId → sSEKMSKeyId."""
    return name[:1].lower() + name[1:]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _walk(shape: Shape, value: Any, path: str, member: str, hidden: bool) -> Iterator[Violation]:
    hidden = hidden or shape.sensitive
    kind = shape.kind
    own = list(_words(shape, value))
    if own:
        shown = None if hidden else show(shape, value)
        # AWS tells the pattern before the lengths.
        for rule, text in sorted(own, key=lambda pair: pair[0] not in ("pattern", "enum")):
            yield Violation(path, member, rule, text, shown)
    if kind == "structure":
        yield from _walk_structure(shape, value, path, hidden)
    elif kind == "list":
        yield from _walk_list(shape, value, path, member, hidden)
    elif kind == "map":
        yield from _walk_map(shape, value, path, member, hidden)


def _walk_structure(shape: Shape, value: Mapping[str, Any], path: str, hidden: bool) -> Iterator[Violation]:
    if shape.document or shape.event_stream:
        return
    if shape.traits.get("union") and len(value) != 1:
        text = "Member must have exactly one member set"
        yield Violation(path, shape.name, "union", text, None if hidden else show(shape, value))
    for name, member_shape in shape.members.items():
        if _streamed(member_shape):
            continue
        inner = _join(path, lower_first(name))
        if name in value:
            yield from _walk(member_shape, value[name], inner, name, hidden)
        elif name in shape.required:
            yield Violation(inner, name, "null", "Member must not be null", None)


def _walk_list(shape: Shape, value: list[Any], path: str, member: str, hidden: bool) -> Iterator[Violation]:
    element = shape.element
    if element.kind in ("structure", "list", "map"):
        for number, item in enumerate(value, 1):
            inner = f"{path}.{number}.member"
            if item is None:
                yield Violation(inner, member, "null", "Member must not be null", None)
            else:
                yield from _walk(element, item, inner, member, hidden)
    elif any(item is None or next(_words(element, item), None) for item in value):
        shown = None if hidden or element.sensitive else show(shape, value)
        text = f"Member must satisfy constraint: {_all_words(element)}"
        yield Violation(path, member, "element", text, shown)


def _walk_map(
    shape: Shape, value: Mapping[str, Any], path: str, member: str, hidden: bool
) -> Iterator[Violation]:
    key, element = shape.key, shape.element
    shown = None if hidden or key.sensitive or element.sensitive else show(shape, value)
    if any(next(_words(key, name), None) for name in value):
        text = f"Map keys must satisfy constraint: {_all_words(key)}"
        yield Violation(path, member, "element", text, shown)
    nested = element.kind in ("structure", "list", "map")
    if any(item is None or (not nested and next(_words(element, item), None)) for item in value.values()):
        text = f"Map value must satisfy constraint: {_all_words(element)}"
        yield Violation(path, member, "element", text, shown)
    if nested:
        for name, item in value.items():
            if item is not None:
                yield from _walk(element, item, f"{path}.{name}.member", member, hidden)


def show(shape: Shape, value: Any) -> str:
    """A value as AWS's messages print it. Sensitive parts are masked, blobs show only their size."""
    if value is None:
        return "null"
    if shape.sensitive:
        return "*** Sensitive Data Redacted ***"
    kind = shape.kind
    if kind == "blob":
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    if kind == "list":
        return f"[{', '.join(show(shape.element, item) for item in value)}]"
    if kind == "map":
        pairs = (f"{show(shape.key, name)}={show(shape.element, item)}" for name, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if kind == "structure":
        if shape.document:
            return f"{shape.name}()"
        members = (
            f"{lower_first(name)}={show(shape.members[name], item)}"
            for name, item in value.items()
            if name in shape.members
        )
        return f"{shape.name}({', '.join(members)})"
    if kind == "timestamp" and isinstance(value, datetime):
        return to_iso8601_millis(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
