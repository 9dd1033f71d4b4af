"""The URL cell of a row: which video it names, and where its bytes are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from registry.errors import RowError, UsageError
from registry.urls import CONTROL, Url, canonical, printable, redacted

_MAX_URL = 2048
"""Characters: the longest URL that browsers and content networks agree on."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
"""Of two letters or more, so that C:\\video.mp4 is a path."""
_SURROGATE = re.compile(r"[\ud800-\udfff]")
"""Half a character: no file or URL is named with one; a DataFrame can hold it."""
_HOSTLIKE = re.compile(r"(www\.|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}/)")


@dataclass(frozen=True, slots=True)
class _Place:
    row: int
    base: Path
    allow_local_files: bool

    def error(self, cell: str, what: str) -> RowError:
        return RowError(self.row, redacted(cell), f"Row {self.row}: {what}")


def locate(row: int, cell: str, base: Path, allow_local_files: bool) -> tuple[Url, Url]:
    """The canonical URL that a cell names, and what to fetch: a URL or an absolute path.

    Relative paths start at `base` and must end below it, symlinks followed, unless
    `allow_local_files`. Whether a file exists is seen when it is fetched: a video that is already
    on record needs none. Raises `RowError`.
    """
    place = _Place(row, base, allow_local_files)
    if not cell:
        raise place.error(cell, "the URL is missing.")
    if len(cell) > _MAX_URL:
        raise place.error(cell, f"the URL has {len(cell):,} characters; {_MAX_URL:,} is the most.")
    if CONTROL.search(cell) or _SURROGATE.search(cell):
        raise place.error(cell, f"'{redacted(cell)}' has control characters in it.")
    scheme = _SCHEME.match(cell)
    if scheme is None or ("://" not in cell and _is_file(base / cell)):
        return _path(cell, place)
    reader = _SCHEMES.get(scheme[1].lower())
    if reader is None:
        raise place.error(
            cell,
            f"'{redacted(cell)}' starts with {printable(scheme[1])}:, which is not read; "
            "use http, https, s3 or the name of a file.",
        )
    try:
        return reader(cell, place)
    except UsageError as exc:
        raise place.error(cell, str(exc)) from exc


def _web(cell: str, place: _Place) -> tuple[Url, Url]:
    return canonical(cell), Url(cell)


def _bucket(cell: str, place: _Place) -> tuple[Url, Url]:
    return canonical(cell), canonical(cell)


def _file(cell: str, place: _Place) -> tuple[Url, Url]:
    canonical(cell)  # refuses what is no file on this machine
    return _path(unquote(urlsplit(cell).path, errors="surrogateescape"), place, "file: URLs")


_SCHEMES: dict[str, Callable[[str, _Place], tuple[Url, Url]]] = {
    "http": _web,
    "https": _web,
    "file": _file,
    "s3": _bucket,
}
"""A kind of URL is added here, and to those that `Downloader` fetches."""


def _path(cell: str, place: _Place, kind: str = "absolute paths") -> tuple[Url, Url]:
    if _HOSTLIKE.match(cell) and not _is_file(place.base / cell):
        raise place.error(
            cell,
            f"there is no file {redacted(str(place.base / cell))}; "
            "if it is a web address, write https:// in front.",
        )
    try:
        real = (place.base / cell).resolve()
        inside = real.is_relative_to(place.base.resolve())
        if real.is_symlink():  # Python 3.13 and later return a loop as it is.
            raise OSError("a loop of symlinks")
    except (OSError, RuntimeError) as exc:
        raise place.error(cell, f"'{redacted(cell)}' is a path that leads nowhere.") from exc
    if not place.allow_local_files:
        if Path(cell).is_absolute():
            raise place.error(
                cell, f"{redacted(cell)}: {kind} are read only with --allow-local-files."
            )
        if not inside:
            raise place.error(
                cell,
                f"'{redacted(cell)}' leads out of the table's folder, to "
                f"{printable(str(real), 200)}; such files are read only with --allow-local-files.",
            )
    return canonical(real.as_uri()), Url(str(real))


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  Path.is_file raises for names that are too long
