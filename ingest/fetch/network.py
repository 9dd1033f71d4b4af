"""How downloads reach the network: what the user says of proxy, headers, user agent and cookies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import Cookie
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.downloads import Downloader, FetchLimits
from ingest.fetch.host_headers import HostHeaders, host_headers, load_cookies
from ingest.fetch.proxies import Proxy, ProxyRules
from registry.errors import UsageError
from registry.settings import Settings, proxy_variable_name, proxy_variables

if TYPE_CHECKING:
    from registry.blobs.minio_presigned import Buckets

FROM_ENVIRONMENT, NO_PROXY = "env", "none"
_SCHEMES = ("http", "https")


@dataclass(frozen=True, slots=True, repr=False)
class Network:
    """Proxy, headers, user agent and cookies of downloads; `repr` shows no secret.

    Raises `UsageError` for a value that is not valid, and for a cookie file that cannot be read.
    """

    proxy: str = ""
    """URL of an HTTP proxy, with `user:password@` if it asks for them; `env`: the proxies of
    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; `none`: no proxy; "": the setting
    FACE_REGISTRY_PROXY."""
    no_proxy: str = ""
    """Hosts that are reached without the proxy, separated by commas; "": the setting
    FACE_REGISTRY_NO_PROXY, else NO_PROXY."""
    headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By host (`media.example.com` or `media.example.com:8443`), its headers. They are sent to no
    other host, and not after a redirect from another origin."""
    user_agent: str = ""
    """For all hosts."""
    cookies: str | Path | None = None
    """A file in Netscape's format. Each cookie is sent to its own hosts only, and not after a
    redirect from another origin."""
    _loaded: tuple[Cookie, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Check the values, and read the cookie file."""
        if self.proxy not in {"", FROM_ENVIRONMENT, NO_PROXY}:
            Proxy.parse(self.proxy)
        cookies = () if self.cookies is None else load_cookies(Path(self.cookies).expanduser())
        object.__setattr__(self, "_loaded", cookies)
        self.host_headers()

    def __repr__(self) -> str:
        """The proxy without its password, the hosts with headers, and the cookie file."""
        named = self.proxy in {"", FROM_ENVIRONMENT, NO_PROXY}
        proxy = self.proxy if named else str(Proxy.parse(self.proxy))
        return (
            f"Network(proxy={proxy!r}, no_proxy={self.no_proxy!r}, headers={sorted(self.headers)}, "
            f"user_agent={self.user_agent!r}, cookies={self.cookies and str(self.cookies)!r})"
        )

    def host_headers(self) -> HostHeaders:
        """What is sent to which host."""
        return host_headers(self.headers, self.user_agent, self._loaded)

    def fetch_rules(
        self, policy: AddressPolicy, limits: FetchLimits, settings: Settings
    ) -> FetchRules:
        """The rules of downloads, with these limits. Raises `UsageError` as `proxy_rules`."""
        return FetchRules(policy, limits, self.proxy_rules(settings), self.host_headers())

    def proxy_rules(self, settings: Settings) -> ProxyRules:
        """The proxies, with the settings and the environment where they count.

        Raises `UsageError` for a proxy of theirs that is not valid.
        """
        setting = settings.proxy.get_secret_value() if settings.proxy else NO_PROXY
        proxy = self.proxy or setting
        environment = proxy_variables()
        exceptions = self.no_proxy or settings.no_proxy or environment.get("no", "")
        if proxy == NO_PROXY:
            names = {scheme: proxy_variable_name(scheme) for scheme in _SCHEMES}
            return ProxyRules(unused={scheme: name for scheme, name in names.items() if name})
        if proxy == FROM_ENVIRONMENT:
            http, https = map(_proxy_of_environment, _SCHEMES)
            return ProxyRules(http, https, exceptions)
        try:
            given = Proxy.parse(proxy)
        except UsageError as exc:
            raise UsageError(f"FACE_REGISTRY_PROXY is not valid. {exc}") from None
        return ProxyRules(given, given, exceptions)


@dataclass(frozen=True, slots=True)
class FetchRules:
    """All that a download keeps to; it can be sent to other machines."""

    policy: AddressPolicy
    limits: FetchLimits
    proxies: ProxyRules
    host_headers: HostHeaders

    def downloader(
        self, folder: Path, buckets: Buckets | None = None, *, videos: bool = True
    ) -> Downloader:
        """A downloader that follows these rules; its caller closes it. Arguments as there."""
        return Downloader(
            folder,
            limits=self.limits,
            policy=self.policy,
            buckets=buckets,
            videos=videos,
            proxies=self.proxies,
            host_headers=self.host_headers,
        )


def _proxy_of_environment(scheme: str) -> Proxy | None:
    variables = proxy_variables()
    address = variables.get(scheme) or variables.get("all")
    if not address:
        return None
    try:
        return Proxy.parse(address)
    except UsageError as exc:
        raise UsageError(f"{proxy_variable_name(scheme)} is not valid. {exc}") from None
