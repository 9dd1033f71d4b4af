"""Parsing and normalising URLs, without any access to network or files.

There are two forms. What is sent keeps its spelling, since a server may have signed exactly those
characters. The name of a video has its percent-encoding normalised, so that spellings of one URL
are one video.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlsplit

import idna

from registry.errors import UsageError
from registry.redaction import CONTROL, printable, redacted

_PORTS = {"http": 80, "https": 443}
_SUB_DELIMS = "!$&'()*+,;="
_PATH_SAFE = f"{_SUB_DELIMS}:@/"
"""RFC 3986, 3.3: what a path may hold unencoded besides letters, digits and `-._~`."""
_QUERY_SAFE = f"{_PATH_SAFE}?"
"""RFC 3986, 3.4."""
_SENT_SAFE = f"{_QUERY_SAFE}%[]"
"""What is sent as it was written: browsers send brackets and single percent signs as they are."""
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_ESCAPE = re.compile(r"(%[0-9A-Fa-f]{2})")
_HOST = re.compile(r"(?!.{254})[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_LAST_PORT = 65_535
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LAST_KEY = 1024


@dataclass(frozen=True, slots=True, repr=False)
class HttpUrl:
    """An http or https URL, taken apart."""

    scheme: str
    """`http` or `https`."""
    host: str
    """Lower-case ASCII (IDNA); an IPv6 address without its brackets."""
    port: int
    path: str
    """As written, but without dot segments and with characters that may not be sent encoded; never
    empty."""
    query: str
    """As written, with characters that may not be sent encoded; without the question mark."""
    credentials: str = ""
    """`user:password`, decoded; empty if there are none."""

    @property
    def written_host(self) -> str:
        """The host as URLs have it: an IPv6 address in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def authority(self) -> str:
        """Host and port as in the Host header, which leaves out a default port."""
        host = self.written_host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """Path and query, as in the request line."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: where credentials may be sent."""
        return self.scheme, self.host, self.port

    def __str__(self) -> str:
        """The URL without its credentials, but with its query: what is sent, not what is shown."""
        return f"{self.scheme}://{self.authority}{self.target}"

    def __repr__(self) -> str:
        """The redacted URL."""
        return f"HttpUrl({redacted(str(self))!r})"


def parse(url: str) -> HttpUrl:
    """Take an http or https URL apart. Raises `UsageError`, which says what is wrong with it."""
    text = url.strip()
    parts = _split(text)
    if parts.scheme not in _PORTS:
        raise _unusable(text, "it does not start with http:// or https://")
    userinfo, _, location = parts.netloc.rpartition("@")
    if "\\" in parts.netloc:
        # Browsers end the host at a backslash, others do not, and so they get different hosts.
        raise _unusable(text, "there is a backslash before its path")
    host, port = _host_and_port(text, location)
    try:
        return HttpUrl(
            scheme=parts.scheme,
            host=host,
            port=port or _PORTS[parts.scheme],
            path=quote(_without_dots(parts.path), safe=_SENT_SAFE),
            query=quote(parts.query, safe=_SENT_SAFE),
            credentials=unquote(userinfo),
        )
    except UnicodeEncodeError as exc:
        raise _unusable(text, "it contains a lone surrogate, which is not a character") from exc


def bucket_and_key(url: str) -> tuple[str, str]:
    """Bucket and key of an s3 URL. Keys are taken as written: they may hold ?, # and %."""
    text = url.strip()
    bucket, _, key = text[5:].partition("/")
    if not _BUCKET.fullmatch(bucket) or not key or len(key.encode(errors="replace")) > _LAST_KEY:
        ways = "a bucket of 3 to 63 letters, digits, dots and hyphens, a key of 1 to 1,024 bytes"
        raise _unusable(text, f"write s3://bucket/key: {ways}")
    if CONTROL.search(key) or {".", ".."} & set(key.split("/")):
        raise _unusable(text, "its key contains control characters or dot segments")
    return bucket, key


