"""Organisations, their trees, accounts and policies as rows, and what they say of an account's standing.

A row that decides rights is sealed whole. What was altered or moved in the database is not used: whoever loads it
gets Tampered, and a request that needs it fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from casemate.engine.envelope.errors import Tampered
from casemate.gate.identity import DOMAIN as IDENTITIES
from casemate.gate.keyring import Keyring
from casemate.gate.organization import STANDALONE, Oversight, Standing
from casemate.services.organizations import standings
from casemate.services.organizations.model import (
    ACCOUNT,
    ALL_FEATURES,
    AWS_POLICIES,
    Account,
    Node,
    Organization,
    PolicyRow,
)
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx

DOMAIN = "organizations"
"""The generation domain of accounts' standings."""

_ORGANIZATION = (
    "SELECT id, management, feature_set, root, created, policy_types, delegation_id, delegation, "
    "delegation_tags, seal FROM org_organizations "
)
_NODE = "SELECT organization, id, kind, parent, name, policies, tags, method, joined, seal FROM org_nodes "
_POLICY = "SELECT organization, id, type, name, description, content, tags, updated, seal FROM org_policies "
_ACCOUNT = "SELECT account, email, created, closed, seal FROM org_accounts "


class Accounts(Protocol):
    """What Organizations needs of the accounts themselves, which are IAM's."""

    def name(self, tx: Tx, account: str) -> str | None:
        """The account's name, None when there is no such account."""
        ...

    def make(self, tx: Tx, account: str, name: str, now: float) -> bool:
        """Make an account. False when it exists already."""
        ...

    def let_administer(self, tx: Tx, account: str, role: str, trusted: str, now: float) -> None:
        """Make a role in the account, by which another account's principals administer it."""
        ...

    def let_serve(self, tx: Tx, account: str, service: str, now: float) -> None:
        """Make a service's role in the account, if it is not there."""
        ...


