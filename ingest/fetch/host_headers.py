"""Headers and cookies that the user gives for certain hosts, and the user agent.

They are secrets: nothing here shows them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy, LoadError, MozillaCookieJar
from pathlib import Path
from typing import Any, Self
from urllib.request import Request as UrllibRequest

from registry.errors import UsageError
from registry.urls import HttpUrl, parse, printable

DEFAULT_USER_AGENT = "face-registry"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token, RFC 9110, 5.6.2."""
_VALUE = re.compile(r"[\x20-\x7e\xa0-\xff]*")
"""What httpcore sends of a field value of RFC 9110, 5.5, without tabs."""
_OWN = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "host", "if-match",
     "if-none-match", "if-modified-since", "if-range", "if-unmodified-since", "keep-alive",
     "range", "te", "trailer", "transfer-encoding", "upgrade"}
)  # fmt: skip
"""Headers that the client sets itself, or that change what a response is."""
_COOKIE_FIELDS = 7
_HTTP_ONLY = "#HttpOnly_"


def strict_policy() -> DefaultCookiePolicy:
    """A policy by which a cookie of one host is not sent to the hosts below it."""
    return DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain)


@dataclass(frozen=True, slots=True, repr=False)
class HostHeaders:
    """What is sent with requests to certain hosts, and to no other."""

    by_host: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Headers by `host` or `host:port`, as `header_host` gives it."""
    cookies: tuple[Cookie, ...] = ()
    user_agent: str = ""
    """For all hosts; "": the client's own."""
    _jar: CookieJar = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare the search of cookies."""
        jar = CookieJar(strict_policy())
        for cookie in self.cookies:
            jar.set_cookie(cookie)
        object.__setattr__(self, "_jar", jar)

    def __reduce__(self) -> tuple[type[HostHeaders], tuple[object, ...]]:
        """How it is sent to another process: without the jar, which holds a lock."""
        return HostHeaders, (self.by_host, self.cookies, self.user_agent)

    def headers_for(self, url: HttpUrl) -> dict[str, str]:
        """The headers for the server of a URL, with its cookies as the header Cookie."""
        host = url.written_host
        headers = {**self.by_host.get(host, {}), **self.by_host.get(f"{host}:{url.port}", {})}
        request = UrllibRequest(str(url))
        self._jar.add_cookie_header(request)
        given = next((name for name in headers if name.lower() == "cookie"), "")
        values = [request.get_header("Cookie") or "", headers.pop(given, "")]
        if cookies := merged_cookies(*values):
            headers["Cookie"] = cookies
        return headers

    def holds(self, cookie: Cookie) -> bool:
        """Whether a cookie is one of the user's."""
        known = ("domain", "path", "name", "value")
        return any(all(getattr(own, k) == getattr(cookie, k) for k in known) for own in self._jar)

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON values, for `from_dict` in another process."""
        cookies = [dict(vars(cookie)) for cookie in self.cookies]
        for values in cookies:
            values["rest"] = values.pop("_rest")
        return {
            "by_host": {host: dict(headers) for host, headers in self.by_host.items()},
            "cookies": cookies,
            "user_agent": self.user_agent,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `as_dict` gave."""
        cookies = tuple(Cookie(**fields) for fields in values["cookies"])
        return cls(values["by_host"], cookies, values["user_agent"])


def merged_cookies(*values: str) -> str:
    """Values of the header Cookie as one; of two cookies of a name, the later one."""
    pairs = [pair.strip() for value in values for pair in value.split(";")]
    return "; ".join({pair.partition("=")[0]: pair for pair in pairs if pair}.values())


