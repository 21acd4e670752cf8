"""Identities as they are stored: what was altered in the database is refused, not believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from casemate.engine.envelope.errors import Tampered
from casemate.engine.policy import PolicyError, Question, prepare
from casemate.gate.identity import Identity, session_of
from casemate.gate.keyring import Keyring
from casemate.server.composition import Opened, open_data
from casemate.server.config import Config
from casemate.server.first_start import prepare_data
from casemate.services.iam.directory import IamDirectory
from casemate.services.iam.entities import Group, Link, ManagedPolicy, Role, User, Version
from casemate.services.iam.identities import AccessKey, create_access_key, create_user
from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS
from casemate.services.iam.store import DOMAIN, Entities
from casemate.services.iam.uses import Uses
from casemate.store.database import Tx

ACCOUNT = "111122223333"
KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
DENY = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"kms:*","Resource":"*"}]}'
ALLOW = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"%s","Resource":"*"}]}'
TRUST = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",'
    f'"Principal":{{"AWS":"arn:aws:iam::{ACCOUNT}:user/alice"}}}}]}}'
)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """alice, in the group crew, with a managed policy and a boundary; bob, an administrator; the role ops."""
    config = Config(data=tmp_path / "data")
    prepare_data(config)
    opened = open_data(config)

    def make(tx: Tx) -> None:
        create_user(tx, opened.keyring, ACCOUNT, "alice", 1.0, inline={"no-kms": DENY})
        create_user(tx, opened.keyring, ACCOUNT, "bob", 1.0, attached=[ADMINISTRATOR_ACCESS])
        create_access_key(tx, opened.keyring, ACCOUNT, "alice", 1.0, KEY)
        entities = Entities(opened.keyring)
        alice = entities.find(tx, User, ACCOUNT, "Alice")
        assert alice is not None
        group = Group(
            account=ACCOUNT,
            name="crew",
            id="AGPACREW",
            created=1.0,
            inline={"read": ALLOW % "s3:Get*", "queue": ALLOW % "sqs:*"},
        )
        policy = managed("reading", ALLOW % "sns:Get*")
        entities.add(tx, group)
        mighty = Group(
            account=ACCOUNT, name="mighty", id="AGPAMIGHTY", created=1.0, attached=[ADMINISTRATOR_ACCESS]
        )
        entities.add(tx, mighty)
        entities.add(tx, policy)
        entities.add(tx, managed("limit", ALLOW.replace('"%s"', '["s3:*", "sns:*", "kms:*"]')))
        entities.save(
            tx,
            replace(
                alice,
                groups=[group.id],
                attached=[policy.arn],
                boundary=f"arn:aws:iam::{ACCOUNT}:policy/limit",
                tags={"Team": "red"},
            ),
        )
        entities.add(
            tx,
            Role(
                account=ACCOUNT,
                name="Ops",
                path="/team/",
                id="AROAOPS",
                created=1.0,
                trust=TRUST,
                trusted={alice.arn: alice.id},
                tags={"Team": "blue", "cost": "1"},
                attached=[policy.arn],
            ),
        )

    opened.store.write(make)
    yield opened
    opened.close()


def managed(name: str, document: str) -> ManagedPolicy:
    return ManagedPolicy(
        account=ACCOUNT, name=name, id=f"ANPA{name}", created=1.0, versions={"v1": Version(document, 1.0)}
    )


def identity(opened: Opened) -> Identity:
    directory = IamDirectory(opened.store, opened.keyring)
    credential = opened.store.read(lambda tx: directory.credential(KEY.id, tx))
    assert credential is not None
    return credential.identity


def rights(who: Identity) -> list[object]:
    """Who it is, and the statements of all its policies."""
    boundary = who.attached.boundary
    return [
        who.principal,
        [(policy.name, policy.statements) for policy in who.attached.identity],
        None if boundary is None else (boundary.name, boundary.statements),
    ]


def may(who: Identity, action: str) -> bool:
    question = Question(who.principal, who.attached, action, "*", ACCOUNT, known=who.known)
    return prepare(question).decide(lambda key: None).allowed


def test_a_key_is_found_with_its_user(opened: Opened) -> None:
    directory = IamDirectory(opened.store, opened.keyring)
    credential = opened.store.read(lambda tx: directory.credential(KEY.id, tx))
    assert credential is not None
    assert (credential.secret, credential.active) == (KEY.secret, True)
    assert credential.identity.principal.arn == f"arn:aws:iam::{ACCOUNT}:user/alice"
    assert credential.identity.known["aws:username"] == "alice"
    assert credential.identity.known["aws:principaltag/team"] == "red"
    assert KEY.secret not in repr(credential) + repr(KEY)
    assert opened.store.read(lambda tx: directory.credential("AKIAUNKNOWN000000000", tx)) is None


def test_a_user_may_what_its_policies_and_its_groups_allow_within_its_boundary(opened: Opened) -> None:
    who = identity(opened)
    assert may(who, "s3:GetObject"), "by the group's policy"
    assert may(who, "sns:GetTopicAttributes"), "by the managed policy"
    assert not may(who, "kms:GetKeyPolicy"), "denied by the user's own"
    assert not may(who, "sqs:GetQueueUrl"), "the group allows it, the boundary does not"
    assert not may(who, "s3:PutObject"), "the boundary allows it, and grants nothing"


def test_a_role_is_found_whatever_its_name_is_written_like(opened: Opened) -> None:
    directory = IamDirectory(opened.store, opened.keyring)

    def roles(tx: Tx) -> tuple[object, ...]:
        return tuple(directory.role(ACCOUNT, name, tx) for name in ("Ops", "ops", "other"))

    exact, folded, none = opened.store.read(roles)
    assert exact is folded
    assert none is None
    role = opened.store.read(lambda tx: directory.role(ACCOUNT, "ops", tx))
    assert role is not None
    assert (role.arn, role.longest) == (f"arn:aws:iam::{ACCOUNT}:role/team/Ops", 3600)
    session = session_of(role, "s1", "ASIAEXAMPLE", 0.0, tags={"team": "green"})
    assert session.principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/Ops/s1"
    assert session.principal.id == "AROAOPS:s1"
    assert session.known["aws:principaltag/team"] == "green", "the session's tag replaces the role's"
    assert session.known["aws:principaltag/cost"] == "1"
    assert may(session, "sns:GetTopicAttributes")
    assert not may(session, "s3:GetObject")
    narrowed = session_of(role, "s1", "ASIAEXAMPLE", 0.0, policies=())
    assert not may(narrowed, "sns:GetTopicAttributes")


def test_a_trust_policy_means_the_user_of_then_not_one_of_the_same_name(opened: Opened) -> None:
    directory = IamDirectory(opened.store, opened.keyring)
    role = opened.store.read(lambda tx: directory.role(ACCOUNT, "ops", tx))
    assert role is not None

    def trusted(who: Identity) -> bool:
        question = Question(
            who.principal, who.attached, "sts:AssumeRole", role.arn, ACCOUNT, role.trust, guarded=True
        )
        return prepare(question).decide(lambda key: None).allowed

    assert trusted(identity(opened))

    def again(tx: Tx) -> None:
        entities = Entities(opened.keyring)
        alice = entities.find(tx, User, ACCOUNT, "alice")
        assert alice is not None
        entities.remove(tx, alice)
        create_user(tx, opened.keyring, ACCOUNT, "alice", 2.0)

    opened.store.write(again)
    assert not trusted(identity(opened))


ALTERATIONS = [
    "DELETE FROM iam_entities WHERE name = 'crew'; "
    "UPDATE iam_entities SET id = 'AGPACREW', kind = 'group' WHERE name = 'mighty'",
    "UPDATE iam_entities SET content = replace(content, 'Deny', 'Allow') WHERE name = 'alice'",
    "UPDATE iam_entities SET content = replace(content, 'no-kms', 'other') WHERE name = 'alice'",
    "UPDATE iam_entities SET id = 'AIDAOTHER' WHERE name = 'alice'",
    "UPDATE iam_entities SET path = '/admins/' WHERE name = 'alice'",
    "UPDATE iam_entities SET content = (SELECT content FROM iam_entities WHERE name = 'bob'), "
    "seal = (SELECT seal FROM iam_entities WHERE name = 'bob') WHERE name = 'alice'",
    "UPDATE iam_entities SET handle = 'alicia' WHERE name = 'alice'; "
    "UPDATE iam_entities SET handle = 'alice' WHERE name = 'bob'",
    "UPDATE iam_entities SET content = replace(content, 's3:', 'kms:') WHERE name = 'crew'",
    "DELETE FROM iam_entities WHERE name = 'crew'",
    "UPDATE iam_entities SET content = replace(content, 'sns:', 'kms:') WHERE name = 'reading'",
    "DELETE FROM iam_entities WHERE name = 'reading'",
    "DELETE FROM iam_entities WHERE name = 'limit'",
    "DELETE FROM iam_entities WHERE name = 'limit'; "
    "UPDATE iam_entities SET handle = 'limit', name = 'limit' WHERE name = 'reading'",
    "UPDATE iam_access_keys SET user_name = 'bob'",
    "UPDATE iam_access_keys SET user_name = ''",
    "UPDATE iam_access_keys SET status = 'Inactive'",
    "UPDATE iam_access_keys SET id = 'AKIAIOSFODNN7EXAMPLF'",
]


@pytest.mark.parametrize("statement", ALTERATIONS)
def test_what_was_altered_is_refused(opened: Opened, statement: str) -> None:
    def alter(tx: Tx) -> None:
        for each in statement.split("; "):
            assert tx.run(each) == 1

    opened.store.write(alter)
    directory = IamDirectory(opened.store, opened.keyring)
    row = opened.store.read(lambda tx: tx.one("SELECT id FROM iam_access_keys"))
    assert row is not None
    with pytest.raises(Tampered):
        opened.store.read(lambda tx: directory.credential(row[0], tx))


@pytest.mark.parametrize("statement", ALTERATIONS)
def test_what_is_altered_while_it_is_in_memory_gives_nobody_rights(opened: Opened, statement: str) -> None:
    directory = IamDirectory(opened.store, opened.keyring)

    def look(tx: Tx) -> Identity | None:
        credential = directory.credential(KEY.id, tx)
        return None if credential is None else credential.identity

    def alter(tx: Tx) -> None:
        for each in statement.split("; "):
            tx.run(each)
        tx.bump(DOMAIN)

    before = opened.store.read(look)
    assert before is not None
    opened.store.write(alter)
    try:
        after = opened.store.read(look)
    except Tampered:
        return
    # The key's row is gone, or all is as it was.
    assert after is None or rights(after) == rights(before)


@pytest.mark.parametrize("before", ['\\"sts:AssumeRole\\"', '"longest":3600', "AROAOPS", "/team/"])
def test_an_altered_role_is_refused(opened: Opened, before: str) -> None:
    def alter(tx: Tx) -> None:
        for column in ("content", "id", "path"):
            tx.run(
                f"UPDATE iam_entities SET {column} = replace({column}, ?, '1') WHERE name = 'Ops'", (before,)
            )

    opened.store.write(alter)
    directory = IamDirectory(opened.store, opened.keyring)
    with pytest.raises(Tampered):
        opened.store.read(lambda tx: directory.role(ACCOUNT, "ops", tx))


def test_a_change_is_seen_by_the_next_request(opened: Opened) -> None:
    directory = IamDirectory(opened.store, opened.keyring)

    def now() -> Identity:
        credential = opened.store.read(lambda tx: directory.credential(KEY.id, tx))
        assert credential is not None
        return credential.identity

    def change(edit: Callable[[Entities, Tx], None]) -> None:
        opened.store.write(lambda tx: edit(Entities(opened.keyring), tx))

    def empty_group(entities: Entities, tx: Tx) -> None:
        group = entities.find(tx, Group, ACCOUNT, "crew")
        assert group is not None
        entities.save(tx, replace(group, inline={}))

    def other_policy(entities: Entities, tx: Tx) -> None:
        policy = entities.find(tx, ManagedPolicy, ACCOUNT, "reading")
        assert policy is not None
        entities.save(tx, replace(policy, versions={"v1": Version(ALLOW % "s3:Get*", 1.0)}))

    assert may(now(), "s3:GetObject")
    change(empty_group)
    assert not may(now(), "s3:GetObject")
    change(other_policy)
    assert may(now(), "s3:GetObject")


def test_what_refers_to_an_entity_is_found_from_the_other_end(opened: Opened) -> None:
    entities = Entities(opened.keyring)
    arn = f"arn:aws:iam::{ACCOUNT}:policy/reading"

    def look(tx: Tx) -> tuple[list[str], list[str], int, list[str]]:
        return (
            [user.name for user in entities.referring(tx, User, ACCOUNT, Link("policy", arn))],
            [role.name for role in entities.referring(tx, Role, ACCOUNT, Link("policy", arn))],
            entities.count_referring(tx, ACCOUNT, Link("policy", arn)),
            [user.name for user in entities.referring(tx, User, ACCOUNT, Link("group", "AGPACREW"))],
        )

    assert opened.store.read(look) == (["alice"], ["Ops"], 2, ["alice"])

    def detach(tx: Tx) -> None:
        alice = entities.find(tx, User, ACCOUNT, "alice")
        assert alice is not None
        entities.save(tx, replace(alice, attached=[], groups=[]))

    opened.store.write(detach)
    assert opened.store.read(look) == ([], ["Ops"], 1, [])


def test_a_user_is_made_once_and_with_policies_that_are_some(opened: Opened) -> None:
    store, keyring = opened.store, opened.keyring
    assert store.write(lambda tx: create_user(tx, keyring, ACCOUNT, "ALICE", 2.0)) is False
    user = store.read(lambda tx: Entities(keyring).find(tx, User, ACCOUNT, "alice"))
    assert user is not None
    assert user.inline == {"no-kms": DENY}, "the first one stays as it is"
    with pytest.raises(PolicyError):
        store.write(lambda tx: create_user(tx, keyring, ACCOUNT, "carol", 2.0, inline={"bad": "{}"}))
    with pytest.raises(ValueError, match="no managed policy"):
        store.write(lambda tx: create_user(tx, keyring, ACCOUNT, "carol", 2.0, attached=["arn:x"]))
    assert store.read(lambda tx: Entities(keyring).find(tx, User, ACCOUNT, "carol")) is None


def test_uses_are_gathered_and_the_latest_is_kept(opened: Opened) -> None:
    store = opened.store
    first, second = Uses(), Uses()
    first.note(KEY.id, ACCOUNT, 20.0, "kms", "eu-west-1")
    second.note(KEY.id, ACCOUNT, 10.0, "sts", "us-east-1")
    seen = store.read(lambda tx: first.last(tx, KEY.id))
    assert seen is not None
    assert seen.last == 20.0, "known before it is written"
    first.flush(store)
    second.flush(store)
    told = store.read(lambda tx: [uses.last(tx, KEY.id) for uses in (first, second, Uses())])
    assert told == [(ACCOUNT, 20.0, "kms", "eu-west-1")] * 3
    assert store.read(lambda tx: first.last(tx, "AKIAOTHER")) is None


def _old_user(tx: Tx, keyring: Keyring, name: str, attached: list[str], inline: dict[str, str]) -> None:
    """A user as the first migration's tables had it."""
    texts = [text for policy in sorted(inline.items()) for text in policy]
    bound: list[str | int] = [name, "/", f"AIDA{name}", len(attached), *attached, len(texts), *texts]
    seal = keyring.account_key(ACCOUNT, tx).wrap(b"", "iam user", *bound)
    tx.run("INSERT INTO iam_users VALUES (?, ?, '/', ?, 5.0, ?)", (ACCOUNT, name, f"AIDA{name}", seal))
    for arn in attached:
        tx.run("INSERT INTO iam_attached_policies VALUES (?, ?, ?)", (ACCOUNT, name, arn))
    for policy, document in inline.items():
        tx.run("INSERT INTO iam_inline_policies VALUES (?, ?, ?, ?)", (ACCOUNT, name, policy, document))


def test_users_of_older_databases_are_moved(opened: Opened) -> None:
    def old(tx: Tx) -> None:
        _old_user(tx, opened.keyring, "dora", [ADMINISTRATOR_ACCESS], {"no": DENY})
        _old_user(tx, opened.keyring, "emil", [], {})
        tx.run("INSERT INTO iam_attached_policies VALUES (?, 'emil', ?)", (ACCOUNT, ADMINISTRATOR_ACCESS))

    opened.store.write(old)
    opened.store.close()
    again = open_data(opened.config)
    entities = Entities(again.keyring)
    dora = again.store.read(lambda tx: entities.find(tx, User, ACCOUNT, "dora"))
    assert dora is not None
    assert (dora.id, dora.created) == ("AIDAdora", 5.0)
    assert (list(dora.attached), dora.inline) == ([ADMINISTRATOR_ACCESS], {"no": DENY})
    assert again.store.read(lambda tx: entities.find(tx, User, ACCOUNT, "emil")) is None, "it was altered"
    again.close()
