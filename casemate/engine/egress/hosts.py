"""Which hosts may be reached on behalf of customers, and by which addresses.

Who chooses a host chooses where this machine sends something, and may mean what only this machine reaches: so
addresses that are not public are refused unless the operator named the host, its address or its network.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Final

ANY_PUBLIC: Final = "*"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME: Final = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)
_NUMBERS: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)


class Unreachable(Exception):
    """Why a host cannot be reached. forbidden: it may not be, rather than that it is not known now."""

    def __init__(self, why: str, *, forbidden: bool = False) -> None:
        super().__init__(why)
        self.forbidden = forbidden


class Hosts:
    """Which hosts may be reached. names: host names, also where they have private addresses; IP addresses and
    networks (10.0.0.0/8); "*" for any host that has public addresses only. Raises ValueError for what is none."""

    def __init__(self, names: Iterable[str]) -> None:
        named, networks = set[str](), list[Network]()
        for name in names:
            network = read_network(name)
            if network is not None:
                networks.append(network)
            elif name == ANY_PUBLIC or _is_name(name):
                named.add(_folded(name))
            else:
                raise ValueError(name)
        self._names, self._networks = frozenset(named), tuple(networks)

    def refuses(self, host: str) -> bool:
        """Whether a host may not be reached whatever its addresses are."""
        address = read_address(host)
        if address is not None:
            return not self._allows(address)
        if not _is_name(host):
            return True
        name = _folded(host)
        if name in self._names:
            return False
        if name == "localhost" or name.endswith(".localhost"):
            return not any(each.is_loopback for each in self._networks)
        return ANY_PUBLIC not in self._names and not self._networks

    def addresses(self, host: str, port: int) -> list[str]:
        """Where a host may be reached. Asks for its name. Raises Unreachable where it may not, or is not known."""
        if self.refuses(host):
            raise Unreachable("the server is not configured to reach this host", forbidden=True)
        named = _folded(host) in self._names
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise Unreachable("its name is not known") from None
        addresses = [str(each[4][0]) for each in found]
        if not named and not all(self._allows(ipaddress.ip_address(each)) for each in addresses):
            raise Unreachable(
                "its address is not public, and neither the host nor the address is configured",
                forbidden=True,
            )
        return addresses

    def _allows(self, address: Address) -> bool:
        plain = _plain(address)
        if any(plain in network for network in self._networks if network.version == plain.version):
            return True
        return ANY_PUBLIC in self._names and is_public(address)


def read_network(text: str) -> Network | None:
    """An IP address or a network; None for what is neither."""
    try:
        return ipaddress.ip_network(text.strip("[]"))
    except ValueError:
        return None


def read_address(host: str) -> Address | None:
    """The address that a URL's host is; None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _is_name(host: str) -> bool:
    """Whether it is a host's name. What ends in a number is an address, or one that is written in an odd way."""
    if _NAME.fullmatch(host) is None:
        return False
    return _NUMBERS.fullmatch(host.rstrip(".").rpartition(".")[2]) is None


def _folded(host: str) -> str:
    return host.lower().removesuffix(".")


_CARRIERS: Final = tuple(
    map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
)
"""Addresses of IPv6 that stand for others of IPv4."""


def _plain(address: Address) -> Address:
    """The address that one of IPv6 maps, else itself; without a scope."""
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        plain: Address = mapped
        return plain
    return ipaddress.ip_address(int(address)) if address.version == 4 else ipaddress.IPv6Address(int(address))


def is_public(address: Address) -> bool:
    """Whether everybody reaches the same machine by it."""
    plain = _plain(address)
    if any(plain in network for network in _CARRIERS if network.version == plain.version):
        return False
    return plain.is_global and not plain.is_multicast
