"""The values of quotas: AWS's defaults, and what applies to an account in a Region in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from casemate.gate.quotas import Quota, ServiceQuotas
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx

DOMAIN = "servicequotas"

Approval = float | None
"""Up to so many times AWS's default an increase is approved at once; None: whatever is asked for."""


class _Applied(NamedTuple):
    """values: by service and code, where they differ from the default; rates: of all request quotas."""

    values: Mapping[tuple[str, str], float]
    rates: Mapping[str, float]


class Values:
    """Service Quotas' state, one per worker: the gate's ``AppliedQuotas``, and ``call.part(Values)``.

    services: whose quotas there are; approval: which increases are approved without the operator.
    """

    def __init__(self, store: Store, services: Sequence[ServiceQuotas], approval: Approval = None) -> None:
        self.services = {service.code: service for service in sorted(services, key=lambda each: each.code)}
        self.approval = approval
        self._quotas = {(quota.service, quota.code): quota for each in services for quota in each.quotas}
        self._requests = [quota for quota in self._quotas.values() if quota.counts]
        self._cache: Cache[tuple[str, str], _Applied] = Cache(store, DOMAIN, self._load, 5_000)

    def find(self, service: str, code: str) -> Quota | None:
        """The quota of that code."""
        return self._quotas.get((service, code))

    def named(self, service: str, name: str) -> Quota | None:
        """The quota that an operator means: by its code, its name, or the operation that it limits."""
        if service not in self.services:
            return None
        for quota in self.services[service].quotas:
            if name.lower() in (quota.code.lower(), quota.name.lower(), quota.counts.lower() or None):
                return quota
        return None

    def value(self, quota: Quota, account: str, region: str, tx: Tx | None) -> float:
        """What applies. Raises Miss."""
        values = self._cache.get((account, region), tx).values
        return values.get((quota.service, quota.code), quota.default(region))

    def rates(self, account: str, region: str, tx: Tx | None) -> Mapping[str, float]:
        """Requests a second by what counts. Raises Miss."""
        return self._cache.get((account, region), tx).rates

    def changed(self, tx: Tx, account: str, region: str) -> Mapping[tuple[str, str], float]:
        """The values that are not the defaults, by service and code, as the transaction sees them."""
        return self._cache.fresh((account, region), tx).values

    def put(self, tx: Tx, quota: Quota, account: str, region: str, value: float, now: float) -> None:
        """Let another value apply."""
        tx.run(
            "INSERT INTO service_quotas_values (account, region, service, code, value, updated) "
            "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account, region, service, code) "
            "DO UPDATE SET value = excluded.value, updated = excluded.updated",
            (account, region, quota.service, quota.code, float(value), now),
        )
        tx.bump(DOMAIN)

    def reset(self, tx: Tx, quota: Quota, account: str, region: str) -> None:
        """Let the default apply again."""
        tx.run(
            "DELETE FROM service_quotas_values WHERE account = ? AND region = ? AND service = ? AND code = ?",
            (account, region, quota.service, quota.code),
        )
        tx.bump(DOMAIN)

    def _load(self, tx: Tx, place: tuple[str, str]) -> _Applied:
        rows = tx.all(
            "SELECT service, code, value FROM service_quotas_values WHERE account = ? AND region = ?", place
        )
        values = {(service, code): value for service, code, value in rows}
        region = place[1]
        rates = {
            f"{quota.service}:{quota.counts}": values.get((quota.service, quota.code), quota.default(region))
            for quota in self._requests
        }
        return _Applied(values, rates)
