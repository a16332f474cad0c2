"""Which hosts may be reached."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from connectors.egress import ONLY, addresses, check_host, permitted
from connectors.errors import Forbidden, Misconfigured, Unavailable

REFUSED = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "169.254.1.1",
    "168.63.129.16",
    "192.0.0.9",
    "192.88.99.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:a00:1",
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:1::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:a00:1::",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2400:3200::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", REFUSED)
def test_special_addresses_are_refused(address: str) -> None:
    """Every address that is not plainly public is refused where nothing is allowed."""
    assert not permitted(ipaddress.ip_address(address), [])


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_always_allowed(address: str) -> None:
    """Public addresses need no permission, also when written as IPv6."""
    assert check_host(address, 443, ()) == str(ipaddress.ip_address(address))


@pytest.mark.parametrize("text", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::1]", "localhost", "fe80::1%1"])
def test_other_spellings_are_refused(text: str) -> None:
    """An address is checked after resolution, so its spelling does not matter."""
    with pytest.raises(Forbidden, match="SYNCLINE_EGRESS_ALLOW") as caught:
        check_host(text, 8080, ())
    assert text in str(caught.value.message)


def test_an_allowed_network_is_reached() -> None:
    """What the operator allows is reached, also through its IPv4-mapped spelling."""
    assert check_host("127.0.0.1", 80, ("127.0.0.0/8",)) == "127.0.0.1"
    assert check_host("::ffff:10.1.1.1", 80, (" 10.0.0.0/8 ", ""))
    with pytest.raises(Forbidden):
        check_host("10.0.0.1", 80, ("127.0.0.0/8",))


@pytest.mark.parametrize("address", PUBLIC)
def test_only_the_operators_list(address: str) -> None:
    """Where public addresses may not be reached either, those on the list may."""
    with pytest.raises(Forbidden, match="SYNCLINE_EGRESS_ALLOW") as caught:
        check_host(address, 443, ("10.0.0.0/8", ONLY))
    assert "not on the operator's list" in str(caught.value.message)
    assert check_host(address, 443, ("0.0.0.0/0", "::/0", ONLY)) == str(ipaddress.ip_address(address))


def test_metadata_services_need_their_own_entry() -> None:
    """A wide network does not open the service that hands out credentials; its own address does."""
    with pytest.raises(Forbidden):
        check_host("169.254.169.254", 80, ("169.254.0.0/16",))
    assert check_host("169.254.169.254", 80, ("169.254.169.254/32",)) == "169.254.169.254"
    assert not permitted(ipaddress.ip_address("fd00:ec2::254"), [ipaddress.ip_network("fc00::/7")])


def _answers(*found: str) -> list[tuple[object, ...]]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in found]


def test_one_bad_address_among_good_ones_refuses_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that stands for a public and a private address is refused."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: _answers("8.8.8.8", "10.0.0.1"))
    with pytest.raises(Forbidden, match=r"mixed\.example .*10\.0\.0\.1"):
        check_host("mixed.example", 443, ())


def test_addresses_come_ipv4_first_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All addresses are given, without repetition."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: _answers("2400::1", "8.8.8.8", "8.8.8.8"))
    assert addresses("both.example", 443, ()) == ("8.8.8.8", "2400::1")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "", "a\0b", "x" * 70 + ".example"])
def test_a_name_that_cannot_be_found_is_unavailable(host: str) -> None:
    """A name without an address is a clear retriable error."""
    with pytest.raises(Unavailable, match="cannot be found"):
        check_host(host, 80, ())


def test_a_wrong_setting_is_named() -> None:
    """Text that is not a network is a mistake in the setting, not a hole."""
    with pytest.raises(Misconfigured, match="SYNCLINE_EGRESS_ALLOW"):
        check_host("8.8.8.8", 80, ("ten",))