def normalised_file(url: str) -> str:
    """A file URL, normalised: of a file on this machine, or on a server that it names.

    Raises `UsageError`.
    """
    parts = _split(url)
    path = unquote(parts.path, errors="surrogateescape")
    if CONTROL.search(path):
        raise _unusable(url, "it contains a control character")
    host = _hostname(url, parts.netloc) if parts.netloc.lower() not in {"", "localhost"} else ""
    if not path.startswith("/"):
        raise _unusable(url, "its path is not absolute; write file:///folder/file.mp4")
    # A path may contain ? and #, and file URLs have no query, so urlsplit would cut the path.
    if parts.query or parts.fragment:
        raise _unusable(url, "a file URL has no query; write %3F for ? and %23 for #")
    try:
        return f"file://{host}{normalised_path(_without_dots(parts.path))}"
    except UnicodeEncodeError as exc:
        raise _unusable(url, "it contains a lone surrogate, which is not a character") from exc


def normalised_path(path: str) -> str:
    """A path with normalised percent-encoding (RFC 3986, 6.2.2)."""
    return _normalised(path, _PATH_SAFE)


def normalised_query(query: str) -> str:
    """A query with normalised percent-encoding (RFC 3986, 6.2.2)."""
    return _normalised(query, _QUERY_SAFE)


def _split(url: str) -> SplitResult:
    if CONTROL.search(url):
        raise _unusable(url, "it contains a control character")
    try:
        return urlsplit(url)
    except ValueError as exc:
        raise _unusable(url, "its host cannot be read") from exc


def _host_and_port(url: str, location: str) -> tuple[str, int]:
    if location.startswith("["):
        literal, _, rest = location[1:].partition("]")
        host = _ipv6(url, literal)
        if rest and not rest.startswith(":"):
            raise _unusable(url, "something other than a port follows the ]")
        port = rest[1:]
    else:
        name, _, port = location.partition(":")
        host = _hostname(url, name)
    if not port:
        return host, 0
    number = int(port) if re.fullmatch(r"[0-9]{1,5}", port) else 0
    if not 1 <= number <= _LAST_PORT:
        raise _unusable(url, "its port is not a number from 1 to 65535")
    return host, number


def _ipv6(url: str, literal: str) -> str:
    if "%" in literal:
        raise _unusable(url, "a zone id (%) names a network card of one machine")
    try:
        address = ipaddress.IPv6Address(literal)
    except ValueError as exc:
        raise _unusable(url, f"[{printable(literal, 50)}] is not an IPv6 address") from exc
    return str(address.ipv4_mapped or address)


def _hostname(url: str, name: str) -> str:
    if not name:
        raise _unusable(url, "it names no host")
    try:
        host = unquote(name, errors="strict")
        if not host.isascii():
            host = idna.encode(host, uts46=True).decode("ascii")
    except UnicodeError as exc:
        raise _unusable(url, f"{printable(name, 60)!r} is not a host name") from exc
    host = host.lower().removesuffix(".")
    if not _HOST.fullmatch(host):
        raise _unusable(url, f"{printable(name, 60)!r} is not a host name")
    return host


def _without_dots(path: str) -> str:
    """RFC 3986, 5.2.4; `%2e` is a dot as well."""
    if path and "/." not in path and "%2e" not in path.lower():
        return path
    segments = path.split("/")[1:]
    plain = [re.sub("%2e", ".", segment, flags=re.IGNORECASE) for segment in segments]
    kept: list[str] = []
    for segment, dots in zip(segments, plain, strict=True):
        if dots == "..":
            del kept[-1:]
        elif dots != ".":
            kept.append(segment)
    if plain and plain[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def _normalised(text: str, safe: str) -> str:
    """Decode escapes of unreserved characters, and write all others in upper case."""
    if "%" not in text:
        return quote(text, safe=safe)
    pieces = _ESCAPE.split(text)
    for place, piece in enumerate(pieces):
        if place % 2:
            letter = chr(int(piece[1:], 16))
            pieces[place] = letter if _UNRESERVED.fullmatch(letter) else piece.upper()
        else:
            pieces[place] = quote(piece, safe=safe)
    return "".join(pieces)


def _unusable(url: str, why: str) -> UsageError:
    return UsageError(f"'{redacted(url)}' cannot be used as a URL: {why}.")
