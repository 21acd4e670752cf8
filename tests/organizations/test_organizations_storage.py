"""What Organizations stores: sealed where it decides rights, and coherent among workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from orgs_support import allow, deny, document
from server_support import Server, running_server

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import RootKey
from casemate.engine.policy import Attached, Policy, Principal, Question, parse, prepare
from casemate.gate.keyring import Keyring
from casemate.services.iam.identities import AccessKey
from casemate.services.organizations import standings
from casemate.services.organizations.model import (
    ACCOUNT,
    ALL_FEATURES,
    FULL_ACCESS,
    INVITED,
    RCP,
    ROOT,
    SCP,
    UNIT,
    Account,
    Node,
    Organization,
    PolicyRow,
)
from casemate.services.organizations.state import Organizations
from casemate.store.database import Store, Tx, open_store
from casemate.store.migrate import discover

MANAGEMENT, MEMBER = "111122223333", "444455556666"
HOME = Organization("o-0123456789", MANAGEMENT, ALL_FEATURES, "r-0123", 1.5, (RCP, SCP))
UNIT_ID = "ou-0123-01234567"


class NoAccounts:
    """No account is made here."""

    def name(self, tx: Tx, account: str) -> str | None:
        raise NotImplementedError

    def make(self, tx: Tx, account: str, name: str, now: float) -> bool:
        raise NotImplementedError

    def let_administer(self, tx: Tx, account: str, role: str, trusted: str, now: float) -> None:
        raise NotImplementedError

    def let_serve(self, tx: Tx, account: str, service: str, now: float) -> None:
        raise NotImplementedError


def node(node_id: str, kind: str, parent: str, *policies: str) -> Node:
    return Node(
        HOME.id, node_id, kind, parent, node_id, policies, {}, INVITED if kind == ACCOUNT else "", 2.5
    )


def policy(policy_id: str, *statements: dict[str, object], kind: str = SCP) -> PolicyRow:
    return PolicyRow(HOME.id, policy_id, kind, policy_id, "", document(*statements), {}, 3.5)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = open_store(
        database,
        migrations=[discover("casemate.gate"), discover("casemate.services.organizations")],
    )
    yield opened
    opened.close()


@pytest.fixture
def organizations(store: Store) -> Organizations:
    made = Organizations(store, Keyring(RootKey(bytes(range(32)))), NoAccounts())
    full = tuple(each.id for each in FULL_ACCESS.values())

    def fill(tx: Tx) -> None:
        made.add_organization(tx, HOME)
        made.add_node(tx, HOME, node(HOME.root, ROOT, "", *full))
        made.add_node(tx, HOME, node(UNIT_ID, UNIT, HOME.root, *full, "p-no-s3"))
        made.add_node(tx, HOME, node(MANAGEMENT, ACCOUNT, HOME.root, *full))
        made.add_node(tx, HOME, node(MEMBER, ACCOUNT, UNIT_ID, *full, "p-no-kms"))
        made.add_policy(tx, HOME, policy("p-no-s3", deny("s3:*")))
        made.add_policy(tx, HOME, policy("p-no-kms", deny("kms:*", Principal="*"), kind=RCP))
        made.put_account(tx, Account(MEMBER, "a@example.com"))

    store.write(fill)
    return made


def test_a_standing_has_the_levels_from_the_root_down(store: Store, organizations: Organizations) -> None:
    standing = store.read(lambda tx: organizations.standing(MEMBER, tx))
    assert (standing.organization, standing.path) == (HOME.id, f"{HOME.id}/{HOME.root}/{UNIT_ID}/")
    named = [[each.name.rpartition("/")[2] for each in level] for level in standing.scps]
    assert named == [["p-FullAWSAccess"], ["p-FullAWSAccess", "p-no-s3"], ["p-FullAWSAccess"]]
    named = [[each.name.rpartition("/")[2] for each in level] for level in standing.rcps]
    assert named == [["p-RCPFullAWSAccess"], ["p-RCPFullAWSAccess"], ["p-RCPFullAWSAccess", "p-no-kms"]]
    assert not standing.closed
    assert organizations.standing(MEMBER, None) is standing, "it is in memory"
    management = store.read(lambda tx: organizations.standing(MANAGEMENT, tx))
    assert (management.organization, management.scps, management.rcps) == (HOME.id, (), ())
    assert store.read(lambda tx: organizations.standing("999999999999", tx)).organization == ""
    opened = store.read(lambda tx: [(name, open_it()) for name, open_it in organizations.sealed(tx)])
    assert [name for name, _ in opened] == [
        f"organization {HOME.id}",
        f"account {MEMBER}",
        f"place of account {MANAGEMENT}",
        f"place of account {MEMBER}",
    ]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE org_nodes SET policies = '[\"p-FullAWSAccess\"]' WHERE id = 'ou-0123-01234567'",
        "UPDATE org_nodes SET parent = 'r-0123' WHERE id = '444455556666'",
        "UPDATE org_nodes SET id = '444455556667' WHERE id = '444455556666'",
        "UPDATE org_nodes SET kind = 'UNIT' WHERE id = 'ou-0123-01234567'",
        "UPDATE org_organizations SET management = '444455556666'",
        "UPDATE org_organizations SET policy_types = '[]'",
        "UPDATE org_organizations SET feature_set = 'CONSOLIDATED_BILLING'",
        "UPDATE org_policies SET content = replace(content, 'Deny', 'Allow')",
        "UPDATE org_policies SET type = 'TAG_POLICY'",
        "UPDATE org_accounts SET closed = 7.5",
        "DELETE FROM org_policies WHERE id = 'p-no-s3'",
        "DELETE FROM org_nodes WHERE id = 'ou-0123-01234567'",
        "DELETE FROM org_organizations",
    ],
)
def test_what_was_altered_is_not_used(store: Store, organizations: Organizations, change: str) -> None:
    account = "444455556667" if "444455556667" in change else MEMBER
    store.write(lambda tx: tx.run(change))
    with pytest.raises(Tampered):
        store.read(lambda tx: organizations.standing(account, tx))

    def broken(tx: Tx) -> list[str]:
        found = []
        for name, open_it in organizations.sealed(tx):
            try:
                open_it()
            except Tampered:
                found.append(name)
        return found

    assert store.read(broken), "the doctor finds it"


def test_a_delegate_made_in_the_database_is_none(store: Store, organizations: Organizations) -> None:
    store.write(lambda tx: organizations.add_delegation(tx, HOME, MEMBER, "a.amazonaws.com", 1.5))
    assert store.read(lambda tx: organizations.delegations(tx, HOME)) == [(MEMBER, "a.amazonaws.com", 1.5)]
    store.write(lambda tx: tx.run("UPDATE org_delegates SET account = ?", (MANAGEMENT,)))
    with pytest.raises(Tampered):
        store.read(lambda tx: organizations.delegations(tx, HOME))


# --- properties

_ACTIONS = ("s3:GetObject", "s3:PutObject", "kms:Encrypt", "ec2:RunInstances")
_patterns = st.sampled_from(["*", "s3:*", "s3:Get*", "kms:Encrypt", "ec2:*", "s3:*Object"])
_statements = st.builds(
    lambda effect, actions: {"Effect": effect, "Action": actions, "Resource": "*"},
    st.sampled_from(["Allow", "Deny"]),
    st.lists(_patterns, min_size=1, max_size=3),
)
_scps = st.lists(st.lists(_statements, min_size=1, max_size=3), min_size=1, max_size=3)
_levels = st.lists(_scps, min_size=2, max_size=4)


def _allowed(levels: list[list[list[dict[str, object]]]], action: str) -> bool:
    """Whether an administrator of an account under these SCPs, from the root down, may do it."""
    policies: dict[str, PolicyRow] = {}
    branch = []
    for depth, scps in enumerate(levels):
        ids = []
        for number, statements in enumerate(scps):
            policy_id = f"p-{depth}-{number}"
            policies[policy_id] = policy(policy_id, *statements)
            ids.append(policy_id)
        kind = ROOT if depth == 0 else ACCOUNT if depth == len(levels) - 1 else UNIT
        branch.append(node(MEMBER if kind == ACCOUNT else f"n-{depth}", kind, "", *ids))
    standing = standings.of(HOME, branch, False, lambda _, policy_id: policies[policy_id])
    everything: Policy = parse(document(allow("*")), "identity")
    question = Question(
        Principal(kind="user", arn=f"arn:aws:iam::{MEMBER}:user/a", account=MEMBER),
        Attached(identity=(everything,), scps=standing.scps),
        action,
        "*",
        MEMBER,
    )
    return prepare(question).decide(lambda _: None).allowed


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(_levels, st.sampled_from(_ACTIONS), st.lists(_patterns, min_size=1), st.integers(0, 3))
def test_an_scp_that_denies_never_allows_more(
    levels: list[list[list[dict[str, object]]]], action: str, denied: list[str], depth: int
) -> None:
    more = [list(level) for level in levels]
    more[depth % len(more)].append([deny(*denied)])
    assert _allowed(levels, action) or not _allowed(more, action)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(_levels, st.sampled_from(_ACTIONS), _scps, st.integers(1, 3))
def test_another_level_never_allows_more(
    levels: list[list[list[dict[str, object]]]],
    action: str,
    between: list[list[dict[str, object]]],
    depth: int,
) -> None:
    at = min(depth, len(levels) - 1)
    assert _allowed(levels, action) or not _allowed([*levels[:at], between, *levels[at:]], action)


# --- several workers


def test_an_scp_binds_in_all_workers(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    keys = {name: {"id": f"AKIA{name:X<16}", "secret": f"secret-of-{name}"} for name in ("M", "A")}
    accounts = [
        {"id": account, "name": "x", "root_access_keys": [keys[name]]}
        for account, name in ((MANAGEMENT, "M"), (MEMBER, "A"))
    ]
    seed.write_text(json.dumps({"accounts": accounts}))
    with running_server(tmp_path / "run", "--dev", "--seed", str(seed), "--workers", "2") as server:
        management = _client(server, keys["M"], "organizations")
        management.create_organization()
        sent = management.invite_account_to_organization(Target={"Type": "ACCOUNT", "Id": MEMBER})
        _client(server, keys["A"], "organizations").accept_handshake(HandshakeId=sent["Handshake"]["Id"])
        made = management.create_policy(
            Type=SCP, Name="x", Description="", Content=document(deny("kms:ListKeys"))
        )["Policy"]["PolicySummary"]["Id"]
        # Each client has a connection of its own, which the kernel gives to one worker or the other.
        members = [_client(server, keys["A"], "kms") for _ in range(12)]
        for _ in range(5):
            management.attach_policy(PolicyId=made, TargetId=MEMBER)
            assert not any(map(_may, members))
            management.detach_policy(PolicyId=made, TargetId=MEMBER)
            assert all(map(_may, members))


def _client(server: Server, key: dict[str, str], service: str) -> Any:
    return server.client(service, AccessKey(key["id"], key["secret"]))


def _may(client: Any) -> bool:
    try:
        client.list_keys()
    except client.exceptions.ClientError as error:
        if "service control policy" in error.response["Error"]["Message"]:
            return False
        raise
    return True
