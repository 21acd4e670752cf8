"""Reads the setting of VPC endpoints: which networks stand for one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from casemate.gate.vpc_endpoints import VpcEndpoint

_ENDPOINT, _VPC = re.compile(r"vpce-[0-9a-z-]{1,64}"), re.compile(r"vpc-[0-9a-z]{1,64}")


def endpoints(table: Mapping[str, Any]) -> Mapping[str, VpcEndpoint]:
    """By endpoint id: networks and, where that is said, vpc. Raises ValueError."""
    found: dict[str, VpcEndpoint] = {}
    taken: set[str] = set()
    for name, entry in table.items():
        if not _ENDPOINT.fullmatch(name) or not isinstance(entry, dict) or entry.keys() - {"networks", "vpc"}:
            raise ValueError
        networks, vpc = entry.get("networks"), entry.get("vpc", "")
        if not isinstance(networks, list) or not networks or not isinstance(vpc, str):
            raise ValueError
        if vpc and not _VPC.fullmatch(vpc):
            raise ValueError
        read = tuple(ip_network(each) for each in networks if isinstance(each, str))
        if len(read) != len(networks) or taken & {str(each) for each in read}:
            raise ValueError
        taken |= {str(each) for each in read}
        found[name] = VpcEndpoint(name, vpc, read)
    return found
