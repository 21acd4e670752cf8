"""What the gate asks of organisations: what binds an account's principals, and what is over its resources."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from casemate.engine.policy import Policy
from casemate.store.database import Tx

Levels = tuple[tuple[Policy, ...], ...]


class Standing(NamedTuple):
    """Where an account stands.

    organization: the id of its organisation, '' outside of any; path: from the organisation down to the account's
    parent, as aws:PrincipalOrgPaths has it ("o-a/r-b/ou-b-c/"); scps: what binds its principals, rcps: what is over
    its resources, one inner tuple a level from the root down to the account, and () where nothing limits: in the
    management account, and where the type of policy is not enabled; closed: nobody acts in the account, and nothing
    in it is used any more.
    """

    organization: str = ""
    path: str = ""
    scps: Levels = ()
    rcps: Levels = ()
    closed: bool = False


STANDALONE = Standing()
"""Of an account in no organisation, and of whoever has no account."""


class Oversight(NamedTuple):
    """An organisation as other services need to know it.

    id: the organisation's; management: its management account; all_features: whether policies and trusted access are
    on; trusted: the services with trusted access ("iam.amazonaws.com"); delegates: the accounts that administer a
    service in the management account's place, as (service, account).
    """

    id: str
    management: str
    all_features: bool
    trusted: frozenset[str]
    delegates: frozenset[tuple[str, str]]

    def administered_by(self, account: str, service: str) -> bool:
        """Whether the account is the management account, or the service's delegated administrator."""
        return account == self.management or (service, account) in self.delegates


class Organizations(Protocol):
    """Where the gate finds it. The service Organizations is one; the gate knows no more of it than this.

    Decisions are kept with identities (``Identity.residuals``). So whatever changes a standing bumps ``DOMAIN`` of
    casemate/gate/identity.py too: all identities are made anew, and with them all decisions.
    """

    def standing(self, account: str, tx: Tx | None) -> Standing:
        """Raises Miss when it is not in memory and tx is None."""
        ...

    def oversight(self, account: str, tx: Tx) -> Oversight | None:
        """The organisation that an account is in, None of one that stands alone."""
        ...


class NoOrganizations:
    """For a gate whose accounts all stand alone."""

    def standing(self, account: str, tx: Tx | None) -> Standing:  # noqa: ARG002
        return STANDALONE

    def oversight(self, account: str, tx: Tx) -> Oversight | None:  # noqa: ARG002
        return None
