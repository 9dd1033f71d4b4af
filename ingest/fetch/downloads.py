"""From a URL or path to a video file on this machine, with retries, resumption and limits."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Protocol

from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.connections import HttpClient, Request, Response
from ingest.fetch.host_headers import HostHeaders
from ingest.fetch.pages.resolver import PageResolver
from ingest.fetch.partial_file import PartialFile, content_length, disk_error
from ingest.fetch.proxies import ProxyRules
from ingest.fetch.retries import FetchLimits, retry
from ingest.fetch.sniffing import HEAD_BYTES, check_is_video
from ingest.fetch.streams import TRANSIENT_STATUSES, Deadline, TransientError
from registry.domain import Source
from registry.errors import FetchError, RegistryError, StoreError, UsageError
from registry.system.certificates import tls_context
from registry.system.paths import remove
from registry.system.privacy import make_private_folder
from registry.urls import bucket_and_key, parse, printable, redacted

if TYPE_CHECKING:
    from registry.blobs.minio_presigned import Buckets

_LEFT_BEHIND_S = 24 * 3600.0
"""Temporary files this old were left by a process that died: no download takes so long."""


__all__ = ["Download", "Downloader", "FetchLimits", "Fetcher"]


@dataclass(frozen=True, slots=True)
class Download:
    """A video file on this machine."""

    path: Path
    size: int
    """Bytes."""
    temporary: bool
    """Whether the file was made for this download and is deleted with it."""
    sha256: str
    """Of the bytes, hexadecimal."""
    source: Source
    """What the server or the file system said of the file."""

    def discard(self) -> None:
        """Delete the file if it is temporary; can be called twice."""
        if self.temporary:
            remove(self.path)


class Fetcher(Protocol):
    """Makes videos available as files; threads can share one."""

    def fetch(self, location: str, name: str) -> Download:
        """As `Downloader.fetch`."""

    def changed_source(self, location: str, known: Source) -> Source | None:
        """As `Downloader.changed_source`."""

    def close(self) -> None:
        """Stop what is in progress and delete temporary files."""


class Downloader:
    """Fetches videos into a folder of its own; threads can share one.

    The environment is not looked at: a proxy is used only if it is given, since the addresses that
    it connects to cannot be checked.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limits: FetchLimits | None = None,
        policy: AddressPolicy | None = None,
        tls: ssl.SSLContext | None = None,
        pages: PageResolver | None = None,
        buckets: Buckets | None = None,
        videos: bool = True,
        proxies: ProxyRules | None = None,
        host_headers: HostHeaders | None = None,
    ) -> None:
        """Create the folder if it does not exist.

        Args:
            folder: for temporary files.
            limits: what a download may take.
            policy: which addresses it may connect to.
            tls: by default, the system's and Mozilla's certificate authorities are trusted.
            pages: finds videos on pages of video sites; by default with yt-dlp and these limits.
            buckets: the S3 server of s3 URLs, closed with the downloader; None: they are refused.
            videos: find the videos of pages, and refuse what is not a video; False for other
                files, such as tables.
            proxies: for http and https URLs; the S3 server is reached without.
            host_headers: headers, cookies and user agent for http and https URLs.
        """
        self._folder = folder
        self._limits = limits or FetchLimits()
        policy = policy or AddressPolicy()
        proxies, host_headers = proxies or ProxyRules(), host_headers or HostHeaders()
        self._pages = pages or PageResolver(
            policy,
            folder,
            max_bytes=self._limits.max_bytes,
            seconds=self._limits.page_s,
            proxies=proxies,
            host_headers=host_headers,
        )
        self._client = HttpClient(
            policy,
            cache(lambda: tls or tls_context(None)),
            connect_s=self._limits.connect_s,
            read_s=self._limits.read_s,
            proxies=proxies,
            host_headers=host_headers,
        )
        self._buckets, self._videos = buckets, videos
        self._closed = Event()
        self._deadlines: set[Deadline] = set()
        self._files: set[Path] = set()
        self._lock = Lock()
        self._sources: dict[str, Callable[[str, Deadline], _Source]] = {
            "http": self._web_source,
            "https": self._web_source,
            "s3": self._object_source,
        }
        try:
            make_private_folder(folder)
        except OSError as exc:
            raise disk_error(exc, folder) from exc
        _delete_left_behind(folder)

    def fetch(self, location: str, name: str) -> Download:
        """Make the video at a URL or an absolute path available as a file.

        `name` begins the name of the temporary file; nothing else depends on it. Raises
        `FetchError` if the file cannot be fetched or is not a video, `StoreFull` if it would not
        leave the reserve free, and `RegistryError` once the downloader is closed.
        """
        if self._closed.is_set():
            raise _stopped()
        scheme, separator, _ = location.partition("://")
        if not separator:
            return _local_file(Path(location))
        find_source = self._sources.get(scheme.lower())
        if find_source is None:
            raise FetchError(f"{redacted(location)}: {printable(scheme)}:// is not supported.")
        return self._save(location, name, find_source)

    def changed_source(self, location: str, known: Source) -> Source | None:
        """What a server says now of a file that was fetched before; None if it is the same file.

        One conditional GET, whose body is not read: signed links are not valid for HEAD. Without a
        validator (ETag, Last-Modified), a file of the same size counts as the same. Pages of video
        sites are not asked. Raises `FetchError`.
        """
        with self._deadline(location, self._limits.page_s) as deadline:
            if location.lower().startswith("s3:"):
                asked = self._object_source(location, deadline)
            else:
                url = parse(location)
                if self._pages.recognises(url):
                    return None
                request = Request(url, {}, url.credentials)
                asked = _Source(request, self._client, self._limits.redirects)
            headers = {"If-None-Match": known.etag} if known.etag else {}
            if known.modified and not known.etag:
                headers["If-Modified-Since"] = known.modified
            with closing(_follow_redirects(asked, headers, deadline)) as response:
                if response.status == HTTPStatus.NOT_MODIFIED:
                    return None
                if response.status != HTTPStatus.OK:
                    status = response.status_text
                    raise FetchError(f"{response.label}: the server answered {status}.")
                seen = _described(response)
        pairs = (known.etag, seen.etag), (known.modified, seen.modified), (known.size, seen.size)
        was, is_now = next((pair for pair in pairs if all(pair)), ("", ""))
        return None if was == is_now else seen

    def close(self) -> None:
        """Stop the downloads in progress and delete temporary files; can be called twice."""
        self._closed.set()
        with self._lock:
            deadlines, files = list(self._deadlines), list(self._files)
            self._files.clear()
        for deadline in deadlines:
            deadline.cancel(_stopped())
        for path in files:
            # On Windows a file that is still open stays, and who has it open removes it.
            with suppress(PermissionError):
                path.unlink(missing_ok=True)
        if self._buckets is not None:
            self._buckets.close()

    def _save(
        self, location: str, name: str, find_source: Callable[[str, Deadline], _Source]
    ) -> Download:
        path, limits = self._temporary_file(name), self._limits
        try:
            with (
                self._deadline(location, limits.total_s) as deadline,
                closing(PartialFile(path, limits.max_bytes, limits.reserve_bytes)) as part,
            ):
                source = find_source(location, deadline)
                check = check_is_video if self._videos else _accept
                retry(lambda: _attempt(source, part, deadline, check), part, limits, self._closed)
                seen = Source(part.size, part.modified, part.etag)
                return Download(path, part.size, True, part.sha256, seen)
        except BaseException:
            remove(path)
            raise

    @contextmanager
    def _deadline(self, location: str, seconds: float) -> Iterator[Deadline]:
        """A time limit that `close` ends. Raises `RegistryError` once the downloader is closed."""
        deadline = Deadline(redacted(location), seconds)
        with self._lock:
            self._deadlines.add(deadline)
        try:
            if self._closed.is_set():
                raise _stopped()
            yield deadline
        finally:
            with self._lock:
                self._deadlines.discard(deadline)

    def _web_source(self, location: str, deadline: Deadline) -> _Source:
        """The file at this URL, or the video on this page."""
        try:
            url = parse(location)
        except UsageError as exc:
            raise FetchError(str(exc)) from exc
        request = Request(url, {}, url.credentials)
        if self._videos and self._pages.recognises(url):
            video = self._pages.resolve(url, deadline)
            try:
                request = Request(parse(video.url), video.headers)
            except UsageError as exc:
                raise FetchError(f"{deadline.label}: the video on the page: {exc}") from exc
        return _Source(request, self._client, self._limits.redirects)

    def _object_source(self, location: str, deadline: Deadline) -> _Source:
        """The object of an s3 URL, on the configured server, whose address may be private."""
        if self._buckets is None:
            raise FetchError(
                f"{deadline.label}: no S3 server is configured. Set MINIO_ENDPOINT, "
                "MINIO_ACCESS_KEY and MINIO_SECRET_KEY."
            )
        try:
            bucket, key = bucket_and_key(location)
            url = parse(self._buckets.address(bucket, key, deadline.remaining()))
        except (StoreError, UsageError) as exc:
            raise FetchError(f"{deadline.label}: {str(exc).removesuffix('.')}.") from exc
        tls = self._buckets.tls
        client = replace(
            self._client,
            policy=replace(self._client.policy, allow_private=True),
            tls=lambda: tls,
            proxies=ProxyRules(),
            host_headers=HostHeaders(),
        )
        return _Source(Request(url, {}, label=deadline.label), client, max_redirects=0)

    def _temporary_file(self, name: str) -> Path:
        plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:80]
        try:
            handle, path = tempfile.mkstemp(prefix=f"{plain}-", suffix=".video", dir=self._folder)
        except OSError as exc:
            raise disk_error(exc, self._folder) from exc
        os.close(handle)
        with self._lock:
            self._files = {file for file in self._files if file.exists()} | {Path(path)}
        return Path(path)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a video comes from, and how to get there."""

    request: Request
    client: HttpClient
    max_redirects: int


def _accept(label: str, head: bytes, content_type: str = "") -> None:
    """Any file will do."""


def _attempt(
    source: _Source,
    part: PartialFile,
    deadline: Deadline,
    check: Callable[[str, bytes, str], None],
) -> None:
    deadline.check()
    with closing(_follow_redirects(source, part.resume_headers(), deadline)) as response:
        if response.status in TRANSIENT_STATUSES:
            raise TransientError(
                f"{response.label}: the server answered {response.status_text}.",
                _retry_after_s(response),
            )
        part.start(response)
        content_type = response.headers.get("Content-Type", "")
        for chunk in response.chunks():
            if part.size < HEAD_BYTES <= part.size + len(chunk):
                check(response.label, part.head + chunk, content_type)
            part.write(chunk, response.label)
        part.finish(response.label)
        check(response.label, part.head, content_type)


def _follow_redirects(source: _Source, extra: dict[str, str], deadline: Deadline) -> Response:
    """The first response that is not a redirect. Each target is checked as the first URL was."""
    first = source.request
    url, headers = first.url, {**first.headers, **extra}
    for _ in range(source.max_redirects + 1):
        # Credentials and cookies go to no other origin, not even to another port.
        own = url.origin == first.url.origin
        sent = {name: value for name, value in headers.items() if own or name != "Cookie"}
        credentials = first.credentials if own else ""
        request = Request(url, sent, credentials, label=first.label, redirected=not own)
        response = source.client.send(request, deadline)
        if not response.is_redirect:
            return response
        with closing(response):
            url = response.redirect_target()
    raise FetchError(f"{deadline.label}: more than {source.max_redirects} redirects.")


def _described(response: Response) -> Source:
    return Source(
        content_length(response) or 0,
        response.headers.get("Last-Modified", ""),
        response.headers.get("ETag", ""),
    )


def _retry_after_s(response: Response) -> float | None:
    """Seconds that the server asks to wait."""
    from urllib3 import Retry
    from urllib3.exceptions import InvalidHeader

    asked = response.headers.get("Retry-After", "")
    try:
        return Retry().parse_retry_after(asked) if asked else None
    except InvalidHeader:
        return None


def _local_file(path: Path) -> Download:
    """A file on this machine, used where it is. Raises `FetchError` if it is not a video."""
    label = printable(str(path), 500)
    if not path.is_absolute():
        raise FetchError(f"{label} is not an absolute path.")
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise FetchError(f"{label} is a folder, not a video.")
        if not stat.S_ISREG(status.st_mode):
            raise FetchError(f"{label} is a device or a pipe, not a file.")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as exc:
        raise FetchError(f"There is no file {label}.") from exc
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise FetchError(f"{label} cannot be read: {reason}.") from exc
    if not head:
        raise FetchError(f"{label} is empty.")
    check_is_video(label, head)
    return Download(path, status.st_size, False, file_sha256(path), local_source(status))


def local_source(status: os.stat_result) -> Source:
    """What the file system says of a file."""
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return Source(status.st_size, modified.isoformat(timespec="microseconds"))


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file on this machine. Raises `FetchError`."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise FetchError(f"{printable(str(path), 500)} cannot be read: {exc.strerror}.") from exc


def _delete_left_behind(folder: Path) -> None:
    """Delete temporary files of processes that died."""
    for path in folder.glob("*-????????.video"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT_BEHIND_S:
                path.unlink()


def _stopped() -> RegistryError:
    return RegistryError("The download was stopped.")
