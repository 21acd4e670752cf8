"""Comparisons of a field that are alike, tried together: an event costs not its size times its pattern's."""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

Matcher = Callable[[Any], bool]
"""Of one value. One that is alike to others of its field (``Alike``) can be tried together with them."""


class Alike:
    """A matcher of a kind of which a field may have many, that are tried together (``together``). what: the kind and
    what the value is compared with."""

    __slots__ = ("_test", "kind", "what")

    def __init__(self, kind: str, what: Any, test: Matcher) -> None:
        self.kind = kind
        self.what = what
        self._test = test

    def __call__(self, value: Any) -> bool:
        return self._test(value)


class Range(NamedTuple):
    """Numbers between two, each of which is among them or not."""

    least: float
    with_least: bool
    most: float
    with_most: bool


_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def of_text(test: Callable[[str], bool]) -> Matcher:
    return lambda value: isinstance(value, str) and test(value)


def parted(parts: Sequence[str]) -> Callable[[str], bool]:
    """Whether a value has the parts in order, at its beginning and its end too."""
    first, *middle, last = parts if len(parts) > 1 else (parts[0], "")
    if len(parts) == 1:
        return first.__eq__

    def test(value: str) -> bool:
        if len(value) < len(first) + len(last) or not (value.startswith(first) and value.endswith(last)):
            return False
        at, end = len(first), len(value) - len(last)
        for each in middle:
            at = value.find(each, at, end)
            if at < 0:
                return False
            at += len(each)
        return True

    return test


def together(matchers: Sequence[Matcher]) -> list[Matcher]:
    """The same matchers, those that are alike as one, which takes about as long for many as for few: an event's cost
    is not to be its size times the pattern's."""
    found: list[Matcher] = []
    alike: dict[str, list[Alike]] = {}
    for matcher in matchers:
        if isinstance(matcher, Alike):
            alike.setdefault(matcher.kind, []).append(matcher)
        else:
            found.append(matcher)
    for kind, several in alike.items():
        what = [each.what for each in several]
        found.append(several[0] if len(several) == 1 else TOGETHER[kind](what))
    return found


def _any_range(ranges: Sequence[Range]) -> Matcher:
    """In any of the ranges, by a search among those that do not touch each other."""
    merged: list[Range] = []
    for each in sorted(ranges, key=lambda each: (each.least, not each.with_least)):
        last = merged[-1] if merged else None
        if last is not None and (
            each.least < last.most or (each.least == last.most and (each.with_least or last.with_most))
        ):
            most, with_most = max((last.most, last.with_most), (each.most, each.with_most))
            merged[-1] = Range(last.least, last.with_least, most, with_most)
        else:
            merged.append(each)
    starts = [each.least for each in merged]

    def test(value: Any) -> bool:
        if not is_number(value):
            return False
        at = bisect_right(starts, value)
        # The one that begins at the value, or below it; two may begin or end there.
        return any(_within(value, each) for each in merged[max(0, at - 2) : at])

    return test


def _within(value: float, each: Range) -> bool:
    above = value >= each.least if each.with_least else value > each.least
    return above and (value <= each.most if each.with_most else value < each.most)


def _any_prefix(texts: Sequence[str]) -> Matcher:
    """Begins with any of the texts: of those in order, only what is nearest below the value can be its beginning, as
    none that begins with another one is kept."""
    kept: list[str] = []
    for text in sorted(set(texts)):
        if not kept or not text.startswith(kept[-1]):
            kept.append(text)

    def test(value: str) -> bool:
        at = bisect_right(kept, value)
        return at > 0 and value.startswith(kept[at - 1])

    return of_text(test)


def _any_suffix(texts: Sequence[str]) -> Matcher:
    test = _any_prefix([text[::-1] for text in texts])
    return of_text(lambda value: test(value[::-1]))


def _folded(of: Callable[[Sequence[str]], Matcher]) -> Callable[[Sequence[str]], Matcher]:
    def any_of_them(texts: Sequence[str]) -> Matcher:
        test = of(texts)
        return of_text(lambda value: test(value.casefold()))

    return any_of_them


def _any_equal(texts: Sequence[str]) -> Matcher:
    known = frozenset(texts)
    return of_text(lambda value: value in known)


def _any_network(networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> Matcher:
    """In any of the networks: by their numbers, of each length of mask and version."""
    known = {(each.version, each.prefixlen, int(each.network_address)) for each in networks}
    lengths = sorted({(version, length) for version, length, _ in known})

    def test(value: str) -> bool:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            return False
        number, bits = int(address), address.max_prefixlen
        return any(
            (version, length, number >> bits - length << bits - length) in known
            for version, length in lengths
            if version == address.version
        )

    return of_text(test)


def _any_wildcard(patterns: Sequence[Sequence[str]]) -> Matcher:
    """Any of the patterns, each as its parts between the wildcards: one automaton reads a value once."""
    import re2  # type: ignore[import-untyped]  # here, because few patterns have several wildcards

    # Half a pair of surrogates, which JSON may have, is nothing to it.
    odd = [parted(parts) for parts in patterns if not _is_whole("".join(parts))]
    all_of_them = [parted(parts) for parts in patterns]
    whole = [".*".join(map(re2.escape, parts)) for parts in patterns if _is_whole("".join(parts))]
    options = re2.Options()
    options.never_capture = options.dot_nl = True
    compiled = re2.compile(f"(?:{'|'.join(whole)})", options) if whole else None

    def test(value: str) -> bool:
        if compiled is None or not _is_whole(value):
            return any(one(value) for one in all_of_them)
        return compiled.fullmatch(value) is not None or any(one(value) for one in odd)

    return of_text(test)


def _is_whole(text: str) -> bool:
    """Whether it can be written in UTF-8."""
    return text.isascii() or _SURROGATE.search(text) is None


def any_but(forbidden: Sequence[tuple[frozenset[str], frozenset[float]]]) -> Matcher:
    """Not among the texts or numbers of one of them at least: not among those of all."""
    texts = frozenset[str].intersection(*(each[0] for each in forbidden))
    numbers = frozenset[float].intersection(*(each[1] for each in forbidden))
    return lambda value: (
        value not in texts if isinstance(value, str) else not (is_number(value) and value in numbers)
    )


TOGETHER: Final[dict[str, Callable[[Any], Matcher]]] = {
    "anything-but": any_but,
    "cidr": _any_network,
    "equals-ignore-case": _folded(_any_equal),
    "exactly": _any_equal,
    "numeric": _any_range,
    "prefix": _any_prefix,
    "prefix equals-ignore-case": _folded(_any_prefix),
    "suffix": _any_suffix,
    "suffix equals-ignore-case": _folded(_any_suffix),
    "wildcard": _any_wildcard,
}
