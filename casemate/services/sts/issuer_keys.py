"""The keys of identity providers: configured, or fetched and kept for a while by each worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from casemate.engine.egress.hosts import Hosts
from casemate.engine.oidc.discovery import fetch_keys
from casemate.engine.oidc.errors import OidcError, Refusal
from casemate.engine.oidc.key_set import KeySet
from casemate.gate.call import Call
from casemate.gate.identity import OidcIssuer

KEPT = 3_600.0
"""Seconds for which fetched keys are used."""
AGAIN = 15.0
"""Seconds before an issuer is asked again: whoever sends made-up tokens does not make us ask it more often."""
_MOST_ISSUERS = 1_000
_MOST_AT_ONCE = 2
"""Fetches wait in threads that others need too."""


class _Known(NamedTuple):
    """What is known of an issuer. keys: None where they could not be had, for the reason; fetched, asked: when, by
    the machine's monotonic clock."""

    keys: KeySet | None
    reason: OidcError | None
    fetched: float
    asked: float


class IssuerKeys:
    """Key sets by issuer. configured: those of issuers that are never asked; hosts: who may be asked."""

    def __init__(self, configured: Mapping[str, KeySet], hosts: Hosts) -> None:
        self._configured = configured
        self._hosts = hosts
        self._known: dict[tuple[str, tuple[str, ...]], _Known] = {}
        self._room = threading.BoundedSemaphore(_MOST_AT_ONCE)

    def of(self, call: Call, issuer: OidcIssuer, key_id: str | None, algorithm: str) -> KeySet:
        """The issuer's keys, fetched before the call goes on where they are not known, are old, or do not have the
        one that signed. Raises OidcError."""
        configured = self._configured.get(issuer.url)
        if configured is not None:
            return configured
        known = self._known.get((issuer.url, issuer.thumbprints))
        now = time.monotonic()
        keys = None if known is None or now - known.fetched > KEPT else known.keys
        if keys is not None and keys.candidates(key_id, algorithm):
            return keys
        if known is None or now - known.asked > AGAIN:
            known = call.before(f"the keys of {issuer.url}", partial(self._ask, issuer))
            keys = known.keys
        if keys is None:
            raise known.reason or OidcError(Refusal.UNREACHABLE, "The identity provider's keys are old.")
        return keys

    def _ask(self, issuer: OidcIssuer) -> _Known:
        """Fetch the keys. Where that fails, those of before stay, for as long as they are kept."""
        place = (issuer.url, issuer.thumbprints)
        before = self._known.get(place)
        if not self._room.acquire(blocking=False):
            busy = OidcError(
                Refusal.UNREACHABLE, "Too many identity providers are asked just now. Try again."
            )
            return before or _Known(None, busy, 0.0, 0.0)
        try:
            keys = fetch_keys(issuer.url, issuer.thumbprints, self._hosts)
            known = _Known(keys, None, time.monotonic(), time.monotonic())
        except OidcError as error:
            known = (before or _Known(None, error, 0.0, 0.0))._replace(reason=error, asked=time.monotonic())
        finally:
            self._room.release()
        if len(self._known) >= _MOST_ISSUERS:
            self._known.clear()
        self._known[place] = known
        return known
