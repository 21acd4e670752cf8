"""The identities under which services act by themselves: service principals, and sessions of roles they assumed."""

from __future__ import annotations

from casemate.engine.policy import Attached, Principal, principal_keys
from casemate.gate.identity import DOMAIN, Identity
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx

_REUSED = 900.0
"""Seconds for which an assumed role's session is used again, as long as nothing of IAM changes."""
_MOST = 10_000


def service_principal(service: str, region: str) -> Identity:
    """A service as a caller: "events.amazonaws.com", which policies may name by its Region too."""
    name, _, domain = service.partition(".")
    principal = Principal(kind="service", arn=service, account="", names=(f"{name}.{region}.{domain}",))
    return Identity(
        principal, Attached(), principal_keys(principal), {"type": "AWSService", "invokedBy": service}
    )


class Actors:
    """What of them is kept in memory, until anything of IAM or of organisations changes: decisions are kept with
    identities."""

    def __init__(self, store: Store) -> None:
        self._services = Cache[tuple[str, str], Identity](
            store, DOMAIN, lambda _tx, key: service_principal(*key)
        )
        self._current = store.generations.current
        self._slot = store.generations.slot(DOMAIN)
        self._sessions: tuple[int, dict[tuple[str, ...], tuple[Identity, float]]] = (-1, {})

    def service(self, service: str, region: str, tx: Tx | None) -> Identity:
        """The principal of a service in a Region. Raises Miss when it is not in memory and tx is None."""
        return self._services.get((service, region), tx)

    def session(self, key: tuple[str, ...], now: float) -> Identity | None:
        """The session that was kept under that key, None when there is none that may be used still."""
        generation, sessions = self._sessions
        if generation != self._current(self._slot):
            return None
        found = sessions.get(key)
        return found[0] if found is not None and 0 <= now - found[1] < _REUSED else None

    def keep_session(self, key: tuple[str, ...], identity: Identity, now: float, tx: Tx) -> None:
        """Use that session again. Not of a transaction that may be undone, or may have read what is no more."""
        generation = self._current(self._slot)
        if not tx.is_current() or generation != self._current(self._slot):
            return
        if self._sessions[0] != generation or len(self._sessions[1]) >= _MOST:
            self._sessions = (generation, {})
        self._sessions[1][key] = (identity, now)
