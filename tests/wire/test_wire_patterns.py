"""The models' patterns: all of them compile, none of them hangs, and the translations mean what Java's mean."""

from __future__ import annotations

import re
from itertools import product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_support import SERVICES, CannotMake, matching

from casemate.wire.models import service
from casemate.wire.patterns import (
    _LINEAR,
    UNSATISFIABLE,
    UntranslatablePattern,
    _ascii_category,
    _category,
    matcher,
)


def patterns(name: str) -> dict[str, dict[str, int]]:
    shapes = service(name).shapes.values()
    return {shape["pattern"]: shape for shape in shapes if "pattern" in shape and shape["type"] == "string"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_pattern_compiles_and_matches_something(name: str) -> None:
    random = Random(1)
    for pattern, shape in patterns(name).items():
        if pattern in UNSATISFIABLE:
            continue
        low = int(shape.get("min", 0))
        try:
            matching(random, pattern, low, int(shape.get("max", 400)), lambda _text: True)
        except CannotMake:
            pytest.fail(f"no value found for {pattern}")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", SERVICES)
def test_no_pattern_backtracks_without_bound(name: str) -> None:
    """The longest value that its length constraint lets through comes to an end: those that this test is after
    would take minutes to centuries."""
    for pattern, shape in patterns(name).items():
        longest = min(int(shape.get("max", 20_000)), 20_000)
        match = matcher(pattern)
        for seed, tail in product((" ", "a", "0", "/", "-a", "a.", ":", "\t"), ("\n", "!")):
            match((seed * longest)[: max(longest - 1, 0)] + tail)


@pytest.mark.parametrize("pattern", _LINEAR)
def test_linear_forms_equal_the_models(pattern: str) -> None:
    match = matcher(pattern)
    dot = pattern.replace(".", "[^\n\r\x85\u2028\u2029]") if pattern.startswith((".", "\\/")) else pattern
    letters = "0" * 12, " ", "\t", "a", "/", ":", "\n", "\x1f"
    for length in range(5):
        for parts in product(letters, repeat=length):
            text = "".join(parts)
            assert bool(match(text)) == bool(re.fullmatch(dot, text, re.ASCII)), repr(text)


@pytest.mark.parametrize(
    ("pattern", "accepted", "refused"),
    [
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", ["", "Ünïcode 漢字 ٣", "a b"], ["a!", "\u20ac", "a\n"]),
        (r"^([\p{L}\p{Z}\p{N}\p{P}\p{M}]*)$", ["e\u0301", "«»"], ["\u20ac", "$", "a\x00"]),
        (r"[^\p{C}]*", ["abc", "漢"], ["a\u200b", "\x00", "\ue000", "\U0003ffff", "\U00050000"]),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*", ["a\t", "\U0001f600"], ["\n", "\x01"]),
        (
            r"^arn:aws[a-z0-9-]*:iam::\d{12}:role\/[\w-\/.@+=,]{1,1017}$",
            ["arn:aws:iam::123456789012:role/a/b-c"],
            ["x"],
        ),
        (r"^[a-z]+$", ["abc"], ["abc\n", "", "aBc"]),
        (r"\d+\w\s?", ["12a", "12a "], ["\u0663\u0663a", "12é"]),
        (r"a.c", ["abc"], ["a\nc", "a\rc", "a\u2028c"]),
        (r"(?s).*", ["a\nb"], []),
        (r"[]a]+", ["]a"], ["b"]),
        (r"[a[]+", ["[a"], ["b"]),
    ],
)
def test_java_semantics(pattern: str, accepted: list[str], refused: list[str]) -> None:
    match = matcher(pattern)
    for text in accepted:
        assert match(text), f"{text!r} matches {pattern}"
    for text in refused:
        assert not match(text), f"{text!r} does not match {pattern}"


@pytest.mark.parametrize("pattern", [r"\p{Klingon}", "(", r"a{2}{3}"])
def test_untranslatable_patterns_are_named(pattern: str) -> None:
    with pytest.raises(UntranslatablePattern):
        matcher(pattern)


@settings(deadline=None)  # the tables take a moment
@given(
    st.characters(max_codepoint=127),
    st.sampled_from(["L", "Lu", "Ll", "M", "N", "Nd", "Z", "Zs", "P", "S", "C", "Cc"]),
)
def test_ascii_categories_are_unicodes(char: str, category: str) -> None:
    short, full = _ascii_category(category), _category(category)
    assert bool(short and re.fullmatch(f"[{short}]", char)) == bool(re.fullmatch(f"[{full}]", char))
