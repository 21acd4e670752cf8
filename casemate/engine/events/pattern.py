"""Event patterns: compiled once, then asked whether an event matches.

    pattern = compile_pattern('{"source": ["aws.s3"], "detail": {"size": [{"numeric": [">", 0]}]}}')
    pattern.matches(event)

All fields of a pattern must match, each by any of its values; an array in the event matches by any of its elements,
and the fields of an object in an array all by the same element. Source: "Creating Amazon EventBridge event patterns",
"Comparison operators for use in event patterns".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from casemate.engine.events.alike import Matcher, together
from casemate.engine.events.matchers import ABSENT, any_of, match_expression
from casemate.engine.events.tokens import PatternError, Token, Tokens

__all__ = ["Pattern", "PatternError", "compile_pattern"]

_OR: Final = "$or"
_NOT_IN_OR: Final = frozenset(
    {
        *("exactly", "prefix", "suffix", "numeric", "anything-but", "exists", "cidr", "equals-ignore-case"),
        *("wildcard", "interval"),
    }
)


class Peers:
    """The objects of one array, or an object by itself. What is asked about all of them is found out once, however
    many of them ask: an event costs no more than its size."""

    __slots__ = ("_all", "_below", "_present", "_values")

    def __init__(self, objects: Sequence[Mapping[str, Any]]) -> None:
        self._all = objects
        self._below: dict[str, Peers] = {}
        self._present: dict[str, bool] = {}
        self._values: dict[tuple[int, str], list[Any]] = {}

    def inner(self, name: str) -> Peers:
        """The objects in a field of any of them."""
        inner = self._below.get(name)
        if inner is None:
            inner = Peers([one for peer in self._all for one in _objects(peer.get(name))])
            self._below[name] = inner
        return inner

    def values(self, one: Mapping[str, Any], name: str) -> list[Any]:
        """The values in a field of one of them, without objects."""
        key = (id(one), name)
        values = self._values.get(key)
        if values is None:
            values = self._values[key] = _scalars(one[name])
        return values

    def have(self, name: str) -> bool:
        """Whether a field of any of them has a value."""
        present = self._present.get(name)
        if present is None:
            present = any(name in peer and bool(_scalars(peer[name])) for peer in self._all)
            self._present[name] = present
        return present


Test = Callable[[Mapping[str, Any], Peers], bool]


class Pattern:
    """A compiled pattern. text: as it was given."""

    __slots__ = ("_tests", "text")

    def __init__(self, text: str, tests: Sequence[Test]) -> None:
        self.text = text
        self._tests = tuple(tests)

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether the event, as JSON's types, matches."""
        peers = Peers((event,))
        return all(test(event, peers) for test in self._tests)


def compile_pattern(text: str) -> Pattern:
    """Raises PatternError, whose text is what AWS gives as the reason."""
    tokens = Tokens(text)
    if tokens.next().kind != "{":
        raise tokens.fail("Filter is not an object")
    return Pattern(text, _object(tokens, in_or=False))


def _object(tokens: Tokens, *, in_or: bool) -> list[Test]:
    """The tests of an object, whose opening brace was read."""
    tests: list[Test] = []
    while (token := tokens.next()).kind != "}":
        name = token.value
        if name == _OR:
            tests.append(_or(tokens))
            continue
        if in_or and name in _NOT_IN_OR:
            raise tokens.fail(f"{name} is Ruler reserved fieldName which cannot be used inside {_OR}.")
        kind = tokens.next().kind
        if kind == "{":
            tests.append(_inner(name, _object(tokens, in_or=in_or)))
        elif kind == "[":
            tests.append(_leaf(name, _values(tokens)))
        else:
            raise tokens.fail(f'"{name}" must be an object or an array')
    if not tests:
        raise tokens.fail("Empty objects are not allowed")
    return tests


def _or(tokens: Tokens) -> Test:
    if tokens.next().kind != "[":
        raise tokens.fail(f"It must be an Array followed with {_OR}.")
    branches: list[tuple[Test, ...]] = []
    while (token := tokens.next()).kind != "]":
        if token.kind != "{":
            raise tokens.fail(f"Only JSON object is allowed in array of {_OR} relationship.")
        branches.append(tuple(_object(tokens, in_or=True)))
    if len(branches) < 2:
        raise tokens.fail(f"There must have at least 2 Objects in {_OR} relationship.")

    def test(event: Mapping[str, Any], peers: Peers) -> bool:
        return any(all(each(event, peers) for each in branch) for branch in branches)

    return test


def _inner(name: str, tests: Sequence[Test]) -> Test:
    """The fields of an object inside."""

    def test(event: Mapping[str, Any], peers: Peers) -> bool:
        found = _objects(event.get(name))
        if not found:
            # Absence is all that can match here.
            nobody = Peers(())
            return all(each({}, nobody) for each in tests)
        every = peers.inner(name)
        return any(all(each(one, every) for each in tests) for one in found)

    return test


def _flat(value: Any) -> list[Any]:
    """The elements of an array and of those in it, in order."""
    if not isinstance(value, list):
        return [value]
    found: list[Any] = []
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, list):
            left.extend(reversed(each))
        else:
            found.append(each)
    return found


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in _flat(value) if isinstance(each, dict)] if value is not None else []


def _scalars(value: Any) -> list[Any]:
    return [each for each in _flat(value) if not isinstance(each, dict)]


def _values(tokens: Tokens) -> list[Matcher]:
    matchers: list[Matcher] = []
    equal: list[Token] = []
    while (token := tokens.next()).kind != "]":
        if token.kind == "{":
            matchers.append(match_expression(tokens))
        elif token.kind == "[":
            raise tokens.fail("Match value must be String, number, true, false, or null")
        else:
            equal.append(token)
    if equal:
        matchers.insert(0, any_of(equal))
    if not matchers:
        raise tokens.fail("Empty arrays are not allowed")
    return matchers


def _leaf(name: str, matchers: Sequence[Matcher]) -> Test:
    """A field's value: any of the matchers, for any of its elements. One object's absence of it is no absence where
    another of the same array has it."""
    absence = ABSENT in matchers
    present = tuple(together([matcher for matcher in matchers if matcher is not ABSENT]))

    def test(event: Mapping[str, Any], peers: Peers) -> bool:
        if name in event:
            value = event[name]
            if not isinstance(value, list | dict):
                return any(matcher(value) for matcher in present)
            values = peers.values(event, name)
            if any(any(map(matcher, values)) for matcher in present):
                return True
        return absence and not peers.have(name)

    return test
