"""What grants allow and whom they reach, without a server; and grants at rest and in memory, on both databases."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st
from kms_support import ABSENT_ID, ACCOUNT, OTHER_ACCOUNT, REGION, ROOT, call_by, keys_of, opened_store

from casemate.engine.envelope.hierarchy import RootKey
from casemate.engine.policy import Grade, Principal
from casemate.errors import AwsError
from casemate.services.kms.grant import (
    GRANTABLE,
    OPERATIONS,
    WITH_CONTEXT,
    Constraints,
    Grant,
    operations_on,
    pairs_of,
    places_of,
    wanted_by,
)
from casemate.services.kms.keys import Keys
from casemate.store.cache import Miss
from casemate.store.database import Store, Tx

PLACE = (ACCOUNT, REGION, ABSENT_ID)
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/app"
SOURCE = f"arn:aws:sns:{REGION}:{ACCOUNT}:topic"


def grant(number: int = 1, grantee: str = ALICE, *operations: str, **more: Any) -> Grant:
    made = Grant(
        *PLACE,
        id=f"{number:064x}",
        created=1_700_000_000.5,
        name="",
        grantee=grantee,
        retiree="",
        issuer=ACCOUNT,
        operations=operations or ("Encrypt",),
        constraints=Constraints(),
    )
    return made._replace(**more)


# --- what constraints mean

words = st.sampled_from(["a", "A", "b", "c"])
contexts = st.dictionaries(words, words, max_size=3)
constraints = st.builds(
    Constraints, st.none() | contexts, st.none() | contexts, st.sampled_from(["", "", SOURCE])
)
sources = st.sampled_from(["", SOURCE, SOURCE + "2"])


@given(constraints, contexts, sources, st.sampled_from(["Encrypt", "DescribeKey"]))
def test_a_request_finds_a_grant_wherever_it_may_be_kept(
    wanted: Constraints, context: dict[str, str], source: str, operation: str
) -> None:
    found = wanted_by(operation, {}, context, source)
    meets = found.met_by(grant(1, ALICE, "Encrypt", "DescribeKey", constraints=wanted))
    assert meets == wanted.met_by(operation, pairs_of(context), source)
    for shape, bucket in places_of(wanted):
        if meets and shape.kind and operation in WITH_CONTEXT:
            assert bucket in shape.buckets(found.context, found.source_arn)


@given(constraints, constraints, sources)
def test_a_child_finds_its_parent_wherever_it_may_be_kept(
    parent: Constraints, child: Constraints, source: str
) -> None:
    given_constraints = {
        "EncryptionContextEquals": child.equals,
        "EncryptionContextSubset": child.subset,
        "SourceArn": child.source_arn,
    }
    request = {
        "Operations": ["Encrypt"],
        "Constraints": {name: value for name, value in given_constraints.items() if value is not None},
    }
    found = wanted_by("CreateGrant", request, None, source)
    if found.met_by(grant(1, ALICE, "Encrypt", "CreateGrant", constraints=parent)):
        for shape, bucket in places_of(parent):
            assert not shape.kind or bucket in shape.buckets(found.context, found.source_arn)


@given(constraints, constraints, contexts, sources)
def test_what_is_as_strict_lets_no_more_through(
    child: Constraints, parent: Constraints, context: dict[str, str], source: str
) -> None:
    if child.as_strict_as(parent) and child.met_by("Encrypt", pairs_of(context), source):
        assert parent.met_by("Encrypt", pairs_of(context), source)
    # What contradicts itself lets nothing through.
    assert child.as_strict_as(child) or not child.context_met_by(pairs_of(child.equals))


def test_equal_and_partial_constraints_may_stand_together() -> None:
    both = Constraints({"a": "1", "b": "2"}, {"a": "1"})
    assert both.met_by("Encrypt", pairs_of({"b": "2", "A": "1"}), "")
    assert not both.met_by("Encrypt", pairs_of({"a": "1"}), "")
    impossible = Constraints({"b": "2"}, {"a": "1"})
    assert not impossible.met_by("Encrypt", pairs_of({"b": "2"}), "")


def test_a_source_constrains_all_but_retiring() -> None:
    bound = grant(1, ALICE, "Encrypt", "DescribeKey", constraints=Constraints(source_arn=SOURCE))
    for operation in ("Encrypt", "DescribeKey"):
        assert wanted_by(operation, {}, {}, SOURCE).met_by(bound)
        assert not wanted_by(operation, {}, {}, "").met_by(bound)
        assert not wanted_by(operation, {}, {}, SOURCE + "2").met_by(bound)
    parent = grant(1, ALICE, "Encrypt", "CreateGrant", constraints=Constraints(source_arn=SOURCE))
    assert parent.allows_child(frozenset({"Encrypt"}), Constraints(source_arn=SOURCE), SOURCE)
    assert not parent.allows_child(frozenset({"Encrypt"}), Constraints(source_arn=SOURCE), "")
    assert not parent.allows_child(frozenset({"Encrypt"}), Constraints(), SOURCE)


def test_every_operation_of_the_model_can_be_granted_on_some_key() -> None:
    shape: Any = get_session().get_service_model("kms").shape_for("GrantOperation")
    modelled = set(shape.enum)
    usages = {("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT"), *((usage, "a spec") for usage in OPERATIONS)}
    assert set().union(*(operations_on(*usage) for usage in usages)) == modelled == GRANTABLE
    assert operations_on("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT") > WITH_CONTEXT
    assert "Sign" not in operations_on("ENCRYPT_DECRYPT", "RSA_2048")
    assert "GenerateDataKey" not in operations_on("ENCRYPT_DECRYPT", "RSA_2048")


# --- at rest


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with opened_store(database) as store:
        yield store


@pytest.fixture(scope="module")
def root() -> RootKey:
    return RootKey.generate()


@pytest.fixture
def keys(store: Store, root: RootKey) -> Keys:
    keys = keys_of(store, root)
    made = store.write(lambda tx: keys.create(tx, ACCOUNT, REGION, 0.0, key_id=ABSENT_ID))
    assert made is not None
    return keys


def put(store: Store, keys: Keys, *grants: Grant) -> None:
    def run(tx: Tx) -> None:
        for each in grants:
            keys.grants.put(tx, each)

    store.write(run)


def reach(
    store: Store | None,
    keys: Keys,
    principal: Principal,
    action: str = "kms:Encrypt",
    context: Mapping[str, str] | None = None,
    source: str = "",
) -> Grade:
    """How far the key's grants reach the principal: as in a thread or, without a store, as in the event loop."""

    def ask(tx: Tx | None) -> Grade:
        call = call_by()
        call.identity = type(call.identity)(principal, call.identity.attached, {}, {})
        call.transaction = tx
        call.source_arn = source
        return keys.grants.reach(call, PLACE, action, {}, context)

    return ask(None) if store is None else store.read(ask)


