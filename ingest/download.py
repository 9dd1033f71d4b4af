"""From a location to a file on this machine: tries again, resumes, and stops at limits."""

from __future__ import annotations

import os
import re
import ssl
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock
from typing import Protocol
from urllib.parse import urljoin

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from ingest.addresses import AddressPolicy
from ingest.content import HEAD, refuse_pages
from ingest.http import Answer, Line, Request, Transport, TryAgain
from ingest.local import local_file
from ingest.pages.reading import Pages
from ingest.partial import Partial, disk_error
from ingest.patience import FetchLimits, persist
from registry.errors import FetchError, RegistryError, StoreError, UsageError
from registry.system.certificates import trusting
from registry.urls import HttpUrl, bucket_and_key, parse, printable, redacted

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be others in a moment (RFC 9110, RFC 6585, RFC 8470)."""
_LEFT_BEHIND_S = 24 * 3600.0
"""Temporary files this old were left by a process that died; a download takes an hour at most."""


__all__ = ["Download", "Downloader", "FetchLimits"]


@dataclass(frozen=True, slots=True)
class Download:
    """The bytes of one video."""

    path: Path
    size: int
    """Bytes."""
    temporary: bool
    """Whether the file was made for this download and goes with it."""

    def discard(self) -> None:
        """Delete the file if it is temporary; a second time is fine."""
        if self.temporary:
            self.path.unlink(missing_ok=True)


class Buckets(Protocol):
    """An S3 server: `registry.blobs.minio_presigned`."""

    tls: ssl.SSLContext
    """Whom to trust on the way to it."""

    def address(self, bucket: str, key: str, seconds: float) -> str:
        """A URL that gives the object for so many seconds. Raises `StoreError`."""


class Downloader:
    """Fetches videos into a folder of its own; one object serves any number of threads.

    Proxy variables of the environment are not looked at: through a proxy, the address that is
    connected to could not be checked.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limits: FetchLimits | None = None,
        policy: AddressPolicy | None = None,
        tls: ssl.SSLContext | None = None,
        pages: Pages | None = None,
        buckets: Buckets | None = None,
    ) -> None:
        """The folder is made if it is not there.

        Args:
            folder: for temporary files.
            limits: what a download may take.
            policy: whom to speak to.
            tls: whom to trust; by default the system's and Mozilla's certificate authorities.
            pages: what reads pages of video sites; by default yt-dlp, within the same limits.
            buckets: the S3 server of s3 URLs; None: there is none.
        """
        self._folder = folder
        self._limits = limits or FetchLimits()
        policy = policy or AddressPolicy()
        self._pages = pages or Pages(
            policy, folder, max_bytes=self._limits.max_bytes, seconds=self._limits.page_s
        )
        self._transport = Transport(
            policy,
            tls or trusting(None),
            connect_s=self._limits.connect_s,
            read_s=self._limits.read_s,
        )
        self._closed = Event()
        self._lines: set[Line] = set()
        self._made: set[Path] = set()
        self._lock = Lock()
        self._schemes: dict[str, Callable[[str, str], Download]] = {
            "http": self._web,
            "https": self._web,
            "s3": self._bucket,
        }
        self._buckets = buckets
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise disk_error(exc, folder) from exc
        _clear(folder)

    def fetch(self, location: str, name: str) -> Download:
        """The video at a URL or an absolute path, as a file.

        `name` begins the name of the temporary file; nothing else depends on it. Raises
        `FetchError` if the bytes cannot be had or are no video, `StoreFull` if they would not leave
        the reserve free, and `RegistryError` once the downloader is closed.
        """
        if self._closed.is_set():
            raise _stopped()
        scheme, found, _ = location.partition("://")
        if not found:
            return Download(*local_file(Path(location)), temporary=False)
        fetch = self._schemes.get(scheme.lower())
        if fetch is None:
            raise FetchError(f"{redacted(location)}: {printable(scheme)}:// is not fetched from.")
        return fetch(location, name)

    def close(self) -> None:
        """End the downloads under way, delete temporary files; closing twice is fine."""
        self._closed.set()
        with self._lock:
            lines, made = list(self._lines), list(self._made)
            self._made.clear()
        for line in lines:
            line.cut(_stopped())
        for path in made:
            path.unlink(missing_ok=True)

    def _web(self, location: str, name: str) -> Download:
        try:
            url = parse(location)
        except UsageError as exc:
            raise FetchError(str(exc)) from exc
        return self._save(name, redacted(str(url)), lambda line: self._wanted(url, line))

    def _bucket(self, location: str, name: str) -> Download:
        return self._save(name, redacted(location), lambda line: self._signed(location, line))

    def _save(self, name: str, shown: str, wanted: Callable[[Line], _Wanted]) -> Download:
        path = self._new_file(name)
        line = Line(shown, self._limits.total_s)
        with self._lock:
            self._lines.add(line)
        try:
            if self._closed.is_set():
                raise _stopped()
            ask = wanted(line)
            with Partial(path, self._limits.max_bytes, self._limits.reserve_bytes) as part:
                persist(lambda: _try(ask, part, line), part, self._limits, self._closed)
                return Download(path, part.size, temporary=True)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            line.close()
            with self._lock:
                self._lines.discard(line)

    def _wanted(self, url: HttpUrl, line: Line) -> _Wanted:
        """The file of this URL, or the video on this page."""
        request = Request(url, {}, url.credentials)
        if self._pages.recognises(url):
            found = self._pages.read(url, line)
            try:
                request = Request(parse(found.url), found.headers)
            except UsageError as exc:
                raise FetchError(f"{line.url}: the video on the page: {exc}") from exc
        return _Wanted(request, self._transport, self._limits.redirects)

    def _signed(self, location: str, line: Line) -> _Wanted:
        """The object of an s3 URL, from the server that is set up, wherever that is."""
        if self._buckets is None:
            raise FetchError(
                f"{line.url}: no S3 server is set up; set MINIO_ENDPOINT, MINIO_ACCESS_KEY and "
                "MINIO_SECRET_KEY."
            )
        try:
            bucket, key = bucket_and_key(location)
            url = parse(self._buckets.address(bucket, key, line.left()))
        except (StoreError, UsageError) as exc:
            raise FetchError(f"{line.url}: {exc}.") from exc
        line.check()
        policy = replace(self._transport.policy, allow_private=True)
        transport = replace(self._transport, policy=policy, tls=self._buckets.tls)
        return _Wanted(Request(url, {}, called=line.url), transport, 0)

    def _new_file(self, name: str) -> Path:
        plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:80]
        try:
            handle, path = tempfile.mkstemp(prefix=f"{plain}-", suffix=".video", dir=self._folder)
        except OSError as exc:
            raise disk_error(exc, self._folder) from exc
        os.close(handle)
        with self._lock:
            self._made = {made for made in self._made if made.exists()} | {Path(path)}
        return Path(path)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What to ask for, and how."""

    request: Request
    transport: Transport
    redirects: int


def _try(ask: _Wanted, part: Partial, line: Line) -> None:
    line.check()
    with _follow(ask, part.resume_headers(), line) as answer:
        if answer.status in _PASSING:
            raise TryAgain(f"{answer.url}: the server answered {answer.told}.", _after(answer))
        part.begin(answer)
        kind = answer.headers.get("Content-Type", "")
        for chunk in answer.chunks():
            if part.size < HEAD <= part.size + len(chunk):
                refuse_pages(answer.url, part.head + chunk, kind)
            part.write(chunk, answer.url)
        part.finish(answer.url)
        refuse_pages(answer.url, part.head, kind)


def _follow(ask: _Wanted, more: dict[str, str], line: Line) -> Answer:
    """The first answer that is no redirect. Each hop is checked as the first was."""
    first = ask.request
    url, headers = first.url, {**first.headers, **more}
    for _ in range(ask.redirects + 1):
        # To anybody else, not even to another port, credentials and cookies are never shown.
        own = url.origin == first.url.origin
        sent = {name: value for name, value in headers.items() if own or name != "Cookie"}
        credentials = first.credentials if own else ""
        answer = ask.transport.get(Request(url, sent, credentials, called=first.called), line)
        if answer.status not in _REDIRECTS:
            return answer
        with answer:
            url = _next(url, answer)
    raise FetchError(f"{line.url}: more than {ask.redirects} redirects.")


def _next(url: HttpUrl, answer: Answer) -> HttpUrl:
    location = answer.headers.get("Location", "")
    if not location:
        raise FetchError(
            f"{answer.url}: the server answered {answer.told} without saying where to."
        )
    with suppress(UnicodeError):
        # HTTP headers are read as Latin-1; servers that send more than ASCII send UTF-8.
        location = location.encode("latin-1").decode("utf-8")
    try:
        return parse(urljoin(str(url), location))
    except (UsageError, ValueError) as exc:
        raise FetchError(
            f"{answer.url} redirects to '{redacted(location)}', which is not fetched from."
        ) from exc


def _after(answer: Answer) -> float | None:
    """Seconds that the server asks to wait."""
    asked = answer.headers.get("Retry-After", "")
    try:
        return Retry().parse_retry_after(asked) if asked else None
    except InvalidHeader:
        return None


def _clear(folder: Path) -> None:
    """Delete what earlier processes left behind when they died."""
    for path in folder.glob("*-????????.video"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT_BEHIND_S:
                path.unlink()


def _stopped() -> RegistryError:
    return RegistryError("The download was stopped.")
