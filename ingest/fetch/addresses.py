"""Which network addresses a download may connect to.

A table of videos is input from outside: a row may name a router, a cloud's metadata service or this
machine. A host is looked up once, each of its addresses is checked here, and the connection goes to
a checked address, so a second answer of the name server has no effect (DNS rebinding).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from registry.errors import FetchError, UsageError
from registry.urls import parse, printable

Resolver = Callable[[str, int], Sequence[str]]
"""Host (name, or address in any notation) and port to IP addresses; raises `OSError` as
`socket.getaddrinfo` does."""


@dataclass(frozen=True, slots=True)
class SpecialPurpose:
    """Why an address is not an ordinary public one."""

    what: str
    source: str
    private: bool = False
    """Whether `allow_private` allows it: addresses of private networks, where videos may be."""


# IANA IPv4 and IPv6 Special-Purpose Address Registries, the IPv4 and IPv6 multicast registries, and
# ranges that later RFCs deprecated. Ranges that are globally reachable but never serve content
# (anycast relays, AS112) are included. The first range that contains an address names it.
_PRIVATE = (
    ("10.0.0.0/8", "private-use", "RFC 1918"),
    ("100.64.0.0/10", "shared (carrier NAT)", "RFC 6598"),
    ("127.0.0.0/8", "loopback", "RFC 1122"),
    ("169.254.0.0/16", "link-local", "RFC 3927"),
    ("172.16.0.0/12", "private-use", "RFC 1918"),
    ("192.168.0.0/16", "private-use", "RFC 1918"),
    ("198.18.0.0/15", "benchmarking", "RFC 2544"),
    ("::1/128", "loopback", "RFC 4291"),
    ("fc00::/7", "unique-local", "RFC 4193"),
    ("fe80::/10", "link-local", "RFC 4291"),
)
_NEVER = (
    ("0.0.0.0/8", "'this network'", "RFC 791"),
    ("192.0.0.0/24", "protocol assignment", "RFC 6890"),
    ("192.0.2.0/24", "documentation", "RFC 5737"),
    ("192.31.196.0/24", "AS112", "RFC 7535"),
    ("192.52.193.0/24", "multicast tunnel (AMT)", "RFC 7450"),
    ("192.88.99.0/24", "6to4 relay", "RFC 7526"),
    ("192.175.48.0/24", "AS112", "RFC 7534"),
    ("198.51.100.0/24", "documentation", "RFC 5737"),
    ("203.0.113.0/24", "documentation", "RFC 5737"),
    ("224.0.0.0/4", "multicast", "RFC 5771"),
    ("255.255.255.255/32", "broadcast", "RFC 919"),
    ("240.0.0.0/4", "reserved", "RFC 1112"),
    ("::/128", "unspecified", "RFC 4291"),
    ("::/96", "IPv4-compatible", "RFC 4291"),
    ("::ffff:0:0:0/96", "IPv4-translated", "RFC 2765"),
    ("64:ff9b:1::/48", "local translation (NAT64)", "RFC 8215"),
    ("100::/64", "discard-only", "RFC 6666"),
    ("100:0:0:1::/64", "dummy prefix", "RFC 9780"),
    ("2001::/32", "Teredo tunnel", "RFC 4380"),
    ("2001::/23", "protocol assignment", "RFC 2928"),
    ("2001:db8::/32", "documentation", "RFC 3849"),
    ("2002::/16", "6to4 tunnel", "RFC 3056"),
    ("2620:4f:8000::/48", "AS112", "RFC 7534"),
    ("3fff::/20", "documentation", "RFC 9637"),
    ("5f00::/16", "segment routing", "RFC 9602"),
    ("fec0::/10", "site-local", "RFC 3879"),
    ("ff00::/8", "multicast", "RFC 4291"),
)
_RANGES: tuple[tuple[IPv4Network | IPv6Network, SpecialPurpose], ...] = (
    *(
        (ip_network(cidr), SpecialPurpose(what, source, private=True))
        for cidr, what, source in _PRIVATE
    ),
    *((ip_network(cidr), SpecialPurpose(what, source)) for cidr, what, source in _NEVER),
)

# Where clouds give credentials to any program inside: refused even where private addresses are
# allowed. From the providers' documentation.
_METADATA = {
    "169.254.169.254": "AWS, Azure, Google Cloud, Oracle, DigitalOcean, OpenStack",
    "169.254.170.2": "AWS ECS",
    "169.254.170.23": "AWS EKS",
    "fd00:ec2::254": "AWS",
    "fd00:ec2::23": "AWS EKS",
    "fd20:ce::254": "Google Cloud",
    "100.100.100.200": "Alibaba Cloud",
    "168.63.129.16": "Azure",
    "169.254.0.23": "Tencent Cloud",
    "169.254.42.42": "Scaleway",
    "fd00:42::42": "Scaleway",
    "192.0.0.192": "Oracle Cloud",
}
_METADATA_ADDRESSES = {ip_address(text): cloud for text, cloud in _METADATA.items()}
_METADATA_NAMES = frozenset(
    {
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.azure.internal",
        "metadata.goog",
        "metadata.google.internal",
        "metadata.platformequinix.com",
        "metadata.tencentyun.com",
        "rancher-metadata",
    }
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA has assigned so far (IPv6 Global Unicast Address Assignments)."""
_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: on IPv6-only networks, IPv4 hosts resolve to these addresses."""
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
"""RFC 5214, 6.1: the upper half of an interface id whose lower half is an IPv4 address."""


def special_purpose(address: IPv4Address | IPv6Address) -> SpecialPurpose | None:
    """Why this address is not an ordinary public one, or None if it is.

    An IPv6 address that embeds an IPv4 address (mapped, NAT64, ISATAP) is judged by the latter.
    """
    if cloud := _METADATA_ADDRESSES.get(address):
        return SpecialPurpose("metadata service", cloud)
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return SpecialPurpose("zone id", "RFC 4007")
        if address.ipv4_mapped is not None:
            return special_purpose(address.ipv4_mapped)
        if address in _NAT64:
            inner = special_purpose(IPv4Address(int(address) & 0xFFFF_FFFF))
            return inner and replace(inner, what=f"translated {inner.what}", private=False)
    for network, reason in _RANGES:
        if address in network:
            return reason
    if isinstance(address, IPv6Address):
        if address not in _GLOBAL_UNICAST:
            return SpecialPurpose("unassigned", "RFC 4291")
        if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
            inner = special_purpose(IPv4Address(int(address) & 0xFFFF_FFFF))
            return inner and replace(inner, what=f"tunnelled {inner.what}", private=False)
    return None


def resolve(host: str, port: int) -> tuple[str, ...]:
    """The addresses that this machine would connect to, in its order of preference.

    Accepts what the system accepts: names, and IPv4 addresses in short, octal, hexadecimal or dword
    notation. The system's settings limit how long a name server may take. Raises `OSError`.
    """
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in entries))


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which addresses downloads may connect to; by default public ones only, on any port."""

    allow_private: bool = False
    """Also allow private networks and this machine. Metadata services stay refused."""
    allowed_hosts: frozenset[str] = frozenset()
    """Hosts, without port, for which private addresses are allowed."""
    resolver: Resolver = field(default=resolve, compare=False)

    def __post_init__(self) -> None:
        """Normalise the hosts as URLs are. Raises `UsageError`."""
        hosts = frozenset(_normalised_host(text) for text in self.allowed_hosts)
        object.__setattr__(self, "allowed_hosts", hosts)

    def checked_addresses(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of a host, if downloads may connect to all of them.

        One forbidden address refuses the host, because nobody publishes such an address by mistake.
        Raises `FetchError` if the host is refused, and `OSError` if it cannot be looked up.
        """
        self._check_name(host)
        addresses = tuple(self.resolver(host, port))
        if not addresses:
            raise FetchError(f"{printable(host)} has no address.")
        for address in addresses:
            self._check(host, address)
        return addresses

    def check_unresolved(self, host: str, port: int) -> None:
        """Check a host that a proxy looks up: names of metadata services, localhost and addresses.

        Addresses are recognised in every notation that the system accepts. What any other name
        leads to is for the proxy to decide. Raises `FetchError`.
        """
        self._check_name(host)
        if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3: always loopback
            self._check(host, "127.0.0.1")
        with suppress(OSError):
            for *_, address in socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST):
                self._check(host, str(address[0]))

    def proxy_addresses(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of a proxy, which may be private: the user names it. Raises `OSError`."""
        return tuple(self.resolver(host, port))

    def _check_name(self, host: str) -> None:
        if host in _METADATA_NAMES:
            raise FetchError(f"{host} is a cloud's metadata service, which holds no videos.")

    def _check(self, host: str, text: str) -> None:
        """Raise `FetchError` if downloads may not connect to this address."""
        try:
            reason = special_purpose(ip_address(text))
        except ValueError as exc:
            raise FetchError(
                f"{printable(host)} resolves to {printable(text)}, which is not an address."
            ) from exc
        if reason is None:
            return
        if reason.private and (self.allow_private or host in self.allowed_hosts):
            return
        hint = (
            "Allow private addresses (--allow-private-hosts) if you mean it."
            if reason.private
            else "Downloads never connect to it."
        )
        raise FetchError(
            f"{printable(host)} resolves to {printable(text)}, which is not a public address "
            f"({reason.what}, {reason.source}). {hint}"
        )


def _normalised_host(text: str) -> str:
    bare = text.removeprefix("[").removesuffix("]")
    parsed = parse(f"http://[{bare}]/" if ":" in bare else f"http://{bare}/")
    if (parsed.port, parsed.target, parsed.credentials) != (80, "/", ""):
        raise UsageError(f"'{printable(text)}' is not a host name. Write it without port and path.")
    return parsed.host