USER = Principal("user", ALICE, ACCOUNT, id="AIDAALICEALICEALICE1")
SESSION = Principal(
    "role",
    f"arn:aws:sts::{ACCOUNT}:assumed-role/app/one",
    ACCOUNT,
    role_arn=ROLE,
    id="AROAAPPAPPAPPAPPAPP1:one",
)
FEDERATED = Principal("federated-user", f"arn:aws:sts::{ACCOUNT}:federated-user/bob", ACCOUNT, issuer=ALICE)
ROOT_USER = Principal("root", ROOT, ACCOUNT)
SERVICE = Principal("service", "storage.amazonaws.com", "", names=("storage.us-east-1.amazonaws.com",))
FOREIGN = Principal("user", f"arn:aws:iam::{OTHER_ACCOUNT}:user/alice", OTHER_ACCOUNT)


@pytest.mark.parametrize(
    ("grantee", "principal", "grade"),
    [
        (ALICE, USER, Grade.DIRECT),
        (ALICE, FOREIGN, Grade.NONE),
        (USER.id, USER, Grade.DIRECT),
        ("AIDABOBBOBBOBBOBBOB1", USER, Grade.NONE),
        ("AROAAPPAPPAPPAPPAPP1", SESSION, Grade.ENTITY),
        (ALICE, FEDERATED, Grade.ENTITY),
        (ROLE, SESSION, Grade.ENTITY),
        (ROLE.replace("/team", ""), SESSION, Grade.NONE),
        (SESSION.arn, SESSION, Grade.DIRECT),
        (SESSION.arn, replace(SESSION, arn=SESSION.arn.replace("one", "two")), Grade.NONE),
        (FEDERATED.arn, FEDERATED, Grade.DIRECT),
        (ROOT, ROOT_USER, Grade.DIRECT),
        (ROOT, USER, Grade.ACCOUNT),
        (ROOT, SESSION, Grade.ACCOUNT),
        (ROOT, FOREIGN, Grade.NONE),
        ("storage.us-east-1.amazonaws.com", SERVICE, Grade.DIRECT),
        ("storage.amazonaws.com", SERVICE, Grade.DIRECT),
        ("storage.eu-west-1.amazonaws.com", SERVICE, Grade.NONE),
        (ALICE, Principal("anonymous", "anonymous", ""), Grade.NONE),
    ],
)
def test_whom_a_grant_reaches(
    store: Store, keys: Keys, grantee: str, principal: Principal, grade: Grade
) -> None:
    put(store, keys, grant(1, grantee))
    assert reach(store, keys, principal) is grade
    assert reach(store, keys, principal, "kms:Decrypt") is Grade.NONE
    assert reach(store, keys, principal, "kms:PutKeyPolicy") is Grade.NONE


