"""Finds the video that a URL cell names, and where its file is."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

from ingest.fetch.share_links import download_address
from registry.errors import RowError, UsageError
from registry.system.local_paths import ON_WINDOWS, checked_path, path_of_file_url
from registry.system.spelling import DiskSpelling
from registry.urls import CONTROL, Url, canonical, printable, redacted

_MAX_URL = 2048
"""Characters: the longest URL that browsers and content networks agree on."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
"""Of two letters or more, so that C:\\video.mp4 is a path."""
_SURROGATE = re.compile(r"[\ud800-\udfff]")
"""Lone surrogates, which no file or URL contains, but a DataFrame may."""
_HOSTLIKE = re.compile(r"(www\.|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}/)")
_ROUNDED = re.compile(r"[0-9][.,]?[0-9]*[eE]\+?[0-9]+|[0-9]{16,}(?:\.0)?")
"""An id that a spreadsheet converted to a number: `1.20212E+17`. Its last digits are lost."""


class Locator:
    """Resolves the cells of the URL column of one table."""

    def __init__(
        self, base: Path | None, *, allow_local_files: bool = False, template: str = ""
    ) -> None:
        """Raises `UsageError` if the template does not have one `{}`.

        Args:
            base: where relative paths start; None: they are not accepted.
            allow_local_files: whether files outside `base` may be named.
            template: the URL into which the cell is inserted; `""`: the cell is the URL itself.
        """
        if template and template.count("{}") != 1:
            raise UsageError(
                f"--url-template '{redacted(template)}' needs one {{}}, in the place of the cell."
            )
        self._base = base
        self._spelling = DiskSpelling()
        self._real_base = Path(self._spelling.folder(str(base.resolve()))) if base else None
        self._allow = allow_local_files
        self._template = template
        self._folders: dict[str, str] = {}

    def locate(self, row: int, cell: str) -> tuple[Url, Url]:
        """The canonical URL that a cell names, and what to fetch: a URL or an absolute path.

        Relative paths must end below the base folder, symlinks followed, unless local files are
        allowed. Whether a file exists is checked only when it is fetched: a video on record needs
        none. Raises `RowError`.
        """
        if not cell:
            raise _error(row, cell, "the URL is missing. Fill in the cell, or remove the row.")
        if cell.startswith("=") and not self._is_file(cell):
            raise _error(
                row, cell, f"'{redacted(cell)}' is a formula. Export the column with its results."
            )
        if self._template and "://" not in cell:
            cell = self._filled(row, cell)
        if len(cell) > _MAX_URL:
            raise _error(
                row, cell, f"the URL has {len(cell):,} characters, and {_MAX_URL:,} are allowed."
            )
        if not cell.isprintable() and (CONTROL.search(cell) or _SURROGATE.search(cell)):
            raise _error(row, cell, f"'{redacted(cell)}' contains control characters. Remove them.")
        scheme = _SCHEME.match(cell)
        if scheme is None or ("://" not in cell and self._is_file(cell)):
            return self._path(row, cell)
        reader = self._SCHEMES.get(scheme[1].lower())
        if reader is None:
            raise _error(
                row,
                cell,
                f"'{redacted(cell)}' starts with {printable(scheme[1])}:, which is not supported. "
                "Use http, https, s3 or the name of a file.",
            )
        try:
            return reader(self, row, cell)
        except UsageError as exc:
            raise _error(row, cell, str(exc)) from exc

    def _filled(self, row: int, cell: str) -> str:
        if _ROUNDED.fullmatch(cell):
            raise _error(
                row,
                cell,
                f"'{printable(cell)}' is an id that a spreadsheet rounded to a number. Export the "
                "column as text.",
            )
        is_url = "://" in self._template
        return self._template.replace("{}", quote(cell, safe="") if is_url else cell)

    def _web(self, row: int, cell: str) -> tuple[Url, Url]:
        try:
            return canonical(cell), Url(download_address(cell))
        except ValueError as exc:  # raised by urlsplit for URLs that canonical accepts
            raise _error(row, cell, f"'{redacted(cell)}' is not a valid URL. Correct it.") from exc

    def _bucket(self, row: int, cell: str) -> tuple[Url, Url]:
        return canonical(cell), canonical(cell)

    def _file(self, row: int, cell: str) -> tuple[Url, Url]:
        name = canonical(cell).exposed()  # raises if it does not name a file
        if (server := urlsplit(name).netloc) and not ON_WINDOWS:
            raise _error(
                row,
                cell,
                f"'{redacted(cell)}' names another machine, {printable(server)}. Write the path "
                "that the file has here.",
            )
        return self._path(row, path_of_file_url(cell), "file: URLs")

    _SCHEMES: dict[str, Callable[[Locator, int, str], tuple[Url, Url]]] = {  # noqa: RUF012
        "http": _web,
        "https": _web,
        "file": _file,
        "s3": _bucket,
    }
    """Schemes of URLs; `Downloader` has to support them too."""

    def _path(self, row: int, cell: str, kind: str = "absolute paths") -> tuple[Url, Url]:
        if cell.startswith("'") and not self._is_file(cell):
            cell = cell[1:]
        if _HOSTLIKE.match(cell) and not self._is_file(cell):
            where = redacted(str(self._base / cell if self._base else cell))
            raise _error(
                row,
                cell,
                f"there is no file {where}. If it is a web address, write https:// in front.",
            )
        try:
            cell = checked_path(cell)
        except ValueError as exc:
            if ON_WINDOWS or not self._is_file(cell):
                raise _error(row, cell, f"'{redacted(cell)}' {exc}") from exc
        if not self._allow and Path(cell).is_absolute():
            # Before the path is resolved, since that would open a connection to a server's share.
            raise _error(
                row, cell, f"{redacted(cell)}: {kind} are read only with --allow-local-files."
            )
        if self._base is None and not Path(cell).is_absolute():
            raise _error(
                row,
                cell,
                f"'{redacted(cell)}' is a relative path, and the table is not a file in a folder. "
                "Name the folder of the videos with --base-folder.",
            )
        real, inside = self._resolved(row, cell)
        if not self._allow and not inside:
            raise _error(
                row,
                cell,
                f"'{redacted(cell)}' leads out of the table's folder, to "
                f"{printable(real, 200)}; such files are read only with --allow-local-files.",
            )
        try:
            return canonical(Path(real).as_uri()), Url(real)
        except (UsageError, ValueError) as exc:
            reason = f"'{redacted(cell)}' cannot be used as the name of a file: {exc}"
            raise _error(row, cell, reason) from exc

    def _resolved(self, row: int, cell: str) -> tuple[str, bool]:
        """The path without symlinks, and whether it is below the base folder."""
        try:
            joined = self._base / cell if self._base else Path(cell)
            real = self._without_links(joined)
            inside = self._real_base is not None and Path(real).is_relative_to(self._real_base)
        except (OSError, RuntimeError) as exc:
            raise _error(
                row, cell, f"'{redacted(cell)}' cannot be resolved to a file. Correct the path."
            ) from exc
        return real, inside

    def _without_links(self, path: Path) -> str:
        """As `Path.resolve`, but resolves each folder only once."""
        folder, name = os.path.split(path)
        if name in {"", ".", ".."}:
            return str(path.resolve())
        real = self._folders.get(folder)
        if real is None:
            real = self._spelling.folder(str(Path(folder).resolve()))
            self._folders[folder] = real
        name = self._spelling.name(real, name)
        joined = os.path.join(real, name)  # noqa: PTH118  one for each row of the table
        if not os.path.islink(joined):  # noqa: PTH114
            return joined
        resolved = Path(joined).resolve()
        if resolved.is_symlink():  # Python 3.13 and later return a loop as it is.
            raise OSError("a loop of symlinks")
        return str(resolved)

    def _is_file(self, cell: str) -> bool:
        # Path.is_file raises for names that are too long.
        return os.path.isfile(self._base / cell if self._base else cell)  # noqa: PTH113


def _error(row: int, cell: str, what: str) -> RowError:
    return RowError(row, redacted(cell), f"Row {row}: {what}")
