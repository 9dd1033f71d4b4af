"""From a location to a file on this machine: tries again, resumes, and stops at limits."""

from __future__ import annotations

import os
import re
import ssl
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from urllib.parse import urljoin

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from ingest.addresses import AddressPolicy
from ingest.content import HEAD, not_a_video
from ingest.http import Answer, Line, Request, Transport, TryAgain, trusted
from ingest.pages.reading import Pages
from ingest.partial import Partial, disk_error
from ingest.patience import FetchLimits, persist
from registry.errors import FetchError, RegistryError, UsageError
from registry.urls import HttpUrl, parse, printable, redacted

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
    ) -> None:
        """The folder is made if it is not there.

        Args:
            folder: for temporary files.
            limits: what a download may take.
            policy: whom to speak to.
            tls: whom to trust; by default the system's and Mozilla's certificate authorities.
            pages: what reads pages of video sites; by default yt-dlp, within the same limits.
        """
        self._folder = folder
        self._limits = limits or FetchLimits()
        policy = policy or AddressPolicy()
        self._pages = pages or Pages(
            policy, folder, max_bytes=self._limits.max_bytes, seconds=self._limits.page_s
        )
        self._transport = Transport(
            policy,
            tls or trusted(),
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
        }
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
            return _local(Path(location))
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
        path = self._new_file(name)
        line = Line(redacted(str(url)), self._limits.total_s)
        with self._lock:
            self._lines.add(line)
        try:
            if self._closed.is_set():
                raise _stopped()
            ask = self._wanted(url, line)
            with Partial(path, self._limits.max_bytes, self._limits.reserve_bytes) as part:
                persist(lambda: self._try(ask, part, line), part, self._limits, self._closed)
                return Download(path, part.size, temporary=True)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            line.close()
            with self._lock:
                self._lines.discard(line)

    def _wanted(self, url: HttpUrl, line: Line) -> Request:
        """What to ask for: the file of this URL, or the video on this page."""
        if not self._pages.recognises(url):
            return Request(url, {}, url.credentials)
        found = self._pages.read(url, line)
        try:
            return Request(parse(found.url), found.headers)
        except UsageError as exc:
            raise FetchError(f"{line.url}: the video on the page: {exc}") from exc

    def _try(self, ask: Request, part: Partial, line: Line) -> None:
        line.check()
        with self._follow(ask, part.resume_headers(), line) as answer:
            if answer.status in _PASSING:
                raise TryAgain(f"{answer.url}: the server answered {answer.told}.", _after(answer))
            part.begin(answer)
            kind = answer.headers.get("Content-Type", "")
            for chunk in answer.chunks():
                if part.size < HEAD <= part.size + len(chunk):
                    _refuse_pages(answer.url, part.head + chunk, kind)
                part.write(chunk, answer.url)
            part.finish(answer.url)
            _refuse_pages(answer.url, part.head, kind)

    def _follow(self, ask: Request, more: dict[str, str], line: Line) -> Answer:
        """The first answer that is no redirect. Each hop is checked as the first was."""
        url, headers = ask.url, {**ask.headers, **more}
        for _ in range(self._limits.redirects + 1):
            # To anybody else, not even to another port, credentials and cookies are never shown.
            own = url.origin == ask.url.origin
            sent = {k: v for k, v in headers.items() if own or k != "Cookie"}
            request = Request(url, sent, ask.credentials if own else "")
            answer = self._transport.get(request, line)
            if answer.status not in _REDIRECTS:
                return answer
            with answer:
                url = _next(url, answer)
        raise FetchError(f"{line.url}: more than {self._limits.redirects} redirects.")

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


def _refuse_pages(shown: str, head: bytes, content_type: str) -> None:
    if what := not_a_video(head, content_type):
        raise FetchError(f"{shown} is {what}, not a video; give the address of the file itself.")


def _local(path: Path) -> Download:
    shown = printable(str(path), 500)
    if not path.is_absolute():
        raise FetchError(f"{shown} is not an absolute path.")
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise FetchError(f"{shown} is a folder, not a video.")
        if not stat.S_ISREG(found.st_mode):
            raise FetchError(f"{shown} is a device or a pipe, not a file.")
        with path.open("rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError as exc:
        raise FetchError(f"There is no file {shown}.") from exc
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise FetchError(f"{shown} cannot be read: {why}.") from exc
    if not head:
        raise FetchError(f"{shown} is empty.")
    _refuse_pages(shown, head, "")
    return Download(path, found.st_size, temporary=False)


def _clear(folder: Path) -> None:
    """Delete what earlier processes left behind when they died."""
    for path in folder.glob("*-????????.video"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT_BEHIND_S:
                path.unlink()


def _stopped() -> RegistryError:
    return RegistryError("The download was stopped.")