def test_many_grants_of_one_grantee_are_told_apart(store: Store, keys: Keys) -> None:
    """All have a pair in common, and differ in another, or in their source."""
    common = {"app": "shop", "stage": "test"}
    subsets = [Constraints(subset={**common, "Table": str(number)}) for number in range(30)]
    equals = [Constraints(equals={**common, "Queue": str(number)}) for number in range(30)]
    from_topics = [Constraints(subset=common, source_arn=f"{SOURCE}{number}") for number in range(30)]
    put(
        store,
        keys,
        *(
            grant(number, ALICE, "Encrypt", "DescribeKey", constraints=each)
            for number, each in enumerate((*subsets, *equals, *from_topics))
        ),
    )

    def reaches(context: dict[str, str], source: str = "", action: str = "kms:Encrypt") -> bool:
        """The same in a thread and, from memory, in the event loop."""
        found = reach(store, keys, USER, action, context, source)
        assert reach(None, keys, USER, action, context, source) is found
        return found is Grade.DIRECT

    assert reaches({**common, "table": "7"})
    assert reaches({**common, "TABLE": "29", "more": "x"})
    assert not reaches({**common, "table": "30"})
    assert not reaches({"app": "shop", "table": "7"})
    assert reaches({**common, "queue": "7"})
    assert not reaches({**common, "queue": "7", "more": "x"})
    assert not reaches({**common, "queue": "30"})
    assert reaches(common, f"{SOURCE}7")
    assert not reaches(common, f"{SOURCE}30")
    assert not reaches({"app": "shop"}, f"{SOURCE}7")
    assert not reaches(common)
    assert reaches({}, action="kms:DescribeKey")
    assert not reaches({**common, "table": "7"}, action="kms:Decrypt")
    put(store, keys, grant(100, constraints=Constraints(subset={**common, "table": "30"})))
    assert reaches({**common, "table": "30"}), "what was found before is not told after a change"
    store.write(lambda tx: keys.grants.delete(tx, grant(7)))
    assert not reaches({**common, "table": "7"})
    largest = store.read(
        lambda tx: tx.one(
            "SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM kms_grants GROUP BY bucket) AS sizes", ()
        )
    )
    assert largest is not None
    assert largest[0] <= 2, "a pair that all have in common is not what they are looked for by"


def test_a_grant_comes_back_as_it_was_put(store: Store, keys: Keys) -> None:
    wanted = grant(
        7,
        ALICE,
        "Encrypt",
        "CreateGrant",
        name="n",
        retiree=ROLE,
        issuer=OTHER_ACCOUNT,
        constraints=Constraints({}, {"ü": "ä"}, SOURCE),
        named={"AROAAPPAPPAPPAPPAPP1": ROLE},
    )
    put(store, keys, wanted)
    assert store.read(lambda tx: keys.grants.find(tx, PLACE, wanted.id)) == wanted
    assert store.read(lambda tx: keys.grants.named(tx, PLACE, "n")) == [wanted]
    assert store.read(lambda tx: keys.grants.named(tx, PLACE, "")) == []
    assert store.read(lambda tx: keys.grants.of_retiree(tx, REGION, ROLE, ("", "", ""), 9)) == [wanted]
    assert store.read(lambda tx: keys.grants.of_retiree(tx, "eu-west-1", ROLE, ("", "", ""), 9)) == []
    assert store.read(lambda tx: keys.grants.count(tx, PLACE)) == 1


def test_changes_are_seen_at_once_and_what_did_not_change_stays_in_memory(store: Store, keys: Keys) -> None:
    assert reach(store, keys, USER) is Grade.NONE
    assert reach(None, keys, USER) is Grade.NONE, "that there is none is remembered, too"
    put(store, keys, grant())
    with pytest.raises(Miss):
        reach(None, keys, USER)
    assert reach(store, keys, USER) is Grade.DIRECT
    assert reach(None, keys, USER) is Grade.DIRECT
    store.write(lambda tx: keys.grants.delete(tx, grant()))
    with pytest.raises(Miss):
        reach(None, keys, USER)
    assert reach(store, keys, USER) is Grade.NONE
    assert store.read(lambda tx: keys.grants.count(tx, PLACE)) == 0


