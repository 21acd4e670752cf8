"""Handshakes as rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from casemate.services.organizations import limits
from casemate.services.organizations.model import Handshake, Organization
from casemate.store.database import Tx

INVITE, ENABLE, APPROVE = "INVITE", "ENABLE_ALL_FEATURES", "APPROVE_ALL_FEATURES"
REQUESTED, OPEN, ACCEPTED = "REQUESTED", "OPEN", "ACCEPTED"
CANCELED, DECLINED, EXPIRED = "CANCELED", "DECLINED", "EXPIRED"

PENDING = (REQUESTED, OPEN)

_SELECT = (
    "SELECT id, organization, management, action, account, email, state, requested, expires, resolved, notes, tags, "
    "parent FROM org_handshakes "
)


def load(tx: Tx, handshake_id: str, now: float) -> Handshake | None:
    """None also of one that was answered or has expired so long ago that it is shown no more."""
    row = tx.one(_SELECT + "WHERE id = ?", (handshake_id,))
    return None if row is None else next(iter(_shown([row], now)), None)


def sent(tx: Tx, organization: Organization, now: float) -> list[Handshake]:
    """By an organisation, by id."""
    return _shown(tx.all(_SELECT + "WHERE organization = ? ORDER BY id", (organization.id,)), now)


def received(tx: Tx, account: str, now: float) -> list[Handshake]:
    """By an account, by id."""
    return _shown(tx.all(_SELECT + "WHERE account = ? ORDER BY id", (account,)), now)


def open_invitations(tx: Tx, organization: Organization, now: float) -> int:
    """How many invitations wait for an answer."""
    return sum(each.action == INVITE and each.state in PENDING for each in sent(tx, organization, now))


def add(tx: Tx, handshake: Handshake) -> None:
    tx.run(
        "INSERT INTO org_handshakes (id, organization, management, action, account, email, state, requested, "
        "expires, resolved, notes, tags, parent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*handshake[:11], json.dumps(dict(handshake.tags)), handshake.parent),
    )


def put(tx: Tx, handshake: Handshake, state: str, now: float) -> Handshake:
    """Bring it into a state; one that is not open any more is resolved now."""
    changed = handshake._replace(state=state, resolved=None if state in PENDING else now)
    tx.run(
        "UPDATE org_handshakes SET state = ?, resolved = ? WHERE id = ?",
        (changed.state, changed.resolved, changed.id),
    )
    return changed


def _shown(rows: Sequence[Sequence[Any]], now: float) -> list[Handshake]:
    found = []
    for row in rows:
        each = Handshake._make((*row[:11], json.loads(row[11]), row[12]))
        if each.state in PENDING and each.expires <= now:
            each = each._replace(state=EXPIRED, resolved=each.expires)
        if each.resolved is None or now < each.resolved + limits.HANDSHAKE_KEPT:
            found.append(each)
    return found
