"""Addresses that may be reached: public ones, and the networks that an operator allows.

A URL is judged by what its host resolves to, never by how it is spelled, and refused when any one of its addresses is
not public. The caller connects to the addresses of the `Target` and to nothing else, so that a second answer of the
name server (DNS rebinding) cannot lead it elsewhere. Webhooks go out by https; media may be fetched by http, too.
"""

import re
import socket
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import zip_longest
from urllib.parse import SplitResult, urlsplit

from moderation.errors import ForbiddenAddress, Unresolved

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Iterable[str]]

WEBHOOKS = ("https",)
MEDIA = ("https", "http")
DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST_URL = 2048
RESOLVING_SECONDS = 10.0
MOST_ADDRESSES = 8  # of a host that are tried; all of them are judged
LOOKUPS = threading.BoundedSemaphore(64)  # the system's resolver cannot be stopped: these many may be stuck in it
HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
NAT64 = IPv6Network("64:ff9b::/96")
UNICAST = IPv6Network("2000::/3")  # all that is given out so far; the rest of IPv6 is reserved or local
NOT_PUBLIC: tuple[Network, ...] = (
    IPv4Network("192.88.99.0/24"),  # 6to4 relays: leads into the relay's own network
    IPv4Network("192.0.0.0/24"),  # protocol assignments, Oracle's metadata host among them
    IPv4Network("168.63.129.16/32"),  # Azure's metadata host, which hides behind a public number
    IPv6Network("2001::/32"),  # Teredo, an IPv4 address in disguise; withdrawn
    IPv6Network("2002::/16"),  # 6to4, the same
    IPv6Network("3fff::/20"),  # documentation
)


@dataclass(frozen=True)
class Target:
    """Where a request goes: ``url`` names it, ``address`` is the IP address to connect to. ``others`` are the host's
    further addresses, judged as well, for when that one is dead.
    """

    url: str
    scheme: str
    host: str
    port: int
    address: str
    others: tuple[str, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses that may be connected to, in the order in which to try them."""
        return (self.address, *self.others)


def check(url: str, *, schemes: Sequence[str] = MEDIA, allowed_networks: Collection[str] = ()) -> None:
    """Refuses what can be refused without asking a name server; `resolve` judges the rest where it is reached.

    Raises:
        ForbiddenAddress: for a URL that is malformed, carries credentials, or names an address that is not public.
    """
    parts = _split(url, schemes)
    host, allowed = parts.hostname or "", [ip_network(network) for network in allowed_networks]
    literal = _literal(host)
    if literal is not None:
        _judge(parts, [literal], schemes, allowed)
    elif not allowed:  # or else the name may lead into a network where any port will do
        _judge(parts, [], schemes, allowed)


def resolve(
    url: str,
    *,
    schemes: Sequence[str] = WEBHOOKS,
    allowed_networks: Collection[str] = (),
    resolver: Resolver | None = None,
    seconds: float = RESOLVING_SECONDS,
) -> Target:
    """Returns the pinned target of ``url``.

    Args:
        schemes: those that public addresses may be reached by.
        allowed_networks: CIDR networks that may be reached whatever they are, also by http and on any port.
        resolver: gives the addresses of a host and port; the system's by default. It may raise OSError.
        seconds: on the clock for the answer of the resolver, which knows no limit of its own.

    Raises:
        ForbiddenAddress: for a URL that is malformed, carries credentials, or leads astray.
        Unresolved: when its host has no address, or none in time.
    """
    parts = _split(url, schemes)
    host, port = parts.hostname or "", _port(parts)
    addresses = _addresses(host, port, resolver or _system, seconds)
    _judge(parts, addresses, schemes, [ip_network(network) for network in allowed_networks])
    first, *others = map(str, _by_turns(addresses)[:MOST_ADDRESSES])
    return Target(url, parts.scheme, host, port, first, tuple(others))


def _by_turns(addresses: Sequence[Address]) -> list[Address]:
    """Orders addresses as they came, but with families in turn (RFC 8305, 4): a network may have lost one of them."""
    unique = list(dict.fromkeys(addresses))
    first = [address for address in unique if address.version == unique[0].version]
    second = [address for address in unique if address.version != unique[0].version]
    pairs = zip_longest(first, second)
    return [address for pair in pairs for address in pair if address is not None]


def _judge(
    parts: SplitResult, addresses: Sequence[Address], schemes: Sequence[str], allowed: Sequence[Network]
) -> None:
    if addresses and all(_inside(address, allowed) for address in addresses):
        return
    if parts.scheme not in schemes:
        raise ForbiddenAddress(f"The address must begin with {_listed(schemes)}.")
    if _port(parts) not in DEFAULT_PORTS.values():
        raise ForbiddenAddress(f"Port {parts.port} is not one that Unmask connects to (443 or 80).")
    if not all(_is_public(address) or _inside(address, allowed) for address in addresses):
        raise ForbiddenAddress(f"{parts.hostname} leads to a network that Unmask does not connect to.")


def _split(url: str, schemes: Sequence[str]) -> SplitResult:
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
        raise ForbiddenAddress(f"The address must begin with {_listed(schemes)} and name a host.")
    if parts.username is not None or parts.password is not None:
        raise ForbiddenAddress("The address must not carry a user name or password.")
    if not HOST.fullmatch(parts.hostname):
        raise ForbiddenAddress("The host must be a name (in its ASCII form) or an IP address without a zone.")
    return parts


def _listed(schemes: Sequence[str]) -> str:
    return " or ".join(f"{scheme}://" for scheme in schemes)


def _port(parts: SplitResult) -> int:
    return parts.port or DEFAULT_PORTS[parts.scheme]


def _literal(host: str) -> Address | None:
    """Returns the address that ``host`` spells, in any of the ways that the system understands; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))  # decimal, octal, hexadecimal, and with fewer than four parts
    except OSError:
        return None


def _system(host: str, port: int) -> Iterable[str]:
    return [str(answer[4][0]) for answer in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _addresses(host: str, port: int, resolver: Resolver, seconds: float) -> list[Address]:
    try:
        addresses = [ip_address(text) for text in _within(seconds, lambda: resolver(host, port))]
    except Late:
        raise Unresolved(f"{host} did not resolve within {seconds:.3g} s.") from None
    except (OSError, UnicodeError):  # UnicodeError: a label that is empty or longer than 63 characters
        addresses = []
    if not addresses:
        raise Unresolved(f"{host} does not resolve to an address.")
    return addresses


def _within(seconds: float, look_up: Callable[[], Iterable[str]]) -> Iterable[str]:
    """Returns what ``look_up`` returns in time; later it is left to itself, in a thread that nobody waits for."""
    found: Future[Iterable[str]] = Future()
    places = LOOKUPS

    def run() -> None:
        try:
            found.set_result(look_up())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            found.set_exception(error)
        finally:
            places.release()

    if not places.acquire(timeout=max(seconds, 0)):
        raise Late
    threading.Thread(target=run, name="resolve", daemon=True).start()
    return found.result(max(seconds, 0))


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
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return False  # no name server has reason to say so; NAT64 is how networks of IPv6 alone reach the rest
    address = _carried(address)
    if address.is_multicast or not address.is_global or any(address in network for network in NOT_PUBLIC):
        return False
    return isinstance(address, IPv4Address) or address in UNICAST
