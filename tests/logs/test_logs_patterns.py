"""Filter patterns: which messages they mean. The cases are AWS's (source: "Filter pattern syntax for metric filters,
subscription filters, filter log events, and Live Tail") and those beside them."""

from __future__ import annotations

import json
import string
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.engine.logs import PatternError, compile_pattern
from casemate.engine.logs.field_pattern import fields_of

ERRORS = (
    "[ERROR 400] BAD REQUEST",
    "[ERROR 401] UNAUTHORIZED REQUEST",
    "[ERROR 419] MISSING ARGUMENTS",
    "[ERROR 420] INVALID ARGUMENTS",
    "[WARN] x",
)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("", (0, 1, 2, 3, 4)),
        ('" "', (0, 1, 2, 3, 4)),
        ("ERROR", (0, 1, 2, 3)),
        ("error", ()),
        ("ERROR ARGUMENTS", (2, 3)),
        ("?REQUEST ?WARN", (0, 1, 4)),
        ("?WARN ERROR", (0, 1, 2, 3)),
        ('"INVALID ARGUMENTS"', (3,)),
        ('"ERROR 4" -ARGUMENTS', (0, 1)),
        ("-ERROR", (4,)),
        ("%4[0-1]\\d%", (0, 1, 2)),
        ("%^.WARN%", (4,)),
        ("%REQUEST$|ARGUMENTS$%", (0, 1, 2, 3)),
    ],
)
def test_terms(pattern: str, found: Sequence[int]) -> None:
    matches = compile_pattern(pattern).matches
    assert tuple(at for at, message in enumerate(ERRORS) if matches(message)) == tuple(found)


EVENT = {
    "eventType": "UpdateTrail",
    "sourceIPAddress": "111.111.111.111",
    "arrayKey": ["value", "another value"],
    "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
    "SomeObject": None,
    "cluster.name": "c",
    "status": 404,
    "latency": 1.5e2,
    "text": "200",
    "ok": True,
    "user": {"email": "John.Doe@example.com", "device": {"up": False}},
}


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ("{ $.eventType = UpdateTrail }", True),
        ('{ $.eventType = "Update*" }', True),
        ('{ $.eventType != "Update*" }', False),
        ("{ $.sourceIPAddress != 123.123.* }", True),
        ('{ $.arrayKey[0] = "value" }', True),
        ('{ $.arrayKey[1] = "value" }', False),
        ('{ $.arrayKey[*] = "another value" }', True),
        ("{ $.arrayKey[7] NOT EXISTS }", True),
        ("{ $.objectList[1].id = 2 }", True),
        ("{ $.SomeObject IS NULL }", True),
        ("{ $.SomeOtherObject IS NULL }", False),
        ("{ $.SomeOtherObject NOT EXISTS }", True),
        ("{ $.SomeObject EXISTS }", True),
        ("{ $.ok IS TRUE }", True),
        ("{ $.user.device.up IS FALSE }", True),
        ("{ $.status = 404 }", True),
        ("{ $.status = 4.04e2 }", True),
        ("{ $.status >= 400 && $.status < 500 }", True),
        ("{ $.latency > 150 }", False),
        ("{ $.latency <= 150 }", True),
        ("{ $.status = 4* }", True),
        ("{ $.text = 200 }", True),
        ("{ $.eventType > 1 }", False),
        ("{ $.absent != 1 }", False),
        ("{ $.user.email = %[A-Za-z]+\\.Doe% }", True),
        ('{ ($.user.email = "x" || $.status = 404) && $.ok IS TRUE }', True),
        ('{ $.user.email = "x" || $.status = 404 && $.ok IS FALSE }', False),
        ('{ $["cluster.name"] = "c" }', True),
        ("{ $.['eventType'] = UpdateTrail }", True),
        ("{ $.user = * }", False),
    ],
)
def test_json(pattern: str, meant: bool) -> None:
    compiled = compile_pattern(pattern)
    assert compiled.matches(json.dumps(EVENT)) is meant
    assert not compiled.matches("not JSON")


