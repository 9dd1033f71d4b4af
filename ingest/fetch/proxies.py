"""Which proxy a request goes through, and which hosts are reached without one. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Self

from registry.errors import UsageError
from registry.urls import HttpUrl, Url, parse, printable


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. Formatted, it shows itself without user name and password."""

    address: Url
    """Its URL, with user name and password."""
    url: HttpUrl

    @classmethod
    def parse(cls, text: str) -> Self:
        """The proxy at a URL; `host:port` alone is an http proxy. Raises `UsageError`."""
        scheme, separator, _ = text.strip().partition("://")
        if separator and scheme.lower().startswith("socks"):
            raise UsageError("SOCKS proxies are not supported. Give the URL of an HTTP proxy.")
        address = text.strip() if separator else f"http://{text.strip()}"
        try:
            url = parse(address)
        except UsageError as exc:
            raise UsageError(f"The proxy is not valid. {exc}") from None
        if url.target != "/":
            raise UsageError(
                f"The proxy {url.scheme}://{printable(url.authority)} is not valid: its URL has a "
                "path. Write http://HOST:PORT."
            )
        return cls(Url(address), url)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers for the proxy itself: user name and password (Basic, RFC 7617), if any."""
        if not self.url.credentials:
            return []
        user, _, password = self.url.credentials.partition(":")
        token = base64.b64encode(f"{user}:{password}".encode())
        return [(b"Proxy-Authorization", b"Basic " + token)]

    def __str__(self) -> str:
        """Scheme, host and port."""
        return f"{self.url.scheme}://{self.url.authority}"


@dataclass(frozen=True, slots=True)
class ProxyRules:
    """The proxies of a run; by default none."""

    http: Proxy | None = None
    """For http URLs."""
    https: Proxy | None = None
    exceptions: str = ""
    """Hosts that are reached without a proxy, as in NO_PROXY: separated by commas, a name with
    all names below it, `host:port`, an address, a network (`10.0.0.0/8`), or `*`."""
    unused: Mapping[str, str] = field(default_factory=dict, compare=False)
    """By scheme, the variable of the environment that names a proxy which is not used."""

    def proxy_for(self, url: HttpUrl) -> Proxy | None:
        """The proxy for a URL; None: the server is reached directly."""
        proxy = self.https if url.scheme == "https" else self.http
        return None if proxy is None or self._is_excepted(url) else proxy

    def hint(self, url: HttpUrl) -> str:
        """What to say where a direct connection failed; often ""."""
        name = self.unused.get(url.scheme, "")
        return f"{name} is set but not used; --proxy env uses it." if name else ""

    def note(self) -> str:
        """What a run says of its proxies; "" without one."""
        if not (self.http or self.https):
            return ""
        if self.http == self.https:
            through = f"Downloads go through the proxy {self.http}."
        else:
            routes = {"http": self.http, "https": self.https}
            listed = (f"{scheme}: {proxy or 'directly'}" for scheme, proxy in routes.items())
            through = f"Downloads go through a proxy ({', '.join(listed)})."
        return (
            f"{through} It looks hosts up itself, so which addresses they may have is for the "
            "proxy to decide."
        )

    def as_dict(self) -> dict[str, Any]:
        """The rules as JSON values, with passwords, for `from_dict` in another process."""
        proxies = {"http": self.http, "https": self.https}
        return {
            **{scheme: proxy.address.exposed() for scheme, proxy in proxies.items() if proxy},
            "exceptions": self.exceptions,
            "unused": dict(self.unused),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The rules of `as_dict`."""
        proxies = {s: Proxy.parse(values[s]) for s in ("http", "https") if s in values}
        return cls(**proxies, exceptions=values["exceptions"], unused=values["unused"])

    def _is_excepted(self, url: HttpUrl) -> bool:
        # Also separated by spaces, as curl takes it, and `*.example.com`, as Windows writes it.
        return any(_matches(entry, url) for entry in re.split(r"[\s,]+", self.exceptions.lower()))


def _matches(entry: str, url: HttpUrl) -> bool:
    """Whether an entry of NO_PROXY names the host of a URL."""
    if entry in {"", "*"}:
        return entry == "*"
    names = (url.written_host, f"{url.written_host}:{url.port}")
    try:
        address = ip_address(url.host)
    except ValueError:
        domain = entry.removeprefix("*").removeprefix(".")
        return any(f".{name}".endswith(f".{domain}") for name in names)
    try:
        return entry in names or address in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return False
