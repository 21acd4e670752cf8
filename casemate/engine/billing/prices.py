"""The price table: a data file, dated, with the title of the page that each service's prices are from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple


class Price(NamedTuple):
    """What one usage type costs. amount: US dollars for so many as ``per`` says, of what is held for a month; free:
    so many a month are free, over all Regions."""

    what: str
    unit: str
    amount: Decimal
    per: int
    free: int = 0
    held: bool = False

    def of(self, quantity: Decimal) -> Decimal:
        """What so many cost that are not free."""
        return quantity * self.amount / self.per


class ServicePrices(NamedTuple):
    """A service's. name: as bills and Cost Explorer have it; source: the page's title; prefix: whether usage types
    begin with the Region's name ("region") or its short code ("code")."""

    name: str
    source: str
    prefix: str
    usage: Mapping[str, Price]


class Prices(NamedTuple):
    """as_of: the day of which the prices are; services: by their names in botocore."""

    as_of: date
    services: Mapping[str, ServicePrices]

    def of(self, service: str, usage_type: str) -> Price:
        """Raises KeyError for what has no price."""
        return self.services[service].usage[usage_type]


@cache
def current_prices() -> Prices:
    """The table that comes with this version."""
    return read_prices(files("casemate.engine.billing").joinpath("prices.toml").read_text(encoding="utf-8"))


def read_prices(text: str) -> Prices:
    """Raises KeyError, ValueError."""
    import tomllib  # here, because a server that nobody asks for costs does without

    table = tomllib.loads(text)
    return Prices(
        table["as_of"],
        {
            code: ServicePrices(
                entry["name"],
                entry["source"],
                entry["prefix"],
                {usage_type: _price(each) for usage_type, each in entry["usage"].items()},
            )
            for code, entry in table["services"].items()
        },
    )


def _price(entry: Mapping[str, Any]) -> Price:
    return Price(
        entry["what"],
        entry["unit"],
        Decimal(entry["price"]),
        entry["per"],
        entry.get("free", 0),
        entry.get("held", False),
    )


# The short codes of Regions in usage types. Source: "Understanding your AWS billing and usage reports".
_CODES = {
    "us-east-1": "USE1",
    "us-east-2": "USE2",
    "us-west-1": "USW1",
    "us-west-2": "USW2",
    "ca-central-1": "CAN1",
    "eu-west-1": "EUW1",
    "eu-west-2": "EUW2",
    "eu-west-3": "EUW3",
    "eu-central-1": "EUC1",
    "eu-north-1": "EUN1",
    "eu-south-1": "EUS1",
    "ap-east-1": "APE1",
    "ap-south-1": "APS3",
    "ap-southeast-1": "APS1",
    "ap-southeast-2": "APS2",
    "ap-northeast-1": "APN1",
    "ap-northeast-2": "APN2",
    "ap-northeast-3": "APN3",
    "sa-east-1": "SAE1",
    "me-south-1": "MES1",
    "af-south-1": "AFS1",
}


def usage_type_in(region: str, service: ServicePrices, usage_type: str) -> str:
    """As bills show it: "us-east-1-KMS-Keys", "USE1-APIRequest"."""
    prefix = region if service.prefix == "region" else _CODES.get(region, region)
    return f"{prefix}-{usage_type}"
