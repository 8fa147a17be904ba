"""Addresses that webhooks may be sent to: public ones over https, and the networks that an operator allows.

A URL is judged by what its host resolves to, never by how it is spelled, and refused when any one of its addresses is
not public. The caller connects to `Target.address` and to nothing else, so that a second answer of the name server
(DNS rebinding) cannot lead it elsewhere.
"""

import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from moderation.errors import ForbiddenAddress

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Iterable[str]]

DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST_URL = 2048
NAT64 = IPv6Network("64:ff9b::/96")
UNICAST = IPv6Network("2000::/3")  # all that is given out so far; the rest of IPv6 is reserved or local
NOT_PUBLIC: tuple[Network, ...] = (
    IPv4Network("192.88.99.0/24"),  # 6to4 relays: leads into the relay's own network
    IPv4Network("168.63.129.16/32"),  # Azure's metadata host, which hides behind a public number
    IPv6Network("2001::/32"),  # Teredo, an IPv4 address in disguise; withdrawn
    IPv6Network("2002::/16"),  # 6to4, the same
)


@dataclass(frozen=True)
class Target:
    """Where a request goes: ``url`` names it, ``address`` is the one IP address to connect to."""

    url: str
    scheme: str
    host: str
    port: int
    address: str


def resolve(url: str, *, allowed_networks: Collection[str] = (), resolver: Resolver | None = None) -> Target:
    """Returns the pinned target of ``url``.

    Args:
        allowed_networks: CIDR networks that may be reached whatever they are, also by http and on any port.
        resolver: gives the addresses of a host and port; the system's by default. It may raise OSError.

    Raises:
        ForbiddenAddress: for a URL that is malformed, carries credentials, resolves to nothing, or leads astray.
    """
    parts = _split(url)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    addresses = _addresses(host, port, resolver or _system)
    allowed = [ip_network(network) for network in allowed_networks]
    if not all(_inside(address, allowed) for address in addresses):
        if parts.scheme != "https":
            raise ForbiddenAddress("The address must begin with https://.")
        if port not in DEFAULT_PORTS.values():
            raise ForbiddenAddress(f"Port {port} is not one that webhooks are sent to (443 or 80).")
        if not all(_is_public(address) or _inside(address, allowed) for address in addresses):
            raise ForbiddenAddress(f"{host} resolves to a network that Unmask does not send to.")
    return Target(url, parts.scheme, host, port, str(addresses[0]))


def _split(url: str) -> SplitResult:
    # Parsers disagree on blanks, control characters and backslashes: what one calls a path another calls a host.
    if len(url) > LONGEST_URL or not url.isascii() or any(c <= " " or c in "\\\x7f" for c in url):
        raise ForbiddenAddress(
            "The address must be an ASCII URL without blanks or backslashes, 2048 characters at most."
        )
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            raise ValueError("port 0")
    except ValueError:
        raise ForbiddenAddress("The address is not a well-formed URL.") from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ForbiddenAddress("The address must begin with https:// and name a host.")
    if parts.username is not None or parts.password is not None:
        raise ForbiddenAddress("The address must not carry a user name or password.")
    return parts


def _system(host: str, port: int) -> Iterable[str]:
    return [str(answer[4][0]) for answer in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _addresses(host: str, port: int, resolver: Resolver) -> list[Address]:
    try:
        addresses = [ip_address(text) for text in resolver(host, port)]
    except (OSError, UnicodeError):  # UnicodeError: a label that is empty or longer than 63 characters
        addresses = []
    if not addresses:
        raise ForbiddenAddress(f"{host} does not resolve to an address.")
    return addresses


def _inside(address: Address, networks: Sequence[Network]) -> bool:
    return any(form in network for form in (address, _carried(address)) for network in networks)


def _carried(address: Address) -> Address:
    """Returns the IPv4 address that an IPv4-mapped or NAT64 address leads to, or the address itself."""
    if isinstance(address, IPv6Address):
        if address in NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address
    return address


def _is_public(address: Address) -> bool:
    address = _carried(address)
    if address.is_multicast or not address.is_global or any(address in network for network in NOT_PUBLIC):
        return False
    return isinstance(address, IPv4Address) or address in UNICAST