def test_grants_go_with_their_key(store: Store, keys: Keys) -> None:
    other = grant(1)._replace(region="eu-west-1")
    put(store, keys, *(grant(number, f"{ALICE}{number}") for number in range(40)), grant(50), other)
    assert reach(store, keys, USER) is Grade.DIRECT
    key = store.read(lambda tx: keys.load(tx, *PLACE))
    assert key is not None
    store.write(lambda tx: keys.delete(tx, key.row))
    assert reach(store, keys, USER) is Grade.NONE
    assert store.read(lambda tx: keys.grants.of_key(tx, PLACE, "", "", 99)) == []
    assert store.read(lambda tx: keys.grants.count(tx, PLACE)) == 0
    assert store.read(lambda tx: keys.grants.find(tx, (ACCOUNT, "eu-west-1", ABSENT_ID), other.id)) == other


_ALTERED = {
    "id": f"UPDATE kms_grants SET id = '{2:064x}'",
    "created": "UPDATE kms_grants SET created = created + 1",
    "name": "UPDATE kms_grants SET name = 'x'",
    "grantee": f"UPDATE kms_grants SET grantee = '{ALICE}'",
    "retiree": f"UPDATE kms_grants SET retiree = '{ALICE}'",
    "issuer": f"UPDATE kms_grants SET issuer = '{OTHER_ACCOUNT}'",
    "operations": """UPDATE kms_grants SET operations = '["Encrypt", "Decrypt"]'""",
    "constraints": "UPDATE kms_grants SET constraints = '{}'",
    "named": 'UPDATE kms_grants SET named = \'{"AIDAALICEALICEALICE1": "x"}\'',
    "seal": "UPDATE kms_grants SET seal = (SELECT seal FROM kms_keys LIMIT 1)",
    "unreadable": "UPDATE kms_grants SET operations = '['",
}


@pytest.mark.parametrize("altered", _ALTERED)
def test_an_altered_grant_is_not_used(
    store: Store, keys: Keys, root: RootKey, altered: str, caplog: pytest.LogCaptureFixture
) -> None:
    grantee = ROLE if altered == "grantee" else ALICE
    put(store, keys, grant(1, grantee, constraints=Constraints(subset={"a": "1"})))
    assert store.write(lambda tx: tx.run(_ALTERED[altered], ())) == 1
    fresh = keys_of(store, root)
    listings: list[Callable[[Tx], object]] = [
        lambda tx: fresh.grants.of_key(tx, PLACE, "", "", 9),
        lambda tx: fresh.grants.find(tx, PLACE, f"{2 if altered == 'id' else 1:064x}"),
    ]
    for listing in listings:
        with caplog.at_level(logging.ERROR), pytest.raises(AwsError) as caught:
            store.read(listing)
        assert (caught.value.code, caught.value.status) == ("KMSInternalException", 500)
    with pytest.raises(AwsError) as caught:
        reach(store, fresh, USER, context={"a": "1"})
    assert caught.value.code == "KMSInternalException"
    assert ABSENT_ID in caplog.text, "the operator learns which key's grants they are"


@pytest.mark.parametrize("shape", ["", '["source"]', '["subset", "b"]', "["])
def test_a_grant_is_used_only_in_the_shape_of_its_constraints(
    store: Store, keys: Keys, root: RootKey, shape: str
) -> None:
    put(store, keys, grant(1, constraints=Constraints(subset={"a": "1"})))
    assert store.write(lambda tx: tx.run("UPDATE kms_grants SET shape = ?", (shape,))) == 1
    with pytest.raises(AwsError) as caught:
        reach(store, keys_of(store, root), USER)
    assert caught.value.code == "KMSInternalException"


def test_what_a_client_sends_does_not_fill_the_memory(store: Store, keys: Keys) -> None:
    put(store, keys, grant(1, constraints=Constraints(subset={"a": "1"})))
    long = {"a": "x" * 100_000}
    for context in ({"a": "1"}, long, {**long, "b": "1"}, {"a": "2"}, None):
        expected = Grade.DIRECT if context == {"a": "1"} else Grade.NONE
        assert reach(store, keys, USER, context=context) is expected
        assert reach(None, keys, USER, context=context) is expected
    kept = keys.grants._answers
    assert len(kept) == 3
    assert max(len(str(context)) for _, (_, context, _) in kept) < 1000


def test_a_grant_moved_to_another_key_is_not_used(store: Store, keys: Keys) -> None:
    other = store.write(lambda tx: keys.create(tx, ACCOUNT, REGION, 0.0))
    assert other is not None
    put(store, keys, grant())
    store.write(lambda tx: tx.run("UPDATE kms_grants SET key_id = ?", (other.row.id,)))
    with pytest.raises(AwsError) as caught:
        store.read(lambda tx: keys.grants.of_key(tx, other.row[:3], "", "", 9))
    assert caught.value.code == "KMSInternalException"
