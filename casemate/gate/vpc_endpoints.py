"""The networks that take the part of VPCs, behind their endpoints: what aws:SourceVpce, aws:SourceVpc and
aws:VpcSourceIp tell of requests that come from there. Source: "AWS global condition context keys".

There are no VPCs. The operator says which networks stand for one; what counts is the address that a connection comes
from, as for aws:SourceIp, and nothing that a client says.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from casemate.gate.call import Call

_KEPT = 10_000


class VpcEndpoint(NamedTuple):
    """id: vpce-...; vpc: vpc-..., '' where that is not said."""

    id: str
    vpc: str
    networks: tuple[IPv4Network | IPv6Network, ...]


class VpcEndpoints:
    """Those that are configured: ``call.part(VpcEndpoints)``."""

    def __init__(self, endpoints: Mapping[str, VpcEndpoint]) -> None:
        self._networks = [
            (network, endpoint) for endpoint in endpoints.values() for network in endpoint.networks
        ]
        # Of networks within others, the narrowest is meant.
        self._networks.sort(key=lambda each: each[0].prefixlen, reverse=True)
        self.of_address = lru_cache(_KEPT)(self._of_address)
        """The endpoint that an address is behind, or None."""

    def __repr__(self) -> str:
        return "<VpcEndpoints>"

    def _of_address(self, text: str) -> VpcEndpoint | None:
        try:
            address = ip_address(text)
        except ValueError:
            return None
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return next((endpoint for network, endpoint in self._networks if address in network), None)


def endpoint_of(call: Call) -> VpcEndpoint | None:
    """The endpoint by which a call came; None of one that came otherwise, or that a service asks."""
    endpoints: VpcEndpoints | None = call.gate.parts.get(VpcEndpoints)
    return None if endpoints is None or call.via or call.service else endpoints.of_address(call.source_ip)
