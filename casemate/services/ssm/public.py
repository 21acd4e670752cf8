"""AWS's own parameters, under /aws/service/: the names of the latest AMIs, and the Regions, services and Availability
Zones of the partition. Source: "Working with public parameters in Parameter Store".

Regions, services and endpoints are those of the endpoint data that botocore ships.
"""

from __future__ import annotations

import gzip
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore
from orjson import loads

from casemate.gate.regions import partition_of
from casemate.services.ssm.naming import SERVICE, parameter_arn
from casemate.services.ssm.parameter import moment
from casemate.services.ssm.public_images import descriptions, images

if TYPE_CHECKING:
    from casemate.api import ssm

_DATA = Path(botocore.__file__).parent / "data"
_SINCE = 1_793_491_200.0
"""When all of them were last changed: 1 November 2026."""

_ZONES = {"us-east-1": 6, "us-west-2": 4, "ap-northeast-1": 4, "ap-northeast-2": 4}
"""How many Availability Zones a Region has; three unless it is here."""

_INFRASTRUCTURE = f"{SERVICE}global-infrastructure"
_AMI = "aws:ec2:image"

Value = Callable[[], str]
Published = tuple[Mapping[str, tuple[Value, str]], list[str]]
"""Value and data type by name; and the names in order."""


def public_arn(region: str, path: str) -> str:
    """Of AWS's own parameters, whose ARN names no account; also of a hierarchy of them."""
    return parameter_arn("", region, path)


@cache
def published(region: str) -> Published:
    """All that a Region has. Takes a tenth of a second the first time, and so may a service's long name: not for the
    event loop."""
    found = _infrastructure(partition_of(region))
    found |= {name: (_constant(value), _AMI) for name, value in images(region)}
    found |= {name: (_constant(value), "text") for name, value in descriptions(region)}
    return found, sorted(found)


def find_public(region: str, name: str) -> ssm.Parameter | None:
    """The parameter of that name."""
    entry = published(region)[0].get(name)
    return None if entry is None else _answer(region, name, entry)


def page_of_public(region: str, path: str, after: str, count: int, *, recursive: bool) -> list[ssm.Parameter]:
    """Parameters below a path, so many after a name."""
    entries, names = published(region)
    first = bisect_right(names, max(after, f"{path}/"))
    below = _below(names, first, f"{path}/", recursive=recursive)
    return [_answer(region, name, entries[name]) for name in islice(below, count)]


def _below(names: list[str], first: int, prefix: str, *, recursive: bool) -> Iterator[str]:
    for name in islice(names, first, None):
        if not name.startswith(prefix):
            return
        if recursive or "/" not in name[len(prefix) :]:
            yield name


def _answer(region: str, name: str, entry: tuple[Value, str]) -> ssm.Parameter:
    value, data_type = entry
    return {
        "Name": name,
        "Type": "String",
        "Value": value(),
        "Version": 1,
        "LastModifiedDate": moment(_SINCE),
        "ARN": public_arn(region, name),
        "DataType": data_type,
    }


def _constant(text: str) -> Value:
    return lambda: text


def _infrastructure(partition: str) -> dict[str, tuple[Value, str]]:
    data = _partition(partition)
    suffix = data["dnsSuffix"]
    found: dict[str, Value] = {}
    for region, about in data["regions"].items():
        place = f"{_INFRASTRUCTURE}/regions/{region}"
        found[place] = _constant(region)
        found[f"{place}/longName"] = _constant(about["description"])
        found[f"{place}/partition"] = _constant(partition)
        found[f"{place}/domain"] = _constant(suffix)
        for zone in zones(region):
            found[f"{place}/availability-zones/{zone}"] = _constant(zone)
            found[f"{_INFRASTRUCTURE}/availability-zones/{zone}"] = _constant(zone)
            found[f"{_INFRASTRUCTURE}/availability-zones/{zone}/parent-region"] = _constant(region)
    pattern = data["defaults"]["hostname"]
    for service, about in data["services"].items():
        if "." in service:
            # Parts of services that have endpoints of their own.
            continue
        name = f"{_INFRASTRUCTURE}/services/{service}"
        found[name] = _constant(service)
        found[f"{name}/longName"] = partial(_long_name, service)
        for region, endpoint in about["endpoints"].items():
            if region not in data["regions"]:
                continue
            host = endpoint.get("hostname") or about.get("defaults", {}).get("hostname") or pattern
            endpoint_name = host.format(service=service, region=region, dnsSuffix=suffix)
            found[f"{name}/regions/{region}"] = _constant(region)
            place = f"{_INFRASTRUCTURE}/regions/{region}/services/{service}"
            found[place] = _constant(service)
            found[f"{place}/endpoint"] = _constant(endpoint_name)
    return {name: (value, "text") for name, value in found.items()}


def _partition(name: str) -> Any:
    endpoints = loads((_DATA / "endpoints.json").read_bytes())
    return next(each for each in endpoints["partitions"] if each["partition"] == name)


@cache
def _long_name(service: str) -> str:
    """What AWS calls a service whose endpoints have this prefix, as its model says."""
    for folder in (service, service.replace(".", "-")):
        for model in sorted((_DATA / folder).glob("*/service-2.json.gz"), reverse=True):
            metadata = loads(gzip.decompress(model.read_bytes()))["metadata"]
            return str(metadata["serviceFullName"])
    return service


def zones(region: str) -> list[str]:
    """The ids of a Region's Availability Zones: use1-az1, ..."""
    *parts, number = region.split("-")
    letters = "".join(_short(part, place) for place, part in enumerate(parts))
    return [f"{letters}{number}-az{zone}" for zone in range(1, _ZONES.get(region, 3) + 1)]


def _short(part: str, place: int) -> str:
    """ "us" as it is, "gov" and "west" by a letter, "northeast" by two."""
    if place == 0:
        return part
    if part.startswith("iso"):
        return f"i{part[3:]}"
    for first in ("north", "south"):
        if part.startswith(first) and part != first:
            return first[0] + part[len(first)]
    return part[0]