def header_host(text: str) -> str:
    """A host, or `host:port`, normalised as in URLs. Raises `UsageError`."""
    bare = text.strip()
    try:
        url = parse(f"http://{bare}/")
    except UsageError:
        url = None
    if url is None or url.target != "/" or url.credentials or "/" in bare:
        # Not shown: who mixes up the two values of --header has the secret here.
        raise UsageError(
            "The host of a header is not valid. Write HOST or HOST:PORT, without http:// and path, "
            "such as media.example.com."
        )
    has_port = re.search(r":[0-9]+$", bare.rpartition("]")[2])
    return f"{url.written_host}:{url.port}" if has_port else url.written_host


def check_header(host: str, name: str, value: str) -> None:
    """Raise `UsageError` unless it is a header that may be set; the value is never shown."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"A header for {host} is not valid: what is before its colon is not a name. Write "
            '"Name: value".'
        )
    if name.lower() in _OWN or name.lower().startswith("proxy-"):
        raise UsageError(f"The header {name} (for {host}) cannot be set: downloads need their own.")
    if not value or not _VALUE.fullmatch(value):
        raise UsageError(
            f"The value of the header {name} (for {host}) is empty or has characters that a header "
            "cannot have."
        )


def check_user_agent(text: str) -> None:
    """Raise `UsageError` unless the header User-Agent can have this value."""
    if not _VALUE.fullmatch(text):
        raise UsageError("The user agent has characters that a header cannot have.")


def load_cookies(path: Path) -> tuple[Cookie, ...]:
    """The cookies of a file in Netscape's format, as browsers' extensions and curl write it.

    Raises `UsageError`, which names the file and the line, and shows no cookie.
    """
    shown = printable(str(path), 500)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not a text in UTF-8"
        raise UsageError(f"The cookie file {shown} cannot be read: {reason}.") from None
    for number, line in enumerate(lines, start=1):
        _check_line(f"Line {number} of the cookie file {shown}", line)
    jar = MozillaCookieJar(str(path))
    try:
        jar.load(ignore_discard=True, ignore_expires=True)
    except (LoadError, OSError, ValueError):
        # The message of LoadError holds a line of the file.
        raise UsageError(
            f"{shown} is not a cookie file in Netscape's format. Its first line is "
            '"# Netscape HTTP Cookie File".'
        ) from None
    cookies = tuple(map(_session_cookie, jar))
    if not cookies or all(cookie.is_expired() for cookie in cookies):
        what = "has no cookies" if not cookies else "has only cookies that have expired"
        raise UsageError(f"The cookie file {shown} {what}. Export it again.")
    return cookies


def _check_line(where: str, line: str) -> None:
    text = line.removeprefix(_HTTP_ONLY)
    if not text.strip() or text.lstrip().startswith(("#", "$")):
        return
    fields = text.split("\t")
    if len(fields) != _COOKIE_FIELDS:
        raise UsageError(
            f"{where} does not have {_COOKIE_FIELDS} fields separated by tabs. Export the cookies "
            "in Netscape's format."
        )
    if (fields[1] == "TRUE") != fields[0].startswith("."):
        raise UsageError(
            f"{where}: the second field is TRUE for a domain that begins with a dot, FALSE for one "
            "host. Correct one of the two."
        )
    if fields[4] and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", fields[4]):
        raise UsageError(f"{where}: the fifth field, when the cookie expires, is not a number.")


def _session_cookie(cookie: Cookie) -> Cookie:
    """The cookie; one that expires at 0 is a session cookie, as browsers and curl write it."""
    if cookie.expires == 0:
        cookie.expires, cookie.discard = None, True
    return cookie


def host_headers(
    headers: Mapping[str, Mapping[str, str]], user_agent: str, cookies: Iterable[Cookie]
) -> HostHeaders:
    """Check and combine what the user gives. Raises `UsageError`."""
    by_host: dict[str, dict[str, str]] = {}
    for text, given in headers.items():
        host = header_host(text)
        for name, value in given.items():
            check_header(host, name, value)
        by_host.setdefault(host, {}).update(given)
    check_user_agent(user_agent)
    return HostHeaders(by_host, tuple(cookies), user_agent)
