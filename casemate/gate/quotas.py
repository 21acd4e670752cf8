"""Quotas: what AWS lets an account have in a Region, and how many requests a second it lets it make.

A service describes its quotas as data. Which values apply is Service Quotas' affair: the composition root gives the
gate an ``AppliedQuotas``, by which requests are counted (step 5) and handlers find their limits (``Call.limit``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from casemate.store.database import Tx


@dataclass(frozen=True, slots=True)
class Quota:
    """One quota of a service, per account and Region.

    code: Service Quotas' ("L-32B67F4A"); name: as Service Quotas shows it; value: AWS's default; by_region: where it
    is another one; counts: of a request quota what counts against it ("CreateKey"), '' for a resource quota; its
    values are requests a second. unit: CloudWatch's. region: of a service that is global, the only Region where the
    quota is.
    """

    service: str
    code: str
    name: str
    value: float
    by_region: Mapping[str, float] = field(default_factory=dict)
    adjustable: bool = True
    counts: str = ""
    unit: Literal["None", "Kilobytes"] = "None"
    description: str = ""
    region: str = ""

    def default(self, region: str) -> float:
        """AWS's default in a Region."""
        return self.by_region.get(region, self.value)


class ServiceQuotas(NamedTuple):
    """A service's quotas. code: the service's as Service Quotas has it; throttled: what is said to whoever is above
    a request quota, '' for what most services say."""

    code: str
    name: str
    quotas: Sequence[Quota]
    throttled: str = ""


class AppliedQuotas(Protocol):
    """The values that apply. Both raise Miss for what is not in memory when there is no transaction."""

    def value(self, quota: Quota, account: str, region: str, tx: Tx | None) -> float:
        """A quota's value for an account in a Region."""
        ...

    def rates(self, account: str, region: str, tx: Tx | None) -> Mapping[str, float]:
        """Requests a second by what counts ("kms:CreateKey"); what is not in it has no limit."""
        ...


class DefaultQuotas:
    """AWS's defaults for everybody, and no limit to requests."""

    def value(self, quota: Quota, account: str, region: str, tx: Tx | None) -> float:  # noqa: ARG002
        return quota.default(region)

    def rates(self, account: str, region: str, tx: Tx | None) -> Mapping[str, float]:  # noqa: ARG002
        return {}
