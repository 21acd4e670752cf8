"""The token of a session: it gives back what was sealed, and nothing that was altered, cut or made by another key."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.engine.envelope.hierarchy import RootKey
from casemate.engine.session_token import (
    LONGEST_TOKEN,
    BadToken,
    Session,
    SessionTokens,
    TooLarge,
    account_of,
    new_access_key_id,
    new_secret,
)

TOKENS = SessionTokens(RootKey(bytes(32)))
OTHER = SessionTokens(RootKey(bytes(31) + b"1"))

_names = st.text("abcXYZ019+=,.@-_", min_size=2, max_size=64)
_short = st.text(min_size=0, max_size=30)
_seconds = st.integers(0, 2**33)

sessions = st.builds(
    Session,
    access_key_id=st.builds(new_access_key_id, st.just("111122223333")),
    secret=st.builds(new_secret),
    kind=st.sampled_from(["user", "root", "role", "federated-user"]),
    account=st.integers(0, 10**12 - 1).map("{:012d}".format),
    name=_names,
    id=_names,
    issued=_seconds,
    expires=_seconds,
    session=_names,
    policy=st.none() | _short,
    policy_arns=st.lists(_short, max_size=3).map(tuple),
    tags=st.dictionaries(_short, _short, max_size=5),
    transitive=st.lists(_short, max_size=3).map(tuple),
    source_identity=_short,
    mfa=st.none() | _seconds,
    provider=_short,
    claims=st.dictionaries(_short, _short | st.lists(_short, max_size=3), max_size=4),
)


def a_session(**more: object) -> Session:
    session = Session(
        access_key_id=new_access_key_id("111122223333"),
        secret=new_secret(),
        kind="role",
        account="111122223333",
        name="deploy",
        id="AROAEXAMPLE",
        issued=1_700_000_000,
        expires=1_700_003_600,
        session="me",
    )
    return dataclasses.replace(session, **more)  # type: ignore[arg-type]


@given(sessions)
def test_a_token_gives_back_its_session(session: Session) -> None:
    token = TOKENS.seal(session)
    assert TOKENS.open(token) == session
    assert len(token) <= LONGEST_TOKEN
    assert session.secret not in token


@given(sessions, st.integers(0, LONGEST_TOKEN), st.characters(codec="latin-1"))
def test_an_altered_token_is_none(session: Session, place: int, character: str) -> None:
    token = TOKENS.seal(session)
    at = place % len(token)
    for altered in (
        token[:at] + character + token[at + 1 :],
        token[:at],
        token + character,
        character + token,
    ):
        if altered != token:
            with pytest.raises(BadToken):
                TOKENS.open(altered)


@given(sessions, sessions)
def test_tokens_do_not_mix(one: Session, other: Session) -> None:
    first, second = TOKENS.seal(one), TOKENS.seal(other)
    with pytest.raises(BadToken):
        TOKENS.open(first[: len(first) // 2] + second[len(second) // 2 :])


@given(st.text(max_size=200))
def test_what_is_no_token_is_none(text: str) -> None:
    with pytest.raises(BadToken):
        TOKENS.open(text)


def test_a_token_of_another_key_or_format_is_none() -> None:
    token = TOKENS.seal(a_session())
    with pytest.raises(BadToken):
        OTHER.open(token)
    # The format is the first byte: the first character and two bits of the second.
    assert token.startswith("AQ")
    with pytest.raises(BadToken):
        TOKENS.open("Ag" + token[2:])


def test_an_oversized_token_is_not_even_read() -> None:
    with pytest.raises(BadToken):
        TOKENS.open("A" * (LONGEST_TOKEN + 1))


def test_two_tokens_of_one_session_differ() -> None:
    session = a_session()
    assert TOKENS.seal(session) != TOKENS.seal(session)


def test_a_token_is_short() -> None:
    assert len(TOKENS.seal(a_session(session="a-session-name", name="a-role-name"))) < 400


@given(st.integers(0, LONGEST_TOKEN))
def test_a_token_is_as_long_as_is_wished(smallest: int) -> None:
    session = a_session(tags={"team": "red"})
    token = TOKENS.seal(session, smallest)
    assert smallest <= len(token) <= LONGEST_TOKEN
    assert TOKENS.open(token) == session


def test_what_does_not_fit_is_refused_with_its_size() -> None:
    assert a_session().packed_percent is None
    assert a_session(policy="{}").packed_percent == 1
    # 50 tags of random text cannot be packed well.
    many = a_session(tags={new_secret(): new_secret() * 2 for _ in range(50)})
    percent = many.packed_percent
    assert percent is not None
    assert percent > 100
    with pytest.raises(TooLarge) as caught:
        TOKENS.seal(many)
    assert caught.value.percent == percent
    # The same text again and again can.
    TOKENS.seal(a_session(tags={f"key-{number}": "value" for number in range(50)}))


@given(st.integers(0, 10**12 - 1))
def test_the_account_is_in_the_access_key_id(number: int) -> None:
    account = f"{number:012d}"
    key_id = new_access_key_id(account)
    assert len(key_id) == 20
    assert account_of(key_id) == account


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ASIA",
        "AKIAIOSFODNN7EXAMPLE",
        "ASIA0000000000000000",
        "ASIAAAAAAAAAAAAAAAAA",
        "ASIA7777777777777777",
    ],
)
def test_other_ids_tell_no_account(text: str) -> None:
    assert account_of(text) is None


def test_a_session_does_not_show_its_secret() -> None:
    session = a_session()
    assert session.secret not in repr(session)
