"""A file that grows by tries: what has come so far, and whether the rest can be asked for alone."""

from __future__ import annotations

import errno
import re
import shutil
from contextlib import suppress
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from ingest.content import HEAD
from ingest.http import Answer, TryAgain
from registry.errors import FetchError, StoreError, StoreFull
from registry.urls import printable

_OK, _PARTIAL, _UNSATISFIABLE = 200, 206, 416
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
"""RFC 9110, 8.8.3; a weak one (W/) may stand for other bytes and cannot join two halves."""
_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)")
_LOOK_AGAIN = 16 * 1024 * 1024
"""Bytes between two looks at the free space."""
_HINTS = {
    401: " It needs a user name and password, or another link.",
    403: " It needs permission, or the link has expired.",
    404: " Nothing is there.",
    410: " Nothing is there any more.",
}


class Partial:
    """The temporary file of one fetch, open for writing."""

    def __init__(self, path: Path, max_bytes: int, reserve_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._reserve_bytes = reserve_bytes
        self._looked_at = 0
        self._total: int | None = None
        try:
            self._file = path.open("wb")
        except OSError as exc:
            raise disk_error(exc, path.parent) from exc
        self.size = 0
        """Bytes that have come."""
        self.head = b""
        """The first `HEAD` of them."""
        self.validator = ""
        """ETag or date by which the server knows these bytes again; "" if it cannot resume."""

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        # What is still to be written after `finish` is of no use to anybody.
        with suppress(OSError):
            self._file.close()

    def resume_headers(self) -> dict[str, str]:
        """What to ask for: the rest, provided that it is the rest of the same bytes; or all."""
        if not (self.size and self.validator):
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self.validator}

    def begin(self, answer: Answer) -> None:
        """Make ready for the body of an answer. Raises `FetchError` if it is not what was asked."""
        resuming = bool(self.resume_headers())
        if resuming and answer.status == _UNSATISFIABLE:
            self._restart()
            raise TryAgain(f"{answer.url}: the server cannot resume there.")
        if answer.status != _OK and not (resuming and answer.status == _PARTIAL):
            hint = _HINTS.get(answer.status, "")
            raise FetchError(f"{answer.url}: the server answered {answer.told}.{hint}")
        encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            raise FetchError(
                f"{answer.url}: the server packed it ({printable(encoding)}) without being asked; "
                "packed bytes are not unpacked."
            )
        if answer.status == _PARTIAL:
            self._join(answer)
        else:
            self._restart()
            self._total = _length(answer)
            self.validator = _validator(answer)
        if self._total is not None and self._total > self._max_bytes:
            raise self._too_large(answer.url, self._total)
        self._leave_reserve((self._total or self.size) - self.size)

    def write(self, chunk: bytes, url: str) -> None:
        """Append. Raises `FetchError` past the largest size, `StoreFull` without free space."""
        if self.size + len(chunk) > self._max_bytes:
            raise self._too_large(url, self.size + len(chunk))
        try:
            self._file.write(chunk)
        except OSError as exc:
            raise disk_error(exc, self._path.parent) from exc
        self.head += chunk[: HEAD - len(self.head)]
        self.size += len(chunk)
        if self.size - self._looked_at >= _LOOK_AGAIN:
            self._looked_at = self.size
            self._leave_reserve(0)

    def finish(self, url: str) -> None:
        """Check that all has come. Raises `TryAgain` if not, `FetchError` if all is nothing."""
        if self._total is not None and self.size != self._total:
            raise TryAgain(f"{url}: {self.size:,} of {self._total:,} bytes came.")
        if not self.size:
            raise FetchError(f"{url} is empty.")
        try:
            self._file.flush()
        except OSError as exc:
            raise disk_error(exc, self._path.parent) from exc

    def _join(self, answer: Answer) -> None:
        """Check that a partial body begins where ours ends, and is of the same bytes."""
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        total = found[2] if found else "*"
        same_total = total == "*" or self._total is None or int(total) == self._total
        etag = answer.headers.get("ETag", "")
        same_etag = not etag or not self.validator.startswith('"') or etag == self.validator
        if found is None or int(found[1]) != self.size or not (same_total and same_etag):
            self._restart()
            raise TryAgain(f"{answer.url}: the server resumed with other bytes.")
        if total != "*":
            self._total = int(total)

    def _restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self.size, self.head, self.validator = 0, b"", ""
        self._total, self._looked_at = None, 0

    def _too_large(self, url: str, size: int) -> FetchError:
        return FetchError(
            f"{url} has {size:,} bytes or more; {self._max_bytes:,} is the most that is fetched."
        )

    def _leave_reserve(self, coming: int) -> None:
        try:
            free = shutil.disk_usage(self._path.parent).free
        except OSError as exc:
            raise disk_error(exc, self._path.parent) from exc
        if free - coming < self._reserve_bytes:
            raise StoreFull(
                f"{self._path.parent} has {free:,} bytes free; a video needs {coming:,} more, and "
                f"{self._reserve_bytes:,} are kept in reserve. Make room and run again."
            )


def disk_error(exc: OSError, folder: Path) -> StoreError:
    """What a failure of the file system means for a download."""
    if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreFull(f"{folder} has no space left. Make room and run again.")
    return StoreError(f"{folder} cannot be written to: {exc.strerror}.")


def _length(answer: Answer) -> int | None:
    told = answer.headers.get("Content-Length", "")
    if "Transfer-Encoding" in answer.headers or not re.fullmatch("[0-9]{1,18}", told):
        return None
    return int(told)


def _validator(answer: Answer) -> str:
    etag = answer.headers.get("ETag", "")
    if _STRONG_ETAG.fullmatch(etag):
        return etag
    modified = answer.headers.get("Last-Modified", "")
    try:
        # RFC 9110, 8.8.2.2: a date tells versions apart only if they cannot be of the same second.
        age = parsedate_to_datetime(answer.headers.get("Date", "")) - parsedate_to_datetime(
            modified
        )
    except (TypeError, ValueError):
        return ""
    return modified if age >= timedelta(seconds=1) else ""
