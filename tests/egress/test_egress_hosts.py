"""Where customers' endpoints may be."""

from __future__ import annotations

import pytest

from casemate.engine.egress.hosts import Hosts, Unreachable


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "192.0.2.1"),
        *("::1", "fd00::1", "fe80::1%lo", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),
    ],
)
def test_addresses_that_are_not_public(host: str) -> None:
    for names in (["*"], [], ["8.8.8.8"]):
        assert Hosts(names).refuses(host)
        with pytest.raises(Unreachable, match="not configured") as refusal:
            Hosts(names).addresses(host, 443)
        assert refusal.value.forbidden


@pytest.mark.parametrize(
    ("network", "host"),
    [
        ("127.0.0.0/8", "127.8.8.8"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.0/8", "::ffff:127.0.0.1"),
        ("::1", "::1"),
        ("fd00::/8", "fd12::1"),
    ],
)
def test_addresses_that_are_configured(network: str, host: str) -> None:
    assert Hosts([network]).addresses(host, 443) == [host]


def test_public_addresses() -> None:
    assert Hosts(["*"]).addresses("192.0.66.2", 443) == ["192.0.66.2"]
    assert Hosts([]).refuses("192.0.66.2")
    assert Hosts(["10.0.0.0/8"]).refuses("192.0.66.2")


def test_names() -> None:
    assert not Hosts(["*"]).refuses("example.com")
    assert Hosts(["example.org"]).refuses("example.com")
    assert not Hosts(["example.org"]).refuses("Example.ORG.")
    assert Hosts(["*"]).refuses("localhost")
    assert Hosts(["*"]).refuses("a.localhost")
    # A name that the operator gave may have any address; another one that has such an address may not be reached.
    assert "127.0.0.1" in Hosts(["localhost"]).addresses("localhost", 80)
    assert "127.0.0.1" in Hosts(["127.0.0.0/8", "::1"]).addresses("LOCALHOST", 80)
    with pytest.raises(Unreachable, match="not public"):
        Hosts(["*", "127.0.0.9"]).addresses("localhost", 80)
    with pytest.raises(Unreachable, match="not known") as unknown:
        Hosts(["*"]).addresses("no-such-host.invalid", 80)
    assert not unknown.value.forbidden


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "a b", "", "ä.com"]
)
def test_what_is_neither_a_name_nor_an_address(host: str) -> None:
    assert Hosts(["*", "127.0.0.0/8"]).refuses(host)


@pytest.mark.parametrize("name", ["10.0.0.1/8", "http://a", "a/b", "300.1.1.1", ""])
def test_what_cannot_be_configured(name: str) -> None:
    with pytest.raises(ValueError):
        Hosts([name])
