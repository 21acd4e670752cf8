"""Entities as rows, on both databases."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import RootKey
from casemate.gate.keyring import Keyring
from casemate.services.iam import access_key_rows, directory, sessions
from casemate.services.iam.entities import (
    KINDS,
    Group,
    InstanceProfile,
    Link,
    ManagedPolicy,
    Role,
    User,
    Version,
    of_content,
)
from casemate.services.iam.identities import AccessKey, create_access_key, unwrap_secret
from casemate.services.iam.store import DOMAIN, Entities
from casemate.services.iam.uses import Uses, forget
from casemate.store.database import Store, Tx, Unavailable, open_store
from casemate.store.migrate import discover

ACCOUNT, OTHER = "111122223333", "444455556666"
KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")

MIGRATIONS = (discover("casemate.gate"), discover("casemate.services.iam"))


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    store = open_store(database, migrations=MIGRATIONS)
    yield store
    store.close()


@pytest.fixture
def entities() -> Entities:
    return Entities(Keyring(RootKey.generate()))


def user(name: str, path: str = "/", account: str = ACCOUNT, **more: Any) -> User:
    return User(account=account, name=name, path=path, id=f"AIDA{name.upper()}", created=1.0, **more)


def test_entities_are_found_by_kind_and_name(store: Store, entities: Entities) -> None:
    alice = user("Alice", attached=("arn:x",), inline={"p": "{}"}, tags={"a": "ä"})
    group = Group(account=ACCOUNT, name="Alice", id="AGPA1", created=1.0)
    for each in (alice, group, user("Alice", account=OTHER)):
        assert store.write(lambda tx, each=each: entities.add(tx, each)) is True  # type: ignore[misc]
    assert store.write(lambda tx: entities.add(tx, user("ALICE"))) is False

    def look(tx: Tx) -> list[Any]:
        return [
            entities.find(tx, User, ACCOUNT, "aLICE"),
            entities.find(tx, Group, ACCOUNT, "alice"),
            entities.find(tx, Role, ACCOUNT, "alice"),
            entities.with_id(tx, User, ACCOUNT, alice.id),
        ]

    assert store.read(look) == [alice, group, None, alice]
    with pytest.raises(Tampered):
        store.read(lambda tx: entities.with_id(tx, Group, ACCOUNT, alice.id))
    with pytest.raises(Tampered):
        store.read(lambda tx: entities.with_id(tx, User, ACCOUNT, "AIDANOBODY"))


def test_lists_are_in_the_order_of_names_whatever_their_case(store: Store, entities: Entities) -> None:
    def make(tx: Tx) -> None:
        for name, path in (("b", "/x/"), ("A", "/x/y/"), ("C", "/xy/"), ("d_", "/"), ("D-", "/x/")):
            entities.add(tx, user(name, path))
        entities.add(tx, user("a", account=OTHER))

    store.write(make)

    def names(*args: Any, **more: Any) -> list[str]:
        return store.read(lambda tx: [each.name for each in entities.page(tx, User, ACCOUNT, *args, **more)])

    assert names() == ["A", "b", "C", "D-", "d_"]
    assert names("b", 2) == ["C", "D-"]
    assert names(prefix="/x") == ["A", "b", "C", "D-"]
    assert names(prefix="/x/") == ["A", "b", "D-"]
    assert store.read(lambda tx: entities.count(tx, User, ACCOUNT)) == 5


def test_links_follow_what_is_stored(store: Store, entities: Entities) -> None:
    bound = user("a", attached=("arn:p", "arn:q"), boundary="arn:p", groups=("AGPA1",))

    def refer(*link: str) -> list[str]:
        found = Link(*link)
        return store.read(lambda tx: [each.name for each in entities.referring(tx, User, ACCOUNT, found)])

    def targets(*relations: str) -> set[str]:
        return store.read(lambda tx: entities.targets(tx, ACCOUNT, relations))

    store.write(lambda tx: [entities.add(tx, bound), entities.add(tx, user("b", attached=("arn:p",)))])
    assert refer("policy", "arn:p") == ["a", "b"]
    assert refer("boundary", "arn:p") == refer("group", "AGPA1") == ["a"]
    assert targets("policy", "boundary") == {"arn:p", "arn:q"}
    assert targets("boundary") == {"arn:p"}
    renamed = replace(bound, name="z", attached=("arn:q",), boundary="")
    store.write(lambda tx: entities.save(tx, renamed))
    assert refer("policy", "arn:p") == ["b"]
    assert refer("policy", "arn:q") == refer("group", "AGPA1") == ["z"]
    assert targets("boundary") == set()
    assert store.read(lambda tx: entities.find(tx, User, ACCOUNT, "a")) is None
    store.write(lambda tx: entities.remove(tx, renamed))
    assert refer("group", "AGPA1") == []
    assert store.read(lambda tx: entities.count_referring(tx, ACCOUNT, Link("policy", "arn:q"))) == 0


def test_a_policy_is_found_by_its_whole_arn(store: Store, entities: Entities) -> None:
    policy = ManagedPolicy(
        account=ACCOUNT, name="P", path="/x/", id="ANPA1", created=1.0, versions={"v1": Version("{}", 1.0)}
    )
    store.write(lambda tx: entities.add(tx, policy))

    def found(arn: str) -> ManagedPolicy | None:
        return store.read(lambda tx: entities.policy(tx, ACCOUNT, arn))

    assert found(policy.arn) == policy
    assert found(f"arn:aws:iam::{ACCOUNT}:policy/P") is None, "without its path"
    assert found(policy.arn.replace("/P", "/p")) is None


def test_keys_follow_their_user_and_status(store: Store, entities: Entities) -> None:
    keyring = entities.keyring
    store.write(lambda tx: create_access_key(tx, keyring, ACCOUNT, "alice", 1.0, KEY))

    def change(tx: Tx) -> None:
        access_key_rows.rename(tx, keyring, ACCOUNT, "alice", "bob")
        [row] = access_key_rows.of_user(tx, ACCOUNT, "bob")
        access_key_rows.switch(tx, keyring, row, "Inactive")

    store.write(change)

    def look(tx: Tx) -> tuple[Any, str]:
        stored = tx.one("SELECT secret FROM iam_access_keys")
        assert stored is not None
        secret = unwrap_secret(tx, keyring, ACCOUNT, "bob", KEY.id, "Inactive", stored[0])
        return access_key_rows.with_id(tx, KEY.id), secret

    row, secret = store.read(look)
    assert (row.user, row.status, secret) == ("bob", "Inactive", KEY.secret)
    store.write(lambda tx: access_key_rows.delete(tx, row))
    assert store.read(lambda tx: access_key_rows.with_id(tx, KEY.id)) is None


def test_uses_are_written_once_and_forgotten(store: Store) -> None:
    uses = Uses()
    uses.note("AKIA1", ACCOUNT, 5.0, "kms", "eu-west-1")
    uses.note("AKIA1", ACCOUNT, 6.0, "sts", "eu-west-1")
    uses.flush(store)
    uses.note("AKIA1", ACCOUNT, 4.0, "iam", "us-east-1")
    uses.flush(store)
    last = store.read(lambda tx: Uses().last(tx, "AKIA1"))
    assert last is not None
    assert (last.last, last.service) == (6.0, "sts")
    store.write(lambda tx: forget(tx, "AKIA1"))
    assert store.read(lambda tx: Uses().last(tx, "AKIA1")) is None


class Broken:
    """A store whose writes fail."""

    def submit(self, fn: Any, done: Any, request_id: str | None = None) -> None:
        done(None, Unavailable("gone"))


def test_uses_that_could_not_be_written_are_written_next_time(store: Store) -> None:
    uses = Uses()
    uses.note("AKIA1", ACCOUNT, 5.0, "kms", "eu-west-1")
    uses.note("AKIA2", ACCOUNT, 5.0, "kms", "eu-west-1")
    broken: Any = Broken()
    uses.write(broken)
    uses.note("AKIA2", ACCOUNT, 7.0, "sts", "eu-west-1")
    uses.flush(store)

    def last(tx: Tx) -> list[Any]:
        return tx.all("SELECT id, last, service FROM iam_uses ORDER BY id")

    assert store.read(last) == [("AKIA1", 5.0, "kms"), ("AKIA2", 7.0, "sts")]


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_maps = st.dictionaries(_texts, _texts, max_size=3)
_lists = st.lists(_texts, max_size=3).map(tuple)
_columns = {
    "account": st.just(ACCOUNT),
    "name": st.just("n"),
    "path": st.just("/"),
    "id": st.just("ID"),
    "created": st.floats(0, 1e10),
    "tags": _maps,
}
_held = {"attached": _lists, "inline": _maps}
_anything = st.one_of(
    st.builds(User, **_columns, **_held, boundary=_texts, groups=_lists),
    st.builds(Group, **_columns, **_held),
    st.builds(Role, **_columns, **_held, trust=_texts, trusted=_maps, description=_texts),
    st.builds(
        ManagedPolicy,
        **_columns,
        versions=st.dictionaries(_texts, st.builds(Version, _texts, st.floats(0, 1e10)), max_size=3),
    ),
    st.builds(InstanceProfile, **_columns, role=_texts),
)


@given(_anything)
def test_what_is_stored_is_what_is_read(entity: Any) -> None:
    columns = {name: getattr(entity, name) for name in ("account", "name", "path", "id", "created")}
    assert of_content(entity.KIND, entity.content(), **columns) == entity
    assert "\0" not in entity.content(), "which PostgreSQL does not store"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_kept_in_memory_is_told_of_and_nothing_else(kind: str) -> None:
    """Whatever the directory's caches load is of a kind whose changes bump their generation."""
    source = inspect.getsource(directory) + inspect.getsource(sessions)
    loaded = re.search(rf"\b{KINDS[kind].__name__}\b", source) is not None
    assert loaded <= KINDS[kind].CACHED


def test_a_change_of_what_nobody_keeps_makes_nobody_load_again(store: Store, entities: Entities) -> None:
    slot = store.generations.slot(DOMAIN)
    before = store.generations.current(slot)
    profile = InstanceProfile(account=ACCOUNT, name="p", id="AIPA1", created=1.0)
    store.write(lambda tx: entities.add(tx, profile))
    store.write(lambda tx: entities.save(tx, replace(profile, tags={"a": "b"})))
    assert store.generations.current(slot) == before
    store.write(lambda tx: entities.add(tx, user("a")))
    assert store.generations.current(slot) != before
