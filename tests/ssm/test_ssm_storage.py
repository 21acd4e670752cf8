"""Parameters at rest and in memory, on both kinds of database: what is bound to what, how pages are read, who sees a
change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ssm_support import ACCOUNT, OTHER_ACCOUNT, REGION

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import AccountKey, RootKey
from casemate.gate.call import Call
from casemate.gate.keyring import Keyring
from casemate.services.ssm.naming import Place
from casemate.services.ssm.parameter import Parameter
from casemate.services.ssm.parameters import Parameters, Under
from casemate.services.ssm.rows import (
    ADVANCED,
    STANDARD,
    Policy,
    Row,
    Setting,
    Share,
    Version,
    opened_row,
    opened_version,
    sealed_row,
    sealed_version,
)
from casemate.store.cache import Miss
from casemate.store.database import Store, Tx, open_store
from casemate.store.migrate import discover


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    found = open_store(database, migrations=[discover("casemate.gate"), discover("casemate.services.ssm")])
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def parameters(store: Store) -> Parameters:
    return Parameters(store, Keyring(RootKey.generate()))


def put(store: Store, parameters: Parameters, name: str, value: str = "value", **more: Any) -> Place:
    """A new parameter, or the next version."""
    place = Place(more.pop("account", ACCOUNT), more.pop("region", REGION), name)

    def write(tx: Tx) -> None:
        before = parameters.load(tx, place)
        number = 1 if before is None else before.row.version + 1
        row = Row(place, name, number) if before is None else before.row._replace(version=number)
        version = Version(number, 1.0, "arn:x", "String", value, **more)
        parameters.put(tx, row, version, None if before is None else before.current)

    store.write(write)
    return place


def call_in(tx: Tx | None) -> Call:
    call = object.__new__(Call)
    call.transaction = tx
    call.mutable = False
    return call


def paths(store: Store, parameters: Parameters, under: Under, after: str = "", count: int = 100) -> list[str]:
    found = store.read(lambda tx: parameters.page(tx, ACCOUNT, REGION, under, after, count))
    return [each.row.place.path for each in found]


def test_pages_are_of_a_level_or_of_all_below(store: Store, parameters: Parameters) -> None:
    names = ["/a", "/a-b/c", "/a.x", "/a/b", "/a/b/c", "/a/b/d", "/a/c", "/a0/b", "/B"]
    for name in names:
        put(store, parameters, name)
    for other in ({"account": OTHER_ACCOUNT}, {"region": "eu-west-1"}):
        put(store, parameters, "/a/other", **other)
    # By bytes, whatever the database's own order.
    assert paths(store, parameters, Under()) == sorted(names)
    assert paths(store, parameters, Under("/a")) == ["/a/b", "/a/b/c", "/a/b/d", "/a/c"]
    assert paths(store, parameters, Under("/a", recursive=False)) == ["/a/b", "/a/c"]
    assert paths(store, parameters, Under("/", recursive=False)) == ["/B", "/a", "/a.x"]
    assert paths(store, parameters, Under("/a"), after="/a/b/c", count=1) == ["/a/b/d"]
    assert paths(store, parameters, Under("/a", recursive=False), after="/a/b") == ["/a/c"]
    assert paths(store, parameters, Under(prefix="/a/b")) == ["/a/b", "/a/b/c", "/a/b/d"]
    assert paths(store, parameters, Under("/b")) == []


def test_a_page_is_read_by_an_index(store: Store, parameters: Parameters, database: str) -> None:
    """Whatever there is: neither kind of page looks at more than it holds."""
    if not database.startswith("sqlite"):
        return
    seen: list[str] = []

    class Explaining:
        def all(self, sql: str, params: Any) -> list[Any]:
            plan = store.read(lambda tx: tx.all(f"EXPLAIN QUERY PLAN {sql}", params))
            seen.append(" ".join(str(row[3]) for row in plan))
            return []

    for under in (Under(), Under("/a"), Under("/a", recursive=False), Under(prefix="/a")):
        parameters.page(Explaining(), ACCOUNT, REGION, under, "/a/x", 10)  # type: ignore[arg-type]
    assert len(seen) == 4
    for plan in seen:
        assert "SCAN" not in plan
        assert "TEMP B-TREE" not in plan


def test_counts_follow_the_tiers(store: Store, parameters: Parameters) -> None:
    def counts() -> tuple[int, int]:
        return store.read(
            lambda tx: (
                parameters.count(tx, ACCOUNT, REGION, STANDARD),
                parameters.count(tx, ACCOUNT, REGION, ADVANCED),
            )
        )

    one = put(store, parameters, "/one")
    put(store, parameters, "/two", tier=ADVANCED)
    put(store, parameters, "/one", "again")
    assert counts() == (1, 1)
    put(store, parameters, "/one", "up", tier=ADVANCED)
    assert counts() == (0, 2)

    def delete(tx: Tx) -> None:
        found = parameters.load(tx, one)
        assert found is not None
        parameters.delete(tx, found)

    store.write(delete)
    assert counts() == (0, 1)
    assert store.read(lambda tx: parameters.versions(tx, one, 0, 10)) == []


def test_what_is_in_memory_follows_every_change(store: Store, parameters: Parameters) -> None:
    place = put(store, parameters, "/cached", "one")

    def find(tx: Tx | None) -> Parameter | None:
        return parameters.find(call_in(tx), place)

    with pytest.raises(Miss):
        find(None)
    assert store.read(find) is not None
    found = find(None)
    assert found is not None
    assert found.current.value == "one"
    put(store, parameters, "/cached", "two")
    with pytest.raises(Miss):
        find(None)
    found = store.read(find)
    assert found is not None
    first = store.read(lambda tx: parameters.find_version(call_in(tx), found, 1))
    assert (found.current.value, first.value if first else "") == ("two", "one")


ALTERATIONS: dict[str, Callable[[Tx], object]] = {
    "another's row": lambda tx: tx.run(
        "UPDATE ssm_parameters SET sealed = (SELECT sealed FROM ssm_parameters WHERE path = '/other') "
        "WHERE path = '/mine'"
    ),
    "another's value": lambda tx: tx.run(
        "UPDATE ssm_versions SET sealed = (SELECT sealed FROM ssm_versions WHERE path = '/other' AND "
        "version = 2) WHERE path = '/mine' AND version = 2"
    ),
    "an older value": lambda tx: tx.run(
        "UPDATE ssm_versions SET sealed = (SELECT sealed FROM ssm_versions WHERE path = '/mine' AND version = 1) "
        "WHERE path = '/mine' AND version = 2"
    ),
    "an older version made current": lambda tx: tx.run(
        "UPDATE ssm_parameters SET version = 1 WHERE path = '/mine'"
    ),
    "another account's": lambda tx: (
        tx.run("UPDATE ssm_parameters SET account = '444455556666' WHERE path = '/mine'")
        + tx.run("UPDATE ssm_versions SET account = '444455556666' WHERE path = '/mine'")
    ),
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_what_was_altered_is_not_used(store: Store, parameters: Parameters, alteration: str) -> None:
    for name in ("/mine", "/other"):
        put(store, parameters, name, f"one of {name}")
        put(store, parameters, name, f"two of {name}")
    # So that the other account has a key of its own.
    put(store, parameters, "/theirs", account=OTHER_ACCOUNT)
    store.write(ALTERATIONS[alteration])
    account = OTHER_ACCOUNT if alteration == "another account's" else ACCOUNT
    with pytest.raises(Tampered):
        store.read(lambda tx: parameters.load(tx, Place(account, REGION, "/mine")))


def test_settings_are_bound_to_their_place(store: Store, parameters: Parameters) -> None:
    def settings(region: str) -> Any:
        def read(tx: Tx) -> Any:
            call = call_in(tx)
            call.account, call.region = ACCOUNT, region
            return parameters.settings(call)

        return store.read(read)

    changed = Setting("true", 1.0, "arn:x")
    store.write(lambda tx: parameters.put_setting(tx, ACCOUNT, REGION, "/a", changed))
    assert settings(REGION) == {"/a": changed}
    assert settings("eu-west-1") == {}
    store.write(lambda tx: tx.run("UPDATE ssm_settings SET id = '/b'"))
    store.bump_all()
    with pytest.raises(Tampered):
        settings(REGION)


# --- rows, without a database

_KEY = AccountKey.generate(ACCOUNT, 1)
_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_POLICIES = st.lists(
    st.builds(Policy, _TEXT, _TEXT, _TEXT, st.floats(allow_nan=False, allow_infinity=False)), max_size=2
).map(tuple)
_SHARES = st.lists(
    st.builds(Share, _TEXT, _TEXT, _TEXT, st.dictionaries(_TEXT, _TEXT, max_size=2)), max_size=2
).map(tuple)


@settings(max_examples=25)
@given(
    tags=st.dictionaries(_TEXT, _TEXT),
    labels=st.dictionaries(_TEXT, st.integers(1, 2**40)),
    policies=_POLICIES,
    shares=_SHARES,
    texts=st.tuples(*[_TEXT] * 7),
)
def test_what_is_sealed_opens_to_the_same(
    tags: dict[str, str],
    labels: dict[str, int],
    policies: tuple[Policy, ...],
    shares: tuple[Share, ...],
    texts: tuple[str, ...],
) -> None:
    place = Place(ACCOUNT, REGION, "/a")
    row = Row(place, "/a", 7, tags, labels, policies, shares)
    assert opened_row(_KEY, place, 7, sealed_row(_KEY, row)) == row
    version = Version._make((7, 1.5, *texts, "text", policies))
    assert opened_version(_KEY, place, 7, sealed_version(_KEY, place, version)) == version
    for other in (Place(ACCOUNT, REGION, "/b"), Place(ACCOUNT, "eu-west-1", "/a")):
        with pytest.raises(Tampered):
            opened_row(_KEY, other, 7, sealed_row(_KEY, row))
        with pytest.raises(Tampered):
            opened_version(_KEY, other, 7, sealed_version(_KEY, place, version))


def test_a_page_s_order_is_that_of_paths(store: Store, parameters: Parameters) -> None:
    for number in range(30):
        put(store, parameters, f"/order/{number * 7 % 30:02}")
    listed: list[str] = []
    while page := paths(store, parameters, Under("/order"), after=listed[-1] if listed else "", count=7):
        listed += page
    assert len(listed) == 30
    assert all(one < two for one, two in pairwise(listed))
