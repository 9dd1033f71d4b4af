"""A download in progress: the file, and whether the rest of it can be requested on its own."""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
from contextlib import suppress
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from ingest.fetch.connections import Response
from ingest.fetch.sniffing import HEAD_BYTES
from ingest.fetch.streams import TransientError
from registry.errors import FetchError, StoreError, StoreFull

_OK, _PARTIAL, _UNSATISFIABLE = 200, 206, 416
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
"""RFC 9110, 8.8.3. A weak ETag (W/) may name other bytes, so it cannot be used to resume."""
_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)")
_SPACE_CHECK_BYTES = 16 * 1024 * 1024
"""Bytes written between two checks of the free space."""
_HINTS = {
    401: " It needs a login: a user name and password in its URL, or a header (--header).",
    403: " It needs permission, or the link has expired.",
    404: " There is no such file.",
    410: " The file has been removed.",
}


class PartialFile:
    """The temporary file of one fetch, open for writing. Close it."""

    def __init__(self, path: Path, max_bytes: int, reserve_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._reserve_bytes = reserve_bytes
        self._checked_at = 0
        self._total: int | None = None
        try:
            self._file = path.open("wb")
        except OSError as exc:
            raise disk_error(exc, path.parent) from exc
        self.size = 0
        """Bytes written."""
        self.head = b""
        """The first `HEAD_BYTES` of them."""
        self.validator = ""
        """ETag or date that identifies these bytes to the server; "" if it cannot resume."""
        self.modified = ""
        """The header Last-Modified of the response that the bytes came with."""
        self.etag = ""
        """The header ETag, weak or strong."""
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of the bytes written, hexadecimal."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file."""
        # `finish` has flushed what is needed: what is still buffered belongs to a failed download.
        with suppress(OSError):
            self._file.close()

    def resume_headers(self) -> dict[str, str]:
        """Request headers for the missing part of the same bytes; none to request all of them."""
        if not (self.size and self.validator):
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self.validator}

    def start(self, response: Response) -> None:
        """Prepare for the body of a response. Raises `FetchError` if it is the wrong one."""
        resuming = bool(self.resume_headers())
        if resuming and response.status == _UNSATISFIABLE:
            self._restart()
            raise TransientError(f"{response.label}: the server cannot resume the download.")
        if response.status != _OK and not (resuming and response.status == _PARTIAL):
            hint = _HINTS.get(response.status, "")
            raise FetchError(f"{response.label}: the server answered {response.status_text}.{hint}")
        if response.status == _PARTIAL:
            self._resume(response)
        else:
            self._restart()
            self._total = content_length(response)
            # A range of a compressed body counts compressed bytes, which are not kept.
            self.validator = "" if response.codings else _validator(response)
            self.modified = response.headers.get("Last-Modified", "")
            self.etag = response.headers.get("ETag", "")
        if self._total is not None and self._total > self._max_bytes:
            raise self._too_large(response.label, self._total)
        self._check_space((self._total or self.size) - self.size)

    def write(self, chunk: bytes, label: str) -> None:
        """Append. Raises `FetchError` past the largest size, `StoreFull` without free space."""
        if self.size + len(chunk) > self._max_bytes:
            raise self._too_large(label, self.size + len(chunk))
        try:
            self._file.write(chunk)
        except OSError as exc:
            raise disk_error(exc, self._path.parent) from exc
        self._digest.update(chunk)
        self.head += chunk[: HEAD_BYTES - len(self.head)]
        self.size += len(chunk)
        if self.size - self._checked_at >= _SPACE_CHECK_BYTES:
            self._checked_at = self.size
            self._check_space(0)

    def finish(self, label: str) -> None:
        """Flush and check the size. Raises `TransientError` if bytes are missing."""
        if self._total is not None and self.size != self._total:
            raise TransientError(
                f"{label}: the download ended after {self.size:,} of {self._total:,} bytes."
            )
        if not self.size:
            raise FetchError(f"{label} is empty.")
        try:
            self._file.flush()
        except OSError as exc:
            raise disk_error(exc, self._path.parent) from exc

    def _resume(self, response: Response) -> None:
        """Check that a partial body continues where the file ends, and is of the same version."""
        content_range = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        start, total = content_range.groups() if content_range else ("", "*")
        same_total = total == "*" or self._total is None or int(total) == self._total
        etag = response.headers.get("ETag", "")
        same_etag = not etag or not self.validator.startswith('"') or etag == self.validator
        same_bytes = same_total and same_etag and not response.codings
        if not start or int(start) != self.size or not same_bytes:
            self._restart()
            raise TransientError(f"{response.label}: the server resumed with other bytes.")
        if total != "*":
            self._total = int(total)

    def _restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self.size, self.head, self.validator = 0, b"", ""
        self._digest = hashlib.sha256()
        self._total, self._checked_at = None, 0

    def _too_large(self, label: str, size: int) -> FetchError:
        return FetchError(
            f"{label} has {size:,} bytes or more; the limit is {self._max_bytes:,} bytes."
        )

    def _check_space(self, coming: int) -> None:
        """Raise `StoreFull` if so many more bytes would not leave the reserve free."""
        try:
            free = shutil.disk_usage(self._path.parent).free
        except OSError as exc:
            raise disk_error(exc, self._path.parent) from exc
        if free - coming < self._reserve_bytes:
            raise StoreFull(
                f"{self._path.parent} has {free:,} bytes free; a video needs {coming:,} more, and "
                f"{self._reserve_bytes:,} are kept in reserve. Free disk space and run again."
            )


def disk_error(exc: OSError, folder: Path) -> StoreError:
    """The error of a download that the file system fails."""
    if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreFull(f"{folder} has no space left. Free disk space and run again.")
    return StoreError(f"{folder} cannot be written to: {exc.strerror}.")


def content_length(response: Response) -> int | None:
    """The size of a body that is sent as it is; None if it is not, or the server does not tell."""
    length = response.headers.get("Content-Length", "")
    if (
        response.codings
        or "Transfer-Encoding" in response.headers
        or not re.fullmatch("[0-9]{1,18}", length)
    ):
        return None
    return int(length)


def _validator(response: Response) -> str:
    etag = response.headers.get("ETag", "")
    if _STRONG_ETAG.fullmatch(etag):
        return etag
    modified = response.headers.get("Last-Modified", "")
    try:
        # RFC 9110, 8.8.2.2: a date identifies a version only if no other is of the same second.
        sent = parsedate_to_datetime(response.headers.get("Date", ""))
        age = sent - parsedate_to_datetime(modified)
    except (TypeError, ValueError):
        return ""
    return modified if age >= timedelta(seconds=1) else ""