class Organizations:
    """Organizations' state, one per worker: ``call.part(Organizations)``. The gate asks it for standings."""

    def __init__(self, store: Store, keyring: Keyring, accounts: Accounts) -> None:
        self.accounts = accounts
        self._keyring = keyring
        self._standings: Cache[str, Standing] = Cache(store, DOMAIN, self._standing)

    def __repr__(self) -> str:
        return "<Organizations>"

    def standing(self, account: str, tx: Tx | None) -> Standing:
        """Where the account stands. Raises Miss when it is not in memory and tx is None, and Tampered."""
        return self._standings.get(account, tx) if account else STANDALONE

    def oversight(self, account: str, tx: Tx) -> Oversight | None:
        """The organisation that an account is in, None of one that stands alone."""
        found = self.membership(tx, account)
        if found is None:
            return None
        organization = found[0]
        rows = tx.all("SELECT service FROM org_services WHERE organization = ?", (organization.id,))
        return Oversight(
            organization.id,
            organization.management,
            organization.feature_set == ALL_FEATURES,
            frozenset(service for (service,) in rows),
            frozenset((service, delegate) for delegate, service, _ in self.delegations(tx, organization)),
        )

    def _standing(self, tx: Tx, account: str) -> Standing:
        known = self.account(tx, account)
        closed = known is not None and known.closed is not None
        found = self.membership(tx, account)
        if found is None:
            return Standing(closed=closed)
        organization, node = found
        return standings.of(organization, self.branch(tx, organization, node), closed, self._policies_of(tx))

    def _policies_of(self, tx: Tx) -> standings.Find:
        def find(organization: Organization, policy_id: str) -> PolicyRow:
            policy = self.policy(tx, organization, policy_id)
            if policy is None:
                # It may have been one that denies.
                raise Tampered(f"the stored policy {policy_id} of {organization.id} is missing")
            return policy

        return find

    # --- organisations

    def membership(self, tx: Tx, account: str) -> tuple[Organization, Node] | None:
        """The organisation that the account belongs to and its place in it; None of a standalone account."""
        row = tx.one(_NODE + "WHERE id = ? AND kind = ?", (account, ACCOUNT))
        if row is None:
            return None
        organization = self.organization(tx, row[0])
        return organization, self._opened_node(tx, organization, row)

    def organization(self, tx: Tx, organization_id: str) -> Organization:
        """By the id that another row refers to. Raises Tampered when it is not there."""
        row = tx.one(_ORGANIZATION + "WHERE id = ?", (organization_id,))
        if row is None:
            raise Tampered(f"the stored organization {organization_id} is missing")
        found = Organization._make((*row[:5], tuple(_loaded(row[5])), *row[6:8], _loaded(row[8])))
        self._check(tx, found.management, row, "organization")
        return found

    def add_organization(self, tx: Tx, organization: Organization) -> bool:
        """False when the account manages one already."""
        columns = _columns(organization)
        made = tx.run(
            "INSERT INTO org_organizations (id, management, feature_set, root, created, policy_types, "
            "delegation_id, delegation, delegation_tags, seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            (*columns, self._seal(tx, organization.management, columns, "organization")),
        )
        _bump(tx)
        return made == 1

    def save_organization(self, tx: Tx, organization: Organization) -> None:
        columns = _columns(organization)
        tx.run(
            "UPDATE org_organizations SET feature_set = ?, policy_types = ?, delegation_id = ?, delegation = ?, "
            "delegation_tags = ?, seal = ? WHERE id = ?",
            (
                *(columns[2], *columns[5:]),
                *(self._seal(tx, organization.management, columns, "organization"), organization.id),
            ),
        )
        _bump(tx)

    def remove_organization(self, tx: Tx, organization: Organization) -> None:
        """Delete it with everything in it."""
        for table in ("nodes", "policies", "delegates", "services", "handshakes", "creations"):
            # Composed of the tables' own names.
            tx.run(f"DELETE FROM org_{table} WHERE organization = ?", (organization.id,))
        tx.run("DELETE FROM org_organizations WHERE id = ?", (organization.id,))
        _bump(tx)

    # --- the tree

    def node(self, tx: Tx, organization: Organization, node_id: str) -> Node | None:
        row = tx.one(_NODE + "WHERE organization = ? AND id = ?", (organization.id, node_id))
        return None if row is None else self._opened_node(tx, organization, row)

    def nodes(self, tx: Tx, organization: Organization, kind: str = "", parent: str = "") -> list[Node]:
        """By id: all, those of a kind, those under a parent."""
        wanted = {"organization": organization.id, "kind": kind, "parent": parent}
        by = {column: value for column, value in wanted.items() if value}
        where = " AND ".join(f"{column} = ?" for column in by)
        rows = tx.all(f"{_NODE} WHERE {where} ORDER BY id", tuple(by.values()))
        return [self._opened_node(tx, organization, row) for row in rows]

    def branch(self, tx: Tx, organization: Organization, node: Node) -> list[Node]:
        """From the root down to the node. Raises Tampered when one between is missing."""
        found = [node]
        while found[-1].id != organization.root:
            above = self.node(tx, organization, found[-1].parent)
            if above is None or above in found:
                raise Tampered(f"the stored parent of {found[-1].id} in {organization.id} is missing")
            found.append(above)
        return found[::-1]

    def add_node(self, tx: Tx, organization: Organization, node: Node) -> bool:
        """False when it is there already; an account: in whichever organisation."""
        columns = _columns(node)
        made = tx.run(
            "INSERT INTO org_nodes (organization, id, kind, parent, name, policies, tags, method, joined, seal) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*columns, self._seal(tx, organization.management, columns, "node")),
        )
        _bump(tx)
        return made == 1

    def save_node(self, tx: Tx, organization: Organization, node: Node) -> None:
        columns = _columns(node)
        tx.run(
            "UPDATE org_nodes SET parent = ?, name = ?, policies = ?, tags = ?, seal = ? "
            "WHERE organization = ? AND id = ?",
            (
                *columns[3:7],
                self._seal(tx, organization.management, columns, "node"),
                organization.id,
                node.id,
            ),
        )
        _bump(tx)

    def remove_node(self, tx: Tx, node: Node) -> None:
        tx.run("DELETE FROM org_nodes WHERE organization = ? AND id = ?", (node.organization, node.id))
        _bump(tx)

    def _opened_node(self, tx: Tx, organization: Organization, row: Sequence[Any]) -> Node:
        self._check(tx, organization.management, row, "node")
        return Node._make((*row[:5], tuple(_loaded(row[5])), _loaded(row[6]), *row[7:9]))

    # --- accounts

    def account(self, tx: Tx, account: str) -> Account | None:
        """What is known of it; None of one that no organisation has known."""
        return self._opened_account(tx, tx.one(_ACCOUNT + "WHERE account = ?", (account,)))

    def account_of(self, tx: Tx, email: str) -> Account | None:
        """The account that has the email, whose case does not matter."""
        return self._opened_account(tx, tx.one(_ACCOUNT + "WHERE handle = ?", (email.lower(),)))

    def known(self, tx: Tx, account: str) -> Account:
        """What is known of it. An account that nobody gave an email has one that leads nowhere."""
        return self.account(tx, account) or Account(account, f"{account}@account.invalid")

    def put_account(self, tx: Tx, account: Account) -> None:
        seal = self._seal(tx, account.id, account, "account")
        tx.run(
            "INSERT INTO org_accounts (account, email, handle, created, closed, seal) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (account) DO UPDATE SET email = excluded.email, handle = excluded.handle, "
            "closed = excluded.closed, seal = excluded.seal",
            (account.id, account.email, account.email.lower(), account.created, account.closed, seal),
        )
        _bump(tx)

    def _opened_account(self, tx: Tx, row: Sequence[Any] | None) -> Account | None:
        if row is None:
            return None
        self._check(tx, row[0], row, "account")
        return Account(*row[:4])

    # --- policies

    def policy(self, tx: Tx, organization: Organization, policy_id: str) -> PolicyRow | None:
        """The organisation's, or AWS's own."""
        if policy_id in AWS_POLICIES:
            return AWS_POLICIES[policy_id]
        row = tx.one(_POLICY + "WHERE organization = ? AND id = ?", (organization.id, policy_id))
        return None if row is None else self._opened_policy(tx, organization, row)

    def policies(self, tx: Tx, organization: Organization, policy_type: str) -> list[PolicyRow]:
        """The organisation's own of a type."""
        rows = tx.all(_POLICY + "WHERE organization = ? AND type = ?", (organization.id, policy_type))
        return [self._opened_policy(tx, organization, row) for row in rows]

    def add_policy(self, tx: Tx, organization: Organization, policy: PolicyRow) -> bool:
        """False when there is one of the same type and name."""
        columns = _columns(policy)
        made = tx.run(
            "INSERT INTO org_policies (organization, id, type, name, description, content, tags, updated, seal) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*columns, self._seal(tx, organization.management, columns, "policy")),
        )
        return made == 1

    def save_policy(self, tx: Tx, organization: Organization, policy: PolicyRow) -> None:
        """That its name is free is the caller's to know."""
        columns = _columns(policy)
        tx.run(
            "UPDATE org_policies SET name = ?, description = ?, content = ?, tags = ?, updated = ?, seal = ? "
            "WHERE organization = ? AND id = ?",
            (
                *columns[3:],
                self._seal(tx, organization.management, columns, "policy"),
                organization.id,
                policy.id,
            ),
        )
        _bump(tx)

    def remove_policy(self, tx: Tx, policy: PolicyRow) -> None:
        tx.run("DELETE FROM org_policies WHERE organization = ? AND id = ?", (policy.organization, policy.id))

    def _opened_policy(self, tx: Tx, organization: Organization, row: Sequence[Any]) -> PolicyRow:
        self._check(tx, organization.management, row, "policy")
        return PolicyRow._make((*row[:6], _loaded(row[6]), row[7]))

    # --- delegated administrators

    def delegations(self, tx: Tx, organization: Organization) -> list[tuple[str, str, float]]:
        """Account, service and since when, by account and service."""
        rows = tx.all(
            "SELECT account, service, enabled, seal FROM org_delegates WHERE organization = ? "
            "ORDER BY account, service",
            (organization.id,),
        )
        for row in rows:
            self._check(tx, organization.management, (organization.id, *row), "delegate")
        return [(row[0], row[1], row[2]) for row in rows]

    def add_delegation(
        self, tx: Tx, organization: Organization, account: str, service: str, now: float
    ) -> None:
        columns = (organization.id, account, service, now)
        tx.run(
            "INSERT INTO org_delegates (organization, account, service, enabled, seal) VALUES (?, ?, ?, ?, ?)",
            (*columns, self._seal(tx, organization.management, columns, "delegate")),
        )

    def remove_delegation(self, tx: Tx, organization: Organization, account: str, service: str) -> None:
        tx.run(
            "DELETE FROM org_delegates WHERE organization = ? AND account = ? AND service = ?",
            (organization.id, account, service),
        )

    # --- seals

    def sealed(self, tx: Tx) -> Iterator[tuple[str, Callable[[], object]]]:
        """All that is sealed, by its name, each with what opens it and raises Tampered."""
        for (organization_id,) in tx.all("SELECT id FROM org_organizations ORDER BY id"):
            yield f"organization {organization_id}", partial(self._open_all, tx, organization_id)
        for (account,) in tx.all("SELECT account FROM org_accounts ORDER BY account"):
            yield f"account {account}", partial(self.account, tx, account)
        for (account,) in tx.all("SELECT id FROM org_nodes WHERE kind = ? ORDER BY id", (ACCOUNT,)):
            yield f"place of account {account}", partial(self._standing, tx, account)

    def _open_all(self, tx: Tx, organization_id: str) -> None:
        organization = self.organization(tx, organization_id)
        self.nodes(tx, organization)
        self.delegations(tx, organization)
        kinds = tx.all("SELECT DISTINCT type FROM org_policies WHERE organization = ?", (organization_id,))
        for (policy_type,) in kinds:
            self.policies(tx, organization, policy_type)

    def _seal(self, tx: Tx, owner: str, columns: Sequence[Any], what: str) -> bytes:
        return self._keyring.account_key(owner, tx).wrap(b"", f"organizations {what}", *_bound(columns))

    def _check(self, tx: Tx, owner: str, row: Sequence[Any], what: str) -> None:
        *columns, seal = row
        self._keyring.account_key(owner, tx).unwrap(seal, f"organizations {what}", *_bound(columns))


def _bump(tx: Tx) -> None:
    """Accounts' standings change, and with them what their principals may do."""
    tx.bump(DOMAIN)
    tx.bump(IDENTITIES)


def _columns(row: Sequence[Any]) -> tuple[Any, ...]:
    """A row's values as they are stored: lists and maps as JSON."""
    return tuple(json.dumps(value) if isinstance(value, tuple | list | Mapping) else value for value in row)


def _bound(columns: Sequence[Any]) -> tuple[str, ...]:
    # A number comes from the database as the number that it is, and None differs from every text.
    return tuple(value if isinstance(value, str) else f"{value!r}\0" for value in columns)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise Tampered("a stored list or map of Organizations is unreadable") from None
