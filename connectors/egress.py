"""Outgoing connections: which hosts may be reached, and the HTTP client that cannot be talked into another one.

A name is resolved once, every address it stands for is checked, and the connection is made to a checked address, so an
answer of the name service that changes in between has no effect. Public addresses may always be reached; all others
(private networks, this machine, link-local and metadata services) only if an operator allows their network.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from connectors.errors import Forbidden, Misconfigured, Unavailable
from rules.text import N_, msg

SETTING = "SYNCLINE_EGRESS_ALLOW"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SPECIAL: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments, some of them "global" to the standard library
        "192.88.99.0/24",  # 6to4 relays
        "2001::/23",  # Teredo and other protocol assignments
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address of any kind inside
        "3fff::/20",
    )
)
METADATA: frozenset[Address] = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "fd00:ec2::254")
)
"""Cloud services that hand out credentials: reachable only where that very address is allowed."""


ONLY = "only"
"""Among the networks: nothing else may be reached, public or not."""


def check_host(host: str, port: int, allow: tuple[str, ...]) -> str:
    """Return the address to connect to for `host`, after every address it stands for was found permitted.

    Args:
        host: A name or an address.
        port: The port, for the message.
        allow: Networks (CIDR) that may be reached beside the public ones; with `ONLY` among them no others at all.

    Raises:
        Forbidden: An address of the host lies in a network that is not allowed.
        Unavailable: The name cannot be resolved.
    """
    return addresses(host, port, allow)[0]


def addresses(host: str, port: int, allow: tuple[str, ...]) -> tuple[str, ...]:
    """Return all addresses of `host`, IPv4 first, after each was found permitted; raises as `check_host`."""
    networks, public = _networks(allow), ONLY not in allow
    found = _resolve(host)
    for address in found:
        if not permitted(address, networks, public=public):
            why = N_("{host} (port {port}) must not be reached: its address {address} is not public.")
            other = N_("{host} (port {port}) must not be reached: its address {address} is not on the operator's list.")
            raise Forbidden(
                msg(
                    why if public else other,
                    host=host,
                    port=port,
                    address=str(address),
                ),
                msg("If it is meant, ask the operator to add the network to {setting}.", setting=SETTING),
            )
    return tuple(str(address) for address in sorted(found, key=lambda a: a.version))


def permitted(address: Address, networks: Iterable[Network], *, public: bool = True) -> bool:
    """Tell whether an address is public, where these may be reached, or lies in one of the networks."""
    inner = _unwrapped(address)
    allowing = [n for n in networks for a in (address, inner) if a.version == n.version and a in n]
    if inner in METADATA:
        return any(n.num_addresses == 1 for n in allowing)
    return bool(allowing) or (public and _public(inner))


def _public(address: Address) -> bool:
    if any(address.version == n.version and address in n for n in _SPECIAL):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return address in _GLOBAL_UNICAST
    return address.is_global and not address.is_multicast


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv4-mapped or NAT64 address leads to, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address


def _networks(allow: Iterable[str]) -> list[Network]:
    try:
        return [ipaddress.ip_network(text.strip(), strict=False) for text in allow if text.strip() not in {"", ONLY}]
    except ValueError as error:
        raise Misconfigured(
            msg("{setting} is not a list of networks: {problem}.", setting=SETTING, problem=str(error)),
            msg("Write networks such as 10.0.0.0/8, separated by commas."),
        ) from error


def _resolve(host: str) -> list[Address]:
    try:
        entries = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM) if host else []
    except (OSError, ValueError) as error:  # a name that cannot be a name is a ValueError
        raise _unknown(host) from error
    found = dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries)
    if not found:
        raise _unknown(host)
    return list(found)


def _unknown(host: str) -> Unavailable:
    return Unavailable(
        msg("The host {host} cannot be found.", host=host or "''"),
        msg("Check the host name, and the name service of this machine."),
    )
