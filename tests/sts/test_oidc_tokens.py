"""ID tokens and key sets: whatever comes is read, or refused with one kind of error."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from issuer_support import AUDIENCE, Issuer

from casemate.engine.oidc.errors import OidcError, Refusal
from casemate.engine.oidc.id_token import audiences, check, issuer_of, key_of
from casemate.engine.oidc.key_set import KeySet

ISSUER = Issuer("https://token.ci.example.com/tenant")
KEYS = KeySet(json.dumps(ISSUER.key_set).encode())
GOOD = ISSUER.token()

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def _encoded(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


_tokens = st.tuples(_json, _json).map(lambda parts: f"{_encoded(parts[0])}.{_encoded(parts[1])}.x")


@given(st.text(max_size=60) | _tokens)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(OidcError):
        check(token, KEYS, ISSUER.url, [AUDIENCE], time.time())
    for read in (issuer_of, key_of):
        with suppress(OidcError):
            read(token)


@given(st.dictionaries(st.sampled_from(["sub", "aud", "azp", "exp", "iat", "nbf", "iss"]), _json, min_size=1))
def test_signed_claims_of_any_kind_are_taken_or_refused(claims: dict[str, Any]) -> None:
    token = ISSUER.token(**claims)
    try:
        taken = check(token, KEYS, ISSUER.url, [AUDIENCE], time.time())
    except OidcError:
        return
    assert audiences(taken) == [AUDIENCE] or AUDIENCE in audiences(taken)


@given(st.integers(0, len(GOOD) - 1), st.sampled_from("AZaz09-_."))
def test_an_altered_token_is_refused(at: int, character: str) -> None:
    altered = GOOD[:at] + character + GOOD[at + 1 :]
    if altered == GOOD:
        return
    try:
        taken = check(altered, KEYS, ISSUER.url, [AUDIENCE], time.time())
    except OidcError:
        return
    # Bits at the end of base64 that say nothing.
    assert taken == check(GOOD, KEYS, ISSUER.url, [AUDIENCE], time.time())


def test_times_to_the_second() -> None:
    issued = int(time.time())
    token = ISSUER.token(iat=issued, nbf=issued, exp=issued + 60)

    def at(now: float) -> None:
        check(token, KEYS, ISSUER.url, [AUDIENCE], now)

    at(issued + 59.9)
    with pytest.raises(OidcError) as expired:
        at(issued + 60)
    assert expired.value.refusal is Refusal.EXPIRED
    at(issued - 300)
    with pytest.raises(OidcError, match="not valid yet"):
        at(issued - 301)


def test_a_claim_that_is_there_twice_is_refused() -> None:
    head = GOOD.split(".")[0]
    body = urlsafe_b64encode(b'{"iss": "https://a.example.com", "iss": "https://b.example.com"}').decode()
    with pytest.raises(OidcError):
        issuer_of(f"{head}.{body}.x")


def test_an_issuer_with_a_slash_at_its_end_is_the_same() -> None:
    token = ISSUER.token(iss=ISSUER.url + "/")
    assert issuer_of(token) == ISSUER.url
    assert check(token, KEYS, ISSUER.url, [AUDIENCE], time.time())["iss"] == ISSUER.url + "/"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [1, null, {"kty": "oct", "k": "AAAA"}, {"kty": "RSA"}, {"kty": "EC", "crv": "P-999"}]}',
        json.dumps({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}).encode(),
        json.dumps({"keys": [{}] * 101}).encode(),
        json.dumps({"keys": [{**ISSUER.key_set["keys"][0], "use": "enc"}]}).encode(),
    ],
)
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(OidcError):
        KeySet(document)


@given(st.binary(max_size=40) | _json.map(lambda value: json.dumps({"keys": [value]}).encode()))
def test_key_sets_of_any_kind_are_refused_cleanly(document: bytes) -> None:
    with pytest.raises(OidcError):
        KeySet(document)


def test_a_key_of_another_kind_is_no_candidate() -> None:
    assert len(KEYS.candidates("one", "RS256")) == 1
    assert KEYS.candidates("one", "ES256") == []
    assert KEYS.candidates("one", "RS512") == []
    assert KEYS.candidates("two", "RS256") == []
    assert len(KEYS.candidates(None, "ES256")) == 1