ACCESS = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("[ip, server, username, timestamp, request, status, bytes]", True),
        ("[ip, server, username, timestamp, request, status]", False),
        ("[ip, server, username, timestamp, request=*.html*, status=4*, bytes]", True),
        ("[..., status=404 || status=410, bytes]", True),
        ("[..., status_code=410, bytes]", False),
        ("[ip=127.0.0.1, ...]", True),
        ("[ip!=127.0.0.1, ...]", False),
        ("[ip, ..., bytes>1000 && bytes<=1534]", True),
        ("[..., request=%index\\.html%, status, bytes]", True),
        ("[ip, , , , , , bytes]", True),
        ("[ip=%^10\\.%, ...]", False),
        ("[...]", True),
    ],
)
def test_fields(pattern: str, meant: bool) -> None:
    assert compile_pattern(pattern).matches(ACCESS) is meant


def test_what_a_pattern_names() -> None:
    named = compile_pattern("[ip, ..., request, status, bytes]").extract(ACCESS)
    assert named == {
        "$ip": "127.0.0.1",
        "$2": "Prod",
        "$3": "frank",
        "$4": "10/Oct/2000:13:25:15 -0700",
        "$request": "GET /index.html HTTP/1.0",
        "$status": "404",
        "$bytes": "1534",
    }
    found = compile_pattern("{ $.latency > 1 && $.objectList[1].name = * }").extract(json.dumps(EVENT))
    assert found == {"$.latency": "150.0", "$.objectList[1].name": "b"}
    assert compile_pattern("ERROR").extract("ERROR") == {}


@pytest.mark.parametrize(
    "pattern",
    [
        "[a, b",
        "{ $.a = 1",
        "{ $.a }",
        "{ a = 1 }",
        "{ $.a = }",
        "{ $.a > x }",
        "{ ($.a = 1 }",
        "{ $.a = 1 } x",
        "{" + "(" * 30 + "$.a = 1" + ")" * 30 + "}",
        "[a=1 && b=2]",
        "[..., a, ...]",
        '"open',
        "-",
        "a.b",
        "%a% b",
        "%(a)%",
        "%[%",
        "%é%",
        "%%",
        "{ $.a = %a% && $.b = %b% && $.c = %c% }",
    ],
)
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern)


_WORDS = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=3)


@given(
    terms=st.lists(st.tuples(st.sampled_from(["", "-"]), _WORDS), min_size=1, max_size=4),
    message=st.text("ab_1 "),
)
def test_terms_mean_what_they_say(terms: list[tuple[str, str]], message: str) -> None:
    pattern = compile_pattern(" ".join(sign + word for sign, word in terms))
    expected = all((word in message) is (sign == "") for sign, word in terms)
    assert pattern.matches(message) is expected
    if pattern.matches(message):
        assert all(word in message for word in pattern.needed)


@given(text=st.text(max_size=40), message=st.text(max_size=40))
@settings(max_examples=300)
def test_any_text_is_a_pattern_or_refused(text: str, message: str) -> None:
    for pattern in (text, "{" + text + "}", "[" + text + "]", f"%{text}%", "{ $.a = " + text + " }"):
        try:
            compiled = compile_pattern(pattern)
        except PatternError:
            continue
        assert compiled.matches(message) in (True, False)
        compiled.extract(message)


@pytest.mark.parametrize(
    "pattern",
    [
        "%.*a.*b.*c.*d.*e%",
        "[..., x=*a*b*c*d*e*]",
        '{ $.a = "*a*b*c*d*e*" }',
        "%(%".replace("(", "a?" * 60 + "a" * 60),
    ],
)
def test_no_pattern_takes_long(pattern: str) -> None:
    matches = compile_pattern(pattern).matches
    for message in ("abc" * 80_000, "a" * 240_000, json.dumps({"a": "abc" * 80_000})):
        begun = time.process_time()
        matches(message)
        # So little that a machine's pace does not matter: what backtracks takes hours.
        assert time.process_time() - begun < 20


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("a] [b c] [d e", ["a]", "b c", "[d", "e"]),
        ('"a ] b" [c', ["a ] b", "[c"]),
        ('[a "b] c" "d e', ['a "b', 'c"', '"d', "e"]),
        ('[] "" x', ["", "", "x"]),
        ("", []),
    ],
)
def test_the_fields_of_an_event(message: str, fields: Sequence[str]) -> None:
    assert fields_of(message) == fields


@pytest.mark.parametrize(
    "message",
    ["[ " * 120_000, '" ' * 119_999, '" ' + '\\" ' * 80_000, "[a] " + "[ " * 120_000, "] " + '[ " ' * 60_000],
)
def test_what_is_not_closed_takes_no_longer(message: str) -> None:
    begun = time.process_time()
    assert fields_of(message)
    # What looks for each one's end takes minutes.
    assert time.process_time() - begun < 5
